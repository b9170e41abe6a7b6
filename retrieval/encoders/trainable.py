"""A sentence encoder that is trained: gradients in, a plain sentence-transformers folder out.

Freezing: the word embeddings and the lowest layers of a small encoder hardly change in fine-tuning,
but half of a step is spent on their gradients. With `frozen_layers=n` they get none, so a step
costs the forward pass and the backward pass of the upper layers only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.encoders.sentence import SentenceEncoder
from retrieval.errors import ModelFileError, QueryShapeError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor
    from torch.nn import Parameter

    from retrieval.ranking import Vectors

__all__ = ["TrainableEncoder", "opened"]

#: Texts in one forward pass of training; they are sorted by length, so that little is padding.
PIECE: Final = 16


def opened(base: Path | SentenceTransformer | None, *, device: str = "cpu") -> SentenceTransformer:
    """Return a sentence-transformers model: given, read from a folder, or the installed MiniLM.

    Raises:
        ModelFileError: the folder cannot be read.
    """
    from sentence_transformers import SentenceTransformer

    if isinstance(base, SentenceTransformer):
        return base
    folder = base or SentenceEncoder().folder
    if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
        raise ModelFileError(f"{folder} holds no encoder; give a folder of sentence-transformers")
    try:
        return SentenceTransformer(str(folder), device=device)
    except (OSError, ValueError, KeyError) as error:
        raise ModelFileError(f"the encoder {folder} cannot be read ({error})") from error


class TrainableEncoder:
    """Vectors of texts with gradients, from a model of sentence-transformers.

    Args:
        base: a folder or a model; the installed all-MiniLM-L6-v2 if not given. A model that is
            given is changed by training.
        frozen_layers: how many of the lowest layers keep their weights; with one or more the word
            embeddings keep theirs too.
        longest: word pieces of a text that are read.
        device: where torch computes.

    Raises:
        ModelFileError: the folder cannot be read.
        QueryShapeError: the model has fewer layers than are to be frozen.
    """

    def __init__(
        self,
        base: Path | SentenceTransformer | None = None,
        *,
        frozen_layers: int = 0,
        longest: int = 128,
        device: str = "cpu",
    ) -> None:
        self.model = opened(base, device=device)
        self.model.max_seq_length = min(longest, self.model.max_seq_length or longest)
        for parameter in self.model.parameters():
            parameter.requires_grad_(True)
        if frozen_layers:
            backbone: Any = self.model[0].auto_model
            layers = _layers(backbone)
            if not 0 <= frozen_layers <= len(layers):
                raise QueryShapeError(
                    f"frozen_layers is {frozen_layers}; this encoder has {len(layers)} layers"
                )
            for module in (backbone.embeddings, *layers[:frozen_layers]):
                module.requires_grad_(False)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return len(self.encode(["a"])[0])

    @property
    def trained(self) -> dict[str, Parameter]:
        """The parameters that training changes, by name."""
        return {
            name: parameter
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad
        }

    def vectors(self, texts: Sequence[str], *, piece: int = PIECE) -> Tensor:
        """Return the vectors [texts, dim] with their graph; the mode (dropout) is the model's."""
        import torch

        order, pieces = by_length(texts, piece)
        parts = [self.forward(part)["sentence_embedding"] for part in pieces]
        return torch.cat(parts)[torch.as_tensor(np.argsort(order))]

    def tokens(self, texts: Sequence[str], *, piece: int = PIECE) -> tuple[Tensor, Tensor]:
        """Return the token vectors [texts, longest, dim] with their graph, and which are tokens."""
        import torch
        from torch.nn import functional

        order, pieces = by_length(texts, piece)
        read = [self.forward(part) for part in pieces]
        longest = max(part["attention_mask"].shape[1] for part in read)
        padding = [longest - part["attention_mask"].shape[1] for part in read]
        states = [
            functional.pad(part["token_embeddings"], (0, 0, 0, missing))
            for part, missing in zip(read, padding, strict=True)
        ]
        masks = [
            functional.pad(part["attention_mask"].bool(), (0, missing))
            for part, missing in zip(read, padding, strict=True)
        ]
        back = torch.as_tensor(np.argsort(order))
        return torch.cat(states)[back], torch.cat(masks)[back]

    def forward(self, texts: Sequence[str]) -> dict[str, Any]:
        """Return what the model's modules give for one piece: vectors, token vectors, mask."""
        from sentence_transformers.util import batch_to_device

        features = self.model.preprocess(list(texts))
        answer: dict[str, Any] = self.model(batch_to_device(features, self.model.device))
        return answer

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors [texts, dim] float32 without gradient and without dropout."""
        mode = self.model.training
        vectors = self.model.encode(
            list(texts), batch_size=PIECE, show_progress_bar=False, convert_to_numpy=True
        )
        self.model.train(mode)
        return np.asarray(vectors, np.float32).reshape(len(texts), -1)

    def save(self, folder: Path, *, prompts: Mapping[str, str] | None = None) -> None:
        """Write a folder that `SentenceTransformer(folder)` reads.

        Args:
            folder: where to; made if missing.
            prompts: name → text in front of a query, for `encode(..., prompt_name=name)`.
        """
        self.model.prompts = {**self.model.prompts, **(prompts or {})}
        self.model.save(str(folder), create_model_card=False)


def by_length(texts: Sequence[str], piece: int) -> tuple[list[int], list[list[str]]]:
    """Return the order of the texts by length, and the texts in that order cut into pieces.

    >>> by_length(["ccc", "a", "bb"], 2)
    ([1, 2, 0], [['a', 'bb'], ['ccc']])
    """
    order = sorted(range(len(texts)), key=lambda at: (len(texts[at]), at))
    sorted_texts = [texts[at] for at in order]
    return order, [sorted_texts[at : at + piece] for at in range(0, len(order), piece)]


def _layers(backbone: Any) -> Any:
    for holder in ("encoder", "transformer"):
        layers = getattr(getattr(backbone, holder, None), "layer", None)
        if layers is not None and hasattr(backbone, "embeddings"):
            return layers
    raise QueryShapeError(
        f"{type(backbone).__name__} shows no layers that could be frozen; use frozen_layers=0"
    )
