"""Writing into the record: one transaction per batch, idempotent by content-hash ids."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from kg.derivation import independent_source
from kg.errors import NotFound
from kg.records import Batch, Chunk, Config, Evidence, Literal, Mention, Run, Task
from kg.store.embedded.record import Record, blob, hex_id
from kg.store.lease import is_dead
from kg.store.protocol import Claim, WriteReport
from kg.store.validation import check_batch, needs

__all__ = ["adopt", "begin_run", "claim", "finish_run", "run_key", "write"]


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=False, sort_keys=True) if value else ""


def now() -> str:
    """Return the present in UTC as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def run_key(record: Record, run: str) -> int:
    """Return the key of a run.

    Raises:
        NotFound: if there is none; the message names the latest runs.
    """
    row = record.execute("SELECT key FROM run WHERE id = ?", (run,)).fetchone()
    if row is None:
        latest = record.execute("SELECT id FROM run ORDER BY started DESC, key DESC LIMIT 3")
        known = ", ".join(row[0] for row in latest) or "none yet"
        raise NotFound(f"no run {run!r} in this graph; the latest are: {known}")
    return int(row[0])


def begin_run(record: Record, config: Config, *, run: str = "", started: str = "") -> Run:
    """Write a config and a new run of it."""
    made = Run(run or f"r_{uuid.uuid4().hex}", config.id, started or now())
    with record.transaction():
        key = _config_key(record, config)
        record.execute(
            "INSERT INTO run (id, config, started, finished, counts) VALUES (?, ?, ?, '', '')",
            (made.id, key, made.started),
        )
    return made


def _config_key(record: Record, config: Config) -> int:
    id = blob(config.id)
    found = record.keys("config", [id])
    if id in found:
        return found[id]
    columns = "id, harvester, version, model, weights, prompt, parameters"
    row = (id, config.harvester, config.version, config.model, config.weights, config.prompt)
    # The parameters decide ancestors and hedging, so a new config may change what is derived.
    record.bump()
    return record.insert("config", columns, [(*row, _json(config.parameters))])[0]


def finish_run(record: Record, run: str, counts: Mapping[str, int], *, finished: str = "") -> None:
    """Write the end of a run and its counts."""
    with record.transaction():
        key = run_key(record, run)
        record.execute(
            "UPDATE run SET finished = ?, counts = ? WHERE key = ?",
            (finished or now(), _json(counts), key),
        )


def write(record: Record, batch: Batch, *, run: str) -> WriteReport:
    """Write a batch in one transaction and link it to `run`."""
    began = time.perf_counter()
    with record.transaction():
        writer = _Writer(record, run_key(record, run))
        writer.check(batch)
        writer.write(batch)
        if writer.created:
            record.bump()
    return WriteReport(
        rows_in=writer.rows_in,
        duplicates_in_batch=writer.duplicates,
        created=writer.created,
        linked=writer.linked,
        seconds=time.perf_counter() - began,
    )


