"""Lists of sets: which demonstrations help together (CEIL), as lessons for the encoder.

A query brings `l` of its scored candidates and some sets of them; the feedback scores each set as
one prompt. The encoder learns that the determinant of a better set is larger (`set_selection`). A
retriever uses it by `retrieve(…, diversify="dpp")`, which builds the largest determinant greedily.

Source: Ye et al., "Compositional exemplars for in-context learning" (CEIL), ICML 2023.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.demonstrations.feedback import Feedback, Scored
from retrieval.demonstrations.mining import sampled
from retrieval.demonstrations.objectives import Batch, ScoredLesson, digest
from retrieval.demonstrations.task import Task
from retrieval.errors import DataFormatError, QueryShapeError
from retrieval.files import replaced

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "ScoredSets",
    "SetLesson",
    "read_scored_sets",
    "scored_sets",
    "set_loss",
    "write_scored_sets",
]

#: Sets of a query, and demonstrations of a set.
SETS: Final = 10
SIZE: Final = 4


@dataclass(frozen=True, slots=True)
class ScoredSets:
    """A query's candidates (with their own scores) and scored sets of them.

    Raises:
        QueryShapeError: no sets, sets of unequal size, or a place that no candidate has.
    """

    single: Scored
    #: Places of candidates.
    sets: tuple[tuple[int, ...], ...]
    #: Higher is better.
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        places = range(len(self.single.candidates))
        if (
            not self.sets
            or len(self.sets) != len(self.scores)
            or len({len(one) for one in self.sets}) != 1
            or any(at not in places or one.count(at) > 1 for one in self.sets for at in one)
        ):
            raise QueryShapeError(
                f"the query {self.single.query.id!r} has {len(self.sets)} sets and "
                f"{len(self.scores)} scores over {len(places)} candidates; sets need one size and "
                "different members"
            )


def scored_sets(
    feedback: Feedback,
    task: Task,
    lists: Sequence[Scored],
    generator: np.random.Generator,
    *,
    candidates: int = 8,
    sets: int = SETS,
    size: int = SIZE,
) -> list[ScoredSets]:
    """Draw sets from each query's scored candidates and score them, all in one call.

    The first set is that of the best candidates by their own scores; the others are random.
    Members stand in the prompt with the best next to the query.
    """
    from retrieval.demonstrations.scorer import Pair

    pairs, drawn = [], []
    for one in lists:
        places = sampled(one, candidates, generator)
        single = Scored(
            one.query,
            tuple(one.candidates[at] for at in places.tolist()),
            tuple(one.scores[at] for at in places.tolist()),
        )
        count = len(places)
        members = min(size, count)
        chosen = {tuple(range(members)): None}
        for _ in range(4 * sets):  # a short list has fewer sets than are wanted
            if len(chosen) < sets:
                chosen[tuple(sorted(generator.choice(count, members, replace=False).tolist()))] = (
                    None
                )
        drawn.append((single, tuple(chosen)))
        pairs += [
            Pair(
                one.query.input,
                one.query.output,
                tuple(single.candidates[at] for at in reversed(own)),
            )
            for own in chosen
        ]
    scores = iter(feedback.score(pairs, labels=task.labels or None).tolist())
    return [ScoredSets(single, own, tuple(next(scores) for _ in own)) for single, own in drawn]


class SetLesson:
    """Batches of queries with their candidates and sets.

    Args:
        task: what the sets are of.
        scored: queries with their sets; of equally many candidates.
    """

    def __init__(self, task: Task, scored: Sequence[ScoredSets]) -> None:
        self.task = task
        self.scored = tuple(scored)
        self._by_query = {one.single.query.id: one for one in scored}
        size = max((len(one.single.candidates) for one in scored), default=2)
        self._lists = ScoredLesson(task, [one.single for one in scored], size)
        self.count = min((len(one.sets) for one in scored), default=0)

    @property
    def key(self) -> str:
        """Sets with their scores."""
        sets = [[one.single.query.id, one.sets, one.scores] for one in self.scored]
        return digest([self._lists.key, sets])

    def __len__(self) -> int:
        return len(self.scored)

    def batch(self, size: int, generator: np.random.Generator) -> Batch:
        """Return queries with lists; `sets` are columns of the demonstrations, best set first."""
        batch = self._lists.batch(size, generator)
        column = {demo.id: at for at, demo in enumerate(batch.demos)}
        tables = []
        for query in batch.queries:
            one = self._by_query[query.id]
            order = np.argsort(-np.array(one.scores), kind="stable")[: self.count]
            tables.append(
                [
                    [column[one.single.candidates[place].id] for place in one.sets[at]]
                    for at in order.tolist()
                ]
            )
        return batch.with_sets(np.array(tables, np.int64))


def set_loss(batch: Batch, queries: Tensor, demos: Tensor) -> Tensor:
    """Return the mean ranking loss of the batch's sets, a scalar.

    Args:
        batch: of a `SetLesson`.
        queries: [queries, dim] of length one.
        demos: [demonstrations, dim] of length one.
    """
    import torch

    from retrieval.losses.set_selection import selection_kernel, set_ranking, set_scores

    values = []
    for query, own, sets in zip(queries, batch.own, batch.sets, strict=True):
        members = torch.as_tensor(own, device=demos.device)
        place = {column: at for at, column in enumerate(own.tolist())}
        local = torch.tensor([[place[at] for at in one] for one in sets.tolist()])
        kernel = selection_kernel(query, demos[members])
        values.append(set_ranking(set_scores(kernel, local.to(demos.device))))
    return torch.stack(values).mean()


def write_scored_sets(path: Path, scored: Iterable[ScoredSets]) -> None:
    """Write ids, sets and scores as JSON, replaced in one step."""
    rows = [
        {
            "query": one.single.query.id,
            "candidates": [demo.id for demo in one.single.candidates],
            "scores": list(one.single.scores),
            "sets": [list(own) for own in one.sets],
            "set_scores": list(one.scores),
        }
        for one in scored
    ]
    with replaced(path) as new:
        new.write_text(json.dumps({"queries": rows}, ensure_ascii=False), "utf-8")


def read_scored_sets(path: Path, task: Task) -> list[ScoredSets]:
    """Return what `write_scored_sets` wrote.

    Raises:
        DataFormatError: the file is not in the format, or names an id that the pool lacks.
    """
    demos = {demo.id: demo for demo in task.demos}
    try:
        return [
            ScoredSets(
                Scored(
                    demos[row["query"]],
                    tuple(demos[id] for id in row["candidates"]),
                    tuple(map(float, row["scores"])),
                ),
                tuple(map(tuple, row["sets"])),
                tuple(map(float, row["set_scores"])),
            )
            for row in json.loads(path.read_text("utf-8"))["queries"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataFormatError(
            f"{path} does not hold scored sets of the task {task.name} ({error!r})"
        ) from error
