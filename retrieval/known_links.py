"""Known links as one sorted int64 key array: the mask of training and the filter of ranking.

A query is (source, relation); relation r + R is r read backwards, so that heads are asked for as
tails of the inverse. Queries become keys `source · 2R + relation`, links are sorted by
(key, target), and the known targets of any number of queries come from two binary searches,
without a Python loop and without a Boolean matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.triple_data import IntArray

__all__ = ["KnownLinks", "Pairs", "with_inverses"]

#: (row, id) pairs: row of a query, id of one known target. Rows ascend.
type Pairs = tuple[IntArray, IntArray]


def with_inverses(triples: IntArray, relations: int) -> IntArray:
    """Return the triples followed by their inverses (tail, relation + R, head).

    >>> with_inverses(np.array([[0, 1, 2]]), 3).tolist()
    [[0, 1, 2], [2, 4, 0]]
    """
    inverse = np.stack([triples[:, 2], triples[:, 1] + relations, triples[:, 0]], axis=1)
    return np.concatenate([triples, inverse])


@dataclass(frozen=True, slots=True)
class KnownLinks:
    """The known targets of every query, forward and inverse.

    >>> links = KnownLinks.of([np.array([[0, 0, 1], [0, 0, 2]])], relations=1)
    >>> rows, ids = links.targets(np.array([0, 1]), np.array([0, 1]))
    >>> list(zip(rows.tolist(), ids.tolist()))
    [(0, 1), (0, 2), (1, 0)]
    """

    relations: int
    keys: IntArray
    ids: IntArray

    @classmethod
    def of(cls, splits: Sequence[IntArray], *, relations: int) -> KnownLinks:
        """Return the links of all given triples [n, 3] and their inverses, each once."""
        links = with_inverses(np.concatenate(list(splits)), relations)
        keys, ids = links[:, 0] * (2 * relations) + links[:, 1], links[:, 2]
        order = np.lexsort((ids, keys))
        keys, ids = keys[order], ids[order]
        # Equal links are neighbours now; sorting rows as a whole costs four times as much.
        first = np.ones(len(keys), bool)
        first[1:] = (keys[1:] != keys[:-1]) | (ids[1:] != ids[:-1])
        return cls(relations=relations, keys=keys[first], ids=ids[first])

    def targets(self, sources: IntArray, relations: IntArray) -> Pairs:
        """Return the known targets of queries [n], [n] as (query row, target id) pairs."""
        asked = sources * (2 * self.relations) + relations
        first = np.searchsorted(self.keys, asked)
        last = np.searchsorted(self.keys, asked, side="right")
        rows, places = expand_ranges(first, last)
        return rows, self.ids[places]


def expand_ranges(first: IntArray, last: IntArray) -> Pairs:
    """Return the members of half-open ranges, as (range number, member) pairs.

    >>> [part.tolist() for part in expand_ranges(np.array([5, 9, 2]), np.array([7, 9, 3]))]
    [[0, 0, 2], [5, 6, 2]]
    """
    sizes = last - first
    ends = np.cumsum(sizes)
    rows = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
    return rows, np.arange(ends[-1] if len(ends) else 0) - (ends - sizes - first)[rows]
