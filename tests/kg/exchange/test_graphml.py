"""networkx and GraphML: edges by triple id, round trips, foreign and broken files."""

from __future__ import annotations

from pathlib import Path

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kg
from kg.errors import ExchangeError
from kg.exchange.facts import Fact, named, write_facts
from kg.exchange.graphml import read_graphml, write_graphml
from kg.exchange.networkx import to_networkx
from kg.ids import triple_id
from kg.records import Literal
from kg.store.protocol import GraphStore
from tests.kg.exchange.graphs import hostile_graph
from tests.kg.sample_graph import MARIE, PIERRE, WARSAW, fill


def filled() -> GraphStore:
    graph = kg.open_graph("memory://")
    fill(graph)
    return graph


def test_nodes_and_edges() -> None:
    graph = to_networkx(filled())
    assert (graph.number_of_nodes(), graph.number_of_edges()) == (8, 5)
    assert graph.nodes[WARSAW]["types"] == ("City", "Place")
    edge = graph.edges[MARIE, WARSAW, triple_id(MARIE, "BORN_IN", WARSAW)]
    assert (edge["relation"], edge["predicate"], edge["support"]) == ("BORN_IN", "born_in", 1)
    literals = [data for _, data in graph.nodes(data=True) if data["kind"] == "literal"]
    assert [data["lexical"] for data in literals] == ["1867-11-07"]
    assert not graph.has_edge(PIERRE, WARSAW)  # only predicted


def test_parallel_edges_stay() -> None:
    graph = kg.open_graph("memory://")
    one, other = named("a"), named("b")
    facts = [Fact(one, "knows", other), Fact(one, "likes", other)]
    write_facts(graph, facts, file="x", sha256="y")
    assert to_networkx(graph).number_of_edges(one.id, other.id) == 2


def test_graphml_round_trip(tmp_path: Path) -> None:
    graph, copy = filled(), kg.open_graph("memory://")
    assert write_graphml(graph, tmp_path / "a.graphml") == 5
    report = read_graphml(copy, tmp_path / "a.graphml")
    assert report.facts == 5
    assert {t.id: t.score for t in copy.derived("triple")} == {
        t.id: t.score for t in graph.derived("triple")
    }
    assert {e.id: (e.name, e.types) for e in copy.derived("entity")} == {
        e.id: (e.name, e.types) for e in graph.derived("entity")
    }


def test_graphml_shows_names_to_other_programs(tmp_path: Path) -> None:
    write_graphml(filled(), tmp_path / "a.graphml")
    read = networkx.read_graphml(tmp_path / "a.graphml")
    assert (read.nodes[WARSAW]["label"], read.nodes[WARSAW]["type"]) == ("Warsaw", "City, Place")
    labels = {data["label"] for _, _, data in read.edges(data=True)}
    assert "BORN_IN" in labels


name = st.text(
    alphabet=st.characters(codec="utf-8") | st.sampled_from("\x00\x1b\"'<&>]]\r\ufffe🙂"),
    min_size=1,
    max_size=20,
).filter(lambda text: text.strip() != "")


@settings(max_examples=40, deadline=None)
@given(name, name, name)
def test_hostile_names_make_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory, head: str, tail: str, value: str
) -> None:
    graph, copy = kg.open_graph("memory://"), kg.open_graph("memory://")
    facts = [
        Fact(named(head), "knows", named(tail)),
        Fact(named(head), "says", Literal(value, "xsd:string")),
    ]
    write_facts(graph, facts, file="x", sha256="y")
    file = tmp_path_factory.mktemp("graphml") / "a.graphml"
    write_graphml(graph, file)
    read_graphml(copy, file)
    assert {t.id for t in copy.derived("triple")} == {t.id for t in graph.derived("triple")}
    assert {v.lexical for v in copy.derived("literal")} == {value}


def test_foreign_graphml_is_read_by_its_labels(tmp_path: Path) -> None:
    foreign = networkx.DiGraph()
    foreign.add_node("n1", label="Ada")
    foreign.add_node("n2")
    foreign.add_edge("n1", "n2", relation="born in")
    foreign.add_edge("n2", "n1")
    networkx.write_graphml(foreign, tmp_path / "x.graphml")
    graph = kg.open_graph("memory://")
    read_graphml(graph, tmp_path / "x.graphml")
    assert {e.name for e in graph.derived("entity")} == {"Ada", "n2"}
    assert {t.relation for t in graph.derived("triple")} == {"BORN_IN", "RELATED_TO"}


def test_networkx_reads_hostile_names_and_takes_the_triple_id_as_key(tmp_path: Path) -> None:
    graph = hostile_graph()
    write_graphml(graph, tmp_path / "a.graphml")
    read = networkx.read_graphml(tmp_path / "a.graphml", force_multigraph=True)
    keys = {(head, tail, key) for head, tail, key in read.edges(keys=True)}
    assert keys == {(t.head, t.tail, t.id) for t in graph.derived("triple")}
    assert {read.nodes[id]["label"] for id in read} >= {"NA", 'unbalanced "', "東京 🗼 👩‍👩‍👧"}


def test_labels_of_yed_and_nested_graphs(tmp_path: Path) -> None:
    (tmp_path / "x.graphml").write_text(
        """<?xml version="1.0"?>
        <graphml xmlns="http://graphml.graphdrawing.org/xmlns"
                 xmlns:y="http://www.yworks.com/xml/graphml">
        <key id="d0" for="node" yfiles.type="nodegraphics"/>
        <graph edgedefault="directed"><edge source="a" target="b"/>
        <node id="a"><data key="d0"><y:ShapeNode><y:NodeLabel>Ada</y:NodeLabel></y:ShapeNode></data>
          <graph edgedefault="directed"><node id="b"/></graph></node>
        </graph></graphml>""",
        encoding="utf-8",
    )
    graph = kg.open_graph("memory://")
    assert read_graphml(graph, tmp_path / "x.graphml").facts == 1
    assert {e.name for e in graph.derived("entity")} == {"Ada", "b"}


def test_entities_that_expand_without_end_are_refused(tmp_path: Path) -> None:
    levels = "".join(
        f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' if n else '<!ENTITY e0 "aaaaaaaaaa">'
        for n in range(12)
    )
    (tmp_path / "x.graphml").write_text(
        f'<!DOCTYPE graphml [{levels}]><graphml><graph><node id="a"><data key="label">&e11;</data>'
        "</node></graph></graphml>",
        encoding="utf-8",
    )
    with pytest.raises(ExchangeError, match="not GraphML"):
        read_graphml(kg.open_graph("memory://"), tmp_path / "x.graphml")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no xml",
        "<graphml/>",
        "<html></html>",
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="x"><node/>',
    ],
)
def test_a_broken_file_writes_nothing(tmp_path: Path, content: str) -> None:
    file = tmp_path / "x.graphml"
    file.write_text(content, encoding="utf-8")
    graph = kg.open_graph("memory://")
    with pytest.raises(ExchangeError):
        read_graphml(graph, file)
    assert graph.stats().runs == 0


@pytest.mark.parametrize("record", ["{", "[]", '{"kind": "entity"}', '{"kind": "literal"}'])
def test_a_damaged_record(tmp_path: Path, record: str) -> None:
    foreign = networkx.MultiDiGraph()
    foreign.add_node("e_1", record=record)
    networkx.write_graphml(foreign, tmp_path / "x.graphml")
    with pytest.raises(ExchangeError, match="record of e_1"):
        read_graphml(kg.open_graph("memory://"), tmp_path / "x.graphml")
