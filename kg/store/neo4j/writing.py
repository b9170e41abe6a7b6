"""Writing records: one transaction for a batch, all or none, written again at no cost."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from kg.derivation import Naming
from kg.errors import NotFound, StoreForeign
from kg.records import (
    Batch,
    Chunk,
    Config,
    Evidence,
    Literal,
    Mention,
    RelationName,
    Run,
    Task,
)
from kg.store import cypher, shape
from kg.store.lease import is_dead
from kg.store.neo4j import rows
from kg.store.neo4j.connection import Connection
from kg.store.neo4j.deriving import Derived, Touch, derive_again
from kg.store.neo4j.predicting import place_predictions
from kg.store.neo4j.reading import config_of
from kg.store.neo4j.work import Work
from kg.store.protocol import Claim, WriteReport
from kg.store.validation import check_batch, needs

__all__ = ["Writer", "load_configs", "load_relation_names", "lock", "run_number"]


def lock(work: Work) -> None:
    """Wait for other writers. Every writing transaction begins with it.

    Raises:
        StoreForeign: if somebody has deleted the graph since it was opened.
    """
    if not work.ask(cypher.LOCK):
        raise StoreForeign("the graph on this server was deleted by another program: open it again")


def run_number(work: Work, run: str) -> tuple[int, str]:
    """Return the number and the config of a run.

    Raises:
        NotFound: if there is none; the message names the latest runs.
    """
    found = work.ask(cypher.RUN, id=run)
    if not found:
        known = ", ".join(row[0] for row in work.ask(cypher.LATEST_RUNS)) or "none yet"
        raise NotFound(f"no run {run!r} in this graph; the latest are: {known}")
    number, config = found[0]
    return number, config


def load_configs(work: Work, ids: Collection[str]) -> dict[str, Config]:
    """Return the configs of ids that are there."""
    found = (config_of(*row) for row in work.each(cypher.CONFIGS, set(ids)))
    return {config.id: config for config in found}


def load_relation_names(work: Work) -> list[RelationName]:
    """Return the whole relation map."""
    return [RelationName(*row) for row in work.ask(cypher.RELATION_NAMES)]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Writer:
    """Everything that adds to a graph on a server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin_run(self, config: Config, *, run: str = "", started: str = "") -> Run:
        """Write a config and a new run of it."""
        made = Run(run or f"r_{uuid.uuid4().hex}", config.id, started or _now())

        def begin(work: Work) -> None:
            lock(work)
            known = load_configs(work, [config.id])
            if not known:
                work.ask(
                    cypher.MAKE_CONFIG, id=config.id, properties=rows.config_properties(config)
                )
                work.ask(cypher.BUMP)
            work.ask(cypher.MAKE_RUN, id=made.id, config=config.id, started=made.started)

        self._connection.write(begin)
        return made

    def finish_run(self, run: str, counts: Mapping[str, int], *, finished: str = "") -> None:
        """Write the end of a run and its counts."""

        def finish(work: Work) -> None:
            run_number(work, run)
            values = {"finished": finished or _now(), "counts": rows.json_text(counts)}
            work.ask(cypher.FINISH_RUN, id=run, **values)

        self._connection.write(finish)

    def write(self, batch: Batch, *, run: str) -> WriteReport:
        """Write a batch in one transaction and link it to `run`."""
        began = time.perf_counter()
        report, retries = self._connection.write(
            lambda work: _BatchWriter(work, batch, run).write()
        )
        return replace(report, retries=retries, seconds=time.perf_counter() - began)

    def claim(self, tasks: Sequence[Task], *, owner: str, ttl: float) -> Claim:
        """Lease tasks, see `GraphStore.claim`."""

        def lease(work: Work) -> Claim:
            lock(work)
            ids = {rows.task_id(task) for task in tasks}
            finished = {row[0] for row in work.each(cypher.DONE_TASKS, ids)}
            held = {id: (holder, end) for id, holder, end in work.each(cypher.LEASES, ids)}
            clock = time.time()
            answer: dict[str, list[Task]] = {"granted": [], "done": [], "busy": []}
            for task in tasks:
                id = rows.task_id(task)
                holder, expires = held.get(id, (owner, 0.0))
                taken = holder != owner and expires > clock and not is_dead(holder)
                answer["done" if id in finished else "busy" if taken else "granted"].append(task)
            granted = [{"id": rows.task_id(task)} for task in answer["granted"]]
            work.put(cypher.LEASE, granted, owner=owner, expires=clock + ttl)
            return Claim(**{name: tuple(found) for name, found in answer.items()})

        return self._connection.write(lease)[0]

    def adopt(self, tasks: Sequence[Task], *, run: str) -> int:
        """Link what finished tasks found to `run`, see `GraphStore.adopt`."""

        def link(work: Work) -> int:
            lock(work)
            number, _ = run_number(work, run)
            found = [
                {"id": rows.task_id(task), "chunk": task.chunk, "config": task.config}
                for task in tasks
            ]
            statements = (cypher.adopt("MENTIONS"), cypher.adopt("STATES"), cypher.ADOPT_TASKS)
            answers = [row for s in statements for row in work.each(s, found, run=number)]
            return sum(row[0] for row in answers)

        return self._connection.write(link)[0]


