"""Written records as flat rows, and back: what a lossless format must carry, in one table.

`KINDS` lists the columns of every kind of written record; `kg.exchange.parquet` makes tables of
them, `kg.exchange.rdf` properties. `rows` reads them from a graph, `kg.exchange.restoring` writes
them into one.

A row holds `None` (or no key) for a value that is absent. Mentions, evidence and tasks name in
`runs` the runs that found them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from kg.exchange.scratch import Scratch
from kg.records import Config, Evidence, Mention
from kg.records import Literal as Value
from kg.store.protocol import GraphStore

__all__ = ["CARRIER", "KINDS", "Kind", "Row", "Type", "fields", "rows"]

type Row = Mapping[str, Any]
#: The kinds in the order in which they are written.
Kind = Literal[
    "config", "run", "relation_name", "document", "chunk", "mention", "evidence", "task", "merge",
    "prediction",
]  # fmt: skip
type _Linked = Literal["mention", "evidence"]
#: What a column holds: `id` names a record, `run` a run, `json` is an object as text.
Type = Literal["text", "id", "run", "runs", "integer", "decimal", "flag", "json"]

#: Kind → column → type.
KINDS: Final[Mapping[Kind, Mapping[str, Type]]] = {
    "config": {
        "id": "id", "harvester": "text", "version": "text", "model": "text", "weights": "text",
        "prompt": "text", "parameters": "json",
    },
    "run": {
        "id": "run", "config": "id", "started": "text", "finished": "text", "counts": "json",
    },
    "relation_name": {
        "phrase": "text", "relation": "text", "swapped": "flag", "symmetric": "flag",
        "layer": "text", "score": "decimal", "run": "run",
    },
    "document": {
        "id": "id", "uri": "text", "title": "text", "media_type": "text", "text": "text",
        "meta": "json",
    },
    "chunk": {"id": "id", "document": "id", "start": "integer", "end": "integer"},
    "mention": {
        "id": "id", "entity": "id", "surface": "text", "name": "text", "type": "text",
        "chunk": "id", "start": "integer", "end": "integer", "iri": "text", "description": "text",
        "props": "json", "config": "id", "runs": "runs",
    },
    "evidence": {
        "id": "id", "head": "id", "relation": "text", "tail": "id", "lexical": "text",
        "datatype": "text", "lang": "text", "score": "decimal", "chunk": "id", "start": "integer",
        "end": "integer", "head_start": "integer", "head_end": "integer", "tail_start": "integer",
        "tail_end": "integer", "quote": "text", "negated": "flag", "hedged": "flag",
        "time": "text", "config": "id", "runs": "runs",
    },
    "task": {"chunk": "id", "config": "id", "runs": "runs"},
    "merge": {
        "id": "id", "kept": "id", "dropped": "id", "layer": "text", "score": "decimal",
        "run": "run",
    },
    "prediction": {
        "id": "id", "head": "id", "relation": "text", "tail": "id", "score": "decimal",
        "rank": "integer", "weights": "text", "trained_on": "integer", "run": "run",
    },
}  # fmt: skip

#: Documents and chunks belong to no run, and a store writes only under one: an import writes them
#: under a run of this config, which it takes back at its end.
CARRIER: Final = Config(harvester="import")


def rows(graph: GraphStore, kind: Kind) -> Iterator[Row]:
    """Iterate over the written records of one kind as rows, by id; runs by start.

    >>> import kg
    >>> list(rows(kg.open_graph("memory://"), "evidence"))
    []
    """
    if kind == "mention" or kind == "evidence":
        yield from _linked(graph, kind)
    elif kind == "task":
        yield from _tasks(graph)
    elif kind == "run":
        # Runs that began in the same millisecond come in the order in which a store got them.
        yield from map(fields, sorted(graph.written("run"), key=lambda run: (run.started, run.id)))
    else:
        for record in _written(graph, kind):
            if record != CARRIER:
                yield fields(record)


def _linked(graph: GraphStore, kind: _Linked) -> Iterator[Row]:
    """Join records with their links; both come sorted by the record's id."""
    links = iter(graph.written("mention_link" if kind == "mention" else "evidence_link"))
    link = next(links, None)
    for record in _written(graph, kind):
        runs = []
        while link is not None and link.record <= record.id:
            if link.record == record.id:
                runs.append(link.run)
            link = next(links, None)
        row = _mention(record) if isinstance(record, Mention) else _evidence(record)
        yield {**row, "runs": runs}


def _tasks(graph: GraphStore) -> Iterator[Row]:
    with Scratch() as links:
        for run in graph.written("run"):
            for task in graph.written("task", run=run.id):
                links.add(f"{task.chunk} {task.config}", run.id)
        joined = links.join(graph.written("task"), lambda task: f"{task.chunk} {task.config}")
        for task, runs in joined:
            yield {"chunk": task.chunk, "config": task.config, "runs": sorted(runs)}


def _written(graph: GraphStore, kind: Kind) -> Iterator[Any]:
    store: Any = graph  # overloads want one literal at a time
    found: Iterator[Any] = store.written(kind)
    return found


def fields(record: Any) -> Row:
    """Return the fields of a record by name, mappings as JSON.

    >>> from kg.records import Task
    >>> fields(Task("c_1", "f_1"))
    {'chunk': 'c_1', 'config': 'f_1'}
    """
    return {
        name: _json(value) if isinstance(value, Mapping) else value
        for name in record.__dataclass_fields__
        if name not in ("sha256", "span")
        for value in (getattr(record, name),)
    }


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=False, sort_keys=True) if value else ""


def _mention(mention: Mention) -> Row:
    start, end = mention.span or (None, None)
    return {**fields(mention), "start": start, "end": end}


def _evidence(evidence: Evidence) -> Row:
    tail = evidence.tail
    start, end = evidence.span or (None, None)
    head_start, head_end = evidence.head_span or (None, None)
    tail_start, tail_end = evidence.tail_span or (None, None)
    return {
        "id": evidence.id,
        "head": evidence.head,
        "relation": evidence.relation,
        "tail": evidence.tail_id,
        "lexical": tail.lexical if isinstance(tail, Value) else None,
        "datatype": tail.datatype if isinstance(tail, Value) else None,
        "lang": tail.lang if isinstance(tail, Value) else None,
        "score": evidence.score,
        "chunk": evidence.chunk,
        "start": start,
        "end": end,
        "head_start": head_start,
        "head_end": head_end,
        "tail_start": tail_start,
        "tail_end": tail_end,
        "quote": evidence.quote,
        "negated": evidence.negated,
        "hedged": evidence.hedged,
        "time": evidence.time,
        "config": evidence.config,
    }
