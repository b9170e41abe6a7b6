"""Batches: what they promise, their slow twin, and that they go on where they were stopped."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.entity_training.batches import Coverage, batches_of
from retrieval.errors import NothingToPredict, QueryShapeError
from retrieval.triple_data import IntArray

KINDS = ("random", "walk", "mixed")


def graph(triples: int = 300, entities: int = 60, *, seed: int = 0) -> IntArray:
    random = np.random.default_rng(seed)
    # Squared, so that some entities have many links and most have few.
    ends = (random.random((triples, 2)) ** 2 * entities).astype(np.int64)
    return np.unique(np.stack([ends[:, 0], random.integers(0, 4, triples), ends[:, 1]], 1), axis=0)


@pytest.mark.parametrize("kind", KINDS)
def test_ends_are_positions_among_the_entities(kind: str) -> None:
    triples = graph()
    source = batches_of(kind, triples, entities=20, seed=3)  # type: ignore[arg-type]
    for _ in range(12):
        batch = source.draw()
        assert len(batch.entities) <= 20
        assert (np.diff(batch.entities) > 0).all()
        found = batch.triples.copy()
        found[:, 0], found[:, 2] = batch.entities[found[:, 0]], batch.entities[found[:, 2]]
        assert found.tolist() == triples[batch.rows].tolist()


@given(st.integers(0, 10_000), st.integers(2, 40))
@settings(max_examples=25, deadline=None)
def test_a_walk_batch_holds_all_triples_among_its_entities(seed: int, entities: int) -> None:
    triples = graph(120, 30, seed=seed)
    batch = batches_of("walk", triples, entities=entities, seed=seed).draw()
    members = set(batch.entities.tolist())
    slow = [row for row, (h, _, t) in enumerate(triples.tolist()) if h in members and t in members]
    assert batch.rows.tolist() == slow
    assert len(batch.entities) == min(entities, len(np.unique(triples[:, [0, 2]])))


def test_a_pass_of_random_batches_sees_each_triple_once() -> None:
    triples = graph()
    source = batches_of("random", triples, entities=15, seed=1)
    seen: list[int] = []
    while len(seen) < len(triples):
        seen += source.draw().rows.tolist()
    assert sorted(seen) == list(range(len(triples)))


def test_random_batches_are_as_full_as_they_can_be() -> None:
    triples = graph()
    source = batches_of("random", triples, entities=15, seed=1)
    batch, following = source.draw(), source.draw()
    first = triples[following.rows[0]][[0, 2]].tolist()
    assert len({*batch.entities.tolist(), *first}) > 15


def test_walks_bring_more_triples_for_the_same_encoding() -> None:
    triples = graph(3000, 400)
    found = {}
    for kind in ("random", "walk"):
        source, coverage = batches_of(kind, triples, entities=60, seed=0), Coverage(len(triples))  # type: ignore[arg-type]
        for _ in range(20):
            coverage.add(source.draw())
        found[kind] = coverage.figures()
    assert found["walk"]["triples_per_entity"] > 2 * found["random"]["triples_per_entity"]
    assert found["walk"]["most_seen"] > found["random"]["most_seen"]


def test_even_starts_and_a_cap_reach_more_triples() -> None:
    triples = graph(3000, 400)

    def never(**options: bool | int) -> float:
        source = batches_of("walk", triples, entities=40, seed=0, **options)  # type: ignore[arg-type]
        coverage = Coverage(len(triples))
        for _ in range(30):
            coverage.add(source.draw())
        return coverage.figures()["never_seen"]

    assert never(even=True) < never()
    source = batches_of("walk", triples, entities=200, most=17)
    assert len(source.draw().triples) == 17


@pytest.mark.parametrize("kind", KINDS)
def test_a_restored_source_goes_on_as_the_first_did(kind: str) -> None:
    triples = graph()
    first = batches_of(kind, triples, entities=20, even=True, seed=3)  # type: ignore[arg-type]
    for _ in range(7):
        first.draw()
    state = json.loads(json.dumps(first.state()))
    second = batches_of(kind, triples, entities=20, even=True, seed=9)  # type: ignore[arg-type]
    second.restore(state)
    for _ in range(40):
        one, other = first.draw(), second.draw()
        assert one.rows.tolist() == other.rows.tolist()
        assert one.entities.tolist() == other.entities.tolist()


def test_a_self_loop_and_an_isolated_pair_end_no_walk() -> None:
    triples = np.array([[0, 0, 0], [5, 0, 6], [7, 1, 8]])
    batch = batches_of("walk", triples, entities=10, seed=0).draw()
    assert batch.entities.tolist() == [0, 5, 6, 7, 8]
    assert len(batch.triples) == 3


def test_what_makes_no_batch_is_refused() -> None:
    with pytest.raises(NothingToPredict):
        batches_of("walk", np.empty((0, 3), np.int64), entities=5)
    with pytest.raises(QueryShapeError, match="of 1 entities"):
        batches_of("random", graph(), entities=1)
    with pytest.raises(QueryShapeError, match="most is 0"):
        batches_of("walk", graph(), entities=5, most=0)
    with pytest.raises(QueryShapeError, match="random, walk or mixed"):
        batches_of("all", graph(), entities=5)  # type: ignore[arg-type]
