"""Vectors of texts kept in a folder, so that a corpus is encoded once by each encoder.

The name of a file is the hash of the encoder's fingerprint and of all texts, in order: another
encoder or another text never finds the vectors of this one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrieval.errors import ModelFileError
from retrieval.files import replaced

if TYPE_CHECKING:
    from retrieval.encoders.protocol import EntityEncoder
    from retrieval.ranking import Vectors

__all__ = ["kept_vectors"]


def kept_vectors(encoder: EntityEncoder, folder: Path) -> Callable[[Sequence[str]], Vectors]:
    """Return `encoder.encode`, but with vectors read from the folder where they are in it.

    Raises:
        ModelFileError: by what is returned, if a file in the folder is damaged.
    """

    def encode(texts: Sequence[str]) -> Vectors:
        digest = blake2b(digest_size=16)
        digest.update(json.dumps([encoder.fingerprint, list(texts)]).encode())
        path = folder / f"{digest.hexdigest()}.npy"
        if not path.is_file():
            vectors = encoder.encode(texts)
            folder.mkdir(parents=True, exist_ok=True)
            with replaced(path) as new, new.open("wb") as file:
                np.save(file, vectors)
            return vectors
        try:
            found: Vectors = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ModelFileError(f"{path} cannot be read ({error}); delete it") from error
        if found.shape != (len(texts), encoder.dim):
            raise ModelFileError(f"{path} holds {found.shape=} for {len(texts)=}; delete it")
        return found

    return encode
