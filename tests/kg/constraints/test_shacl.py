"""Our rules and their SHACL shapes, read by pySHACL, say the same of the same data."""

from __future__ import annotations

import random

import pyshacl
import pytest
import rdflib
from rdflib import RDF, RDFS, SH

import kg
from kg.constraints import (
    Acyclic,
    Arity,
    Cardinality,
    Connected,
    Covers,
    Disjoint,
    Domain,
    Edge,
    LabelledGraph,
    MaxEdges,
    MaxWords,
    MinEdges,
    Node,
    Range,
    Relations,
    Rule,
    Symmetric,
    Types,
    rules_of,
    validate,
)
from kg.constraints.shacl import shapes_of
from kg.exchange.rdf import to_rdflib
from kg.exchange.rdf.terms import VOCABULARY, XSD, relation_iri, type_iri
from kg.schema import Schema
from tests.kg.sample_graph import fill

SAFE = "http://example.org/"
RULES: list[Rule] = [
    Relations(["knows", "born in", "born_on", "part_of"]),
    Types(["Person", "Place", "City"]),
    MaxWords(2),
    Domain("knows", ["Person"]),
    Domain("born in", ["Person", "City"]),
    Range("born in", ["City", "Place"]),
    Range("born_on", ["xsd:date"]),
    Range("part_of", ["Place", "kg:quantity"]),
    Cardinality("born in", most=1),
    Cardinality("knows", most=1),
    Cardinality("born in", least=1, types=["Person"]),
    Cardinality("part_of", least=1, most=1, types=["City", "Village"]),
    Symmetric("knows"),
    Disjoint((frozenset({"Person"}), frozenset({"City", "Place"}), frozenset({"Work"}))),
    MinEdges(5),
    MaxEdges(9),
    Acyclic(["part_of", "knows"]),
]


def random_graph(seed: int) -> LabelledGraph:
    """A graph in which every rule is kept by some places and broken by others."""
    chance = random.Random(seed)
    kinds = ["Person", "Place", "City", "Work", "Village"]
    names = ["ann", "bob smith", "rome", "new york city", 'é "x"', "z"]
    nodes = [
        Node(f"e_{n}", name, tuple(chance.sample(kinds, chance.choice([0, 1, 1, 2]))))
        for n, name in enumerate(names)
    ]
    literals = [
        Node("l_1", "1867-11-07", ("xsd:date",), literal=True),
        Node("l_2", "5 km", ("kg:quantity",), literal=True),
    ]
    edges = {}
    for _ in range(chance.randrange(20)):
        relation = chance.choice(["knows", "born in", "born_on", "part_of", "hates"])
        edge = Edge(chance.choice(nodes), relation, chance.choice(nodes + literals))
        edges[edge.key] = edge
    return LabelledGraph(tuple(edges.values()), tuple(nodes))


def as_rdf(graph: LabelledGraph, base: str) -> rdflib.Graph:
    data = rdflib.Graph()

    def term(node: Node) -> rdflib.term.Node:
        if node.literal:
            prefix, _, name = node.types[0].partition(":")
            datatype = (XSD if prefix == "xsd" else VOCABULARY) + name
            return rdflib.Literal(node.name, datatype=rdflib.URIRef(datatype))
        return rdflib.URIRef(base + node.id)

    for node in graph.nodes():
        if not node.literal:
            data.add((term(node), RDF.type, rdflib.URIRef(VOCABULARY + "Entity")))
            data.add((term(node), RDFS.label, rdflib.Literal(node.name)))
            for type in node.types:
                data.add((term(node), RDF.type, rdflib.URIRef(type_iri(base, type))))
    for edge in graph.edges():
        relation = rdflib.URIRef(relation_iri(base, edge.relation))
        data.add((term(edge.head), relation, term(edge.tail)))
    return data


def by_shacl(graph: LabelledGraph, rules: list[Rule], base: str) -> set[tuple[int, str]]:
    """Return (number of the rule, id of the focus node) of every result."""
    return results(as_rdf(graph, base), rules, base)


def results(data: rdflib.Graph, rules: list[Rule], base: str) -> set[tuple[int, str]]:
    shapes = rdflib.Graph().parse(data=shapes_of(rules, base=base).turtle, format="turtle")
    _, report, _ = pyshacl.validate(data, shacl_graph=shapes)
    found = set()
    for result in report.subjects(RDF.type, SH.ValidationResult):
        shape = report.value(result, SH.sourceShape)
        while not str(shape).startswith(f"{base}shape/"):
            shape = shapes.value(predicate=SH.property, object=shape)
        focus = str(report.value(result, SH.focusNode)).removeprefix(base)
        found.add((int(str(shape).split("/")[-2]), focus))
    return found


