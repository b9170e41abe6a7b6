"""A sentence encoder and a trained bag of words and character n-grams, added up.

    e(text) = normalise( s(text) · P + 4 · mean of the embeddings of the text's known features )

| part | knows | trained |
|---|---|---|
| s | what words mean, from its pretraining; length one | its upper layers, or not at all |
| P | which of that this graph is about | always; starts as the identity |
| features | names: spelling, parts of words, rare words | always; starts near zero |

A frozen sentence encoder knows little of spelling ("happy", "happiness", "unhappily" are links of
a dictionary), a bag knows nothing of meaning; each alone is far worse on such graphs. The factor 4
lets the bag's step keep up with a vector of length one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.encoders.bag_of_words import SHORTEST, BagOfWordsEncoder
from retrieval.encoders.protocol import write_modules
from retrieval.encoders.sentence import LONGEST, SentenceEncoder
from retrieval.errors import ModelFileError
from retrieval.files import replaced

if TYPE_CHECKING:
    from retrieval.ranking import Vectors

__all__ = ["BAG_WEIGHT", "ComposedEncoder"]

#: Weight of the bag's mean beside the sentence vector.
BAG_WEIGHT: Final = 4.0

#: Version of the files that `save` writes.
FORMAT: Final = 1


class ComposedEncoder:
    """Sentence vector and bag, length one.

    Args:
        sentence: the sentence encoder.
        projection: P, [its dim, dim] float32.
        bag: of the same `dim`; its embeddings are used as they are, before normalisation.
        model: the sentence encoder's weights where training changed them.

    Raises:
        ModelFileError: the parts do not fit each other.
    """

    name: Final = "composed"

    def __init__(
        self,
        sentence: SentenceEncoder,
        projection: Vectors,
        bag: BagOfWordsEncoder,
        *,
        model: Any = None,
    ) -> None:
        if projection.shape != (sentence.dim, bag.dim):
            raise ModelFileError(
                f"{projection.shape=} does not fit {sentence.dim=} and {bag.dim=}; train again"
            )
        self.sentence, self.projection, self.bag = sentence, projection, bag
        self._model = model

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.bag.dim

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all parts; of the sentence encoder the weights, in whatever file they lie."""
        digest = blake2b(digest_size=16)
        digest.update(f"{FORMAT}|{BAG_WEIGHT}|{self.sentence.longest}".encode())
        model = self.sentence.parts()[1] if self._model is None else self._model
        for name, tensor in sorted(model.state_dict().items()):
            digest.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
        digest.update(np.ascontiguousarray(self.projection).tobytes())
        digest.update(self.bag.fingerprint.encode())
        return digest.hexdigest()

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one vector a text, [n, dim] float32, of length one."""
        meaning = self.sentence.encode(texts, model=self._model) @ self.projection
        return composed(meaning, self.bag.means(self.bag.features(texts)))

    def save(self, folder: Path) -> None:
        """Write the parts into a folder, which is made if needed."""
        from safetensors.numpy import save_file

        write_modules(folder)
        self.bag.save(folder / "bag")
        self.sentence.save(folder / "sentence", model=self._model)
        with replaced(folder / "projection.safetensors") as new:
            save_file({"projection": np.ascontiguousarray(self.projection)}, new)
        description = {
            "format": FORMAT,
            "encoder": self.name,
            "longest": self.sentence.longest,
        }
        with replaced(folder / "encoder.json") as new:
            new.write_text(json.dumps(description), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> ComposedEncoder:
        """Return the encoder that `save` wrote into a folder.

        Raises:
            ModelFileError: a file is missing, damaged or of another format.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            description = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
            if description.get("format") != FORMAT or description.get("encoder") != cls.name:
                raise ModelFileError(
                    f"{folder / 'encoder.json'} holds {description.get('encoder')!r} of format "
                    f"{description.get('format')!r}, this library reads {cls.name!r} of format "
                    f"{FORMAT}; train again"
                )
            longest = int(description.get("longest", LONGEST))
            projection = load_file(folder / "projection.safetensors")["projection"]
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise ModelFileError(
                f"the encoder in {folder} cannot be read ({error}); train again"
            ) from error
        sentence = SentenceEncoder(folder / "sentence", longest=longest)
        return cls(sentence, projection, BagOfWordsEncoder.load(folder / "bag"))


def composed(meaning: Vectors, spelling: Vectors) -> Vectors:
    """Return the sum of both parts [n, dim], of length one.

    >>> composed(np.array([[3.0, 0.0]]), np.array([[0.0, 1.0]])).round(1).tolist()
    [[0.6, 0.8]]
    """
    sums = meaning + BAG_WEIGHT * spelling
    lengths = np.sqrt(np.einsum("ij,ij->i", sums, sums))[:, None]
    return np.asarray(sums / np.maximum(lengths, SHORTEST), np.float32)
