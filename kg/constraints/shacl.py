"""Rules as SHACL shapes, for tools that check RDF (https://www.w3.org/TR/shacl/).

| rule | shape |
|---|---|
| `Relations` | `sh:closed` |
| `Types` | `sh:in` |
| `Domain`, `Range` | `sh:class` or `sh:datatype`; several types by `sh:or` |
| `Cardinality` | `sh:minCount`, `sh:maxCount` |
| `Disjoint` | one shape per group but the last, `sh:not` |
| `MaxWords` | `sh:pattern` of the label |
| `Symmetric`, `Acyclic(relations)` | `sh:sparql` |
| `MinEdges`, `MaxEdges` | `sh:sparql`, whose focus is the base IRI |
| `Arity`, `Connected`, `Covers`, `Acyclic()` | none: they are about a text or any predicate |

The shapes are for the RDF that `kg.exchange.rdf` writes: entities of the class `sheaf:Entity` with
an `rdfs:label` and an `rdf:type` per type, one predicate per relation. A reader of SHACL also
refuses literals that their datatype does not allow, such as `"1867"^^xsd:date`; `Range` looks at
the datatype alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
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
from kg.exchange.rdf.terms import BASE, DCT, SKOS, VOCABULARY, XSD, relation_iri, type_iri
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
    """Return the rules as SHACL shapes.

    The rule's name is the shape's `sh:name` and what it is about its `sh:description`.

    Args:
        rules: any; those that SHACL cannot say are named in the answer.
        base: what the IRIs of the RDF begin with, as given to `kg.exchange.rdf.write_rdf`.

    >>> shapes = shapes_of([Domain("BORN_IN", ["Person"]), Cardinality("BORN_IN", most=1)])
    >>> "sh:class <urn:sheaf:type/Person>" in shapes.turtle, shapes.left_out
    (True, ())
    """
    blocks, left_out = [_PREFIXES], []
    for number, rule in enumerate(rules):
        bodies = _bodies(rule, base)
        if not bodies:
            left_out.append(rule)
        for part, body in enumerate(bodies):
            iri = f"<{base}shape/{number}/{part}>"
            about = f"sh:name {_text(rule.name)} ; sh:description {_text(rule.about)} ;"
            blocks.append("\n    ".join([f"{iri} a sh:NodeShape ; {about}", *body, "."]))
    return Shapes("\n\n".join(blocks) + "\n", tuple(left_out))


def _bodies(rule: Rule, base: str) -> list[list[str]]:
    """Return the lines of a rule's shapes after their names, none if SHACL has no word for it."""
    if isinstance(rule, Disjoint):
        return list(_apart(rule.groups, base))
    body = _body(rule, base)
    return [body] if body else []


def _body(rule: Rule, base: str) -> list[str]:
    entities = f"sh:targetClass <{VOCABULARY}Entity> ;"
    match rule:
        case Domain():
            return [f"sh:targetSubjectsOf {_of(rule, base)} ;", _any_of(rule.types, base)]
        case Range():
            subjects = f"sh:targetSubjectsOf {_of(rule, base)} ;"
            return [subjects, _property(_of(rule, base), _any_of(rule.types, base))]
        case Cardinality():
            targets = [f"sh:targetClass <{type_iri(base, type)}> ;" for type in sorted(rule.types)]
            bounds = [f"sh:minCount {rule.least}"] if rule.least else []
            bounds += [] if rule.most is None else [f"sh:maxCount {rule.most}"]
            return [*(targets or [entities]), _property(_of(rule, base), *bounds)]
        case MaxWords():
            words = f"^[^ ]*( [^ ]*){{0,{rule.most - 1}}}$"
            return [
                entities,
                _property("rdfs:label", "sh:minLength 1", f"sh:pattern {_text(words)}"),
            ]
        case Relations():
            known = [f"<{relation_iri(base, name)}>" for name in sorted(rule.vocabulary)]
            ignored = f"sh:ignoredProperties ( {' '.join(_DESCRIBING)} ) ;"
            return [entities, "sh:closed true ;", ignored, " ;\n    ".join(map(_property, known))]
        case Types():
            known = [f"<{type_iri(base, name)}>" for name in sorted(rule.vocabulary)]
            listed = " ".join([f"<{VOCABULARY}Entity>", *known])
            return [entities, _property("rdf:type", f"sh:in ( {listed} )")]
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
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> ."""
#: What an entity has in RDF besides its triples.
_DESCRIBING: Final = (
    "rdf:type",
    "rdfs:label",
    f"<{SKOS}altLabel>",
    f"<{DCT}description>",
    f"<{DCT}identifier>",
    *(f"<{VOCABULARY}{name}>" for name in ("types", "iri", "props")),
)


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


def _property(path: str, *constraints: str) -> str:
    return f"sh:property [ {' ; '.join([f'sh:path {path}', *constraints])} ]"


def _apart(groups: tuple[frozenset[str], ...], base: str) -> Iterator[list[str]]:
    """Yield a shape for each group but the last: its nodes have no type of a later group."""
    for place, group in enumerate(groups[:-1]):
        targets = [f"sh:targetClass <{type_iri(base, type)}> ;" for type in sorted(group)]
        later = sorted(frozenset().union(*groups[place + 1 :]))
        listed = " ".join(f"<{type_iri(base, type)}>" for type in later)
        yield [*targets, _property("rdf:type", f"sh:not [ sh:in ( {listed} ) ]")]


def _counted(condition: str, base: str) -> list[str]:
    """Return a constraint on the number of edges; its focus is the base IRI, for the graph."""
    begins = f"STRSTARTS(STR(?relation), {_text(relation_iri(base, ''))})"
    edges = f"?head ?relation ?tail . FILTER ({begins})"
    count = f"SELECT $this (COUNT(?relation) AS ?edges) {{ OPTIONAL {{ {edges} }} }} GROUP BY $this"
    select = f"SELECT $this (?edges AS ?value) {{ {{ {count} }} FILTER ({condition}) }}"
    return [f"sh:targetNode <{base}> ;", _sparql(select)]


def _sparql(select: str) -> str:
    return f"sh:sparql [ a sh:SPARQLConstraint ; sh:select {_text(select)} ]"


def _text(value: str) -> str:
    """Return a string of Turtle or SPARQL; JSON's escapes are a part of theirs."""
    return json.dumps(value, ensure_ascii=False)
