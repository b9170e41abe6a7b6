"""Checks and scaling of tables of vectors, one in a row, whole or block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from retrieval.errors import QueryShapeError
from retrieval.ranking import Vectors
from retrieval.triple_data import IntArray

__all__ = ["ComparableRows", "Similarity", "blocks_of", "comparable", "one_id_each", "unit"]

type Similarity = Literal["cosine", "dot"]

#: Rows of a block: 32 MB of 128 dimensions.
BLOCK: Final = 65_536


def unit(rows: npt.NDArray[np.floating[Any]]) -> Vectors:
    """Return rows [n, dim] scaled to length one; a zero row stays zero.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).round(1).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows / np.where(lengths > 0, lengths, 1.0), np.float32)


def comparable(vectors: npt.ArrayLike, *, dim: int, similarity: Similarity) -> Vectors:
    """Return a copy of vectors [n, dim], for the cosine scaled to length one.

    Raises:
        QueryShapeError: another shape, or a value that is not finite.
    """
    vectors = np.array(vectors, np.float32, ndmin=2)
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise QueryShapeError(f"{vectors.shape=} does not fit {dim=}")
    if not np.isfinite(vectors).all():
        raise QueryShapeError("a vector holds NaN or infinity")
    return np.ascontiguousarray(vectors) if similarity == "dot" else unit(vectors)


def one_id_each(ids: Sequence[str], vectors: Sized) -> None:
    """Check that every vector has an id of its own.

    Raises:
        QueryShapeError: another number of ids, or one twice.
    """
    if len(vectors) != len(ids) or len(set(ids)) != len(ids):
        raise QueryShapeError(
            f"{len(ids)} ids ({len(set(ids))} distinct) for {len(vectors)} vectors; "
            "give each vector one id of its own"
        )


def blocks_of(count: int) -> Iterator[IntArray]:
    """Yield the rows 0..count − 1 in blocks of `BLOCK`.

    >>> [len(rows) for rows in blocks_of(100_000)]
    [65536, 34464]
    """
    for start in range(0, count, BLOCK):
        yield np.arange(start, min(start + BLOCK, count))


class ComparableRows:
    """A table of vectors, maybe larger than memory, of which parts are read as they are compared.

    All of it is read and checked at once, a block at a time; what fits into one block is kept.

    Args:
        vectors: [n, dim], of any floating type.
        dim: length of a vector.
        similarity: what they are compared by.

    Raises:
        QueryShapeError: another shape, or a value that is not finite.

    >>> ComparableRows([[3.0, 4.0], [0.0, 2.0]], dim=2, similarity="cosine").take(np.array([1]))
    array([[0., 1.]], dtype=float32)
    """

    def __init__(self, vectors: npt.ArrayLike, *, dim: int, similarity: Similarity) -> None:
        self._dim, self._similarity = dim, similarity
        held = vectors if isinstance(vectors, np.ndarray) else np.asarray(vectors, np.float32)
        self._kept = held.ndim != 2 or len(held) <= BLOCK
        self._held: npt.NDArray[Any] = self._scaled(held) if self._kept else held
        if not self._kept:
            for rows in blocks_of(len(held)):
                self._scaled(held[rows[0] : rows[-1] + 1])

    def __len__(self) -> int:
        return len(self._held)

    def take(self, rows: IntArray) -> Vectors:
        """Return the vectors [m, dim] of rows, ascending."""
        if self._kept:
            return np.ascontiguousarray(self._held[rows])
        together = len(rows) and rows[-1] - rows[0] == len(rows) - 1  # a slice reads no more
        return self._scaled(self._held[rows[0] : rows[-1] + 1] if together else self._held[rows])

    def _scaled(self, vectors: npt.ArrayLike) -> Vectors:
        return comparable(vectors, dim=self._dim, similarity=self._similarity)
