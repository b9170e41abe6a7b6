"""InfoNCE: tell the true tail from every other entity of the batch.

    L = − (1/b) Σᵢ log  exp(sᵢ,t(i) / τ) / Σⱼ∉Mᵢ exp(sᵢⱼ / τ)

| symbol | meaning |
|---|---|
| sᵢⱼ | cosine of query i and candidate j |
| t(i) | position of query i's target among the candidates |
| Mᵢ | candidates known to be true as well: masked, else they are punished for being right |
| τ | temperature; small values look at the hardest negatives only |

Other names: in-batch softmax, multiple negatives ranking loss, N-pairs loss. The query's own
entity stays among the negatives unless a link to itself is known. Columns are not normalised
(SimKGC adds that term for pairs): inverse relations already ask every link from both ends.

Source: van den Oord, Li, Vinyals, "Representation learning with contrastive predictive coding",
2018; in link prediction Wang et al., "SimKGC", ACL 2022.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["info_nce"]


def info_nce(
    similarities: Tensor,
    targets: Tensor,
    *,
    temperature: float,
    known: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Return the mean loss, a scalar.

    Args:
        similarities: [b, n] float, cosines of queries and candidates.
        targets: [b] int64, column of each row's true candidate.
        temperature: τ > 0.
        known: (rows, columns) of further true candidates; a target among them is kept.

    Raises:
        ValueError: if the temperature is not positive.

    >>> import torch
    >>> cosines = torch.tensor([[0.8, 0.5, 0.1, 0.6]])
    >>> round(info_nce(cosines, torch.tensor([0]), temperature=0.5).item(), 6)
    0.902487
    >>> known = (torch.tensor([0]), torch.tensor([3]))
    >>> round(info_nce(cosines, torch.tensor([0]), temperature=0.5, known=known).item(), 6)
    0.585233
    """
    import torch
    from torch.nn import functional

    if temperature <= 0:
        raise ValueError(f"{temperature=} must be above 0; common values are 0.02 to 0.2")
    logits = similarities / temperature
    if known is not None:
        rows, columns = known
        others = columns != targets[rows]
        # In place and by index: no copy of the table, and no Boolean mask of its size.
        logits[rows[others], columns[others]] = -torch.inf
    return functional.cross_entropy(logits, targets)
