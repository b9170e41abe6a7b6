"""The best few of many scores, with ties decided by position."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.triple_data import IntArray

__all__ = ["best"]


def best(scores: npt.NDArray[np.floating[Any]], k: int) -> IntArray:
    """Return the positions of the `k` highest scores, best first, equal ones in order.

    `numpy.argpartition` alone would take any of the equal ones at the end of the list.

    >>> best(np.array([1.0, 3.0, 3.0, 2.0, 1.0]), 4).tolist()
    [1, 2, 3, 0]
    """
    if k < len(scores):
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        among = np.flatnonzero(scores >= least)
    else:
        among = np.arange(len(scores))
    return among[np.argsort(-scores[among], kind="stable")][:k]
