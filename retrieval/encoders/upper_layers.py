"""Train the upper layers of a sentence encoder on states that the lower ones gave once.

Fine-tuning a small encoder changes its upper layers most. If the lower ones stay as they are, what
they make of a text stays too, and need not be computed in every step: it is computed once, kept in
a file (float16, 2·width bytes a token), and a step pays for the upper layers alone. With two of
MiniLM's six layers trained a step costs a third, and a pass over a graph of 40,000 entities takes
minutes on a CPU.

Texts are put through in groups of equal length, so nothing is padding and no mask is needed; the
vector is the mean over the tokens, of length one.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.errors import QueryShapeError
from retrieval.files import replaced

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter

    from retrieval.encoders.sentence import SentenceEncoder
    from retrieval.triple_data import IntArray

__all__ = ["UpperLayers"]

#: Texts of equal length in one product.
PIECE: Final = 128
#: Texts whose lower states are computed at a time.
BLOCK: Final = 64


class UpperLayers:
    """The trained upper layers over the kept states of a fixed list of texts.

    Args:
        encoder: whose layers they are; it is not changed.
        texts: of all entities; a row is a position in it.
        layers: how many of the uppermost layers are trained, 0 to all.
        cache: folder where the kept states are looked for and written, under a name that is a hash
            of encoder, layers and texts; in memory if not given.

    Raises:
        QueryShapeError: more layers than the encoder has, or none of its texts.
    """

    def __init__(
        self,
        encoder: SentenceEncoder,
        texts: Sequence[str],
        *,
        layers: int = 2,
        cache: Path | None = None,
    ) -> None:
        tokenizer, model = encoder.parts()
        stack = model.encoder.layer
        if not 0 <= layers <= len(stack) or not texts:
            raise QueryShapeError(
                f"{layers} layers of {len(texts)} texts: train 0 to {len(stack)} layers on 1 text "
                "or more"
            )
        self._encoder = encoder
        self._ids = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
        self.lengths: IntArray = np.array([len(own) for own in self._ids], np.int64)
        self._offsets = np.concatenate([[0], np.cumsum(self.lengths)])
        self.kept = len(stack) - layers
        #: The trained layers, copies of the encoder's.
        self.layers: Any = deepcopy(stack[self.kept :])
        self._states = self._kept_states(model, cache)

    @property
    def tokens(self) -> int:
        """Word pieces of all texts."""
        return int(self._offsets[-1])

    def parameters(self) -> dict[str, Parameter]:
        """Return the trained parameters by name."""
        return dict(self.layers.named_parameters())

    def vectors(self, rows: IntArray) -> Tensor:
        """Return the vectors [n, width] of some texts, of length one, with their graph."""
        import torch
        from torch.nn import functional

        lengths = self.lengths[rows]
        order = np.argsort(lengths, kind="stable")
        parts: list[Tensor] = []
        start = 0
        while start < len(order):
            length = int(lengths[order[start]])
            same = int(np.searchsorted(lengths[order], length, side="right"))
            stop = min(same, start + PIECE)
            own = rows[order[start:stop]]
            places = (self._offsets[own][:, None] + np.arange(length)).ravel()
            states = torch.from_numpy(self._states[places].astype(np.float32))
            states = states.to(self._encoder.device).view(len(own), length, -1)
            for layer in self.layers:
                states = layer(states, None)
            parts.append(functional.normalize(states.mean(1), dim=1))
            start = stop
        return torch.cat(parts)[torch.from_numpy(np.argsort(order))]

    def settled(self) -> Any:
        """Return a copy of the whole model with the layers as they are now."""
        _, model = self._encoder.parts()
        copy: Any = deepcopy(model)
        for layer, trained in zip(copy.encoder.layer[self.kept :], self.layers, strict=True):
            layer.load_state_dict(trained.state_dict())
        return copy.eval()

    def _kept_states(self, model: Any, cache: Path | None) -> Any:
        shape = (self.tokens, int(model.config.hidden_size))
        if cache is None:
            table = np.empty(shape, np.float16)
            self._fill(model, table)
            return table
        digest = blake2b(f"{self._encoder.fingerprint}|{self.kept}".encode(), digest_size=16)
        for own in self._ids:
            digest.update(np.array(own, np.int32).tobytes() + b"|")
        path = cache / f"states-{digest.hexdigest()}.npy"
        if not path.is_file():
            with replaced(path) as new:
                table = np.lib.format.open_memmap(new, "w+", np.float16, shape)
                self._fill(model, table)
                table.flush()
        return np.load(path, mmap_mode="r")

    def _fill(self, model: Any, table: Any) -> None:
        import torch

        order = np.argsort(self.lengths, kind="stable")
        start = 0
        while start < len(order):
            length = int(self.lengths[order[start]])
            same = int(np.searchsorted(self.lengths[order], length, side="right"))
            rows = order[start : min(same, start + BLOCK)]
            ids = torch.tensor([self._ids[row] for row in rows.tolist()])
            ids = ids.to(self._encoder.device)
            with torch.inference_mode():
                states = model(input_ids=ids, output_hidden_states=True).hidden_states[self.kept]
            places = (self._offsets[rows][:, None] + np.arange(length)).ravel()
            table[places] = states.reshape(len(places), -1).cpu().numpy().astype(np.float16)
            start += len(rows)
