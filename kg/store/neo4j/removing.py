"""Removing from a graph on a server: undo a run, delete a document, replace what is superseded.

All three take mentions, evidence and tasks away first, derive again what that has touched, and
then sweep: a chunk that no mention, evidence or task refers to, and a document without chunks,
go with them. Each is one transaction.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Collection
from typing import NamedTuple

from kg.derivation import Naming
from kg.errors import NotFound
from kg.store.cypher import locking, predicting
from kg.store.cypher import removing as cypher
from kg.store.neo4j import rows
from kg.store.neo4j.connection import Connection
from kg.store.neo4j.deriving import Derived, Known, Touch, derive_again
from kg.store.neo4j.drawing import draw_derived, erase_derived
from kg.store.neo4j.locking import State, count_change, work_alone
from kg.store.neo4j.predicting import place_predictions
from kg.store.neo4j.reading import mention_of
from kg.store.neo4j.resolving import MergeLog, Namings
from kg.store.neo4j.work import Work
from kg.store.neo4j.writing import Memory, load_relation_names
from kg.store.protocol import RemoveReport

__all__ = ["Remover"]


class Remover:
    """Everything that takes from a graph on a server."""

    def __init__(self, connection: Connection, memory: Memory) -> None:
        self._connection = connection
        self._memory = memory

    def undo(self, run: str) -> RemoveReport:
        """Remove a run and what only it found, see `GraphStore.undo`."""
        return self._remove(lambda removal: removal.of_run(run), run=run)

    def delete_document(self, uri: str) -> RemoveReport:
        """Remove all documents of a uri, see `GraphStore.delete_document`."""
        return self._remove(lambda removal: removal.of_uri(uri))

    def supersede(self, document: str, config: str) -> RemoveReport:
        """Remove what a fully written document replaces, see `GraphStore.supersede`."""
        # Nearly always there is nothing, and then no other writer has to wait.
        if not self._connection.read(lambda work: _older(work, document, config)).any:
            return RemoveReport()
        return self._remove(lambda removal: removal.older(document, config))

    def _remove(self, choose: Callable[[_Removal], None], *, run: str = "") -> RemoveReport:
        def act(work: Work) -> RemoveReport:
            removal = _Removal(work, work_alone(work, run=run), self._memory)
            choose(removal)
            return removal.finish()

        return self._connection.write(act)[0]


class _Older(NamedTuple):
    """What a document and its config replace."""

    documents: set[str]
    chunks: set[str]
    configs: list[str]

    @property
    def any(self) -> bool:
        """Whether there is anything at all to replace."""
        return bool(self.documents or (self.chunks and self.configs))


def _older(work: Work, document: str, config: str) -> _Older:
    documents = {row[0] for row in work.ask(cypher.OLDER_DOCUMENTS, id=document)}
    configs = [row[0] for row in work.ask(cypher.OTHER_VERSIONS, id=config)]
    chunks = work.each(cypher.CHUNKS_OF_DOCUMENTS, {document}) if configs else []
    return _Older(documents, {row[0] for row in chunks}, configs)


class _Removal:
    """The state of one attempt: what is taken away, and what that touches."""

    def __init__(self, work: Work, state: State, memory: Memory) -> None:
        self.work = work
        self.state = state
        self.memory = memory
        self.touch = Touch()
        self.counts: Counter[str] = Counter()
        #: Chunks that may be swept: never one of a document that is still being written.
        self.chunks: set[str] = set()
        self.literals: set[str] = set()
        self.models: set[str] = set()

    # ------------------------------------------------------------------------- what to remove

    def of_run(self, run: str) -> None:
        """Take away what only a run has found, its links and the run."""
        work, number = self.work, self.state.number or 0
        prefix = rows.link_prefix(number)
        sources = {row[0] for row in work.ask(cypher.SOURCES_OF_RUN, prefix=prefix)}
        chunks, models = ({id for id in sources if id.startswith(kind)} for kind in ("c_", "f_"))
        for type, remove in (("MENTIONS", self._mentions), ("STATES", self._evidence)):
            linked = work.each(cypher.found_in_chunk(type), chunks, run=number)
            linked += work.each(cypher.found_in_model(type), models, run=number)
            self.chunks.update(chunk for _, chunk, _ in linked if chunk)
            work.each(cypher.unlink(type), {id for id, _, only in linked if not only}, run=number)
            remove({id for id, _, only in linked if only})
        tasks = work.each(cypher.TASKS_OF_RUN, chunks, run=number)
        self.chunks.update(chunk for _, chunk, _ in tasks)
        work.each(cypher.UNLINK_TASKS, {id for id, _, only in tasks if not only}, run=number)
        self._tasks({id for id, _, only in tasks if only})
        merges = work.ask(cypher.MERGES_OF_RUN, run=run)
        self.touch.raws.update(end for merge in merges for end in merge)
        work.ask(cypher.DELETE_MERGES_OF_RUN, run=run)
        self.counts["merges"] = len(merges)
        phrases = [row.phrase for row in load_relation_names(work) if row.run == run]
        work.ask(cypher.DELETE_NAMES_OF_RUN, run=run)
        self.touch.phrases.update(phrases)
        self.counts["relation_names"] = len(phrases)
        self._predictions(run)
        work.ask(cypher.DELETE_LINKS_OF_RUN, prefix=prefix)
        work.ask(cypher.DELETE_RUN, id=run)
        self.counts["runs"] = 1

    def of_uri(self, uri: str) -> None:
        """Take away the documents of a uri."""
        documents = {
            row[0] for row in self.work.ask(cypher.DOCUMENTS_OF_URI, key=rows.uri_key(uri))
        }
        if not documents:
            known = [row[0] for row in self.work.ask(cypher.URIS)]
            near = difflib.get_close_matches(uri, known, n=3) or known[:3]
            raise NotFound(
                f"no document {uri!r} in this graph; "
                + (f"near matches: {', '.join(near)}" if near else "it holds no documents")
            )
        self._documents(documents)

    def older(self, document: str, config: str) -> None:
        """Take away what a document and its config replace."""
        older = _older(self.work, document, config)
        self._documents(older.documents)
        if not older.configs:
            return
        before = self.counts.total()
        self._found_in(older.chunks, older.configs)
        if self.counts.total() > before:
            self.chunks.update(older.chunks)

    def _documents(self, documents: set[str]) -> None:
        if not documents:
            return
        work = self.work
        chunks = {row[0] for row in work.each(cypher.CHUNKS_OF_DOCUMENTS, documents)}
        self._found_in(chunks, None)
        work.each(cypher.LEASES_OF_CHUNKS, chunks)
        work.each(cypher.DELETE_CHUNKS, chunks)
        work.each(cypher.DELETE_DOCUMENTS, documents)
        work.each(cypher.DELETE_TEXTS, documents)
        self.counts["chunks"] += len(chunks)
        self.counts["documents"] += len(documents)

    def _found_in(self, chunks: Collection[str], configs: list[str] | None) -> None:
        def ids(statement: str) -> set[str]:
            return {row[0] for row in self.work.each(statement, set(chunks), configs=configs)}

        self._mentions(ids(cypher.of_chunks("MENTIONS")))
        self._evidence(ids(cypher.of_chunks("STATES")))
        self._tasks(ids(cypher.TASKS_OF_CHUNKS))

    # ------------------------------------------------------------------------ taking it away

    def _mentions(self, ids: set[str]) -> None:
        fewer: Counter[Naming] = Counter()
        for properties, source, is_model, entity in self.work.each(cypher.remove("MENTIONS"), ids):
            mention = mention_of(properties, None if is_model else source)
            fewer[Naming.of(mention)] += 1
            self.touch.raws.add(mention.entity)
            self.touch.entities.add(entity)
            self.touch.keys.add(rows.name_key(mention.name))
            if is_model:
                self.models.add(source)
        self.counts["mentions"] += len(ids)
        lost = [[rows.naming_id(naming), times] for naming, times in fewer.items()]
        self.work.put(cypher.FEWER_NAMINGS, lost)
        self.work.settle()
        self.work.each(cypher.DELETE_UNUSED_NAMINGS, {id for id, _ in lost})

    def _evidence(self, ids: set[str]) -> None:
        for properties, source, is_model, head in self.work.each(cypher.remove("STATES"), ids):
            self.touch.triples[properties["triple_id"]] = head
            self.touch.raws.add(properties["raw_head"])
            tail = properties["raw_tail"]
            (self.touch.raws if tail.startswith("e_") else self.literals).add(tail)
            if is_model:
                self.models.add(source)
        self.counts["evidence"] += len(ids)

    def _tasks(self, ids: set[str]) -> None:
        self.work.each(cypher.DELETE_TASKS, ids)
        self.counts["tasks"] += len(ids)

    def _predictions(self, run: str) -> None:
        found = self.work.ask(predicting.PREDICTIONS_OF_RUN, run=run)
        drawn = [[id.split("|")[0], head] for *_, id, head in found if head]
        self.work.each(predicting.ERASE_PREDICTED, drawn)
        self.work.ask(predicting.DELETE_PREDICTIONS_OF_RUN, run=run)
        # Another run may have made the same prediction: its link is drawn again.
        self.work.ask(predicting.FORGET_PLACES, ids=[id for id, _ in drawn])
        self.counts["predictions"] = len(found)

    # ---------------------------------------------------------------------------------- after

    def finish(self) -> RemoveReport:
        """Derive again what was touched, sweep, and say what is gone."""
        if not self.counts.total():
            return RemoveReport()
        work = self.work
        names = load_relation_names(work)
        derived = Derived.nothing()
        if self.touch.raws or self.touch.phrases:
            known = Known(
                Namings(work),
                MergeLog(work, empty=not self.state.merges),
                names,
                self.memory.configs_of,
            )
            derived = derive_again(work, self.touch, known)
            draw_derived(work, derived, {})
            erase_derived(work, derived)
            work.settle()
        work.each(locking.DELETE_NAMES, self.touch.keys)
        work.each(cypher.DELETE_IDLE_LITERALS, self.literals)
        work.each(cypher.DELETE_IDLE_MODELS, self.models)
        if self.state.predictions:
            place_predictions(work, derived, names, all=bool(self.touch.phrases))
        owners = [row[0] for row in work.each(cypher.DELETE_IDLE_CHUNKS, self.chunks)]
        emptied = {row[0] for row in work.each(cypher.DELETE_IDLE_DOCUMENTS, set(owners))}
        work.each(cypher.DELETE_TEXTS, emptied)
        self.counts["chunks"] += len(owners)
        self.counts["documents"] += len(emptied)
        count_change(work)
        return RemoveReport(
            **{name: self.counts[name] for name in RemoveReport.__slots__}  # runs are not told
        )
