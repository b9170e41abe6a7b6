"""Opening a database: is it ours, is its format known, are its constraints and indexes there."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Final, NamedTuple

from kg.errors import NotFound, StoreForeign, StoreVersion
from kg.store.cypher import opening as cypher
from kg.store.neo4j.connection import Connection
from kg.store.neo4j.locking import work_alone
from kg.store.neo4j.work import Work

__all__ = ["FORMAT", "Graph", "open_database"]

#: Version of the nodes and relationships that this library writes.
FORMAT: Final = 2


class Graph(NamedTuple):
    """The node that says what the database holds."""

    format: int
    store: str
    counter: int
    #: neo4j-admin has loaded it and nobody has opened it yet.
    imported: bool


def open_database(connection: Connection, *, create: bool) -> Graph:
    """Return the database's graph, made with its constraints first if there is none.

    Raises:
        NotFound: if there is no graph and `create` is False.
        StoreForeign: if another program's nodes carry our labels.
        StoreVersion: if another version of this library wrote it, in another format.
    """
    graph = find_graph(connection)
    if graph is None:
        if not create:
            where = connection.address.uri
            raise NotFound(
                f"there is no graph at {where}: check the address, or make one with "
                f"`sheaf harvest {where} DOCUMENTS`"
            )
        _refuse_foreign(connection)
    if graph is None or _missing(connection):
        graph = _prepare(connection)
    if graph.imported:
        _complete(connection)
    if graph.format != FORMAT:
        way_out = (
            "upgrade sheaf"
            if graph.format > FORMAT
            else "harvest the documents into a new database"
        )
        raise StoreVersion(
            f"{connection.address.uri} has format {graph.format}, and this version of sheaf reads "
            f"format {FORMAT}: {way_out}"
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


def _prepare(connection: Connection) -> Graph:
    """Make constraints, indexes and the graph's own node, one process after the other."""
    wanted = cypher.schema()
    connection.define(wanted["sheaf_sheafgraph_id"])
    # Whoever makes the node first holds it until all else is made: processes that define a schema
    # side by side run into each other's locks.
    with connection.holding(cypher.MAKE_GRAPH, format=FORMAT, store=uuid.uuid4().hex) as (
        graph,
        *_,
    ):
        for name in _missing(connection):
            connection.define(wanted[name])
        connection.read(lambda work: work.ask(cypher.AWAIT_INDEXES))
    connection.write(work_alone)  # makes the lanes of writers
    return Graph(*graph)


def _complete(connection: Connection) -> None:
    """Finish what `kg.store.neo4j.admin_import` has loaded, in parts: it may be very large."""
    after: str | None = ""
    while after is not None:
        part = partial(Work.ask, statement=cypher.COMPLETE, after=after)
        after = connection.write(part)[0][0][0]
    connection.write(lambda work: work.ask(cypher.SET_COMPLETE))


def _missing(connection: Connection) -> list[str]:
    """Return the names of constraints and indexes that are not there or not ready."""
    found = dict(connection.read(lambda work: work.ask(cypher.SCHEMA_NAMES)))
    return [name for name in cypher.schema() if found.get(name) != "ONLINE"]
