r"""What a retriever is trained from: how much each candidate helps with each training query.

| source | a demonstration's score |
|---|---|
| `LMScorer` | how likely the language model finds the gold answer after reading it |
| `LabelFeedback` | 1 if it has the query's answer, else 0: no language model is needed |

Both answer `score(pairs, labels=…)`. Scores are kept with their candidates (`Scored`), by id, so
that mining rounds merge and files can be read again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from retrieval.demonstrations.task import Demo, Task
from retrieval.errors import DataFormatError, NonFiniteScores, QueryShapeError
from retrieval.files import replaced

if TYPE_CHECKING:
    from retrieval.demonstrations.scorer import Pair
    from retrieval.ranking import Vectors
    from retrieval.triple_data import IntArray

__all__ = ["Feedback", "LabelFeedback", "Scored", "read_scored", "scored", "write_scored"]


class Feedback(Protocol):
    """Anything that says how much demonstrations help; higher is better."""

    def score(self, pairs: Sequence[Pair], *, labels: Sequence[str] | None = None) -> Vectors:
        """Return one score a pair (input, answer, demonstrations), [n] float32."""
        ...


class LabelFeedback:
    """Score = share of the demonstrations that have the query's answer.

    >>> from retrieval.demonstrations.scorer import Pair
    >>> demos = (Demo("1", "gripping", "great"), Demo("2", "dull", "terrible"))
    >>> LabelFeedback().score([Pair("a fine film", "great", demos)]).tolist()
    [0.5]
    """

    def score(self, pairs: Sequence[Pair], *, labels: Sequence[str] | None = None) -> Vectors:
        """Return the shares [n]; `labels` are of no meaning here."""
        return np.array(
            [np.mean([pair.answer in demo.outputs for demo in pair.demos]) for pair in pairs],
            np.float32,
        )


@dataclass(frozen=True, slots=True)
class Scored:
    """A training query with its scored candidates.

    Raises:
        QueryShapeError: no candidate, one twice, the query itself, or scores of another number.
        NonFiniteScores: a score is NaN or infinite.

    >>> one = Scored(Demo("q", "fine", "great"),
    ...              (Demo("1", "dull", "terrible"), Demo("2", "good", "great")), (-2.0, -0.5))
    >>> one.order.tolist(), one.ranks.tolist()
    ([1, 0], [2, 1])
    """

    query: Demo
    candidates: tuple[Demo, ...]
    #: Higher is better.
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        ids = [demo.id for demo in self.candidates]
        if not ids or len(ids) != len(self.scores) or len(set(ids)) != len(ids):
            raise QueryShapeError(
                f"the query {self.query.id!r} has {len(ids)} candidates ({len(set(ids))} distinct) "
                f"and {len(self.scores)} scores; give each of one or more its own"
            )
        if self.query.id in ids:
            raise QueryShapeError(
                f"the query {self.query.id!r} is its own candidate; it would be copied, not learnt"
            )
        if not all(map(math.isfinite, self.scores)):
            raise NonFiniteScores(
                f"a candidate of {self.query.id!r} has a score of NaN or infinity"
            )

    @property
    def order(self) -> IntArray:
        """Places of the candidates, best first; equal scores in the given order."""
        return np.argsort(-np.array(self.scores), kind="stable")

    @property
    def ranks(self) -> IntArray:
        """Rank of each candidate, 1 = best; equal scores share the lowest rank."""
        scores = np.array(self.scores)
        return (scores[None, :] > scores[:, None]).sum(1).astype(np.int64) + 1

    def merged(self, other: Scored) -> Scored:
        """Return the candidates of both; of one in both the first score is kept."""
        known = {demo.id for demo in self.candidates}
        new = [at for at, demo in enumerate(other.candidates) if demo.id not in known]
        return Scored(
            self.query,
            (*self.candidates, *(other.candidates[at] for at in new)),
            (*self.scores, *(other.scores[at] for at in new)),
        )


def scored(
    feedback: Feedback,
    task: Task,
    candidates: Mapping[str, Sequence[str]],
    known: Mapping[str, Scored] | None = None,
) -> dict[str, Scored]:
    """Return each query's candidates with their scores; what is scored already is merged in.

    Args:
        feedback: asked once, for all pairs that are new.
        task: whose pool holds queries and candidates.
        candidates: id of a query → ids of candidates.
        known: earlier rounds; queries that stand only there are kept.
    """
    from retrieval.demonstrations.scorer import Pair

    pool = {demo.id: demo for demo in task.demos}
    known = dict(known or {})
    wanted = [
        (pool[query], pool[id])
        for query, ids in candidates.items()
        for id in dict.fromkeys(ids)
        if query not in known or id not in {demo.id for demo in known[query].candidates}
    ]
    pairs = [Pair(query.input, query.output, (demo,)) for query, demo in wanted]
    scores = feedback.score(pairs, labels=task.labels or None).tolist() if pairs else []
    new: dict[str, list[tuple[Demo, float]]] = {}
    for (query, demo), score in zip(wanted, scores, strict=True):
        new.setdefault(query.id, []).append((demo, score))
    for id, rows in new.items():
        demos, values = zip(*rows, strict=True)
        found = Scored(pool[id], demos, values)
        known[id] = known[id].merged(found) if id in known else found
    return known


def write_scored(path: Path, scored: Iterable[Scored]) -> None:
    """Write query ids, candidate ids and scores as JSON, replaced in one step."""
    rows = [
        {
            "query": one.query.id,
            "candidates": [demo.id for demo in one.candidates],
            "scores": list(one.scores),
        }
        for one in scored
    ]
    with replaced(path) as new:
        new.write_text(json.dumps({"queries": rows}, ensure_ascii=False), "utf-8")


def read_scored(path: Path, task: Task) -> dict[str, Scored]:
    """Return what `write_scored` wrote, by id of the query.

    Raises:
        DataFormatError: the file is not in the format, or names an id that the pool lacks.
    """
    pool = {demo.id: demo for demo in task.demos}
    try:
        rows = json.loads(path.read_text("utf-8"))["queries"]
        return {
            row["query"]: Scored(
                pool[row["query"]],
                tuple(pool[id] for id in row["candidates"]),
                tuple(map(float, row["scores"])),
            )
            for row in rows
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataFormatError(
            f"{path} does not hold scored candidates of the task {task.name} ({error!r})"
        ) from error
