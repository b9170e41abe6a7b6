"""Bringing a copy of the facts up to date: only what has changed since is derived and exchanged.

Nothing is logged while records are written. `changes` compares the record with the basis of the
older projection, which looks at every key and count and derives nothing:

* evidence is immutable and its keys are never given twice, so that new keys are new evidence and
  missing keys are removed evidence;
* an entity is touched when a naming of it is used more or less often than before;
* evidence is displaced when a merge, its undoing or the rule for untyped names moves an end of it.

Another relation map turns phrases that any evidence may use: then, or when much has changed,
deriving everything again is the cheaper way. `apply` fuses each touched triple from all of its
evidence, by the same functions as the whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Set
from dataclasses import dataclass
from typing import Any, Final

from grafeo import GrafeoDB

from kg.records import Entity
from kg.store import shape
from kg.store.embedded import reading
from kg.store.embedded.basis import Basis, Posting, posting, posting_row
from kg.store.embedded.deriving import Groups, Sight, facts
from kg.store.embedded.facts import (
    fill_entities,
    fill_predictions,
    relations_key,
)
from kg.store.embedded.filling import Filler
from kg.store.embedded.record import hex_id

__all__ = ["Changes", "apply", "changes"]

#: Share of evidence and namings from which deriving everything is cheaper.
MUCH: Final = 0.2
#: So few are patched whatever their share.
FEW: Final = 200
#: The keys of raw entities, given as JSON.
ENDS: Final = "ends AS MATERIALIZED (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed in a record since an older projection of it."""

    basis: Basis
    #: Rows of the basis whose evidence is gone or displaced.
    stale: frozenset[bytes]
    #: Keys of evidence that is new or displaced.
    fresh: frozenset[int]
    #: Entities that a changed or displaced naming names, or has named.
    entities: frozenset[str]
    #: Whether evidence or mentions are gone, and with them perhaps what they referred to.
    removed: bool


def changes(basis: Basis, sight: Sight) -> Changes | None:
    """Return what has changed since `basis`; None if deriving everything is cheaper."""
    if basis.relations != relations_key(sight.relation_names):
        return None
    keys = {key for (key,) in sight.record.execute("SELECT key FROM evidence")}
    order = basis.keys()
    known = set(order)
    namings = {key for key, _ in basis.counts.items() ^ sight.counts.items()}
    much = max(FEW, MUCH * (len(keys) + len(sight.counts)))
    if len(keys ^ known) + len(namings) > much:
        return None
    moved = {raw for raw, _ in basis.moved.items() ^ sight.moved.items()}
    displaced = _evidence_with(sight, moved) & known
    if len(displaced) > much:
        return None
    gone = (known - keys) | displaced
    stale = basis.at(place for place, key in enumerate(order) if key in gone) if gone else ()
    return Changes(
        basis=basis,
        stale=frozenset(stale),
        fresh=frozenset((keys - known) | displaced),
        entities=frozenset(
            id
            for raw in moved | _raws_of(sight, namings)
            for id in (basis.moved.get(raw, raw), sight.moved.get(raw, raw))
        ),
        removed=bool(known - keys) or not namings <= sight.counts.keys(),
    )


def _raws_of(sight: Sight, namings: Iterable[int]) -> set[str]:
    rows = sight.record.execute(
        "SELECT DISTINCT raw FROM naming WHERE key IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(namings)),),
    )
    return {sight.raws[raw] for (raw,) in rows}


def _evidence_with(sight: Sight, raws: Set[str]) -> set[int]:
    """Return the keys of the evidence that has one of these raw entities as an end."""
    if not raws:
        return set()
    rows = sight.record.execute(
        f"WITH {ENDS} SELECT key FROM evidence WHERE head IN ends OR tail IN ends",
        (_keys_of(sight, raws),),
    )
    return {key for (key,) in rows}


def _keys_of(sight: Sight, raws: Set[str]) -> str:
    return json.dumps([key for key, raw in sight.raws.items() if raw in raws])


def apply(change: Changes, engine: GrafeoDB, sight: Sight) -> Basis:
    """Bring an engine up to date and return what its facts are derived from now."""
    basis = change.basis
    # Each touched triple is fused from all of its evidence, the untouched included.
    touched = {digest for digest, *_ in facts(sight.groups(*_among(change.fresh)))}
    before = {digest: basis.of(digest) for digest in touched | {row[:16] for row in change.stale}}
    kept = {p.key for rows in before.values() for p in rows} - {
        posting(row).key for row in change.stale
    }
    groups = sight.groups(*_among(change.fresh | kept))
    edges = _Edges(engine)
    held = {
        digest: edge
        for digest, rows in before.items()
        if rows and (edge := edges.find(rows[0])) is not None
    }
    engine.execute_cypher("MATCH ()-[p:PREDICTED]->() DELETE p")
    rows = []
    with Filler(engine) as filler:
        gone = _entities(change, sight, groups, filler)
        _literals(sight, groups, filler)
        for digest, ends, properties in facts(groups):
            head, relation, tail = ends
            place = digest + bytes.fromhex(head[2:])
            rows += [
                posting_row(place, key, vote is not None)
                for key, vote in groups[ends]
                if key in change.fresh
            ]
            if properties is None:
                continue
            if digest in held:
                _set(engine, held.pop(digest), properties)
            else:
                filler.edge(head, tail, relation, properties)
        for edge in held.values():
            engine.delete_edge(edge)
    for node in gone | (_idle_nodes(engine, sight) if change.removed else set()):
        engine.delete_node(node)
    patched = Basis(
        sight.counts,
        sight.moved,
        basis.relations,
        basis.exchanged(without=change.stale, plus=rows),
    )
    with Filler(engine) as filler:
        fill_predictions(filler, sight, patched, filler)
    return patched


