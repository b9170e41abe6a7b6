"""Ranks of true answers among all candidates: exact, filtered, in bounded memory.

For each tile of queries and each tile of candidates: scores S, by one of the kernels of
`retrieval.kernels`; other known answers and the target itself get −∞; one pass counts what lies
above the target's own score s*. Memory is one tile for each thread, there is no sort and no
[queries, candidates] matrix.

**The trap.** One pair's score differs in its last bits between a matrix product and a pair-wise
one, and between products of different shapes. Comparing the two makes a target lose a rank to
itself in about half of all cases, and makes entities with *equal* vectors (equal texts are common)
beat or lose to each other at random. So everything within ±δ of s* is scored again, together with
the target, in float64 by one routine that adds in a fixed order, and compared exactly. δ is a
proven bound on the error of a tile, derived for each kernel in `retrieval.kernels`.

| rank | meaning |
|---|---|
| optimistic | 1 + number of candidates that score higher |
| pessimistic | 1 + number of candidates that score at least as high |
| realistic | their mean; a constant scorer gets (n + 1) / 2, not 1 |

What a query costs, for n candidates of d dimensions: 2nd operations for a matrix product, 3nd for a
distance, and 2n comparisons of scores that are still in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from retrieval.errors import NonFiniteScores, QueryShapeError
from retrieval.kernels import (
    LARGEST,
    Kernel,
    TileKernel,
    exact_scores,
    full_precision,
    longest_of,
    square_lengths,
    tile_kernel,
)
from retrieval.known_links import Pairs
from retrieval.triple_data import IntArray

__all__ = ["FloatArray", "Ranks", "Vectors", "rank", "rank_scores"]

type FloatArray = npt.NDArray[np.float64]
type Vectors = npt.NDArray[np.float32]

#: Rows of one tile; 256 × 1,024 float32 scores are 1 MB, which a processor core keeps in its cache.
QUERY_TILE: Final = 256
CANDIDATE_TILE: Final = 1024

#: Scores that `rank_scores` holds at a time.
ROW_SCORES: Final = 8_000_000

#: Optimistic and pessimistic MRR further apart than this deserve a warning.
TIE_GAP_WARNING: Final = 0.001


@dataclass(frozen=True, slots=True)
class Ranks:
    """Tie bounds of the rank of each query's target, 1 is best.

    >>> ranks = rank_scores(
    ...     lambda rows: np.array([[0.9, 0.5, 0.5, 0.1]])[rows],
    ...     targets=np.array([1]), candidates=4, known=(np.array([0, 0]), np.array([0, 1])))
    >>> ranks.optimistic.tolist(), ranks.pessimistic.tolist(), ranks.realistic.tolist()
    ([1], [2], [1.5])
    """

    #: [n] int64
    optimistic: IntArray
    #: [n] int64
    pessimistic: IntArray
    #: [n] int64, candidates that each target was ranked among, itself included.
    among: IntArray

    @property
    def realistic(self) -> FloatArray:
        """Mean of both bounds, [n] float64."""
        return (self.optimistic + self.pessimistic) / 2

    def mrr(self) -> float:
        """Mean of 1 / realistic rank, in (0, 1]; it weighs the first few places most."""
        return float(np.mean(1.0 / self.realistic))

    def hits(self, k: int) -> float:
        """Share of targets whose realistic rank is at most `k`; blind to everything below."""
        return float(np.mean(self.realistic <= k))

    def tie_gap(self) -> float:
        """Optimistic minus pessimistic MRR: what tie handling alone is worth here."""
        return float(np.mean(1.0 / self.optimistic) - np.mean(1.0 / self.pessimistic))

    def adjusted_mean_rank_index(self) -> float:
        """1 − (mean rank − 1) / (expected mean rank of a random order − 1); 0 is chance, 1 perfect.

        Comparable between graphs of different size, which MRR and Hits@k are not.
        """
        expected = float(np.mean((self.among - 1) / 2))
        return 1.0 - float(np.mean(self.realistic - 1)) / expected if expected else 1.0

    @classmethod
    def of(cls, parts: Sequence[Ranks]) -> Ranks:
        """Return the ranks of several groups of questions as one."""
        return cls(
            np.concatenate([part.optimistic for part in parts]),
            np.concatenate([part.pessimistic for part in parts]),
            np.concatenate([part.among for part in parts]),
        )

    def take(self, chosen: npt.NDArray[Any]) -> Ranks:
        """Return the ranks of some queries, by mask or positions."""
        return Ranks(self.optimistic[chosen], self.pessimistic[chosen], self.among[chosen])


def rank(
    queries: Vectors,
    candidates: Vectors,
    targets: IntArray,
    known: Pairs,
    *,
    kernel: Kernel = "dot",
    threads: int | None = None,
    query_tile: int = QUERY_TILE,
    candidate_tile: int = CANDIDATE_TILE,
) -> Ranks:
    """Return the filtered ranks of targets under the score of a kernel.

    Args:
        queries: [n, d] float32.
        candidates: [m, d] float32, or a memory map of numbers; position is id.
        targets: [n] position of each query's true answer.
        known: (query row, candidate position) of all known answers, rows ascending. The target
            may be among them and is kept.
        kernel: how queries and candidates are compared; `head.kernel` of a scoring head.
        threads: tiles of queries that are worked on at a time; torch's number if not given. Ranks
            do not depend on it. While there are several, torch uses one thread for each product.
        query_tile: queries of one tile.
        candidate_tile: candidates of one tile.

    Raises:
        NonFiniteScores: if a vector holds NaN or infinity, or is longer than 2⁵⁰.
        QueryShapeError: if shapes do not fit, the kernel is unknown, or an id lies outside the
            candidates (drop such ids first: `restrict`).

    >>> E = np.eye(3, dtype=np.float32)
    >>> rank(E[:1] + E[1:2], E, np.array([1]), (np.array([0]), np.array([0]))).mrr()
    1.0
    """
    import torch

    _check(len(queries), len(candidates), targets, known)
    if queries.ndim != 2 or candidates.ndim != 2 or queries.shape[1] != candidates.shape[1]:
        raise QueryShapeError(f"{queries.shape=} and {candidates.shape=} differ in dimension")
    if kernel == "modulus" and queries.shape[1] % 2:
        raise QueryShapeError(f"{queries.shape[1]} dimensions are no complex coordinates; give 2·k")
    if min(query_tile, candidate_tile, 1 if threads is None else threads) < 1:
        raise QueryShapeError(f"{query_tile=}, {candidate_tile=} and {threads=} must be at least 1")
    squares = _squares("candidates", candidates, candidate_tile)
    _squares("queries", queries, query_tile)
    work = _Ranking(
        kernel=tile_kernel(kernel),
        name=kernel,
        queries=queries,
        candidates=candidates,
        targets=targets,
        known=known,
        squares=squares,
        longest=longest_of(squares),
        candidate_tile=candidate_tile,
        higher=np.zeros(len(queries), np.int64),
        equal=np.zeros(len(queries), np.int64),
    )
    before = torch.get_num_threads()
    workers = before if threads is None else threads
    # Fewer rows a tile where there are not enough tiles for all threads.
    rows = max(1, min(query_tile, -(-len(queries) // workers)))
    tiles = [slice(start, start + rows) for start in range(0, len(queries), rows)]
    with full_precision():
        torch.set_num_threads(1)
        try:
            if workers == 1:
                for tile in tiles:
                    work.count(tile)
            else:
                with ThreadPoolExecutor(workers) as pool:
                    list(pool.map(work.count, tiles))
        finally:
            torch.set_num_threads(before)
    among = len(candidates) - _others(known, targets, len(queries))
    best = work.higher + 1
    return Ranks(optimistic=best, pessimistic=best + work.equal, among=among)


@dataclass(frozen=True, slots=True)
class _Ranking:
    """One call of `rank`: what is compared, and the counts so far."""

    kernel: TileKernel
    name: Kernel
    queries: Vectors
    candidates: Vectors
    targets: IntArray
    known: Pairs
    #: Squares of the candidates' lengths, [m] float32.
    squares: Vectors
    #: No candidate is longer.
    longest: float
    candidate_tile: int
    #: [n] are added to; tiles of queries touch rows of their own.
    higher: IntArray
    equal: IntArray

    def count(self, rows: slice) -> None:
        """Compare one tile of queries with all candidates."""
        from retrieval.kernels_compiled import count_tile

        queries, own = _tile(self.queries, rows), self.targets[rows]
        star = exact_scores(self.name, queries, _tile(self.candidates, own))
        low, high = self.kernel.bounds(queries, star, self.longest)
        masked = _masked_in_tile(self.known, own, rows.start, len(own))
        width = min(self.candidate_tile, len(self.candidates))
        room = np.empty(len(own) * width, np.float32)
        for left in range(0, len(self.candidates), width):
            columns = slice(left, left + width)
            candidates = _tile(self.candidates, columns)
            scores = room[: len(own) * len(candidates)].reshape(len(own), len(candidates))
            self.kernel.tile(queries, candidates, self.squares[columns], scores)
            at, which = _slice_of(masked, left, width)
            scores[at, which - left] = -np.inf
            counts = self.higher[rows], self.equal[rows]
            count_tile(self.kernel.number, scores, low, high, star, queries, candidates, *counts)


def rank_scores(
    scores: Callable[[IntArray], npt.NDArray[Any]],
    *,
    targets: IntArray,
    candidates: int,
    known: Pairs,
) -> Ranks:
    """Return the filtered ranks under any scorer that fills whole rows.

    For scorers whose score of a pair does not depend on what else is computed with it (counts, sums
    in fixed order): scores are compared as they come.

    Args:
        scores: called with query rows [b] → [b, candidates] of real numbers.
        targets: as in `rank`.
        candidates: number of candidates.
        known: as in `rank`.

    Raises:
        NonFiniteScores: if a score is NaN or infinite.
        QueryShapeError: as in `rank`.
    """
    _check(len(targets), candidates, targets, known)
    higher = np.zeros(len(targets), np.int64)
    at_least = np.zeros(len(targets), np.int64)
    tile = max(1, min(QUERY_TILE, ROW_SCORES // max(1, candidates)))
    for start in range(0, len(targets), tile):
        rows = np.arange(start, min(start + tile, len(targets)))
        table = np.array(scores(rows))
        if not np.isfinite(table).all():
            raise NonFiniteScores("the scorer returned NaN or infinity")
        if not np.issubdtype(table.dtype, np.floating):
            table = table.astype(np.float64)
        own = targets[rows]
        star = table[np.arange(len(rows)), own][:, None]
        at, which = _masked_in_tile(known, own, start, tile)
        table[at, which] = -np.inf
        higher[rows] = (table > star).sum(axis=1)
        at_least[rows] = (table >= star).sum(axis=1) + 1  # the target itself, hidden above
    among = candidates - _others(known, targets, len(targets))
    return Ranks(optimistic=higher + 1, pessimistic=at_least, among=among)


def restrict(candidates: IntArray, targets: IntArray, known: Pairs) -> tuple[IntArray, Pairs]:
    """Translate ids into positions among `candidates` (sorted ids); foreign known ids are dropped.

    Clamping a foreign id to the nearest position instead would hide an innocent candidate.

    Raises:
        QueryShapeError: if a target is not a candidate.

    >>> restrict(np.array([3, 7]), np.array([7]), (np.array([0, 0]), np.array([3, 9])))
    (array([1]), (array([0]), array([0])))
    """
    places = np.minimum(np.searchsorted(candidates, targets), max(len(candidates) - 1, 0))
    if len(targets) and (not len(candidates) or not (candidates[places] == targets).all()):
        raise QueryShapeError("a target is not among the candidates, so it has no rank")
    rows, ids = known
    if not len(candidates):
        return places, (rows[:0], ids[:0])
    found = np.minimum(np.searchsorted(candidates, ids), len(candidates) - 1)
    inside = candidates[found] == ids
    return places, (rows[inside], found[inside])


def _check(queries: int, candidates: int, targets: IntArray, known: Pairs) -> None:
    rows, ids = known
    if len(targets) != queries or len(rows) != len(ids):
        raise QueryShapeError(f"{queries=} but {len(targets)=}; {len(rows)=} and {len(ids)=}")
    for name, values, bound in (
        ("target", targets, candidates),
        ("known answer", ids, candidates),
        ("row of a known answer", rows, queries),
    ):
        if len(values) and not (values.min() >= 0 and values.max() < bound):
            raise QueryShapeError(f"a {name} lies outside 0..{bound - 1}; drop it first (restrict)")
    if len(rows) and (np.diff(rows) < 0).any():
        raise QueryShapeError("rows of known answers must ascend")


def _squares(name: str, vectors: Vectors, tile: int) -> Vectors:
    """Return the squares of the lengths of rows [n, d] as float32, tile by tile, [n].

    Raises:
        NonFiniteScores: if a number is not finite, or a vector too long for sums of its squares.
    """
    squares = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), tile):
        squares[start : start + tile] = square_lengths(_tile(vectors, slice(start, start + tile)))
    if not (squares <= LARGEST**2).all():  # also if it is NaN
        raise NonFiniteScores(
            f"{name} hold NaN, infinity or a vector longer than {LARGEST:.0e}; the model diverged, "
            "train it with a lower rate"
        )
    return squares


def _tile(vectors: Vectors, rows: slice | IntArray) -> Vectors:
    """Return rows as an array that torch and the compiled loops take; no copy if it is one."""
    return np.require(np.asarray(vectors)[rows], np.float32, ["C", "W"])


def _masked_in_tile(known: Pairs, own: IntArray, start: int, tile: int) -> Pairs:
    """Return (row in tile, candidate) of all that is hidden: known answers and the targets."""
    rows, ids = known
    first, last = np.searchsorted(rows, [start, start + tile])
    at = np.concatenate([rows[first:last] - start, np.arange(len(own))])
    which = np.concatenate([ids[first:last], own])
    order = np.argsort(which, kind="stable")
    return at[order], which[order]


def _slice_of(masked: Pairs, left: int, width: int) -> Pairs:
    """Return the part of the hidden pairs whose candidate lies in the tile."""
    at, which = masked
    first, last = np.searchsorted(which, [left, left + width])
    return at[first:last], which[first:last]


def _others(known: Pairs, targets: IntArray, queries: int) -> IntArray:
    """Return how many distinct known answers other than the target each query has."""
    rows, ids = known
    pairs = np.unique(np.stack([rows, ids]), axis=1) if len(rows) else np.empty((2, 0), np.int64)
    other = pairs[1] != targets[pairs[0]]
    return np.bincount(pairs[0][other], minlength=queries).astype(np.int64)
