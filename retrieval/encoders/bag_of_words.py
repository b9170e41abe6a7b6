r"""Bag of words and character n-grams: the encoder that trains in seconds, without weights.

    e(text) = normalise( mean of the embeddings of the text's known features )

| feature | taken from | why |
|---|---|---|
| word | the first 32 lower-case `\w+` words | meaning of names and descriptions |
| character 4-gram of `^word$`, apart from words | the first 6 words | new names share parts |

The vocabulary holds the features of at least `min_count` (2) *training* entities, so that nothing
of an entity held out for a test is looked at before the test. A graph of a few hundred entities is
better served by `min_count=1`: there most words occur once and are an entity's own embedding.

A text without any known feature gets the zero vector: it is as near to everything as to nothing,
and the query made of it is the relation's own offset, "what usually stands there".

The form (mean of embeddings) is the BOW baseline of Daza, Cochez, Groth, "Inductive entity
representations from text via link prediction", WWW 2021; features and loss are ours.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.encoders.protocol import write_modules
from retrieval.errors import ModelFileError
from retrieval.files import replaced
from retrieval.known_links import expand_ranges
from retrieval.triple_data import IntArray

if TYPE_CHECKING:
    from torch import Tensor

    from retrieval.ranking import Vectors

__all__ = ["BagOfWordsEncoder", "Features", "features_of"]

#: Words of a text that count, and how many of them are also cut into character n-grams.
WORDS: Final = 32
SPELLED_WORDS: Final = 6
GRAM: Final = 4

#: Standard deviation of the embeddings before training.
INITIAL_SCALE: Final = 0.1

#: Length below which a sum counts as zero (no known feature).
SHORTEST: Final = 1e-12

#: Texts encoded at a time, so that their features fit in memory.
BLOCK: Final = 1024

#: Version of the files that `save` writes.
FORMAT: Final = 1

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Features:
    """Feature numbers of many texts, ragged: text i has `values[offsets[i]:offsets[i + 1]]`."""

    values: IntArray
    offsets: IntArray

    def take(self, rows: IntArray) -> Features:
        """Return the features of some texts, in the given order."""
        first, last = self.offsets[rows], self.offsets[rows + 1]
        _, places = expand_ranges(first, last)
        offsets = np.concatenate([[0], np.cumsum(last - first)])
        return Features(self.values[places], offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1


def features_of(text: str) -> list[str]:
    """Return the features of a text; the first letter is the name space.

    >>> features_of("Ada L.")
    ['wada', 'wl', 'c^ada', 'cada$']
    """
    words = _WORD.findall(text.lower())[:WORDS]
    found = ["w" + word for word in words]
    for word in words[:SPELLED_WORDS]:
        spelled = f"^{word}$"
        found += ["c" + spelled[at : at + GRAM] for at in range(len(spelled) - GRAM + 1)]
    return found


class BagOfWordsEncoder:
    """Mean of feature embeddings, length one.

    >>> encoder = BagOfWordsEncoder.fit(["red wine", "white wine"], dim=8, seed=0)
    >>> encoder.encode(["wine", "quark"]).shape, encoder.dim
    ((2, 8), 8)
    >>> float(np.abs(encoder.encode(["quark"])).sum())
    0.0
    """

    name: Final = "bow"

    def __init__(self, vocabulary: Sequence[str], weights: Vectors, *, min_count: int) -> None:
        if weights.shape[0] != len(vocabulary):
            raise ModelFileError(f"{weights.shape=} does not fit {len(vocabulary)=}")
        self.vocabulary = tuple(vocabulary)
        self.weights = weights
        self.min_count = min_count
        self._number = {feature: number for number, feature in enumerate(self.vocabulary)}

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        *,
        dim: int = 256,
        min_count: int = 2,
        seed: int = 0,
        scale: float = INITIAL_SCALE,
    ) -> BagOfWordsEncoder:
        """Return an untrained encoder whose vocabulary comes from the texts of training entities.

        Args:
            texts: one text per training entity.
            dim: length of a vector.
            min_count: entities that a feature must occur in.
            seed: of the initial embeddings.
            scale: their standard deviation.
        """
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(set(features_of(text)))
        vocabulary = sorted(feature for feature, count in counts.items() if count >= min_count)
        random = np.random.default_rng(seed)
        weights = random.standard_normal((len(vocabulary), dim), np.float32)
        weights *= scale
        return cls(vocabulary, weights, min_count=min_count)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.weights.shape[1])

    @property
    def fingerprint(self) -> str:
        """Hash of vocabulary, weights and options: equal fingerprints encode equally."""
        digest = blake2b(digest_size=16)
        digest.update(json.dumps([FORMAT, WORDS, SPELLED_WORDS, GRAM, self.dim]).encode())
        digest.update("\n".join(self.vocabulary).encode())
        digest.update(np.ascontiguousarray(self.weights).tobytes())
        return digest.hexdigest()

    def features(self, texts: Iterable[str]) -> Features:
        """Return the known features of texts, as numbers of the vocabulary."""
        values: list[int] = []
        offsets = [0]
        number = self._number
        for text in texts:
            values += [number[feature] for feature in features_of(text) if feature in number]
            offsets.append(len(values))
        return Features(np.array(values, np.int64), np.array(offsets, np.int64))

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one vector a text, [n, dim] float32, of length 1, or 0 without known feature.

        The same text gives the same vector alone or in any batch.
        """
        return self.encode_features(self.features(texts))

    def encode_features(self, features: Features) -> Vectors:
        """Return the vectors of texts whose features are known already, [n, dim] float32."""
        sums = self._sums(features)
        lengths = np.sqrt(np.einsum("ij,ij->i", sums, sums))[:, None]
        return np.asarray(sums / np.maximum(lengths, SHORTEST), np.float32)

    def means(self, features: Features) -> Vectors:
        """Return the mean of each text's embeddings, [n, dim] float32, not scaled."""
        counts = np.maximum(np.diff(features.offsets), 1)[:, None]
        return np.asarray(self._sums(features) / counts, np.float32)

    def _sums(self, features: Features) -> Vectors:
        sums = np.zeros((len(features), self.dim), np.float32)
        for start in range(0, len(features), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(features)))
            part = features.take(rows)
            full = rows[np.diff(part.offsets) > 0]
            if len(full):
                first = features.offsets[full] - features.offsets[start]
                sums[full] = np.add.reduceat(self.weights[part.values], first, axis=0)
        return sums

    def save(self, folder: Path) -> None:
        """Write `encoder.safetensors` and `encoder.json` into a folder, which is made if needed."""
        from safetensors.numpy import save_file

        write_modules(folder)
        with replaced(folder / "encoder.safetensors") as new:
            save_file({"weights": np.ascontiguousarray(self.weights)}, new)
        description = {
            "format": FORMAT,
            "encoder": self.name,
            "min_count": self.min_count,
            "vocabulary": self.vocabulary,
        }
        with replaced(folder / "encoder.json") as new:
            new.write_text(json.dumps(description, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> BagOfWordsEncoder:
        """Return the encoder that `save` wrote into a folder.

        Raises:
            ModelFileError: if a file is missing, damaged or of another format.
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
            weights = load_file(folder / "encoder.safetensors")["weights"]
            return cls(description["vocabulary"], weights, min_count=description["min_count"])
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise ModelFileError(
                f"the encoder in {folder} cannot be read ({error}); train again"
            ) from error


def bag(weights: Tensor, features: Features) -> Tensor:
    """Return normalise(mean of the embeddings) for each text, [n, d]; differentiable in `weights`.

    The training twin of `encode_features`. The mean's divisor cancels in the normalisation, so the
    sum is normalised.
    """
    import torch
    from torch.nn import functional

    sums = functional.embedding_bag(
        torch.from_numpy(features.values),
        weights,
        torch.from_numpy(features.offsets),
        mode="sum",
        include_last_offset=True,
    )
    return functional.normalize(sums, dim=1, eps=SHORTEST)
