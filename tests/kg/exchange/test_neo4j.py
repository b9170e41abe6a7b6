"""The same graph in Neo4j and in memory: files go from one to the other and have equal bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

import kg
from kg.exchange.formats import Format, export_graph, import_graph
from tests.kg.exchange.graphs import full_graph

pytestmark = pytest.mark.neo4j


def test_a_graph_moves_to_neo4j_and_back(tmp_path: Path, neo4j_graph: str) -> None:
    source = full_graph()
    store = kg.open_graph(neo4j_graph)
    export_graph(source, tmp_path / "a.parquet", format=Format.parquet)
    import_graph(store, tmp_path / "a.parquet", format=Format.parquet)
    assert kg.graph_hash(store) == kg.graph_hash(source)
    for format in (Format.nq, Format.ttl, Format.graphml, Format.langchain, Format.llamaindex):
        for name, graph in (("here", source), ("there", store)):
            export_graph(graph, tmp_path / f"{name}.{format}", format=format)
        here, there = (tmp_path / f"{name}.{format}" for name in ("here", "there"))
        assert there.read_bytes() == here.read_bytes(), format
    copy = kg.open_graph("memory://")
    import_graph(copy, tmp_path / "there.nq", format=Format.nq)
    assert kg.graph_hash(copy) == kg.graph_hash(source)
    for run in [run.id for run in store.written("run")]:
        store.undo(run)
    assert store.stats().evidence == 0
    store.close()
