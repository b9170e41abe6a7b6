"""How sure a mean is: means of samples drawn with replacement (Efron, 1979)."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from retrieval.ranking import FloatArray

__all__ = ["COVERAGE", "bounds", "resampled_means"]

#: Share of the resamples that an interval covers.
COVERAGE: Final = 0.95


def resampled_means(values: npt.ArrayLike, *, resamples: int, seed: int) -> FloatArray:
    """Return the means [resamples] of as many draws of all values [n] with replacement.

    >>> resampled_means([2.0, 2.0], resamples=3, seed=0).tolist()
    [2.0, 2.0, 2.0]
    """
    array = np.asarray(values, float)
    random = np.random.default_rng(seed)
    # One draw after the other: a table of all draws of a large test would not fit in memory.
    return np.array(
        [array[random.integers(0, len(array), len(array))].mean() for _ in range(resamples)]
    )


def bounds(means: FloatArray) -> tuple[float, float]:
    """Return the two ends of the interval that covers `COVERAGE` of the means, to six digits.

    >>> bounds(np.arange(101.0))
    (2.5, 97.5)
    """
    low, high = np.quantile(means, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return round(float(low), 6), round(float(high), 6)
