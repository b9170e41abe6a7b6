"""SimplE: an entity has one vector as head and another as tail; both readings are averaged.

    s(h, r, t) = ½ Σᵢ (h₁ a t₂ + t₁ b h₂)ᵢ        h = [h₁; h₂], t = [t₁; t₂], r = [a; b]

| side | query |
|---|---|
| tail | ½ [b∘h₂ ; a∘h₁] |
| head | ½ [a∘t₂ ; b∘t₁] |

b is the vector of r's inverse, so SimplE knows directions without rows for inverses.

Source: Kazemi and Poole, "SimplE embedding for link prediction in knowledge graphs", NeurIPS 2018,
section 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from retrieval.heads.base import RelationTable, halves
from retrieval.kernels import Kernel

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SimplE"]


class SimplE(RelationTable):
    """The mean of h₁ a t₂ and t₁ b h₂, summed over dimensions.

    >>> import torch
    >>> head = SimplE({"vectors": torch.tensor([[0.5, -1, 2, 1]])}, inverses=False)
    >>> h, r, t = torch.tensor([1.0, 2, 3, 4]), torch.tensor(0), torch.tensor([2.0, 0, 1, -1])
    >>> head.score(h, r, t).item()
    7.25
    """

    name = "simple"
    kernel: ClassVar[Kernel] = "dot"
    halved = True

    def _score(self, heads: Tensor, vectors: Tensor, tails: Tensor) -> Tensor:
        (h1, h2), (a, b), (t1, t2) = halves(heads), halves(vectors), halves(tails)
        return 0.5 * (h1 * a * t2 + t1 * b * h2).sum(-1)

    def _tail_query(self, heads: Tensor, vectors: Tensor) -> Tensor:
        import torch

        (h1, h2), (a, b) = halves(heads), halves(vectors)
        return 0.5 * torch.cat([b * h2, a * h1], dim=-1)

    def _head_query(self, tails: Tensor, vectors: Tensor) -> Tensor:
        import torch

        (t1, t2), (a, b) = halves(tails), halves(vectors)
        return 0.5 * torch.cat([a * t2, b * t1], dim=-1)
