"""Opening a database: is it ours, is its format known, are its constraints and indexes there."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Final, NamedTuple

from kg.errors import NotFound, StoreForeign, StoreVersion
from kg.store import cypher
from kg.store.neo4j.connection import Connection
from kg.store.neo4j.work import Work

__all__ = ["FORMAT", "Graph", "open_database"]

#: Version of the nodes and relationships that this library writes.
FORMAT: Final = 1


class Graph(NamedTuple):
    """The node that says what the database holds."""

    format: int
    store: str
    counter: int


def open_database(connection: Connection, *, create: bool) -> Graph:
    """Return the database's graph, made with its constraints first if there is none.

    Raises:
        NotFound: if there is no graph and `create` is False.
        StoreForeign: if another program's nodes carry our labels.
        StoreVersion: if a newer version of this library wrote it.
    """
    graph = find_graph(connection)
    if graph is None and not create:
        raise NotFound(
            f"there is no graph at {connection.address.uri}: check the address, or make one with "
            f"`sheaf harvest {connection.address.uri} DOCUMENTS`"
        )
    if graph is None:
        _refuse_foreign(connection)
    _ensure_schema(connection)
    if graph is None:
        rows, _ = connection.write(
            lambda work: work.ask(cypher.MAKE_GRAPH, format=FORMAT, store=uuid.uuid4().hex)
        )
        graph = Graph(*rows[0])
    if graph.format > FORMAT:
        raise StoreVersion(
            f"{connection.address.uri} has format {graph.format}, and this version of sheaf reads "
            f"up to {FORMAT}: upgrade sheaf"
        )
    return graph


def find_graph(connection: Connection) -> Graph | None:
    """Return the database's graph, None if it holds none."""
    rows = connection.read(lambda work: work.ask(cypher.GRAPH))
    return Graph(*rows[0]) if rows else None


def _refuse_foreign(connection: Connection) -> None:
    rows = connection.read(lambda work: work.ask(cypher.FOREIGN, labels=cypher.OUR_LABELS))
    # Somebody may have made the graph since we looked for it.
    if rows and find_graph(connection) is None:
        label, count = rows[0]
        raise StoreForeign(
            f"{connection.address.uri} holds {count} nodes with the label {label} that are not "
            "sheaf's: one graph takes a database of its own (NEO4J_DATABASE names another one)"
        )


def _ensure_schema(connection: Connection) -> None:
    wanted = cypher.schema()
    found = dict(connection.read(lambda work: work.ask(cypher.SCHEMA_NAMES)))
    missing = [name for name in wanted if name not in found]
    for name in missing:
        connection.write(partial(Work.ask, statement=wanted[name]))
    if missing or any(found[name] != "ONLINE" for name in wanted if name in found):
        connection.read(lambda work: work.ask(cypher.AWAIT_INDEXES))
