"""Rules as SHACL shapes, for tools that check RDF (https://www.w3.org/TR/shacl/).

| rule | shape |
|---|---|
| `Domain`, `Range` | `sh:class` or `sh:datatype`; several types by `sh:or` |
| `Cardinality` | `sh:minCount`, `sh:maxCount` |
| `Disjoint` | `sh:not` |
| `MaxWords` | `sh:pattern` of the label |
| `Relations`, `Types`, `Symmetric`, `MinEdges`, `MaxEdges`, `Acyclic(relations)` | `sh:sparql` |
| `Arity`, `Connected`, `Covers`, `Acyclic()` | none: they are about a text or any predicate |

The shapes expect entities with an `rdfs:label`, an `rdf:type` per type, and one predicate per
relation. A reader of SHACL also refuses literals that their datatype does not allow, such as
`"1867"^^xsd:date`; `Range` looks at the datatype alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from kg.constraints.rules import (
    Cardinality,
    Disjoint,
    Domain,
    MaxWords,
    OfRelation,
    Range,
    Relations,
    Rule,
    Symmetric,
    Types,
)
from kg.constraints.structure import Acyclic, MaxEdges, MinEdges
from kg.records import LITERAL_TYPES

__all__ = ["Names", "Shapes", "shapes_of"]

_XSD: Final = "http://www.w3.org/2001/XMLSchema#"


@dataclass(frozen=True, slots=True)
class Names:
    """The IRIs of relations, types and datatypes in the RDF that is checked."""

    base: str = "urn:sheaf:"

    @property
    def relations(self) -> str:
        """Return what every relation's IRI begins with."""
        return f"{self.base}relation/"

    @property
    def types(self) -> str:
        """Return what every type's IRI begins with."""
        return f"{self.base}type/"

    def entity(self, id: str) -> str:
        """Return the IRI of a node by its id."""
        return self.base + quote(id, safe="")

    def relation(self, name: str) -> str:
        """Return the IRI of a relation."""
        return self.relations + quote(name, safe="")

    def type(self, name: str) -> str:
        """Return the IRI of a type."""
        return self.types + quote(name, safe="")

    def datatype(self, name: str) -> str:
        """Return the IRI of a literal's datatype.

        >>> Names().datatype("xsd:date"), Names("http://x/").datatype("kg:quantity")
        ('http://www.w3.org/2001/XMLSchema#date', 'http://x/datatype/quantity')
        """
        prefix, _, local = name.partition(":")
        return _XSD + local if prefix == "xsd" else f"{self.base}datatype/{quote(local, safe='')}"


@dataclass(frozen=True, slots=True)
class Shapes:
    """The shapes of a set of rules."""

    #: A Turtle document.
    turtle: str
    #: Rules that SHACL cannot say.
    left_out: tuple[Rule, ...]


def shapes_of(rules: Iterable[Rule], *, names: Names | None = None) -> Shapes:
    """Return the rules as SHACL shapes, one node shape per rule.

    The rule's name is the shape's `sh:name` and what it is about its `sh:description`.

    >>> shapes = shapes_of([Domain("BORN_IN", ["Person"]), Cardinality("BORN_IN", most=1)])
    >>> "sh:class <urn:sheaf:type/Person>" in shapes.turtle, shapes.left_out
    (True, ())
    """
    naming = names or Names()
    blocks, left_out = [_PREFIXES], []
    for number, rule in enumerate(rules):
        body = _body(rule, naming)
        if not body:
            left_out.append(rule)
            continue
        about = [_text(rule.name), _text(rule.about)]
        head = f"<{naming.base}shape/{number}> a sh:NodeShape ; sh:name {about[0]} ;"
        blocks.append("\n    ".join([head, f"sh:description {about[1]} ;", *body, "."]))
    return Shapes("\n\n".join(blocks) + "\n", tuple(left_out))


