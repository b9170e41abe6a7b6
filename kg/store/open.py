"""Open a graph by its address."""

from __future__ import annotations

import re
from pathlib import Path

from kg.errors import StoreError
from kg.store.protocol import GraphStore

__all__ = ["open_graph"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def open_graph(uri: str | Path, *, create: bool = True) -> GraphStore:
    """Return the graph at an address: a folder, `memory://`, `bolt://…` or `neo4j://…`.

    Args:
        uri: a path is an embedded graph, the default; `memory://` lives as long as the process;
            the rest is a Neo4j server, whose user, password and database come from
            `NEO4J_USERNAME`, `NEO4J_PASSWORD` and `NEO4J_DATABASE`.
        create: make the graph if there is none.

    Raises:
        StoreError: if the address is wrong or the store cannot be opened; see its leaves.
        NotFound: if there is no graph and `create` is False.

    >>> graph = open_graph("memory://")
    >>> graph.read("MATCH (e:Entity) RETURN count(*) AS entities").dicts()
    [{'entities': 0}]
    """
    address = str(uri)
    scheme = _SCHEME.match(address)
    if not address.strip():
        raise StoreError("the graph's address is empty: give a path, memory:// or neo4j://host")
    if scheme is None:
        from kg.store.embedded import EmbeddedStore

        return EmbeddedStore(Path(address), create=create)
    if address == "memory://":
        from kg.store.embedded import EmbeddedStore

        return EmbeddedStore(None)
    if re.fullmatch(r"(bolt|neo4j)(\+s|\+ssc)?", scheme[1]):
        from kg.store.neo4j import Neo4jStore

        return Neo4jStore(address, create=create)
    raise StoreError(
        f"{address!r} has the unknown scheme {scheme[1]}://: a graph is a path, memory://, "
        "bolt://… or neo4j://… (also +s, +ssc)"
    )