class _Writer:
    """The state of one write: key look-ups and counts."""

    def __init__(self, record: Record, run: int) -> None:
        self.record = record
        self.run = run
        self.rows_in = self.duplicates = self.created = self.linked = 0

    def check(self, batch: Batch) -> None:
        record, wanted = self.record, needs(batch)
        chunks = {
            chunk.id: chunk
            for id in wanted.chunks
            for chunk in _chunks(record, "c.id = ?", (blob(id),))
        }
        texts = {
            document: text
            for document in {*wanted.documents, *(c.document for c in chunks.values())}
            for (text,) in record.execute(
                "SELECT text FROM document WHERE id = ?", (blob(document),)
            )
        }
        neighbours = {
            document: _chunks(
                record,
                "d.id = ? AND EXISTS (SELECT 1 FROM task t JOIN run r ON t.config = r.config "
                "WHERE t.chunk = c.key AND r.key = ?)",
                (blob(document), self.run),
            )
            for document in {chunk.document for chunk in batch.chunks}
        }
        check_batch(
            batch,
            chunks=chunks,
            texts=texts,
            configs={hex_id("f", id) for id in record.keys("config", map(blob, wanted.configs))},
            raws={hex_id("e", id) for id in record.keys("raw", map(blob, wanted.raws))},
            neighbours=neighbours,
        )

    def write(self, batch: Batch) -> None:
        record = self.record
        documents = self._insert(
            "document",
            "id, uri, title, media_type, text, meta",
            {
                blob(d.id): (d.uri, d.title, d.media_type, d.text, _json(d.meta))
                for d in self._count(batch.documents)
            },
            refers={blob(chunk.document) for chunk in batch.chunks},
        )
        placed: list[Mention | Evidence | Task] = [*batch.mentions, *batch.evidence, *batch.tasks]
        chunks = self._insert(
            "chunk",
            'id, document, start, "end"',
            {
                blob(c.id): (documents[blob(c.document)], c.start, c.end)
                for c in self._count(batch.chunks)
            },
            refers={blob(row.chunk) for row in placed if row.chunk is not None},
        )
        configs = record.keys("config", {blob(row.config) for row in placed})
        ends = {blob(m.entity) for m in batch.mentions} | {
            blob(end) for e in batch.evidence for end in (e.head, e.tail) if isinstance(end, str)
        }
        raws = self._dictionary("raw", "id", dict.fromkeys(ends, ()))
        literals = self._dictionary(
            "literal",
            "id, lexical, datatype, lang",
            {
                blob(e.tail.id): (e.tail.lexical, e.tail.datatype, e.tail.lang)
                for e in batch.evidence
                if isinstance(e.tail, Literal)
            },
        )
        self._mentions(batch.mentions, raws, chunks, configs)
        self._evidence(batch.evidence, raws, literals, chunks, configs)
        self._tasks(batch.tasks, chunks, configs)
        self._small(batch)

    def _count[T](self, rows: Sequence[T]) -> Sequence[T]:
        self.rows_in += len(rows)
        return rows

    def _insert(
        self,
        table: str,
        columns: str,
        rows: Mapping[bytes, tuple[Any, ...]],
        *,
        refers: Iterable[bytes] = (),
    ) -> dict[bytes, int]:
        """Insert what is new and return the keys of the rows and of all ids referred to."""
        known = self._dictionary(table, columns, rows, refers=refers)
        self.created += self._new
        return known

    def _dictionary(
        self,
        table: str,
        columns: str,
        rows: Mapping[bytes, tuple[Any, ...]],
        *,
        refers: Iterable[bytes] = (),
    ) -> dict[bytes, int]:
        known = self.record.keys(table, {*rows, *refers})
        new = [(id, *row) for id, row in rows.items() if id not in known]
        self._new = len(new)
        if new:
            keys = self.record.insert(table, columns, new)
            known.update(zip((row[0] for row in new), keys, strict=True))
        return known

    def _linked(self, table: str, keys: Iterable[int], new: int) -> None:
        """Link rows to the run; rows that were there before count as `linked`."""
        column = table.removesuffix("_run")
        links = self.record.many(
            f"INSERT OR IGNORE INTO {table} ({column}, run) VALUES (?, ?)",
            [(key, self.run) for key in sorted(set(keys))],
        )
        self.linked += max(links, 0) - new

    def _mentions(
        self,
        mentions: Sequence[Mention],
        raws: Mapping[bytes, int],
        chunks: Mapping[bytes, int],
        configs: Mapping[bytes, int],
    ) -> None:
        rows = {
            blob(m.id): (
                raws[blob(m.entity)],
                chunks[blob(m.chunk)] if m.chunk else None,
                *(m.span or (None, None)),
                m.surface,
                m.name,
                m.type,
                m.iri,
                m.description,
                _json(m.props),
                configs[blob(m.config)],
            )
            for m in self._count(mentions)
        }
        self.duplicates += len(mentions) - len(rows)
        keys = self._insert(
            "mention",
            'id, raw, chunk, start, "end", surface, name, type, iri, description, props, config',
            rows,
        )
        self._linked("mention_run", keys.values(), self._new)

    def _evidence(
        self,
        evidence: Sequence[Evidence],
        raws: Mapping[bytes, int],
        literals: Mapping[bytes, int],
        chunks: Mapping[bytes, int],
        configs: Mapping[bytes, int],
    ) -> None:
        best: dict[str, Evidence] = {}
        for e in self._count(evidence):
            # One sentence may state a triple twice; the higher score is kept, in any order.
            held = best.setdefault(e.id, e)
            if (e.score, e.head_span or ()) > (held.score, held.head_span or ()):
                best[e.id] = e
        self.duplicates += len(evidence) - len(best)
        rows = {
            blob(e.id): (
                raws[blob(e.head)],
                e.relation,
                raws[blob(e.tail)] if isinstance(e.tail, str) else None,
                literals[blob(e.tail.id)] if isinstance(e.tail, Literal) else None,
                e.score,
                chunks[blob(e.chunk)] if e.chunk else None,
                *(e.span or (None, None)),
                *(e.head_span or (None, None)),
                *(e.tail_span or (None, None)),
                e.negated,
                e.hedged,
                e.time,
                independent_source(e.quote, e.config),
                configs[blob(e.config)],
            )
            for e in best.values()
        }
        keys = self._insert(
            "evidence",
            'id, head, relation, tail, literal, score, chunk, start, "end", head_start, head_end, '
            "tail_start, tail_end, negated, hedged, time, source, config",
            rows,
        )
        self._linked("evidence_run", keys.values(), self._new)

    def _tasks(
        self,
        tasks: Sequence[Task],
        chunks: Mapping[bytes, int],
        configs: Mapping[bytes, int],
    ) -> None:
        for task in self._count(tasks):
            chunk, config = blob(task.chunk), blob(task.config)
            keys = (chunks[chunk], configs[config])
            done = self.record.execute(
                "SELECT 1 FROM task WHERE chunk = ? AND config = ?", keys
            ).fetchone()
            self.record.execute("INSERT OR IGNORE INTO task VALUES (?, ?, ?)", (*keys, self.run))
            self.record.execute("DELETE FROM lease WHERE chunk = ? AND config = ?", (chunk, config))
            self.created += done is None

    def _small(self, batch: Batch) -> None:
        """Write the kinds of which there are few."""
        self.created += max(
            self.record.many(
                "INSERT OR IGNORE INTO relation_name VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(row.phrase, row.relation, row.swapped, row.symmetric),
                        # 0 is no run: a schema declared the row.
                        *(row.layer, row.score, self.run if row.run else 0),
                    )
                    for row in self._count(batch.relation_names)
                ],
            ),
            0,
        )
        self.created += max(
            self.record.many(
                "INSERT OR IGNORE INTO merge VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (blob(m.id), m.kept, m.dropped, m.layer, m.score, self.run)
                    for m in self._count(batch.merges)
                ],
            ),
            0,
        )
        self.created += max(
            self.record.many(
                "INSERT OR IGNORE INTO prediction VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(blob(p.id), p.head, p.relation, p.tail, p.score, p.rank),
                        *(p.weights, p.trained_on, self.run),
                    )
                    for p in self._count(batch.predictions)
                ],
            ),
            0,
        )