def _body(rule: Rule, names: Names) -> list[str]:
    """Return the lines of a rule's shape after its name, none if SHACL has no word for it."""
    entities = "sh:targetSubjectsOf rdfs:label ;"
    match rule:
        case Domain():
            return [f"sh:targetSubjectsOf {_of(rule, names)} ;", _any_of(rule.types, names)]
        case Range():
            path = f"sh:path {_of(rule, names)} ; {_any_of(rule.types, names)}"
            return [f"sh:targetSubjectsOf {_of(rule, names)} ;", f"sh:property [ {path} ]"]
        case Cardinality():
            targets = [f"sh:targetClass <{names.type(type)}> ;" for type in sorted(rule.types)]
            bounds = [f"sh:minCount {rule.least}"] if rule.least else []
            bounds += [] if rule.most is None else [f"sh:maxCount {rule.most}"]
            path = " ; ".join([f"sh:path {_of(rule, names)}", *bounds])
            return [*(targets or [entities]), f"sh:property [ {path} ]"]
        case Disjoint():
            return [entities, *_at_most_one(rule.groups, names)]
        case MaxWords():
            words = f"^[^ ]*( [^ ]*){{0,{rule.most - 1}}}$"
            path = f"sh:path rdfs:label ; sh:minLength 1 ; sh:pattern {_text(words)}"
            return [entities, f"sh:property [ {path} ]"]
        case Relations():
            known = [names.relation(name) for name in rule.vocabulary]
            unknown = _unknown("?path", names.relations, known)
            return [
                entities,
                _sparql(f"SELECT $this ?path ?value {{ $this ?path ?value . {unknown} }}"),
            ]
        case Types():
            known = [names.type(name) for name in rule.vocabulary]
            unknown = _unknown("?value", names.types, known)
            return [entities, _sparql(f"SELECT $this ?value {{ $this a ?value . {unknown} }}")]
        case Symmetric():
            larger = "FILTER (isIRI(?value) && STR(?value) < STR($this))"
            edge = f"$this {_of(rule, names)} ?value . {larger}"
            target = f"sh:targetSubjectsOf {_of(rule, names)} ;"
            return [target, _sparql(f"SELECT $this ?value {{ {edge} }}")]
        case MinEdges():
            return _counted(f"?edges < {rule.least}", names)
        case MaxEdges():
            return _counted(f"?edges > {rule.most}", names)
        case Acyclic() if rule.relations:
            path = "|".join(f"<{names.relation(name)}>" for name in sorted(rule.relations))
            return [entities, _sparql(f"SELECT $this {{ $this ({path})+ $this }}")]
    return []


_PREFIXES: Final = """@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> ."""


def _of(rule: OfRelation, names: Names) -> str:
    return f"<{names.relation(rule.relation)}>"


def _any_of(types: Collection[str], names: Names) -> str:
    """Return the constraint that a value has one of the types or datatypes."""
    forms = [_is_a(type, names) for type in sorted(types)]
    return forms[0] if len(forms) == 1 else f"sh:or ( {' '.join(f'[ {form} ]' for form in forms)} )"


def _is_a(type: str, names: Names) -> str:
    if type in LITERAL_TYPES.values():
        return f"sh:datatype <{names.datatype(type)}>"
    return f"sh:class <{names.type(type)}>"


def _at_most_one(groups: tuple[frozenset[str], ...], names: Names) -> list[str]:
    """Return one constraint per group: not of this group, or of no other."""
    lines = []
    for group in groups:
        others = frozenset().union(*groups) - group
        this = _any_of(group, names)
        rest = _any_of(others, names)
        lines.append(f"sh:not [ sh:and ( [ {this} ] [ {rest} ] ) ]")
    return [" ;\n    ".join(lines)]


def _counted(condition: str, names: Names) -> list[str]:
    """Return a constraint on the number of edges; its focus is the base IRI, for the graph."""
    edges = f"?head ?relation ?tail . FILTER (STRSTARTS(STR(?relation), {_text(names.relations)}))"
    count = f"SELECT $this (COUNT(?relation) AS ?edges) {{ OPTIONAL {{ {edges} }} }} GROUP BY $this"
    select = f"SELECT $this (?edges AS ?value) {{ {{ {count} }} FILTER ({condition}) }}"
    return [f"sh:targetNode <{names.base}> ;", _sparql(select)]


def _unknown(variable: str, base: str, known: Iterable[str]) -> str:
    listed = ", ".join(f"<{iri}>" for iri in sorted(known))
    begins = f"STRSTARTS(STR({variable}), {_text(base)})"
    return f"FILTER ({begins} && {variable} NOT IN ({listed}))"


def _sparql(select: str) -> str:
    return f"sh:sparql [ a sh:SPARQLConstraint ; sh:select {_text(select)} ]"


def _text(value: str) -> str:
    """Return a string of Turtle or SPARQL; JSON's escapes are a part of theirs."""
    return json.dumps(value, ensure_ascii=False)
