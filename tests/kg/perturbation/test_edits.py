"""Each operator breaks its own rule and no other, by an independent judge; none repeats a fact."""

from __future__ import annotations

import random
from collections import Counter

import networkx as nx
import pytest

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
from kg.constraints.explanation_graphs import NEGATIONS, RELATIONS
from kg.errors import KgError
from kg.perturbation import OPERATORS, Edit, Meaning, perturb
from kg.schema import Schema
from tests.kg.constraints.test_shacl import SAFE, by_shacl

WORDS = "cat dog bird house tree river song rain bread wine city road moon star sea".split()
POOL = tuple(Node(name, name) for name in ("old ship", "far away", "deep lake", "warm stone"))
MEANING = Meaning(
    relations=sorted(RELATIONS),
    negations=NEGATIONS,
    symmetric=("synonym of", "antonym of"),
    nodes=POOL,
    synonyms={word: [word + "let"] for word in WORDS},
)


def explanation(seed: int) -> tuple[LabelledGraph, str, str]:
    """A right explanation graph and the two texts that it covers."""
    chance = random.Random(seed)
    names = chance.sample(WORDS, chance.choice([5, 6]))
    order = nx.gn_graph(len(names), seed=seed).edges  # a tree: new nodes point at older ones
    triples = [(names[a], chance.choice(sorted(RELATIONS)), names[b]) for a, b in order]
    chance.shuffle(triples)
    return LabelledGraph.of(triples), " ".join(names[:4]), " ".join(names[2:])


def rules_for(belief: str, argument: str) -> tuple[Rule, ...]:
    return (
        MinEdges(3), MaxEdges(6), Arity(), Relations(RELATIONS), MaxWords(3),
        Covers(belief, 2, of="belief"), Covers(argument, 2, of="argument"), Connected(), Acyclic(),
    )  # fmt: skip


def judged(graph: LabelledGraph, belief: str, argument: str) -> set[str]:
    """The same rules once more, written without ours: from the text, with networkx."""
    parts = [part.split("; ") for part in graph.text[1:-1].split(")(")]
    broken = set()
    if len(parts) < 3:
        broken.add("MinEdges")
    if len(parts) > 6:
        broken.add("MaxEdges")
    if any(len(part) != 3 for part in parts):
        return broken | {"Arity"}
    names = {name for head, _, tail in parts for name in (head, tail)}
    if any(relation not in RELATIONS for _, relation, _ in parts):
        broken.add("Relations")
    if any(not 1 <= len(name.split(" ")) <= 3 for name in names):
        broken.add("MaxWords")
    if any(sum(name in text for name in names) < 2 for text in (belief, argument)):
        broken.add("Covers")
    links = nx.DiGraph((head, tail) for head, _, tail in parts)
    if not nx.is_weakly_connected(links):
        broken.add("Connected")
    if not nx.is_directed_acyclic_graph(links):
        broken.add("Acyclic")
    return broken


def test_each_operator_breaks_its_rule_and_no_other() -> None:
    found: Counter[str] = Counter()
    for seed in range(60):
        graph, belief, argument = explanation(seed)
        assert judged(graph, belief, argument) == set()
        for keep in (False, True):
            edits = perturb(
                graph,
                rules=rules_for(belief, argument),
                meaning=MEANING,
                keep_label=keep,
                seed=seed,
            )
            for edit in edits:
                breaks = {edit.breaks} - {""}
                assert judged(edit.graph, belief, argument) == breaks, edit
                assert OPERATORS[edit.operator].breaks == edit.breaks
                assert edit.keeps_label is keep
                found[edit.operator] += 1
    rare = {"too_few_edges", "drop_edge"}  # most graphs cannot lose an edge and nothing else
    for name in {name for name, one in OPERATORS.items() if one.breaks not in TYPED}:
        assert found[name] >= (1 if name in rare else 30), (name, found)


#: Rules that a graph without types does not have.
TYPED = {"Types", "Domain", "Range", "Cardinality", "Symmetric", "Disjoint"}

SCHEMA = Schema.parse(
    """
    types: {Person: {}, Place: {}, City: {parent: Place}, Work: {}}
    relations:
      born_in: {head: Person, tail: Place, functional: true}
      knows: {head: Person, tail: Person, symmetric: true}
      wrote: {head: Person, tail: Work}
      likes: {head: Person}
    """
)


