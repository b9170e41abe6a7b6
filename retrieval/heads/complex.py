"""ComplEx: DistMult over complex numbers, so that a relation can have a direction.

    s(h, r, t) = Re Σᵢ hᵢ rᵢ t̄ᵢ

Vectors are [real half; imaginary half], so that queries and candidates are compared by one real
dot product:

| side | query |
|---|---|
| tail | [hr∘rr − hi∘ri ; hr∘ri + hi∘rr] |
| head | [rr∘tr + ri∘ti ; rr∘ti − ri∘tr] |

**The trap.** Other libraries store real and imaginary parts side by side; weights that were
trained there must be re-ordered first.

Source: Trouillon et al., "Complex embeddings for simple link prediction", ICML 2016, section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from retrieval.heads.base import RelationTable, halves
from retrieval.kernels import Kernel

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ComplEx"]


class ComplEx(RelationTable):
    """Re Σ h r conj(t).

    >>> import torch
    >>> head = ComplEx({"vectors": torch.tensor([[0.5, -1, 2, 1]])}, inverses=False)
    >>> h, t = torch.tensor([1.0, 2, 3, 4]), torch.tensor([2.0, 0, 1, -1])
    >>> head.score(h, torch.tensor(0), t).item()
    -5.5
    >>> head.queries(h, torch.tensor(0)).tolist(), head.queries(t, torch.tensor(1)).tolist()
    ([-5.5, -6.0, 3.5, -2.0], [3.0, -1.0, -3.5, 1.0])
    """

    name = "complex"
    kernel: ClassVar[Kernel] = "dot"
    halved = True

    def _score(self, heads: Tensor, vectors: Tensor, tails: Tensor) -> Tensor:
        (hr, hi), (rr, ri), (tr, ti) = halves(heads), halves(vectors), halves(tails)
        return (rr * (hr * tr + hi * ti) + ri * (hr * ti - hi * tr)).sum(-1)

    def _tail_query(self, heads: Tensor, vectors: Tensor) -> Tensor:
        import torch

        (hr, hi), (rr, ri) = halves(heads), halves(vectors)
        return torch.cat([hr * rr - hi * ri, hr * ri + hi * rr], dim=-1)

    def _head_query(self, tails: Tensor, vectors: Tensor) -> Tensor:
        import torch

        (tr, ti), (rr, ri) = halves(tails), halves(vectors)
        return torch.cat([rr * tr + ri * ti, rr * ti - ri * tr], dim=-1)
