"""The property graph that every store shows: labels, relationship types and properties.

```
(:Entity:Person {id, name, aliases, types})-[:BORN_IN {id, predicate, score, support}]->(:Entity)
(:Entity)-[:DATE_OF_BIRTH {…}]->(:Literal {id, lexical, datatype})
(:Chunk {id, start, end})-[:FROM_DOCUMENT]->(:Document {id, uri, title})
(:Chunk|:Model)-[:STATES {id, triple_id, quote, start, end, score, …}]->(:Entity)   head
(:Chunk|:Model)-[:MENTIONS {id, start, end, surface, type, …}]->(:Entity)
(:Entity)-[:PREDICTED {id, predicate, score, model}]->(:Entity)
```

A value that is absent is no property. STATES and MENTIONS carry the raw ids, so that a merge can
be undone from the graph itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from kg.ids import label
from kg.records import (
    Chunk,
    Config,
    Document,
    Entity,
    Evidence,
    Literal,
    Mention,
    Prediction,
    Triple,
)

__all__ = [
    "chunk_properties",
    "document_properties",
    "entity_from",
    "entity_labels",
    "entity_properties",
    "literal_from",
    "literal_properties",
    "mentions_properties",
    "model_properties",
    "predicted_properties",
    "states_properties",
    "triple_properties",
]

#: Properties of an entity that its own props may not overwrite.
_OWN: Final = frozenset({"id", "name", "aliases", "types", "description", "iri", "props"})


def _present(**properties: Any) -> dict[str, Any]:
    return {key: value for key, value in properties.items() if value not in (None, "")}


def entity_labels(entity: Entity) -> tuple[str, ...]:
    """Return the labels of an entity: `Entity`, then its type and the type's ancestors."""
    return ("Entity", *dict.fromkeys(label(type) for type in entity.types))


def entity_properties(entity: Entity) -> dict[str, Any]:
    """Return the properties of an entity; plain values of its props are properties of their own."""
    plain = {
        key: value
        for key, value in entity.props.items()
        if key not in _OWN and isinstance(value, (str, int, float, bool))
    }
    own = _present(
        id=entity.id,
        name=entity.name,
        description=entity.description,
        iri=entity.iri,
        props=_json(entity.props),
    )
    return {**plain, **own, "aliases": list(entity.aliases), "types": list(entity.types)}


def entity_from(properties: Mapping[str, Any]) -> Entity:
    """Return the entity whose properties these are; the inverse of `entity_properties`."""
    return Entity(
        id=properties["id"],
        name=properties.get("name", ""),
        types=tuple(properties.get("types") or ()),
        aliases=tuple(properties.get("aliases") or ()),
        description=properties.get("description", ""),
        iri=properties.get("iri", ""),
        props=json.loads(properties["props"]) if "props" in properties else {},
    )


def literal_properties(literal: Literal) -> dict[str, Any]:
    """Return the properties of a literal."""
    rest = _present(id=literal.id, datatype=literal.datatype, lang=literal.lang)
    return {**rest, "lexical": literal.lexical}


def literal_from(properties: Mapping[str, Any]) -> Literal:
    """Return the literal whose properties these are."""
    return Literal(
        properties["lexical"], properties.get("datatype", ""), properties.get("lang", "")
    )


def document_properties(document: Document) -> dict[str, Any]:
    """Return the properties of a document; its text is not one."""
    return _present(id=document.id, uri=document.uri, title=document.title)


def chunk_properties(chunk: Chunk) -> dict[str, Any]:
    """Return the properties of a chunk."""
    return {"id": chunk.id, "start": chunk.start, "end": chunk.end}


def model_properties(config: Config) -> dict[str, Any]:
    """Return the properties of the node that stands for a model or a file as a source."""
    return _present(
        id=config.id,
        harvester=config.harvester,
        version=config.version,
        model=config.model,
        weights=config.weights,
    )


def triple_properties(triple: Triple) -> dict[str, Any]:
    """Return the properties of a triple's relationship."""
    return {
        "id": triple.id,
        "predicate": triple.predicate,
        "score": triple.score,
        "support": triple.support,
    }


def states_properties(evidence: Evidence, triple: str, config: Config) -> dict[str, Any]:
    """Return the properties of the relationship by which a source states a triple."""
    start, end = evidence.span or (None, None)
    head_start, head_end = evidence.head_span or (None, None)
    tail_start, tail_end = evidence.tail_span or (None, None)
    return _present(
        id=evidence.id,
        triple_id=triple,
        quote=evidence.quote,
        start=start,
        end=end,
        score=evidence.score,
        harvester=config.harvester,
        model=config.model,
        negated=evidence.negated,
        hedged=evidence.hedged,
        time=evidence.time,
        raw_head=evidence.head,
        raw_relation=evidence.relation,
        raw_tail=evidence.tail_id,
        head_start=head_start,
        head_end=head_end,
        tail_start=tail_start,
        tail_end=tail_end,
    )


def mentions_properties(mention: Mention) -> dict[str, Any]:
    """Return the properties of the relationship by which a source mentions an entity."""
    start, end = mention.span or (None, None)
    return _present(
        id=mention.id,
        start=start,
        end=end,
        surface=mention.surface,
        type=mention.type,
        raw_entity=mention.entity,
    )


def predicted_properties(prediction: Prediction) -> dict[str, Any]:
    """Return the properties of a link that only a model believes in."""
    return {
        "id": prediction.id,
        "predicate": prediction.relation,
        "score": prediction.score,
        "model": prediction.weights,
    }


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=False, sort_keys=True) if value else ""
