"""Deriving again what a write or a removal has touched, with the functions of `kg.derivation`.

```
touched raw entities ──resolving──► moved ones ──► entities, MENTIONS re-pointed
                                        │
touched evidence ◄──────────────────────┘──► triples of it, before and after ──► derived
```

`derive_again` only reads; `kg.store.neo4j.drawing` tells the database the differences, in the
same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kg.derivation import (
    Naming,
    Stated,
    Statement,
    derive_entities,
    derive_triples,
    independent_source,
)
from kg.ids import normal_form
from kg.records import Config, Entity, Evidence, Mention, RelationName, Triple
from kg.store import shape
from kg.store.cypher import deriving as cypher
from kg.store.neo4j.resolving import (
    MergeLog,
    Namings,
    Resolution,
    entities_of,
    resolve_touched,
)
from kg.store.neo4j.work import Work

__all__ = ["Derived", "Known", "Moved", "Touch", "derive_again"]

type ConfigsOf = Callable[[Work, Collection[str]], Mapping[str, Config]]


@dataclass(slots=True)
class Touch:
    """What a write or a removal has changed of the written records."""

    raws: set[str] = field(default_factory=set)
    #: Entities that lost a mention.
    entities: set[str] = field(default_factory=set)
    #: Keys of names that were lost.
    keys: set[str] = field(default_factory=set)
    #: Triple → the entity at its head, for evidence that was removed.
    triples: dict[str, str] = field(default_factory=dict)
    mentions: list[Mention] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    #: Phrases whose relation may have changed.
    phrases: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Known:
    """What a transaction knows already, so that nothing is asked for twice."""

    namings: Namings
    merges: MergeLog
    #: The whole relation map.
    relation_names: Collection[RelationName]
    #: Returns configs by id.
    configs: ConfigsOf
    #: Raw entities that the database has never heard of; nothing is asked about them.
    fresh: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Moved:
    """Evidence in the database that may state another triple from now on."""

    statement: Statement
    #: What it has stated so far, and the head of that.
    triple: str
    head: str


@dataclass(frozen=True, slots=True)
class Derived:
    """What has been derived again."""

    resolution: Resolution
    entities: Mapping[str, Entity] = field(default_factory=dict)
    #: Entities that are no more.
    gone: Collection[str] = ()
    triples: Mapping[str, Triple] = field(default_factory=dict)
    #: Triples of which the database holds evidence.
    known: Collection[str] = ()
    #: Triple → head, for those that may have lost evidence.
    before: Mapping[str, str] = field(default_factory=dict)
    moved: Mapping[str, Moved] = field(default_factory=dict)
    #: What each piece of moved or new evidence states.
    stated: Mapping[str, Stated] = field(default_factory=dict)
    #: Entity id → what the database has of it.
    stored: Mapping[str, Entity] = field(default_factory=dict)
    #: Entity id → where it is in the database.
    places: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def nothing(cls) -> Derived:
        """Return that nothing was derived again."""
        return cls(Resolution({}, {}, {}))


def derive_again(work: Work, touch: Touch, known: Known) -> Derived:
    """Return what becomes of entities and triples that `touch` may have changed.

    Args:
        work: the transaction; what was removed is gone from it, and of what is new `known` has
            the namings and `touch` the evidence.
        touch: what has changed.
        known: what the transaction knows already.
    """
    resolution = resolve_touched(known.namings, known.merges, touch.raws, touch.keys)
    new = [Statement.of(evidence) for evidence in touch.evidence]
    _, stated = _derive(work, new, resolution.canonical, known)
    affected = {*resolution.canonical.values(), *resolution.before.values(), *touch.entities}
    fresh = set(known.fresh)
    new_triples = {
        stated[s.id].triple
        for s in new
        # Nothing else can state a triple of an entity that was not there.
        if resolution.canonical.get(s.head) not in fresh
        and resolution.canonical.get(s.tail) not in fresh
    }
    stored, members, leaving, arriving, stating = _stored(
        work,
        entities=affected - fresh,
        moved=resolution.moved - fresh,
        triples=new_triples | touch.triples.keys(),
    )
    moved = _moved([*leaving, *arriving, *_with_phrases(work, touch.phrases)])
    statements = _moved(stating)
    if moved:
        more, stated = _follow(work, moved, new, resolution, known)
        statements |= more
    before = {**touch.triples, **{m.triple: m.head for m in moved.values()}}
    current = {id: one.statement for id, one in statements.items()}
    current |= {one.statement.id: one.statement for one in moved.values()}
    current |= {statement.id: statement for statement in new}
    canonical = entities_of(work, _ends(current.values()), resolution)
    triples, _ = _derive(work, current.values(), canonical, known)
    entities = _entities(work, resolution, members, new, known)
    return Derived(
        resolution,
        entities=entities,
        gone=affected - entities.keys(),
        triples=triples,
        known=before.keys() | {one.triple for one in statements.values()},
        before=before,
        moved=moved,
        stated=stated,
        stored={id: shape.entity_from(properties) for id, _, properties in stored},
        places={id: place for id, place, _ in stored},
    )


def _stored(
    work: Work, *, entities: set[str], moved: set[str], triples: set[str]
) -> tuple[list[list[Any]], ...]:
    if not (entities or moved or triples):
        return [], [], [], [], []
    return work.one(
        cypher.STORED, entities=sorted(entities), moved=sorted(moved), triples=sorted(triples)
    )


def _derive(
    work: Work, statements: Iterable[Statement], canonical: Mapping[str, str], known: Known
) -> tuple[dict[str, Triple], dict[str, Stated]]:
    rows = list(statements)
    configs = known.configs(work, {statement.config for statement in rows})
    return derive_triples(rows, canonical, relation_names=known.relation_names, configs=configs)


def _ends(statements: Iterable[Statement]) -> set[str]:
    return {end for s in statements for end in (s.head, s.tail) if end.startswith("e_")}


# ------------------------------------------------------------------------------------- evidence


def _moved(rows: Iterable[list[Any]]) -> dict[str, Moved]:
    found: dict[str, Moved] = {}
    for id, head, relation, tail, score, quote, negated, hedged, config, triple, at in rows:
        source = independent_source(quote or "", config)
        statement = Statement(id, head, relation, tail, score, source, negated, hedged, config)
        found[id] = Moved(statement, triple, at)
    return found


def _with_phrases(work: Work, phrases: set[str]) -> list[list[Any]]:
    """Return the evidence whose phrase may stand for another relation from now on."""
    if not phrases:
        return []
    keys = {_phrase_key(phrase) for phrase in phrases}
    used = [row[0] for row in work.ask(cypher.PHRASES)]
    changed = [phrase for phrase in used if _phrase_key(phrase) in keys]
    rows: list[list[Any]] = work.one(cypher.STATED_WITH, rows=changed)[0] if changed else []
    return rows


def _phrase_key(phrase: str) -> str:
    """Return the form in which the relation map compares phrases."""
    return normal_form(phrase.replace("_", " "))


def _follow(
    work: Work,
    moved: Mapping[str, Moved],
    new: Iterable[Statement],
    resolution: Resolution,
    known: Known,
) -> tuple[dict[str, Moved], dict[str, Stated]]:
    """Return all evidence of what moved evidence stated and states, and what it states now."""
    statements = [*(one.statement for one in moved.values()), *new]
    canonical = entities_of(work, _ends(statements), resolution)
    _, stated = _derive(work, statements, canonical, known)
    ids = {one.triple for one in moved.values()} | {stated[id].triple for id in moved}
    return _moved(work.gather(cypher.STATING, ids)), stated


# ------------------------------------------------------------------------------------- entities


def _entities(
    work: Work,
    resolution: Resolution,
    members: Iterable[list[Any]],
    new: Iterable[Statement],
    known: Known,
) -> dict[str, Entity]:
    """Return the entities that may have changed, derived again.

    Args:
        work: the transaction.
        resolution: what became of raw entities.
        members: the namings that the database has for entities that may have changed.
        new: new evidence.
        known: what is known.
    """
    namings: list[Naming] = []
    canonical: dict[str, str] = dict(resolution.canonical)
    for _, *fields, _key, entity in members:
        naming = Naming(*fields)
        if naming.raw not in resolution.canonical:
            namings.append(naming)
            canonical[naming.raw] = entity
    namings += [naming for own in resolution.namings.values() for naming in own]
    configs = known.configs(work, {naming.config for naming in namings})
    entities = derive_entities(namings, canonical, configs)
    # Evidence may point at what no mention names (any more): then the id is all there is.
    unnamed = {raw for raw, own in resolution.namings.items() if not own}
    pointed = {row[0] for row in work.each(cypher.STATED_RAWS, unnamed)}
    pointed |= unnamed & _ends(new)
    for raw in pointed:
        id = canonical[raw]
        entities.setdefault(id, Entity(id=id, name=id))
    return entities
