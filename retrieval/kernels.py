"""How queries and candidates are compared, in tiles of float32 with a proven bound on the error.

| kernel | score | tile | δ: a tile's value is off by less |
|---|---|---|---|
| `dot` | q·e | q·Eᵀ | d·ε·‖q‖·M |
| `l2` | −‖q − e‖₂ | 2q·Eᵀ − ‖e‖² | (d + 2)·ε·(2‖q‖·M + M²) |
| `l1` | −‖q − e‖₁ | compiled | (d + 2)·ε·‖q − e‖₁ |
| `modulus` | −Σ of the moduli of q − e over complex coordinates | compiled | (d/2 + 8)·ε·Σ |

M = max‖e‖, ε = float32's machine epsilon = 2u, where u is the largest error of one rounding.

**Where δ comes from.** A sum of n products, added in whatever order, is off by at most
n·u·Σ|terms| (Higham, "Accuracy and stability of numerical algorithms", 2002, section 3.1), and
Σ|qᵢeᵢ| ≤ ‖q‖‖e‖. Twice that is the δ of `dot`. `l2` has one term more and rounds ‖e‖² once. In
`l1` and `modulus` all terms have one sign, so the error is a share of the result itself: a
difference costs one rounding, a modulus (2 differences, 2 products, a sum, a root) three. For them
δ is taken at the target's score s*: whoever lies outside s* ± δ lies on the same side in truth.
Numbers below 2⁻¹²⁶ may be lost altogether; δ has a last term for them. Float64 errs 2²⁹ times less,
which is nothing beside δ but in `l2`: there s* is moved by ‖q‖², which may be far larger than all
candidates, and δ has a term for that as well.

**The traps.** Products whose inputs are rounded to bfloat16 or TF32, which torch does when it is
told that speed matters more, break the bound: tiles are always computed in full float32. Squares
overflow: vectors must be shorter than `LARGEST`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import numpy as np

from retrieval.errors import QueryShapeError

if TYPE_CHECKING:
    from retrieval.ranking import FloatArray, Vectors

__all__ = [
    "KERNELS",
    "Kernel",
    "TileKernel",
    "exact_scores",
    "full_precision",
    "longest_of",
    "square_lengths",
    "tile_kernel",
]

type Kernel = Literal["dot", "l1", "l2", "modulus"]

#: Longest vector; a model beyond it has diverged.
LARGEST: Final = 2.0**50

#: ε of float32 and of float64, and what an operation loses if its result is too small to write.
EPSILON: Final = 2.0**-23
EPSILON_64: Final = 2.0**-52
TINY: Final = 2.0**-124


class TileKernel(ABC):
    """One way to compare: an approximate tile, and bounds beyond which it can be trusted."""

    #: By which the compiled functions know it.
    number: ClassVar[int]

    @abstractmethod
    def tile(self, queries: Vectors, candidates: Vectors, squares: Vectors, out: Vectors) -> None:
        """Write values that grow with the score.

        All arrays are float32, contiguous and can be written.

        Args:
            queries: [b, d].
            candidates: [c, d].
            squares: [c] squares of the candidates' lengths.
            out: [b, c] is written.
        """

    @abstractmethod
    def centre(self, queries: Vectors, star: FloatArray) -> FloatArray:
        """Return the tile's value [b] that belongs to the exact score `star` [b] of each query."""

    @abstractmethod
    def slack(self, queries: Vectors, star: FloatArray, longest: float) -> FloatArray:
        """Return δ [b], given a bound on the length of the longest candidate."""

    def bounds(self, queries: Vectors, star: FloatArray, longest: float) -> tuple[Vectors, Vectors]:
        """Return the values [b], [b] below and above which a tile's value needs no second look."""
        centre, slack = self.centre(queries, star), self.slack(queries, star, longest)
        low, high = (centre - slack).astype(np.float32), (centre + slack).astype(np.float32)
        # Rounding to float32 may have gone inwards.
        return np.nextafter(low, np.float32(-np.inf)), np.nextafter(high, np.float32(np.inf))


class Dot(TileKernel):
    """q·e."""

    number = 0

    def tile(self, queries: Vectors, candidates: Vectors, squares: Vectors, out: Vectors) -> None:
        """Write q·Eᵀ."""
        import torch

        torch.mm(*map(torch.from_numpy, (queries, candidates.T)), out=torch.from_numpy(out))

    def centre(self, queries: Vectors, star: FloatArray) -> FloatArray:
        """Return the score itself."""
        return star

    def slack(self, queries: Vectors, star: FloatArray, longest: float) -> FloatArray:
        """Return d·ε·‖q‖·M."""
        d = queries.shape[1]
        slack: FloatArray = d * (EPSILON * lengths(queries) * longest + TINY)
        return slack


