"""Compiled loops of ranking: tiles of distances, one counting pass, and exact scores of near ties.

What a matrix product cannot do is done here, tile by tile, while the tile is in the cache:

| function | operations on a tile of b queries, c candidates, d dimensions |
|---|---|
| `l1_tile` | 3·b·c·d: subtract, make positive, add |
| `modulus_tile` | 3·b·c·d: for two dimensions 2 subtractions, 2 products, 1 root, 1 addition |
| `count_tile` | 2·b·c comparisons, each score read once; and d per score inside the band |

`l1_tile` and `modulus_tile` may add in any order, which their bound allows. The exact scores may
not: they add one dimension after the other in float64, so that equal vectors have equal scores.

**The trap.** This module imports numba, so import it inside functions only. The first call compiles
for seconds and keeps the result beside this file, or in the user's cache folder where that cannot
be written; `NUMBA_CACHE_DIR` names another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from retrieval.ranking import FloatArray, Vectors
    from retrieval.triple_data import IntArray

__all__ = [
    "count_tile",
    "exact_pair",
    "exact_pairs",
    "l1_tile",
    "modulus_tile",
    "square_lengths",
]

#: Numbers by which the compiled functions know the kernels.
DOT: Final = 0
L2: Final = 1
L1: Final = 2
MODULUS: Final = 3

#: Scores that are counted at once; only where one lies in the band are they looked at one by one.
BLOCK: Final = 128

#: Sums in any order, so that they use the whole width of the processor. NaN stays NaN.
ANY_ORDER: Final = {"reassoc", "contract", "nsz"}


@njit(cache=True, nogil=True)
def exact_pair(kernel: int, query: Vectors, candidate: Vectors) -> float:
    """Return the score of one query [d] and candidate [d] in float64, in a fixed order.

    Under L2 it is minus the *square* of the distance: a root could make unequal distances equal.
    """
    total = 0.0
    if kernel == DOT:
        for k in range(len(query)):
            total += np.float64(query[k]) * np.float64(candidate[k])
    elif kernel == L2:
        for k in range(len(query)):
            step = np.float64(query[k]) - np.float64(candidate[k])
            total -= step * step
    elif kernel == L1:
        for k in range(len(query)):
            total -= abs(np.float64(query[k]) - np.float64(candidate[k]))
    else:
        half = len(query) // 2
        for k in range(half):
            real = np.float64(query[k]) - np.float64(candidate[k])
            imaginary = np.float64(query[half + k]) - np.float64(candidate[half + k])
            total -= np.sqrt(real * real + imaginary * imaginary)
    return total


@njit(cache=True, nogil=True)
def exact_pairs(kernel: int, queries: Vectors, candidates: Vectors, out: FloatArray) -> None:
    """Write the exact scores of the pairs of rows of two arrays [n, d] into `out` [n]."""
    for row in range(len(queries)):
        out[row] = exact_pair(kernel, queries[row], candidates[row])


@njit(cache=True, nogil=True, fastmath=ANY_ORDER)
def square_lengths(vectors: Vectors, out: Vectors) -> None:
    """Write the squares of the lengths of rows [n, d], summed in float64, into `out` [n]."""
    for row in range(len(vectors)):
        total = 0.0
        for k in range(vectors.shape[1]):
            wide = np.float64(vectors[row, k])
            total += wide * wide
        out[row] = total


@njit(cache=True, nogil=True, fastmath=ANY_ORDER)
def l1_tile(queries: Vectors, candidates: Vectors, out: Vectors) -> None:
    """Write −‖q − e‖₁ of queries [b, d] and candidates [c, d] into `out` [b, c]."""
    for row in range(len(queries)):
        for column in range(len(candidates)):
            total = np.float32(0)
            for k in range(queries.shape[1]):
                total += abs(queries[row, k] - candidates[column, k])
            out[row, column] = -total


@njit(cache=True, nogil=True, fastmath=ANY_ORDER)
def modulus_tile(queries: Vectors, candidates: Vectors, out: Vectors) -> None:
    """Write −Σ|q − e| over complex coordinates, [real half; imaginary half], into `out` [b, c]."""
    half = queries.shape[1] // 2
    for row in range(len(queries)):
        for column in range(len(candidates)):
            total = np.float32(0)
            for k in range(half):
                real = queries[row, k] - candidates[column, k]
                imaginary = queries[row, half + k] - candidates[column, half + k]
                total += np.sqrt(real * real + imaginary * imaginary)
            out[row, column] = -total


@njit(cache=True, nogil=True)
def count_tile(
    kernel: int,
    scores: Vectors,
    low: Vectors,
    high: Vectors,
    star: FloatArray,
    queries: Vectors,
    candidates: Vectors,
    higher: IntArray,
    equal: IntArray,
) -> None:
    """Add to `higher` and `equal` how many scores of a tile beat and tie with the target's.

    Args:
        kernel: number of the kernel.
        scores: [b, c] approximate scores; what must not count is −∞.
        low: [b] scores below are lower for certain.
        high: [b] scores above are higher for certain.
        star: [b] exact scores of the targets.
        queries: [b, d], for exact scores of what is neither.
        candidates: [c, d], likewise.
        higher: [b] is added to.
        equal: [b] is added to.
    """
    for row in range(len(scores)):
        below, beyond = low[row], high[row]  # read once, or the loop is not vectorised
        for start in range(0, scores.shape[1], BLOCK):
            # A part of its own, because numba vectorises only loops that begin at 0.
            part = scores[row, start : start + BLOCK]
            above, at_least = 0, 0
            for column in range(len(part)):
                above += part[column] > beyond
                at_least += part[column] >= below
            higher[row] += above
            if at_least == above:
                continue
            for column in range(len(part)):
                if below <= part[column] <= beyond:
                    exact = exact_pair(kernel, queries[row], candidates[start + column])
                    higher[row] += exact > star[row]
                    equal[row] += exact == star[row]