def _chunks(record: Record, where: str, parameters: tuple[Any, ...]) -> list[Chunk]:
    rows = record.execute(
        'SELECT d.id, c.start, c."end" FROM chunk c JOIN document d ON d.key = c.document '
        f"WHERE {where}",
        parameters,
    )
    return [Chunk(hex_id("d", document), start, end) for document, start, end in rows]


def claim(record: Record, tasks: Sequence[Task], *, owner: str, ttl: float) -> Claim:
    """Lease tasks, see `GraphStore.claim`."""
    granted: list[Task] = []
    done: list[Task] = []
    busy: list[Task] = []
    with record.transaction():
        clock = time.time()
        for task in tasks:
            ids = (blob(task.chunk), blob(task.config))
            finished = record.execute(
                "SELECT 1 FROM task t JOIN chunk c ON c.key = t.chunk JOIN config f ON "
                "f.key = t.config WHERE c.id = ? AND f.id = ?",
                ids,
            ).fetchone()
            lease = record.execute(
                "SELECT owner, expires FROM lease WHERE chunk = ? AND config = ?", ids
            ).fetchone()
            if finished:
                done.append(task)
            elif lease and lease[0] != owner and lease[1] > clock and not is_dead(lease[0]):
                busy.append(task)
            else:
                record.execute(
                    "INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?)", (*ids, owner, clock + ttl)
                )
                granted.append(task)
    return Claim(tuple(granted), tuple(done), tuple(busy))


def adopt(record: Record, tasks: Sequence[Task], *, run: str) -> int:
    """Link what finished tasks found to `run`, see `GraphStore.adopt`."""
    links = 0
    with record.transaction():
        key = run_key(record, run)
        for task in tasks:
            where = (
                "(SELECT key FROM chunk WHERE id = ?) AND config = "
                "(SELECT key FROM config WHERE id = ?)"
            )
            ids = (blob(task.chunk), blob(task.config))
            for sql in (
                f"INSERT OR IGNORE INTO mention_run SELECT key, ? FROM mention WHERE chunk = {where}",  # noqa: E501
                f"INSERT OR IGNORE INTO evidence_run SELECT key, ? FROM evidence WHERE chunk = {where}",  # noqa: E501
                f"INSERT OR IGNORE INTO task SELECT DISTINCT chunk, config, ? FROM task WHERE chunk = {where}",  # noqa: E501
            ):
                links += max(record.execute(sql, (key, *ids)).rowcount, 0)
    return links
