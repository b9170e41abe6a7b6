"""How the server reads: by index, within limits, and nothing but reading."""

from __future__ import annotations

import itertools

import pytest
from neo4j import Driver

from kg.errors import (
    LimitReached,
    QueryError,
    QueryRefused,
)
from kg.ids import entity_id
from kg.records import (
    Batch,
    Evidence,
    Mention,
)
from kg.store.cypher import deriving, removing, writing
from kg.store.protocol import GraphStore, Limits
from tests.kg.store.contract import (
    CONFIG,
    fill,
    first_batch,
)
from tests.kg.store.random_graph import random_batches
from tests.kg.store.test_cypher import all_statements

pytestmark = pytest.mark.neo4j


#: Statements that may look at every node of a label or at every relationship of a type: asked once
#: when a database is opened, on the removal of a run, or about kinds of which there are few.
MAY_SCAN = {
    "FOREIGN", "LATEST_RUNS", "RELATION_NAMES", "STATED_WITH", "PHRASES", "TOUCHED_PREDICTIONS",
    "PREDICTIONS_OF_RUN", "FORGET_PLACES", "MERGES_OF_RUN", "DELETE_MERGES_OF_RUN",
    "DELETE_PREDICTIONS_OF_RUN", "DELETE_NAMES_OF_RUN", "URIS", "OTHER_VERSIONS",
}  # fmt: skip


def _operators(driver: Driver, statement: str) -> list[str]:
    values = {"rows": [["x"]], "id": "x", "run": 1, "config": "f", "configs": [], "key": "k"}
    values |= {"raws": [], "triples": [], "ids": [], "all": False, "labels": [], "prefix": "1|"}
    values |= {"lane": "lane-1", "lanes": 1, "name": "n", "documents": [], "texts": [], "own": []}
    values |= {"chunks": [], "read": [], "models": [], "keys": [], "entities": [], "moved": []}
    values |= {"literals": [], "namings": [], "links": [], "tasks": [], "owner": "o", "expires": 1}
    operators, stack = [], [driver.execute_query(f"EXPLAIN {statement}", values).summary.plan]
    while stack:
        step = stack.pop()
        operators.append(step["operatorType"].partition("@")[0])
        stack += step.get("children", [])
    return operators


def test_no_statement_scans_but_the_few_that_may(graph: GraphStore, neo4j_driver: Driver) -> None:
    """On a small graph, where the server would rather scan: its plans are kept while it grows."""
    fill(graph, first_batch(), *random_batches(3))
    # Waits for the statistics of indexes, which a busy server gathers late, and clears plans.
    neo4j_driver.execute_query("CALL db.prepareForReplanning(60)")
    statements = all_statements()
    for type in ("MENTIONS", "STATES"):
        for make in (
            *(writing.link, removing.unlink, removing.remove, removing.adopt),
            *(removing.of_chunks, removing.found_in_chunk, removing.found_in_model),
        ):
            statements[f"{make.__name__} {type}"] = make(type)
    statements["look"] = writing.look(alone=False)
    statements["look alone"] = writing.look(alone=True)
    statements["triples"] = deriving.triples("BORN_IN").statement
    statements["entities"] = deriving.entities(["Entity", "Person"]).statement
    asked = {
        name: s for name, s in statements.items() if s.startswith(("UNWIND", "MATCH", "CALL {"))
    }
    assert len(asked) > 50
    scanning = {
        name
        for name, statement in asked.items()
        if any("Scan" in operator for operator in _operators(neo4j_driver, statement))
    }
    assert scanning <= MAY_SCAN


@pytest.mark.parametrize(
    "statement",
    [
        "MATCH ()-[s:STATES {triple_id: $id}]->() RETURN s.quote",
        "MATCH (:Chunk)-[s:STATES]->(h:Entity) WHERE s.triple_id = $id RETURN s.quote, h.name",
        "MATCH (c:Chunk)-[s:STATES {triple_id: $id}]->(:Entity) RETURN c.id",
    ],
)
def test_users_find_evidence_by_the_relationship_index(
    graph: GraphStore, neo4j_driver: Driver, statement: str
) -> None:
    run = graph.begin_run(CONFIG).id
    names = [f"Name {number}" for number in range(400)]
    raws = [entity_id(name) for name in names]
    graph.write(
        Batch(
            mentions=tuple(Mention(r, n, CONFIG.id) for r, n in zip(raws, names, strict=True)),
            evidence=tuple(
                Evidence(a, "knows", b, 0.5, CONFIG.id) for a, b in itertools.pairwise(raws)
            ),
        ),
        run=run,
    )
    neo4j_driver.execute_query("CALL db.prepareForReplanning(30)")
    operators = _operators(neo4j_driver, statement)
    assert any(operator.endswith("RelationshipIndexSeek") for operator in operators), operators


@pytest.mark.parametrize(
    "statement",
    ["LOAD CSV FROM 'file:///x.csv' AS l RETURN l", "CALL db.labels() YIELD label RETURN label",
     "MATCH (n) SET n.x = 1", "CREATE (:X)", "SHOW DATABASES"],
)  # fmt: skip
def test_server_layer_refuses_without_the_guard(
    graph: GraphStore, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """The second lock: what if the guard had a hole?"""
    monkeypatch.setattr("kg.store.guard.check", lambda *_: None)
    with pytest.raises((QueryRefused, QueryError)) as caught:
        graph.read(statement)
    assert isinstance(caught.value, QueryRefused) or statement.startswith("SHOW")


def test_a_query_out_of_time_says_so(graph: GraphStore) -> None:
    endless = "UNWIND range(1, 100000000) AS x UNWIND range(1, 100000000) AS y RETURN count(*)"
    with pytest.raises(LimitReached, match=r"longer than 0\.5 s"):
        graph.read(endless, limits=Limits(seconds=0.5))
    assert graph.read("RETURN 1 AS x").rows == ((1,),)


def test_values_are_plain_python(graph: GraphStore) -> None:
    rows = graph.read(
        "RETURN date('2020-02-29') AS d, duration('P1D') AS p, point({x: 1, y: 2}) AS q, "
        "[1, {a: null}] AS l, 1.5 AS f"
    )
    assert rows.rows == (("2020-02-29", "P1D", (1.0, 2.0), [1, {"a": None}], 1.5),)
