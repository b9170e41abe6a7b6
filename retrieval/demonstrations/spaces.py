"""Where demonstrations are searched: a lexical space, or the vector space of an encoder.

A space holds one pool per task under ascending integer keys, and searches one pool, or several as
if they were one. Ties go to the lowest key.

| space | a query is | a demonstration is |
|---|---|---|
| lexical | its input | its input |
| dense | `encoded_text.query_text` | `encoded_text.demo_text` |

A lexical space reads no instruction: words that every text of a pool shares would do nothing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from retrieval.demonstrations.encoded_text import demo_text, query_text
from retrieval.demonstrations.lexical import (
    WEIGHTINGS,
    LexicalIndex,
    Statistics,
    Vocabulary,
    Weighting,
    words,
)
from retrieval.demonstrations.task import Demo
from retrieval.errors import ModelFileError, QueryShapeError
from retrieval.matrix_index import MatrixIndex
from retrieval.ranking import Vectors
from retrieval.rows import Similarity, unit
from retrieval.vector_index import VectorIndex

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = [
    "NAMES",
    "DenseSpace",
    "Encode",
    "Encoded",
    "Encoder",
    "Engine",
    "Found",
    "LexicalSpace",
    "Space",
    "joined",
    "space_of",
]

#: Vectors of a pool up to which FAISS searches all of them: 40 ms a query at 384 dimensions.
EXACT: Final = 250_000
#: Removed vectors that are still held, at most.
GONE: Final = 64
#: Encoders that have a name.
NAMES: Final = (*WEIGHTINGS, "minilm")
#: "faiss": exact up to 250,000 vectors and approximate above; "numpy": always exact, without FAISS;
#: "auto": FAISS where it is installed.
type Engine = Literal["auto", "faiss", "numpy"]
#: Texts → vectors [n, dim].
type Encode = Callable[[list[str]], npt.ArrayLike]
type Encoder = str | Path | SentenceTransformer | Encode
#: Keys of the answers to one query, best first, and their scores.
type Found = tuple[list[int], list[float]]
#: Texts of a lexical space [n], vectors of a dense one [n, dim].
type Encoded = Sequence[str] | Vectors


class Space(Protocol):
    """What a retriever needs to know of how texts are searched."""

    #: Whether scores are cosines, which lie between −1 and 1.
    cosine: bool

    def encoded_demos(self, demos: Sequence[Demo], instruction: str) -> Encoded:
        """Return what `add` takes; the slow part, which touches nothing that is shared."""

    def encoded_queries(self, inputs: Sequence[str], instruction: str) -> Encoded:
        """Return what `search` takes."""

    def add(self, pool: str, keys: Sequence[int], encoded: Encoded) -> None:
        """Add demonstrations of one pool under keys above all that were there."""

    def remove(self, pool: str, keys: Collection[int]) -> None:
        """Remove keys of one pool."""

    def search(
        self,
        queries: Encoded,
        *,
        pools: Sequence[str],
        k: int,
        allowed: Collection[int] | None = None,
    ) -> list[Found]:
        """Return for each query the best `k` of the pools."""

    def scores(self, queries: Encoded, pool: str, keys: Sequence[int]) -> Vectors:
        """Return the scores [queries, keys] of all demonstrations of a pool."""

    def similarities(self, demos: Mapping[int, Demo]) -> Vectors:
        """Return how like each other demonstrations are: cosines [n, n]."""


class LexicalSpace:
    """BM25 or TF-IDF over the inputs."""

    def __init__(self, weighting: Weighting) -> None:
        self.weighting: Weighting = weighting
        self.cosine = weighting == "tfidf"
        self._vocabulary = Vocabulary()
        self._pools: dict[str, LexicalIndex] = {}

    def encoded_demos(self, demos: Sequence[Demo], instruction: str) -> list[str]:
        """Return the inputs."""
        return [demo.input for demo in demos]

    def encoded_queries(self, inputs: Sequence[str], instruction: str) -> list[str]:
        """Return the inputs."""
        return list(inputs)

    def add(self, pool: str, keys: Sequence[int], encoded: Encoded) -> None:
        """Add demonstrations of one pool under keys above all that were there."""
        if pool not in self._pools:
            self._pools[pool] = LexicalIndex(weighting=self.weighting, vocabulary=self._vocabulary)
        self._pools[pool].add(keys, [str(text) for text in encoded])

    def remove(self, pool: str, keys: Collection[int]) -> None:
        """Remove keys of one pool."""
        self._pools[pool].remove(keys)

    def search(
        self,
        queries: Encoded,
        *,
        pools: Sequence[str],
        k: int,
        allowed: Collection[int] | None = None,
    ) -> list[Found]:
        """Return for each query the best `k` of the pools."""
        texts = [str(query) for query in queries]
        indexes = [self._pools[pool] for pool in pools]
        counts = self._statistics(indexes)
        answers = [
            [
                (keys.tolist(), scores.tolist())
                for keys, scores in index.search_many(
                    texts, k=k, allowed=allowed, statistics=counts
                )
            ]
            for index in indexes
        ]
        return joined(answers, k)

    def scores(self, queries: Encoded, pool: str, keys: Sequence[int]) -> Vectors:
        """Return the scores [queries, keys] of all demonstrations of a pool."""
        return self._pools[pool].scores([str(query) for query in queries])

    def similarities(self, demos: Mapping[int, Demo]) -> Vectors:
        """Return cosines [n, n] of the inputs' TF-IDF vectors."""
        counts = self._statistics([self._pools[pool] for pool in {d.task for d in demos.values()}])
        bags = [words(demo.input) for demo in demos.values()]
        used = sorted({word for bag in bags for word in bag})
        place = {word: at for at, word in enumerate(used)}
        table = np.zeros((len(bags), len(used)))
        for row, bag in enumerate(bags):
            for word in bag:
                table[row, place[word]] += 1
        numbers = np.array([self._vocabulary[word] for word in used], np.int64)
        weights = (np.log(np.maximum(table, 1)) + (table > 0)) * counts.idf(numbers, "tfidf")
        of_length_one = unit(weights)
        return of_length_one @ of_length_one.T

    def _statistics(self, indexes: Sequence[LexicalIndex]) -> Statistics:
        if len(indexes) == 1:
            return indexes[0].statistics  # the same object, so that cached lengths are found again
        total = Statistics(0, 0, np.zeros(0, np.int64))
        for index in indexes:
            total += index.statistics
        return total


