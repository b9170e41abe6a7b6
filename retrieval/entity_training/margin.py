"""Keep every true triple a margin ahead of corrupted ones: BLP's loss.

    L = mean over triples and negatives of max(0, m − s⁺ + s⁻)      (soft: log(1 + e^{m − s⁺ + s⁻}))
        + λ · (mean h² + mean r² + mean t²) / 3

A negative is a triple of the batch with its head or its tail (a coin decides) replaced by an end of
another triple of the batch, drawn with replacement. Corruptions that happen to be true are **not**
left out, as in the paper's code: `mask_known` does it.

Source: Daza, Cochez, Groth, "Inductive entity representations from text via link prediction", WWW
2021, equation 3; negatives and regulariser as its code has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retrieval.errors import QueryShapeError
from retrieval.heads.base import rows_of

if TYPE_CHECKING:
    from torch import Tensor

    from retrieval.entity_training.batches import EntityBatch
    from retrieval.heads.protocol import RelationHead
    from retrieval.triple_data import IntArray

__all__ = ["Margin", "MarginOptions"]


@dataclass(frozen=True, slots=True)
class MarginOptions:
    """See the module.

    Raises:
        QueryShapeError: a number out of range.
    """

    negatives: int = 64
    margin: float = 1.0
    soft: bool = False
    #: λ: 1e-3 for ComplEx, 0 for the other heads, 1e-2 for bags of words.
    regularisation: float = 0.0
    mask_known: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.negatives < 1 or self.margin <= 0 or self.regularisation < 0:
            raise QueryShapeError(
                f"{self.negatives=} must be 1 or more, {self.margin=} above 0 and "
                f"{self.regularisation=} not below"
            )


class Margin:
    """The loss of one batch after the other.

    Args:
        triples: [n, 3] training triples, for `mask_known`.
        relations: R.
        options: see there.
    """

    def __init__(
        self, triples: IntArray, *, relations: int, options: MarginOptions | None = None
    ) -> None:
        self.options = options or MarginOptions()
        self._relations = relations
        self._entities = int(triples[:, [0, 2]].max(initial=0)) + 1
        self._keys = np.unique(self._key(triples))
        self._random = np.random.default_rng(self.options.seed)

    @property
    def parameters(self) -> dict[str, Tensor]:
        """Nothing is trained here."""
        return {}

    def state(self) -> dict[str, Tensor]:
        """Return the generator's state."""
        import json

        import torch

        text = json.dumps(self._random.bit_generator.state).encode()
        return {"random": torch.tensor(list(text), dtype=torch.uint8)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on at a state."""
        import json

        self._random.bit_generator.state = json.loads(bytes(state["random"].tolist()))

    def loss(self, vectors: Tensor, batch: EntityBatch, head: RelationHead) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            vectors: [k, d] of the batch's entities.
            batch: with its triples.
            head: that scores triples.

        Raises:
            QueryShapeError: a batch of one triple, which has no other to draw ends of.
        """
        import torch
        from torch.nn import functional

        triples = batch.triples
        if len(triples) < 2:
            raise QueryShapeError("a batch of one triple has no negatives; make batches larger")
        heads, tails = self._corrupted(triples)
        own = torch.from_numpy(triples)
        relations = own[:, 1]
        true_heads, true_tails = rows_of(vectors, own[:, 0]), rows_of(vectors, own[:, 2])
        true = head.score(true_heads, relations, true_tails)
        false = head.score(
            rows_of(vectors, torch.from_numpy(heads)),
            relations[:, None].expand(heads.shape),
            rows_of(vectors, torch.from_numpy(tails)),
        )
        gaps = self.options.margin - true[:, None] + false
        losses = functional.softplus(gaps) if self.options.soft else functional.relu(gaps)
        if self.options.mask_known:
            global_heads, global_tails = batch.entities[heads], batch.entities[tails]
            keys = self._key_of(global_heads, triples[:, 1][:, None], global_tails)
            places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
            innocent = torch.from_numpy(self._keys[places] != keys)
            value = (losses * innocent).sum() / innocent.sum().clamp(min=1)
        else:
            value = losses.mean()
        if self.options.regularisation:
            of_relations = rows_of(next(iter(head.parameters().values())), relations)
            squares = (
                true_heads.square().mean()
                + of_relations.square().mean()
                + true_tails.square().mean()
            )
            value = value + self.options.regularisation * squares / 3
        return value

    def _corrupted(self, triples: IntArray) -> tuple[IntArray, IntArray]:
        """Return heads and tails [n, negatives], one of them drawn from another triple."""
        shape = (len(triples), self.options.negatives)
        others = self._random.integers(1, len(triples), shape)
        others = (others + np.arange(len(triples))[:, None]) % len(triples)
        drawn = triples[others, 2 * self._random.integers(0, 2, shape)]
        swap_head = self._random.integers(0, 2, shape).astype(bool)
        heads = np.where(swap_head, drawn, triples[:, 0][:, None])
        tails = np.where(swap_head, triples[:, 2][:, None], drawn)
        return heads, tails

    def _key(self, triples: IntArray) -> IntArray:
        return self._key_of(triples[:, 0], triples[:, 1], triples[:, 2])

    def _key_of(self, heads: IntArray, relations: IntArray, tails: IntArray) -> IntArray:
        return (heads * self._relations + relations) * self._entities + tails
