r"""A reader that counts, and an encoder that finds explanations; both learned from nothing.

The reader compares each number of the body with each of the four slots of an explanation by the
cosine of their vectors, and counts what is alike:

    count_s(x, E) = Σ_i σ(a · cos(e(x_i), mean_{z∈E} e(z_s)) + b)        s = m, n, r, d
    logit(x, E) = MLP(counts, question)

E is a set of explanations, read as the mean of their vectors, slot by slot (a number that is left
out counts for nothing). The encoder that retrieves has a table of its own:

    f(row) = normalise(Σ_p softmax(w)_p · t(row_p)),    p(E|x) ∝ exp(c · mean_{z∈E} f(x)·f(z))

with one w for items (20 places) and one for explanations (5 places): what it has to learn is that
the index is the place that matters. Before training it finds explanations by the numbers that
happen to be shared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from retrieval.explanation_roles.items import BODY, HIGHEST

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = ["Encoder", "Reader"]

#: Length of a vector, and of the reader's hidden layer.
DIM: Final = 64
HIDDEN: Final = 32
#: a and b before training: unequal numbers (cosine near 0) count for little from the start, equal
#: ones (cosine 1) for one.
SHARPNESS: Final = 16.0
BIAS: Final = -8.0
#: c before training.
CONFIDENCE: Final = 20.0


@dataclass
class Reader:
    """Tells the label from an item and its explanations.

    >>> import torch
    >>> reader = Reader.new(torch.Generator().manual_seed(0))
    >>> slots = reader.slots(torch.tensor([[[[5, 6, 7, 8], [5, 0, 7, 8]]]]))
    >>> slots.shape, reader.logits(torch.ones(1, 18).long(), torch.tensor([1]), slots).shape
    (torch.Size([1, 1, 4, 64]), torch.Size([1, 1]))
    """

    numbers: Tensor
    sharpness: Tensor
    bias: Tensor
    first: Tensor
    first_bias: Tensor
    second: Tensor
    second_bias: Tensor

    @classmethod
    def new(cls, generator: Generator) -> Reader:
        """Return an untrained reader."""
        import torch

        def normal(*shape: int, scale: float) -> Tensor:
            return torch.randn(*shape, generator=generator) * scale

        return cls(
            numbers=normal(HIGHEST + 1, DIM, scale=1.0),
            sharpness=torch.tensor(SHARPNESS),
            bias=torch.tensor(BIAS),
            first=normal(10, HIDDEN, scale=10**-0.5),
            first_bias=torch.zeros(HIDDEN),
            second=normal(HIDDEN, scale=HIDDEN**-0.5),
            second_bias=torch.zeros(()),
        )

    def slots(self, explanations: Tensor) -> Tensor:
        """Return the vectors of sets of explanations, [b, sets, C, 4] → [b, sets, 4, d]."""
        said = (explanations > 0).unsqueeze(-1)
        total = (self.numbers[explanations] * said).sum(2)
        return total / said.sum(2).clamp(min=1)

    def logits(self, body: Tensor, question: Tensor, slots: Tensor) -> Tensor:
        """Return the logit of label 1 by each set, [b, sets].

        Args:
            body: [b, 18] numbers.
            question: [b] 1 or 2.
            slots: [b, sets, 4, d].
        """
        import torch
        from torch.nn import functional

        own = functional.normalize(self.numbers[body], dim=-1)
        alike = functional.normalize(slots, dim=-1) @ own.transpose(1, 2).unsqueeze(1)
        counts = torch.sigmoid(self.sharpness * alike + self.bias).sum(-1) / BODY**0.5
        asked = (
            functional.one_hot(question - 1, 2)
            .to(counts)[:, None, :]
            .expand(-1, len(counts[0]), -1)
        )
        seen = torch.cat([counts * asked[..., :1], counts * asked[..., 1:], asked], dim=-1)
        hidden = torch.relu(seen @ self.first + self.first_bias)
        return hidden @ self.second + self.second_bias


@dataclass
class Encoder:
    """Finds explanations for items.

    >>> import torch
    >>> encoder = Encoder.new(9, torch.Generator().manual_seed(0))
    >>> encoder.items(torch.ones(2, 20).long()).shape
    torch.Size([2, 64])
    """

    table: Tensor
    item_places: Tensor
    explanation_places: Tensor
    confidence: Tensor

    @classmethod
    def new(cls, largest: int, generator: Generator) -> Encoder:
        """Return an untrained encoder of numbers up to `largest`."""
        import torch

        table = torch.randn(largest + 1, DIM, generator=generator)
        return cls(table, torch.zeros(BODY + 2), torch.zeros(5), torch.tensor(CONFIDENCE))

    def items(self, rows: Tensor) -> Tensor:
        """Return unit vectors [n, d] of items [n, 20]."""
        return self._encoded(rows, self.item_places)

    def explanations(self, rows: Tensor) -> Tensor:
        """Return unit vectors [n, d] of explanations [n, 5]; a number left out counts for 0."""
        return self._encoded(rows, self.explanation_places)

    def _encoded(self, rows: Tensor, places: Tensor) -> Tensor:
        from torch.nn import functional

        weights = places.softmax(0) * (rows > 0)
        return functional.normalize((weights.unsqueeze(-1) * self.table[rows]).sum(-2), dim=-1)
