"""Removing from a graph on a server: undo a run, delete a document, replace what is superseded.

All three take mentions, evidence and tasks away first, derive again what that has touched, and
then sweep: a chunk that no mention, evidence or task refers to, and a document without chunks,
go with them. Each is one transaction.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Mapping

from kg.derivation import Naming
from kg.errors import NotFound
from kg.records import Config
from kg.store import cypher
from kg.store.neo4j import rows
from kg.store.neo4j.connection import Connection
from kg.store.neo4j.deriving import Derived, Touch, derive_again
from kg.store.neo4j.predicting import place_predictions
from kg.store.neo4j.reading import mention_of
from kg.store.neo4j.work import Work
from kg.store.neo4j.writing import load_configs, load_relation_names, lock, run_number
from kg.store.protocol import RemoveReport

__all__ = ["Remover"]


class Remover:
    """Everything that takes from a graph on a server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def undo(self, run: str) -> RemoveReport:
        """Remove a run and what only it found, see `GraphStore.undo`."""
        return self._remove(lambda removal: removal.run(run))

    def delete_document(self, uri: str) -> RemoveReport:
        """Remove all documents of a uri, see `GraphStore.delete_document`."""
        return self._remove(lambda removal: removal.uri(uri))

    def supersede(self, document: str, config: str) -> RemoveReport:
        """Remove what a fully written document replaces, see `GraphStore.supersede`."""
        return self._remove(lambda removal: removal.older(document, config))

    def _remove(self, choose: Callable[[_Removal], None]) -> RemoveReport:
        def act(work: Work) -> RemoveReport:
            lock(work)
            removal = _Removal(work)
            choose(removal)
            return removal.finish()

        return self._connection.write(act)[0]


class _Removal:
    """The state of one attempt: what is taken away, and what that touches."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.touch = Touch()
        self.counts: Counter[str] = Counter()
        #: Chunks that may be swept: never one of a document that is still being written.
        self.chunks: set[str] = set()
        self.literals: set[str] = set()
        self.models: set[str] = set()
        self._configs: dict[str, Config] = {}

    # ------------------------------------------------------------------------- what to remove

    def run(self, run: str) -> None:
        work = self.work
        number, _ = run_number(work, run)
        for found, unlink, remove in (
            (cypher.of_run("MENTIONS"), cypher.unlink("MENTIONS"), self._mentions),
            (cypher.of_run("STATES"), cypher.unlink("STATES"), self._evidence),
        ):
            linked = work.ask(found, run=number)
            self.chunks.update(chunk for _, chunk, _ in linked if chunk)
            work.each(unlink, {id for id, _, only in linked if not only}, run=number)
            remove({id for id, _, only in linked if only})
        tasks = work.ask(cypher.TASKS_OF_RUN, run=number)
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
        work.ask(cypher.DELETE_RUN, id=run)
        self.counts["runs"] = 1

    def uri(self, uri: str) -> None:
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
        work = self.work
        keys = work.ask(cypher.URI_KEY, id=document)
        same_uri = {row[0] for key in keys for row in work.ask(cypher.DOCUMENTS_OF_URI, key=key[0])}
        self._documents(same_uri - {document})
        configs = [row[0] for row in work.ask(cypher.OTHER_VERSIONS, id=config)]
        if not configs:
            return
        chunks = {row[0] for row in work.each(cypher.CHUNKS_OF_DOCUMENTS, {document})}
        before = self.counts.total()
        self._found_in(chunks, configs)
        if self.counts.total() > before:
            self.chunks.update(chunks)

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
        lost = [{"id": rows.naming_id(naming), "times": n} for naming, n in fewer.items()]
        self.work.put(cypher.FEWER_NAMINGS, lost)
        self.work.each(cypher.DELETE_UNUSED_NAMINGS, {row["id"] for row in lost})

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
        found = self.work.ask(cypher.PREDICTIONS_OF_RUN, run=run)
        drawn = [{"id": id.split("|")[0], "head": head} for *_, id, head in found if head]
        self.work.each(cypher.ERASE_PREDICTED, drawn)
        self.work.ask(cypher.DELETE_PREDICTIONS_OF_RUN, run=run)
        # Another run may have made the same prediction: its link is drawn again.
        self.work.ask(cypher.FORGET_PLACES, ids=[row["id"] for row in drawn])
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
            derived = derive_again(
                work, self.touch, run=0, relation_names=names, configs=self._configs_of
            )
        work.each(cypher.DELETE_IDLE_LITERALS, self.literals)
        work.each(cypher.DELETE_IDLE_MODELS, self.models)
        place_predictions(work, derived, names, all=bool(self.touch.phrases))
        owners = [row[0] for row in work.each(cypher.DELETE_IDLE_CHUNKS, self.chunks)]
        emptied = {row[0] for row in work.each(cypher.DELETE_IDLE_DOCUMENTS, set(owners))}
        work.each(cypher.DELETE_TEXTS, emptied)
        self.counts["chunks"] += len(owners)
        self.counts["documents"] += len(emptied)
        work.ask(cypher.BUMP)
        return RemoveReport(
            **{name: self.counts[name] for name in RemoveReport.__slots__}  # runs are not told
        )

    def _configs_of(self, work: Work, ids: Collection[str]) -> Mapping[str, Config]:
        missing = set(ids) - self._configs.keys()
        if missing:
            self._configs.update(load_configs(work, missing))
        return self._configs
