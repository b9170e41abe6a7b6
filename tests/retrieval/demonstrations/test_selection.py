"""Selection rules against their definitions, tried on every subset."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.demonstrations.selection import (
    balanced,
    ceil_kernel,
    greedy_dpp,
    mmr,
    within_budget,
)
from retrieval.errors import QueryShapeError


def random_kernel(seed: int, n: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(n, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query = vectors.mean(0) / np.linalg.norm(vectors.mean(0))
    relevance, alike = vectors @ query, vectors @ vectors.T
    return relevance, alike, ceil_kernel(relevance, alike)


@pytest.mark.parametrize("seed", range(5))
def test_greedy_dpp_takes_the_largest_determinant_each_time(seed: int) -> None:
    kernel = random_kernel(seed)[2]
    chosen: list[int] = []
    for _ in range(4):
        free = [at for at in range(len(kernel)) if at not in chosen]
        best = max(free, key=lambda at: np.linalg.det(kernel[np.ix_([*chosen, at], [*chosen, at])]))
        chosen.append(best)
    assert greedy_dpp(kernel, 4) == chosen


def test_the_kernel_is_that_of_ceil() -> None:
    relevance, alike, kernel = random_kernel(0)
    for i, j in itertools.product(range(len(relevance)), repeat=2):
        rho_i, rho_j = (
            np.exp(((relevance[at] + 1) / 2 - (relevance.max() + 1) / 2) / 0.2) for at in (i, j)
        )
        assert kernel[i, j] == pytest.approx(rho_i * (alike[i, j] + 1) / 2 * rho_j)


def test_copies_still_fill_the_prompt() -> None:
    kernel = ceil_kernel([0.9, 0.9, 0.9, 0.1], np.ones((4, 4)))
    assert greedy_dpp(kernel, 4) == [0, 1, 2, 3]
    assert greedy_dpp(np.zeros((3, 3)), 2) == [0, 1]


@pytest.mark.parametrize("seed", range(3))
def test_mmr_takes_the_best_of_the_formula_each_time(seed: int) -> None:
    relevance, alike, _ = random_kernel(seed)
    chosen = [int(np.argmax(relevance))]
    while len(chosen) < 5:
        free = [at for at in range(len(relevance)) if at not in chosen]
        chosen.append(
            max(free, key=lambda at: 0.7 * relevance[at] - 0.3 * max(alike[at, j] for j in chosen))
        )
    assert mmr(relevance, alike, 5, trade_off=0.7) == chosen


@given(st.integers(0, 100), st.integers(0, 12))
def test_without_diversity_mmr_is_the_ranking(seed: int, k: int) -> None:
    relevance, alike, _ = random_kernel(seed)
    ranking = np.argsort(-relevance, kind="stable").tolist()
    assert mmr(relevance, alike, k, trade_off=1.0) == ranking[:k]


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 12))
def test_labels_are_as_even_as_the_pool_allows(labels: list[str], k: int) -> None:
    chosen = balanced(labels, k)
    assert len(set(chosen)) == len(chosen) == min(k, len(labels))
    counts = {label: sum(labels[at] == label for at in chosen) for label in set(labels)}
    for label, count in counts.items():
        if count < labels.count(label):  # not run out: nobody has two more
            assert max(counts.values()) <= count + 1
        own = [at for at, other in enumerate(labels) if other == label]
        assert sorted(at for at in chosen if labels[at] == label) == own[:count]


@given(st.lists(st.integers(0, 20), max_size=12), st.integers(0, 60))
def test_what_is_chosen_fits_and_what_is_passed_over_did_not(
    lengths: list[int], budget: int
) -> None:
    chosen = within_budget(lengths, budget)
    left = budget
    for at, length in enumerate(lengths):
        assert (at in chosen) == (length <= left)
        left -= length if at in chosen else 0
    assert left >= 0


def test_nothing_to_choose_from() -> None:
    assert mmr([], np.zeros((0, 0)), 3) == greedy_dpp(np.zeros((0, 0)), 3) == []
    assert ceil_kernel([], np.zeros((0, 0))).shape == (0, 0)
    assert balanced([], 3) == within_budget([], 3) == []


def test_impossible_options_are_refused() -> None:
    with pytest.raises(QueryShapeError, match="trade_off"):
        mmr([1.0], [[1.0]], 1, trade_off=2)
    with pytest.raises(QueryShapeError, match="budget"):
        within_budget([1], -1)
