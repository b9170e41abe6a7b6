"""The facts of a graph as nodes and edges: entities, literals, triples and predictions.

Most questions need nothing else, and where each triple comes from is an edge for every piece of
evidence and every mention: with them a projection takes three times as long to make and to open.
So they are a projection of their own (`kg.store.embedded.sources`), made when a question asks.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from typing import Any

from kg.records import Entity, RelationName
from kg.store import shape
from kg.store.embedded import reading
from kg.store.embedded.basis import Basis, posting_row
from kg.store.embedded.deriving import Sight, facts
from kg.store.embedded.filling import Filler

__all__ = [
    "Supported",
    "fill_entities",
    "fill_facts",
    "fill_predictions",
    "relations_key",
]


def fill_facts(filler: Filler, sight: Sight) -> Basis:
    """Fill an empty engine with the facts of a record and return what they were derived from."""
    entities = sight.entities()
    fill_entities(filler, entities)
    groups = sight.groups()  # while the engine makes the nodes
    referred = {end for head, _, tail in groups for end in (head, tail) if end.startswith("e_")}
    # No mention names them (any more): they exist, and their ids are all there is to show.
    unnamed = {id: Entity(id=id, name=id) for id in referred - entities.keys()}
    fill_entities(filler, unnamed)
    entities |= unnamed
    filler.nodes("Literal", map(shape.literal_properties, reading.literals(sight.record)))
    postings = []
    for digest, ends, properties in facts(groups):
        head, relation, tail = ends
        if properties is not None:
            filler.edge(head, tail, relation, properties)
        place = digest + bytes.fromhex(head[2:])
        postings += [posting_row(place, key, vote is not None) for key, vote in groups[ends]]
    postings.sort()
    moved = {raw: id for raw, id in sight.canonical.items() if raw != id}
    basis = Basis(sight.counts, moved, relations_key(sight.relation_names), b"".join(postings))
    fill_predictions(filler, sight, basis, entities)
    return basis


def fill_entities(filler: Filler, entities: Mapping[str, Entity]) -> None:
    """Make the nodes of entities, those of equal labels at once."""
    labelled: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for id in sorted(entities):
        entity = entities[id]
        labelled[shape.entity_labels(entity)].append(shape.entity_properties(entity))
    for labels, rows in labelled.items():
        filler.nodes(list(labels), rows)


def fill_predictions(filler: Filler, sight: Sight, basis: Basis, entities: Container[str]) -> None:
    """Make the edges of links that only predictions support."""
    canonical = sight.canonical
    for prediction in sight.predicted(entities, Supported(basis)):
        head = canonical.get(prediction.head, prediction.head)
        tail = canonical.get(prediction.tail, prediction.tail)
        if tail in filler:
            filler.edge(head, tail, "PREDICTED", shape.predicted_properties(prediction))


def relations_key(rows: Iterable[RelationName]) -> str:
    """Return the relation map as text, equal for equal maps."""
    fields = sorted((r.phrase, r.relation, r.swapped, r.symmetric, bool(r.run)) for r in rows)
    return json.dumps(fields, ensure_ascii=False)


class Supported(Container[str]):
    """The ids of the triples that evidence supports."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis

    def __contains__(self, id: object) -> bool:
        digest = bytes.fromhex(str(id)[2:])
        return any(posting.supports for posting in self._basis.of(digest))
