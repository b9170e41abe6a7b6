"""The one interface of every store, and the values that cross it.

A store holds written records and answers from what is derived of them. `memory://`, the embedded
store and Neo4j implement `GraphStore`; one contract test suite (`tests/kg/store/contract.py`)
runs on all three.

```
harvester ──write(Batch, run)──► written records ──kg.derivation──► entities, literals, triples
                                      │                                    │
                              written(kind, …)                 read(cypher) · get · derived
```
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, overload, runtime_checkable

from kg.records import (
    Batch,
    Chunk,
    Config,
    Document,
    Entity,
    Evidence,
    Link,
    Mention,
    Merge,
    Prediction,
    RelationName,
    Run,
    Task,
    Triple,
)
from kg.records import Literal as LiteralValue

__all__ = [
    "Capabilities",
    "Claim",
    "GraphPath",
    "GraphStore",
    "Limits",
    "Node",
    "Relationship",
    "RemoveReport",
    "Rows",
    "Stats",
    "WriteReport",
]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a store can do, as data."""

    #: Name of the engine that answers Cypher and its version.
    engine: str
    #: The engine itself refuses writes on the reading path, not only our guard.
    enforced_read_only: bool
    #: The engine can show a plan that the guard walks.
    plan: bool
    #: Several processes may write at the same time.
    parallel_writers: bool
    #: What is written survives the process.
    durable: bool


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What one write did. A second identical write creates nothing."""

    rows_in: int = 0
    duplicates_in_batch: int = 0
    #: Documents, chunks, mentions, evidence, tasks, ... that were new to the store.
    created: int = 0
    #: Evidence and mentions that were there already and only gained a link to this run.
    linked: int = 0
    retries: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RemoveReport:
    """What `undo` or `delete_document` removed."""

    documents: int = 0
    chunks: int = 0
    mentions: int = 0
    evidence: int = 0
    tasks: int = 0
    merges: int = 0
    predictions: int = 0
    relation_names: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to `claim`: who does which task."""

    #: Leased to the asking owner now (or already before).
    granted: tuple[Task, ...] = ()
    #: Finished earlier, by this or another run.
    done: tuple[Task, ...] = ()
    #: Leased to another owner that is alive.
    busy: tuple[Task, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one read. Reaching one raises `LimitReached`; nothing is cut silently."""

    seconds: float = 30.0
    rows: int = 100_000
    #: Sum of the lengths of all text values returned, about bytes.
    characters: int = 50_000_000


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a Cypher answer."""

    labels: tuple[str, ...]
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Relationship:
    """A relationship of a Cypher answer."""

    type: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GraphPath:
    """A path of a Cypher answer."""

    nodes: tuple[Node, ...]
    relationships: tuple[Relationship, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """A Cypher answer: column names and rows, values as plain Python or the classes above."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def dicts(self) -> list[dict[str, Any]]:
        """Return the rows as dictionaries by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of a graph."""

    documents: int
    chunks: int
    mentions: int
    evidence: int
    entities: int
    literals: int
    triples: int
    predictions: int
    runs: int
    merges: int
    #: Relation type → number of triples, commonest first.
    relations: Mapping[str, int] = field(default_factory=dict)
    #: Entity type → number of entities, commonest first; "" counts the untyped.
    types: Mapping[str, int] = field(default_factory=dict)


@runtime_checkable
class GraphStore(Protocol):
    """A graph: records in, derived graph out.

    Every method raises `StoreError` leaves when the store itself fails. A store is used by one
    thread at a time; open it again for another thread or process.
    """

    @property
    def uri(self) -> str:
        """The address the store was opened with (without a password)."""
        ...

    @property
    def home(self) -> Path | None:
        """Folder for response cache, models and index of this graph; None for `memory://`."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this store can do."""
        ...

    @property
    def change_counter(self) -> int:
        """A number that grows with every change of the written records."""
        ...

    def close(self) -> None:
        """Release the store. Closing twice is allowed."""
        ...

    def begin_run(self, config: Config, *, run: str = "", started: str = "") -> Run:
        """Write a config and a new run of it; `run` and `started` default to random and now."""
        ...

    def finish_run(self, run: str, counts: Mapping[str, int], *, finished: str = "") -> None:
        """Write the end of a run and what it counted.

        Raises:
            NotFound: if there is no such run.
        """
        ...

    def write(self, batch: Batch, *, run: str) -> WriteReport:
        """Write a batch in one transaction and link its mentions, evidence and tasks to `run`.

        Merges, predictions and those relation names that name a run belong to `run`.

        Raises:
            RecordError: if a quote is not its slice of the document, if a span lies outside its
                chunk, if a record names a chunk, document, config or raw entity that neither the
                batch nor the store holds, or if a new chunk overlaps another one. Nothing of the
                batch is written then.
            NotFound: if there is no such run.
        """
        ...

    def claim(self, tasks: Sequence[Task], *, owner: str, ttl: float = 120.0) -> Claim:
        """Lease tasks to `owner` for `ttl` seconds; asking again renews the lease.

        The lease of a dead owner (`kg.store.lease`) or one past its time is taken over. `write`
        ends the lease of the tasks that it finishes.
        """
        ...

    def adopt(self, tasks: Sequence[Task], *, run: str) -> int:
        """Link what finished tasks found earlier to `run` too; return the number of new links.

        So that undoing the earlier run keeps what this one would have found.
        """
        ...

    def supersede(self, document: str, config: str) -> RemoveReport:
        """Remove what the fully written `document` (by `config`) replaces.

        That is: other documents of the same uri, and this document's mentions, evidence and tasks
        by configs with the same harvester and parameters but another version, model, weights or
        prompt.
        """
        ...

    def undo(self, run: str) -> RemoveReport:
        """Remove a run and everything that only this run found.

        That is: its links, then mentions, evidence and tasks left without any link, its merges,
        relation names and predictions, and the run itself. Relation names that a schema declared
        have no run and stay.

        Raises:
            NotFound: if there is no such run; the message names the latest runs.
        """
        ...

    def delete_document(self, uri: str) -> RemoveReport:
        """Remove all documents of this uri with their chunks, mentions, evidence and tasks.

        Raises:
            NotFound: if there is no such document; the message names near matches.
        """
        ...

    @overload
    def written(self, kind: Literal["document"], **where: Any) -> Iterator[Document]: ...
    @overload
    def written(self, kind: Literal["chunk"], **where: Any) -> Iterator[Chunk]: ...
    @overload
    def written(self, kind: Literal["mention"], **where: Any) -> Iterator[Mention]: ...
    @overload
    def written(self, kind: Literal["evidence"], **where: Any) -> Iterator[Evidence]: ...
    @overload
    def written(
        self, kind: Literal["mention_link", "evidence_link"], **where: Any
    ) -> Iterator[Link]: ...
    @overload
    def written(self, kind: Literal["config"], **where: Any) -> Iterator[Config]: ...
    @overload
    def written(self, kind: Literal["run"], **where: Any) -> Iterator[Run]: ...
    @overload
    def written(self, kind: Literal["task"], **where: Any) -> Iterator[Task]: ...
    @overload
    def written(self, kind: Literal["merge"], **where: Any) -> Iterator[Merge]: ...
    @overload
    def written(self, kind: Literal["relation_name"], **where: Any) -> Iterator[RelationName]: ...
    @overload
    def written(self, kind: Literal["prediction"], **where: Any) -> Iterator[Prediction]: ...
    def written(self, kind: str, **where: Any) -> Iterator[Any]:
        """Iterate over written records of one kind, sorted by id.

        Runs come by start, links by record and run. Iterate rather than collect: a store may read
        page by page, so that what is written meanwhile may be seen or not.

        `where` filters: `id=` (every kind), `uri=` (documents), `document=` (id; chunks, mentions,
        evidence), `config=` (mentions, evidence, tasks, runs), `chunk=` (mentions, evidence,
        tasks), `run=` (mentions, evidence, tasks, merges, relation names, predictions),
        `triple=` (evidence of a derived triple, negated and hedged included).
        """
        ...

    def read(
        self,
        cypher: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        limits: Limits | None = None,
    ) -> Rows:
        """Answer a guarded, read-only Cypher statement on the derived graph.

        Raises:
            QueryRefused: by the guard; nothing was sent.
            QueryError: the engine could not run it.
            LimitReached: more rows, text or time than `limits` allows.
        """
        ...

    def get(self, id: str) -> Entity | LiteralValue | Triple:
        """Return the derived record of an id; an id that was merged away gives what it became.

        Raises:
            NotFound: if nothing written refers to it (any more).
        """
        ...

    @overload
    def derived(self, kind: Literal["entity"]) -> Iterator[Entity]: ...
    @overload
    def derived(self, kind: Literal["literal"]) -> Iterator[LiteralValue]: ...
    @overload
    def derived(self, kind: Literal["triple"]) -> Iterator[Triple]: ...
    def derived(self, kind: str) -> Iterator[Any]:
        """Iterate over derived records of one kind, sorted by id. Predictions are not triples."""
        ...

    def stats(self) -> Stats:
        """Return the counts of the graph."""
        ...
