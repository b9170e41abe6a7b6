r"""Many-to-many InfoNCE: a query may have several true targets, and a target several queries.

    L = mean over queries q, mean over its positives y⁺ of
        − log( exp(s(q, y⁺) / τ) / Σ_y exp(s(q, y) / τ) )

and the same from the targets' side, averaged with it. The pairs are edges of a bipartite graph:
what shares a target with the query is a positive and never a false negative. In link prediction
the sides are (head, relation) and tail; in demonstration retrieval an input and the solved examples
with its answer.

| symbol | meaning |
|---|---|
| s(q, y) | similarity of query and target, a cosine |
| τ | temperature |

All in-batch targets stand in the denominator, the other positives too; rows and columns without
any positive are left out.

Source: unified work embeddings (UWE), many-to-many InfoNCE on bipartite graphs; with one label per
query and one side it is the supervised contrastive loss of Khosla et al., NeurIPS 2020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["many_to_many"]


def many_to_many(
    similarities: Tensor,
    positives: Tensor,
    *,
    temperature: float,
    ignored: Tensor | None = None,
    symmetric: bool = True,
) -> Tensor:
    """Return the loss, a scalar; 0 if the batch holds no positive.

    Args:
        similarities: [queries, targets] float.
        positives: [queries, targets] bool, the edges.
        temperature: τ > 0.
        ignored: [queries, targets] bool, pairs that are neither positive nor negative: the query
            itself among the targets.
        symmetric: average with the targets' side.

    Raises:
        ValueError: if shapes differ, the temperature is not positive, or a pair is both positive
            and ignored.

    >>> import torch
    >>> row, edges = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[True, True, False]])
    >>> round(many_to_many(row, edges, temperature=1.0, symmetric=False).item(), 5)
    0.90761
    """
    import torch

    if temperature <= 0:
        raise ValueError(f"{temperature=} must be above 0; common values are 0.02 to 0.1")
    if similarities.shape != positives.shape:
        raise ValueError(
            f"similarities {tuple(similarities.shape)} and positives {tuple(positives.shape)} must "
            "have one shape [queries, targets]"
        )
    logits = similarities / temperature
    if ignored is not None:
        if ignored.shape != positives.shape or bool((ignored & positives).any()):
            raise ValueError("ignored pairs need the shape of the positives, and none may be both")
        # Not −∞: a row whose pairs are all ignored would give NaN gradients.
        logits = logits.masked_fill(ignored, torch.finfo(logits.dtype).min / 2)
    loss = _one_side(logits, positives)
    if not symmetric:
        return loss
    return (loss + _one_side(logits.T, positives.T)) / 2


def _one_side(logits: Tensor, positives: Tensor) -> Tensor:
    """Return the mean over rows with a positive."""
    kept = positives.any(1)
    logits, positives = logits[kept], positives[kept]
    if not len(logits):
        return logits.sum()  # 0, with a gradient of 0
    costs = -logits.log_softmax(1).masked_fill(~positives, 0.0).sum(1)
    return (costs / positives.sum(1)).mean()
