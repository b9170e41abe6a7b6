"""The benchmark of a large pool measures what it says, at a size for tests."""

from __future__ import annotations

import pytest

from benchmarks.demonstration_search import measure, texts


@pytest.mark.parametrize("way", ["bm25", "tfidf", "dense"])
def test_a_changed_pool_answers_like_a_new_one(way: str) -> None:
    figures = measure(way, 2000)
    assert figures["same_as_rebuilt"] is True
    assert figures["demonstrations"] == 2000
    for name in ("search_ms", "serving_ms", "add_ms", "remove_ms"):
        assert 0 < figures[name]["p50"] <= figures[name]["p95"] <= figures[name]["max"]
    assert figures["batch_queries_per_second"] > 0


def test_the_peer_builds_again_for_a_change() -> None:
    pytest.importorskip("bm25s")
    figures = measure("bm25s", 500)
    assert figures["change_ms"] == pytest.approx(1000 * figures["build_seconds"], abs=10)


def test_texts_are_seeded() -> None:
    assert texts(5, seed=1) == texts(5, seed=1) != texts(5, seed=2)
    assert all(text.startswith("w") for text in texts(20, seed=0))
