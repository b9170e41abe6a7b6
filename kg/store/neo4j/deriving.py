"""Deriving again what a write or a removal has touched, with the functions of `kg.derivation`.

```
touched raw entities ──resolving──► moved ones ──► entities, MENTIONS re-pointed
                                        │
touched evidence ◄──────────────────────┘──► triples of it, before and after ──► derived, written
```

The database is only told of differences. All of it runs in the transaction of the write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kg.derivation import (
    Naming,
    Stated,
    Statement,
    derive_entities,
    derive_triples,
    independent_source,
)
from kg.errors import RecordError
from kg.ids import normal_form
from kg.records import Config, Entity, Evidence, Mention, RelationName, Triple
from kg.store import cypher, shape
from kg.store.neo4j.resolving import Resolution, entities_of, resolve_touched
from kg.store.neo4j.rows import evidence_properties, mention_properties
from kg.store.neo4j.work import Work

__all__ = ["Derived", "Touch", "derive_again"]

#: Neo4j's integers.
_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**63 - 1
#: What a text index of Neo4j holds, in bytes.
_LONGEST_NAME: Final = 32_766

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
class Derived:
    """What has been derived again; predictions are placed by it."""

    resolution: Resolution
    #: Entities that are there now or were before.
    entities: Collection[str]
    triples: Collection[str]

    @classmethod
    def nothing(cls) -> Derived:
        """Return that nothing was derived again."""
        return cls(Resolution({}, {}, {}), (), ())


@dataclass(frozen=True, slots=True)
class _Stored:
    """A piece of evidence as the database has it."""

    statement: Statement
    triple: str
    head: str


def derive_again(
    work: Work,
    touch: Touch,
    *,
    run: int,
    relation_names: Collection[RelationName],
    configs: ConfigsOf,
) -> Derived:
    """Bring entities, triples and the relationships of sources up to date with `touch`.

    Args:
        work: the transaction; everything written but new mentions and evidence is in it.
        touch: what has changed.
        run: number of the run that new mentions and evidence are linked to.
        relation_names: the whole relation map.
        configs: returns configs by id.
    """
    resolution = resolve_touched(work, touch.raws, touch.keys)
    moved = _moved_evidence(work, resolution.moved, touch.phrases)
    new = [Statement.of(evidence) for evidence in touch.evidence]
    ends = _ends([*(m.statement for m in moved.values()), *new])
    canonical = entities_of(work, ends, resolution)
    known = configs(work, {s.config for s in new} | {m.statement.config for m in moved.values()})
    _, stated = derive_triples(
        [*(m.statement for m in moved.values()), *new],
        canonical,
        relation_names=relation_names,
        configs=known,
    )
    before = {**touch.triples, **{m.triple: m.head for m in moved.values()}}
    triples = _triples(
        work,
        {*before, *(s.triple for s in stated.values())},
        [*(m.statement for m in moved.values()), *new],
        resolution,
        relation_names,
        configs,
    )
    entities, gone = _entities(work, resolution, touch.entities, new, configs)
    _write_entities(work, entities)
    _write_mentions(work, touch.mentions, resolution, run)
    _write_evidence(work, touch.evidence, moved, stated, configs, run)
    _write_triples(work, triples)
    vanished = [{"id": id, "head": head} for id, head in before.items() if id not in triples]
    work.each(cypher.DELETE_TRIPLES, vanished)
    work.each(cypher.DELETE_ENTITIES, gone)
    return Derived(resolution, {*entities, *gone}, {*before, *triples})


def _ends(statements: Iterable[Statement]) -> set[str]:
    return {end for s in statements for end in (s.head, s.tail) if end.startswith("e_")}


# ------------------------------------------------------------------------------------- evidence


def _stored(rows: Iterable[tuple[Any, ...]]) -> dict[str, _Stored]:
    found: dict[str, _Stored] = {}
    for id, head, relation, tail, score, quote, negated, hedged, config, triple, at in rows:
        source = independent_source(quote or "", config)
        statement = Statement(id, head, relation, tail, score, source, negated, hedged, config)
        found[id] = _Stored(statement, triple, at)
    return found


def _moved_evidence(work: Work, raws: set[str], phrases: set[str]) -> dict[str, _Stored]:
    """Return the evidence in the database that may state another triple from now on."""
    rows = work.each(cypher.STATED_FROM, raws) + work.each(cypher.STATED_TO, raws)
    if phrases:
        keys = {_phrase_key(phrase) for phrase in phrases}
        used = [row[0] for row in work.ask(cypher.PHRASES)]
        rows += work.ask(
            cypher.STATED_WITH, rows=[phrase for phrase in used if _phrase_key(phrase) in keys]
        )
    return _stored(rows)


def _phrase_key(phrase: str) -> str:
    """Return the form in which the relation map compares phrases."""
    return normal_form(phrase.replace("_", " "))


def _triples(
    work: Work,
    ids: Collection[str],
    touched: Iterable[Statement],
    resolution: Resolution,
    relation_names: Collection[RelationName],
    configs: ConfigsOf,
) -> dict[str, Triple]:
    """Derive the given triples from all evidence that states them."""
    stating = _stored(work.each(cypher.STATING, set(ids)))
    statements = {id: stored.statement for id, stored in stating.items()}
    statements.update({statement.id: statement for statement in touched})
    canonical = entities_of(work, _ends(statements.values()), resolution)
    triples, _ = derive_triples(
        statements.values(),
        canonical,
        relation_names=relation_names,
        configs=configs(work, {statement.config for statement in statements.values()}),
    )
    return triples


# ------------------------------------------------------------------------------------- entities


def _entities(
    work: Work,
    resolution: Resolution,
    poorer: Collection[str],
    new: Iterable[Statement],
    configs: ConfigsOf,
) -> tuple[dict[str, Entity], set[str]]:
    """Return the entities that may have changed, derived again, and those that are no more."""
    affected = {*resolution.canonical.values(), *resolution.before.values(), *poorer}
    members: list[Naming] = []
    canonical: dict[str, str] = dict(resolution.canonical)
    for _, *fields, _key, entity in work.each(cypher.NAMINGS_OF_ENTITIES, affected):
        naming = Naming(*fields)
        if naming.raw not in resolution.canonical:
            members.append(naming)
            canonical[naming.raw] = entity
    members += [naming for own in resolution.namings.values() for naming in own]
    entities = derive_entities(members, canonical, configs(work, {n.config for n in members}))
    # Evidence may point at what no mention names (any more): then the id is all there is.
    unnamed = {raw for raw, own in resolution.namings.items() if not own}
    pointed = {row[0] for row in work.each(cypher.STATED_RAWS, unnamed)}
    pointed |= unnamed & _ends(new)
    for raw in pointed:
        id = canonical[raw]
        entities.setdefault(id, Entity(id=id, name=id))
    return entities, affected - entities.keys()


def _write_entities(work: Work, entities: Mapping[str, Entity]) -> None:
    stored = dict(work.each(cypher.STORED_ENTITIES, set(entities)))
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    losing: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for id, entity in entities.items():
        properties, labels = _writable(shape.entity_properties(entity)), shape.entity_labels(entity)
        if id in stored:
            old = shape.entity_from(stored[id])
            if old == entity:
                continue
            # Null removes a property; those that others have set stay.
            lost = shape.entity_properties(old).keys() - properties.keys()
            properties.update(dict.fromkeys(lost))
            stale = tuple(sorted(set(shape.entity_labels(old)) - set(labels)))
            if stale:
                losing[stale].append({"id": id})
        groups[labels].append({"id": id, "properties": properties})
    for labels in sorted(groups):
        work.put(cypher.entities(labels), groups[labels])
    for labels in sorted(losing):
        work.put(cypher.lose_labels(labels), losing[labels])


def _writable(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what Neo4j cannot hold as a property of its own; `props` has it all the same."""
    size = len(properties["name"].encode())
    if size > _LONGEST_NAME:
        raise RecordError(
            f"the name {properties['name'][:40]!r}… has {size:,} bytes, and Neo4j can index names "
            f"of {_LONGEST_NAME:,} at most: shorten it"
        )
    return {
        key: value
        for key, value in properties.items()
        if key
        and "\x00" not in key
        and not (isinstance(value, int) and not _SMALLEST <= value <= _LARGEST)
    }


