"""Reading written records back from the database, as they were written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

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
from kg.store.filters import check_filters
from kg.store.neo4j.connection import Connection

__all__ = ["config_of", "mention_of", "written"]


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind of record is matched, filtered, sorted and made."""

    match: LiteralString
    answer: LiteralString
    order: LiteralString
    make: Callable[..., Any]
    #: Filter name → condition on the matched names.
    where: Mapping[str, LiteralString]


def _object(text: str | None) -> dict[str, Any]:
    return json.loads(text) if text else {}


def _span(start: int | None, end: int | None) -> Span | None:
    return None if start is None or end is None else (start, end)


def _document(p: Mapping[str, Any], text: Mapping[str, Any]) -> Document:
    return Document(
        uri=p.get("uri", ""),
        text=text["text"],
        title=p.get("title", ""),
        media_type=text["media_type"],
        meta=_object(text["meta"]),
    )


def config_of(
    harvester: str, version: str, model: str, weights: str, prompt: str, parameters: str
) -> Config:
    """Return the config of a node's properties."""
    return Config(harvester, version, model, weights, prompt, _object(parameters))


def _run(p: Mapping[str, Any]) -> Run:
    return Run(p["id"], p["config"], p["started"], p["finished"], _object(p["counts"]))


def mention_of(p: Mapping[str, Any], chunk: str | None) -> Mention:
    """Return the mention of a relationship's properties and the chunk that it starts at."""
    return Mention(
        entity=p["raw_entity"],
        surface=p["surface"],
        config=p["config"],
        name=p.get("name", ""),
        type=p.get("type", ""),
        chunk=chunk,
        span=_span(p.get("start"), p.get("end")),
        iri=p.get("iri", ""),
        description=p.get("description", ""),
        props=_object(p.get("props")),
    )


def _evidence(p: Mapping[str, Any], chunk: str | None, tail: Mapping[str, Any] | None) -> Evidence:
    literal = tail and Literal(tail["lexical"], tail.get("datatype", ""), tail.get("lang", ""))
    return Evidence(
        head=p["raw_head"],
        relation=p["raw_relation"],
        tail=literal or p["raw_tail"],
        score=p["score"],
        config=p["config"],
        chunk=chunk,
        span=_span(p.get("start"), p.get("end")),
        head_span=_span(p.get("head_start"), p.get("head_end")),
        tail_span=_span(p.get("tail_start"), p.get("tail_end")),
        quote=p.get("quote", ""),
        negated=p["negated"],
        hedged=p["hedged"],
        time=p.get("time", ""),
    )


def _placed(type: LiteralString) -> LiteralString:
    return f"MATCH (s)-[x:{type}]->(e)"


#: Mentions and evidence hold the numbers of their runs.
_RUNS_OF: Final = " UNWIND x.runs AS number MATCH (r:Run {number: number})"

_IN_PLACE: Final[Mapping[str, LiteralString]] = {
    "id": "x.id = $id",
    "chunk": "s.id = $chunk AND s:Chunk",
    "document": "EXISTS { (s)-[:FROM_DOCUMENT]->(:Document {id: $document}) }",
    "config": "x.config = $config",
    "run": "EXISTS { MATCH (r:Run {id: $run}) WHERE r.number IN x.runs }",
}

_KINDS: Final[Mapping[str, _Kind]] = {
    "document": _Kind(
        "MATCH (d:Document) MATCH (t:SheafText {id: d.id})",
        "properties(d), properties(t)",
        "d.id",
        _document,
        {"id": "d.id = $id", "uri": "t.uri_key = $uri_key"},
    ),
    "chunk": _Kind(
        "MATCH (c:Chunk)-[:FROM_DOCUMENT]->(d:Document)",
        "d.id, c.start, c.end",
        "c.id",
        Chunk,
        {"id": "c.id = $id", "document": "d.id = $document"},
    ),
    "config": _Kind(
        "MATCH (f:Config)",
        "f.harvester, f.version, f.model, f.weights, f.prompt, f.parameters",
        "f.id",
        config_of,
        {"id": "f.id = $id"},
    ),
    "run": _Kind(
        "MATCH (r:Run)",
        "properties(r)",
        "r.started, r.number",
        _run,
        {"id": "r.id = $id", "config": "r.config = $config"},
    ),
    "mention": _Kind(
        _placed("MENTIONS"),
        "properties(x), CASE WHEN s:Chunk THEN s.id END",
        "x.id",
        mention_of,
        _IN_PLACE,
    ),
    "evidence": _Kind(
        _placed("STATES"),
        "properties(x), CASE WHEN s:Chunk THEN s.id END, properties(l)",
        "x.id",
        _evidence,
        {**_IN_PLACE, "triple": "x.triple_id = $triple"},
    ),
    "mention_link": _Kind(
        _placed("MENTIONS") + _RUNS_OF,
        "x.id, r.id",
        "x.id, r.id",
        Link,
        {"id": "x.id = $id", "run": "r.id = $run"},
    ),
    "evidence_link": _Kind(
        _placed("STATES") + _RUNS_OF,
        "x.id, r.id",
        "x.id, r.id",
        Link,
        {"id": "x.id = $id", "run": "r.id = $run"},
    ),
    "task": _Kind(
        "MATCH (t:Task)",
        "t.chunk, t.config",
        "t.chunk, t.config",
        Task,
        {
            "chunk": "t.chunk = $chunk",
            "config": "t.config = $config",
            "run": "EXISTS { MATCH (r:Run {id: $run}) WHERE r.number IN t.runs }",
        },
    ),
    "merge": _Kind(
        "MATCH (m:Merge)",
        "m.kept, m.dropped, m.layer, m.score, m.run",
        "m.id",
        Merge,
        {"id": "m.merge = $id", "run": "m.run = $run"},
    ),
    "relation_name": _Kind(
        "MATCH (n:SheafRelationName)",
        "n.phrase, n.relation, n.swapped, n.symmetric, coalesce(n.layer, 'schema'), "
        "coalesce(n.score, 1.0), coalesce(n.run, '')",
        "n.phrase, n.relation, n.swapped, n.symmetric, n.run",
        RelationName,
        {"run": "n.run = $run"},
    ),
    "prediction": _Kind(
        "MATCH (p:Prediction)",
        "p.head, p.relation, p.tail, p.score, p.rank, p.weights, p.trained_on, p.run",
        "p.id",
        Prediction,
        {"id": "p.prediction = $id", "run": "p.run = $run"},
    ),
}


def written(connection: Connection, kind: str, where: Mapping[str, Any]) -> Iterator[Any]:
    """Iterate over written records, see `GraphStore.written`.

    Raises:
        KgError: for a kind or filter that does not exist.
    """
    spec = check_filters(_KINDS, kind, where)
    parameters = dict(where)
    if "uri" in where:
        from kg.store.neo4j.rows import uri_key

        parameters["uri_key"] = uri_key(where["uri"])
    rows = connection.read(lambda work: work.ask(_statement(kind, tuple(where)), **parameters))
    return (spec.make(*row) for row in rows)


def _statement(kind: str, filters: tuple[str, ...]) -> LiteralString:
    spec = _KINDS[kind]
    match = spec.match
    if kind in ("mention", "evidence") and "chunk" in filters:
        match = match.replace("(s)", "(s:Chunk)")
    conditions = [spec.where[name] for name in filters]
    text = match + (f" WHERE {' AND '.join(conditions)}" if conditions else "")
    if kind == "evidence":
        text += " OPTIONAL MATCH (l:Literal {id: x.raw_tail})"
    return f"{text} RETURN {spec.answer} ORDER BY {spec.order}"
