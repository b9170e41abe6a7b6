"""What an entity encoder is, and how a saved one is found again.

An encoder turns the text of an entity into one vector, also of an entity that no training saw, so
new entities join an index without training. Every encoder here gives vectors of length one, or the
zero vector for a text of which it knows nothing.

| name | encoder | made by |
|---|---|---|
| `bow` | `BagOfWordsEncoder`: words and character n-grams | training from scratch, in seconds |
| `composed` | `ComposedEncoder`: a sentence encoder, a bag beside it | training, in minutes |
| – | `SentenceEncoder`: any Hugging Face encoder as it is | nothing, or other tools |
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from retrieval.errors import ModelFileError
from retrieval.files import replaced

if TYPE_CHECKING:
    from retrieval.ranking import Vectors

__all__ = ["EntityEncoder", "load_encoder", "write_modules"]

#: What sentence-transformers loads our folders by.
MODULE: Final = "retrieval.encoders.sentence_transformer_module.EncoderModule"


@runtime_checkable
class EntityEncoder(Protocol):
    """Texts in, unit vectors out."""

    @property
    def name(self) -> str:
        """Kind of the encoder."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides a vector."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one vector a text, [n, dim] float32; the same alone or among others (1e-5)."""
        ...

    def save(self, folder: Path) -> None:
        """Write the encoder into a folder that `load_encoder` and `SentenceTransformer` read."""
        ...


def load_encoder(folder: Path) -> EntityEncoder:
    """Return the encoder that stands in a folder: one of ours, or any Hugging Face encoder.

    Raises:
        ModelFileError: the folder holds none, or a damaged one.
    """
    from retrieval.encoders.bag_of_words import BagOfWordsEncoder
    from retrieval.encoders.composed import ComposedEncoder
    from retrieval.encoders.sentence import SentenceEncoder

    description = folder / "encoder.json"
    if not description.is_file():
        return SentenceEncoder(folder)
    try:
        name = json.loads(description.read_text("utf-8"))["encoder"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{description} cannot be read ({error}); train again") from error
    known = {one.name: one for one in (BagOfWordsEncoder, ComposedEncoder)}
    if name not in known:
        raise ModelFileError(
            f"{description} names the encoder {name!r}; this library knows {', '.join(known)}"
        )
    return known[name].load(folder)


def write_modules(folder: Path) -> None:
    """Write the file by which sentence-transformers reads a folder of ours."""
    modules = [{"idx": 0, "name": "0", "path": "", "type": MODULE}]
    with replaced(folder / "modules.json") as new:
        new.write_text(json.dumps(modules, indent=1), encoding="utf-8")
