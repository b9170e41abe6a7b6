"""Each rule on graphs whose verdict is known, and what it says of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    validate,
)
from kg.errors import KgError

TRIPLES = [("ann", "born_in", "rome"), ("bob", "born_in", "rome"), ("ann", "spouse", "bob")]
TYPES = {"ann": ["Person"], "bob": ["Person"], "rome": ["City", "Place"]}
GRAPH = LabelledGraph.of(TRIPLES, types=TYPES)


@pytest.mark.parametrize(
    "rule",
    [
        Arity(), MinEdges(3), MaxEdges(3), Connected(), Acyclic(), MaxWords(1),
        Relations(["born_in", "spouse"]), Types(["Person", "City", "Place"]),
        Domain("born_in", ["Person"]), Range("born_in", ["Place"]), Range("born_in", ["City"]),
        Cardinality("born_in", most=1), Cardinality("born_in", least=1, types=["Person"]),
        Symmetric("spouse"), Covers("Ann met Bob", 2), Domain("unused", ["Person"]),
        Disjoint((frozenset({"Person"}), frozenset({"City", "Place"}))),
    ],
    ids=repr,
)  # fmt: skip
def test_holds(rule: Rule) -> None:
    report = validate(GRAPH, [rule])
    assert report.ok
    assert report.failed == ()
    assert (report.nodes, report.edges) == (3, 3)


@pytest.mark.parametrize(
    ("rule", "count", "message", "about"),
    [
        (MinEdges(4), 1, "3 edges, at least 4", ""),
        (MaxEdges(2), 1, "3 edges, at most 2", ""),
        (Relations(["spouse"]), 2, "'born_in' is not among", ""),
        (Types(["Person", "Place"]), 1, "'rome' has the unknown type 'City'", ""),
        (Domain("born_in", ["Place"]), 2, "'ann' is of type 'Person', not Place", "born_in"),
        (Range("born_in", ["xsd:date", "Village"]), 2, "not Village or xsd:date", "born_in"),
        (Cardinality("born_in", least=2, types=["Person"]), 2, "'ann' has 1 of at", "born_in"),
        (Cardinality("spouse", most=0), 1, "'ann' has 1 of at most 0", "spouse"),
        (Symmetric("born_in"), 0, "", "born_in"),
        (Covers("anna", 2, of="belief"), 1, "1 names stand in the belief: ann", "belief"),
        (Covers("anna", 1, whole_words=True), 1, "0 names stand", "text"),
        (Disjoint((frozenset({"City"}), frozenset({"Place"}))), 1, "'City' and 'Place'", ""),
    ],
    ids=lambda value: repr(value) if isinstance(value, Rule) else None,
)
def test_breaks_and_says_where(rule: Rule, count: int, message: str, about: str) -> None:
    report = validate(GRAPH, [rule])
    assert sum(failed.count for failed in report.failed) == count
    for failed in report.failed:
        assert (failed.rule, failed.about) == (type(rule).__name__, about)
        assert message in failed.examples[0].message


def test_cardinality_counts_different_tails() -> None:
    twice = [("ann", "born_in", "rome"), ("ann", "born_in", "rome")]
    assert validate(twice, [Cardinality("born_in", most=1)]).ok
    report = validate([*twice, ("ann", "born_in", "oslo")], [Cardinality("born_in", most=1)])
    (violation,) = report.failed[0].examples
    assert [edge.tail.name for edge in violation.edges] == ["rome", "oslo"]


def test_lower_bound_concerns_nodes_without_any_edge() -> None:
    graph = LabelledGraph.of([], types={"eve": ["Person"], "rome": ["City"]})
    report = validate(graph, [Cardinality("born_in", least=1, types=["Person"])])
    assert [node.name for node in report.failed[0].examples[0].nodes] == ["eve"]


def test_untyped_end_is_reported_and_says_so() -> None:
    report = validate([("x", "born_in", "y")], [Domain("born_in", ["Person"])])
    assert "'x' has no type, not Person" in str(report)


def test_literals_have_no_words_and_no_entity_types() -> None:
    day = Node("l_1", "7 November of the year 1867", ("xsd:date",), literal=True)
    graph = LabelledGraph((Edge(Node("a", "ann", ("Person",)), "born_on", day),))
    rules = [MaxWords(2), Types(["Person"]), Range("born_on", ["xsd:date"])]
    assert validate(graph, rules).ok
    assert not validate(graph, [Range("born_on", ["Place"])]).ok


@pytest.mark.parametrize(
    ("name", "fits"),
    [("", False), ("one", True), ("a b c", True), ("a b c d", False), ("a  b ", False)],
)
def test_words_are_separated_by_single_spaces(name: str, fits: bool) -> None:
    """As the validator of ExplaGraphs counts: "a  b " has two empty words."""
    assert validate([(name, "is a", "x")], [MaxWords(3)]).ok is fits


def test_circle_is_named_and_a_loop_is_one() -> None:
    report = validate(
        [("a", "r", "b"), ("b", "r", "c"), ("c", "r", "a"), ("c", "r", "d")], [Acyclic()]
    )
    violation = report.failed[0].examples[0]
    assert violation.message == "a → b → c → a is a circle"
    assert {node.id for node in violation.nodes} == {"a", "b", "c"}
    assert not validate([("a", "r", "a")], [Acyclic()]).ok
    assert validate([("a", "r", "b"), ("a", "r", "b"), ("a", "s", "b")], [Acyclic()]).ok


def test_circle_of_other_relations_is_none() -> None:
    circle = [("a", "part of", "b"), ("b", "near", "a")]
    assert validate(circle, [Acyclic(["part of"])]).ok
    assert not validate(circle, [Acyclic(["part of", "near"])]).ok


def test_every_piece_but_the_largest_is_reported() -> None:
    graph = LabelledGraph.of(
        [("a", "r", "b"), ("b", "r", "c"), ("d", "r", "e")], types={"lone": ["Person"]}
    )
    messages = [one.message for one in validate(graph, [Connected()]).failed[0].examples]
    assert messages == ["'d', 'e' are not linked to the rest", "'lone' is not linked to the rest"]


def test_parallel_edges_stay_apart() -> None:
    """A simple directed graph would hold one edge here."""
    parallel = [("a", "is a", "b"), ("a", "part of", "b"), ("a", "is a", "b")]
    assert validate(parallel, [MinEdges(3)]).ok
    assert not validate(parallel, [Relations(["is a"])]).ok


def test_a_letter_is_a_part_of_a_text_but_no_word_of_it() -> None:
    graph = LabelledGraph.of([("a", "is a", "n")])
    assert validate(graph, [Covers("Cannabis", 2)]).ok
    assert not validate(graph, [Covers("Cannabis", 1, whole_words=True)]).ok
    assert validate(graph, [Covers("a cat (A, n)", 2, whole_words=True)]).ok


def test_text_that_is_no_edge_leaves_the_other_rules_open() -> None:
    graph = LabelledGraph.parse("(a; is a; b)(b; causes: c)(x; y)")
    rules = [MinEdges(3), MaxEdges(2), Arity(), Connected(), Acyclic(), Relations([])]
    report = validate(graph, rules)
    assert report.broken == {"Arity", "MaxEdges"}
    assert report.unjudged == ("Connected", "Acyclic", "Relations")
    assert report.failed[1].count == 2


@pytest.mark.parametrize("text", ["", "(", "()", "a; is a; b", "(a; is a; b", "no graph", ")("])
def test_text_without_its_brackets_is_unreadable(text: str) -> None:
    assert not validate(LabelledGraph.parse(text), [Arity()]).ok


_names = st.text(st.characters(blacklist_characters=";()"), min_size=1).map(str.strip)


@given(st.lists(st.tuples(_names, _names, _names), min_size=1))
def test_text_round_trip(triples: list[tuple[str, str, str]]) -> None:
    graph = LabelledGraph.of(triples)
    again = LabelledGraph.parse(graph.text)
    assert [edge.key for edge in again.edges()] == triples
    assert again.unreadable == ()


def test_examples_are_limited_and_all_are_counted() -> None:
    report = validate([(f"n{i}", "?", "x") for i in range(20)], [Relations(["r"])], examples=3)
    assert (report.failed[0].count, len(report.failed[0].examples)) == (20, 3)
    assert validate([("a", "?", "b")], [Relations(["r"])], examples=0).failed[0].count == 1
    assert str(validate([("a", "?", "b")], [Relations([])], examples=0)) == "Relations: 1"
    assert str(validate([("a", "?", "b")], [])) == "every rule holds"


def test_a_rule_can_be_used_again() -> None:
    rules = [MinEdges(2), Connected(), Cardinality("r", most=1), Covers("a", 1), Acyclic()]
    graphs = [[("a", "r", "b")], [("a", "r", "b"), ("c", "r", "d")], [("a", "r", "b")]]
    first, second, third = (validate(graph, rules).broken for graph in graphs)
    assert first == third == {"MinEdges"}
    assert second == {"Connected"}


@pytest.mark.parametrize(
    "make",
    [
        lambda: MaxWords(0),
        lambda: Cardinality("r", least=-1),
        lambda: Cardinality("r", least=2, most=1, types=["X"]),
        lambda: Cardinality("r", least=1),
        lambda: Covers("text", 0),
        lambda: Relations("born_in"),
        lambda: Domain("born_in", "Person"),
    ],
)
def test_rule_that_makes_no_sense_is_refused(make) -> None:
    with pytest.raises(KgError, match=r"bound|give a list"):
        make()