def _among(keys: Iterable[int]) -> tuple[str, tuple[str]]:
    """Return a condition on the keys of evidence, and its parameter."""
    return "WHERE key IN (SELECT value FROM json_each(?))", (json.dumps(sorted(keys)),)


class _Edges:
    """Finds the edge of a triple among those of its head."""

    def __init__(self, engine: GrafeoDB) -> None:
        self._engine = engine
        self._of: dict[bytes, dict[str, int]] = {}

    def find(self, posting: Posting) -> int | None:
        """Return the edge of the triple of a posting; None if nothing supports it."""
        if posting.head not in self._of:
            rows = self._engine.execute_cypher(
                "MATCH (h:Entity {id: $id})-[r]->() WHERE r.support IS NOT NULL "
                "RETURN r.id AS id, id(r) AS edge",
                {"id": hex_id("e", posting.head)},
            )
            self._of[posting.head] = {row["id"]: row["edge"] for row in rows}
        return self._of[posting.head].get(hex_id("t", posting.triple))


def _set(engine: GrafeoDB, edge: int, properties: dict[str, Any]) -> None:
    held = engine.get_edge(edge).properties()
    for name, value in properties.items():
        if held.get(name) != value:
            engine.set_edge_property(edge, name, value)


def _entities(change: Changes, sight: Sight, groups: Groups, filler: Filler) -> set[int]:
    """Make and change the nodes of entities; return those that have to go."""
    canonical = sight.canonical
    named = [n for n in sight.namings.values() if canonical[n.raw] in change.entities]
    made = sight.entities(named)
    ends = {id for head, _, tail in groups for id in (head, tail) if id.startswith("e_")}
    unnamed = change.entities - made.keys()
    stay = unnamed & _referenced(sight, unnamed)
    for id in stay | {id for id in ends - made.keys() if id not in filler}:
        # No mention names it (any more): it exists, and its id is all there is to show.
        made[id] = Entity(id=id, name=id)
    fill_entities(filler, {id: entity for id, entity in made.items() if id not in filler})
    for id, entity in made.items():
        _change_node(filler.engine, filler[id], entity)
    return {filler[id] for id in unnamed - stay if id in filler}


def _change_node(engine: GrafeoDB, node: int, entity: Entity) -> None:
    held = engine.get_node(node)
    wanted = shape.entity_properties(entity)
    properties = held.properties()
    for name in properties.keys() - wanted.keys():
        engine.remove_node_property(node, name)
    for name, value in wanted.items():
        if properties.get(name) != value:
            engine.set_node_property(node, name, value)
    labels, wanted_labels = set(held.labels), set(shape.entity_labels(entity))
    for label in sorted(labels - wanted_labels):
        engine.remove_node_label(node, label)
    for label in sorted(wanted_labels - labels):
        engine.add_node_label(node, label)


def _referenced(sight: Sight, entities: Set[str]) -> set[str]:
    """Return those entities that evidence has as an end."""
    canonical = sight.canonical
    raws = {raw for raw, id in sight.moved.items() if id in entities} | set(entities)
    ends = _keys_of(sight, raws)
    rows = sight.record.execute(
        f"WITH {ENDS} SELECT head FROM evidence WHERE head IN ends "
        "UNION SELECT tail FROM evidence WHERE tail IN ends",
        (ends,),
    )
    return {canonical.get(raw, raw) for (key,) in rows for raw in (sight.raws[key],)}


def _literals(sight: Sight, groups: Groups, filler: Filler) -> None:
    """Make the nodes of new literals."""
    new = {tail for _, _, tail in groups if tail.startswith("l_") and tail not in filler}
    filler.nodes(
        "Literal",
        [shape.literal_properties(row) for row in reading.literals(sight.record, new)],
    )


def _idle_nodes(engine: GrafeoDB, sight: Sight) -> set[int]:
    """Return literals, and entities without a mention, that evidence no longer refers to."""
    used = {literal.id for literal in reading.literals(sight.record)}
    literals = engine.execute_cypher("MATCH (l:Literal) RETURN l.id AS id, id(l) AS node")
    idle = {row["node"] for row in literals if row["id"] not in used}
    rows = engine.execute_cypher(
        "MATCH (e:Entity) WHERE e.name = e.id RETURN e.id AS id, id(e) AS node"
    )
    named = {sight.canonical[naming.raw] for naming in sight.namings.values()}
    unnamed = {row["id"]: row["node"] for row in rows if row["id"] not in named}
    stay = _referenced(sight, unnamed.keys())
    return idle | {node for id, node in unnamed.items() if id not in stay}
