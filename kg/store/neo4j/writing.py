"""Writing records: one transaction for a batch, all or none, written again at no cost.

An ordinary batch is written beside those of other writers; one that merges entities, brings new
relation names or predictions, or meets predictions that it may have to draw again, runs alone
(`kg.store.cypher.locking`).
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import LiteralString

from kg.derivation import Naming
from kg.errors import StoreForeign
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
from kg.store import shape
from kg.store.cypher import locking, removing
from kg.store.cypher import writing as cypher
from kg.store.lease import is_dead
from kg.store.neo4j import rows
from kg.store.neo4j.connection import Connection
from kg.store.neo4j.deriving import Derived, Known, Touch, derive_again
from kg.store.neo4j.drawing import draw_derived, draw_sources, erase_derived
from kg.store.neo4j.locking import State, any_lane, count_change, hold, no_run, state_of, work_alone
from kg.store.neo4j.predicting import place_predictions
from kg.store.neo4j.reading import config_of
from kg.store.neo4j.resolving import MergeLog, Namings, resolve_touched
from kg.store.neo4j.work import Work, unmatched
from kg.store.protocol import Claim, WriteReport
from kg.store.validation import check_batch, needs

__all__ = ["Memory", "Writer", "load_relation_names"]


def load_relation_names(work: Work) -> list[RelationName]:
    """Return the whole relation map."""
    return [RelationName(*row) for row in work.ask(cypher.RELATION_NAMES)]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Memory:
    """What a store remembers of its graph from one write to the next: what cannot change unseen.

    A config is the same for ever; the relation map is, as long as `State.structure` is.
    """

    def __init__(self) -> None:
        self._store = ""
        self._structure = -1
        self.configs: dict[str, Config] = {}
        self._names: list[RelationName] = []

    def meet(self, state: State) -> None:
        """Forget everything if the graph is another one now."""
        if state.store != self._store:
            self._store, self._structure, self.configs = state.store, -1, {}

    def configs_of(self, work: Work, ids: Collection[str]) -> Mapping[str, Config]:
        """Return configs by id, at least those of `ids` that are there."""
        missing = set(ids) - self.configs.keys()
        self.keep(config_of(*row) for row in work.each(cypher.CONFIGS, missing))
        return self.configs

    def keep(self, configs: Iterable[Config]) -> None:
        """Remember configs."""
        self.configs.update((config.id, config) for config in configs)

    def relation_names(self, work: Work, state: State, *, alone: bool) -> list[RelationName]:
        """Return the relation map. Who runs alone may change it, so nothing is kept of that."""
        if alone:
            return load_relation_names(work)
        if state.structure != self._structure:
            self._names, self._structure = load_relation_names(work), state.structure
        return self._names


class Writer:
    """Everything that adds to a graph on a server."""

    def __init__(self, connection: Connection, memory: Memory) -> None:
        self._connection = connection
        self._memory = memory

    def begin_run(self, config: Config, *, run: str = "", started: str = "") -> Run:
        """Write a config and a new run of it."""
        made = Run(run or f"r_{uuid.uuid4().hex}", config.id, started or _now())

        def begin(work: Work) -> None:
            if not work.ask(cypher.LOCK_GRAPH):
                raise StoreForeign(
                    "the graph on this server was deleted by another program: open it again"
                )
            if not work.each(cypher.CONFIGS, [config.id]):
                work.ask(
                    cypher.MAKE_CONFIG, id=config.id, properties=rows.config_properties(config)
                )
                count_change(work)
            work.ask(cypher.MAKE_RUN, id=made.id, config=config.id, started=made.started)

        self._connection.write(begin)
        return made

    def finish_run(self, run: str, counts: Mapping[str, int], *, finished: str = "") -> None:
        """Write the end of a run and its counts."""

        def finish(work: Work) -> None:
            values = {"finished": finished or _now(), "counts": rows.json_text(counts)}
            if not work.ask(cypher.FINISH_RUN, id=run, **values):
                raise no_run(work, run)

        self._connection.write(finish)

    def write(self, batch: Batch, *, run: str) -> WriteReport:
        """Write a batch in one transaction and link it to `run`."""
        began = time.perf_counter()

        def attempt(work: Work, *, alone: bool) -> WriteReport:
            return _Attempt(work, batch, run, self._memory, alone=alone).write()

        try:
            if batch.merges or batch.predictions:
                raise _MustRunAloneError
            report, retries = self._connection.write(lambda work: attempt(work, alone=False))
        except _MustRunAloneError:
            report, retries = self._connection.write(lambda work: attempt(work, alone=True))
        return replace(report, retries=retries, seconds=time.perf_counter() - began)

    def claim(self, tasks: Sequence[Task], *, owner: str, ttl: float) -> Claim:
        """Lease tasks, see `GraphStore.claim`."""

        def lease(work: Work) -> Claim:
            hold(work, "leases")
            leases, finished = work.one(removing.CLAIMED, rows=[rows.task_id(t) for t in tasks])
            # A lease that its owner ends between being found and being read has no values any more.
            held = {id: (holder, end) for id, holder, end in leases if holder and end is not None}
            done, clock = set(finished), time.time()
            answer: dict[str, list[Task]] = {"granted": [], "done": [], "busy": []}
            for task in tasks:
                id = rows.task_id(task)
                holder, expires = held.get(id, (owner, 0.0))
                taken = holder != owner and expires > clock and not is_dead(holder)
                answer["done" if id in done else "busy" if taken else "granted"].append(task)
            granted = [[rows.task_id(task)] for task in answer["granted"]]
            work.put(removing.LEASE, granted, owner=owner, expires=clock + ttl)
            work.settle()
            return Claim(**{name: tuple(found) for name, found in answer.items()})

        return self._connection.write(lease)[0]

    def adopt(self, tasks: Sequence[Task], *, run: str) -> int:
        """Link what finished tasks found to `run`, see `GraphStore.adopt`."""

        def link(work: Work) -> int:
            number = work_alone(work, run=run).number
            found = [
                {"id": rows.task_id(task), "chunk": task.chunk, "config": task.config}
                for task in tasks
            ]
            statements = (
                removing.adopt("MENTIONS"),
                removing.adopt("STATES"),
                removing.ADOPT_TASKS,
            )
            answers = [row for s in statements for row in work.each(s, found, run=number)]
            return sum(row[0] for row in answers)

        return self._connection.write(link)[0]


class _MustRunAloneError(Exception):
    """An ordinary write found out that it is none; nothing was written."""


class _Attempt:
    """The state of one attempt to write a batch."""

    def __init__(self, work: Work, batch: Batch, run: str, memory: Memory, *, alone: bool) -> None:
        self.work = work
        self.batch = batch
        self.run = run
        self.memory = memory
        self.alone = alone
        self.created = self.linked = 0
        self.mentions = rows.distinct_mentions(batch)
        self.evidence = rows.distinct_evidence(batch.evidence)
        self.namings = Namings(work)
        #: Id → where it is in the database, for chunks, models, literals and entities.
        self.places: dict[str, str] = {}
        #: Raw entities that evidence names and no mention does.
        self.stated: set[str] = set()

    def write(self) -> WriteReport:
        """Write everything and return what was done."""
        work, batch, memory = self.work, self.batch, self.memory
        self._look()
        touch = Touch(
            mentions=self._new("MENTIONS", self.mentions),
            evidence=self._new("STATES", self.evidence),
        )
        touch.raws = _raws(touch.mentions, touch.evidence)
        self._rare(touch)
        heard_of = self.stated | self.namings.by_raw.keys()
        counts = Counter(map(Naming.of, touch.mentions))
        added = [naming._replace(times=times) for naming, times in counts.items()]
        self.namings.add_new(added)
        merging = bool(self.state.merges or batch.merges)
        known = Known(
            self.namings,
            MergeLog(work, empty=not merging),
            self.names,
            memory.configs_of,
            fresh=set() if merging else touch.raws - heard_of,
        )
        derived = Derived.nothing()
        if touch.raws or touch.phrases:
            derived = derive_again(work, touch, known)
        self._records(touch, added, derived)
        draw_derived(work, derived, self.places)
        erase_derived(work, derived)
        draw_sources(
            work,
            mentions=touch.mentions,
            evidence=touch.evidence,
            derived=derived,
            configs=memory.configs,
            run=self.number,
            places=self.places,
            changed=self.created > 0,
        )
        work.settle()
        if self.state.predictions or batch.predictions:
            place_predictions(work, derived, self.names, all=bool(touch.phrases))
        distinct = len(self.mentions) + len(self.evidence)
        return WriteReport(
            rows_in=sum(len(getattr(batch, kind)) for kind in Batch.__slots__),
            duplicates_in_batch=len(batch.mentions) + len(batch.evidence) - distinct,
            created=self.created,
            linked=self.linked,
        )

    # -------------------------------------------------------------------------------- looking

    def _look(self) -> None:
        """Take the locks, learn what the batch refers to, and check the batch by it."""
        keys = {rows.name_key(mention.name) for mention in self.mentions.values()}
        while self._ask(keys):
            # Names that only the look has shown: they are locked as well, then looked at again.
            keys |= self._reached()
        if not self.alone and self.state.predictions:
            raise _MustRunAloneError
        self.names = self.memory.relation_names(self.work, self.state, alone=self.alone)

    def _ask(self, keys: set[str]) -> bool:
        """Ask the database for everything at once; say whether there are names still unlocked."""
        batch, memory, wanted = self.batch, self.memory, needs(self.batch)
        raws = _raws(self.mentions.values(), self.evidence.values())
        placed: tuple[Mention | Evidence, ...] = (*batch.mentions, *batch.evidence)
        answer = self.work.one(
            cypher.look(alone=self.alone),
            **({"lanes": locking.LANES} if self.alone else {"lane": any_lane()}),
            run=self.run,
            documents=_unique(map(rows.document_row, batch.documents)),
            texts=list(wanted.documents),
            own=sorted({chunk.id for chunk in batch.chunks}),
            chunks=list(wanted.chunks),
            read=sorted({chunk.document for chunk in batch.chunks}),
            models=sorted({row.config for row in placed if row.chunk is None}),
            configs=sorted(set(wanted.configs) - memory.configs.keys()),
            raws=sorted(raws),
            keys=sorted(keys),
        )
        self.state = state_of(self.work, answer[:1], run=self.run)
        memory.meet(self.state)
        self.number = self.state.number or 0
        documents, own, chunks, texts, read, models, configs, own_keys, namings, stated = answer[1:]
        self.created += documents
        self.places.update(own)
        self.places.update((id, place) for id, place, *_ in chunks)
        self.places.update(models)
        memory.keep(config_of(*row) for row in configs)
        self.namings.fill(namings, raws=raws, keys=keys | set(own_keys))
        self.stated = set(stated)
        neighbours: dict[str, list[Chunk]] = {}
        for document, start, end in read:
            neighbours.setdefault(document, []).append(Chunk(document, start, end))
        check_batch(
            batch,
            chunks={id: Chunk(*place) for id, _, *place in chunks},
            texts=dict(texts),
            configs=memory.configs,
            raws=self.namings.by_raw.keys() | self.stated,
            neighbours=neighbours,
        )
        if self.alone:
            return False
        if self.state.merges:
            resolve_touched(self.namings, MergeLog(self.work), raws)
        return not self._reached() <= keys | set(own_keys)

    def _reached(self) -> set[str]:
        return self.namings.keys_of(self.namings.by_raw)

    def _new[T: (Mention, Evidence)](
        self, type: LiteralString, records: Mapping[str, T]
    ) -> list[T]:
        """Link records that are there already to the run and return the others, sorted by id."""
        # What stands in a new chunk, or comes from a model that is new here, is new itself.
        perhaps = {id for id, row in records.items() if (row.chunk or row.config) in self.places}
        known = dict(self.work.each(cypher.link(type), perhaps, run=self.number))
        self.linked += sum(not linked for linked in known.values())
        new = [records[id] for id in sorted(records.keys() - known.keys())]
        self.created += len(new)
        return new

    # -------------------------------------------------------------------------------- writing

    def _rare(self, touch: Touch) -> None:
        """Write relation names, merges and predictions; say what they touch."""
        work, batch = self.work, self.batch
        held = {rows.relation_name_row(row, row.run)[0] for row in self.names}
        new = [
            row
            for row in _unique(rows.relation_name_row(r, self.run) for r in batch.relation_names)
            if row[0] not in held
        ]
        if new and not self.alone:
            raise _MustRunAloneError
        work.put(cypher.NEW_RELATION_NAMES, new)
        work.put(cypher.MERGES, _unique(rows.merge_row(row, self.run) for row in batch.merges))
        predictions = _unique(rows.prediction_row(row, self.run) for row in batch.predictions)
        work.put(cypher.PREDICTIONS, predictions)
        self.created += work.settle()
        if new:
            touch.phrases.update(properties["phrase"] for _, properties in new)
            self.names = load_relation_names(work)
        touch.raws.update(end for merge in batch.merges for end in (merge.kept, merge.dropped))

    def _records(self, touch: Touch, added: Collection[Naming], derived: Derived) -> None:
        """Write everything that is a node, but for entities; learn where the nodes are."""
        batch, configs = self.batch, self.memory.configs
        placed: list[Mention | Evidence] = [*touch.mentions, *touch.evidence]
        literals = {e.tail.id: e.tail for e in touch.evidence if isinstance(e.tail, Literal)}
        models = sorted({row.config for row in placed if row.chunk is None})
        found_in: list[Mention | Evidence] = [*self.mentions.values(), *self.evidence.values()]
        sources = {row.chunk or row.config for row in found_in}
        sources.update(task.chunk for task in batch.tasks)
        chunks = [
            row for row in _unique(map(rows.chunk_row, batch.chunks)) if row[0] not in self.places
        ]
        new_chunks, made, values, tasks = self.work.one(
            cypher.RECORDS,
            run=self.number,
            chunks=chunks,
            models=[[id, shape.model_properties(configs[id])] for id in models],
            literals=[rows.literal_row(literals[id]) for id in sorted(literals)],
            namings=sorted(
                rows.naming_row(naming, derived.resolution.canonical[naming.raw])
                for naming in added
            ),
            links=sorted(rows.link_id(self.number, source) for source in sources),
            tasks=_unique(map(rows.task_row, batch.tasks)),
        )
        if len(new_chunks) != len(chunks):
            raise unmatched([row[0] for row in chunks], [id for id, _ in new_chunks])
        self.created += len(chunks) + tasks
        for found in (new_chunks, made, values):
            self.places.update(found)


def _raws(mentions: Iterable[Mention], evidence: Iterable[Evidence]) -> set[str]:
    """Return the raw entities that mentions and evidence name."""
    raws = {mention.entity for mention in mentions}
    for row in evidence:
        raws.update(end for end in (row.head, row.tail) if isinstance(end, str))
    return raws


def _unique(found: Iterable[rows.Row]) -> list[rows.Row]:
    """Return rows once for each id, sorted; equal ids are equal content."""
    by_id = {row[0]: row for row in found}
    return [by_id[id] for id in sorted(by_id)]