class _BatchWriter:
    """The state of one attempt to write a batch."""

    def __init__(self, work: Work, batch: Batch, run: str) -> None:
        self.work = work
        self.batch = batch
        self.run = run
        self.created = self.linked = 0
        self.number = 0
        self.configs: dict[str, Config] = {}

    def write(self) -> WriteReport:
        """Write everything and return what was done."""
        work, batch = self.work, self.batch
        lock(work)
        self.number, config = run_number(work, self.run)
        self._check(config)
        self.created += work.put(cypher.DOCUMENTS, _unique(map(rows.document_row, batch.documents)))
        work.put(cypher.DOCUMENT_TEXTS, _unique(map(rows.text_row, batch.documents)))
        chunks = _unique(map(rows.chunk_row, batch.chunks))
        # A new chunk is a node and a relationship.
        self.created += work.put(cypher.NEW_CHUNKS, chunks) // 2
        mentions = rows.distinct_mentions(batch)
        evidence = rows.distinct_evidence(batch.evidence)
        touch = Touch(
            mentions=self._new(cypher.link("MENTIONS"), mentions),
            evidence=self._new(cypher.link("STATES"), evidence),
        )
        self._small(touch)
        predictions = [rows.prediction_row(p, self.run) for p in batch.predictions]
        self.created += work.put(cypher.PREDICTIONS, _unique(predictions))
        self._derive(touch, bool(predictions))
        self._tasks()
        if self.created:
            work.ask(cypher.BUMP)
        distinct = len(mentions) + len(evidence)
        return WriteReport(
            rows_in=sum(len(getattr(batch, kind)) for kind in Batch.__slots__),
            duplicates_in_batch=len(batch.mentions) + len(batch.evidence) - distinct,
            created=self.created,
            linked=self.linked,
        )

    def _check(self, config: str) -> None:
        work, batch, wanted = self.work, self.batch, needs(self.batch)
        chunks = {
            chunk.id: chunk
            for chunk in (Chunk(*row) for row in work.each(cypher.CHUNKS, set(wanted.chunks)))
        }
        documents = {*wanted.documents, *(chunk.document for chunk in chunks.values())}
        neighbours: dict[str, list[Chunk]] = {}
        own = {chunk.document for chunk in batch.chunks}
        for row in work.each(cypher.READ_CHUNKS, own, config=config):
            neighbours.setdefault(row[0], []).append(Chunk(*row))
        self.configs = load_configs(work, wanted.configs)
        named = {row[0] for row in work.each(cypher.ENTITY_OF_RAWS, set(wanted.raws))}
        stated = {row[0] for row in work.each(cypher.STATED_RAWS, set(wanted.raws) - named)}
        check_batch(
            batch,
            chunks=chunks,
            texts=dict(work.each(cypher.TEXTS, documents)),
            configs=self.configs,
            raws=named | stated,
            neighbours=neighbours,
        )

    def _new[T: (Mention, Evidence)](self, statement: str, records: Mapping[str, T]) -> list[T]:
        """Link records that are there already to the run and return the others, sorted by id."""
        known = dict(self.work.each(statement, set(records), run=self.number))
        self.linked += sum(not linked for linked in known.values())
        new = [records[id] for id in sorted(records.keys() - known.keys())]
        self.created += len(new)
        return new

    def _small(self, touch: Touch) -> None:
        """Write relation names, merges, namings, literals and models; say what they touch."""
        work, batch = self.work, self.batch
        touch.raws.update(mention.entity for mention in touch.mentions)
        for row in touch.evidence:
            touch.raws.update(end for end in (row.head, row.tail) if isinstance(end, str))
        names = _unique(rows.relation_name_row(row, self.run) for row in batch.relation_names)
        known = {
            row[0] for row in work.each(cypher.KNOWN_RELATION_NAMES, {row["id"] for row in names})
        }
        added = [row for row in names if row["id"] not in known]
        self.created += work.put(cypher.NEW_RELATION_NAMES, added)
        touch.phrases.update(row["properties"]["phrase"] for row in added)
        merges = _unique(rows.merge_row(merge, self.run) for merge in batch.merges)
        made = work.put(cypher.MERGES, merges)
        self.created += made
        if made:
            touch.raws.update(end for m in batch.merges for end in (m.kept, m.dropped))
        counts = Counter(map(Naming.of, touch.mentions))
        namings = [naming._replace(times=times) for naming, times in counts.items()]
        work.put(cypher.NAMINGS, list(map(rows.naming_row, namings)))
        literals = {
            row.tail.id: row.tail for row in touch.evidence if isinstance(row.tail, Literal)
        }
        work.put(
            cypher.LITERALS,
            [
                {"id": id, "properties": shape.literal_properties(literal)}
                for id, literal in literals.items()
            ],
        )
        placed: list[Mention | Evidence] = [*touch.mentions, *touch.evidence]
        models = {row.config for row in placed if row.chunk is None}
        work.put(
            cypher.MODELS,
            [{"id": id, "properties": shape.model_properties(self.configs[id])} for id in models],
        )

    def _derive(self, touch: Touch, predictions: bool) -> None:
        if not (touch.raws or touch.phrases or predictions):
            return
        names = load_relation_names(self.work)
        derived = Derived.nothing()
        if touch.raws or touch.phrases:
            derived = derive_again(
                self.work,
                touch,
                run=self.number,
                relation_names=names,
                configs=self._configs_of,
            )
        place_predictions(self.work, derived, names, all=bool(touch.phrases))

    def _configs_of(self, work: Work, ids: Collection[str]) -> Mapping[str, Config]:
        missing = set(ids) - self.configs.keys()
        if missing:
            self.configs.update(load_configs(work, missing))
        return self.configs

    def _tasks(self) -> None:
        tasks = _unique(
            {"id": rows.task_id(task), "chunk": task.chunk, "config": task.config}
            for task in self.batch.tasks
        )
        self.created += self.work.put(cypher.TASKS, tasks, run=self.number)
        self.work.each(cypher.DELETE_LEASES, {row["id"] for row in tasks})


def _unique(found: Any) -> list[dict[str, Any]]:
    """Return rows once for each id; equal ids are equal content."""
    return list({row["id"]: row for row in found}.values())
