"""Names as people write them, and what of a graph is read."""

from __future__ import annotations

import pytest

import kg
from kg.errors import KgError
from kg.records import Batch, Entity, Merge, RelationName
from kg.store.protocol import GraphStore
from retrieval.errors import (
    AmbiguousEntity,
    NothingToPredict,
    UnknownEntity,
    UnknownRelation,
    near_matches,
)
from retrieval.graph_snapshot import GraphSnapshot, entity_text
from tests.retrieval.graphs import family_graph, id_of, write


@pytest.fixture(scope="module")
def graph() -> GraphStore:
    return family_graph()


@pytest.fixture(scope="module")
def snapshot(graph: GraphStore) -> GraphSnapshot:
    return GraphSnapshot.of(graph)


def test_links_are_read_and_literals_are_not(snapshot: GraphSnapshot) -> None:
    assert snapshot.relations() == ("BORN_IN", "LOCATED_IN", "SIBLING")
    assert len(snapshot.triples) == 6 + 8 * 10
    assert snapshot.literal_relations == {"BORN_ON"}


@pytest.mark.parametrize(
    "asked", ["Ada Curie", "ada  CURIE", "ＡＤＡ Curie", id_of("Ada Curie", "Person")]
)
def test_case_width_and_id_find_an_entity(snapshot: GraphSnapshot, asked: str) -> None:
    assert snapshot.entity(asked).id == id_of("Ada Curie", "Person")


def test_an_alias_finds_it_and_a_name_goes_before_an_alias() -> None:
    graph = kg.open_graph("memory://")
    ann, bob, paris = ("Ann Lee", "Person"), ("Bob", "Person"), ("Paris", "City")
    write(graph, [(ann, "born in", paris)], aliases={"Ann Lee": "Annie"})
    write(graph, [(bob, "knows", ann), (("Annie", "Group"), "based in", paris)])
    snapshot = GraphSnapshot.of(graph)
    assert snapshot.entity("bob").name == "Bob"
    assert snapshot.entity("annie").types == ("Group",)


def test_a_name_of_several_entities_lists_them() -> None:
    graph = kg.open_graph("memory://")
    both = [
        (("Paris", "City"), "in", ("France", "Country")),
        (("Paris", "Person"), "loves", ("Helen", "Person")),
    ]
    write(graph, both)
    snapshot = GraphSnapshot.of(graph)
    with pytest.raises(
        AmbiguousEntity, match=r"'paris' names 2 .*City.*give the id of one"
    ) as caught:
        snapshot.entity("paris")
    assert {id for id, _, _ in caught.value.candidates} == {
        id_of("Paris", "City"),
        id_of("Paris", "Person"),
    }
    assert snapshot.entity(id_of("Paris", "City")).types[0] == "City"
    assert [set(ids) for ids in snapshot.namesakes()] == [
        {id_of("Paris", "City"), id_of("Paris", "Person")}
    ]


def test_unknown_names_come_with_near_matches(snapshot: GraphSnapshot) -> None:
    with pytest.raises(UnknownEntity, match="did you mean 'Ada Curie'") as caught:
        snapshot.entity("Ada Curi")
    assert caught.value.near[0] == "Ada Curie"
    assert isinstance(caught.value, KgError)
    with pytest.raises(UnknownRelation, match="did you mean 'born_in'"):
        snapshot.relation("bron in")
    with pytest.raises(
        UnknownRelation, match="the graph's relations: born_in, located_in, sibling"
    ):
        snapshot.relation("zzz")
    with pytest.raises(UnknownEntity):
        snapshot.entity("")


@pytest.mark.parametrize("asked", ["BORN_IN", "born_in", "Born In", "born in"])
def test_a_relation_is_found_however_it_is_written(snapshot: GraphSnapshot, asked: str) -> None:
    assert snapshot.relation(asked) == ("BORN_IN", False)


def test_a_relation_to_values_is_explained(snapshot: GraphSnapshot) -> None:
    with pytest.raises(NothingToPredict, match="BORN_ON has only values"):
        snapshot.relation("born on")


def test_an_inverse_phrase_is_read_backwards_and_a_merged_id_is_followed() -> None:
    graph = family_graph()
    run = graph.begin_run(next(graph.written("config"))).id
    old, new = id_of("Ada Curie", "Person"), id_of("Ben Curie", "Person")
    batch = Batch(
        relation_names=(
            RelationName("birthplace of", "born_in", swapped=True),
            RelationName("born in", "born_in"),
        ),
        merges=(Merge(new, old, "test", 1.0, run),),
    )
    graph.write(batch, run=run)
    snapshot = GraphSnapshot.of(graph)
    assert snapshot.relation("birthplace_of") == ("BORN_IN", True)
    assert old not in snapshot.entities
    assert snapshot.entity(old, graph=graph).id == new
    assert snapshot.entity("Ada Curie").id == new
    with pytest.raises(UnknownEntity):
        snapshot.entity("e_00000000000000000000000000000000", graph=graph)


def test_types_choose_entities(snapshot: GraphSnapshot) -> None:
    assert len(snapshot.of_types(["City"])) == len(snapshot.of_types(["Place"])) == 6
    assert snapshot.of_types(["Ghost"]) == []


def test_a_text_has_a_few_aliases_and_no_empty_parts() -> None:
    entity = Entity("e_1", "Warsaw", ("City", "Place"), tuple("abcdef"), "a capital")
    assert entity_text(entity) == "Warsaw; a; b; c; d; City Place; a capital"
    assert entity_text(Entity("e_1", "Warsaw")) == "Warsaw"


def test_near_matches_drop_what_is_much_worse_than_the_best() -> None:
    names = ["Marie Curie", "Maria Curia", "Pierre Curie", "Warsaw"]
    assert near_matches("Marie Curi", names) == ("Marie Curie", "Maria Curia")
    assert near_matches("curie", names) == ("Marie Curie", "Pierre Curie")
    assert near_matches("", names) == ()
