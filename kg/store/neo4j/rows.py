"""Written records as rows of parameters: the properties of their nodes and relationships."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from kg.derivation import Naming
from kg.ids import make_id, normal_form
from kg.records import (
    Batch,
    Chunk,
    Config,
    Document,
    Evidence,
    Mention,
    Merge,
    Prediction,
    RelationName,
    Task,
)
from kg.store import shape

__all__ = [
    "chunk_row",
    "config_properties",
    "distinct_evidence",
    "distinct_mentions",
    "document_row",
    "evidence_properties",
    "json_text",
    "mention_properties",
    "merge_row",
    "name_key",
    "naming_id",
    "naming_row",
    "prediction_row",
    "relation_name_row",
    "task_id",
    "text_row",
    "uri_key",
]

type Row = dict[str, Any]


def json_text(value: Mapping[str, Any]) -> str:
    """Return canonical JSON, "" for an empty object."""
    return json.dumps(dict(value), ensure_ascii=False, sort_keys=True) if value else ""


def name_key(name: str) -> str:
    """Return the key under which equal names are found; a hash, so that its length is fixed."""
    return make_id("n", normal_form(name))


def uri_key(uri: str) -> str:
    """Return the key under which the documents of a uri are found."""
    return make_id("u", uri)


def task_id(task: Task) -> str:
    """Return the id of a task and of its lease."""
    return f"{task.chunk}|{task.config}"


def document_row(document: Document) -> Row:
    """Return the row of a document's node."""
    return {"id": document.id, "properties": shape.document_properties(document)}


def text_row(document: Document) -> Row:
    """Return the row of the node that holds a document's text."""
    properties = {
        "uri_key": uri_key(document.uri),
        "text": document.text,
        "media_type": document.media_type,
        "meta": json_text(document.meta),
    }
    return {"id": document.id, "properties": properties}


def chunk_row(chunk: Chunk) -> Row:
    """Return the row of a chunk's node."""
    properties = shape.chunk_properties(chunk)
    return {"id": chunk.id, "document": chunk.document, "properties": properties}


def config_properties(config: Config) -> Row:
    """Return the properties of a config's node."""
    return {
        "harvester": config.harvester,
        "version": config.version,
        "model": config.model,
        "weights": config.weights,
        "prompt": config.prompt,
        "parameters": json_text(config.parameters),
    }


def mention_properties(mention: Mention, run: int) -> Row:
    """Return the properties of a MENTIONS relationship: its shape and what is needed to undo it."""
    more = {
        "name": mention.name if mention.name != mention.surface else "",
        "iri": mention.iri,
        "description": mention.description,
        "props": json_text(mention.props),
    }
    return {
        **shape.mentions_properties(mention),
        **{key: value for key, value in more.items() if value},
        "config": mention.config,
        "runs": [run],
    }


def evidence_properties(evidence: Evidence, triple: str, config: Config, run: int) -> Row:
    """Return the properties of a STATES relationship."""
    properties = shape.states_properties(evidence, triple, config)
    return {**properties, "config": evidence.config, "runs": [run]}


def naming_id(naming: Naming) -> str:
    """Return the id of a naming; how often it occurs is not part of it."""
    return make_id("w", *naming[:-1])


def naming_row(naming: Naming) -> Row:
    """Return the row of a naming's node."""
    fields = naming._asdict()
    times = fields.pop("times")
    properties = {**fields, "key": name_key(naming.name)}
    return {"id": naming_id(naming), "times": times, "properties": properties}


def relation_name_row(row: RelationName, run: str) -> Row:
    """Return the row of a relation name's node; one that a schema declares belongs to no run."""
    properties = {
        "phrase": row.phrase,
        "relation": row.relation,
        "swapped": row.swapped,
        "symmetric": row.symmetric,
        "layer": row.layer,
        "score": row.score,
        "run": run if row.run else "",
    }
    id = make_id("n", row.phrase, row.relation, int(row.swapped), int(row.symmetric))
    return {"id": f"{id}|{run}" if row.run else id, "properties": properties}


def merge_row(merge: Merge, run: str) -> Row:
    """Return the row of a merge's node; the same merge by two runs is two nodes."""
    properties = {
        "merge": merge.id,
        "kept": merge.kept,
        "dropped": merge.dropped,
        "layer": merge.layer,
        "score": merge.score,
        "run": run,
    }
    return {"id": f"{merge.id}|{run}", "properties": properties}


def prediction_row(prediction: Prediction, run: str) -> Row:
    """Return the row of a prediction's node."""
    properties = {
        "prediction": prediction.id,
        "head": prediction.head,
        "relation": prediction.relation,
        "tail": prediction.tail,
        "score": prediction.score,
        "rank": prediction.rank,
        "weights": prediction.weights,
        "trained_on": prediction.trained_on,
        "run": run,
    }
    return {"id": f"{prediction.id}|{run}", "properties": properties}


def distinct_mentions(batch: Batch) -> dict[str, Mention]:
    """Return the mentions of a batch by id; of two with one id the later one."""
    return {mention.id: mention for mention in batch.mentions}


def distinct_evidence(rows: Iterable[Evidence]) -> dict[str, Evidence]:
    """Return evidence by id; where a sentence states a triple twice, the better score is kept."""
    best: dict[str, Evidence] = {}
    for row in rows:
        held = best.setdefault(row.id, row)
        if (row.score, row.head_span or ()) > (held.score, held.head_span or ()):
            best[row.id] = row
    return best
