r"""List-wise ranking loss: the better candidate of each pair should be the more similar one.

    L = Σᵢⱼ w(i, j) · log(1 + exp(sⱼ − sᵢ)),  over pairs where i ranks before j

| weight | w(i, j) | pairs are |
|---|---|---|
| `given` | 1/rᵢ − 1/rⱼ, from the given ranks | added up |
| `predicted` | \|1/pᵢ − 1/pⱼ\|, from the positions by similarity | averaged, sⱼ − sᵢ within ±50 |

| symbol | meaning |
|---|---|
| sᵢ | similarity of the query and candidate i |
| rᵢ | given rank, 1 = best; equal ranks make no pair |
| pᵢ | position of candidate i when the list is sorted by similarity |

`given` is the form of the paper: a mistake at the top costs most, whatever the model thinks now.
`predicted` is what its authors' program computes (LambdaRank): a pair counts by how far the model
itself puts the two apart.

Source: Li et al., "Unified demonstration retriever for in-context learning", ACL 2023, section 3.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RankWeight", "list_wise"]

type RankWeight = Literal["given", "predicted"]

#: Largest difference of two similarities that `predicted` looks at.
WIDEST: Final = 50.0


def list_wise(similarities: Tensor, ranks: Tensor, *, weight: RankWeight = "given") -> Tensor:
    """Return the mean over queries, a scalar; 0 where no two ranks differ.

    Args:
        similarities: [queries, candidates] float.
        ranks: [queries, candidates], 1 = best; equal numbers are a tie.
        weight: see the table above.

    Raises:
        ValueError: if the shapes differ, a rank is below 1, or the weight is unknown.

    >>> import torch
    >>> ranks = torch.tensor([[1, 2, 3]])
    >>> round(list_wise(torch.tensor([[2.0, 1.0, 0.0]]), ranks).item(), 5)
    0.29346
    >>> round(list_wise(torch.tensor([[2.0, 1.0, 0.0]]), ranks, weight="predicted").item(), 5)
    0.09782
    """
    import torch
    from torch.nn import functional

    if similarities.shape != ranks.shape or similarities.dim() != 2:
        raise ValueError(
            f"similarities {tuple(similarities.shape)} and ranks {tuple(ranks.shape)} must have "
            "one shape [queries, candidates]"
        )
    if ranks.numel() and ranks.min() < 1:
        raise ValueError(f"the rank {ranks.min().item()} is below 1; the best candidate has rank 1")
    # [queries, i, j]: what candidate j is above candidate i.
    above = similarities.unsqueeze(1) - similarities.unsqueeze(2)
    better = ranks.unsqueeze(2) < ranks.unsqueeze(1)
    if weight == "given":
        inverse = 1.0 / ranks.to(similarities.dtype)
        weights = (inverse.unsqueeze(2) - inverse.unsqueeze(1)).clamp(min=0)
        return (weights * functional.softplus(above)).sum((1, 2)).mean()
    if weight != "predicted":
        raise ValueError(f"unknown weight {weight!r}; choose given or predicted")
    order = similarities.argsort(dim=1, descending=True, stable=True)
    inverse = 1.0 / (order.argsort(dim=1).to(similarities.dtype) + 1)
    weights = (inverse.unsqueeze(2) - inverse.unsqueeze(1)).abs() * better
    pairs = better.sum((1, 2)).clamp(min=1)
    costs = functional.softplus(above.clamp(-WIDEST, WIDEST))
    return torch.mean((weights * costs).sum((1, 2)) / pairs)