class DenseSpace:
    """Cosine, or dot product, of an encoder's vectors.

    Args:
        encode_query: texts of queries → vectors [n, dim].
        encode_demo: texts of demonstrations → vectors [n, dim].
        similarity: what the encoder was trained with.
        engine: see `Engine`.
    """

    def __init__(
        self,
        encode_query: Encode,
        encode_demo: Encode,
        *,
        similarity: Similarity = "cosine",
        engine: Engine = "auto",
    ) -> None:
        if engine not in ("auto", "faiss", "numpy"):
            raise QueryShapeError(f"unknown index {engine!r}; choose auto, faiss or numpy")
        if engine == "auto":
            engine = "faiss" if importlib.util.find_spec("faiss") else "numpy"
        self.engine: Engine = engine
        self.similarity: Similarity = similarity
        self.cosine = similarity == "cosine"
        self._encode_query, self._encode_demo = encode_query, encode_demo
        self._pools: dict[str, VectorIndex | MatrixIndex] = {}
        self._gone: dict[str, set[int]] = {}

    def encoded_demos(self, demos: Sequence[Demo], instruction: str) -> Vectors:
        """Return the vectors of instruction, input and output [n, dim]."""
        return _vectors(self._encode_demo, [demo_text(instruction, demo) for demo in demos])

    def encoded_queries(self, inputs: Sequence[str], instruction: str) -> Vectors:
        """Return the vectors of instruction and input [n, dim]."""
        return _vectors(self._encode_query, [query_text(instruction, text) for text in inputs])

    def add(self, pool: str, keys: Sequence[int], encoded: Encoded) -> None:
        """Add demonstrations of one pool under keys above all that were there."""
        vectors = np.asarray(encoded, np.float32)
        if pool not in self._pools:
            dim = vectors.shape[1]
            self._pools[pool] = (
                VectorIndex(dim=dim, similarity=self.similarity, flat_limit=EXACT)
                if self.engine == "faiss"
                else MatrixIndex(dim=dim, similarity=self.similarity)
            )
            self._gone[pool] = set()
        self._pools[pool].add([_id(key) for key in keys], vectors)

    def remove(self, pool: str, keys: Collection[int]) -> None:
        """Remove keys of one pool.

        A few are only left out of answers: taking one vector from the middle of a matrix moves all
        that follow it, so that is done for many at once.
        """
        self._gone[pool] |= set(keys)
        if len(self._gone[pool]) > GONE:
            self._settle(pool)

    def search(
        self,
        queries: Encoded,
        *,
        pools: Sequence[str],
        k: int,
        allowed: Collection[int] | None = None,
    ) -> list[Found]:
        """Return for each query the best `k` of the pools."""
        vectors = np.asarray(queries, np.float32)
        gone: set[int] = set().union(*(self._gone[pool] for pool in pools))
        among = None if allowed is None else [_id(key) for key in allowed]
        answers = [
            [
                _kept([(int(id), score) for id, score in row], gone, k)
                for row in self._pools[pool].search_many(
                    vectors, k=k + len(self._gone[pool]), allowed=among
                )
            ]
            for pool in pools
        ]
        return joined(answers, k)

    def scores(self, queries: Encoded, pool: str, keys: Sequence[int]) -> Vectors:
        """Return the scores [queries, keys] of all demonstrations of a pool."""
        asked = np.asarray(queries, np.float32)
        return (unit(asked) if self.cosine else asked) @ self.vectors(pool, keys).T

    def similarities(self, demos: Mapping[int, Demo]) -> Vectors:
        """Return the cosines [n, n] of the vectors."""
        by_pool: dict[str, list[int]] = {}
        for key, demo in demos.items():
            by_pool.setdefault(demo.task, []).append(key)
        order = [key for keys in by_pool.values() for key in keys]
        place = {key: at for at, key in enumerate(order)}
        held = np.concatenate([self.vectors(pool, keys) for pool, keys in by_pool.items()])
        held = unit(held[[place[key] for key in demos]])
        return held @ held.T

    def vectors(self, pool: str, keys: Iterable[int]) -> Vectors:
        """Return stored vectors [n, dim]."""
        return self._pools[pool].vectors([_id(key) for key in keys])

    def save(self, folder: Path, pools: Mapping[int, str]) -> None:
        """Write the vectors of pools, each into the file of its number."""
        for number, pool in pools.items():
            self._settle(pool)
            self._pools[pool].save(folder / f"pool-{number}.index")

    def load(self, folder: Path, pools: Mapping[int, str]) -> None:
        """Read what `save` wrote for these pools.

        Raises:
            ModelFileError: a file is missing or damaged.
        """
        made = VectorIndex if self.engine == "faiss" else MatrixIndex
        for number, pool in pools.items():
            self._pools[pool] = made.load(folder / f"pool-{number}.index")
            self._gone[pool] = set()

    def _settle(self, pool: str) -> None:
        self._pools[pool].remove(_id(key) for key in self._gone[pool])
        self._gone[pool] = set()


