"""TransE: a relation is a step from the head to the tail.

| head | score | tail query | head query | compared by |
|---|---|---|---|---|
| `transe-l1` | −‖h + r − t‖₁ | h + r | t − r | −‖q − e‖₁ |
| `transe-l2` | −‖h + r − t‖₂ | h + r | t − r | −‖q − e‖₂ |

**The trap.** Entity vectors must have length one, or training lowers the loss by growing them.
Only entities: relation vectors are never normalised. For such vectors 2q·e − ‖e‖² = 2q·e − 1, so
the order under L2 is the order of q·e, and an index of inner products answers L2 queries as well.

Source: Bordes et al., "Translating embeddings for modeling multi-relational data", NeurIPS 2013,
section 2; with encoders of text Daza et al., "Inductive entity representations from text via link
prediction", WWW 2021.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from retrieval.heads.base import RelationTable
from retrieval.kernels import Kernel

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TransEL1", "TransEL2"]


class _TransE(RelationTable):
    normalised = True
    #: p of the norm.
    order: ClassVar[int]

    def scores(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Return minus the distance of every query [q, d] and candidate [c, d], [q, c]."""
        import torch

        return -torch.cdist(queries, candidates, p=self.order)

    def _score(self, heads: Tensor, vectors: Tensor, tails: Tensor) -> Tensor:
        import torch

        step = heads + vectors - tails
        length: Tensor = torch.linalg.vector_norm(step, ord=self.order, dim=-1)
        return -length

    def _tail_query(self, heads: Tensor, vectors: Tensor) -> Tensor:
        return heads + vectors

    def _head_query(self, tails: Tensor, vectors: Tensor) -> Tensor:
        return tails - vectors


class TransEL1(_TransE):
    """−‖h + r − t‖₁, the norm that BLP uses.

    >>> import torch
    >>> head = TransEL1({"vectors": torch.tensor([[0.5, -1, 2, 1]])}, inverses=False)
    >>> h, r, t = torch.tensor([1.0, 2, 3, 4]), torch.tensor(0), torch.tensor([2.0, 0, 1, -1])
    >>> head.score(h, r, t).item()
    -11.5
    """

    name = "transe-l1"
    kernel: ClassVar[Kernel] = "l1"
    order = 1


class TransEL2(_TransE):
    """−‖h + r − t‖₂, whose ranking is one matrix product.

    >>> import torch
    >>> head = TransEL2({"vectors": torch.tensor([[0.5, -1, 2, 1]])}, inverses=False)
    >>> h, r, t = torch.tensor([1.0, 2, 3, 4]), torch.tensor(0), torch.tensor([2.0, 0, 1, -1])
    >>> round(head.score(h, r, t).item(), 5)
    -7.29726
    """

    name = "transe-l2"
    kernel: ClassVar[Kernel] = "l2"
    order = 2
