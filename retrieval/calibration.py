"""From cosines to probabilities: a logistic curve fitted on held-out links.

Two things speak for an answer: its cosine s, and its odds among the candidates of the question,

    z = s/τ − log Σ other candidates exp(s'/τ)                p = 1 / (1 + exp(−(a·z + b·s + c)))

with the τ of training, for which the model itself holds 1 / (1 + exp(−z)) to be the probability.
The curve is fitted on the answers to held-out links, which training did not see: true answers
against all other allowed ones. So p reads as "the share of such answers that were links of the
graph, when the question had an answer". Questions without a missing answer are not in the sample,
and what the graph does not hold counts as false, so read p as a comparison between predictions
first. A curve never falls with the score: calibration changes no order within a question.

Tails and heads have a curve each: a city has one country but a country many cities, so the same
odds mean less where many answers share the question.

Source: Platt, "Probabilistic outputs for support vector machines", 1999 (with its smoothed
targets), solved by Newton's method as in Lin, Lin, Weng, 2007.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from retrieval.ranking import FloatArray

__all__ = ["Calibration", "Calibrations", "log_odds"]

type Mask = npt.NDArray[np.bool_]
type Weights = tuple[float, float, float]

#: Temperature of training, `retrieval.entity_training.contrastive`.
TEMPERATURE: Final = 0.05

#: Bounds of z; beyond them an answer is certain or hopeless.
FARTHEST: Final = 12.0

#: True answers below which the curve would be a guess.
ENOUGH: Final = 5

#: Newton steps at most, and the change at which they stop.
STEPS: Final = 100
TOLERANCE: Final = 1e-9

#: Pull of a and b towards zero, in held-out answers; keeps separable data finite.
RIDGE: Final = 0.1

#: (a, b, c) where too little was held out: half of the model's own log-odds.
UNFITTED: Final[Weights] = (0.5, 0.0, 0.0)

#: Median and spread of right answers' cosines until some are held out, and the smallest spread: a
#: few answers always lie close together.
TYPICAL: Final = (0.5, 0.2)
NARROWEST: Final = 0.1


def log_odds(scores: npt.NDArray[Any]) -> FloatArray:
    """Return z of each candidate of a question, for cosines [..., candidates].

    A cosine of −∞ is no candidate and gets the lowest z.

    >>> log_odds(np.array([0.5, 0.5])).round(6).tolist()
    [0.0, 0.0]
    >>> log_odds(np.array([0.5])).tolist()
    [12.0]
    """
    scaled = np.asarray(scores, np.float64) / TEMPERATURE
    highest = scaled.max(axis=-1, keepdims=True, initial=-1 / TEMPERATURE)
    mass = np.exp(scaled - highest)
    others = np.maximum(mass.sum(axis=-1, keepdims=True) - mass, 1e-300)
    odds = np.log(np.maximum(mass, 1e-300)) - np.log(others)
    return np.asarray(np.clip(odds, -FARTHEST, FARTHEST), np.float64)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The fitted curve.

    >>> z, s = np.array([4.0, 3, 5, 1, 2, -4, -3, -5, 1, -2]), np.full(10, 0.5)
    >>> fitted = Calibration.fit(z, s, np.arange(10) < 5)
    >>> float(fitted.probability(4.0, 0.5)) > 0.7 > 0.3 > float(fitted.probability(-4.0, 0.5))
    True
    """

    #: (a, b, c)
    weights: Weights
    #: Held-out links that it was fitted on; 0 for the curve that stands in for a fit.
    links: int
    #: Median and spread of the cosines of right answers.
    typical: tuple[float, float] = TYPICAL

    @classmethod
    def fit(
        cls,
        odds: FloatArray,
        cosines: FloatArray,
        true: Mask,
        *,
        times: FloatArray | None = None,
    ) -> Calibration:
        """Return the curve for answers [n] of which `true` [n] are right.

        `times` [n] says how many answers each stands for, 1 if not given. With fewer than five
        right or no wrong ones the stand-in is returned.
        """
        times = np.ones(len(true)) if times is None else times
        positive = int(true.sum())
        negative = float(times[~true].sum())
        if positive < ENOUGH or not negative:
            return cls(weights=UNFITTED, links=0)
        # Platt's targets: as if one further answer of each kind had been seen.
        target = np.where(true, (positive + 1) / (positive + 2), 1 / (negative + 2))
        right = cosines[true]
        typical = float(np.median(right)), max(float(right.std()), NARROWEST)
        used = np.array([True, True, True])
        columns = np.stack([odds, cosines, np.ones(len(odds))], axis=1)
        while True:
            found = np.zeros(3)
            found[used] = _solve(columns[:, used], target, times, ridge=_ridge(used))
            falling = (found[:2] < 0).nonzero()[0]
            if not len(falling):
                a, b, c = found.tolist()
                return cls(weights=(a, b, c), links=positive, typical=typical)
            # A falling curve would reverse the order: that part says nothing, leave it out.
            used[falling] = False

    def probability(self, odds: npt.ArrayLike, cosines: npt.ArrayLike) -> FloatArray:
        """Return p in [0, 1] for z and s of any equal shape."""
        a, b, c = self.weights
        return _sigmoid(a * np.asarray(odds, float) + b * np.asarray(cosines, float) + c)

    def typicality(self, cosines: npt.ArrayLike) -> FloatArray:
        """Return about the share of right answers whose cosine was lower, in [0, 1].

        Low where the best of bad candidates wins: the question has no answer.
        """
        median, spread = self.typical
        return _sigmoid((np.asarray(cosines, np.float64) - median) / spread)


