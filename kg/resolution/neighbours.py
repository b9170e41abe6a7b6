"""Pairs of texts that are each other's nearest by an encoder's vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Encode", "mutual_neighbours", "unit_vectors"]

#: Returns one vector for each text, [texts, dim].
type Encode = Callable[[Sequence[str]], NDArray[Any]]

#: Rows of the similarity matrix that are held at a time.
BLOCK: Final = 1024


def unit_vectors(encode: Encode, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the vectors of texts, scaled to length 1 (a zero vector stays zero)."""
    vectors = np.asarray(encode(texts), np.float32)
    if vectors.shape[:1] != (len(texts),) or vectors.ndim != 2:
        raise ValueError(
            f"the encoder returned an array of shape {vectors.shape} for {len(texts)} texts: it "
            "must return one vector for each text"
        )
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def mutual_neighbours(
    vectors: NDArray[np.float32], *, least: float, k: int
) -> list[tuple[int, int, float]]:
    """Return (position, position, cosine) of those that are among each other's k nearest.

    Exact, by blocks of the similarity matrix: n² · dim multiplications, n · k numbers of memory.

    Args:
        vectors: unit vectors, [n, dim].
        least: smallest cosine; cosines are rounded to four decimals first.
        k: how many nearest count.

    >>> eye = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    >>> mutual_neighbours(eye, least=0.7, k=1)
    [(0, 1, 0.8)]
    """
    n = len(vectors)
    if n < 2:
        return []
    k = min(k, n - 1)
    near = np.zeros((n, k), np.int64)
    cosine = np.zeros((n, k), np.float32)
    for start in range(0, n, BLOCK):
        rows = slice(start, min(start + BLOCK, n))
        similar = vectors[rows] @ vectors.T
        similar[np.arange(rows.stop - start), np.arange(start, rows.stop)] = -2.0
        best = np.argpartition(-similar, k - 1, axis=1)[:, :k]
        near[rows], cosine[rows] = best, np.take_along_axis(similar, best, axis=1)
    cosine = np.round(cosine, 4)
    own = [set(row.tolist()) for row in near]
    return sorted(
        (at, int(other), round(float(score), 4))
        for at in range(n)
        for other, score in zip(near[at], cosine[at], strict=True)
        if at < other and score >= least and at in own[other]
    )
