r"""Choosing demonstrations as a set: a determinant that rewards likeness and punishes repetition.

    K_ij = ρ_i · (z_i·z_j + 1)/2 · ρ_j,   ρ_i = exp( (q_i − max_j q_j) / 2s ),   q_i = (q·z_i + 1)/2

The score of a set S is log det K_S. The loss compares candidate sets of one query, best first by
the language model's score; scores v of the determinant are min–max normalised within the query:

    L = mean over pairs i before j of max(0, v_j − v_i + m·(j − i))

| symbol | meaning |
|---|---|
| q, z_i | unit vectors of the query and of candidate i |
| s | scale (0.1): small values let likeness to the query outweigh diversity |
| m | margin per place (0.02) |

Two traps: scores that are all equal have no range (0/0), and a set that holds one vector twice has
determinant 0 (−∞). Equal scores are normalised to 0; determinants stop at `SMALLEST`.

Source: Ye et al., "Compositional exemplars for in-context learning" (CEIL), ICML 2023.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["selection_kernel", "set_ranking", "set_scores"]

#: Added to the diagonal, so that a repeated vector gives a very small determinant, not 0.
SMALLEST: Final = 1e-6


def selection_kernel(query: Tensor, candidates: Tensor, *, scale: float = 0.1) -> Tensor:
    """Return K [.., candidates, candidates].

    Args:
        query: [.., dim] of length one.
        candidates: [.., candidates, dim] of length one.
        scale: s > 0.

    Raises:
        ValueError: if the scale is not positive.

    >>> import torch
    >>> kernel = selection_kernel(torch.tensor([1.0, 0.0]), torch.eye(2))
    >>> [[round(value, 4) for value in row] for row in kernel.tolist()]
    [[1.0, 0.041], [0.041, 0.0067]]
    """
    if scale <= 0:
        raise ValueError(f"{scale=} must be above 0; the paper has 0.1")
    likeness = ((candidates @ query.unsqueeze(-1)).squeeze(-1) + 1) / 2
    best = likeness.amax(-1, keepdim=True)
    relevance = ((likeness - best) / (2 * scale)).exp()
    between = (candidates @ candidates.transpose(-1, -2) + 1) / 2
    return relevance.unsqueeze(-1) * between * relevance.unsqueeze(-2)


def set_scores(kernel: Tensor, sets: Tensor) -> Tensor:
    """Return log det of each set's part of the kernel, [sets]; never −∞.

    Args:
        kernel: [candidates, candidates].
        sets: [sets, size] int64, places of the members.

    >>> import torch
    >>> kernel = torch.tensor([[1.0, 0.5], [0.5, 1.0]])
    >>> round(set_scores(kernel, torch.tensor([[0, 1]])).item(), 3)
    -0.288
    """
    import torch

    parts = kernel[sets.unsqueeze(-1), sets.unsqueeze(-2)]
    identity = torch.eye(sets.shape[-1], dtype=kernel.dtype, device=kernel.device)
    sign, logarithm = torch.linalg.slogdet(parts + SMALLEST * identity)
    # A rounding error may still turn the sign of a singular part.
    lowest = sets.shape[-1] * torch.tensor(SMALLEST, dtype=kernel.dtype).log()
    return torch.where(sign > 0, logarithm, lowest).clamp(min=lowest.item())


def set_ranking(scores: Tensor, *, margin: float = 0.02) -> Tensor:
    """Return the margin ranking loss of one query, a scalar.

    Args:
        scores: [sets] of the determinant, in the order of the language model, best first.
        margin: m, for each place between two sets.

    >>> import torch
    >>> round(set_ranking(torch.tensor([3.0, 2.0, 1.0])).item(), 4)
    0.0
    >>> round(set_ranking(torch.tensor([1.0, 2.0])).item(), 4)
    1.02
    >>> round(set_ranking(torch.tensor([5.0, 5.0])).item(), 4)
    0.02
    """
    import torch

    if len(scores) < 2:
        return scores.sum() * 0
    spread = (scores.max() - scores.min()).detach()
    lowest = scores.min().detach()
    normal = (scores - lowest) / spread if spread > 0 else scores - lowest
    places = torch.arange(len(scores), device=scores.device)
    gaps = places.unsqueeze(0) - places.unsqueeze(1)  # [i, j]: j − i
    costs = (normal.unsqueeze(0) - normal.unsqueeze(1) + margin * gaps).clamp(min=0)
    return costs[gaps > 0].mean()
