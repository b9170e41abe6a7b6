r"""Batches of queries and demonstrations, and the loss of a batch under each method.

With s = cosine / τ, z* the best of a query's own candidates, and L_ib = InfoNCE of z* against all
demonstrations of the batch:

| loss | value | source |
|---|---|---|
| `epr` | L_ib over one of the best and one of the worst | Rubin et al., NAACL 2022 |
| `udr` | 0.8·L_rank + 0.2·L_ib, weights from the feedback's ranks | Li et al., ACL 2023 |
| `udr-predicted` | 4·L_rank + L_ib, weights from the predicted positions | its program |
| `llmr` | KL to the feedback's scores + 0.2·L_ib without equal answers | Wang et al., EACL 2024 |
| `ceil` | margin ranking of sets by their determinant | Ye et al., ICML 2023 |
| `uwe` | many-to-many InfoNCE over all pairs that are edges | unified work embeddings |
| `uwe-soft` | the same, by soft late interaction of the query's tokens | same |

Vectors have length one and a temperature, where UDR has raw dot products of first-token vectors:
the index is of cosines, and so are the small encoders that training starts from.

A batch holds the query itself, or a text equal to it, only as a pair that counts as nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.demonstrations.feedback import Scored
from retrieval.demonstrations.leakage import SameSource
from retrieval.demonstrations.mining import EDGE, sampled
from retrieval.demonstrations.task import Demo, Task
from retrieval.triple_data import IntArray

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Batch", "LabelLesson", "Lesson", "Loss", "ScoredLesson", "batch_loss", "edge_loss"]

type Loss = Literal["epr", "udr", "udr-predicted", "llmr", "ceil", "uwe", "uwe-soft"]

#: λ of UDR, and the weights of its program.
RANK_SHARE: Final = 0.8
PREDICTED_RANK_WEIGHT: Final = 4.0
#: Weight of the contrastive term beside the KL (LLM-R).
CONTRAST: Final = 0.2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Queries of one task and the demonstrations they are compared with.

    `own`, `ranks` and `scores` are [queries, candidates], best candidate first: columns of a
    query's own candidates, their ranks among these, and what the feedback gave. They are empty
    where demonstrations are drawn without lists. `positives` and `same` are [queries,
    demonstrations]: edges, and pairs with one text.
    """

    task: Task
    queries: tuple[Demo, ...]
    demos: tuple[Demo, ...]
    own: IntArray
    ranks: IntArray
    scores: NDArray[np.float32]
    positives: NDArray[np.bool_]
    same: NDArray[np.bool_]
    #: [queries, sets, members] columns, the best set first; empty where single ones are scored.
    sets: IntArray = field(default_factory=lambda: np.zeros((0, 0, 0), np.int64))
    #: Demonstrations that are shown without their answer.
    hidden: frozenset[int] = frozenset()

    @property
    def equal(self) -> NDArray[np.bool_]:
        """Pairs whose answers are equal, [queries, demonstrations]."""
        return np.array([[query.accepts(d.output) for d in self.demos] for query in self.queries])

    def with_sets(self, sets: IntArray) -> Batch:
        """Return the batch with sets of its demonstrations."""
        return replace(self, sets=sets)


class Lesson(Protocol):
    """What one task teaches: batches on demand."""

    task: Task

    @property
    def key(self) -> str:
        """What a resumed run must agree with, beside the task."""
        ...

    def __len__(self) -> int:
        """Return the number of training queries; it decides how often the task is drawn."""
        ...

    def batch(self, size: int, generator: np.random.Generator) -> Batch:
        """Return a batch of at most `size` queries."""
        ...


