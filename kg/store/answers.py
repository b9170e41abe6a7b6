"""What every store answers from the property graph, in the portable subset of Cypher.

A store mixes this in and gives `_query`, which runs one of our own statements without guard and
limits. So `get`, `derived` and the derived half of `stats` exist once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar, Final, LiteralString

from kg.derivation import resolve
from kg.errors import KgError, NotFound
from kg.records import Entity, Literal, Merge, Triple
from kg.store import shape

__all__ = ["DerivedAnswers"]

ENTITY: Final = "MATCH (e:Entity {id: $id}) RETURN e"
ENTITY_OF_RAW: Final = "MATCH ()-[m:MENTIONS]->(e:Entity) WHERE m.raw_entity = $id RETURN e LIMIT 1"
LITERAL: Final = "MATCH (l:Literal {id: $id}) RETURN l"
TRIPLE: Final = (
    "MATCH (h:Entity)-[r]->(t) WHERE r.id = $id AND r.support IS NOT NULL "
    "RETURN h.id, type(r), t.id, r.predicate, r.score, r.support"
)
ENTITIES: Final = "MATCH (e:Entity) WHERE e.id >= $low AND e.id < $high RETURN e ORDER BY e.id"
LITERALS: Final = "MATCH (l:Literal) WHERE l.id >= $low AND l.id < $high RETURN l ORDER BY l.id"
TRIPLES: Final = (
    "MATCH (h:Entity)-[r]->(t) WHERE r.support IS NOT NULL AND r.id >= $low AND r.id < $high "
    "RETURN h.id, type(r), t.id, r.predicate, r.score, r.support, r.id ORDER BY r.id"
)
ENTITY_COUNT: Final = "MATCH (e:Entity) RETURN count(*)"
LITERAL_COUNT: Final = "MATCH (l:Literal) RETURN count(*)"
TRIPLE_COUNT: Final = "MATCH (:Entity)-[r]->() WHERE r.support IS NOT NULL RETURN count(*)"
RELATION_COUNTS: Final = (
    "MATCH (:Entity)-[r]->() WHERE r.support IS NOT NULL RETURN type(r), count(*)"
)
TYPE_LISTS: Final = "MATCH (e:Entity) RETURN e.types, count(*)"

#: Derived records asked for at once, about; an answer is held in memory as a whole.
PART: Final = 50_000


class DerivedAnswers(ABC):
    """Mixin: derived records and counts, read from the property graph."""

    #: A store whose indexes allow something faster may say so.
    triple_query: ClassVar[LiteralString] = TRIPLE
    entity_of_raw_query: ClassVar[LiteralString] = ENTITY_OF_RAW

    @abstractmethod
    def _query(
        self, cypher: LiteralString, parameters: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one of our own statements; nodes come as `kg.store.protocol.Node`."""

    @abstractmethod
    def written(self, kind: str, **where: Any) -> Iterator[Any]:
        """See `GraphStore.written`."""

    def get(self, id: str) -> Entity | Literal | Triple:
        """Return the derived record of an id, see `GraphStore.get`."""
        found: Entity | Literal | Triple | None = None
        if id.startswith("e_"):
            # What no mention names any more only the merges know, which are read as a whole.
            found = self._entity(ENTITY, id) or self._entity_of_raw(id)
            found = found or self._entity(ENTITY, self._merged(id))
        elif id.startswith("l_"):
            rows = self._query(LITERAL, {"id": id})
            found = shape.literal_from(rows[0][0].properties) if rows else None
        elif id.startswith("t_"):
            found = self._triple(id)
        if found is None:
            raise NotFound(
                f"no entity, literal or triple {id!r} in this graph: search for its name, or list "
                "ids with a Cypher query such as MATCH (e:Entity) RETURN e.id, e.name LIMIT 10"
            )
        return found

    def _entity(self, cypher: LiteralString, id: str) -> Entity | None:
        rows = self._query(cypher, {"id": id})
        return shape.entity_from(rows[0][0].properties) if rows else None

    def _entity_of_raw(self, id: str) -> Entity | None:
        return self._entity(self.entity_of_raw_query, id)

    def _triple(self, id: str) -> Triple | None:
        rows = self._query(self.triple_query, {"id": id})
        return Triple(*rows[0]) if rows else None

    def _merged(self, id: str) -> str:
        merges: Iterator[Merge] = self.written("merge")
        return resolve((), merges).get(id, id)

    def derived(self, kind: str) -> Iterator[Any]:
        """Iterate over derived records of one kind, see `GraphStore.derived`."""
        if kind == "entity":
            nodes = self._parts("e", ENTITIES, ENTITY_COUNT)
            return (shape.entity_from(node.properties) for (node,) in nodes)
        if kind == "literal":
            nodes = self._parts("l", LITERALS, LITERAL_COUNT)
            return (shape.literal_from(node.properties) for (node,) in nodes)
        if kind == "triple":
            return (Triple(*row[:-1]) for row in self._parts("t", TRIPLES, TRIPLE_COUNT))
        raise KgError(f"no derived records of kind {kind!r}; there are entity, literal, triple")

    def _parts(
        self, letter: str, select: LiteralString, count: LiteralString
    ) -> Iterator[tuple[Any, ...]]:
        """Ask for ranges of ids, one after the other; ids are hashes, so ranges are alike."""
        ((number,),) = self._query(count)
        parts = number // PART + 1
        bounds = [f"{letter}_{place * 0x10000 // parts:04x}" for place in range(parts)]
        for low, high in pairwise([*bounds, f"{letter}_g"]):
            yield from self._query(select, {"low": low, "high": high})

    def _relation_counts(self) -> dict[str, int]:
        return _commonest_first(dict(self._query(RELATION_COUNTS)))

    def _type_counts(self) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for types, count in self._query(TYPE_LISTS):
            counts[types[0] if types else ""] += count
        return _commonest_first(counts)


def _commonest_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
