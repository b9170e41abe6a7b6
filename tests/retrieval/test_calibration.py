"""Calibration: it recovers what made the data, keeps the order, and survives odd samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.calibration import (
    FARTHEST,
    TEMPERATURE,
    UNFITTED,
    Calibration,
    Calibrations,
    log_odds,
)


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=12))
def test_odds_are_those_of_the_softmax(scores: list[float]) -> None:
    weights = np.exp(np.array(scores) / TEMPERATURE)
    for position, found in enumerate(log_odds(np.array(scores))):
        rest = weights.sum() - weights[position]
        expected = np.log(weights[position]) - np.log(max(rest, 1e-300))
        assert found == pytest.approx(np.clip(expected, -FARTHEST, FARTHEST), abs=1e-3)


def test_hidden_candidates_change_nothing() -> None:
    found = log_odds(np.array([[0.3, -np.inf, 0.2]]))
    plain = log_odds(np.array([0.3, 0.2]))
    assert found[0, [0, 2]] == pytest.approx(plain)
    assert found[0, 1] == -FARTHEST
    assert (log_odds(np.array([-np.inf, -np.inf])) <= 0).all()


def test_the_fit_recovers_the_curve_that_made_the_answers() -> None:
    random = np.random.default_rng(0)
    odds, cosines = random.normal(0, 3, 40_000), random.uniform(-1, 1, 40_000)
    chance = 1 / (1 + np.exp(-(0.8 * odds + 2.0 * cosines - 1.0)))
    fitted = Calibration.fit(odds, cosines, random.random(40_000) < chance)
    assert fitted.weights == pytest.approx((0.8, 2.0, -1.0), abs=0.12)
    assert np.abs(fitted.probability(odds, cosines) - chance).max() < 0.03


def test_an_answer_with_a_weight_counts_as_often() -> None:
    random = np.random.default_rng(1)
    odds = random.normal(0, 3, 60)
    true = odds + random.normal(0, 3, 60) > 0
    once = ~true
    repeated = np.concatenate([np.arange(60), np.flatnonzero(once), np.flatnonzero(once)])
    zero = np.zeros
    long = Calibration.fit(odds[repeated], zero(len(repeated)), true[repeated])
    short = Calibration.fit(odds, zero(60), true, times=np.where(once, 3.0, 1.0))
    assert long.weights == pytest.approx(short.weights, abs=1e-6)


def test_no_curve_falls_with_the_score() -> None:
    odds = np.array([-3.0, -2, -1, 1, 2, 3] * 5)
    fitted = Calibration.fit(odds, -odds / 10, odds < 0)  # upside down
    assert min(fitted.weights[:2]) >= 0
    below, above = fitted.probability([-3.0, 3.0], [0.0, 0.0])
    assert below <= above


def test_separable_answers_stay_finite() -> None:
    odds = np.array([5.0] * 6 + [-5.0] * 6)
    fitted = Calibration.fit(odds, np.zeros(12), odds > 0)
    assert np.isfinite(fitted.weights).all()
    high, low = fitted.probability([5.0, -5.0], [0.0, 0.0])
    assert 0.5 < high < 1
    assert 0 < low < 0.5


@pytest.mark.parametrize(("right", "wrong"), [(0, 0), (4, 100), (10, 0), (0, 10)])
def test_with_too_little_it_says_so(right: int, wrong: int) -> None:
    true = np.arange(right + wrong) < right
    fitted = Calibration.fit(np.zeros(len(true)), np.zeros(len(true)), true)
    assert (fitted.links, fitted.weights) == (0, UNFITTED)
    assert float(fitted.probability(0.0, 0.0)) == 0.5


def test_it_survives_json() -> None:
    from dataclasses import asdict
    from json import dumps, loads

    odds = np.linspace(-3, 3, 30)
    fitted = Calibrations(
        tails=Calibration.fit(odds, odds / 10, odds > 0), heads=Calibration(UNFITTED, 0)
    )
    assert Calibrations.of_json(loads(dumps(asdict(fitted)))) == fitted
    assert fitted.of(backwards=False).links == 15
    assert fitted.of(backwards=True).links == 0
