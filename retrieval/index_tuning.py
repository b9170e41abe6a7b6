"""How wide an approximate index must search to find what an exact search finds.

    recall@k = | found ∩ k nearest | / k, mean over queries

The width (`nprobe` of cells, `efSearch` of a graph) is doubled until the recall is reached, then
halved back by bisection to the least width that reaches it: recall grows with the width, so about
2·log₂ of the widest one searches are enough.

Where no queries are given, stored vectors stand in, each moved by the step that leads from another
stored vector to one of its neighbours: about as far from the data as new data is. Stored vectors
themselves would flatter a graph of neighbours, where each is linked to what it asks for. Queries
such as will be asked are better than either.

**What it cannot see.** Exact search runs over the vectors that the index holds. What 8-bit
quantisation rounded away before that is not counted; on unit vectors it costs less than one answer
in a hundred.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from retrieval.errors import QueryShapeError
from retrieval.index_engines import Engine, exact_top
from retrieval.ranking import Vectors
from retrieval.triple_data import IntArray

__all__ = ["QUERIES", "Tuning", "tune"]

#: Queries that are made of stored vectors where none are given.
QUERIES: Final = 200

#: Which of a vector's nearest, itself among them, a step leads to.
NEIGHBOUR: Final = 6


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a search reaches after tuning."""

    #: Cells or nodes that a search looks at; 0 for an exact index.
    setting: int
    #: recall@k over the queries, 1 for an exact index.
    recall: float
    #: Queries that it was measured with.
    queries: int


def tune(engine: Engine, queries: Vectors | None, *, recall: float, k: int) -> Tuning:
    """Set an engine to the least width that reaches a recall, and return what it reaches.

    Args:
        engine: changed in place.
        queries: [q, dim], comparable; if not given, stored vectors moved a step.
        recall: share of the `k` nearest to find, in (0, 1].
        k: answers of a search.

    Raises:
        QueryShapeError: a recall outside (0, 1], `k` below 1, no query, or an empty engine.
    """
    if not 0 < recall <= 1 or k < 1:
        raise QueryShapeError(f"{recall=} and {k=}; give a recall in (0, 1] and a k of 1 or more")
    if queries is not None and not len(queries):
        raise QueryShapeError("there is no query to tune by; give some, or None for stored vectors")
    numbers = engine.numbers()
    if not len(numbers):
        raise QueryShapeError("the index is empty; add vectors before tuning it")
    if queries is None:
        random = np.random.default_rng(0)
        queries = _moved(
            engine, numbers, random.choice(numbers, min(QUERIES, len(numbers)), replace=False)
        )
    if engine.kind == "flat":
        return Tuning(0, 1.0, len(queries))
    k = min(k, len(numbers))
    nearest = exact_top(queries, numbers, engine.take, k)[1]

    def reached(setting: int) -> float:
        found = engine.search(queries, k=k, setting=setting)[1]
        shared = (len(np.intersect1d(*rows)) for rows in zip(found, nearest, strict=True))
        return sum(shared) / nearest.size

    low = k - 1 if engine.kind == "hnsw" else 0  # a walk keeps at least what it answers
    high = low + 1
    while (got := reached(high)) < recall and high < engine.width:
        low, high = high, min(2 * high, engine.width)
    while high - low > max(1, low // 8):  # an eighth more than needed costs an eighth more time
        middle = (low + high) // 2
        if (between := reached(middle)) < recall:
            low = middle
        else:
            high, got = middle, between
    engine.setting = high
    return Tuning(high, got, len(queries))


def _moved(engine: Engine, numbers: IntArray, chosen: IntArray) -> Vectors:
    """Return chosen vectors, each moved by the step of the next one to one of its neighbours."""
    vectors = engine.take(chosen)
    near = exact_top(vectors, numbers, engine.take, min(NEIGHBOUR, len(numbers)))[1][:, -1]
    return vectors + np.roll(engine.take(near) - vectors, 1, axis=0)
