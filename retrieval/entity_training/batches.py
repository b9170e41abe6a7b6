"""Which triples one step sees, when what costs is the encoding of entities.

Encoding a text costs a thousand times what scoring it against a query costs, so a batch is counted
in entities, each encoded once, and takes as many triples among them as it can get.

| batches | entities | triples |
|---|---|---|
| `random` | ends of triples in shuffled order, until `entities` are together | those triples |
| `walk` | visited by random walks | **all** training triples with both ends among them |
| `mixed` | walk and random in turn | in turn |

A walk starts at a chance entity, takes up to 200 steps, each to a chance neighbour (in either
direction; parallel edges count) or, with p = .02, back to a chance entity of the batch, and is
followed by another until the batch is full. Neighbours of neighbours share triples: on WN18RR a
batch of equal cost holds three times, on FB15k-237 twenty times the triples of a random one.

**The trap.** Walks visit well-connected entities more often: after two passes' worth of triples a
quarter of them had never been seen, others twenty times. `Coverage` counts it; `even=True` starts
walks at the entities that were seen least; `most` caps the triples of a batch; `mixed` reaches
every triple by its random half.

Source: the encode-once batch is common; walks in the manner of Zeng et al., "GraphSAINT", ICLR
2020 (§3.4, random-walk sampler), there for graph networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np

from retrieval.errors import NothingToPredict, QueryShapeError
from retrieval.known_links import expand_ranges
from retrieval.triple_data import IntArray

__all__ = [
    "BatchKind",
    "Batches",
    "Coverage",
    "EntityBatch",
    "MixedBatches",
    "RandomBatches",
    "WalkBatches",
    "batches_in_a_pass",
    "batches_of",
]

type BatchKind = Literal["random", "walk", "mixed"]

#: Steps of one walk, and the chance of each to go back to an entity of the batch.
WALK_STEPS: Final = 200
RETURN: Final = 0.02


@dataclass(frozen=True, slots=True)
class EntityBatch:
    """Entities that are encoded once, and triples among them."""

    #: [k] rows of entities, ascending.
    entities: IntArray
    #: [n, 3] triples; ends are positions in `entities`.
    triples: IntArray
    #: [n] rows of the triples among the training triples.
    rows: IntArray


class Batches(Protocol):
    """An endless source of batches whose state can be kept."""

    def draw(self) -> EntityBatch:
        """Return the next batch."""
        ...

    def state(self) -> dict[str, Any]:
        """Return all that decides what comes next, as JSON types."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Go on as the source did whose `state` this is."""
        ...


def batches_of(
    kind: BatchKind,
    triples: IntArray,
    *,
    entities: int,
    most: int | None = None,
    even: bool = False,
    seed: int = 0,
) -> Batches:
    """Return the batches of a kind.

    Args:
        kind: see the module.
        triples: [n, 3] training triples.
        entities: entities of a batch, 2 or more; fewer if the triples have no more.
        most: triples of a walk batch at most; drawn by chance if there are more.
        even: walks start where fewest triples were seen.
        seed: of all draws.

    Raises:
        NothingToPredict: no triple.
        QueryShapeError: an unknown kind or a number out of range.

    >>> triples = np.array([[0, 0, 1], [1, 0, 2], [2, 0, 0]])
    >>> batch = batches_of("walk", triples, entities=3).draw()
    >>> batch.entities.tolist(), batch.triples.tolist()
    ([0, 1, 2], [[0, 0, 1], [1, 0, 2], [2, 0, 0]])
    """
    if kind == "random":
        return RandomBatches(triples, entities=entities, seed=seed)
    if kind == "walk":
        return WalkBatches(triples, entities=entities, most=most, even=even, seed=seed)
    if kind == "mixed":
        walks = WalkBatches(triples, entities=entities, most=most, even=even, seed=seed)
        return MixedBatches(walks, RandomBatches(triples, entities=entities, seed=seed + 1))
    raise QueryShapeError(f"unknown batches {kind!r}; choose random, walk or mixed")


