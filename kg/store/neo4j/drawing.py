"""Drawing entities, triples and what states them: the database is told of differences.

`draw_entities` and `draw_triples` put derived records there and need nothing else of this store,
so that they may be measured against writers which know no evidence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping
from typing import Any, Final

from kg.errors import RecordError
from kg.records import Config, Entity, Evidence, Mention, Triple
from kg.store import shape
from kg.store.cypher import deriving as cypher
from kg.store.cypher import locking, writing
from kg.store.neo4j.deriving import Derived
from kg.store.neo4j.rows import Row, evidence_row, mention_row
from kg.store.neo4j.work import Work, unmatched

__all__ = [
    "draw_derived",
    "draw_entities",
    "draw_sources",
    "draw_triples",
    "erase_derived",
    "find_places",
    "more_properties",
]

#: Neo4j's integers.
_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**63 - 1
#: What a text index of Neo4j holds, in bytes.
_LONGEST_NAME: Final = 32_766
#: Properties that have a place of their own in a row of an entity.
_PLACED: Final = frozenset({"id", "name", "aliases", "types"})


def draw_entities(
    work: Work, entities: Iterable[Entity], stored: Mapping[str, Entity] | None = None
) -> dict[str, str]:
    """Write entities; return where each is in the database, by id.

    Args:
        work: the transaction.
        entities: what is to be there.
        stored: what the database has of them; equal ones are left alone.

    Raises:
        RecordError: for a name that is too long for the server's index.
    """
    old = stored or {}
    by_labels: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    losing: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for entity in entities:
        labels, more = shape.entity_labels(entity), more_properties(entity)
        before = old.get(entity.id)
        if before is not None:
            if before == entity:
                continue
            # Null removes a property; those that others have set stay.
            more.update(dict.fromkeys(more_properties(before).keys() - more.keys()))
            stale = tuple(sorted(set(shape.entity_labels(before)) - set(labels)))
            if stale:
                losing[stale].append([entity.id])
        row = [entity.id, entity.name, list(entity.aliases), list(entity.types), more]
        by_labels[labels].append(row)
    places: dict[str, str] = {}
    if work.names_are_values:
        rows = [[*row, list(labels)] for labels, own in by_labels.items() for row in own]
        places.update(work.place(cypher.ANY_ENTITIES, rows))
    else:
        for labels in sorted(by_labels):
            places.update(work.place(cypher.entities(labels), by_labels[labels]))
    for labels in sorted(losing):
        work.put(cypher.lose_labels(labels), losing[labels])
    return places


def draw_triples(
    work: Work,
    triples: Iterable[Triple],
    places: Mapping[str, str],
    new: Container[str] = (),
) -> None:
    """Write triples, sorted; those that may be there already grouped by relation.

    Args:
        work: the transaction.
        triples: what is to be there.
        places: where their ends are in the database, learnt in this transaction.
        new: ids of triples that are known not to be there.
    """
    created: list[Row] = []
    by_relation: dict[str, list[Row]] = defaultdict(list)
    for triple in triples:
        row = [
            triple.id,
            places[triple.head],
            places[triple.tail],
            triple.predicate,
            triple.score,
            triple.support,
        ]
        if work.names_are_values and triple.id in new:
            created.append([*row, triple.relation])
        else:
            by_relation[triple.relation].append(row)
    work.put(cypher.NEW_TRIPLES, created)
    for relation in sorted(by_relation):
        work.put(cypher.triples(relation), by_relation[relation])


def draw_derived(work: Work, derived: Derived, places: dict[str, str]) -> None:
    """Write what was derived again and move what belongs elsewhere now.

    Args:
        work: the transaction.
        derived: what is to be there.
        places: where literals are; the places of entities are added.
    """
    places.update(derived.places)
    places.update(draw_entities(work, derived.entities.values(), derived.stored))
    resolution = derived.resolution
    moved = [raw for raw in resolution.moved if resolution.namings[raw]]
    work.put(
        cypher.MOVE_MENTIONS,
        [
            [raw, resolution.before[raw], resolution.canonical[raw]]
            for raw in moved
            if raw in resolution.before
        ],
    )
    work.each(
        cypher.SET_NAMING_ENTITY,
        [[raw, resolution.canonical[raw]] for raw in sorted(moved) if raw in resolution.before],
    )
    _move_evidence(work, derived)
    ends = {end for triple in derived.triples.values() for end in (triple.head, triple.tail)}
    find_places(work, ends, places)
    draw_triples(work, derived.triples.values(), places, derived.triples.keys() - derived.known)


def find_places(work: Work, ids: Collection[str], places: dict[str, str]) -> None:
    """Learn where nodes are that this write has not come by.

    Raises:
        StoreError: if one is not there.
    """
    missing = set(ids) - places.keys()
    places.update((id, place) for id, place in work.gather(cypher.PLACES, missing))
    if not missing <= places.keys():
        raise unmatched(ids, places.keys())


def _move_evidence(work: Work, derived: Derived) -> None:
    to_another_head: list[Row] = []
    renamed: list[Row] = []
    for id, old in derived.moved.items():
        now = derived.stated[id]
        if now.head != old.head:
            to_another_head.append([id, now.head, now.triple])
        elif now.triple != old.triple:
            renamed.append([id, now.head, now.triple])
    work.put(cypher.MOVE_EVIDENCE, to_another_head)
    work.put(cypher.RENAME_EVIDENCE, renamed)


def draw_sources(
    work: Work,
    *,
    mentions: Iterable[Mention],
    evidence: Iterable[Evidence],
    derived: Derived,
    configs: Mapping[str, Config],
    run: int,
    places: dict[str, str],
    changed: bool,
) -> None:
    """Write MENTIONS and STATES of new mentions and evidence, and count the change.

    Args:
        work: the transaction.
        mentions: what is new.
        evidence: what is new.
        derived: which entities they are about.
        configs: those of `evidence`.
        run: number of the run that found them.
        places: where chunks, models and entities are in the database.
        changed: whether anything of the written records is new.
    """
    heads = {derived.stated[one.id].head for one in evidence}
    find_places(work, heads, places)
    canonical = derived.resolution.canonical
    named = [
        mention_row(one, run, places[one.chunk or one.config], places[canonical[one.entity]])
        for one in mentions
    ]
    stating = [
        evidence_row(
            one,
            derived.stated[one.id].triple,
            configs[one.config],
            run,
            places[one.chunk or one.config],
            places[derived.stated[one.id].head],
        )
        for one in evidence
    ]
    if changed:
        work.put_page(
            [writing.NEW_MENTIONS, writing.NEW_STATES, locking.COUNT_CHANGE],
            [named, stating, [["graph"]]],
        )


def erase_derived(work: Work, derived: Derived) -> None:
    """Delete triples that nothing supports any more and entities that are no more."""
    vanished: dict[str, list[str]] = defaultdict(list)
    for id, head in derived.before.items():
        if id not in derived.triples:
            vanished[head].append(id)
    work.each(cypher.DELETE_TRIPLES, sorted([head, ids] for head, ids in vanished.items()))
    work.each(cypher.DELETE_ENTITIES, set(derived.gone))


def more_properties(entity: Entity) -> dict[str, Any]:
    """Return the properties that only some entities have, without what Neo4j cannot hold."""
    properties = shape.entity_properties(entity)
    size = len(entity.name.encode())
    if size > _LONGEST_NAME:
        raise RecordError(
            f"the name {entity.name[:40]!r}… has {size:,} bytes, and Neo4j can index names "
            f"of {_LONGEST_NAME:,} at most: shorten it"
        )
    return {
        key: value
        for key, value in properties.items()
        if key
        and key not in _PLACED
        and "\x00" not in key
        and not (isinstance(value, int) and not _SMALLEST <= value <= _LARGEST)
    }
