"""From a cosine to a probability: Platt's logistic curve, fitted on held-out links.

    p(s) = 1 / (1 + exp(−(slope · s + bias)))

The curve is fitted on the answers to held-out links, which training did not see: the scores of the
true answers against those of all other allowed answers. So p reads as "the share of candidates
with such a score that were links of the graph", under the assumption that what the graph does not
hold is false; on a graph with gaps it errs to the low side. The curve never falls with the score,
so calibration changes no order.

Source: Platt, "Probabilistic outputs for support vector machines", 1999 (with its smoothed
targets), solved by Newton's method as in Lin, Lin, Weng, 2007.

Tails and heads have a curve each: a city has one country but a country many cities, so the same
cosine means less where many answers share the question.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from retrieval.ranking import FloatArray

__all__ = ["Calibration", "Calibrations"]

type Mask = npt.NDArray[np.bool_]

#: True answers below which the curve would be a guess.
ENOUGH: Final = 5

#: Newton steps at most, and the change at which they stop.
STEPS: Final = 100
TOLERANCE: Final = 1e-9

#: Weight of the pull of the slope to 0, in held-out links; keeps separable data finite.
RIDGE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Calibration:
    """The fitted curve.

    >>> scores = np.array([0.9, 0.8, 0.7, 0.9, 0.8, 0.1, 0.2, 0.0, 0.3, 0.7])
    >>> fitted = Calibration.fit(scores, np.arange(10) < 5)
    >>> fitted.probability(0.9) > 0.7 > 0.3 > fitted.probability(0.1)
    True
    """

    slope: float
    bias: float
    #: Held-out links that it was fitted on; 0 for the curve that stands in for a fit.
    links: int

    @classmethod
    def fit(cls, scores: FloatArray, true: Mask) -> Calibration:
        """Return the curve for scores [n] of which `true` [n] are right.

        With fewer than five right or no wrong ones the stand-in is returned: cosine .5 is even,
        1 is .92.
        """
        positive = int(true.sum())
        negative = len(true) - positive
        if positive < ENOUGH or not negative:
            return cls(slope=5.0, bias=-2.5, links=0)
        # Platt's targets: as if one further answer of each kind had been seen.
        target = np.where(true, (positive + 1) / (positive + 2), 1 / (negative + 2))
        slope, bias = 0.0, math.log((positive + 1) / (negative + 1))
        for _ in range(STEPS):
            p = _sigmoid(slope * scores + bias)
            error, weight = p - target, np.maximum(p * (1 - p), 1e-12)
            gradient = np.array([error @ scores + RIDGE * slope, error.sum()])
            cross = weight @ scores
            hessian = np.array([[weight @ scores**2 + RIDGE, cross], [cross, weight.sum() + RIDGE]])
            step = np.linalg.solve(hessian, gradient)
            # A step longer than this leaves the region in which the quadratic model holds.
            step *= min(1.0, 5.0 / max(1e-12, float(np.abs(step).max())))
            slope, bias = slope - float(step[0]), bias - float(step[1])
            if float(np.abs(step).max()) < TOLERANCE:
                break
        if slope <= 0:  # the scores say nothing: every answer gets the base rate
            return cls(slope=0.0, bias=math.log((positive + 1) / (negative + 1)), links=positive)
        return cls(slope=slope, bias=bias, links=positive)

    def probability(self, score: float) -> float:
        """Return p of one cosine, in [0, 1]."""
        return float(_sigmoid(np.array([self.slope * score + self.bias]))[0])


@dataclass(frozen=True, slots=True)
class Calibrations:
    """One curve for "which tail?" and one for "which head?"."""

    tails: Calibration
    heads: Calibration

    @classmethod
    def fit(cls, scores: FloatArray, true: Mask, backwards: Mask) -> Calibrations:
        """Return the curves for scores [n], `true` [n] and whether heads were asked for, [n]."""
        return cls(
            tails=Calibration.fit(scores[~backwards], true[~backwards]),
            heads=Calibration.fit(scores[backwards], true[backwards]),
        )

    @classmethod
    def unfitted(cls) -> Calibrations:
        """Return the curves that stand in until links can be held out."""
        return cls.fit(np.empty(0), np.empty(0, bool), np.empty(0, bool))

    @classmethod
    def of_json(cls, value: Mapping[str, Mapping[str, Any]]) -> Calibrations:
        """Return the curves that `dataclasses.asdict` wrote."""
        return cls(tails=Calibration(**value["tails"]), heads=Calibration(**value["heads"]))

    def probability(self, score: float, *, backwards: bool = False) -> float:
        """Return p of one cosine, in [0, 1]; `backwards` if a head was asked for."""
        return (self.heads if backwards else self.tails).probability(score)


def _sigmoid(values: FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(−x)) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), np.float64)
