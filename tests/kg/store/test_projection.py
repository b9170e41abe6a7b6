"""Projections equal their slow twins: patched and rebuilt, streamed and made of record objects."""

from __future__ import annotations

import logging
import os
import random
from pathlib import Path
from typing import Any

import pytest

from kg.derivation import Naming, Statement, derive
from kg.ids import entity_id
from kg.records import Batch, Config, Literal, Mention, Merge, Prediction, RelationName
from kg.store import shape
from kg.store.embedded import patching, projection
from kg.store.embedded.basis import Basis, posting, posting_row
from kg.store.embedded.store import EmbeddedStore
from tests.kg.store.contract import CONFIG, NAMES, check_equals_twin, fill
from tests.kg.store.random_graph import random_batches


def graph_of(store: EmbeddedStore, scope: projection.Scope = "facts") -> tuple[Any, ...]:
    """Everything an engine holds, without the engine's own numbers, and its basis."""
    held = store._caught_up(scope)
    nodes = held.engine.execute_cypher("MATCH (n) RETURN n")
    edges = held.engine.execute_cypher("MATCH (a)-[r]->(b) RETURN a.id, r, b.id")
    return (
        sorted(repr(_plain(row["n"])) for row in nodes),
        sorted(repr((row["a.id"], _plain(row["r"]), row["b.id"])) for row in edges),
        held.basis,
    )


