"""The embedded store: SQLite holds what is written, Grafeo answers from what is derived of it.

A graph is a folder, or nothing but memory:

```
my.kg/record.sqlite           everything written (WAL)
my.kg/projection-<n>.grafeo   immutable snapshot of the facts, brought up to date when it is behind
my.kg/sources-<n>.grafeo      the same with where they come from, made when a question asks for it
my.kg/responses.sqlite, models/, index/     caches and models of the other packages
```
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, LiteralString

from grafeo import GrafeoError

from kg.errors import NotFound, QueryError, StoreError, StoreForeign
from kg.records import Batch, Config, Entity, Run, Task, Triple
from kg.store import guard
from kg.store.answers import ENTITY, DerivedAnswers
from kg.store.embedded import reading, removing, writing
from kg.store.embedded.projection import ENGINE_VERSION, Projection, Scope, open_projection
from kg.store.embedded.reader import Reader, SnapshotGone
from kg.store.embedded.record import Record, blob, hex_id
from kg.store.embedded.scope import scope_of
from kg.store.limits import out_of_time, within
from kg.store.protocol import (
    Capabilities,
    Claim,
    GraphPath,
    Limits,
    Node,
    Relationship,
    RemoveReport,
    Rows,
    Stats,
    WriteReport,
)

__all__ = ["EmbeddedStore"]

RECORD_NAME = "record.sqlite"
TRIPLE_OF_HEAD: Final = (
    "MATCH (h:Entity {id: $head})-[r]->(t) WHERE r.id = $id AND r.support IS NOT NULL "
    "RETURN h.id, type(r), t.id, r.predicate, r.score, r.support"
)


class EmbeddedStore(DerivedAnswers):
    """A `GraphStore` in a folder, or in memory when `folder` is None.

    Raises:
        NotFound: if the folder holds no graph and `create` is False.
        StoreForeign: if the place holds something else.
        StoreVersion: if a newer version of this library wrote it.

    >>> store = EmbeddedStore(None)
    >>> store.stats().triples
    0
    >>> store.close()
    """

    def __init__(self, folder: Path | None, *, create: bool = True) -> None:
        self._folder = folder
        if folder is not None:
            _check_folder(folder, create)
        self._record = Record(folder / RECORD_NAME if folder else None, create=create)
        self._projection: Projection | None = None
        self._reader: Reader | None = None

    @property
    def uri(self) -> str:
        """The folder as it was given, or `memory://`."""
        return str(self._folder) if self._folder else "memory://"

    @property
    def home(self) -> Path | None:
        """The folder, None in memory."""
        return self._folder

    @property
    def capabilities(self) -> Capabilities:
        """What this store can do."""
        return Capabilities(
            engine=f"grafeo {ENGINE_VERSION}",
            enforced_read_only=self._folder is not None,
            plan=False,
            parallel_writers=self._folder is not None,
            durable=self._folder is not None,
        )

    @property
    def change_counter(self) -> int:
        """A number that grows with every change of the written records."""
        return self._record.counter

    def close(self) -> None:
        """Release files, memory and the reader."""
        self._end_reader()
        self._drop()
        self._record.close()

    def begin_run(self, config: Config, *, run: str = "", started: str = "") -> Run:
        """Write a config and a new run of it."""
        return writing.begin_run(self._record, config, run=run, started=started)

    def finish_run(self, run: str, counts: Mapping[str, int], *, finished: str = "") -> None:
        """Write the end of a run and what it counted."""
        writing.finish_run(self._record, run, counts, finished=finished)

    def write(self, batch: Batch, *, run: str) -> WriteReport:
        """Write a batch in one transaction."""
        return writing.write(self._record, batch, run=run)

    def claim(self, tasks: Sequence[Task], *, owner: str, ttl: float = 120.0) -> Claim:
        """Lease tasks to an owner."""
        return writing.claim(self._record, tasks, owner=owner, ttl=ttl)

    def adopt(self, tasks: Sequence[Task], *, run: str) -> int:
        """Link what finished tasks found to another run."""
        return writing.adopt(self._record, tasks, run=run)

    def supersede(self, document: str, config: str) -> RemoveReport:
        """Remove what a fully written document replaces."""
        return removing.supersede(self._record, document, config)

    def undo(self, run: str) -> RemoveReport:
        """Remove a run and what only it found."""
        return removing.undo(self._record, run)

    def delete_document(self, uri: str) -> RemoveReport:
        """Remove a document and all that was found in it."""
        return removing.delete_document(self._record, uri)

    def written(self, kind: str, **where: Any) -> Iterator[Any]:
        """Iterate over written records."""
        triple = where.pop("triple", None) if kind == "evidence" else None
        if triple is None:
            return reading.written(self._record, kind, where)
        keys = [posting.key for posting in self._caught_up("facts").basis.of(blob(triple))]
        return reading.written(self._record, kind, where, keys=keys)

    def read(
        self,
        cypher: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        limits: Limits | None = None,
    ) -> Rows:
        """Answer a guarded, read-only Cypher statement."""
        guard.check(cypher, parameters)
        bounds = limits or Limits()
        scope = scope_of(cypher)
        reader = self._reader_of(scope)
        rows: Iterable[tuple[Any, ...]]
        if reader is not None:
            columns, rows = reader.ask(cypher, parameters or {}, bounds)
        else:
            columns, rows = self._run(cypher, parameters, bounds, scope)
        plain = (tuple(map(_plain, row)) for row in rows)
        return Rows(columns, tuple(within(plain, bounds)))

    def stats(self) -> Stats:
        """Return the counts of the graph."""
        relations, types = self._relation_counts(), self._type_counts()

        def count(table: str) -> int:
            return int(self._record.one(f"SELECT count(*) FROM {table}")[0])

        return Stats(
            documents=count("document"),
            chunks=count("chunk"),
            mentions=count("mention"),
            evidence=count("evidence"),
            entities=sum(types.values()),
            literals=self._query("MATCH (l:Literal) RETURN count(*)")[0][0],
            triples=sum(relations.values()),
            predictions=self._query("MATCH ()-[p:PREDICTED]->() RETURN count(*)")[0][0],
            runs=count("run"),
            merges=count("merge"),
            relations=relations,
            types=types,
        )

    def _query(
        self, cypher: LiteralString, parameters: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        _, rows = self._run(cypher, parameters, None, "facts")
        return [tuple(map(_plain, row)) for row in rows]

    def _run(
        self,
        cypher: str,
        parameters: Mapping[str, Any] | None,
        limits: Limits | None,
        scope: Scope,
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        engine = self._caught_up(scope).engine
        arguments = dict(parameters or {})

        def ask() -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
            try:
                result = engine.execute_cypher(cypher, arguments)
                columns = tuple(result.columns)
                return columns, [tuple(row[c] for c in columns) for row in result]
            except (GrafeoError, RuntimeError, TypeError, ValueError) as error:
                reason = " ".join(str(error).split())
                raise QueryError(f"the query cannot be run: {reason}") from None

        return ask() if limits is None else self._in_time(limits, ask)

    def _in_time[T](self, limits: Limits, ask: Callable[[], T]) -> T:
        """Run `ask` in time or leave it behind: in memory there is nothing to stop it by."""
        answers: SimpleQueue[T | QueryError] = SimpleQueue()

        def work() -> None:
            try:
                answers.put(ask())
            except QueryError as error:
                answers.put(error)

        threading.Thread(target=work, daemon=True).start()
        try:
            answer = answers.get(timeout=limits.seconds)
        except Empty:
            self._projection = None
            raise out_of_time(limits) from None
        if isinstance(answer, QueryError):
            raise answer
        return answer

    def _reader_of(self, scope: Scope) -> Reader | None:
        """Return a reader of the present state; None where that is in memory only."""
        snapshot = self._caught_up(scope).snapshot
        held = self._reader
        if held is not None and held.alive and held.snapshot == snapshot:
            return held
        self._end_reader()
        if snapshot is not None:
            try:
                self._reader = Reader(snapshot)
            except SnapshotGone:  # another process has written a newer one, or it was removed
                self._drop()
                snapshot = self._caught_up(scope).snapshot
                self._reader = Reader(snapshot) if snapshot is not None else None
        return self._reader

    def _end_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    def _entity_of_raw(self, id: str) -> Entity | None:
        moved = self._caught_up("facts").basis.moved
        return self._entity(ENTITY, moved[id]) if id in moved else None

    def _triple(self, id: str) -> Triple | None:
        found = self._caught_up("facts").basis.of(blob(id))
        # The triple hangs at a node that is found by its id, so that no edge is searched.
        head = hex_id("e", found[0].head) if found else ""
        rows = self._query(TRIPLE_OF_HEAD, {"head": head, "id": id})
        return Triple(*rows[0]) if rows else None

    def _caught_up(self, scope: Scope) -> Projection:
        """Return a projection of the present state that holds at least what `scope` names."""
        held = self._projection
        present = held is not None and held.counter == self._record.counter
        if held is None or not present or (scope == "sources" and held.scope == "facts"):
            self._drop()
            held = self._projection = open_projection(self._record, self._folder, scope)
        return held

    def _drop(self) -> None:
        if self._projection is not None:
            self._projection.close()
        self._projection = None


def _check_folder(folder: Path, create: bool) -> None:
    if folder.is_file():
        raise StoreForeign(f"{folder} is a file; an embedded graph is a folder such as my.kg")
    if (folder / RECORD_NAME).exists():
        return
    if not create:
        raise NotFound(
            f"there is no graph at {folder}: check the path, or make one with "
            f"`sheaf harvest {folder} DOCUMENTS`"
        )
    if folder.is_dir() and any(folder.iterdir()):
        raise StoreForeign(
            f"{folder} is a folder with other files in it: give a new path for the graph"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the folder {folder}: {error.strerror}") from None


def _plain(value: Any) -> Any:
    """Turn the engine's dictionaries into nodes, relationships and paths."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "_labels" in value:
        return Node(tuple(value["_labels"]), _properties(value))
    if "_type" in value and "_source" in value:
        return Relationship(value["_type"], _properties(value))
    if value.keys() == {"nodes", "edges"}:
        return GraphPath(
            tuple(_plain(node) for node in value["nodes"]),
            tuple(_plain(edge) for edge in value["edges"]),
        )
    return {key: _plain(item) for key, item in value.items()}


def _properties(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if not key.startswith("_")}
