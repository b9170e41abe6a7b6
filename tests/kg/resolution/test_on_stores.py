"""Merges and relation names on every store: written, followed, taken back to the same hash."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg import graph_hash, open_graph
from kg.canonicalisation import canonicalise
from kg.resolution import resolve
from tests.kg.resolution.said import said
from tests.kg.store.contract import check_equals_twin


@pytest.fixture(params=["memory", "embedded", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return "memory://"
    if request.param == "embedded":
        return str(tmp_path / "my.kg")
    return str(request.getfixturevalue("neo4j_graph"))


def test_what_is_joined_is_followed_and_taken_back(address: str) -> None:
    graph = open_graph(address)
    said(
        graph,
        {
            "a.txt": [
                ("Marie Curie:Person", "was born in", "Warsaw:City"),
                ("Marie Curie:Person", "discovered", "Radium"),
            ],
            "b.txt": [
                ("Curie, Marie:Person", "is born in", "Warsaw:Organization"),
                ("Marie Curie:Person", "left", "Warsaw:Organization"),
                ("Radium", "was discovered by", "Marie Skłodowska Curie:Person"),
                ("Pierre Curie:Person", "visited", "Warsaw"),
            ],
        },
    )
    before = graph_hash(graph)
    resolved = resolve(graph)
    assert resolved.layers == {"spelling": 1, "mistyped": 1, "person": 1, "name": 1}
    check_equals_twin(graph)
    named = canonicalise(graph)
    assert len(named.rows) == 2
    check_equals_twin(graph)
    triples = sorted((t.relation, t.support) for t in graph.derived("triple"))
    assert triples == [("DISCOVERED", 2), ("IS_BORN_IN", 2), ("LEFT", 1), ("VISITED", 1)]
    assert graph.read("MATCH ()-[r:DISCOVERED]->() RETURN r.support").rows == ((2,),)
    after = graph_hash(graph)
    # A second time nothing is left to do.
    for again in (resolve(graph), canonicalise(graph)):
        graph.undo(again.run)
        assert graph_hash(graph) == after
    assert resolve(graph, dry_run=True).merges == ()
    assert graph.undo(named.run).relation_names == 2
    assert graph.undo(resolved.run).merges == 4
    assert graph_hash(graph) == before
    check_equals_twin(graph)
    graph.close()
