"""LlamaIndex: its store opens our file, and we read what it persists."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import kg
from kg.errors import ExchangeError
from kg.exchange.facts import Fact, write_facts
from kg.exchange.llamaindex import (
    from_llamaindex,
    read_llamaindex,
    to_llamaindex,
    write_llamaindex,
)
from kg.ids import entity_id
from kg.records import Entity
from tests.kg.exchange.graphs import full_graph, hostile_graph, names, scores, triples
from tests.kg.sample_graph import MARIE, WARSAW

store_module = import_module("llama_index.core.graph_stores.simple_labelled")
types_module = import_module("llama_index.core.graph_stores.types")
Store = store_module.SimplePropertyGraphStore


@pytest.mark.parametrize("make", [full_graph, hostile_graph])
def test_its_store_opens_our_file_and_persists_the_same_graph(tmp_path: Path, make: Any) -> None:
    graph, copy = make(), kg.open_graph("memory://")
    assert write_llamaindex(graph, tmp_path / "a.json") == graph.stats().triples
    store = Store.from_persist_path(str(tmp_path / "a.json"))
    assert len(store.graph.triplets) == graph.stats().triples
    assert len(store.graph.get_triplets()) == graph.stats().triples
    store.persist(str(tmp_path / "b.json"))
    read_llamaindex(copy, tmp_path / "b.json")
    assert triples(copy) == triples(graph)
    assert scores(copy) == scores(graph)
    assert names(copy) == names(graph)


def test_through_its_own_methods() -> None:
    graph, copy = full_graph(), kg.open_graph("memory://")
    source = Store.from_dict(to_llamaindex(graph))
    other = Store()
    other.upsert_nodes(source.graph.get_all_nodes())
    other.upsert_relations(source.graph.get_all_relations())
    from_llamaindex(copy, other)
    assert triples(copy) == triples(graph)
    marie = other.get(properties={"id": MARIE})[0]
    assert (marie.name, marie.label, marie.id) == ("Marie Curie", "Person", "Marie Curie")
    found = other.get_triplets(entity_names=["Marie Curie"], relation_names=["BORN_IN"])
    (head, relation, tail) = found[0]
    assert (head.id, relation.label, tail.properties["id"]) == ("Marie Curie", "BORN_IN", WARSAW)
    chunk = other.get(ids=[relation.properties["triplet_source_id"]])[0]
    assert "born in Warsaw" in chunk.text


def test_equal_names_stay_two_nodes() -> None:
    graph = kg.open_graph("memory://")
    ends = [
        Entity(entity_id("Paris", type), name, (type,))
        for type, name in (("City", 'Pa"ris'), ("Person", "Pa ris"))
    ]
    write_facts(graph, [Fact(ends[0], "named after", ends[1])], file="x", sha256="y")
    store = Store.from_dict(to_llamaindex(graph))
    assert {node.id for node in store.graph.get_all_nodes()} == {
        "Pa ris (City)",
        "Pa ris (Person)",
    }


def test_nodes_without_our_ids() -> None:
    store = Store()
    ada = types_module.EntityNode(name="Ada", label="Person", properties={"born": 1815})
    london = types_module.EntityNode(name="London")
    chunk = types_module.ChunkNode(text="Ada lived in London.", id_="c1")
    store.upsert_nodes([ada, london, chunk])
    relation = types_module.Relation
    store.upsert_relations(
        [
            relation(label="lived in", source_id="Ada", target_id="London"),
            relation(label="MENTIONS", source_id="c1", target_id="Ada"),
        ]
    )
    graph = kg.open_graph("memory://")
    assert from_llamaindex(graph, store).facts == 1
    assert list(triples(graph).values()) == [
        (entity_id("Ada", "Person"), "LIVED_IN", entity_id("London"))
    ]


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"nodes": {"a": 1}, "relations": {}},
        {"nodes": {}, "relations": {"a": {"label": "x"}}},
        {"nodes": {}, "relations": []},
    ],
)
def test_something_else_writes_nothing(content: Any) -> None:
    graph = kg.open_graph("memory://")
    with pytest.raises(ExchangeError, match=r"no.* a property graph of LlamaIndex"):
        from_llamaindex(graph, content)
    assert graph.stats().runs == 0
