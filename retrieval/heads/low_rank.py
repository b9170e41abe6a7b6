"""Low rank: affine, and a relation also mixes dimensions of the head.

    q(h, r) = normalise(h ∘ a_r + U_r V_r h + c_r)        s(h, r, t) = q(h, r) · t

| parameter | meaning |
|---|---|
| a, c | as in affine |
| V, `reads` | the `RANK` directions of the head that the relation looks at |
| U, `writes` | where each of them points to at the other end; starts near zero, as affine |

A pretrained encoder puts what a relation is about anywhere, not along its axes: scaling them cannot
turn "the verb" into "its noun". A full matrix for each relation does a little better and costs d/2
times the memory of rank 1; rank 32 of 384 is a sixth of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from retrieval.errors import QueryShapeError
from retrieval.heads.affine import INITIAL_SCALE, SHORTEST, Affine
from retrieval.heads.base import rows_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LowRank"]

#: Directions that a relation reads; the dimension itself where that is smaller.
RANK: Final = 32
#: Standard deviation of U before training; at zero, V would have no gradient.
SMALL: Final = 0.01


class LowRank(Affine):
    """normalise(h ∘ a + U V h + c) · t, with own a, U, V and c for inverses.

    >>> import torch
    >>> head = LowRank.untrained(relations=2, dim=8)
    >>> source, relation = torch.eye(8)[:1], torch.tensor([3])
    >>> bool(torch.allclose(head.queries(source, relation).norm(dim=1), torch.ones(1)))
    True
    """

    name = "low-rank"

    @classmethod
    def untrained(cls, *, relations: int, dim: int, inverses: bool = True, seed: int = 0) -> Self:
        """Return a ~ 1 + N(0, .1), c ~ N(0, .4²/d), V ~ N(0, 1/d), U ~ N(0, .01²).

        Raises:
            QueryShapeError: if a size is below 1, or without inverses.
        """
        import torch

        if relations < 1 or dim < 1:
            raise QueryShapeError(f"{relations=} and {dim=} must be at least 1")
        generator = torch.Generator().manual_seed(seed)
        rows, rank = 2 * relations, min(RANK, dim)
        scale, offset = INITIAL_SCALE * torch.randn(2, rows, dim, generator=generator)
        reads = torch.randn(rows, rank, dim, generator=generator) / dim**0.5
        parameters = {
            "scale": 1 + scale,
            # Small beside a head of length one, whatever the dimension.
            "offset": offset * 4 / dim**0.5,
            "reads": reads,
            "writes": SMALL * torch.randn(rows, dim, rank, generator=generator),
        }
        return cls(parameters, inverses=inverses)

    def queries(self, sources: Tensor, relations: Tensor) -> Tensor:
        """Return the queries [..., d] of sources [..., d] under relations [...], r or r + R."""
        import torch
        from torch.nn import functional

        own = self._parameters
        shape = torch.broadcast_shapes(sources.shape[:-1], relations.shape)  # type: ignore[no-untyped-call]
        flat = sources.expand(*shape, sources.shape[-1]).reshape(-1, sources.shape[-1])
        numbers = relations.expand(shape).reshape(-1)
        moved = flat * rows_of(own["scale"], numbers) + rows_of(own["offset"], numbers)
        # One product a relation: gathering matrices for each source would be hundreds of MB.
        order = torch.argsort(numbers, stable=True)
        found, counts = torch.unique_consecutive(numbers[order], return_counts=True)
        blocks = torch.split(flat[order], counts.tolist())
        mixed = [
            (block @ own["reads"][number].T) @ own["writes"][number].T
            for number, block in zip(found.tolist(), blocks, strict=True)
        ]
        if mixed:
            moved = moved + torch.cat(mixed)[torch.argsort(order)]
        return functional.normalize(moved, dim=-1, eps=SHORTEST).reshape(*shape, -1)
