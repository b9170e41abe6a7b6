"""Reading the record: written records as they were written."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from kg.records import (
    Chunk,
    Config,
    Document,
    Evidence,
    Link,
    Literal,
    Mention,
    Merge,
    Prediction,
    RelationName,
    Run,
    Span,
    Task,
)
from kg.store.embedded.record import Record, blob, hex_id
from kg.store.filters import check_filters

__all__ = ["literals", "written"]


#: Tables that are read in pages, by their names in the statements below.
_PAGED: Final = {"d": "document", "c": "chunk", "m": "mention", "e": "evidence"}
#: Rows read at once of the kinds of which there are many.
PAGE: Final = 5_000


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind of record is selected, filtered and made."""

    select: str
    order: str
    make: Callable[..., Any]
    #: Filter name → SQL condition; a condition on an id column takes its blob.
    where: Mapping[str, str]
    #: Rows read at once when all are wanted; 0 reads a kind of which there are few at once.
    page: int = 0


def _object(text: str) -> dict[str, Any]:
    return json.loads(text) if text else {}


def _span(start: int | None, end: int | None) -> Span | None:
    return None if start is None or end is None else (start, end)


def _document(row: tuple[Any, ...]) -> Document:
    uri, text, title, media_type, meta = row
    return Document(uri=uri, text=text, title=title, media_type=media_type, meta=_object(meta))


def _chunk(row: tuple[Any, ...]) -> Chunk:
    document, start, end = row
    return Chunk(hex_id("d", document), start, end)


def _config(row: tuple[Any, ...]) -> Config:
    harvester, version, model, weights, prompt, parameters = row
    return Config(harvester, version, model, weights, prompt, _object(parameters))


def _run(row: tuple[Any, ...]) -> Run:
    id, config, started, finished, counts = row
    return Run(id, hex_id("f", config), started, finished, _object(counts))


def _mention(row: tuple[Any, ...]) -> Mention:
    raw, surface, config, name, type, chunk, start, end, iri, description, props = row
    return Mention(
        entity=hex_id("e", raw),
        surface=surface,
        config=hex_id("f", config),
        name=name,
        type=type,
        chunk=hex_id("c", chunk) if chunk else None,
        span=_span(start, end),
        iri=iri,
        description=description,
        props=_object(props),
    )


def _evidence(row: tuple[Any, ...], text_of: Callable[[int], str]) -> Evidence:
    head, relation, tail, lexical, datatype, lang, score, config, chunk, start, end, *rest = row
    head_start, head_end, tail_start, tail_end, negated, hedged, time, document = rest
    return Evidence(
        head=hex_id("e", head),
        relation=relation,
        tail=hex_id("e", tail) if tail else Literal(lexical, datatype, lang),
        score=score,
        config=hex_id("f", config),
        chunk=hex_id("c", chunk) if chunk else None,
        span=_span(start, end),
        head_span=_span(head_start, head_end),
        tail_span=_span(tail_start, tail_end),
        quote=text_of(document)[start:end] if document else "",
        negated=bool(negated),
        hedged=bool(hedged),
        time=time,
    )


def _task(row: tuple[Any, ...]) -> Task:
    return Task(hex_id("c", row[0]), hex_id("f", row[1]))


def _relation_name(row: tuple[Any, ...]) -> RelationName:
    phrase, relation, swapped, symmetric, *found = row
    return RelationName(phrase, relation, bool(swapped), bool(symmetric), *found)


_EVIDENCE_JOINS = (
    "FROM evidence e JOIN raw h ON h.key = e.head LEFT JOIN raw t ON t.key = e.tail "
    "LEFT JOIN literal l ON l.key = e.literal JOIN config f ON f.key = e.config "
    "LEFT JOIN chunk c ON c.key = e.chunk LEFT JOIN document d ON d.key = c.document"
)

