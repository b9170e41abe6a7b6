"""Writing into the record: one transaction per batch, idempotent by content-hash ids."""

from __future__ import annotations

import json
import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import Any, Final

from kg.derivation import independent_source
from kg.errors import NotFound
from kg.records import Batch, Chunk, Config, Evidence, Literal, Mention, Run, Task
from kg.store.embedded.record import Record, blob, hex_id
from kg.store.lease import is_dead
from kg.store.protocol import Claim, WriteReport
from kg.store.validation import check_batch, needs

__all__ = ["adopt", "begin_run", "claim", "finish_run", "run_key", "write"]

NO_SPAN: Final = (None, None)


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
    found = record.keys("config", [config.id])
    if found:
        return found[config.id]
    columns = "id, harvester, version, model, weights, prompt, parameters"
    row = (config.harvester, config.version, config.model, config.weights, config.prompt)
    # Nothing was written by it yet, so that what is derived stays what it is.
    return record.insert("config", columns, [(blob(config.id), *row, _json(config.parameters))])[0]


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

    def write(self, batch: Batch) -> None:
        """Check and write a batch; the caller holds the transaction."""
        record = self.record
        self.rows_in = sum(len(getattr(batch, kind)) for kind in Batch.__slots__)
        raws = record.keys("raw", _raws(batch))
        configs = record.keys("config", _configs(batch))
        self._check(batch, raws, configs)
        documents = self._insert(
            "document",
            "id, uri, title, media_type, text, meta",
            {d.id: (d.uri, d.title, d.media_type, d.text, _json(d.meta)) for d in batch.documents},
            refers={chunk.document for chunk in batch.chunks},
        )
        placed: list[Mention | Evidence | Task] = [*batch.mentions, *batch.evidence, *batch.tasks]
        chunks = self._insert(
            "chunk",
            'id, document, start, "end"',
            {c.id: (documents[c.document], c.start, c.end) for c in batch.chunks},
            refers={row.chunk for row in placed if row.chunk is not None},
        )
        # What stands in a chunk that is written now cannot have been written before.
        fresh = self._new
        self._dictionary("raw", "id", dict.fromkeys(m.entity for m in batch.mentions), raws)
        literals = self._dictionary(
            "literal",
            "id, lexical, datatype, lang",
            {
                e.tail.id: (e.tail.lexical, e.tail.datatype, e.tail.lang)
                for e in batch.evidence
                if isinstance(e.tail, Literal)
            },
        )
        self._mentions(batch.mentions, raws, chunks, configs, fresh)
        self._evidence(batch.evidence, raws, literals, chunks, configs, fresh)
        self._tasks(batch.tasks, chunks, configs)
        self._small(batch)

    def _check(self, batch: Batch, raws: Collection[str], configs: Collection[str]) -> None:
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
        stored = record.keys("document", {chunk.document for chunk in batch.chunks})
        neighbours = {
            document: _chunks(
                record,
                "d.key = ? AND EXISTS (SELECT 1 FROM task t JOIN run r ON t.config = r.config "
                "WHERE t.chunk = c.key AND r.key = ?)",
                (key, self.run),
            )
            for document, key in stored.items()
        }
        check_batch(
            batch,
            chunks=chunks,
            texts=texts,
            configs=configs,
            raws=raws,
            neighbours=neighbours,
        )

    def _insert(
        self,
        table: str,
        columns: str,
        rows: Mapping[str, tuple[Any, ...]],
        *,
        refers: Iterable[str] = (),
    ) -> dict[str, int]:
        """Insert what is new and return the keys of the rows and of all ids referred to."""
        known = self.record.keys(table, {*rows, *refers})
        self._dictionary(table, columns, rows, known)
        self.created += len(self._new)
        return known

    def _dictionary(
        self,
        table: str,
        columns: str,
        rows: Mapping[str, tuple[Any, ...] | None],
        known: dict[str, int] | None = None,
    ) -> dict[str, int]:
        """Insert those rows that are not `known`, and make them known."""
        known = self.record.keys(table, rows) if known is None else known
        # Sorted, so that one page of the index after the other is touched.
        new = sorted((blob(id), id) for id in rows if id not in known)
        keys = self.record.insert(table, columns, [(id, *(rows[name] or ())) for id, name in new])
        self._new = {name for _, name in new}
        known.update(zip((name for _, name in new), keys, strict=True))
        return known

    def _known(
        self,
        table: str,
        rows: Iterable[Mention | Evidence],
        chunks: Mapping[str, int],
        fresh: Collection[str],
    ) -> dict[str, int]:
        """Return the keys of those rows that were written before, looked up chunk by chunk."""
        found: dict[str, int] = {}
        by_chunk: dict[int | None, dict[bytes, str]] = defaultdict(dict)
        for row in rows:
            if row.chunk not in fresh:
                by_chunk[chunks[row.chunk] if row.chunk else None][blob(row.id)] = row.id
        for chunk, wanted in by_chunk.items():
            ids = sorted(wanted)
            for start in range(0, len(ids), 500):
                part = ids[start : start + 500]
                marks = ",".join("?" * len(part))
                sql = f"SELECT id, key FROM {table} WHERE chunk IS ? AND id IN ({marks})"
                held = self.record.execute(sql, (chunk, *part))
                found.update((wanted[id], key) for id, key in held)
        return found

    def _linked(self, table: str, keys: Iterable[int], new: int) -> None:
        """Link rows to the run; rows that were there before count as `linked`."""
        column = table.removesuffix("_run")
        links = self.record.many(
            f"INSERT OR IGNORE INTO {table} ({column}, run) VALUES (?, ?)",
            [(key, self.run) for key in sorted(keys)],
        )
        self.linked += max(links, 0) - new

    def _mentions(
        self,
        mentions: Sequence[Mention],
        raws: Mapping[str, int],
        chunks: Mapping[str, int],
        configs: Mapping[str, int],
        fresh: Collection[str],
    ) -> None:
        unique = {m.id: m for m in mentions}
        self.duplicates += len(mentions) - len(unique)
        known = self._known("mention", unique.values(), chunks, fresh)
        new = {id: m for id, m in unique.items() if id not in known}
        says = {
            id: (
                *(raws[m.entity], m.name, m.surface, m.type, m.iri, m.description),
                *(_json(m.props), configs[m.config]),
            )
            for id, m in new.items()
        }
        namings = self._namings(set(says.values()))
        self._dictionary(
            "mention",
            'id, naming, chunk, start, "end", config',
            {
                id: (
                    namings[says[id]],
                    chunks[m.chunk] if m.chunk else None,
                    *(m.span or (None, None)),
                    configs[m.config],
                )
                for id, m in new.items()
            },
            known,
        )
        self.created += len(new)
        self._linked("mention_run", known.values(), len(new))

    def _namings(self, wanted: Set[tuple[Any, ...]]) -> dict[tuple[Any, ...], int]:
        """Return the keys of what mentions say of raw entities; what is new is written."""
        columns = "raw, name, surface, type, iri, description, props, config"
        known: dict[tuple[Any, ...], int] = {}
        raws = sorted({naming[0] for naming in wanted})
        for start in range(0, len(raws), 500):
            part = raws[start : start + 500]
            held = self.record.execute(
                f"SELECT key, {columns} FROM naming WHERE raw IN ({','.join('?' * len(part))})",
                part,
            )
            known.update((row[1:], row[0]) for row in held)
        new = sorted(wanted - known.keys())
        known.update(zip(new, self.record.insert("naming", columns, new), strict=True))
        return known

    def _evidence(
        self,
        evidence: Sequence[Evidence],
        raws: Mapping[str, int],
        literals: Mapping[str, int],
        chunks: Mapping[str, int],
        configs: Mapping[str, int],
        fresh: Collection[str],
    ) -> None:
        best: dict[str, Evidence] = {}
        for e in evidence:
            # One sentence may state a triple twice; the higher score is kept, in any order.
            held = best.setdefault(e.id, e)
            if held is not e and (e.score, e.head_span or ()) > (held.score, held.head_span or ()):
                best[e.id] = e
        self.duplicates += len(evidence) - len(best)
        known = self._known("evidence", best.values(), chunks, fresh)
        new = {
            e.id: (
                raws[e.head],
                e.relation,
                *(
                    (raws[tail], None)
                    if isinstance(tail := e.tail, str)
                    else (None, literals[tail.id])
                ),
                e.score,
                chunks[e.chunk] if e.chunk else None,
                *(e.span or NO_SPAN),
                *(e.head_span or NO_SPAN),
                *(e.tail_span or NO_SPAN),
                e.negated,
                e.hedged,
                e.time,
                independent_source(e.quote, e.config),
                configs[e.config],
            )
            for e in best.values()
            if e.id not in known
        }
        self._dictionary(
            "evidence",
            'id, head, relation, tail, literal, score, chunk, start, "end", head_start, head_end, '
            "tail_start, tail_end, negated, hedged, time, source, config",
            new,
            known,
        )
        self.created += len(new)
        self._linked("evidence_run", known.values(), len(new))

    def _tasks(
        self,
        tasks: Sequence[Task],
        chunks: Mapping[str, int],
        configs: Mapping[str, int],
    ) -> None:
        for task in tasks:
            keys = (chunks[task.chunk], configs[task.config])
            done = self.record.execute(
                "SELECT 1 FROM task WHERE chunk = ? AND config = ?", keys
            ).fetchone()
            self.record.execute("INSERT OR IGNORE INTO task VALUES (?, ?, ?)", (*keys, self.run))
            self.record.execute(
                "DELETE FROM lease WHERE chunk = ? AND config = ?",
                (blob(task.chunk), blob(task.config)),
            )
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
                    for row in batch.relation_names
                ],
            ),
            0,
        )
        self.created += max(
            self.record.many(
                "INSERT OR IGNORE INTO merge VALUES (?, ?, ?, ?, ?, ?)",
                [(blob(m.id), m.kept, m.dropped, m.layer, m.score, self.run) for m in batch.merges],
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
                    for p in batch.predictions
                ],
            ),
            0,
        )


def _raws(batch: Batch) -> set[str]:
    """Return the raw entities that a batch names or refers to."""
    heads = {e.head for e in batch.evidence}
    tails = {e.tail for e in batch.evidence if isinstance(e.tail, str)}
    return heads | tails | {m.entity for m in batch.mentions}


def _configs(batch: Batch) -> set[str]:
    rows: tuple[Mention | Evidence | Task, ...] = (*batch.mentions, *batch.evidence, *batch.tasks)
    return {row.config for row in rows}


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
