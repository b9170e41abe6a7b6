"""Encoders as training sees them: rows of a fixed list of texts in, vectors with a graph out.

| trainee | of | dense parameters | table |
|---|---|---|---|
| `BagTrainee` | `BagOfWordsEncoder` | none | embeddings of features |
| `ComposedTrainee` | `ComposedEncoder` | projection, upper layers | embeddings of features |

A table's gradient touches the rows of a batch only, so `RowAdam` moves those; everything else is
dense and goes to an ordinary optimiser. Texts are cut into features and word pieces once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from retrieval.encoders.bag_of_words import SHORTEST, BagOfWordsEncoder, Features, bag
from retrieval.encoders.composed import BAG_WEIGHT, ComposedEncoder
from retrieval.encoders.sentence import SentenceEncoder
from retrieval.encoders.upper_layers import UpperLayers
from retrieval.row_adam import RowAdam

if TYPE_CHECKING:
    from torch import Tensor

    from retrieval.encoders.protocol import EntityEncoder
    from retrieval.ranking import Vectors
    from retrieval.triple_data import IntArray

__all__ = ["BagTrainee", "ComposedTrainee", "Trainee"]

#: Standard deviation of the bag's embeddings beside a sentence vector, before training.
SMALL_SCALE: Final = 0.02
#: Word pieces of an entity's text that the composed encoder reads.
LONGEST: Final = 48
#: Rows encoded at a time without a graph.
BLOCK: Final = 2048


class Trainee(Protocol):
    """An encoder in training."""

    #: The embeddings of features.
    table: RowAdam

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def dense(self) -> Mapping[tuple[str, str], Tensor]:
        """(group, name) → parameter; the group decides the learning rate: "upper" or "dense"."""
        ...

    def vectors(self, rows: IntArray) -> Tensor:
        """Return the vectors [n, dim] of some texts, of length one, with their graph."""
        ...

    def step(self, rate: float) -> None:
        """Move the table's rows that the last `vectors` used, by their gradient."""
        ...

    def encoded(self) -> Vectors:
        """Return the vectors of all texts as they are now, [n, dim]."""
        ...

    def encoder(self) -> EntityEncoder:
        """Return the encoder as it is now."""
        ...


class _Table:
    """The rows of the embedding table that a batch touches."""

    def __init__(self, encoder: BagOfWordsEncoder, texts: Sequence[str]) -> None:
        import torch

        self.features = encoder.features(texts)
        # Shares memory with the encoder's array, which is so trained in place.
        self.adam = RowAdam(torch.from_numpy(encoder.weights))
        self._place = np.zeros(len(encoder.vocabulary), np.int64)
        self._touched = np.zeros(len(encoder.vocabulary), bool)
        self._last: tuple[Any, Any] | None = None

    def gather(self, rows: IntArray) -> tuple[Tensor, Features]:
        """Return the touched embeddings, and the features as positions among them."""
        import torch

        features = self.features.take(rows)
        self._touched[features.values] = True
        touched = np.flatnonzero(self._touched)
        self._touched[touched] = False
        self._place[touched] = np.arange(len(touched))
        indices = torch.from_numpy(touched)
        part = self.adam.gather(indices)
        self._last = (indices, part)
        return part, Features(self._place[features.values], features.offsets)

    def step(self, rate: float) -> None:
        """Move the rows of the last `gather`."""
        if self._last is not None:
            self.adam.step(*self._last, lr=rate)
            self._last = None


class BagTrainee:
    """A bag of words in training.

    Args:
        encoder: untrained, or trained further; changed in place.
        texts: of all entities.
    """

    def __init__(self, encoder: BagOfWordsEncoder, texts: Sequence[str]) -> None:
        self._encoder = encoder
        self._table = _Table(encoder, texts)
        self.table = self._table.adam
        self.dense: dict[tuple[str, str], Tensor] = {}

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._encoder.dim

    def vectors(self, rows: IntArray) -> Tensor:
        """Return the vectors [n, dim] of some texts, with their graph."""
        return bag(*self._table.gather(rows))

    def step(self, rate: float) -> None:
        """Move the embeddings that the last `vectors` used."""
        self._table.step(rate)

    def encoded(self) -> Vectors:
        """Return the vectors of all texts as they are now."""
        return self._encoder.encode_features(self._table.features)

    def encoder(self) -> BagOfWordsEncoder:
        """Return the encoder."""
        return self._encoder


class ComposedTrainee:
    """A sentence encoder and a bag in training.

    Args:
        texts: of all entities.
        trained: rows of the training entities, whose features make the vocabulary.
        sentence: where the sentence part starts; the installed MiniLM if not given.
        layers: its uppermost layers that are trained; 0: it is frozen.
        bag: False leaves the bag out.
        min_count: training entities that a feature must occur in.
        seed: of the bag's embeddings.
        cache: folder for the lower layers' states (`UpperLayers`).
    """

    def __init__(
        self,
        texts: Sequence[str],
        trained: IntArray,
        *,
        sentence: SentenceEncoder | None = None,
        layers: int = 0,
        bag: bool = True,
        min_count: int = 2,
        seed: int = 0,
        cache: Path | None = None,
    ) -> None:
        import torch

        self._sentence = sentence or SentenceEncoder(longest=LONGEST)
        dim = self._sentence.dim
        self._bag = BagOfWordsEncoder.fit(
            [texts[row] for row in trained.tolist()] if bag else [],
            dim=dim,
            min_count=min_count,
            seed=seed,
            scale=SMALL_SCALE,
        )
        self._table = _Table(self._bag, texts)
        self.table = self._table.adam
        self._layers = layers
        self._upper = UpperLayers(self._sentence, texts, layers=layers, cache=cache)
        self._projection = torch.eye(dim).requires_grad_()
        self.dense: dict[tuple[str, str], Tensor] = {("dense", "projection"): self._projection}
        for name, parameter in self._upper.parameters().items():
            self.dense["upper", name] = parameter

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._bag.dim

    def vectors(self, rows: IntArray) -> Tensor:
        """Return the vectors [n, dim] of some texts, with their graph."""
        return self._composed(self._upper.vectors(rows), *self._table.gather(rows))

    def step(self, rate: float) -> None:
        """Move the embeddings that the last `vectors` used."""
        self._table.step(rate)

    def encoded(self) -> Vectors:
        """Return the vectors of all texts as they are now."""
        import torch

        parts = []
        with torch.no_grad():
            for start in range(0, len(self._table.features), BLOCK):
                rows = np.arange(start, min(start + BLOCK, len(self._table.features)))
                features = self._table.features.take(rows)
                parts.append(
                    self._composed(self._upper.vectors(rows), self.table.table, features).numpy()
                )
        return np.concatenate(parts)

    def encoder(self) -> ComposedEncoder:
        """Return the encoder with weights as they are now."""
        return ComposedEncoder(
            self._sentence,
            self._projection.detach().numpy().copy(),
            self._bag,
            model=self._upper.settled() if self._layers else None,
        )

    def _composed(self, meaning: Tensor, weights: Tensor, features: Features) -> Tensor:
        import torch
        from torch.nn import functional

        sums = meaning @ self._projection
        if not len(weights):
            return functional.normalize(sums, dim=1, eps=SHORTEST)
        means = functional.embedding_bag(
            torch.from_numpy(features.values),
            weights,
            torch.from_numpy(features.offsets),
            mode="mean",
            include_last_offset=True,
        )
        return functional.normalize(sums + BAG_WEIGHT * means, dim=1, eps=SHORTEST)
