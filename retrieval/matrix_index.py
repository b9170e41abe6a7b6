"""Exact search over vectors by one NumPy product: what `VectorIndex` answers, without FAISS."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from retrieval.errors import ModelFileError, QueryShapeError
from retrieval.files import replaced
from retrieval.ranking import Vectors
from retrieval.rows import Similarity, comparable, one_id_each
from retrieval.top_k import best

__all__ = ["MatrixIndex"]

#: Version of the files that `save` writes.
FORMAT: Final = 1

#: Queries scored at a time; 256 × 100,000 float32 scores are 100 MB.
TILE: Final = 256


class MatrixIndex:
    """Search by cosine, or by dot product, over vectors with string ids.

    >>> index = MatrixIndex(dim=2)
    >>> index.add(["a", "b"], np.array([[1, 0], [0, 2]], np.float32))
    >>> index.search_many(np.array([[0, 1]], np.float32), k=1)
    [[('b', 1.0)]]
    """

    def __init__(self, *, dim: int, similarity: Similarity = "cosine") -> None:
        self.dim = dim
        self.similarity: Similarity = similarity
        self._ids: list[str] = []
        self._place: dict[str, int] = {}
        self._vectors = np.empty((0, dim), np.float32)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add vectors [n, dim]; an id that is there already gets its new vector.

        Raises:
            QueryShapeError: if shapes do not fit, an id comes twice, or a value is not finite.
        """
        vectors = self._checked(vectors)
        one_id_each(ids, vectors)
        self.remove(ids)
        self._hold([*self._ids, *ids], np.concatenate([self._vectors, vectors]))

    def remove(self, ids: Iterable[str]) -> int:
        """Remove ids and return how many were there."""
        gone = {id for id in ids if id in self._place}
        if gone:
            kept = [at for at, id in enumerate(self._ids) if id not in gone]
            self._hold([self._ids[at] for at in kept], self._vectors[kept])
        return len(gone)

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Return the stored vectors [n, dim], as they are compared.

        Raises:
            QueryShapeError: if an id is not in the index.
        """
        unknown = [id for id in ids if id not in self._place]
        if unknown:
            raise QueryShapeError(f"{unknown[0]!r} is not in the index; add it first")
        return self._vectors[[self._place[id] for id in ids]]

    def search_many(
        self, queries: Vectors, *, k: int = 10, allowed: Iterable[str] | None = None
    ) -> list[list[tuple[str, float]]]:
        """Return for each query [n, dim] the `k` nearest (id, similarity), best first.

        Of equal ones those that came first are taken, and come first.

        Raises:
            QueryShapeError: if `k` is below 1 or the queries have the wrong shape.
        """
        if k < 1:
            raise QueryShapeError(f"k is {k}; ask for 1 answer or more")
        queries = self._checked(queries)
        chosen = None if allowed is None else set(allowed)
        among = [at for at, id in enumerate(self._ids) if chosen is None or id in chosen]
        vectors = self._vectors if chosen is None else self._vectors[among]
        answer = []
        for start in range(0, len(queries), TILE):
            for scores in queries[start : start + TILE] @ vectors.T:
                top = best(scores, k)
                answer.append([(self._ids[among[at]], float(scores[at])) for at in top.tolist()])
        return answer

    def save(self, path: Path) -> None:
        """Write `path` (the matrix, without pickle) and `path` + ".json" (the ids)."""
        description = {"format": FORMAT, "similarity": self.similarity, "ids": self._ids}
        with replaced(path) as new, new.open("wb") as file:
            np.save(file, self._vectors, allow_pickle=False)
        with replaced(path.with_name(path.name + ".json")) as new:
            new.write_text(json.dumps(description, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> MatrixIndex:
        """Return the index that `save` wrote.

        Raises:
            ModelFileError: if a file is missing or damaged, or does not belong to the other.
        """
        try:
            text = path.with_name(path.name + ".json").read_text(encoding="utf-8")
            description = json.loads(text)
            if description["format"] != FORMAT:
                raise ValueError(f"format {description['format']}, this library reads {FORMAT}")
            vectors = np.load(path, allow_pickle=False)
            ids = [str(id) for id in description["ids"]]
            if vectors.ndim != 2 or len(ids) != len(vectors):
                raise ValueError(f"{len(ids)} ids for {vectors.shape} vectors")
            index = cls(dim=vectors.shape[1], similarity=description["similarity"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelFileError(
                f"the index {path} cannot be read ({error}); build it again"
            ) from error
        index._hold(ids, vectors)
        return index

    def _hold(self, ids: list[str], vectors: Vectors) -> None:
        self._ids, self._vectors = ids, vectors
        self._place = {id: at for at, id in enumerate(ids)}

    def _checked(self, vectors: Vectors) -> Vectors:
        return comparable(vectors, dim=self.dim, similarity=self.similarity)