def batches_in_a_pass(triples: IntArray, *, entities: int, seed: int = 0) -> int:
    """Return how many random batches of so many entities it takes to see each triple once.

    >>> batches_in_a_pass(np.array([[0, 0, 1], [2, 0, 3], [4, 0, 5]]), entities=2)
    3
    """
    source = RandomBatches(triples, entities=entities, seed=seed)
    seen, batches = 0, 0
    while seen < len(triples):
        seen += len(source.draw().rows)
        batches += 1
    return batches


class RandomBatches:
    """Triples in shuffled order, as many as bring `entities` together; every pass sees each once.

    The last batch of a pass is what is left, and may be small.
    """

    def __init__(self, triples: IntArray, *, entities: int, seed: int = 0) -> None:
        _check(triples, entities)
        self._triples = triples
        self._wanted = entities
        self._random = np.random.default_rng(seed)
        self._order = self._random.permutation(len(triples))
        self._next = 0

    def draw(self) -> EntityBatch:
        """Return the next batch."""
        if self._next >= len(self._order):
            self._order = self._random.permutation(len(self._triples))
            self._next = 0
        # A triple brings two entities at most, dense graphs fewer, so many are looked at.
        ahead = self._order[self._next : self._next + _ahead(self._wanted, len(self._triples))]
        ends = self._triples[ahead][:, [0, 2]].ravel()
        _, first = np.unique(ends, return_index=True)
        seen = np.zeros(len(ends), np.int64)
        seen[first] = 1
        together = np.cumsum(seen)[1::2]
        count = max(1, int(np.searchsorted(together, self._wanted, side="right")))
        rows = ahead[:count]
        self._next += count
        return _batch(self._triples, rows)

    def state(self) -> dict[str, Any]:
        """Return the generator's state, the order and the place in it."""
        return {
            "random": self._random.bit_generator.state,
            "order": self._order.tolist(),
            "next": self._next,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on at a state."""
        self._random.bit_generator.state = state["random"]
        self._order = np.array(state["order"], np.int64)
        self._next = int(state["next"])


class WalkBatches:
    """All training triples among the entities that random walks visit."""

    def __init__(
        self,
        triples: IntArray,
        *,
        entities: int,
        most: int | None = None,
        even: bool = False,
        seed: int = 0,
    ) -> None:
        _check(triples, entities)
        if most is not None and most < 1:
            raise QueryShapeError(f"most is {most}; allow 1 triple or more in a batch")
        self._triples = triples
        self._most = most
        self._even = even
        self._random = np.random.default_rng(seed)
        self._members = np.unique(triples[:, [0, 2]])
        self._wanted = min(entities, len(self._members))
        size = int(self._members[-1]) + 1
        heads, tails = triples[:, 0], triples[:, 2]
        source = np.concatenate([heads, tails])
        order = np.argsort(source, kind="stable")
        self._neighbours = np.concatenate([tails, heads])[order]
        self._offsets = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=size))])
        by_head = np.argsort(heads, kind="stable")
        self._of_head = by_head
        self._head_offsets = np.concatenate([[0], np.cumsum(np.bincount(heads, minlength=size))])
        self._inside = np.zeros(size, bool)
        #: How often each member's batch came; walks start at the least seen if `even`.
        self._seen = np.zeros(len(self._members), np.int64)

    def draw(self) -> EntityBatch:
        """Return the next batch."""
        entities = np.sort(np.array(self._visited(), np.int64))
        self._inside[entities] = True
        _, places = expand_ranges(self._head_offsets[entities], self._head_offsets[entities + 1])
        rows = self._of_head[places]
        rows = np.sort(rows[self._inside[self._triples[rows, 2]]])
        self._inside[entities] = False
        self._seen[np.searchsorted(self._members, entities)] += 1
        if self._most is not None and len(rows) > self._most:
            rows = np.sort(self._random.choice(rows, self._most, replace=False))
        # Entities without a triple in the batch stay: they are encoded, and good negatives.
        ends = np.searchsorted(entities, self._triples[rows][:, [0, 2]])
        triples = np.stack([ends[:, 0], self._triples[rows, 1], ends[:, 1]], axis=1)
        return EntityBatch(entities, triples, rows)

    def _visited(self) -> list[int]:
        random, offsets, neighbours = self._random, self._offsets, self._neighbours
        found: list[int] = []
        known: set[int] = set()
        starts = self._starts()
        while len(found) < self._wanted:
            at = next(starts)
            # One draw for the whole walk; the numbers stand for the two choices of each step.
            draws = random.random((WALK_STEPS, 2)).tolist()
            for back, which in draws:
                if at not in known:
                    known.add(at)
                    found.append(at)
                    if len(found) == self._wanted:
                        break
                if back < RETURN:
                    at = found[int(which * len(found))]
                first, last = int(offsets[at]), int(offsets[at + 1])
                at = int(neighbours[first + int(which * (last - first))])
        return found

    def _starts(self) -> Iterator[int]:
        if not self._even:
            while True:
                yield int(self._members[self._random.integers(len(self._members))])
        ties = self._random.random(len(self._members))
        order = np.lexsort((ties, self._seen))
        while True:
            yield from self._members[order].tolist()

    def state(self) -> dict[str, Any]:
        """Return the generator's state and how often each entity was seen."""
        return {"random": self._random.bit_generator.state, "seen": self._seen.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on at a state."""
        self._random.bit_generator.state = state["random"]
        self._seen = np.array(state["seen"], np.int64)


class MixedBatches:
    """Two sources in turn."""

    def __init__(self, first: Batches, second: Batches) -> None:
        self._sources = (first, second)
        self._turn = 0

    def draw(self) -> EntityBatch:
        """Return the next batch."""
        self._turn += 1
        return self._sources[(self._turn - 1) % 2].draw()

    def state(self) -> dict[str, Any]:
        """Return whose turn it is, and both states."""
        return {"turn": self._turn, "sources": [one.state() for one in self._sources]}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on at a state."""
        self._turn = int(state["turn"])
        for source, own in zip(self._sources, state["sources"], strict=True):
            source.restore(own)


class Coverage:
    """How often each training triple was seen, and at what cost.

    >>> coverage = Coverage(3)
    >>> coverage.add(EntityBatch(np.array([0, 1]), np.array([[0, 0, 1]]), np.array([2])))
    >>> coverage.figures()["never_seen"], coverage.figures()["triples_per_entity"]
    (0.666667, 0.5)
    """

    def __init__(self, triples: int) -> None:
        self.times = np.zeros(triples, np.int64)
        self.encoded = 0

    def add(self, batch: EntityBatch) -> None:
        """Count a batch."""
        self.times[batch.rows] += 1
        self.encoded += len(batch.entities)

    def figures(self) -> dict[str, float]:
        """Return passes (mean times a triple was seen), the share never seen, most, and yield."""
        return {
            "passes": round(float(self.times.mean()), 4),
            "never_seen": round(float((self.times == 0).mean()), 6),
            "most_seen": int(self.times.max(initial=0)),
            "triples_per_entity": round(float(self.times.sum()) / max(1, self.encoded), 4),
        }


def _check(triples: IntArray, entities: int) -> None:
    if not len(triples):
        raise NothingToPredict("there is no triple to train on")
    if entities < 2:
        raise QueryShapeError(f"a batch of {entities} entities holds no link; give 2 or more")


def _ahead(wanted: int, triples: int) -> int:
    """Return how many triples are looked at: enough for dense graphs, where few bring a new end."""
    return min(triples, max(64, 16 * wanted))


def _batch(triples: IntArray, rows: IntArray) -> EntityBatch:
    own = triples[rows]
    entities, ends = np.unique(own[:, [0, 2]], return_inverse=True)
    ends = ends.reshape(-1, 2)
    return EntityBatch(entities, np.stack([ends[:, 0], own[:, 1], ends[:, 1]], axis=1), rows)