def _plain(value: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(
        (key, sorted(item) if key == "_labels" else item)
        for key, item in value.items()
        if key not in ("_id", "_source", "_target")
    )


def rebuilt(folder: Path) -> tuple[Any, ...]:
    """What a new derivation of the same record holds."""
    store = EmbeddedStore(folder)
    store._projection = projection._build(store._record, "facts")
    graph = graph_of(store)
    store.close()
    return graph


@pytest.mark.parametrize("seed", range(6))
def test_a_patched_projection_equals_a_new_one(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing, merging, predicting, undoing and deleting, with a look after each step."""
    patched = 0
    apply = patching.apply

    def counted(*arguments: Any) -> Basis:
        nonlocal patched
        patched += 1
        return apply(*arguments)

    monkeypatch.setattr(projection, "apply", counted)
    chance, folder = random.Random(seed), tmp_path / "my.kg"
    store = EmbeddedStore(folder)
    runs: list[str] = []
    names = ["Ada", "Bob", "Rome"]
    ids = [entity_id(name, type) for name in names for type in ("", "Person", "Place")]
    fill(store, Batch(relation_names=NAMES))
    for step, batch in enumerate(random_batches(seed, steps=8)):
        run = fill(store, batch)
        runs.append(run)
        extra = fill(store, Batch())
        kept, dropped = chance.sample(ids, 2)
        if chance.random() < 0.4:
            store.write(Batch(merges=(Merge(kept, dropped, "test", 1.0, extra),)), run=extra)
            runs.append(extra)
        if chance.random() < 0.5:
            guess = Prediction(kept, "knows", dropped, 0.5, 1, "w", 1, extra)
            store.write(Batch(predictions=(guess,)), run=extra)
        if chance.random() < 0.3:
            store.undo(runs.pop(chance.randrange(len(runs))))
        if chance.random() < 0.3:
            uris = [document.uri for document in store.written("document")]
            if uris:
                store.delete_document(chance.choice(uris))
        assert graph_of(store) == rebuilt(folder), step
        check_equals_twin(store)
    store.close()
    assert patched >= 6  # the relation map may change once more


def test_undoing_everything_leaves_an_empty_projection(tmp_path: Path) -> None:
    folder = tmp_path / "my.kg"
    store = EmbeddedStore(folder)
    runs = [fill(store, batch) for batch in random_batches(3, steps=3)]
    graph_of(store)
    for run in runs:
        store.undo(run)
        assert graph_of(store) == rebuilt(folder)
    nodes, edges, basis = graph_of(store)
    assert (nodes, edges, len(basis)) == ([], [], 0)
    store.close()


def test_another_relation_map_is_derived_anew(tmp_path: Path) -> None:
    folder = tmp_path / "my.kg"
    store = EmbeddedStore(folder)
    run = fill(store, *random_batches(1, steps=3))
    before = graph_of(store)
    swapped = RelationName("knows", "known_by", swapped=True)
    store.write(Batch(relation_names=(swapped,)), run=run)
    assert graph_of(store) == rebuilt(folder) != before
    store.close()


def test_much_change_is_derived_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patching, "FEW", 0)
    monkeypatch.setattr(projection, "apply", None)  # would fail if it were called
    store = EmbeddedStore(tmp_path / "my.kg")
    batches = random_batches(2, steps=4)
    fill(store, batches[0])
    graph_of(store)
    fill(store, *batches[1:])
    graph_of(store)
    check_equals_twin(store)
    store.close()


def test_keys_of_removed_evidence_are_not_given_again(tmp_path: Path) -> None:
    """A patch tells by its key what it knows already."""
    folder = tmp_path / "my.kg"
    store = EmbeddedStore(folder)
    first, second, third = random_batches(5, steps=3)
    fill(store, first)
    run = fill(store, second)
    graph_of(store)
    store.undo(run)
    fill(store, third)
    assert graph_of(store) == rebuilt(folder)
    store.close()


@pytest.mark.parametrize("seed", range(4))
def test_sources_have_the_shape_that_every_store_shows(tmp_path: Path, seed: int) -> None:
    """The streamed rows equal `kg.store.shape` of the record objects."""
    store = EmbeddedStore(tmp_path / "my.kg")
    fill(store, *random_batches(seed))
    configs = {config.id: config for config in store.written("config")}
    twin = derive(
        map(Naming.of, store.written("mention")),
        map(Statement.of, store.written("evidence")),
        relation_names=store.written("relation_name"),
        configs=configs,
    )
    states = sorted(
        (
            e.chunk or e.config,
            sorted(shape.states_properties(e, twin.stated[e.id].triple, configs[e.config]).items()),
            twin.stated[e.id].head,
        )
        for e in store.written("evidence")
    )
    mentions = sorted(
        (
            m.chunk or m.config,
            sorted(shape.mentions_properties(m).items()),
            twin.canonical[m.entity],
        )
        for m in store.written("mention")
    )
    assert _edges(store, "STATES") == states
    assert _edges(store, "MENTIONS") == mentions
    for id, stated in twin.stated.items():
        assert id in {e.id for e in store.written("evidence", triple=stated.triple)}
    for triple in twin.triples.values():
        assert store.get(triple.id) == triple
        found = [e.id for e in store.written("evidence", triple=triple.id)]
        assert found == sorted(id for id, s in twin.stated.items() if s.triple == triple.id)
    store.close()


def _edges(store: EmbeddedStore, type: str) -> list[tuple[str, list[tuple[str, Any]], str]]:
    rows = store.read(f"MATCH (a)-[r:{type}]->(b) RETURN a.id, r, b.id")
    return sorted((a, sorted(r.properties.items()), b) for a, r, b in rows)


def test_facts_and_sources_are_made_when_they_are_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "my.kg"
    store = EmbeddedStore(folder)
    fill(store, *random_batches(1))
    store.read("MATCH (e:Entity) RETURN count(*)")
    assert len(list(folder.glob("projection-*.grafeo"))) == 1
    assert not list(folder.glob("sources-*"))
    ((chunks,),) = store.read("MATCH (c:Chunk) RETURN count(*)")
    assert chunks == 12
    assert len(list(folder.glob("sources-*.grafeo"))) == 1
    before = store._projection
    store.read("MATCH (e:Entity) RETURN count(*)")
    assert store._projection is before  # what holds the sources holds the facts
    store.close()


def test_a_lost_basis_is_derived_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "my.kg"
    store = EmbeddedStore(folder)
    fill(store, *random_batches(1))
    whole = graph_of(store)
    store.close()
    (basis,) = folder.glob("projection-*.basis")
    content = basis.read_bytes()
    for damaged in (None, content[:-1], content[:-1] + bytes([content[-1] ^ 1])):
        basis.unlink() if damaged is None else basis.write_bytes(damaged)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            again = EmbeddedStore(folder)
            assert graph_of(again) == whole
            again.close()
        assert len(caplog.records) == 1


def test_postings_on_paper(tmp_path: Path) -> None:
    a, b, c = (bytes([n]) * 16 for n in (1, 2, 3))
    head = bytes(16)
    rows = sorted(
        posting_row(triple + head, key, key != 3)
        for triple, key in ((a, 1), (b, 2), (b, 3), (c, 70_000))
    )
    basis = Basis({1: 2, 5: 1}, {"e_1": "e_2"}, "[]", b"".join(rows))
    assert [(p.key, p.supports) for p in basis.of(b)] == [(2, True), (3, False)]
    assert basis.of(bytes([9]) * 16) == basis.of(bytes(16)) == []
    assert basis.keys() == [posting(row).key for row in rows] == [1, 2, 3, 70_000]
    new = [posting_row(b + head, 9, True), posting_row(bytes(16) + head, 8, True)]
    exchanged = basis.exchanged(without=[rows[1], rows[3]], plus=new)
    assert exchanged == b"".join(sorted([rows[0], rows[2], *new]))
    basis.save(tmp_path / "basis")
    assert Basis.load(tmp_path / "basis") == basis


def test_hedged_evidence_counts_by_its_config_in_the_stream(tmp_path: Path) -> None:
    asking = Config("hand", parameters={"include_hedged": True})
    store = EmbeddedStore(tmp_path / "my.kg")
    for batch in random_batches(4):
        fill(store, batch)
    run = store.begin_run(asking).id
    (hedged, *_) = [e for e in store.written("evidence") if e.hedged and not e.negated]
    fields = {name: getattr(hedged, name) for name in type(hedged).__slots__ if name != "id"}
    store.write(Batch(evidence=(type(hedged)(**{**fields, "config": asking.id}),)), run=run)
    check_equals_twin(store)
    store.close()


def test_a_literal_goes_with_its_last_evidence(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "my.kg")
    fill(store, *random_batches(2))
    assert any(isinstance(e.tail, Literal) for e in store.written("evidence"))
    graph_of(store)
    for run in list(store.written("run")):
        store.undo(run.id)
    assert list(store.derived("literal")) == []
    store.close()


def test_an_untyped_name_that_moves_takes_its_evidence_along(tmp_path: Path) -> None:
    folder = tmp_path / "my.kg"
    store = EmbeddedStore(folder)
    fill(store, *random_batches(7, steps=6))
    before = graph_of(store)
    run = store.begin_run(CONFIG).id
    ship = entity_id("Rome", "Ship")
    store.write(Batch(mentions=(Mention(ship, "Rome", CONFIG.id, type="Ship"),)), run=run)
    assert graph_of(store) == rebuilt(folder)
    store.undo(run)
    assert graph_of(store) == before
    store.close()


def test_drafts_of_killed_readers_are_cleared_away(tmp_path: Path) -> None:
    folder = tmp_path / "my.kg"
    store = EmbeddedStore(folder)
    fill(store, *random_batches(1, steps=2))
    old, new = folder / ".projection-1-77.grafeo", folder / ".sources-1-78.grafeo"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    graph_of(store)
    assert not old.exists()
    assert new.exists()  # its process may still be at work
    store.close()
