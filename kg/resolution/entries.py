"""What resolution knows of the entities of a graph, before and after merges that it considers.

Everything is taken from written records by the functions of `kg.derivation`, so what resolution
sees after a merge is what a store derives once that merge is written.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from kg.derivation import Naming, derive_entities, resolve
from kg.ids import normal_form, relation_type
from kg.records import Config, Merge
from kg.resolution.names import Name
from kg.schema import Schema
from kg.store.protocol import GraphStore

__all__ = ["Entry", "Source", "Statements", "compatible_types", "entries_of", "grouped_by_name"]

#: Types of persons, in normal form: their names have titles, middle names and initials.
PERSONS: Final = frozenset({"person", "human", "people", "per"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One entity as resolution compares it."""

    id: str
    name: Name
    #: Normal forms of all names that mentions give it.
    names: frozenset[str]
    #: Finest type first, then its ancestors; empty when unknown.
    types: tuple[str, ...]
    iris: frozenset[str]
    description: str
    #: Number of mentions.
    support: int
    #: Raw entities that are this one.
    raws: tuple[str, ...]

    @property
    def root(self) -> str:
        """Return the root of its type, in normal form as in its id; "" when unknown."""
        return normal_form(self.types[-1]) if self.types else ""

    @property
    def is_person(self) -> bool:
        """Return whether one of its types is a person's."""
        return any(normal_form(type) in PERSONS for type in self.types)

    @property
    def text(self) -> str:
        """Return what an encoder reads: name, type and description."""
        return "; ".join(
            part for part in (self.name.text, *self.types[:1], self.description) if part
        )


def compatible_types(one: Entry, other: Entry) -> bool:
    """Say whether two entities may be of one type: equal, one above the other, or unknown."""
    if not one.types or not other.types:
        return True
    return one.types[0] in other.types or other.types[0] in one.types


