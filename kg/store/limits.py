"""Limits of a read, checked while the rows arrive; the same for every store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kg.errors import LimitReached
from kg.store.protocol import GraphPath, Limits, Node, Relationship

__all__ = ["out_of_time", "too_deep", "too_long", "within"]


def within(rows: Iterable[tuple[Any, ...]], limits: Limits) -> Iterator[tuple[Any, ...]]:
    """Yield rows as long as they are within `limits`.

    Raises:
        LimitReached: at the first row beyond them; nothing is cut silently.

    >>> list(within([("a",), ("b",)], Limits(rows=2)))
    [('a',), ('b',)]
    >>> list(within([("a",), ("b",)], Limits(rows=1)))
    Traceback (most recent call last):
    kg.errors.LimitReached: the query returns more than 1 rows: add LIMIT to it, or raise the limit
    """
    size = 0
    for number, row in enumerate(_readable(rows), start=1):
        if number > limits.rows:
            raise LimitReached(
                f"the query returns more than {limits.rows:,} rows: add LIMIT to it, "
                "or raise the limit"
            )
        size += _length(row)
        if size > limits.characters:
            raise too_long(limits)
        yield row


def out_of_time(limits: Limits) -> LimitReached:
    """Return the error of a query that took too long."""
    return LimitReached(
        f"the query ran longer than {limits.seconds:g} s: make it more specific (a label, a name, "
        "LIMIT on the matched part), or raise the limit"
    )


def _readable(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield rows while they are read out of the engine's values, which is recursion."""
    try:
        yield from rows
    except RecursionError:
        raise too_deep() from None


def _length(row: tuple[Any, ...]) -> int:
    try:
        return sum(map(_characters, row))
    except RecursionError:
        raise too_deep() from None


def too_long(limits: Limits) -> LimitReached:
    """Return the error of an answer with too much text."""
    return LimitReached(
        f"the query returns more than {limits.characters:,} characters: "
        "return fewer properties, or raise the limit"
    )


def too_deep() -> LimitReached:
    """Return the error of an answer that cannot be read, because reading it is recursion."""
    return LimitReached(
        "the query returns lists or maps too deep inside each other: return their parts"
    )


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Node | Relationship):
        return sum(map(_characters, value.properties.values()))
    if isinstance(value, GraphPath):
        return sum(map(_characters, (*value.nodes, *value.relationships)))
    if isinstance(value, Mapping):
        return sum(map(_characters, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_characters, value))
    return 8
