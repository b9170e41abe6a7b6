"""Rows of written records back into a graph: same ids, same runs, same links.

So the hash of the restored graph, its explanations and what `undo` takes back are those of the
source. Restoring into a graph that holds some of the records already adds the rest.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kg.errors import ExchangeError, KgError
from kg.exchange.archive import CARRIER, Kind, Row
from kg.exchange.progress import Progress, quiet
from kg.records import (
    Batch,
    Chunk,
    Config,
    Document,
    Evidence,
    Literal,
    Mention,
    Merge,
    Prediction,
    RelationName,
    Run,
    Span,
    Task,
)
from kg.store.protocol import GraphStore

__all__ = ["RestoreReport", "record_of", "restore"]

#: Rows written in one transaction.
BATCH: Final = 5_000
#: Characters of document text written in one transaction.
BATCH_TEXT: Final = 10_000_000

type Record = (
    Config | Run | RelationName | Document | Chunk | Mention | Evidence | Task | Merge | Prediction
)


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What an import of a lossless file wrote."""

    #: The runs of the file; undoing them takes the import back.
    runs: tuple[str, ...]
    records: int
    #: Records that were new to the graph; 0 when the same file is imported again.
    created: int


def restore(
    graph: GraphStore,
    rows: Iterable[tuple[Kind, Row]],
    *,
    source: str,
    progress: Progress = quiet,
) -> RestoreReport:
    """Write rows into a graph; on an error the runs that are new to it are taken back.

    Args:
        graph: an open graph.
        rows: kind and row, the kinds in the order of `kg.exchange.archive.KINDS`.
        source: where the rows are from, for messages.
        progress: told how many rows were written.

    Raises:
        ExchangeError: if a row is not what its kind needs, or its id is not that of its content.
        RecordError: if a record breaks its contract, for instance because one that it names is
            missing.
    """
    writer = _Restorer(graph, source, progress)
    try:
        for kind, row in rows:
            writer.add(kind, row)
        writer.flush()
    except BaseException:
        for run in writer.begun:
            graph.undo(run)
        raise
    finally:
        graph.undo(writer.carrier)
    for id in writer.begun:
        if finished := writer.runs[id].finished:
            graph.finish_run(id, writer.runs[id].counts, finished=finished)
    return RestoreReport(tuple(writer.runs), writer.records, writer.created)


