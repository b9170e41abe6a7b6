"""Adam on the rows of a table that a batch touches.

A batch of a thousand triples touches a few thousand of a vocabulary's rows. Ordinary Adam moves
all rows at every step, because their moments decay, which costs more than the gradients
themselves. Here the moments of an untouched row wait: for a touched row with gradient g, step t,

    m ← β₁ m + (1 − β₁) g       v ← β₂ v + (1 − β₂) g²
    w ← w − lr · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)

Source: Kingma, Ba, "Adam", ICLR 2015; the lazy form is common for sparse embeddings. If every
batch touches every row it is Adam exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RowAdam"]

BETA_1: Final = 0.9
BETA_2: Final = 0.999
EPSILON: Final = 1e-8

#: Rows updated at a time: four float32 blocks of 256 × 256 stay in a core's own cache.
BLOCK: Final = 256


class RowAdam:
    """Moments of a table [rows, d]; `gather` before the forward pass, `step` after the backward.

    >>> import torch
    >>> table = torch.zeros(3, 2)
    >>> adam = RowAdam(table)
    >>> rows = torch.tensor([1])
    >>> part = adam.gather(rows)
    >>> part.sum().backward()
    >>> adam.step(rows, part, lr=0.1)
    >>> [[round(value, 3) for value in row] for row in table.tolist()]
    [[0.0, 0.0], [-0.1, -0.1], [0.0, 0.0]]
    """

    def __init__(self, table: Tensor) -> None:
        import torch

        self.table = table
        self._mean = torch.zeros_like(table)
        self._square = torch.zeros_like(table)
        self._steps = 0

    def state(self) -> dict[str, Tensor]:
        """Return the moments and the number of steps: with the table, all that a resume needs."""
        import torch

        steps = torch.tensor(self._steps)
        return {"mean": self._mean, "square": self._square, "steps": steps}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on at a state."""
        self._mean.copy_(state["mean"])
        self._square.copy_(state["square"])
        self._steps = int(state["steps"])

    def gather(self, rows: Tensor) -> Tensor:
        """Return a copy of some rows [n, d] that collects their gradient; rows are distinct."""
        return self.table[rows].requires_grad_()

    def step(self, rows: Tensor, part: Tensor, *, lr: float) -> None:
        """Move the rows by the gradient that `part`, made by `gather`, has collected."""
        import torch

        self._steps += 1
        gradient = part.grad
        if gradient is None:
            return
        rate = lr / (1 - BETA_1**self._steps)
        correction = 1 / math.sqrt(1 - BETA_2**self._steps)
        with torch.no_grad():
            for start in range(0, len(rows), BLOCK):
                block = slice(start, start + BLOCK)
                own, slope = rows[block], gradient[block]
                mean = self._mean[own].lerp_(slope, 1 - BETA_1)
                square = self._square[own].mul_(BETA_2).addcmul_(slope, slope, value=1 - BETA_2)
                self._mean[own] = mean
                self._square[own] = square
                divisor = square.sqrt_().mul_(correction).add_(EPSILON)
                self.table[own] = part[block].addcdiv(mean, divisor, value=-rate)
