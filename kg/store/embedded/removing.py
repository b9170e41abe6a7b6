"""Removing from the record: undo a run, delete a document, replace what a new reading supersedes.

All three remove mentions, evidence and tasks first and then sweep: a chunk that no mention,
evidence or task refers to, and a document without chunks, go with them.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from kg.errors import NotFound
from kg.store.embedded.record import Record, blob
from kg.store.embedded.writing import run_key
from kg.store.protocol import RemoveReport

__all__ = ["delete_document", "supersede", "undo"]


def undo(record: Record, run: str) -> RemoveReport:
    """Remove a run and what only it found, see `GraphStore.undo`."""
    with record.transaction():
        key = run_key(record, run)
        # A sweep may only touch what this run touched, never a document that is being written.
        touched = _keys(
            record,
            "SELECT chunk FROM task WHERE run = ? UNION "
            "SELECT m.chunk FROM mention_run l JOIN mention m ON m.key = l.mention "
            "WHERE l.run = ? AND m.chunk IS NOT NULL UNION "
            "SELECT e.chunk FROM evidence_run l JOIN evidence e ON e.key = l.evidence "
            "WHERE l.run = ? AND e.chunk IS NOT NULL",
            (key, key, key),
        )
        only = "SELECT l.{0} FROM {0}_run l WHERE l.run = ? AND NOT EXISTS (SELECT 1 FROM {0}_run o WHERE o.{0} = l.{0} AND o.run <> l.run)"  # noqa: E501
        mentions = _remove(record, "mention", _keys(record, only.format("mention"), (key,)))
        evidence = _remove(record, "evidence", _keys(record, only.format("evidence"), (key,)))
        for table in ("mention_run", "evidence_run"):
            record.execute(f"DELETE FROM {table} WHERE run = ?", (key,))
        tasks = record.one(
            "SELECT count(*) FROM task t WHERE run = ? AND NOT EXISTS (SELECT 1 FROM task o "
            "WHERE o.chunk = t.chunk AND o.config = t.config AND o.run <> t.run)",
            (key,),
        )[0]
        record.execute("DELETE FROM task WHERE run = ?", (key,))
        merges = record.execute("DELETE FROM merge WHERE run = ?", (key,)).rowcount
        predictions = record.execute("DELETE FROM prediction WHERE run = ?", (key,)).rowcount
        names = record.execute("DELETE FROM relation_name WHERE run = ?", (key,)).rowcount
        record.execute("DELETE FROM run WHERE key = ?", (key,))
        chunks, documents = _sweep(record, touched)
        record.bump()
    return RemoveReport(documents, chunks, mentions, evidence, tasks, merges, predictions, names)


def delete_document(record: Record, uri: str) -> RemoveReport:
    """Remove all documents of a uri, see `GraphStore.delete_document`."""
    with record.transaction():
        documents = _keys(record, "SELECT key FROM document WHERE uri = ?", (uri,))
        if not documents:
            known = [row[0] for row in record.execute("SELECT uri FROM document ORDER BY uri")]
            near = difflib.get_close_matches(uri, known, n=3) or known[:3]
            raise NotFound(
                f"no document {uri!r} in this graph; "
                + (f"near matches: {', '.join(near)}" if near else "it holds no documents")
            )
        report = _delete_documents(record, documents)
        record.bump()
    return report


def supersede(record: Record, document: str, config: str) -> RemoveReport:
    """Remove what a fully written document replaces, see `GraphStore.supersede`."""
    with record.transaction():
        older = _keys(
            record,
            "SELECT o.key FROM document d JOIN document o ON o.uri = d.uri AND o.key <> d.key "
            "WHERE d.id = ?",
            (blob(document),),
        )
        report = _delete_documents(record, older) if older else RemoveReport()
        configs = _keys(
            record,
            "SELECT o.key FROM config f JOIN config o ON o.harvester = f.harvester "
            "AND o.parameters = f.parameters AND o.key <> f.key WHERE f.id = ?",
            (blob(config),),
        )
        chunks = _keys(
            record,
            "SELECT c.key FROM chunk c JOIN document d ON d.key = c.document WHERE d.id = ?",
            (blob(document),),
        )
        mentions = evidence = tasks = 0
        if configs and chunks:
            where = f"chunk IN ({_marks(chunks)}) AND config IN ({_marks(configs)})"
            keys = (*chunks, *configs)
            select = f"SELECT key FROM {{}} WHERE {where}"
            mentions = _remove(record, "mention", _keys(record, select.format("mention"), keys))
            evidence = _remove(record, "evidence", _keys(record, select.format("evidence"), keys))
            counted = (
                f"SELECT count(*) FROM (SELECT DISTINCT chunk, config FROM task WHERE {where})"
            )
            tasks = record.one(counted, keys)[0]
            record.execute(f"DELETE FROM task WHERE {where}", keys)
        swept, _ = _sweep(record, chunks) if mentions or evidence or tasks else (0, 0)
        if older or mentions or evidence or tasks:
            record.bump()
    return RemoveReport(
        documents=report.documents,
        chunks=report.chunks + swept,
        mentions=report.mentions + mentions,
        evidence=report.evidence + evidence,
        tasks=report.tasks + tasks,
    )


def _delete_documents(record: Record, documents: Sequence[int]) -> RemoveReport:
    within = f"SELECT key FROM chunk WHERE document IN ({_marks(documents)})"
    chunks = _keys(record, within, documents)
    mentions = evidence = tasks = 0
    for part in _parts(chunks):
        here = f"chunk IN ({_marks(part)})"
        select = f"SELECT key FROM {{}} WHERE {here}"
        mentions += _remove(record, "mention", _keys(record, select.format("mention"), part))
        evidence += _remove(record, "evidence", _keys(record, select.format("evidence"), part))
        counted = f"SELECT count(*) FROM (SELECT DISTINCT chunk, config FROM task WHERE {here})"
        tasks += record.one(counted, part)[0]
        record.execute(f"DELETE FROM task WHERE {here}", part)
        ids = f"SELECT id FROM chunk WHERE key IN ({_marks(part)})"
        record.execute(f"DELETE FROM lease WHERE chunk IN ({ids})", part)
        record.execute(f"DELETE FROM chunk WHERE key IN ({_marks(part)})", part)
    record.execute(f"DELETE FROM document WHERE key IN ({_marks(documents)})", documents)
    return RemoveReport(len(documents), len(chunks), mentions, evidence, tasks)


def _sweep(record: Record, chunks: Sequence[int]) -> tuple[int, int]:
    """Remove those chunks that nothing refers to, and their documents if they have none left."""
    swept = emptied = 0
    for part in _parts(chunks):
        idle = _keys(
            record,
            f"SELECT c.key FROM chunk c WHERE c.key IN ({_marks(part)}) "
            "AND NOT EXISTS (SELECT 1 FROM task t WHERE t.chunk = c.key) "
            "AND NOT EXISTS (SELECT 1 FROM mention m WHERE m.chunk = c.key) "
            "AND NOT EXISTS (SELECT 1 FROM evidence e WHERE e.chunk = c.key)",
            part,
        )
        if not idle:
            continue
        marks = _marks(idle)
        owners = _keys(record, f"SELECT DISTINCT document FROM chunk WHERE key IN ({marks})", idle)
        swept += record.execute(f"DELETE FROM chunk WHERE key IN ({marks})", idle).rowcount
        emptied += record.execute(
            f"DELETE FROM document WHERE key IN ({_marks(owners)}) AND NOT EXISTS "
            "(SELECT 1 FROM chunk c WHERE c.document = document.key)",
            owners,
        ).rowcount
    return swept, emptied


def _remove(record: Record, table: str, keys: Sequence[int]) -> int:
    if table == "evidence":
        record.retire_evidence_keys()
    for part in _parts(keys):
        marks = _marks(part)
        record.execute(f"DELETE FROM {table}_run WHERE {table} IN ({marks})", part)
        record.execute(f"DELETE FROM {table} WHERE key IN ({marks})", part)
    return len(keys)


def _keys(record: Record, sql: str, parameters: Sequence[Any]) -> list[int]:
    return [row[0] for row in record.execute(sql, parameters)]


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))


def _parts(keys: Sequence[int], size: int = 500) -> list[Sequence[int]]:
    return [keys[start : start + size] for start in range(0, len(keys), size)]
