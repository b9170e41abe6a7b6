"""What relations and words mean to each other, which no structure tells."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from kg.constraints.graph import Edge, Node
from kg.ids import relation_type
from kg.schema import Schema

__all__ = ["Meaning"]

type Key = tuple[str, str, str]


@dataclass(frozen=True)
class Meaning:
    """Relations, words and facts that edits draw from; whatever is left empty is not used.

    >>> meaning = Meaning(negations={"is a": "is not a"})
    >>> meaning.negated("is a"), meaning.negated("is not a"), meaning.negated("part of")
    ('is not a', 'is a', None)
    """

    #: Relations that may take another's place.
    relations: Collection[str] = ()
    #: Relation → the relation that denies it; read both ways.
    negations: Mapping[str, str] = field(default_factory=dict)
    #: Relations that say the same with their ends swapped.
    symmetric: Collection[str] = ()
    #: A name or a single word, in lower case → what means the same.
    synonyms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: Nodes that may come into the graph, such as other entities of the store.
    nodes: Sequence[Node] = ()
    #: (head id, relation, tail id) that are true besides the graph's own edges.
    facts: Collection[Key] = ()

    @classmethod
    def of(cls, schema: Schema) -> Meaning:
        """Return what a schema knows: its relations, and which are symmetric."""
        relations = [relation for relation in schema.relations.values() if not relation.roles]
        return cls(
            relations=tuple(relation_type(relation.name) for relation in relations),
            symmetric=tuple(relation_type(one.name) for one in relations if one.symmetric),
        )

    def negated(self, relation: str) -> str | None:
        """Return the relation that denies another one, None if none is known."""
        if relation in self.negations:
            return self.negations[relation]
        return next((yes for yes, no in self.negations.items() if no == relation), None)

    def states(self, facts: Collection[Key], edge: Edge) -> bool:
        """Say whether an edge is among facts, also read backwards if its relation allows that."""
        head, relation, tail = edge.key
        return edge.key in facts or (relation in self.symmetric and (tail, relation, head) in facts)
