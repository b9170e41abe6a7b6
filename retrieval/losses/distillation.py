r"""Learning from a teacher's scores: squared logits (DSE) and KL of a list (LLM-R).

    squared_logits = Σ (student − teacher)²
    list_kl        = mean over queries of KL( softmax(teacher / τ) ‖ softmax(student) )

Squared logits teach a pair scorer the teacher's own scale; they are mixed with the task's loss as
(1 − α)·task + α·squared (`distilled`). The KL form teaches only the order and the spacing within
one list, so the teacher may be any cross-encoder of another scale.

Sources: Barkan et al., "Scalable attentive sentence-pair modeling via distilled sentence embedding"
(DSE), AAAI 2020; Wang et al., "Learning to retrieve in-context examples for large language models"
(LLM-R), EACL 2024.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["distilled", "list_kl", "squared_logits"]


def squared_logits(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the sum of squared differences of two equal shapes, a scalar.

    Raises:
        ValueError: if the shapes differ: they would be stretched to a table without notice.

    >>> import torch
    >>> squared_logits(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0])).item()
    5.0
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"student {tuple(student.shape)} and teacher {tuple(teacher.shape)} must have one shape"
        )
    return (student - teacher.detach()).square().sum()


def distilled(task: Tensor, student: Tensor, teacher: Tensor, *, alpha: float = 0.5) -> Tensor:
    """Return (1 − α)·task + α·squared logits, a scalar.

    Raises:
        ValueError: if α is not in [0, 1], or the shapes of student and teacher differ.

    >>> import torch
    >>> distilled(torch.tensor(2.0), torch.tensor([1.0]), torch.tensor([3.0]), alpha=0.25).item()
    2.5
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"{alpha=} must be in [0, 1]; the paper has 0.5")
    return (1 - alpha) * task + alpha * squared_logits(student, teacher)


def list_kl(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Return the mean KL divergence over queries, a scalar; 0 when the two lists agree.

    Args:
        student: [queries, candidates] logits, temperature already applied.
        teacher: [queries, candidates] scores.
        temperature: τ > 0 of the teacher.

    Raises:
        ValueError: if the shapes differ or the temperature is not positive.

    >>> import torch
    >>> round(list_kl(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]])).item(), 4)
    0.1109
    """
    from torch.nn import functional

    if student.shape != teacher.shape or temperature <= 0:
        raise ValueError(
            f"student {tuple(student.shape)} and teacher {tuple(teacher.shape)} must have one "
            f"shape, and {temperature=} be above 0"
        )
    target = (teacher.detach() / temperature).log_softmax(1)
    return functional.kl_div(student.log_softmax(1), target, reduction="batchmean", log_target=True)
