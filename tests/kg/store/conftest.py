"""Fixtures for the tests of stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kg import open_graph
from kg.store.protocol import GraphStore


@pytest.fixture
def graph(neo4j_graph: str) -> Iterator[GraphStore]:
    """An empty graph on the tests' own Neo4j; the contract suite has its own."""
    store = open_graph(neo4j_graph)
    yield store
    store.close()
