"""Measures of ranked entities, solved on paper."""

from __future__ import annotations

import math

import pytest

from retrieval.search_measures import judged, ndcg, recall

GAINS = {"a": 2, "b": 1, "c": 0}


def test_ndcg_by_hand() -> None:
    # b first, a third: 1/log2(2) + 2/log2(4) = 2; the best order has 2 + 1/log2(3).
    assert ndcg(["b", "x", "a"], GAINS, k=10) == pytest.approx(2 / (2 + 1 / math.log2(3)))
    assert ndcg(["a", "b"], GAINS, k=10) == pytest.approx(1.0)
    assert ndcg(["b", "x", "a"], GAINS, k=1) == pytest.approx(1 / 2)
    assert ndcg(["x", "c"], GAINS, k=10) == 0


def test_a_gain_is_linear_and_not_exponential() -> None:
    # Exponential gain (2^g − 1) would give (1 + 3/log2(3)) / (3 + 1/log2(3)).
    assert ndcg(["b", "a"], GAINS, k=2) == pytest.approx(
        (1 + 2 / math.log2(3)) / (2 + 1 / math.log2(3))
    )


def test_recall_counts_relevant_ones_only() -> None:
    assert recall(["c", "a", "x"], GAINS, k=3) == 0.5
    assert recall(["c", "a", "b"], GAINS, k=2) == 0.5


def test_judged_tells_irrelevant_from_unknown() -> None:
    assert judged(["c", "x", "a", "y"], GAINS, k=4) == 0.5
    assert judged(["c", "x"], GAINS, k=1) == 1


def test_nothing_found_and_nothing_relevant() -> None:
    assert (ndcg([], GAINS, k=10), recall([], GAINS, k=10), judged([], GAINS, k=10)) == (0, 0, 0)
    assert ndcg(["a"], {"a": 0}, k=10) == 0
    assert recall(["a"], {"a": 0}, k=10) == 0
