"""What every test may ask for: a real Neo4j server, started once, empty for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.neo4j_server import USER, Neo4jUnavailable, empty_database, start

if TYPE_CHECKING:
    from neo4j import Driver

_MANAGED = ("NEO4J_URI", "NEO4J_USERNAME", "NEO4J_USER", "NEO4J_PASSWORD", "NEO4J_DATABASE")


@pytest.fixture(scope="session")
def neo4j_uri() -> Iterator[str]:
    """The address of a server whose database is ours to empty; credentials are in the environment.

    `SHEAF_TEST_NEO4J_URI` (with `SHEAF_TEST_NEO4J_USERNAME`, `SHEAF_TEST_NEO4J_PASSWORD`) names a
    server to use, and its database must be empty; otherwise one is started. The user's own
    `NEO4J_*` variables are set aside while tests run, so that no test can reach that database.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in _MANAGED:
            patch.delenv(name, raising=False)
        chosen = os.environ.get("SHEAF_TEST_NEO4J_URI")
        if chosen:
            patch.setenv("NEO4J_USERNAME", os.environ.get("SHEAF_TEST_NEO4J_USERNAME", USER))
            patch.setenv("NEO4J_PASSWORD", os.environ.get("SHEAF_TEST_NEO4J_PASSWORD", ""))
            _refuse_unless_empty(chosen)
            yield chosen
            return
        try:
            server = start(short_lived=True)
        except Neo4jUnavailable as error:
            pytest.fail(str(error), pytrace=False)
        patch.setenv("NEO4J_USERNAME", server.user)
        patch.setenv("NEO4J_PASSWORD", server.password)
        yield server.uri
        server.stop()


@pytest.fixture(scope="session")
def neo4j_driver(neo4j_uri: str) -> Iterator[Driver]:
    """A driver for looking behind the store's back."""
    with _driver(neo4j_uri) as driver:
        yield driver


@pytest.fixture
def neo4j_graph(neo4j_uri: str, neo4j_driver: Driver) -> Iterator[str]:
    """The address of an empty Neo4j database; it is emptied again after the test."""
    empty_database(neo4j_driver)
    yield neo4j_uri
    empty_database(neo4j_driver)


def _driver(uri: str) -> Driver:
    from neo4j import GraphDatabase

    auth = (os.environ["NEO4J_USERNAME"], os.environ["NEO4J_PASSWORD"])
    return GraphDatabase.driver(uri, auth=auth, notifications_min_severity="OFF")


def _refuse_unless_empty(uri: str) -> None:
    with _driver(uri) as driver:
        nodes = driver.execute_query("MATCH (n) RETURN count(n)").records[0][0]
    if nodes:
        pytest.fail(
            f"SHEAF_TEST_NEO4J_URI={uri} holds {nodes} nodes and the tests would delete them: "
            "name a server with an empty database, or unset it to have one started",
            pytrace=False,
        )