@dataclass(frozen=True, slots=True)
class Source:
    """The written records that resolution reads, held in memory once."""

    namings: Sequence[Naming]
    merges: Sequence[Merge]
    configs: Mapping[str, Config]
    #: (head, relation type, tail) of the derived triples; a tail may be a literal.
    triples: Sequence[tuple[str, str, str]]
    #: Literal id → its lexical form.
    literals: Mapping[str, str] = field(default_factory=dict)
    #: Raw entity → documents that mention it, for raw entities that share a name with others.
    documents: Mapping[str, Collection[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, graph: GraphStore) -> Source:
        """Read a graph."""
        counts = Counter(map(Naming.of, graph.written("mention")))
        raws: dict[str, set[str]] = defaultdict(set)
        for naming in counts:
            raws[normal_form(naming.name)].add(naming.raw)
        shared = {raw for own in raws.values() if len(own) > 1 for raw in own}
        return cls(
            namings=[naming._replace(times=times) for naming, times in counts.items()],
            merges=list(graph.written("merge")),
            configs={config.id: config for config in graph.written("config")},
            triples=[(t.head, t.relation, t.tail) for t in graph.derived("triple")],
            literals={literal.id: literal.lexical for literal in graph.derived("literal")},
            documents=_documents_of(graph, shared),
        )


def _documents_of(graph: GraphStore, raws: Collection[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {raw: set() for raw in raws}
    if raws:
        document = {chunk.id: chunk.document for chunk in graph.written("chunk")}
        for mention in graph.written("mention"):
            if mention.entity in found and mention.chunk:
                found[mention.entity].add(document[mention.chunk])
    return found


def entries_of(source: Source, merges: Iterable[Merge]) -> tuple[list[Entry], dict[str, str]]:
    """Return the entities with `merges` on top of the source's, and raw entity → entity.

    An entity that no mention names is left out: there is nothing to compare.
    """
    canonical = resolve(source.namings, [*source.merges, *merges])
    groups: dict[str, list[Naming]] = defaultdict(list)
    for naming in source.namings:
        groups[canonical[naming.raw]].append(naming)
    entities = derive_entities(source.namings, canonical, source.configs)
    entries = [
        Entry(
            id=id,
            name=Name.of(entities[id].name),
            names=frozenset(normal_form(naming.name) for naming in groups[id]),
            types=entities[id].types,
            iris=frozenset(naming.iri for naming in groups[id] if naming.iri),
            description=entities[id].description,
            support=sum(naming.times for naming in groups[id]),
            raws=tuple(sorted({naming.raw for naming in groups[id]})),
        )
        for id in sorted(groups)
    ]
    return entries, canonical


class Statements:
    """What the triples say of entities: neighbours, expected types, functional values."""

    def __init__(
        self, source: Source, canonical: Mapping[str, str], entries: Iterable[Entry], schema: Schema
    ) -> None:
        self._roots = {entry.id: entry.root for entry in entries}
        self._literals = source.literals
        self._documents = source.documents
        #: entity → its ends: (relation type, "head" or "tail", the other end).
        self._ends: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
        #: (relation type, "head" or "tail") → root type → entities of it that stand there.
        self._standing: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(
            lambda: defaultdict(set)
        )
        for head, relation, tail in source.triples:
            head, tail = canonical.get(head, head), canonical.get(tail, tail)
            self._ends[head].add((relation, "head", tail))
            self._stand(relation, "head", head)
            if tail.startswith("e_"):
                self._ends[tail].add((relation, "tail", head))
                self._stand(relation, "tail", tail)
        self._functional = _functional(schema)
        self._declared = _declared(schema)

    def _stand(self, relation: str, end: str, id: str) -> None:
        root = self._roots.get(id, "")
        if root:
            self._standing[relation, end][root].add(id)

    def neighbours(self, id: str) -> set[str]:
        """Return the entities that a triple joins to this one."""
        return {other for _, _, other in self._ends.get(id, ()) if other.startswith("e_")} - {id}

    def share_document(self, one: Entry, other: Entry) -> bool:
        """Say whether one document mentions both."""
        return bool(self._in_documents(one) & self._in_documents(other))

    def _in_documents(self, entry: Entry) -> set[str]:
        return set().union(*(self._documents.get(raw, ()) for raw in entry.raws))

    def expected_roots(self, id: str, *, but: Collection[str]) -> Counter[str]:
        """Return for how many of an entity's ends its relations expect which root type.

        A schema's declaration decides; without one, the commonest type of the *other* entities that
        stand there (all but `but`), if there are two or more of it and fewer of every other type.
        """
        votes: Counter[str] = Counter()
        for relation, end in {(relation, end) for relation, end, _ in self._ends.get(id, ())}:
            root = self._declared.get((relation, end), "")
            if not root:
                standing = self._standing.get((relation, end), {})
                counts = Counter({type: len(ids.difference(but)) for type, ids in standing.items()})
                first, *rest = [*counts.most_common(2), ("", 0)]
                root = first[0] if first[1] >= 2 and first[1] > rest[0][1] else ""
            if root:
                votes[root] += 1
        return votes

    def contradict(self, one: str, other: str) -> bool:
        """Say whether two entities have no common value of a relation that allows only one."""
        if not self._functional:
            return False
        left, right = self._values(one), self._values(other)
        return any(
            not any(_same_value(a, b) for a in left[relation] for b in right[relation])
            for relation in left.keys() & right.keys()
        )

    def _values(self, id: str) -> dict[str, set[str]]:
        values: dict[str, set[str]] = defaultdict(set)
        for relation, end, other in self._ends.get(id, ()):
            if end == "head" and relation in self._functional:
                values[relation].add(self._literals.get(other, other))
        return values


def _same_value(one: str, other: str) -> bool:
    # A year is not another value than a day of that year.
    return one.startswith(other) or other.startswith(one)


def _functional(schema: Schema) -> frozenset[str]:
    return frozenset(
        relation_type(relation.name)
        for relation in schema.relations.values()
        if relation.functional
    )


def _declared(schema: Schema) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for relation in schema.relations.values():
        for end, type in (("head", relation.head), ("tail", relation.tail)):
            if type:
                found[relation_type(relation.name), end] = normal_form(schema.root(type))
    return found


def grouped_by_name(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Yield the entries that share a name, for each name that several have."""
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        for name in entry.names:
            groups[name].append(entry)
    yield from (groups[name] for name in sorted(groups) if len(groups[name]) > 1)
