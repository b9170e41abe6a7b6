"""Tuning finds the least width that reaches a recall, by the index's own exact search."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.errors import QueryShapeError
from retrieval.index_engines import Engine
from retrieval.index_tuning import tune


def vectors(count: int) -> np.ndarray:
    held = np.random.default_rng(0).standard_normal((count, 12)).astype(np.float32)
    return held / np.linalg.norm(held, axis=1, keepdims=True)


def engine(kind, held: np.ndarray) -> Engine:
    return Engine.built(kind, np.arange(len(held)) + 5, lambda rows: held[rows], dim=12)


def measured(one: Engine, queries: np.ndarray, k: int) -> float:
    """Recall the slow way: every stored vector against every query."""
    numbers = one.numbers()
    order = np.argsort(-(queries @ one.take(numbers).T), axis=1)[:, :k]
    found = one.search(queries, k=k)[1]
    shared = [
        len(set(row.tolist()) & set(numbers[best].tolist()))
        for row, best in zip(found, order, strict=True)
    ]
    return sum(shared) / (k * len(queries))


@pytest.mark.parametrize("kind", ["ivf-sq8", "hnsw"])
@pytest.mark.parametrize("recall", [0.5, 0.9, 0.99])
def test_the_recall_is_reached_and_little_more_is_looked_at(kind, recall: float) -> None:
    one, queries = engine(kind, vectors(3000)), -vectors(150)
    tuning = tune(one, queries, recall=recall, k=10)
    assert (tuning.setting, tuning.queries) == (one.setting, 150)
    assert tuning.recall >= recall
    assert tuning.recall == pytest.approx(measured(one, queries, 10))
    one.setting = int(tuning.setting * 0.85) - 1
    if one.setting >= (10 if kind == "hnsw" else 1):  # a walk is at least k wide
        assert measured(one, queries, 10) < recall


@pytest.mark.parametrize("kind", ["ivf-sq8", "hnsw"])
def test_without_queries_what_it_says_holds_for_new_ones(kind) -> None:
    held = vectors(3200)
    one = engine(kind, held[:3000])
    tuning = tune(one, None, recall=0.9, k=10)
    assert tuning.queries == 200
    assert measured(one, held[3000:], 10) > 0.87


def test_an_exact_index_has_nothing_to_tune() -> None:
    tuning = tune(engine("flat", vectors(50)), None, recall=0.95, k=10)
    assert (tuning.setting, tuning.recall) == (0, 1.0)


def test_what_cannot_be_tuned_is_refused() -> None:
    one = engine("flat", vectors(50))
    for recall, k in ((0.0, 10), (1.1, 10), (0.9, 0)):
        with pytest.raises(QueryShapeError, match=r"recall in \(0, 1\]"):
            tune(one, None, recall=recall, k=k)
    with pytest.raises(QueryShapeError, match="there is no query"):
        tune(one, np.empty((0, 12), np.float32), recall=0.9, k=10)
    with pytest.raises(QueryShapeError, match="the index is empty"):
        tune(Engine(dim=12), None, recall=0.9, k=10)
