"""The rules that a schema declares, and the schema that a graph was harvested by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from kg.constraints.rules import (
    Cardinality,
    Disjoint,
    Domain,
    Range,
    Relations,
    Rule,
    Symmetric,
    Types,
)
from kg.errors import SchemaError
from kg.ids import relation_type
from kg.records import LITERAL_TYPES
from kg.schema import RelationDef, Schema, TypeDef
from kg.store.protocol import GraphStore

__all__ = ["EVENT", "harvested_schema", "rules_of"]

#: Type of the node that stands for a fact with more than two places, above the relation's name.
EVENT = "Event"


def rules_of(schema: Schema) -> tuple[Rule, ...]:
    """Return what a schema asks of a graph.

    That is: its vocabulary of relations and types, domain and range of each relation (a type or
    one below it, or the datatype of a literal), at most one tail for a functional relation, one
    direction for a symmetric one, and no node in two branches of the type tree. A relation with
    roles is a node of the relation's name with one edge per role.

    >>> schema = Schema.parse('''
    ... types: {Place: {}, City: {parent: Place}, Person: {}}
    ... relations: {born_in: {head: Person, tail: Place, functional: true}}
    ... ''')
    >>> for rule in rules_of(schema):
    ...     print(rule.name, rule.about)
    Relations
    Types
    Disjoint
    Domain BORN_IN
    Range BORN_IN
    Cardinality BORN_IN
    """
    return (*_vocabulary(schema), *_of_relations(schema))


def _vocabulary(schema: Schema) -> Iterator[Rule]:
    relations: set[str] = set()
    types = set(schema.types)
    for relation in schema.relations.values():
        relations.update(map(relation_type, relation.roles or [relation.name]))
        if relation.roles:
            types |= {relation.name, EVENT}
    yield Relations(relations)
    if types:
        yield Types(types)
    branches: dict[str, set[str]] = defaultdict(set)
    for type in schema.types:
        branches[schema.root(type)].add(type)
    if len(branches) > 1:
        yield Disjoint(tuple(frozenset(branches[root]) for root in sorted(branches)))


def _of_relations(schema: Schema) -> Iterator[Rule]:
    for relation in schema.relations.values():
        name = relation_type(relation.name)
        if relation.roles:
            for role in relation.roles:
                yield Cardinality(relation_type(role), least=1, types=[relation.name])
            continue
        if relation.head:
            yield Domain(name, _below(schema, relation.head))
        if relation.tail:
            literal = LITERAL_TYPES.get(relation.tail)
            yield Range(name, [literal] if literal else _below(schema, relation.tail))
        if relation.functional:
            yield Cardinality(name, most=1)
        if relation.symmetric:
            yield Symmetric(name)


def _below(schema: Schema, type: str) -> list[str]:
    return [one for one in schema.types if schema.is_a(one, type)]


def harvested_schema(store: GraphStore) -> Schema:
    """Return the schema that the harvests of a graph went by, as their configs keep it.

    Raises:
        SchemaError: if no harvest had one, or two of them declare a relation or type differently.
    """
    types: dict[str, TypeDef] = {}
    relations: dict[str, RelationDef] = {}
    for config in store.written("config"):
        declared = config.parameters.get("relations")
        if not isinstance(declared, Mapping):
            continue
        for name, parent in config.parameters.get("types", {}).items():
            _agree(types, TypeDef(name, parent))
        for name, values in declared.items():
            lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
            _agree(relations, RelationDef(name, **{**values, **lists, "seeds": ()}))
    if not relations:
        raise SchemaError(
            f"no harvest of {store.uri} went by a schema: name the file with the rules (--schema)"
        )
    return Schema(types, relations, store.uri)


def _agree[T: (TypeDef, RelationDef)](known: dict[str, T], new: T) -> None:
    if known.setdefault(new.name, new) != new:
        raise SchemaError(
            f"two harvests of this graph declare {new.name!r} differently: name the file with the "
            "rules that you mean (--schema)"
        )