def typed(seed: int) -> LabelledGraph:
    """A graph that keeps every rule of the schema."""
    chance = random.Random(seed)
    people = [Node(f"e_{n}", f"person {n}", ("Person",)) for n in range(4)]
    places = [Node("e_7", "rome", ("City", "Place")), Node("e_8", "italy", ("Place",))]
    work = Node("e_9", "a book", ("Work",))
    edges = [Edge(person, "BORN_IN", chance.choice(places)) for person in people]
    edges.append(Edge(people[0], "KNOWS", people[chance.choice([1, 2, 3])]))
    edges.append(Edge(chance.choice(people), "WROTE", work))
    edges.append(Edge(chance.choice(people), "LIKES", chance.choice([*places, work])))
    return LabelledGraph(tuple(edges))


TYPED_RULES: list[Rule] = [
    *rules_of(SCHEMA), Cardinality("BORN_IN", least=1, types=["Person"]), MinEdges(3), MaxEdges(9),
    MaxWords(3),
]  # fmt: skip


def test_each_typed_operator_breaks_its_rule_and_no_other_for_pyshacl() -> None:
    meaning = Meaning.of(SCHEMA)
    found: Counter[str] = Counter()
    for seed in range(1):
        graph = typed(seed)
        assert validate(graph, TYPED_RULES).ok
        for edit in perturb(graph, rules=TYPED_RULES, meaning=meaning, seed=seed):
            found[edit.operator] += 1
            broken = {
                TYPED_RULES[number].name for number, _ in by_shacl(edit.graph, TYPED_RULES, SAFE)
            }
            assert broken == {edit.breaks} - {""}, edit
    assert {
        "wrong_head", "wrong_tail", "second_tail", "no_tail", "turn_round", "mixed_types",
        "unknown_type", "unknown_relation", "swap_nodes", "other_tail", "swap_relation",
    } <= set(found)  # fmt: skip


# ------------------------------------------------------------------------------- truth and facts


def edges_of(edit: Edit) -> set[tuple[str, str, str]]:
    return {edge.key for edge in edit.graph.edges()}


def test_an_edit_is_never_the_graph_itself() -> None:
    """Of a published set of negatives, 197 of 11,226 had the gold graph's edges."""
    for seed in range(30):
        graph, belief, argument = explanation(seed)
        own = {edge.key for edge in graph.edges()}
        for keep in (False, True):
            for edit in perturb(
                graph, rules=rules_for(belief, argument), meaning=MEANING, keep_label=keep, each=5
            ):
                assert edges_of(edit) != own or edit.graph.unreadable
                assert edit.added or edit.removed


def test_no_negative_is_a_known_fact() -> None:
    graph = LabelledGraph.of([("a", "near", "b"), ("b", "in", "c")])
    every = {(x, "in", y) for x in "abc" for y in "abc"} - {("a", "in", "c")}
    meaning = Meaning(relations=["near", "in"], symmetric=["near"], facts=every)
    edits = perturb(graph, rules=[Acyclic()], meaning=meaning, each=50)
    added = {edge.key for edit in edits for edge in edit.added}
    assert ("a", "in", "c") in added
    assert not added & every
    assert ("b", "near", "a") not in added  # says what the graph says


def test_a_swapped_symmetric_edge_is_no_negative() -> None:
    graph = LabelledGraph.of([("a", "synonym of", "b")])
    meaning = Meaning(symmetric=["synonym of"])
    assert perturb(graph, ["swap_ends", "swap_nodes"], rules=[], meaning=meaning) == []
    assert len(perturb(graph, ["swap_ends"], rules=[], meaning=Meaning())) == 1


def test_negation_is_known_in_both_directions() -> None:
    graph = LabelledGraph.of([("a", "is a", "b"), ("b", "not causes", "c"), ("c", "near", "d")])
    edits = perturb(graph, ["negate_relation"], meaning=MEANING, each=9)
    assert {edge.relation for edit in edits for edge in edit.added} == {"is not a", "causes"}


def test_synonyms_change_a_node_everywhere_and_keep_nodes_apart() -> None:
    graph = LabelledGraph.of([("good cat", "is a", "pet"), ("good cat", "desires", "fish")])
    meaning = Meaning(synonyms={"good": ["fine"], "pet": ["fish"], "fish": ["herring"]})
    edits = perturb(graph, keep_label=True, meaning=meaning, each=9)
    assert {edit.graph.text for edit in edits} == {
        "(fine cat; is a; pet)(fine cat; desires; fish)",
        "(good cat; is a; pet)(good cat; desires; herring)",
    }


