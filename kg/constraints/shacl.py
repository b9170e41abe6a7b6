"""Rules as SHACL shapes, for tools that check RDF (https://www.w3.org/TR/shacl/).

| rule | shape |
|---|---|
| `Domain`, `Range` | `sh:class` or `sh:datatype`; several types by `sh:or` |
| `Cardinality` | `sh:minCount`, `sh:maxCount` |
| `MaxWords` | `sh:pattern` of the label |
| `Relations`, `Types`, `Disjoint`, `Symmetric`, `Acyclic(relations)` | `sh:sparql` |
| `MinEdges`, `MaxEdges` | `sh:sparql`, whose focus is the base IRI |
| `Arity`, `Connected`, `Covers`, `Acyclic()` | none: they are about a text or any predicate |

The shapes are for the RDF that `kg.exchange.rdf` writes: entities with an `rdfs:label` and an
`rdf:type` per type, one predicate per relation. A reader of SHACL also refuses literals that their
datatype does not allow, such as `"1867"^^xsd:date`; `Range` looks at the datatype alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

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
from kg.exchange.rdf.terms import BASE, VOCABULARY, XSD, relation_iri, type_iri
from kg.records import LITERAL_TYPES

__all__ = ["Shapes", "shapes_of"]


@dataclass(frozen=True, slots=True)
class Shapes:
    """The shapes of a set of rules."""

    #: A Turtle document.
    turtle: str
    #: Rules that SHACL cannot say.
    left_out: tuple[Rule, ...]


def shapes_of(rules: Iterable[Rule], *, base: str = BASE) -> Shapes:
    """Return the rules as SHACL shapes, one node shape per rule.

    The rule's name is the shape's `sh:name` and what it is about its `sh:description`. Rules about
    the number of edges have the base itself for their focus node.

    Args:
        rules: any; those that SHACL cannot say are named in the answer.
        base: what the IRIs of the RDF begin with, as given to `kg.exchange.rdf.write_rdf`.

    >>> shapes = shapes_of([Domain("BORN_IN", ["Person"]), Cardinality("BORN_IN", most=1)])
    >>> "sh:class <urn:sheaf:type/Person>" in shapes.turtle, shapes.left_out
    (True, ())
    """
    blocks, left_out = [_PREFIXES], []
    for number, rule in enumerate(rules):
        body = _body(rule, base)
        if not body:
            left_out.append(rule)
            continue
        about = [_text(rule.name), _text(rule.about)]
        head = f"<{base}shape/{number}> a sh:NodeShape ; sh:name {about[0]} ;"
        blocks.append("\n    ".join([head, f"sh:description {about[1]} ;", *body, "."]))
    return Shapes("\n\n".join(blocks) + "\n", tuple(left_out))


def _body(rule: Rule, base: str) -> list[str]:
    """Return the lines of a rule's shape after its name, none if SHACL has no word for it."""
    entities = "sh:targetSubjectsOf rdfs:label ;"
    match rule:
        case Domain():
            return [f"sh:targetSubjectsOf {_of(rule, base)} ;", _any_of(rule.types, base)]
        case Range():
            path = f"sh:path {_of(rule, base)} ; {_any_of(rule.types, base)}"
            return [f"sh:targetSubjectsOf {_of(rule, base)} ;", f"sh:property [ {path} ]"]
        case Cardinality():
            targets = [f"sh:targetClass <{type_iri(base, type)}> ;" for type in sorted(rule.types)]
            bounds = [f"sh:minCount {rule.least}"] if rule.least else []
            bounds += [] if rule.most is None else [f"sh:maxCount {rule.most}"]
            path = " ; ".join([f"sh:path {_of(rule, base)}", *bounds])
            return [*(targets or [entities]), f"sh:property [ {path} ]"]
        case Disjoint():
            value, other = (_group_of(name, rule.groups, base) for name in ("?value", "?other"))
            apart = f"FILTER ({value} >= 0 && {other} >= 0 && {value} != {other})"
            return [
                entities,
                _sparql(f"SELECT $this ?value {{ $this a ?value, ?other . {apart} }}"),
            ]
        case MaxWords():
            words = f"^[^ ]*( [^ ]*){{0,{rule.most - 1}}}$"
            path = f"sh:path rdfs:label ; sh:minLength 1 ; sh:pattern {_text(words)}"
            return [entities, f"sh:property [ {path} ]"]
        case Relations():
            known = [relation_iri(base, name) for name in rule.vocabulary]
            unknown = _unknown("?path", relation_iri(base, ""), known)
            return [
                entities,
                _sparql(f"SELECT $this ?path ?value {{ $this ?path ?value . {unknown} }}"),
            ]
        case Types():
            known = [type_iri(base, name) for name in rule.vocabulary]
            unknown = _unknown("?value", type_iri(base, ""), known)
            return [entities, _sparql(f"SELECT $this ?value {{ $this a ?value . {unknown} }}")]
        case Symmetric():
            larger = "FILTER (isIRI(?value) && STR(?value) < STR($this))"
            edge = f"$this {_of(rule, base)} ?value . {larger}"
            target = f"sh:targetSubjectsOf {_of(rule, base)} ;"
            return [target, _sparql(f"SELECT $this ?value {{ {edge} }}")]
        case MinEdges():
            return _counted(f"?edges < {rule.least}", base)
        case MaxEdges():
            return _counted(f"?edges > {rule.most}", base)
        case Acyclic() if rule.relations:
            path = "|".join(f"<{relation_iri(base, name)}>" for name in sorted(rule.relations))
            return [entities, _sparql(f"SELECT $this {{ $this ({path})+ $this }}")]
    return []


