"""Affine: a relation scales and shifts the head, and the cosine with the tail is the score.

    q(h, r) = normalise(h ∘ a_r + c_r)        s(h, r, t) = q(h, r) · t

| parameter | meaning |
|---|---|
| a, `scale` | which dimensions of the head matter |
| c, `offset` | what usually stands at the other end, whatever the head |

The length of a query divides by something that depends on the head, so the formula cannot be
solved for the other end: inverses always have their own a and c. It is the head of bags of words
under InfoNCE, which wants scores in [−1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final, Self

from retrieval.errors import QueryShapeError
from retrieval.heads.base import StoredHead, rows_of
from retrieval.kernels import Kernel

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Affine"]

#: Length below which a query counts as zero.
SHORTEST: Final = 1e-12

#: Standard deviation of a − 1 and of c before training.
INITIAL_SCALE: Final = 0.1


class Affine(StoredHead):
    """normalise(h ∘ a + c) · t, with own a and c for inverses.

    >>> import torch
    >>> one = torch.ones(2, 2)
    >>> head = Affine({"scale": one, "offset": 0 * one}, inverses=True)
    >>> round(head.score(torch.tensor([3.0, 4]), torch.tensor(0), torch.tensor([1.0, 0])).item(), 4)
    0.6
    """

    name = "affine"
    kernel: ClassVar[Kernel] = "dot"
    normalised = True

    def __init__(self, parameters: Mapping[str, Tensor], *, inverses: bool = True) -> None:
        if not inverses:
            raise QueryShapeError(
                "head 'affine' has no head query, because its queries are normalised; use "
                "inverses=True"
            )
        super().__init__(parameters, inverses=True)

    @classmethod
    def untrained(cls, *, relations: int, dim: int, inverses: bool = True, seed: int = 0) -> Self:
        """Return a ~ 1 + N(0, .1) and c ~ N(0, .1) for `relations` relations and their inverses.

        Raises:
            QueryShapeError: if a size is below 1, or without inverses.
        """
        import torch

        if relations < 1 or dim < 1:
            raise QueryShapeError(f"{relations=} and {dim=} must be at least 1")
        generator = torch.Generator().manual_seed(seed)
        scale, offset = INITIAL_SCALE * torch.randn(2, 2 * relations, dim, generator=generator)
        return cls({"scale": 1 + scale, "offset": offset.clone()}, inverses=inverses)

    @property
    def dim(self) -> int:
        """Length of an entity vector."""
        return int(self._parameters["scale"].shape[1])

    def score(self, heads: Tensor, relations: Tensor, tails: Tensor) -> Tensor:
        """Return the score of links: heads [..., d], relations [...], tails [..., d] → [...]."""
        return (self.queries(heads, relations) * tails).sum(-1)

    def queries(self, sources: Tensor, relations: Tensor) -> Tensor:
        """Return the queries [..., d] of sources [..., d] under relations [...], r or r + R."""
        from torch.nn import functional

        scale, offset = self._parameters["scale"], self._parameters["offset"]
        moved = sources * rows_of(scale, relations) + rows_of(offset, relations)
        return functional.normalize(moved, dim=-1, eps=SHORTEST)

    def scores(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Return the score of every query [q, d] with every candidate [c, d], [q, c]."""
        return queries @ candidates.T
