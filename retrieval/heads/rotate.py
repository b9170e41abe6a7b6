"""RotatE: a relation turns each complex coordinate of the head by an angle.

    s(h, r, t) = −Σᵢ |hᵢ rᵢ − tᵢ|        rᵢ = e^{iθᵢ}, so |rᵢ| = 1

| side | query |
|---|---|
| tail | h∘r |
| head | t∘r̄, because turning both ends by −θ changes no distance |

The parameter is the angle θ, [R or 2R, d/2]; entity vectors are [real half; imaginary half].

**The trap.** The derivative of |z| does not exist at 0, and entities without words have zero
vectors, whose difference is 0 in every coordinate. The norm used here has derivative 0 there;
√(x² + y²) or `hypot` would make the weights NaN.

Some libraries take the Euclidean norm of all coordinates instead of the sum of moduli. Weights that
were trained so rank by the kernel `l2`.

Source: Sun et al., "RotatE: Knowledge graph embedding by relational rotation in complex space",
ICLR 2019, section 3; angles start uniform in [−π, π).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Self

from retrieval.heads.base import RelationTable, halves
from retrieval.kernels import Kernel

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RotatE"]


class RotatE(RelationTable):
    """−Σ |h r − t| over complex coordinates.

    >>> import torch
    >>> quarter = RotatE({"vectors": torch.tensor([[math.pi / 2]])}, inverses=False)
    >>> h, t = torch.tensor([1.0, 0.0]), torch.tensor([3.0, 5.0])  # 1 turns to i; 3 + 5i
    >>> round(quarter.score(h, torch.tensor(0), t).item(), 4)
    -5.0
    """

    name = "rotate"
    kernel: ClassVar[Kernel] = "modulus"
    halved = True

    @classmethod
    def untrained(cls, *, relations: int, dim: int, inverses: bool, seed: int = 0) -> Self:
        """Return a head with angles uniform in [−π, π).

        Raises:
            QueryShapeError: if `dim` is odd, or a size is below 1.
        """
        import torch

        cls.check(relations=relations, dim=dim)
        rows = 2 * relations if inverses else relations
        generator = torch.Generator().manual_seed(seed)
        turns = torch.rand(rows, dim // 2, generator=generator)
        return cls({"vectors": (2 * turns - 1) * math.pi}, inverses=inverses)

    @property
    def dim(self) -> int:
        """Length of an entity vector."""
        return 2 * int(self._parameters["vectors"].shape[1])

    def scores(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Return minus the sum of moduli of every query [q, d] and candidate [c, d], [q, c].

        One coordinate after the other, so memory is [q, c]; with gradients it is [q, c, d].
        """
        import torch

        total = queries.new_zeros(len(queries), len(candidates))
        for q, c in zip(_coordinates(queries), _coordinates(candidates), strict=True):
            total = total - torch.linalg.vector_norm(q[:, :, None] - c[:, None, :], dim=0)
        return total

    def _score(self, heads: Tensor, vectors: Tensor, tails: Tensor) -> Tensor:
        import torch

        difference = self._tail_query(heads, vectors) - tails
        moduli: Tensor = torch.linalg.vector_norm(torch.stack(halves(difference)), dim=0)
        return -moduli.sum(-1)

    def _tail_query(self, heads: Tensor, vectors: Tensor) -> Tensor:
        import torch

        (real, imaginary), cos, sin = halves(heads), vectors.cos(), vectors.sin()
        turned = [real * cos - imaginary * sin, real * sin + imaginary * cos]
        return torch.cat(turned, dim=-1)

    def _head_query(self, tails: Tensor, vectors: Tensor) -> Tensor:
        return self._tail_query(tails, -vectors)


def _coordinates(vectors: Tensor) -> Tensor:
    """Return [d/2, 2, n]: for each complex coordinate its real and imaginary parts."""
    return vectors.reshape(len(vectors), 2, -1).permute(2, 1, 0)