def test_synonym_that_loses_the_text_is_no_positive() -> None:
    graph = LabelledGraph.of([("cat", "is a", "pet")])
    meaning = Meaning(synonyms={"cat": ["feline"]})
    rules = [Covers("my cat, a pet", 2)]
    assert perturb(graph, keep_label=True, rules=rules, meaning=meaning) == []


# --------------------------------------------------------------------------------- the interface


def test_same_seed_same_edits_whatever_else_is_asked() -> None:
    graph, belief, argument = explanation(1)
    rules = rules_for(belief, argument)
    every = perturb(graph, rules=rules, meaning=MEANING, seed=5, each=3)
    assert every == perturb(graph, rules=rules, meaning=MEANING, seed=5, each=3)
    alone = perturb(graph, ["swap_nodes"], rules=rules, meaning=MEANING, seed=5, each=3)
    assert alone == [edit for edit in every if edit.operator == "swap_nodes"]
    others = {perturb(graph, ["swap_nodes"], seed=seed)[0].graph.text for seed in range(10)}
    assert len(others) > 1


def test_added_and_removed_are_the_difference() -> None:
    graph = LabelledGraph.of([("a", "r", "b"), ("b", "r", "c"), ("c", "r", "d")])
    for edit in perturb(graph, each=4):
        own, changed = ({edge.key for edge in one.edges()} for one in (graph, edit.graph))
        assert {edge.key for edge in edit.added} == changed - own
        assert {edge.key for edge in edit.removed} == own - changed
    assert [edge.key for edge in graph.edges()] == [
        ("a", "r", "b"),
        ("b", "r", "c"),
        ("c", "r", "d"),
    ]


def test_a_changed_edge_has_no_id_of_a_stored_triple() -> None:
    a, b, c = (Node(name, name) for name in "abc")
    graph = LabelledGraph((Edge(a, "r", b, "t_1"), Edge(b, "r", c, "t_2")))
    for edit in perturb(graph, ["swap_ends", "other_tail", "add_cycle"], each=3):
        assert all(edge.id == "" for edge in edit.added)


def test_a_broken_graph_gets_no_edit_for_the_rule_it_breaks() -> None:
    graph = LabelledGraph.of([("a", "r", "b"), ("b", "r", "a"), ("b", "r", "c")])
    assert perturb(graph, ["add_cycle"]) == []
    assert perturb(graph, ["drop_edge"]) == []  # no edge is a bridge between two pieces with edges
    for edit in perturb(graph, ["other_tail"], each=9):
        assert validate(edit.graph, [Connected(), Acyclic()]).broken == {"Acyclic"}


@pytest.mark.parametrize("ops", [None, []])
def test_graph_without_edges_has_no_edits(ops: list[str] | None) -> None:
    assert perturb(LabelledGraph(), ops, rules=[MinEdges(1), MaxEdges(3), Acyclic()]) == []


def test_asking_for_what_cannot_be_is_an_error() -> None:
    graph = LabelledGraph.of([("a", "r", "b")])
    with pytest.raises(KgError, match=r"no operator 'drop'; there are too_few_edges"):
        perturb(graph, ["drop"])
    with pytest.raises(KgError, match=r"breaks the rule MinEdges, which is not among the rules"):
        perturb(graph, ["too_few_edges"])
    with pytest.raises(KgError, match=r"synonym keeps what is true: .*keep_label=True"):
        perturb(graph, ["synonym"])
    with pytest.raises(KgError, match="swap_ends breaks what is true"):
        perturb(graph, ["swap_ends"], keep_label=True)


def test_literals_stay_tails() -> None:
    day = Node("l_1", "1867-11-07", ("xsd:date",), literal=True)
    ann = Node("e_1", "ann", ("Person",))
    graph = LabelledGraph((Edge(ann, "BORN_ON", day),))
    rules: list[Rule] = [Domain("BORN_ON", ["Person"]), Range("BORN_ON", ["xsd:date"]), Acyclic()]
    rules += [Symmetric("BORN_ON"), Types(["Person"]), Disjoint((frozenset("a"), frozenset("b")))]
    for edit in perturb(graph, rules=rules, meaning=Meaning(nodes=[day, *POOL]), each=20):
        assert not any(edge.head.literal for edge in edit.graph.edges())