class LabelLesson:
    """Edges from labels: every demonstration with the query's answer is a positive.

    Args:
        task: its pool is where queries and demonstrations are drawn from.
        queries: who asks; all of the pool if not given.
        hidden: share of a batch's demonstrations that are shown without their answer. With the
            answer in the text its word alone decides where a demonstration lies.
    """

    def __init__(
        self, task: Task, queries: Sequence[Demo] | None = None, *, hidden: float = 0.0
    ) -> None:
        self.hidden = hidden
        self.task = task
        self.queries = tuple(task.demos if queries is None else queries)
        self._by_answer: dict[str, list[int]] = {}
        for at, demo in enumerate(task.demos):
            for output in demo.outputs:
                self._by_answer.setdefault(output, []).append(at)

    @property
    def key(self) -> str:
        """Who asks, and how many answers are hidden."""
        return digest([[query.id for query in self.queries], self.hidden])

    def __len__(self) -> int:
        return len(self.queries)

    def batch(self, size: int, generator: np.random.Generator) -> Batch:
        """Return `size` queries and half as many demonstrations.

        Half: with its answer in the text a demonstration is soon in its place, a query is not.
        Every second query brings a demonstration of its answer: drawn blindly, most batches of a
        task with many labels would hold hardly a pair to learn from.
        """
        pool = self.task.demos
        asked = generator.choice(len(self.queries), min(size, len(self.queries)), replace=False)
        queries = tuple(self.queries[at] for at in asked.tolist())
        shown: dict[int, None] = {}
        for query in queries[: max(1, size // 2)]:
            alike = self._by_answer.get(query.output, [])
            others = [at for at in alike if at not in shown and pool[at].id != query.id]
            if others:
                shown[others[generator.integers(len(others))]] = None
        if not shown:  # no query has a partner; the step then only tells texts apart
            shown[int(generator.integers(len(pool)))] = None
        demos = tuple(pool[at] for at in shown)
        same = _same(queries, demos)
        equal = np.array([[query.accepts(demo.output) for demo in demos] for query in queries])
        none = np.zeros((len(queries), 0))
        return Batch(
            self.task,
            queries,
            demos,
            none.astype(np.int64),
            none.astype(np.int64),
            none.astype(np.float32),
            equal & ~same,
            same,
            hidden=frozenset(range(round(self.hidden * len(demos)))),
        )


class ScoredLesson:
    """Lists from feedback: each query brings a sample of its scored candidates.

    Args:
        task: what the lists are of.
        scored: the lists; all need at least two candidates.
        count: candidates drawn for a query (l of the paper).
        top: how many of them are of the best five.
    """

    def __init__(self, task: Task, scored: Sequence[Scored], count: int, *, top: int = 1) -> None:
        self.task = task
        self.scored = tuple(scored)
        # Lists of a batch form a table, so the shortest decides.
        shortest = min((len(one.candidates) for one in scored), default=count)
        if shortest < count:
            _log.warning(
                "%s: a list has only %d candidates, so a step sees %d of each instead of %d",
                task.name,
                shortest,
                shortest,
                count,
            )
        self.count = min(count, shortest)
        self.top = top

    @property
    def key(self) -> str:
        """Lists with their scores, and how they are sampled."""
        lists = [
            [one.query.id, [demo.id for demo in one.candidates], one.scores] for one in self.scored
        ]
        return digest([lists, self.count, self.top])

    def __len__(self) -> int:
        return len(self.scored)

    def batch(self, size: int, generator: np.random.Generator) -> Batch:
        """Return queries with their lists; a demonstration of several lists stands there once."""
        drawn = generator.choice(len(self.scored), min(size, len(self.scored)), replace=False)
        lists = [self.scored[at] for at in drawn.tolist()]
        columns: dict[str, int] = {}
        demos: list[Demo] = []
        own, scores, ranks, best = [], [], [], []
        for one in lists:
            places = sampled(one, self.count, generator, top=self.top)
            values = np.array(one.scores, np.float32)[places]
            for at in places.tolist():
                demo = one.candidates[at]
                if columns.setdefault(demo.id, len(demos)) == len(demos):
                    demos.append(demo)
            own.append([columns[one.candidates[at].id] for at in places.tolist()])
            scores.append(values)
            ranks.append((values[None, :] > values[:, None]).sum(1) + 1)
            best.append(one.ranks[places] <= EDGE)
        queries = tuple(one.query for one in lists)
        table = np.array(own, np.int64)
        positives = np.zeros((len(queries), len(demos)), bool)
        np.put_along_axis(positives, table, np.array(best), axis=1)
        return Batch(
            self.task,
            queries,
            tuple(demos),
            table,
            np.array(ranks, np.int64),
            np.array(scores, np.float32),
            positives,
            _same(queries, demos) & ~positives,
        )


def batch_loss(loss: Loss, batch: Batch, vectors: Tensor, *, temperature: float) -> Tensor:
    """Return the loss, a scalar.

    Args:
        loss: see the table above.
        batch: of one task.
        vectors: [queries + demonstrations, dim] of length one, in the order of the batch.
        temperature: τ.
    """
    import torch

    from retrieval.losses.distillation import list_kl
    from retrieval.losses.info_nce import info_nce
    from retrieval.losses.list_wise import list_wise

    cosines = vectors[: len(batch.queries)] @ vectors[len(batch.queries) :].T
    if loss == "uwe":
        return edge_loss(batch, cosines, temperature=temperature)
    device = cosines.device
    same = torch.as_tensor(batch.same, device=device)
    if loss == "ceil":
        from retrieval.demonstrations.set_training import set_loss

        return set_loss(batch, vectors[: len(batch.queries)], vectors[len(batch.queries) :])
    own = torch.as_tensor(batch.own, device=device)
    hidden = same | torch.as_tensor(batch.equal, device=device) if loss == "llmr" else same
    rows, columns = hidden.nonzero(as_tuple=True)
    in_batch = info_nce(cosines, own[:, 0], temperature=temperature, known=(rows, columns))
    if loss == "epr":
        return in_batch
    logits = cosines.gather(1, own) / temperature
    if loss == "llmr":
        scores = torch.as_tensor(batch.scores, device=device)
        return list_kl(logits, scores) + CONTRAST * in_batch
    ranks = torch.as_tensor(batch.ranks, device=device)
    if loss == "udr":
        return RANK_SHARE * list_wise(logits, ranks) + (1 - RANK_SHARE) * in_batch
    return PREDICTED_RANK_WEIGHT * list_wise(logits, ranks, weight="predicted") + in_batch


def edge_loss(batch: Batch, similarities: Tensor, *, temperature: float) -> Tensor:
    """Return the many-to-many InfoNCE of similarities [queries, demonstrations], a scalar."""
    import torch

    from retrieval.losses.many_to_many import many_to_many

    positives = torch.as_tensor(batch.positives, device=similarities.device)
    same = torch.as_tensor(batch.same, device=similarities.device)
    return many_to_many(similarities, positives, temperature=temperature, ignored=same)


def digest(value: object) -> str:
    """Return a hash of what JSON can hold."""
    return blake2b(json.dumps(value).encode(), digest_size=8).hexdigest()


def _same(queries: Sequence[Demo], demos: Sequence[Demo]) -> NDArray[np.bool_]:
    """Return which pairs are one demonstration, or two of one text or sentence."""
    source = SameSource(demos)
    asked, shown = ([demo.id for demo in side] for side in (queries, demos))
    same: NDArray[np.bool_] = np.array(asked)[:, None] == np.array(shown)
    for row, query in enumerate(queries):
        same[row, list(source.places(query))] = True
    return same
