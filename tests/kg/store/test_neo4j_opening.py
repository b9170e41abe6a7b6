"""Opening a database of a server: is it there, is it ours, does it let us in."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from neo4j import Driver

from kg import graph_hash, open_graph
from kg.errors import (
    NotFound,
    StoreForeign,
    StoreUnreachable,
    StoreVersion,
)
from kg.store.cypher import opening as cypher
from kg.store.neo4j.connection import Address
from kg.store.protocol import GraphStore
from tests.kg.store.contract import (
    CONFIG,
    fill,
    first_batch,
)
from tests.neo4j_server import empty_database

pytestmark = pytest.mark.neo4j


def test_foreign_nodes_under_our_labels_are_refused(neo4j_graph: str, neo4j_driver: Driver) -> None:
    neo4j_driver.execute_query("CREATE (:Document {title: 'of another program'})")
    with pytest.raises(StoreForeign, match="label Document") as caught:
        open_graph(neo4j_graph)
    assert str(caught.value).count("\n") <= 1
    assert neo4j_driver.execute_query("MATCH (n) RETURN count(n)").records[0][0] == 1


def test_foreign_nodes_under_other_labels_are_left_alone(
    neo4j_graph: str, neo4j_driver: Driver
) -> None:
    neo4j_driver.execute_query("CREATE (:Invoice {total: 3})")
    graph = open_graph(neo4j_graph)
    run = fill(graph, first_batch())
    graph.undo(run)
    graph.close()
    assert neo4j_driver.execute_query("MATCH (n:Invoice) RETURN n.total").records[0][0] == 3


@pytest.mark.parametrize(("format", "way_out"), [(99, "upgrade"), (1, "harvest")])
def test_graph_of_another_version_is_refused(
    graph: GraphStore, neo4j_driver: Driver, format: int, way_out: str
) -> None:
    neo4j_driver.execute_query("MATCH (g:SheafGraph) SET g.format = $format", format=format)
    with pytest.raises(StoreVersion, match=rf"format {format}.*{way_out}"):
        open_graph(graph.uri)


def test_both_schemes_open_the_same_graph(graph: GraphStore) -> None:
    fill(graph, first_batch())
    routed = open_graph(graph.uri.replace("bolt://", "neo4j://"))
    assert graph_hash(routed) == graph_hash(graph)
    routed.close()


def test_graph_that_is_not_there_is_not_made(neo4j_graph: str, neo4j_driver: Driver) -> None:
    with pytest.raises(NotFound, match="no graph at bolt"):
        open_graph(neo4j_graph, create=False)
    assert neo4j_driver.execute_query("MATCH (n) RETURN count(n)").records[0][0] == 0


def test_four_at_once_open_an_empty_server(neo4j_graph: str, neo4j_driver: Driver) -> None:
    def names(kind: str) -> set[str]:
        shown = neo4j_driver.execute_query(f"SHOW {kind} YIELD name").records
        return {row[0] for row in shown if row[0].startswith("sheaf_")}

    for name in names("CONSTRAINTS"):
        neo4j_driver.execute_query(f"DROP CONSTRAINT {name}")
    for name in names("INDEXES"):
        neo4j_driver.execute_query(f"DROP INDEX {name}")
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(open_graph, [neo4j_graph] * 4))
    assert len({store.home for store in stores}) == 1
    assert names("INDEXES") == set(cypher.schema())
    for store in stores:
        store.close()


def test_graph_that_is_deleted_while_it_is_open(graph: GraphStore, neo4j_driver: Driver) -> None:
    run = graph.begin_run(CONFIG).id
    empty_database(neo4j_driver)
    with pytest.raises(StoreForeign, match="deleted"):
        graph.write(first_batch(), run=run)
    with pytest.raises(StoreForeign, match="deleted"):
        _ = graph.change_counter


def test_missing_driver_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['neo4j'] = None\n"
        "from kg import graph_hash, open_graph\n"
        "from kg.errors import StoreUnreachable\n"
        "try: open_graph('bolt://localhost')\n"
        "except StoreUnreachable as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "sheaf[neo4j]" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_home_is_a_folder_under_the_id_of_the_graph(
    graph: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    home = graph.home
    assert home is not None
    assert home.is_dir()
    assert home == open_graph(graph.uri).home


def _message(uri: str) -> str:
    with pytest.raises(StoreUnreachable) as caught:
        open_graph(uri)
    text = str(caught.value)
    assert text.count("\n") <= 1
    assert "secret" not in text
    return text


def test_server_that_is_down() -> None:
    for scheme in ("bolt", "neo4j"):
        text = _message(f"{scheme}://me:secret@127.0.0.1:1")
        assert "127.0.0.1:1" in text
        assert "NEO4J_URI" in text


def test_wrong_password(neo4j_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", "secret-but-wrong")
    assert "NEO4J_PASSWORD" in _message(neo4j_uri)
    monkeypatch.delenv("NEO4J_PASSWORD")
    assert "without a password" in _message(neo4j_uri)


def test_unknown_database(neo4j_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEO4J_DATABASE", "nowhere")
    assert "no database 'nowhere'" in _message(neo4j_uri)


def test_encryption_that_the_server_does_not_speak(neo4j_uri: str) -> None:
    assert "Neo4j server" in _message(neo4j_uri.replace("bolt://", "bolt+ssc://"))


@pytest.mark.parametrize("uri", ["bolt://", "bolt://host:port", "neo4j://me:secret@:7687"])
def test_address_that_is_none(uri: str) -> None:
    assert "bolt://localhost:7687" in _message(uri)


def test_address_and_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NEO4J_USERNAME", "NEO4J_USER", "NEO4J_PASSWORD", "NEO4J_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    parse = Address.parse
    assert parse("bolt://h") == Address("bolt://h", "neo4j", "", "")
    monkeypatch.setenv("NEO4J_USER", "old")
    monkeypatch.setenv("NEO4J_PASSWORD", "p")
    monkeypatch.setenv("NEO4J_DATABASE", "d")
    assert parse("neo4j+s://h:1?region=eu") == Address("neo4j+s://h:1?region=eu", "old", "p", "d")
    monkeypatch.setenv("NEO4J_USERNAME", "new")
    assert parse("bolt://[::1]:7") == Address("bolt://[::1]:7", "new", "p", "d")
    assert parse("bolt+ssc://a:b%2F@h/x") == Address("bolt+ssc://h", "a", "b/", "x")
