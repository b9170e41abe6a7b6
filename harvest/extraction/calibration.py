"""Fit the heads' calibration and thresholds on held-out pairs.

    p = sigmoid(a·margin + d)        Platt scaling, a and d by Newton's method on real sentences

Synthetic sentences are left out of the fit of a and d: they are easier than real text, and what is
measured on them would promise too much. A threshold is the lowest probability from which held-out
precision reaches `PRECISION`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harvest.extraction.heads import RelationHeads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harvest.extraction.training_pairs import PairSet

__all__ = ["calibrated", "platt", "threshold"]

#: Held-out precision that a threshold must reach.
PRECISION = 0.85


def calibrated(network: RelationHeads, pairs: PairSet) -> tuple[RelationHeads, dict[str, Any]]:
    """Fit slope, offset and thresholds on held-out pairs; return also the figures on them."""
    logits = network.logits(pairs.dense.astype(np.float32), pairs.hashed)
    margin = logits[:, 1:] - logits[:, :1]
    truth = np.zeros(margin.shape, np.bool_)
    for row, names in enumerate(pairs.relations):
        truth[row, names] = True
    weight = pairs.weights(margin.shape[1])
    real = ~pairs.synthetic
    slope, offset = platt(margin[real], truth[real], weight[real])
    network = replace(network, calibration=(slope, offset))
    p = np.round(1 / (1 + np.exp(-np.clip(slope * margin + offset, -30, 30))), 4)
    heads = tuple(
        replace(head, threshold=threshold(p[:, column], truth[:, column], weight[:, column]))
        for column, head in enumerate(network.heads)
    )
    said = p >= np.asarray([head.threshold for head in heads])
    hits = float((said & truth).sum())
    bins = np.minimum((p * 10).astype(int), 9)
    error = (
        sum(
            weight[bins == b].sum()
            * abs(
                np.average(p[bins == b], weights=weight[bins == b])
                - np.average(truth[bins == b], weights=weight[bins == b])
            )
            for b in range(10)
            if (bins == b).any()
        )
        / weight.sum()
    )
    report = {
        "held_out_pairs": len(p),
        "held_out_precision": round(hits / max(1.0, float((said * weight).sum())), 4),
        "held_out_recall": round(hits / max(1.0, float(truth.sum())), 4),
        "held_out_calibration_error": round(float(error), 5),
    }
    return replace(network, heads=heads), report


def platt(
    margin: NDArray[np.float32], truth: NDArray[np.bool_], weight: NDArray[np.float32]
) -> tuple[float, float]:
    """Return slope and offset of the logistic fit of truth on margin, by Newton's method."""
    x, y, w = margin.ravel().astype(float), truth.ravel().astype(float), weight.ravel()
    theta = np.array([1.0, 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(theta[0] * x + theta[1], -30, 30)))
        gradient = np.array([(w * (p - y) * x).sum(), (w * (p - y)).sum()])
        curve = w * p * (1 - p)
        mixed = (curve * x).sum()
        hessian = np.array([[(curve * x * x).sum(), mixed], [mixed, curve.sum()]])
        step = np.linalg.solve(hessian + 1e-6 * np.eye(2), gradient)
        theta -= step
        if np.abs(step).max() < 1e-6:
            break
    return round(float(theta[0]), 4), round(float(theta[1]), 4)


def threshold(
    scores: NDArray[np.float32], truth: NDArray[np.bool_], weight: NDArray[np.float32]
) -> float:
    """Return the lowest score in [.5, .95] from which precision is at least `PRECISION`."""
    for limit in np.arange(0.5, 0.96, 0.05):
        said = scores >= limit
        if said.any() and (truth & said).sum() >= PRECISION * weight[said].sum():
            return round(float(limit), 2)
    return 0.95 if (scores >= 0.5).any() else 0.7