_PREFIXES: Final = """@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> ."""


def _of(rule: OfRelation, base: str) -> str:
    return f"<{relation_iri(base, rule.relation)}>"


def _any_of(types: Collection[str], base: str) -> str:
    """Return the constraint that a value has one of the types or datatypes."""
    forms = [_is_a(type, base) for type in sorted(types)]
    return forms[0] if len(forms) == 1 else f"sh:or ( {' '.join(f'[ {form} ]' for form in forms)} )"


def _is_a(type: str, base: str) -> str:
    if type in LITERAL_TYPES.values():
        return f"sh:datatype <{_datatype(type)}>"
    return f"sh:class <{type_iri(base, type)}>"


def _datatype(name: str) -> str:
    """Return the IRI of one of the datatypes that a schema can ask for."""
    prefix, _, local = name.partition(":")
    return (XSD if prefix == "xsd" else VOCABULARY) + local


def _group_of(variable: str, groups: tuple[frozenset[str], ...], base: str) -> str:
    """Return the expression for the number of the group that a type is in, -1 for none."""
    expression = "-1"
    for number, group in enumerate(groups):
        listed = ", ".join(f"<{type_iri(base, type)}>" for type in sorted(group))
        expression = f"IF({variable} IN ({listed}), {number}, {expression})"
    return expression


def _counted(condition: str, base: str) -> list[str]:
    """Return a constraint on the number of edges; its focus is the base IRI, for the graph."""
    begins = f"STRSTARTS(STR(?relation), {_text(relation_iri(base, ''))})"
    edges = f"?head ?relation ?tail . FILTER ({begins})"
    count = f"SELECT $this (COUNT(?relation) AS ?edges) {{ OPTIONAL {{ {edges} }} }} GROUP BY $this"
    select = f"SELECT $this (?edges AS ?value) {{ {{ {count} }} FILTER ({condition}) }}"
    return [f"sh:targetNode <{base}> ;", _sparql(select)]


def _unknown(variable: str, base: str, known: Iterable[str]) -> str:
    listed = ", ".join(f"<{iri}>" for iri in sorted(known))
    begins = f"STRSTARTS(STR({variable}), {_text(base)})"
    return f"FILTER ({begins} && {variable} NOT IN ({listed}))"


def _sparql(select: str) -> str:
    return f"sh:sparql [ a sh:SPARQLConstraint ; sh:select {_text(select)} ]"


def _text(value: str) -> str:
    """Return a string of Turtle or SPARQL; JSON's escapes are a part of theirs."""
    return json.dumps(value, ensure_ascii=False)