class _Restorer:
    def __init__(self, graph: GraphStore, source: str, progress: Progress) -> None:
        self.graph = graph
        self.source = source
        self.progress = progress
        self.configs: dict[str, Config] = {}
        self.runs: dict[str, Run] = {}
        self.begun: list[str] = []
        self.there = {run.id for run in graph.written("run")}
        self.carrier = graph.begin_run(CARRIER).id
        #: Run → field of the batch → records.
        self.waiting: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        self.spans: dict[str, list[Span]] = defaultdict(list)
        self.rows = self.characters = self.records = self.created = 0
        self.kind: Kind | None = None

    def add(self, kind: Kind, row: Row) -> None:
        if kind != self.kind:
            # What a kind refers to has been written when its own turn comes.
            self.flush()
            self.kind = kind
        try:
            record = record_of(kind, row)
        except (KgError, KeyError, TypeError, ValueError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else error
            raise self._wrong(kind, row, reason) from None
        self.records += 1
        match record:
            case Config():
                self.configs[record.id] = record
            case Run():
                self._begin(record)
            case Chunk():
                self._separate(record)
                self._wait(self.carrier, kind, record)
            case Document():
                self.characters += len(record.text)
                self._wait(self.carrier, kind, record)
            case RelationName() | Merge() | Prediction():
                self._wait(self._known(kind, row, record.run) or self.carrier, kind, record)
            case Mention() | Evidence() | Task():
                runs = row.get("runs") or ()
                if not runs:
                    raise self._wrong(kind, row, "no run found it")
                for run in runs:
                    self._wait(self._known(kind, row, run), kind, record)
        self.rows += 1
        if self.rows >= BATCH or self.characters >= BATCH_TEXT:
            self.flush()

    def flush(self) -> None:
        for run, waiting in self.waiting.items():
            batch = Batch(**{name: tuple(records) for name, records in waiting.items()})
            self.created += self.graph.write(batch, run=run).created
        self.progress(self.rows)
        self.waiting.clear()
        self.spans.clear()
        self.rows = self.characters = 0

    def _wait(self, run: str, kind: Kind, record: Record) -> None:
        name = kind if kind == "evidence" else f"{kind}s"
        self.waiting[run][name].append(record)

    def _begin(self, run: Run) -> None:
        if run.config not in self.configs:
            raise ExchangeError(f"{self.source}: run {run.id} is of {run.config}, which is missing")
        self.runs[run.id] = run
        if run.id not in self.there:
            self.graph.begin_run(self.configs[run.config], run=run.id, started=run.started)
            self.begun.append(run.id)

    def _separate(self, chunk: Chunk) -> None:
        """Write first what overlaps the chunk: only chunks of one chunker may share a batch."""
        spans = self.spans[chunk.document]
        if any(start < chunk.end and chunk.start < end for start, end in spans):
            self.flush()
        self.spans[chunk.document].append((chunk.start, chunk.end))

    def _known(self, kind: Kind, row: Row, run: str) -> str:
        if run and run not in self.runs:
            raise self._wrong(kind, row, f"its run {run} is missing")
        return run

    def _wrong(self, kind: Kind, row: Row, reason: object) -> ExchangeError:
        return ExchangeError(
            f"{self.source}: the {kind} {row.get('id', '')} is damaged ({reason}): export it again"
        )


def record_of(kind: Kind, row: Row) -> Record:
    """Return the record of a row.

    Raises:
        ExchangeError: if the id in the row is not that of the content.
        KeyError, TypeError, ValueError, RecordError: if a column is missing or wrong.

    >>> record_of("task", {"chunk": "c_1", "config": "f_1", "runs": ["r_1"]})
    Task(chunk='c_1', config='f_1')
    """
    record = _record(kind, row)
    own = getattr(record, "id", None)
    if own is not None and own != row["id"]:
        raise ExchangeError(f"by its content its id is {own}: something was changed")
    return record


def _record(kind: Kind, row: Row) -> Record:
    def text(name: str, default: str = "") -> str:
        value = row.get(name)
        return default if value is None else str(value)

    match kind:
        case "config":
            return Config(
                harvester=row["harvester"],
                version=text("version"),
                model=text("model"),
                weights=text("weights"),
                prompt=text("prompt"),
                parameters=_object(row, "parameters"),
            )
        case "run":
            counts = _object(row, "counts")
            return Run(row["id"], row["config"], text("started"), text("finished"), counts)
        case "relation_name":
            return RelationName(
                phrase=text("phrase"),
                relation=row["relation"],
                swapped=bool(row.get("swapped")),
                symmetric=bool(row.get("symmetric")),
                layer=text("layer"),
                score=float(row["score"]),
                run=text("run"),
            )
        case "document":
            return Document(
                uri=text("uri"),
                text=text("text"),
                title=text("title"),
                media_type=text("media_type"),
                meta=_object(row, "meta"),
            )
        case "chunk":
            return Chunk(row["document"], int(row["start"]), int(row["end"]))
        case "mention":
            return Mention(
                entity=row["entity"],
                surface=row["surface"],
                config=row["config"],
                name=row["name"],
                type=text("type"),
                chunk=row.get("chunk"),
                span=_span(row, "start", "end"),
                iri=text("iri"),
                description=text("description"),
                props=_object(row, "props"),
            )
        case "evidence":
            literal = row.get("lexical") is not None
            return Evidence(
                head=row["head"],
                relation=row["relation"],
                tail=Literal(row["lexical"], text("datatype"), text("lang"))
                if literal
                else row["tail"],
                score=float(row["score"]),
                config=row["config"],
                chunk=row.get("chunk"),
                span=_span(row, "start", "end"),
                head_span=_span(row, "head_start", "head_end"),
                tail_span=_span(row, "tail_start", "tail_end"),
                quote=text("quote"),
                negated=bool(row.get("negated")),
                hedged=bool(row.get("hedged")),
                time=text("time"),
            )
        case "task":
            return Task(row["chunk"], row["config"])
        case "merge":
            return Merge(
                kept=row["kept"],
                dropped=row["dropped"],
                layer=text("layer"),
                score=float(row["score"]),
                run=row["run"],
            )
        case "prediction":
            return Prediction(
                head=row["head"],
                relation=row["relation"],
                tail=row["tail"],
                score=float(row["score"]),
                rank=int(row["rank"]),
                weights=text("weights"),
                trained_on=int(row["trained_on"]),
                run=row["run"],
            )


def _span(row: Row, start: str, end: str) -> Span | None:
    if row.get(start) is None or row.get(end) is None:
        return None
    return int(row[start]), int(row[end])


def _object(row: Row, name: str) -> Mapping[str, Any]:
    value = json.loads(row.get(name) or "{}")
    if not isinstance(value, dict):
        raise TypeError(f"{name} is not a JSON object")
    return value
