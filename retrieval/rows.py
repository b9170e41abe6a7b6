"""Checks and scaling of tables of vectors, one in a row."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from retrieval.errors import QueryShapeError
from retrieval.ranking import Vectors

__all__ = ["Similarity", "comparable", "one_id_each", "unit"]

type Similarity = Literal["cosine", "dot"]


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