_KINDS: Final[Mapping[str, _Kind]] = {
    "document": _Kind(
        "SELECT d.uri, d.text, d.title, d.media_type, d.meta FROM document d",
        "d.id",
        _document,
        {"id": "d.id = ?", "uri": "d.uri = ?"},
        page=100,
    ),
    "chunk": _Kind(
        'SELECT d.id, c.start, c."end" FROM chunk c JOIN document d ON d.key = c.document',
        "c.id",
        _chunk,
        {"id": "c.id = ?", "document": "d.id = ?"},
        page=PAGE,
    ),
    "config": _Kind(
        "SELECT harvester, version, model, weights, prompt, parameters FROM config f",
        "f.id",
        _config,
        {"id": "f.id = ?"},
    ),
    "run": _Kind(
        "SELECT r.id, f.id, r.started, r.finished, r.counts "
        "FROM run r JOIN config f ON f.key = r.config",
        "r.started, r.key",
        _run,
        {"id": "r.id = ?", "config": "f.id = ?"},
    ),
    "mention": _Kind(
        'SELECT w.id, n.surface, f.id, n.name, n.type, c.id, m.start, m."end", n.iri, '
        "n.description, n.props FROM mention m JOIN naming n ON n.key = m.naming "
        "JOIN raw w ON w.key = n.raw JOIN config f ON f.key = n.config "
        "LEFT JOIN chunk c ON c.key = m.chunk LEFT JOIN document d ON d.key = c.document",
        "m.id",
        _mention,
        {
            "id": "m.id = ?",
            "chunk": "c.id = ?",
            "document": "d.id = ?",
            "config": "f.id = ?",
            "run": "m.key IN (SELECT mention FROM mention_run l JOIN run r ON r.key = l.run "
            "WHERE r.id = ?)",
        },
        page=PAGE,
    ),
    "evidence": _Kind(
        "SELECT h.id, e.relation, t.id, l.lexical, l.datatype, l.lang, e.score, f.id, c.id, "
        'e.start, e."end", e.head_start, e.head_end, e.tail_start, e.tail_end, e.negated, '
        f"e.hedged, e.time, d.key {_EVIDENCE_JOINS}",
        "e.id",
        _evidence,
        {
            "id": "e.id = ?",
            "chunk": "c.id = ?",
            "document": "d.id = ?",
            "config": "f.id = ?",
            "run": "e.key IN (SELECT evidence FROM evidence_run l JOIN run r ON r.key = l.run "
            "WHERE r.id = ?)",
        },
        page=PAGE,
    ),
    "mention_link": _Kind(
        "SELECT m.id, r.id FROM mention m CROSS JOIN mention_run l ON l.mention = m.key "
        "CROSS JOIN run r ON r.key = l.run",
        "m.id, r.id",
        lambda row: Link(hex_id("m", row[0]), row[1]),
        {"id": "m.id = ?", "run": "r.id = ?"},
        page=PAGE,
    ),
    "evidence_link": _Kind(
        "SELECT e.id, r.id FROM evidence e CROSS JOIN evidence_run l ON l.evidence = e.key "
        "CROSS JOIN run r ON r.key = l.run",
        "e.id, r.id",
        lambda row: Link(hex_id("v", row[0]), row[1]),
        {"id": "e.id = ?", "run": "r.id = ?"},
        page=PAGE,
    ),
    "task": _Kind(
        "SELECT DISTINCT c.id, f.id FROM task t JOIN chunk c ON c.key = t.chunk "
        "JOIN config f ON f.key = t.config JOIN run r ON r.key = t.run",
        "c.id, f.id",
        _task,
        {"chunk": "c.id = ?", "config": "f.id = ?", "run": "r.id = ?"},
    ),
    "merge": _Kind(
        "SELECT g.kept, g.dropped, g.layer, g.score, r.id FROM merge g JOIN run r ON r.key = g.run",
        "g.id, r.id",
        lambda row: Merge(*row),
        {"id": "g.id = ?", "run": "r.id = ?"},
    ),
    "relation_name": _Kind(
        "SELECT n.phrase, n.relation, n.swapped, n.symmetric, n.layer, n.score, "
        "coalesce(r.id, '') FROM relation_name n LEFT JOIN run r ON r.key = n.run",
        "n.phrase, n.relation, n.swapped, n.symmetric, r.id",
        _relation_name,
        {"run": "r.id = ?"},
    ),
    "prediction": _Kind(
        "SELECT p.head, p.relation, p.tail, p.score, p.rank, p.weights, p.trained_on, r.id "
        "FROM prediction p JOIN run r ON r.key = p.run",
        "p.id, r.id",
        lambda row: Prediction(*row),
        {"id": "p.id = ?", "run": "r.id = ?"},
    ),
}


def written(
    record: Record, kind: str, where: Mapping[str, Any], *, keys: Sequence[int] | None = None
) -> Iterator[Any]:
    """Iterate over written records, see `GraphStore.written`; of evidence perhaps only `keys`.

    Raises:
        KgError: for a kind or filter that does not exist.
    """
    spec = check_filters(_KINDS, kind, where)
    conditions = [spec.where[name] for name in where]
    values = [blob(value) if not _is_text(kind, name) else value for name, value in where.items()]
    if keys is not None:
        conditions.append("e.key IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(keys))
    rows: Iterable[tuple[Any, ...]]
    if conditions or not spec.page:
        sql = spec.select + (f" WHERE {' AND '.join(conditions)}" if conditions else "")
        rows = record.execute(f"{sql} ORDER BY {spec.order}", values).fetchall()
    else:
        rows = _pages(record, spec)
    if kind != "evidence":
        return map(spec.make, rows)

    # Sliced here: SQLite's substr() ends at a NUL character.
    @lru_cache(maxsize=256)
    def text_of(document: int) -> str:
        return str(record.one("SELECT text FROM document WHERE key = ?", (document,))[0])

    return (spec.make(row, text_of) for row in rows)


def _pages(record: Record, spec: _Kind) -> Iterator[tuple[Any, ...]]:
    """Read all rows page by page: bounded memory, and no transaction open while others work.

    Only the keys are put into the order of the ids at once, eight bytes each.
    """
    alias = spec.order[0]
    order = array("q")
    order.extend(key for (key,) in record.execute(f"SELECT key FROM {_PAGED[alias]} ORDER BY id"))
    sql = (
        f"{spec.select} WHERE {alias}.key IN (SELECT value FROM json_each(?)) ORDER BY {spec.order}"
    )
    for start in range(0, len(order), spec.page):
        part = json.dumps(order[start : start + spec.page].tolist())
        yield from record.execute(sql, (part,)).fetchall()


def _is_text(kind: str, name: str) -> bool:
    return name in ("uri", "run") or (kind == "run" and name == "id")


def literals(record: Record, ids: Iterable[str] | None = None) -> Iterator[Literal]:
    """Iterate over the literals that evidence refers to, all of them or these."""
    select, parameters = "SELECT l.lexical, l.datatype, l.lang FROM literal l ", []
    if ids is not None:
        marks = [blob(id).hex() for id in ids]
        select += "WHERE hex(l.id) IN (SELECT upper(value) FROM json_each(?)) "
        parameters = [json.dumps(marks)]
    else:
        select += "WHERE l.key IN (SELECT literal FROM evidence) "
    for lexical, datatype, lang in record.execute(f"{select}ORDER BY l.id", parameters):
        yield Literal(lexical, datatype, lang)
