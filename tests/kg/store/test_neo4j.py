"""The contract suite on a real Neo4j, and every step held against the store in memory."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from neo4j import Driver

from kg import graph_hash, open_graph
from kg.errors import (
    RecordError,
)
from kg.ids import entity_id
from kg.records import (
    Batch,
    Config,
    Mention,
    Merge,
    Prediction,
)
from kg.store.protocol import GraphStore
from tests.kg.store.contract import (
    CONFIG,
    MARIE,
    NEWER,
    OTHER,
    StoreContract,
    check_equals_twin,
    fill,
    first_batch,
    second_batch,
)
from tests.kg.store.random_graph import random_batches
from tests.neo4j_server import empty_database

pytestmark = pytest.mark.neo4j


class TestNeo4j(StoreContract):
    @pytest.fixture
    def new_graph(self, neo4j_graph: str, neo4j_driver: Driver) -> Callable[[], GraphStore]:
        def make() -> GraphStore:
            empty_database(neo4j_driver)
            return open_graph(neo4j_graph)

        return make


def _live(graph: GraphStore, seed: int) -> list[str]:
    """Write, merge, predict, delete and undo; return the hash after each step."""
    chance = random.Random(seed)
    hashes = []
    first, second = graph.begin_run(CONFIG).id, graph.begin_run(CONFIG).id
    for number, batch in enumerate(random_batches(seed)):
        graph.write(batch, run=first if number % 2 else second)
    hashes.append(graph_hash(graph))
    entities = [entity.id for entity in graph.derived("entity")]
    resolving = graph.begin_run(Config("resolve")).id
    for _ in range(2):
        kept, dropped = chance.sample(entities, 2)
        graph.write(Batch(merges=(Merge(kept, dropped, "test", 1.0, resolving),)), run=resolving)
    hashes.append(graph_hash(graph))
    guessing = graph.begin_run(Config("guess")).id
    guesses = tuple(
        Prediction(*chance.sample(entities, 1), "KNOWS", *chance.sample(entities, 1), 0.5, 1, "w",
                   1, guessing)
        for _ in range(6)
    )  # fmt: skip
    graph.write(Batch(predictions=tuple({p.id: p for p in guesses}.values())), run=guessing)
    for act in (
        lambda: graph.delete_document("3.txt"),
        lambda: graph.undo(first),
        lambda: graph.write(random_batches(seed + 1)[0], run=second),
        lambda: graph.undo(resolving),
        lambda: graph.delete_document("4.txt"),
    ):
        act()
        drawn = graph.read(
            "MATCH (a:Entity)-[p:PREDICTED]->(b:Entity) RETURN p.id, a.id, b.id ORDER BY p.id"
        )
        hashes.append(f"{graph_hash(graph)} {drawn.rows}")
    check_equals_twin(graph)
    graph.undo(guessing)
    graph.undo(second)
    hashes.append(graph_hash(graph))
    return hashes


@pytest.mark.parametrize("seed", range(2))
def test_every_step_equals_the_store_in_memory(graph: GraphStore, seed: int) -> None:
    memory = open_graph("memory://")
    assert _live(graph, seed) == _live(memory, seed)
    assert graph.stats() == memory.stats()


def test_nothing_is_left_when_all_is_undone(graph: GraphStore, neo4j_driver: Driver) -> None:
    _live(graph, 1)
    for run in list(graph.written("run")):
        graph.undo(run.id)
    for document in list(graph.written("document")):
        graph.delete_document(document.uri)
    labels = neo4j_driver.execute_query(
        "MATCH (n) UNWIND labels(n) AS label RETURN collect(DISTINCT label)"
    ).records[0][0]
    kept = {"SheafGraph", "SheafLock", "Config", "SheafRelationName", "SheafLease"}
    assert set(labels) <= kept
    locks = neo4j_driver.execute_query("MATCH (l:SheafLock) RETURN l.id").records
    assert {row[0].partition("-")[0] for row in locks} <= {"lane", "leases"}


def test_second_write_makes_no_node_and_no_relationship(
    graph: GraphStore, neo4j_driver: Driver
) -> None:
    def count() -> tuple[object, ...]:
        statement = "MATCH (n) OPTIONAL MATCH (n)-[r]->() RETURN count(DISTINCT n), count(r)"
        return tuple(neo4j_driver.execute_query(statement).records[0].values())

    run = fill(graph, first_batch(), second_batch())
    before = count()
    for batch in (first_batch(), second_batch()):
        assert graph.write(batch, run=run).created == 0
    assert count() == before


def test_records_of_the_store_have_no_relationships(
    graph: GraphStore, neo4j_driver: Driver
) -> None:
    _live(graph, 2)
    fill(graph, first_batch())
    types = neo4j_driver.execute_query(
        "MATCH (a)-[r]->(b) WHERE any(n IN [a, b] WHERE n:Run OR n:Config OR n:Task OR n:Merge "
        "OR n:Prediction OR any(l IN labels(n) WHERE l STARTS WITH 'Sheaf')) RETURN count(r)"
    )
    assert types.records[0][0] == 0


def test_what_others_set_on_our_nodes_stays(graph: GraphStore, neo4j_driver: Driver) -> None:
    fill(graph, first_batch())
    neo4j_driver.execute_query("MATCH (e:Entity {id: $id}) SET e.seen = true, e:Mine", id=MARIE)
    fill(graph, second_batch())
    graph.delete_document("pierre.txt")
    node = neo4j_driver.execute_query("MATCH (e:Entity {id: $id}) RETURN e", id=MARIE).records[0][0]
    assert node["seen"] is True
    assert set(node.labels) == {"Entity", "Person", "Mine"}


def test_type_that_changes_takes_its_label_along(graph: GraphStore) -> None:
    run = graph.begin_run(CONFIG).id
    raw = entity_id("Warsaw", "Place")
    graph.write(Batch(mentions=(Mention(raw, "Warsaw", CONFIG.id, type="City"),)), run=run)
    assert graph.read("MATCH (e:City) RETURN count(e)").rows == ((1,),)
    other = graph.begin_run(OTHER).id
    places = tuple(Mention(raw, "Warsaw", OTHER.id, type="Place") for _ in range(1))
    newer = graph.begin_run(NEWER).id
    graph.write(Batch(mentions=places), run=other)
    graph.write(Batch(mentions=(Mention(raw, "Warsaw", NEWER.id, type="Place"),)), run=newer)
    rows = graph.read("MATCH (e:Place) RETURN labels(e)")
    assert set(rows.rows[0][0]) == {"Entity", "Place"}


def test_properties_that_a_server_cannot_hold(graph: GraphStore) -> None:
    run = graph.begin_run(CONFIG).id
    props = {"huge": 10**30, "": 1, "a\x00b": 2, "fine": 3, "id": "mine", "`q`": "x"}
    raw = entity_id("Odd", "Thing")
    graph.write(
        Batch(mentions=(Mention(raw, "Odd", CONFIG.id, type="Thing", props=props),)), run=run
    )
    entity = graph.get(raw)
    assert dict(entity.props) == props
    assert graph.read("MATCH (e:Thing) RETURN e.fine, e.huge, e.```q```").rows == ((3, None, "x"),)


def test_long_names(graph: GraphStore) -> None:
    run = graph.begin_run(CONFIG).id
    name = "long " * 4_000
    graph.write(Batch(mentions=(Mention(entity_id(name), name, CONFIG.id),)), run=run)
    assert graph.get(entity_id(name)).name == name
    with pytest.raises(RecordError, match="40,000 bytes"):
        graph.write(
            Batch(mentions=(Mention(entity_id("é" * 20_000), "é" * 20_000, CONFIG.id),)), run=run
        )
    assert graph.stats().entities == 1