def space_of(encoder: Encoder, engine: Engine) -> Space:
    """Return the space of an encoder, given by name, folder, model or function.

    Raises:
        ModelFileError: no such folder, or a model whose similarity no index ranks by.
        QueryShapeError: something else.
    """
    if isinstance(encoder, str) and encoder in ("bm25", "tfidf"):
        return LexicalSpace("bm25" if encoder == "bm25" else "tfidf")
    if isinstance(encoder, str) and encoder == "minilm":
        from retrieval.encoders.sentence import SentenceEncoder

        encode: Encode = SentenceEncoder().encode
        return DenseSpace(encode, encode, engine=engine)
    if isinstance(encoder, (str, Path)):
        if not Path(encoder).is_dir():
            raise ModelFileError(
                f"{encoder} is no folder of an encoder; give one that sentence-transformers saved, "
                'or "bm25", "tfidf" or "minilm"'
            )
        from retrieval.encoders.trainable import opened

        encoder = opened(Path(encoder))
    if hasattr(encoder, "encode_query") and hasattr(encoder, "encode_document"):
        model: Any = encoder
        if model.similarity_fn_name not in ("cosine", "dot"):
            raise ModelFileError(
                f"the encoder compares by {model.similarity_fn_name!r}, which no index here ranks "
                "by; train it with cosine or dot"
            )
        return DenseSpace(
            partial(model.encode_query, show_progress_bar=False),
            partial(model.encode_document, show_progress_bar=False),
            similarity=model.similarity_fn_name,
            engine=engine,
        )
    if callable(encoder):
        return DenseSpace(encoder, encoder, engine=engine)
    raise QueryShapeError(
        f"{encoder!r} is no encoder; give a name, a folder, a SentenceTransformer or a function"
    )


def _kept(pairs: Sequence[tuple[int, float]], gone: Collection[int], k: int) -> Found:
    left = [pair for pair in pairs if pair[0] not in gone][:k]
    return [key for key, _ in left], [score for _, score in left]


def _id(key: int) -> str:
    """Return a key as a text whose alphabetic order is the order of keys."""
    return f"{key:012d}"


def _vectors(encode: Encode, texts: list[str]) -> Vectors:
    vectors = np.asarray(encode(texts), np.float32)
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise QueryShapeError(
            f"the encoder returned {vectors.shape} for {len(texts)} texts; it must return one "
            "vector for each, [texts, dim]"
        )
    return vectors


def joined(answers: Sequence[Sequence[Found]], k: int) -> list[Found]:
    """Return the best `k` over pools, from the answers [pools][queries]."""
    if len(answers) == 1:
        return list(answers[0])
    merged: list[Found] = []
    for of_query in zip(*answers, strict=True):
        pairs = [pair for found in of_query for pair in zip(*found, strict=True)]
        pairs = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:k]
        merged.append(([key for key, _ in pairs], [score for _, score in pairs]))
    return merged
