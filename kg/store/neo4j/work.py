"""One transaction: statements in, rows out, and every row accounted for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, LiteralString

from kg.errors import StoreError
from kg.store.cypher import Put

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

__all__ = ["BATCH_ROWS", "Work"]

#: Rows of one `UNWIND` (the driver's manual advises 1,000 to 10,000).
BATCH_ROWS: Final = 5_000
#: Our statements name their indexes, so a plan made for a small graph stays right while it grows;
#: left alone, the server plans a hundred statements again each time the graph has doubled.
_PLANNED_ONCE: Final = "CYPHER replan=skip "


class Work:
    """Runs our own statements in a transaction and counts what they made."""

    def __init__(self, tx: ManagedTransaction) -> None:
        self._tx = tx

    def ask(self, statement: LiteralString, **parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        return [tuple(record.values()) for record in self._tx.run(statement, parameters)]

    def each(
        self, statement: LiteralString, rows: Iterable[Any], **parameters: Any
    ) -> list[tuple[Any, ...]]:
        """Run a statement over `$rows` in parts and return all its rows.

        Plain values are sorted first, so that two writers take locks in the same order.
        """
        values = sorted(rows) if isinstance(rows, (set, frozenset, dict)) else list(rows)
        found: list[tuple[Any, ...]] = []
        for part in _parts(values):
            found += self.ask(_PLANNED_ONCE + statement, rows=part, **parameters)
        return found

    def put(self, put: Put, rows: Collection[Mapping[str, Any]], **parameters: Any) -> int:
        """Write rows and return how many nodes or relationships were made.

        Raises:
            StoreError: if a row found no ends; its id is named. Nothing is written then.
        """
        made = 0
        for part in _parts(sorted(rows, key=lambda row: str(row["id"]))):
            result = self._tx.run(_PLANNED_ONCE + put.statement, rows=part, **parameters)
            written = result.single(strict=True)[0]
            counters = result.consume().counters
            made += counters.nodes_created + counters.relationships_created
            if written != len(part):
                found = {row[0] for row in self.ask(put.matched, rows=part, **parameters)}
                lost = [row["id"] for row in part if row["id"] not in found]
                raise StoreError(
                    f"{len(part) - written} of {len(part)} rows found no ends in the graph "
                    f"({', '.join(map(str, lost[:3]))} …): something else deletes in this "
                    "database; nothing of the batch was written"
                )
        return made


def _parts(rows: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (rows[start : start + BATCH_ROWS] for start in range(0, len(rows), BATCH_ROWS))