def by_us(graph: LabelledGraph, rules: list[Rule]) -> set[tuple[int, str]]:
    found = set()
    for number, rule in enumerate(rules):
        for failed in validate(graph, [rule], examples=10_000).failed:
            for violation in failed.examples:
                ends = [*violation.nodes, *(edge.head for edge in violation.edges)]
                if isinstance(rule, MinEdges | MaxEdges):
                    found.add((number, ""))
                elif isinstance(rule, Acyclic):
                    found.update((number, node.id) for node in violation.nodes)
                elif isinstance(rule, Range):
                    found.add((number, violation.edges[0].head.id))
                else:
                    found.add((number, ends[0].id))
    return found


def test_reports_agree_on_random_graphs() -> None:
    met: set[int] = set()
    for seed in range(16):
        graph = random_graph(seed)
        ours = by_us(graph, RULES)
        assert by_shacl(graph, RULES, SAFE) == ours, seed
        met.update(number for number, _ in ours)
    assert met == set(range(len(RULES)))  # every rule was broken somewhere


def test_reports_agree_on_a_schema() -> None:
    schema = Schema.parse(
        """
        types: {Person: {}, Place: {}, City: {parent: Place}, Work: {}}
        relations:
          born in: {head: Person, tail: Place, functional: true}
          knows: {head: Person, tail: Person, symmetric: true}
          born_on: {head: Person, tail: date}
          good at: {roles: [part_of, hates]}
        """
    )
    rules = list(rules_of(schema))
    assert shapes_of(rules).left_out == ()
    for seed in range(10):
        graph = random_graph(seed)
        edges = (e._replace(relation=e.relation.upper().replace(" ", "_")) for e in graph.edges())
        graph = LabelledGraph(tuple(edges), graph.lone)
        assert by_shacl(graph, rules, SAFE) == by_us(graph, rules), seed


def test_reports_agree_on_what_a_store_exports() -> None:
    """The shapes and the export of RDF have the same names for the same things."""
    store = kg.open_graph("memory://")
    fill(store)
    schema = Schema.parse(
        """
        types: {Person: {}, Place: {}, Organization: {}}
        relations:
          born_in: {head: Person, tail: Organization}
          spouse: {head: Person, tail: Person, symmetric: true}
          employer: {head: Place, tail: Organization}
          date of birth: {head: Person, tail: number}
        """
    )
    rules = [*rules_of(schema), MinEdges(6), Cardinality("SPOUSE", least=1, types=["City"])]
    found = results(to_rdflib(store).default_graph, rules, "urn:sheaf:")
    broken = {(rules[number].name, rules[number].about) for number, _ in found}
    report = validate(store, rules)
    assert broken == {(one.rule, one.about) for one in report.failed}
    assert ("Range", "BORN_IN") in broken
    assert ("Range", "DATE_OF_BIRTH") in broken
    assert ("MinEdges", "") in broken
    store.close()


def test_hostile_names_are_quoted() -> None:
    hostile = 'a> "b" \\ \n{é}'
    rules: list[Rule] = [Domain(hostile, [hostile]), Relations([hostile]), MaxWords(5)]
    graph = LabelledGraph.of([("x", hostile, "y"), ("y", "other", "x")], types={"x": [hostile]})
    assert by_us(graph, rules) == {(1, "y")}
    assert by_shacl(graph, rules, SAFE) == {(1, "y")}


def test_rules_about_texts_are_left_out_and_named() -> None:
    rules: list[Rule] = [Arity(), Connected(), Covers("text", 1), Acyclic(), MaxWords(1)]
    assert [rule.name for rule in shapes_of(rules).left_out] == [
        "Arity", "Connected", "Covers", "Acyclic",
    ]  # fmt: skip


def test_shacl_also_refuses_what_a_datatype_does_not_allow() -> None:
    """The one difference: a year is no xsd:date."""
    year = Node("l_1", "1867", ("xsd:date",), literal=True)
    graph = LabelledGraph((Edge(Node("e_1", "ann", ("Person",)), "born_on", year),))
    rules: list[Rule] = [Range("born_on", ["xsd:date"])]
    assert by_us(graph, rules) == set()
    assert by_shacl(graph, rules, SAFE) == {(0, "e_1")}


@pytest.mark.parametrize("number", range(len(RULES)))
def test_each_rule_is_one_shape_with_its_name(number: int) -> None:
    shapes = rdflib.Graph().parse(data=shapes_of([RULES[number]]).turtle, format="turtle")
    shape = rdflib.URIRef("urn:sheaf:shape/0/0")
    assert str(shapes.value(shape, SH.name)) == RULES[number].name
    assert str(shapes.value(shape, SH.description)) == RULES[number].about
