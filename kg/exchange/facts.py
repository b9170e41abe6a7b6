"""Bare facts from a file become evidence: the file is the source, and `undo` takes it back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import batched, pairwise
from typing import Final

from kg.ids import entity_id, relation_type
from kg.records import Batch, Config, Entity, Evidence, Literal, Mention
from kg.store.protocol import GraphStore

__all__ = ["Fact", "FactReport", "named", "phrase_of", "write_facts"]

#: Facts written in one transaction.
BATCH: Final = 5_000


@dataclass(frozen=True, slots=True)
class Fact:
    """A triple that a file states."""

    head: Entity
    #: The relation as a phrase or as a relation type.
    phrase: str
    tail: Entity | Literal
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class FactReport:
    """What an import wrote."""

    run: str
    facts: int
    entities: int
    #: Records that were new to the graph; 0 when the same file is imported again.
    created: int


def named(name: str) -> Entity:
    """Return an entity of unknown type that is known by its name only.

    >>> named("Warsaw").types
    ()
    """
    return Entity(id=entity_id(name), name=name)


def phrase_of(relation: str, phrase: object) -> str:
    """Return the phrase to import: the given one if it means the relation, else the relation.

    >>> phrase_of("BORN_IN", "born in"), phrase_of("BORN_IN", "died in"), phrase_of("BORN_IN", None)
    ('born in', 'BORN_IN', 'BORN_IN')
    """
    fits = isinstance(phrase, str) and phrase.strip() and relation_type(phrase) == relation
    return str(phrase) if fits else relation


def write_facts(
    graph: GraphStore,
    facts: Iterable[Fact],
    *,
    file: str,
    sha256: str,
    entities: Iterable[Entity] = (),
) -> FactReport:
    """Write facts, and entities without any, as evidence of a file.

    Args:
        graph: an open graph.
        facts: what the file states; an end's id is its raw id.
        file: name of the file.
        sha256: hash of its bytes, so that the same file is the same source everywhere.
        entities: entities to write even if no fact names them.

    Raises:
        RecordError: if a name is empty.
    """
    facts = list(facts)
    ends = (end for f in facts for end in (f.head, f.tail) if isinstance(end, Entity))
    known = {entity.id: entity for entity in (*entities, *ends)}
    config = Config(
        harvester="import",
        parameters={"file": file, "sha256": sha256, "types": _parents(known.values())},
    )
    run = graph.begin_run(config)
    created = 0
    for batch in _batches(known, facts, config.id):
        created += graph.write(batch, run=run.id).created
    report = FactReport(run.id, len(facts), len(known), created)
    counts = {"facts": report.facts, "entities": report.entities, "created": report.created}
    graph.finish_run(run.id, counts)
    return report


def _batches(known: Mapping[str, Entity], facts: list[Fact], config: str) -> Iterator[Batch]:
    for entities in batched(known.values(), BATCH):
        yield Batch(mentions=tuple(_mention(entity, config) for entity in entities))
    for part in batched(facts, BATCH):
        yield Batch(
            evidence=tuple(
                Evidence(
                    head=fact.head.id,
                    relation=fact.phrase,
                    tail=fact.tail if isinstance(fact.tail, Literal) else fact.tail.id,
                    score=fact.score,
                    config=config,
                )
                for fact in part
            )
        )


def _mention(entity: Entity, config: str) -> Mention:
    return Mention(
        entity=entity.id,
        surface=entity.name,
        config=config,
        type=entity.types[0] if entity.types else "",
        iri=entity.iri,
        description=entity.description,
        props=entity.props,
    )


def _parents(entities: Iterable[Entity]) -> dict[str, str]:
    """Return type → parent as the chains of the entities tell them; of two, the smaller."""
    parents: dict[str, str] = {}
    for entity in entities:
        for type, parent in pairwise((*entity.types, "")):
            parents[type] = min(filter(None, (parents.get(type), parent)), default="")
    return parents