# ---------------------------------------------------------------------------------- differences


def _write_mentions(
    work: Work, mentions: Iterable[Mention], resolution: Resolution, run: int
) -> None:
    moved = resolution.moved
    work.put(
        cypher.MOVE_MENTIONS,
        [
            {"id": raw, "old": resolution.before[raw], "new": resolution.canonical[raw]}
            for raw in moved
            if raw in resolution.before and resolution.namings[raw]
        ],
    )
    # A new way to name an old raw entity does not know its entity yet.
    unset = moved | {mention.entity for mention in mentions}
    rows = [{"id": raw, "entity": resolution.canonical[raw]} for raw in sorted(unset)]
    work.each(cypher.SET_NAMING_ENTITY, rows)
    sources: dict[str, list[dict[str, Any]]] = {"Chunk": [], "Model": []}
    for mention in mentions:
        sources["Chunk" if mention.chunk else "Model"].append(
            {
                "id": mention.id,
                "source": mention.chunk or mention.config,
                "entity": resolution.canonical[mention.entity],
                "properties": mention_properties(mention, run),
            }
        )
    for source, rows in sources.items():
        work.put(cypher.sources("MENTIONS", source), rows)


def _write_evidence(
    work: Work,
    evidence: Collection[Evidence],
    moved: Mapping[str, _Stored],
    stated: Mapping[str, Stated],
    configs: ConfigsOf,
    run: int,
) -> None:
    to_another_head: list[dict[str, Any]] = []
    renamed: list[dict[str, Any]] = []
    for id, old in moved.items():
        now = stated[id]
        row = {"id": id, "head": now.head, "triple": now.triple}
        if now.head != old.head:
            to_another_head.append(row)
        elif now.triple != old.triple:
            renamed.append(row)
    work.put(cypher.MOVE_EVIDENCE, to_another_head)
    work.put(cypher.RENAME_EVIDENCE, renamed)
    known = configs(work, {new.config for new in evidence})
    sources: dict[str, list[dict[str, Any]]] = {"Chunk": [], "Model": []}
    for new in evidence:
        to = stated[new.id]
        properties = evidence_properties(new, to.triple, known[new.config], run)
        sources["Chunk" if new.chunk else "Model"].append(
            {
                "id": new.id,
                "source": new.chunk or new.config,
                "entity": to.head,
                "properties": properties,
            }
        )
    for source, rows in sources.items():
        work.put(cypher.sources("STATES", source), rows)


def _write_triples(work: Work, triples: Mapping[str, Triple]) -> None:
    """Write triples grouped by relation and kind of tail, so that no literal is lost."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for triple in triples.values():
        kind = "Entity" if triple.tail.startswith("e_") else "Literal"
        groups[triple.relation, kind].append(
            {
                "id": triple.id,
                "head": triple.head,
                "tail": triple.tail,
                "properties": shape.triple_properties(triple),
            }
        )
    for relation, kind in sorted(groups):
        work.put(cypher.triples(relation, kind), groups[relation, kind])
