r"""Mixing what words and vectors say of a query's candidates, on one scale, by learned weights.

    x'_i = (x_i − mean) / deviation        over the candidates of one query; 0 if all are equal
    score_i = Σ_part w_part · x'_i,part

The weights minimise the listwise loss (ListNet, Cao et al., ICML 2007, top-one form)

    L(w) = −(1/|Q|) Σ_q Σ_i y_i · ln softmax_i(score) + λ‖w‖²,    y = gains of q, scaled to sum 1,

which is convex. BLP's mixture of two parts, α·vector + (1 − α)·words with α from a grid, is
`best_alpha`; BLP mixes raw scores, so that a long query, whose BM25 is large, silences the vector.

`WEIGHTS` are those that `sheaf eval entity-search --links` learns from all queries of
DBpedia-Entity on the entities of FB15k-237. They serve graphs for which nothing was judged. How
much a vector says depends on its encoder: one trained on nothing but links gets a third of the
weight of a sentence encoder's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from retrieval.errors import QueryShapeError
from retrieval.ranking import FloatArray

__all__ = ["ALPHAS", "WEIGHTS", "best_alpha", "fit_weights", "standardised"]

#: BLP's grid: 20 even steps.
ALPHAS: Final = tuple(float(step) for step in np.linspace(0, 1, 21))

#: Strength of the penalty, chosen among .001, .01 and .1 on the training queries of one fold.
PENALTY: Final = 0.1

#: Kind of encoder → weight of each part in the search of a live graph, by `fit_weights`.
WEIGHTS: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        "sentence": MappingProxyType(
            {"name": 0.084, "description": 0.039, "words": 0.329, "vector": 1.201, "links": 0.461}
        ),
        "bow": MappingProxyType(
            {"name": 0.152, "description": 0.119, "words": 0.627, "vector": 0.368, "links": 0.508}
        ),
    }
)


def standardised(values: FloatArray) -> FloatArray:
    """Return columns [candidates, parts] with mean 0 and deviation 1; constant ones become 0.

    >>> standardised(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    values = np.asarray(values, np.float64)
    if not len(values):
        return values
    deviation = values.std(axis=0)
    # Equal floats may differ from their mean by rounding: noise must not become a signal.
    least = 1e-9 * np.maximum(np.abs(values).max(axis=0), 1.0)
    scaled: FloatArray = np.where(
        deviation > least, (values - values.mean(axis=0)) / np.maximum(deviation, least), 0.0
    )
    return scaled


def fit_weights(
    parts: Sequence[FloatArray], gains: Sequence[FloatArray], *, penalty: float = PENALTY
) -> FloatArray:
    """Return the weights [parts] with the least listwise loss.

    Args:
        parts: standardised candidates [c, parts] of each training query.
        gains: their gains [c], 0 for what is not relevant or not judged.
        penalty: λ.

    Raises:
        QueryShapeError: no query has a relevant candidate.
    """
    from scipy.optimize import minimize

    usable = [
        (own, gain / gain.sum()) for own, gain in zip(parts, gains, strict=True) if gain.sum() > 0
    ]
    if not usable:
        raise QueryShapeError("no training query has a relevant candidate: nothing to learn from")

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        total, slope = 0.0, np.zeros_like(weights)
        for own, target in usable:
            scores = own @ weights
            scores -= scores.max()
            shares = np.exp(scores)
            whole = shares.sum()
            total -= float(target @ (scores - np.log(whole)))
            slope -= (target - shares / whole) @ own
        count = len(usable)
        return (
            total / count + penalty * float(weights @ weights),
            slope / count + 2 * penalty * weights,
        )

    start = np.zeros(usable[0][0].shape[1])
    found: FloatArray = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return found


def best_alpha(quality: Callable[[float], float], grid: Sequence[float] = ALPHAS) -> float:
    """Return the α of the grid with the highest quality on training queries, the least of equals.

    >>> best_alpha(lambda alpha: -abs(alpha - 0.25))
    0.25
    """
    return max(grid, key=lambda alpha: (quality(alpha), -alpha))
