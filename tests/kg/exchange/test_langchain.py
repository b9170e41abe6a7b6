"""LangChain: its own classes take what we make, and we read what it makes."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import kg
from kg.errors import ExchangeError
from kg.exchange.langchain import from_langchain, read_langchain, to_langchain, write_langchain
from kg.ids import entity_id, triple_id
from tests.kg.exchange.graphs import full_graph, hostile_graph, names, scores, triples
from tests.kg.sample_graph import ACADEMY, MARIE, WARSAW, fill


@pytest.mark.parametrize("make", [full_graph, hostile_graph])
def test_its_classes_take_our_documents_and_give_them_back(make: Any) -> None:
    module = import_module("langchain_neo4j.graphs.graph_document")
    graph, copy = make(), kg.open_graph("memory://")
    objects = [module.GraphDocument(**one) for one in to_langchain(graph)]
    from_langchain(copy, objects)
    assert triples(copy) == triples(graph)
    assert scores(copy) == scores(graph)
    assert names(copy) == names(graph)


def test_langchain_core_takes_the_source() -> None:
    documents = import_module("langchain_core.documents")
    one = next(iter(to_langchain(full_graph())))
    assert documents.Document(**one["source"]).page_content == one["source"]["page_content"]


def test_a_relationship_says_where_the_document_states_it() -> None:
    graph = kg.open_graph("memory://")
    fill(graph)
    found = {one["source"]["metadata"].get("uri"): one for one in to_langchain(graph)}
    one = found["marie.txt"]
    links = {link["properties"]["id"]: link for link in one["relationships"]}
    link = links[triple_id(MARIE, "BORN_IN", WARSAW)]
    assert (link["source"]["id"], link["type"], link["target"]["id"]) == (MARIE, "BORN_IN", WARSAW)
    own = link["properties"]
    text = one["source"]["page_content"]
    quotes = [text[start:end] for start, end in zip(own["starts"], own["ends"], strict=True)]
    assert quotes == ["𝒳 Marie Curie was born in Warsaw."]
    assert own["evidence"] == [
        e.id for e in graph.written("evidence", triple=own["id"]) if not e.hedged
    ]
    # Denied or only hedged statements are no relationships; their entities are nodes.
    assert all(link["target"]["id"] != ACADEMY for link in one["relationships"])
    assert ACADEMY in {node["id"] for node in one["nodes"]}
    assert found["rumour.txt"]["relationships"] == []


def test_only_plain_values_and_lists_of_them_are_properties() -> None:
    for one in to_langchain(full_graph()):
        for link in one["relationships"]:
            for value in link["properties"].values():
                assert isinstance(value, str | float | int) or all(
                    isinstance(item, str | float | int) for item in value
                )


def test_a_document_without_our_ids_gets_computed_ones() -> None:
    ada = SimpleNamespace(id="Ada Lovelace", type="Person", properties={"born": 1815})
    london = SimpleNamespace(id="London", type="City", properties={})
    link = SimpleNamespace(source=ada, target=london, type="BORN_IN", properties={})
    source = SimpleNamespace(page_content="Ada was born in London.", metadata={"source": "a.txt"})
    one = SimpleNamespace(nodes=[ada, london], relationships=[link], source=source)
    graph = kg.open_graph("memory://")
    report = from_langchain(graph, [one])
    assert (report.facts, report.entities) == (1, 2)
    ends = entity_id("Ada Lovelace", "Person"), entity_id("London", "City")
    assert list(triples(graph).values()) == [(ends[0], "BORN_IN", ends[1])]
    evidence = next(graph.written("evidence"))
    assert evidence.quote == "Ada was born in London."
    assert next(graph.written("document")).uri == "a.txt"
    assert graph.get(ends[0]).props == {"born": 1815}  # type: ignore[union-attr]


def test_one_type_and_another_are_two_entities() -> None:
    nodes = [{"id": "Paris", "type": type} for type in ("City", "Person")]
    link = {"source": nodes[1], "target": nodes[0], "type": "LIVES_IN"}
    graph = kg.open_graph("memory://")
    from_langchain(graph, [{"nodes": [], "relationships": [link], "source": None}])
    assert {e.types for e in graph.derived("entity")} == {("City",), ("Person",)}


def test_a_file_with_one_list(tmp_path: Path) -> None:
    graph, copy = full_graph(), kg.open_graph("memory://")
    (tmp_path / "a.json").write_text(json.dumps(list(to_langchain(graph))), encoding="utf-8")
    read_langchain(copy, tmp_path / "a.json")
    assert triples(copy) == triples(graph)


def test_a_line_is_a_graph_document(tmp_path: Path) -> None:
    graph = full_graph()
    write_langchain(graph, tmp_path / "a.jsonl")
    lines = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(list(to_langchain(graph)))
    assert all(json.loads(line).keys() == {"nodes", "relationships", "source"} for line in lines)


@pytest.mark.parametrize(
    "one",
    [
        [],
        {"nodes": []},
        {"nodes": [{}], "relationships": []},
        {"nodes": [], "relationships": [{"type": "X"}]},
        {"nodes": [], "relationships": [{"source": {"id": "l", "type": "Literal", "properties": {
            "lexical": "1"}}, "target": {"id": "a"}, "type": "X"}]},
        {"nodes": [], "relationships": [{"source": {"id": "a"}, "target": {"id": "b"}, "type": "X",
            "properties": {"score": "high"}}]},
    ],
)  # fmt: skip
def test_what_is_no_graph_document_writes_nothing(one: Any) -> None:
    graph = kg.open_graph("memory://")
    with pytest.raises(ExchangeError, match="graph document 1"):
        from_langchain(graph, [one])
    assert graph.stats().runs == 0
