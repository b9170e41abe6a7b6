"""Scales and weights of the mixed search: constant scores, solved cases, the plain loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import QueryShapeError
from retrieval.search_fusion import best_alpha, fit_weights, standardised
from retrieval.search_names import NEAR, NameTable, with_names


def test_constant_scores_of_a_query_say_nothing() -> None:
    # The mean of three .1 is not .1 in binary: the rest must not be blown up to one.
    scaled = standardised(np.array([[0.1, 1.0, 1e6], [0.1, 2.0, 1e6], [0.1, 3.0, 1e6]]))
    np.testing.assert_array_equal(scaled[:, [0, 2]], 0)
    np.testing.assert_allclose(scaled[:, 1], [-1.224745, 0, 1.224745], atol=1e-6)
    np.testing.assert_array_equal(standardised(np.array([[4.0, 0.0]])), 0)
    assert standardised(np.empty((0, 2))).shape == (0, 2)


@given(
    st.lists(st.integers(-50, 50), min_size=2, max_size=8),
    st.sampled_from([0.5, 3.0, 100.0]),
    st.integers(-20, 20),
)
def test_the_scale_of_a_part_does_not_matter(values: list[int], scale: float, shift: int) -> None:
    own = np.array(values, float)[:, None]
    np.testing.assert_allclose(standardised(own * scale + shift), standardised(own), atol=1e-9)


def plain_loss(weights: np.ndarray, parts: list, gains: list, penalty: float) -> float:
    """The formula of the docstring, candidate by candidate."""
    total = 0.0
    for own, gain in zip(parts, gains, strict=True):
        scores = [float(sum(w * x for w, x in zip(weights, row, strict=True))) for row in own]
        whole = sum(np.exp(score) for score in scores)
        for score, y in zip(scores, gain, strict=True):
            total -= y / sum(gain) * np.log(np.exp(score) / whole) / len(parts)
    return total + penalty * float(sum(w * w for w in weights))


def test_the_weights_are_the_minimum_of_the_plain_loss() -> None:
    random = np.random.default_rng(0)
    parts = [random.normal(size=(6, 3)) for _ in range(5)]
    gains = [np.array([2.0, 1, 0, 0, 0, 0]) for _ in parts]
    found = fit_weights(parts, gains, penalty=0.1)
    least = plain_loss(found, parts, gains, 0.1)
    for part in range(3):
        for step in (-0.01, 0.01):
            moved = found.copy()
            moved[part] += step
            assert plain_loss(moved, parts, gains, 0.1) > least


def test_a_part_that_finds_gets_weight_and_noise_gets_little() -> None:
    random = np.random.default_rng(1)
    parts, gains = [], []
    for _ in range(200):
        gain = np.zeros(8)
        gain[random.integers(8)] = 1
        parts.append(
            standardised(np.stack([gain + random.normal(0, 0.3, 8), random.normal(size=8)], 1))
        )
        gains.append(gain)
    useful, noise = fit_weights(parts, gains)
    assert useful > 1
    assert abs(noise) < 0.15


def test_nothing_relevant_among_the_candidates_is_refused() -> None:
    with pytest.raises(QueryShapeError, match="nothing to learn from"):
        fit_weights([np.ones((2, 1))], [np.zeros(2)])


def test_of_equally_good_alphas_the_least_is_taken() -> None:
    assert best_alpha(lambda alpha: min(alpha, 0.5)) == 0.5


def plain_dice(one: str, other: str) -> float:
    grams = [[f"  {text} "[at : at + 3] for at in range(len(text) + 1)] for text in (one, other)]
    shared = 0
    left = list(grams[1])
    for gram in grams[0]:
        if gram in left:
            left.remove(gram)
            shared += 1
    return 2 * shared / (len(grams[0]) + len(grams[1]))


NAMES = st.text(alphabet="ab ", min_size=1, max_size=6).map(lambda text: " ".join(text.split()))


@given(NAMES, st.lists(st.lists(NAMES, min_size=1, max_size=3), min_size=1, max_size=4))
def test_names_are_as_near_as_their_best_by_the_plain_formula(query: str, names: list) -> None:
    expected = [
        max(1.0 if name == query else min(plain_dice(query, name), 0.99) for name in own)
        for own in names
    ]
    np.testing.assert_allclose(NameTable(names).scores(query), expected, atol=1e-12)


def test_the_same_name_has_one_and_no_other_reaches_it() -> None:
    scores = with_names(np.array([1e6, -1e6, 0.0, 0.0]), np.array([0.99, 1.0, NEAR, 0.59]))
    assert scores[1] == 1
    assert 0.9 < scores[0] < 1
    assert scores[2] > scores[3]
    assert (np.diff(with_names(np.arange(-50.0, 50.0), np.zeros(100))) > 0).all()