@dataclass(frozen=True, slots=True)
class Calibrations:
    """One curve for "which tail?" and one for "which head?"."""

    tails: Calibration
    heads: Calibration

    @classmethod
    def unfitted(cls) -> Calibrations:
        """Return the curves that stand in until links can be held out."""
        return cls(tails=Calibration(UNFITTED, 0), heads=Calibration(UNFITTED, 0))

    @classmethod
    def of_json(cls, value: Mapping[str, Mapping[str, Any]]) -> Calibrations:
        """Return the curves that `dataclasses.asdict` wrote."""
        tails, heads = (
            Calibration(
                weights=(float(a), float(b), float(c)),
                links=int(value[side]["links"]),
                typical=(float(median), float(spread)),
            )
            for side in ("tails", "heads")
            for a, b, c in (value[side]["weights"],)
            for median, spread in (value[side]["typical"],)
        )
        return cls(tails=tails, heads=heads)

    def of(self, *, backwards: bool) -> Calibration:
        """Return the curve for heads (`backwards`) or tails."""
        return self.heads if backwards else self.tails


def _solve(
    columns: FloatArray, target: FloatArray, times: FloatArray, *, ridge: FloatArray
) -> FloatArray:
    """Return the weights [m] of a logistic regression on columns [n, m] with soft targets [n]."""
    found = np.zeros(columns.shape[1])
    found[-1] = math.log(float((times * target).sum() / (times * (1 - target)).sum()))
    for _ in range(STEPS):
        p = _sigmoid(columns @ found)
        gradient = columns.T @ (times * (p - target)) + ridge * found
        curvature = np.maximum(times * p * (1 - p), 1e-12)
        hessian = (columns * curvature[:, None]).T @ columns + np.diag(ridge + 1e-9)
        step = np.linalg.solve(hessian, gradient)
        # A step longer than this leaves the region in which the quadratic model holds.
        step *= min(1.0, 5.0 / max(1e-12, float(np.abs(step).max())))
        found -= step
        if float(np.abs(step).max()) < TOLERANCE:
            break
    return found


def _ridge(used: Mask) -> FloatArray:
    """Return the pull on each used column; the last one, the constant, is not pulled."""
    pull = np.full(int(used.sum()), RIDGE)
    pull[-1] = 0.0
    return pull


def _sigmoid(values: FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(−x)) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), np.float64)