class L2(TileKernel):
    """−‖q − e‖₂ by way of 2q·e − ‖e‖², which is ‖q‖² less the square of the distance."""

    number = 1

    def tile(self, queries: Vectors, candidates: Vectors, squares: Vectors, out: Vectors) -> None:
        """Write 2q·Eᵀ − ‖e‖²."""
        import torch

        parts = map(torch.from_numpy, (squares, queries, candidates.T))
        torch.addmm(*parts, beta=-1, alpha=2, out=torch.from_numpy(out))

    def centre(self, queries: Vectors, star: FloatArray) -> FloatArray:
        """Return ‖q‖² less the square of the distance, which `star` is the negative of."""
        centre: FloatArray = star + lengths(queries) ** 2
        return centre

    def slack(self, queries: Vectors, star: FloatArray, longest: float) -> FloatArray:
        """Return (d + 2)·ε·(2‖q‖·M + M²), and what the centre itself loses in float64."""
        d, own = queries.shape[1], lengths(queries)
        tile: FloatArray = EPSILON * (2 * own + longest) * longest + TINY
        centre: FloatArray = EPSILON_64 * (own**2 + np.abs(star))
        slack: FloatArray = (d + 2) * (tile + centre)
        return slack


class L1(TileKernel):
    """−‖q − e‖₁."""

    number = 2

    def tile(self, queries: Vectors, candidates: Vectors, squares: Vectors, out: Vectors) -> None:
        """Write −‖q − e‖₁."""
        from retrieval.kernels_compiled import l1_tile

        l1_tile(queries, candidates, out)

    def centre(self, queries: Vectors, star: FloatArray) -> FloatArray:
        """Return the score itself."""
        return star

    def slack(self, queries: Vectors, star: FloatArray, longest: float) -> FloatArray:
        """Return (d + 2)·ε·|s*|."""
        d = queries.shape[1]
        slack: FloatArray = (d + 2) * (EPSILON * np.abs(star) + TINY)
        return slack


class Modulus(TileKernel):
    """−Σ of the moduli of q − e over complex coordinates."""

    number = 3

    def tile(self, queries: Vectors, candidates: Vectors, squares: Vectors, out: Vectors) -> None:
        """Write minus the sum of moduli."""
        from retrieval.kernels_compiled import modulus_tile

        modulus_tile(queries, candidates, out)

    def centre(self, queries: Vectors, star: FloatArray) -> FloatArray:
        """Return the score itself."""
        return star

    def slack(self, queries: Vectors, star: FloatArray, longest: float) -> FloatArray:
        """Return (d/2 + 8)·ε·|s*|, and √TINY for each root of a square too small to be written."""
        d = queries.shape[1]
        slack: FloatArray = (d / 2 + 8) * (EPSILON * np.abs(star) + math.sqrt(TINY))
        return slack


#: Every kernel by its name.
KERNELS: Final[dict[Kernel, TileKernel]] = {
    "dot": Dot(),
    "l1": L1(),
    "l2": L2(),
    "modulus": Modulus(),
}


def tile_kernel(name: Kernel) -> TileKernel:
    """Return the kernel of a name.

    Raises:
        QueryShapeError: for an unknown name.

    >>> tile_kernel("l1").bounds(np.zeros((1, 2), np.float32), np.array([-1.0]), 1.0)[1] < -0.99
    array([ True])
    """
    if name not in KERNELS:
        raise QueryShapeError(f"unknown kernel {name!r}; available: {', '.join(KERNELS)}")
    return KERNELS[name]


def exact_scores(name: Kernel, queries: Vectors, candidates: Vectors) -> FloatArray:
    """Return the scores of pairs of rows [n, d], [n, d] in float64, [n].

    A library's sum chooses its order by shape and alignment; this one adds one dimension after the
    other, so equal vectors have equal scores, always. Under `l2` it is minus the square of the
    distance.

    >>> exact_scores("l1", np.float32([[1, 2]]), np.float32([[4, 0]])).tolist()
    [-5.0]
    """
    from retrieval.kernels_compiled import exact_pairs

    out = np.empty(len(queries))
    number = tile_kernel(name).number
    exact_pairs(number, np.ascontiguousarray(queries), np.ascontiguousarray(candidates), out)
    return out


def square_lengths(vectors: Vectors) -> Vectors:
    """Return the squares of the L2 norms of rows [n, d], summed in float64, as float32 [n].

    >>> square_lengths(np.float32([[3, 4]])).tolist()
    [25.0]
    """
    from retrieval import kernels_compiled

    out = np.empty(len(vectors), np.float32)
    kernels_compiled.square_lengths(np.ascontiguousarray(vectors, np.float32), out)
    return out


def longest_of(squares: Vectors) -> float:
    """Return a bound on the length of the longest vector, given the squares of all lengths [n].

    It is a bound, not the length: the squares of short vectors are too small for float32, and a
    length of 0 would make δ vanish.

    >>> 5 < longest_of(np.float32([4, 25])) < 5.00001
    True
    >>> longest_of(square_lengths(np.float32([[1e-30, 0]]))) > 1e-30
    True
    """
    largest = float(squares.max()) if len(squares) else 0.0
    return math.sqrt(largest) * (1 + 2 * EPSILON) + math.sqrt(TINY)


def lengths(vectors: Vectors) -> FloatArray:
    """Return the L2 norms of rows [n, d] in float64, [n]."""
    wide = vectors.astype(np.float64)
    norms: FloatArray = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    return norms


@contextmanager
def full_precision() -> Iterator[None]:
    """Have torch's matrix products use all bits of float32 inside, whatever it was told before."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
