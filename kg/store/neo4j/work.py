"""One transaction: statements in, rows out, and every row accounted for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, LiteralString

from kg.errors import StoreError
from kg.store.cypher.names import Put, page

if TYPE_CHECKING:
    from neo4j import ManagedTransaction, Result

__all__ = ["BATCH_ROWS", "Work", "unmatched"]

#: Rows of one `UNWIND` (the driver's manual advises 1,000 to 10,000).
BATCH_ROWS: Final = 5_000
#: Our statements name their indexes, so a plan made for a small graph stays right while it grows;
#: left alone, the server plans a hundred statements again each time the graph has doubled.
_PLANNED_ONCE: Final = "CYPHER replan=skip "

#: A row of parameters; its first value is its id. Lists cost half of what maps cost.
type Row = Sequence[Any]


class Work:
    """Runs our own statements in a transaction and counts what they made.

    `put` does not wait for the answer of its last statement: the server writes while the client
    prepares what comes next. `settle` must be called before the transaction ends.
    """

    def __init__(self, tx: ManagedTransaction, *, names_are_values: bool = False) -> None:
        self._tx = tx
        #: The server takes labels and relationship types as values (Neo4j 5.26).
        self.names_are_values = names_are_values
        self._open: list[tuple[Sequence[Put], list[Sequence[Row]], Mapping[str, Any], Result]] = []

    def ask(self, statement: LiteralString, **parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        return [tuple(record.values()) for record in self._tx.run(statement, parameters)]

    def one(self, statement: LiteralString, **parameters: Any) -> tuple[Any, ...]:
        """Run a statement that is planned once; return its only row, or () if it has none."""
        rows = self.ask(_PLANNED_ONCE + statement, **parameters)
        return rows[0] if rows else ()

    def each(
        self, statement: LiteralString, rows: Iterable[Any], **parameters: Any
    ) -> list[tuple[Any, ...]]:
        """Run a statement over `$rows` in parts and return all its rows.

        Plain values are sorted first, so that two writers take locks in the same order.
        """
        found: list[tuple[Any, ...]] = []
        for part in _parts(_in_order(rows)):
            found += self.ask(_PLANNED_ONCE + statement, rows=part, **parameters)
        return found

    def gather(self, statement: LiteralString, rows: Iterable[Any]) -> list[list[Any]]:
        """Run a statement that collects lists over `$rows` in parts; return all the lists."""
        return [row for answer in self.each(statement, rows) for row in answer[0]]

    def put(self, put: Put, rows: Collection[Row], **parameters: Any) -> None:
        """Write rows, sorted by id; whether each found its ends is checked by `settle`."""
        if rows:
            self.put_page([put], [rows], **parameters)

    def put_page(
        self, puts: Sequence[Put], rows: Sequence[Collection[Row]], **parameters: Any
    ) -> None:
        """Write the rows of several statements by one, in their order, see `put`."""
        for parts, result in self._pages(puts, rows, page(puts), parameters):
            self._open.append((puts, parts, parameters, result))

    def place(self, put: Put, rows: Collection[Row]) -> dict[str, str]:
        """Write nodes; return where each is in the database, by id."""
        places: dict[str, str] = {}
        if rows:
            for _, result in self._pages([put], [rows], page([put], placed=True), {}):
                places.update(result.single(strict=True)[0][0])
        return places

    def _pages(
        self,
        puts: Sequence[Put],
        rows: Sequence[Collection[Row]],
        statement: LiteralString,
        parameters: Mapping[str, Any],
    ) -> Iterator[tuple[list[Sequence[Row]], Result]]:
        in_order = [sorted(own, key=_id) for own in rows]
        for start in range(0, max(map(len, in_order)), BATCH_ROWS):
            parts: list[Sequence[Row]] = [own[start : start + BATCH_ROWS] for own in in_order]
            values = {f"rows{at}": part for at, part in enumerate(parts)}
            yield parts, self._tx.run(_PLANNED_ONCE + statement, {**values, **parameters})

    def settle(self) -> int:
        """Wait for what was put; return how many nodes and relationships that made.

        Raises:
            StoreError: if a row found no ends; its id is named. Nothing is written then.
        """
        made = 0
        waiting, self._open = self._open, []
        for puts, parts, parameters, result in waiting:
            written = result.single(strict=True)[0]
            counters = result.consume().counters
            made += counters.nodes_created + counters.relationships_created
            for put, rows, count in zip(puts, parts, written, strict=True):
                if count != len(rows):
                    (found,) = self.one(put.matched, rows=rows, **parameters)
                    raise unmatched([row[0] for row in rows], found)
        return made


def unmatched(wanted: Collection[str], found: Collection[str]) -> StoreError:
    """Return the error that says which rows of a write found no ends."""
    lost = sorted(set(wanted) - set(found))
    return StoreError(
        f"{len(lost)} of {len(wanted)} rows found no ends in the graph "
        f"({', '.join(lost[:3])} …): something else deletes in this database; nothing of the batch "
        "was written"
    )


def _id(row: Row) -> str:
    return str(row[0])


def _in_order(rows: Iterable[Any]) -> list[Any]:
    return sorted(rows) if isinstance(rows, (set, frozenset, dict)) else list(rows)


def _parts(rows: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (rows[start : start + BATCH_ROWS] for start in range(0, len(rows), BATCH_ROWS))
