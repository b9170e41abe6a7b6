"""The store on a Neo4j server: the graph is derived as it is written, and stays there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, LiteralString

from kg.errors import StoreForeign
from kg.records import Batch, Config, Run, Task
from kg.store import guard
from kg.store.answers import DerivedAnswers
from kg.store.cypher import deriving, opening
from kg.store.neo4j import reading
from kg.store.neo4j.answering import answer, plain
from kg.store.neo4j.connection import Address, Connection
from kg.store.neo4j.removing import Remover
from kg.store.neo4j.schema import find_graph, open_database
from kg.store.neo4j.writing import Memory, Writer
from kg.store.protocol import (
    Capabilities,
    Claim,
    Limits,
    RemoveReport,
    Rows,
    Stats,
    WriteReport,
)

__all__ = ["Neo4jStore"]


class Neo4jStore(DerivedAnswers):
    """A `GraphStore` in a database of a Neo4j server (5 or newer).

    User, password and database come from the environment (`Address.parse`) or the URI.

    Raises:
        StoreUnreachable: if the server does not answer or does not let us in.
        StoreForeign: if another program's nodes carry our labels.
        StoreVersion: if a newer version of this library wrote the graph.
        NotFound: if there is no graph and `create` is False.
    """

    triple_query = deriving.TRIPLE
    entity_of_raw_query = deriving.ENTITY_OF_RAW

    def __init__(self, uri: str, *, create: bool = True) -> None:
        self._connection = Connection(Address.parse(uri))
        try:
            self._graph = open_database(self._connection, create=create)
        except BaseException:
            self._connection.close()
            raise
        memory = Memory()
        self._writer = Writer(self._connection, memory)
        self._remover = Remover(self._connection, memory)

    @property
    def uri(self) -> str:
        """The server's address, without user and password."""
        return self._connection.address.uri

    @property
    def home(self) -> Path:
        """A folder of the user's on this machine, under the id of the graph."""
        from platformdirs import user_data_path

        folder = user_data_path("sheaf", appauthor=False) / "graphs" / self._graph.store
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def capabilities(self) -> Capabilities:
        """What this store can do."""
        return Capabilities(
            engine=self._connection.server.lower().replace("/", " "),
            enforced_read_only=True,
            plan=True,
            parallel_writers=True,
            durable=True,
        )

    @property
    def change_counter(self) -> int:
        """A number that grows with every change of the written records.

        Raises:
            StoreForeign: if somebody has deleted the graph since it was opened.
        """
        graph = find_graph(self._connection)
        if graph is None:
            raise StoreForeign(f"the graph at {self.uri} was deleted by another program")
        return graph.counter

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def begin_run(self, config: Config, *, run: str = "", started: str = "") -> Run:
        """Write a config and a new run of it."""
        return self._writer.begin_run(config, run=run, started=started)

    def finish_run(self, run: str, counts: Mapping[str, int], *, finished: str = "") -> None:
        """Write the end of a run and what it counted."""
        self._writer.finish_run(run, counts, finished=finished)

    def write(self, batch: Batch, *, run: str) -> WriteReport:
        """Write a batch in one transaction."""
        return self._writer.write(batch, run=run)

    def claim(self, tasks: Sequence[Task], *, owner: str, ttl: float = 120.0) -> Claim:
        """Lease tasks to an owner."""
        return self._writer.claim(tasks, owner=owner, ttl=ttl)

    def adopt(self, tasks: Sequence[Task], *, run: str) -> int:
        """Link what finished tasks found to another run."""
        return self._writer.adopt(tasks, run=run)

    def supersede(self, document: str, config: str) -> RemoveReport:
        """Remove what a fully written document replaces."""
        return self._remover.supersede(document, config)

    def undo(self, run: str) -> RemoveReport:
        """Remove a run and what only it found."""
        return self._remover.undo(run)

    def delete_document(self, uri: str) -> RemoveReport:
        """Remove a document and all that was found in it."""
        return self._remover.delete_document(uri)

    def written(self, kind: str, **where: Any) -> Iterator[Any]:
        """Iterate over written records."""
        return reading.written(self._connection, kind, where)

    def read(
        self,
        cypher: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        limits: Limits | None = None,
    ) -> Rows:
        """Answer a guarded, read-only Cypher statement."""
        guard.check(cypher, parameters)
        return answer(self._connection, cypher, parameters or {}, limits or Limits())

    def stats(self) -> Stats:
        """Return the counts of the graph."""
        relations, types = self._relation_counts(), self._type_counts()
        counts = self._query(opening.COUNT)[0]
        documents, chunks, mentions, evidence, literals, predictions, runs, merges = counts
        return Stats(
            documents=documents,
            chunks=chunks,
            mentions=mentions,
            evidence=evidence,
            entities=sum(types.values()),
            literals=literals,
            triples=sum(relations.values()),
            predictions=predictions,
            runs=runs,
            merges=merges,
            relations=relations,
            types=types,
        )

    def _query(
        self, cypher: LiteralString, parameters: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        rows = self._connection.read(lambda work: work.ask(cypher, **(parameters or {})))
        return [tuple(map(plain, row)) for row in rows]
