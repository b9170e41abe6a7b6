"""What retrieval reads of a graph: its entities with their texts, and its links.

Only derived records are read. Predictions are none, so nothing that a model believed ever trains a
model or hides an answer. Triples whose tail is a literal are left out: a date is not linked to, it
is read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from kg.errors import NotFound
from kg.ids import normal_form, relation_type
from kg.records import Entity, Triple
from retrieval.errors import AmbiguousEntity, NothingToPredict, UnknownEntity, UnknownRelation

if TYPE_CHECKING:
    from kg.store.protocol import GraphStore
    from retrieval.triple_data import IntArray

__all__ = ["GraphSnapshot", "Side", "entity_text"]

type Side = Literal["head", "tail"]

#: Further names of an entity that go into its text.
ALIASES: Final = 4


def entity_text(entity: Entity) -> str:
    """Return the text that stands for an entity: name; aliases; types; description.

    >>> entity_text(Entity("e_1", "Warsaw", ("City", "Place"), ("Warszawa",), "capital of Poland"))
    'Warsaw; Warszawa; City Place; capital of Poland'
    """
    parts = [entity.name, *entity.aliases[:ALIASES], " ".join(entity.types), entity.description]
    return "; ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class GraphSnapshot:
    """Entities and links of a graph at one moment, with names looked up as people write them."""

    change_counter: int
    #: By id, sorted.
    entities: Mapping[str, Entity]
    #: Links between two entities, sorted by id.
    triples: tuple[Triple, ...]
    #: Relations that have literal tails only.
    literal_relations: frozenset[str]
    #: Normal form of a phrase → relation and whether it is read backwards.
    phrases: Mapping[str, tuple[str, bool]] = field(repr=False)
    _names: Mapping[str, tuple[str, ...]] = field(repr=False)
    _aliases: Mapping[str, tuple[str, ...]] = field(repr=False)

    @classmethod
    def of(cls, graph: GraphStore) -> GraphSnapshot:
        """Return the present state of a graph."""
        counter = graph.change_counter
        entities = {entity.id: entity for entity in graph.derived("entity")}
        links, literal = [], set()
        phrases: dict[str, tuple[str, bool]] = {}
        for triple in graph.derived("triple"):
            phrases.setdefault(_phrase(triple.predicate), (triple.relation, False))
            phrases[_phrase(triple.relation)] = (triple.relation, False)
            if triple.tail in entities and triple.head in entities:
                links.append(triple)
            else:
                literal.add(triple.relation)
        # What a schema declares holds before what a canonicaliser found.
        for row in sorted(graph.written("relation_name"), key=lambda row: bool(row.run)):
            phrases.setdefault(_phrase(row.phrase), (relation_type(row.relation), row.swapped))
        names: dict[str, list[str]] = defaultdict(list)
        aliases: dict[str, list[str]] = defaultdict(list)
        for entity in entities.values():
            names[normal_form(entity.name)].append(entity.id)
            for alias in entity.aliases:
                aliases[normal_form(alias)].append(entity.id)
        return cls(
            change_counter=counter,
            entities=entities,
            triples=tuple(links),
            literal_relations=frozenset(literal - {triple.relation for triple in links}),
            phrases=phrases,
            _names={name: tuple(ids) for name, ids in names.items()},
            _aliases={name: tuple(dict.fromkeys(ids)) for name, ids in aliases.items()},
        )

    def relations(self) -> tuple[str, ...]:
        """Return the relations between entities, sorted."""
        return tuple(sorted({triple.relation for triple in self.triples}))

    def entity(self, asked: str, *, graph: GraphStore | None = None) -> Entity:
        """Return the entity with this id, name or alias; a name goes before an alias.

        Args:
            asked: id, name or alias, case and width ignored.
            graph: where an id is looked up that was merged into another one.

        Raises:
            AmbiguousEntity: if several entities carry the name.
            UnknownEntity: if none does; names near matches.
        """
        if asked in self.entities:
            return self.entities[asked]
        key = normal_form(asked)
        found = self._names.get(key) or self._aliases.get(key, ())
        if len(found) == 1:
            return self.entities[found[0]]
        if found:
            several = sorted((self.entities[id] for id in found), key=lambda entity: entity.id)
            raise AmbiguousEntity(asked, [(one.id, one.name, one.types) for one in several])
        if graph is not None and asked.startswith("e_"):
            try:
                became = graph.get(asked)
            except NotFound:
                became = None
            if isinstance(became, Entity) and became.id in self.entities:
                return self.entities[became.id]
        known = [name for one in self.entities.values() for name in (one.name, *one.aliases)]
        raise UnknownEntity(asked, known, hint="search the graph for what it is called")

    def relation(self, asked: str) -> tuple[str, bool]:
        """Return the relation named by a type, phrase or inverse, and whether it is backwards.

        Raises:
            NothingToPredict: if the relation has literal tails only.
            UnknownRelation: if the graph has no such relation; names near matches.
        """
        found = self.phrases.get(_phrase(asked))
        name = found[0] if found else relation_type(asked)
        if name in self.literal_relations:
            raise NothingToPredict(
                f"{name} has only values as tails (dates, numbers, texts), and links are predicted "
                "between entities; ask the graph for the values with a query"
            )
        relations = self.relations()
        if name not in relations:
            readable = [relation.lower() for relation in relations]
            listed = "the graph's relations: " + ", ".join(readable[:12])
            raise UnknownRelation(asked, readable, hint=listed)
        return name, bool(found and found[1])

    def rows(self, ids: Mapping[str, int], relations: Mapping[str, int]) -> IntArray:
        """Return the links as integers [n, 3], by the given numbers of ids and relations."""
        return np.array(
            [(ids[t.head], relations[t.relation], ids[t.tail]) for t in self.triples], np.int64
        ).reshape(-1, 3)

    def ends(self, relation: str, side: Side) -> list[str]:
        """Return the ids that stand at one side of a relation, once for each link."""
        return [getattr(triple, side) for triple in self.triples if triple.relation == relation]

    def namesakes(self) -> list[tuple[str, ...]]:
        """Return the ids of entities that share a name, a group for each name."""
        return [ids for ids in self._names.values() if len(ids) > 1]

    def of_types(self, types: Iterable[str]) -> list[str]:
        """Return the ids of entities that have one of the types ("" is "no type"), sorted."""
        wanted = set(types)
        return [
            id
            for id, entity in self.entities.items()
            if not wanted.isdisjoint(entity.types or ("",))
        ]


def _phrase(text: str) -> str:
    """Return a phrase so that BORN_IN, born_in and "Born in" are one."""
    return normal_form(text.replace("_", " ")).strip()
