"""The contract suite on a real Neo4j, and what only this store has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from neo4j import Driver

from kg import open_graph
from kg.store.protocol import GraphStore
from tests.kg.store.contract import StoreContract
from tests.neo4j_server import empty_database

pytestmark = pytest.mark.neo4j


class TestNeo4j(StoreContract):
    @pytest.fixture
    def new_graph(self, neo4j_graph: str, neo4j_driver: Driver) -> Callable[[], GraphStore]:
        def make() -> GraphStore:
            empty_database(neo4j_driver)
            return open_graph(neo4j_graph)

        return make
