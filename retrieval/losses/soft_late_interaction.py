r"""Soft late interaction with a pooled target: every token of the query looks at one target vector.

    s(q, y) = Σ_t a_t · cos(q_t, y),   a = softmax over tokens t of (q_t · y) / τ

| symbol | meaning |
|---|---|
| q_t | vector of token t of the query, not normalised |
| y | vector of the target: one for each, so targets are cached and indexed as usual |
| τ | τ → 0 leaves the best token alone (MaxSim), τ → ∞ the mean over tokens |

Source: unified work embeddings (UWE), soft late interaction, pooled-target form; ColBERT's MaxSim
(Khattab and Zaharia, SIGIR 2020) is its limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["soft_late_interaction"]


def soft_late_interaction(
    tokens: Tensor, mask: Tensor, targets: Tensor, *, temperature: float = 1.0
) -> Tensor:
    """Return the similarities [queries, targets].

    Args:
        tokens: [queries, length, dim] float, token vectors of the queries.
        mask: [queries, length] bool, true where there is a token; each query needs one.
        targets: [targets, dim] float.
        temperature: τ > 0.

    Raises:
        ValueError: if the temperature is not positive, or a query has no token.

    >>> import torch
    >>> tokens, mask = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]]), torch.ones(1, 2, dtype=torch.bool)
    >>> round(soft_late_interaction(tokens, mask, torch.tensor([[1.0, 2.0]])).item(), 4)
    0.8889
    """
    import torch
    from torch.nn import functional

    if temperature <= 0:
        raise ValueError(f"{temperature=} must be above 0; the paper has 0.1 and 0.5")
    if not bool(mask.any(1).all()):
        raise ValueError("a query has no token; give each at least one")
    dots = tokens @ targets.T  # [queries, length, targets]
    weights = (dots / temperature).masked_fill(~mask.unsqueeze(2), -torch.inf).softmax(1)
    lengths = functional.normalize(targets, dim=1)
    cosines = functional.normalize(tokens, dim=2) @ lengths.T
    return (weights * cosines).sum(1)
