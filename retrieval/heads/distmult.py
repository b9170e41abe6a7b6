"""DistMult: a relation weighs the dimensions in which head and tail agree.

    s(h, r, t) = Σᵢ hᵢ rᵢ tᵢ        tail query h∘r, head query r∘t

**The trap.** The score is symmetric, s(h, r, t) = s(t, r, h), so with `inverses=False` it cannot
know a relation from its inverse.

Source: Yang et al., "Embedding entities and relations for learning and inference in knowledge
bases", ICLR 2015, section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from retrieval.heads.base import RelationTable
from retrieval.kernels import Kernel

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DistMult"]


class DistMult(RelationTable):
    """Σ h r t.

    >>> import torch
    >>> head = DistMult({"vectors": torch.tensor([[0.5, -1, 2, 1]])}, inverses=False)
    >>> h, r, t = torch.tensor([1.0, 2, 3, 4]), torch.tensor(0), torch.tensor([2.0, 0, 1, -1])
    >>> head.score(h, r, t).item()
    3.0
    """

    name = "distmult"
    kernel: ClassVar[Kernel] = "dot"

    def _score(self, heads: Tensor, vectors: Tensor, tails: Tensor) -> Tensor:
        return (heads * vectors * tails).sum(-1)

    def _tail_query(self, heads: Tensor, vectors: Tensor) -> Tensor:
        return heads * vectors

    def _head_query(self, tails: Tensor, vectors: Tensor) -> Tensor:
        return vectors * tails
