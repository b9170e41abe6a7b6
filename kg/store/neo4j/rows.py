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
    Literal,
    Mention,
    Merge,
    Prediction,
    RelationName,
    Task,
)
from kg.store import shape
from kg.store.cypher.writing import MENTIONS_PROPERTIES, STATES_PROPERTIES

__all__ = [
    "chunk_row",
    "config_properties",
    "distinct_evidence",
    "distinct_mentions",
    "document_row",
    "evidence_row",
    "json_text",
    "link_id",
    "link_prefix",
    "literal_row",
    "mention_row",
    "merge_row",
    "name_key",
    "naming_id",
    "naming_row",
    "prediction_row",
    "relation_name_row",
    "task_id",
    "task_row",
    "uri_key",
]

#: Values of one row of parameters; the first is its id.
type Row = list[Any]


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
    """Return the row of a document's node and of the node that holds its text."""
    return [
        document.id,
        document.uri or None,
        document.title or None,
        uri_key(document.uri),
        document.text,
        document.media_type,
        json_text(document.meta),
    ]


def chunk_row(chunk: Chunk) -> Row:
    """Return the row of a chunk's node."""
    return [chunk.id, chunk.document, chunk.start, chunk.end]


def task_row(task: Task) -> Row:
    """Return the row of a task's node."""
    return [task_id(task), task.chunk, task.config]


def literal_row(literal: Literal) -> Row:
    """Return the row of a literal's node."""
    return [literal.id, literal.lexical, literal.datatype or None, literal.lang or None]


def link_id(run: int, source: str) -> str:
    """Return the id of the node that says that a run has found something in a chunk or model."""
    return f"{link_prefix(run)}{source}"


def link_prefix(run: int) -> str:
    """Return how the ids of all links of a run begin."""
    return f"{run}|"


def config_properties(config: Config) -> dict[str, Any]:
    """Return the properties of a config's node."""
    return {
        "harvester": config.harvester,
        "version": config.version,
        "model": config.model,
        "weights": config.weights,
        "prompt": config.prompt,
        "parameters": json_text(config.parameters),
    }


def mention_row(mention: Mention, run: int, source: str, entity: str) -> Row:
    """Return the row of a MENTIONS relationship: its shape and what is needed to undo it.

    Args:
        mention: what is written.
        run: number of the run that found it.
        source: where the chunk or model is in the database.
        entity: where the entity is in the database.
    """
    properties = shape.mentions_properties(mention)
    properties |= {
        "name": mention.name if mention.name != mention.surface else None,
        "iri": mention.iri or None,
        "description": mention.description or None,
        "props": json_text(mention.props) or None,
        "config": mention.config,
        "runs": [run],
    }
    return [*map(properties.get, MENTIONS_PROPERTIES), source, entity]


def evidence_row(
    evidence: Evidence, triple: str, config: Config, run: int, source: str, head: str
) -> Row:
    """Return the row of a STATES relationship, see `mention_row`."""
    properties = shape.states_properties(evidence, triple, config)
    properties |= {"config": evidence.config, "runs": [run]}
    return [*map(properties.get, STATES_PROPERTIES), source, head]


def naming_id(naming: Naming) -> str:
    """Return the id of a naming; how often it occurs is not part of it."""
    return make_id("w", *naming[:-1])


def naming_row(naming: Naming, entity: str) -> Row:
    """Return the row of a naming's node; what is empty is not stored."""
    return [
        naming_id(naming),
        naming.raw,
        naming.name,
        naming.surface,
        naming.type or None,
        naming.iri or None,
        naming.description or None,
        naming.props or None,
        naming.config,
        naming.times,
        name_key(naming.name),
        entity,
    ]


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
    return [f"{id}|{run}" if row.run else id, properties]


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
    return [f"{merge.id}|{run}", properties]


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
    return [f"{prediction.id}|{run}", properties]


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
