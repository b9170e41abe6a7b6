"""Answering a user's Cypher: read-only in every layer, within limits, as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, LiteralString

import neo4j
from neo4j import exceptions as failures
from neo4j import graph, spatial
from neo4j import time as clock

from kg.errors import LimitReached, QueryError, QueryRefused
from kg.store.limits import out_of_time, within
from kg.store.neo4j.connection import Connection
from kg.store.protocol import GraphPath, Limits, Node, Relationship, Rows

__all__ = ["answer", "check_plan", "plain"]

#: Operators of a plan that reach outside of the graph.
_OUTSIDE: Final = ("LoadCSV", "ProcedureCall")


def answer(
    connection: Connection, cypher: str, parameters: Mapping[str, Any], limits: Limits
) -> Rows:
    """Run a statement that the guard has passed.

    Raises:
        QueryRefused: if the server says that it is more than a read.
        QueryError: if the server cannot run it.
        LimitReached: beyond `limits`.
    """
    # The guard has passed the text, and the server sees it in a transaction that cannot write.
    statement: LiteralString = cypher
    values = dict(parameters)
    with connection.translated():
        try:
            with connection.reading(limits.seconds) as tx:
                check_plan(tx.run(f"EXPLAIN {statement}", values).consume())
                result = tx.run(statement, values)
                rows = (tuple(map(plain, record.values())) for record in result)
                return Rows(tuple(result.keys()), tuple(within(rows, limits)))
        except failures.Neo4jError as error:
            raise _translated(error, limits) from None
        except (TypeError, ValueError, OverflowError) as error:
            raise QueryError(f"the parameters cannot be sent: {error}") from None


def _translated(error: failures.Neo4jError, limits: Limits) -> Exception:
    code = error.code or ""
    if "TransactionTimedOut" in code:
        return out_of_time(limits)
    if "AccessMode" in code:
        return QueryRefused(f"the server refused the query as a write: {error.message}")
    if "MemoryPool" in code or "OutOfMemory" in code or "MemoryLimit" in code:
        return LimitReached("the query needs more memory than the server allows: add LIMIT to it")
    return error


def check_plan(summary: neo4j.ResultSummary) -> None:
    """Refuse a statement that the server itself does not hold for a plain read.

    Raises:
        QueryRefused: for anything but the kind "r", and for plans that load files or call
            procedures (the server counts loading a file among the reads).
    """
    if summary.query_type != "r":
        raise QueryRefused(
            f"the server says that this query is of kind {summary.query_type!r}, not a read: "
            "graphs are changed by the other commands"
        )
    for operator in _operators(summary.plan or {}):
        if operator.startswith(_OUTSIDE):
            raise QueryRefused(
                f"the server would run {operator} for this query: files and procedures are out "
                "of reach here"
            )


def _operators(plan: Mapping[str, Any]) -> Iterator[str]:
    stack: list[Mapping[str, Any]] = [plan]
    while stack:
        step = stack.pop()
        yield str(step.get("operatorType", "")).partition("@")[0]
        stack.extend(step.get("children") or ())


def plain(value: Any) -> Any:
    """Return a value of the driver as plain Python or as a class of `kg.store.protocol`."""
    match value:
        case graph.Node():
            return Node(tuple(sorted(value.labels)), _properties(value))
        case graph.Relationship():
            return Relationship(value.type, _properties(value))
        case graph.Path():
            return GraphPath(tuple(map(plain, value.nodes)), tuple(map(plain, value.relationships)))
        case list():
            return [plain(item) for item in value]
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case clock.Duration():
            return value.iso_format()
        case clock.Date() | clock.Time() | clock.DateTime():
            return value.iso_format()
        case spatial.Point():
            return tuple(value)
        case _:
            return value


def _properties(value: graph.Entity) -> dict[str, Any]:
    return {key: plain(item) for key, item in sorted(value.items())}
