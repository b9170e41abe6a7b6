"""Derivation: fusion solved on paper, resolution, and independence of every order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.derivation import Naming, Statement, derive, fuse, independent_source, resolve
from kg.ids import entity_id, triple_id
from kg.records import Config, Merge, RelationName

A, B, C = (entity_id(name, "Person") for name in "ABC")


def naming(
    raw: str, name: str, type: str = "Person", *, surface: str = "", times: int = 1
) -> Naming:
    return Naming(raw, name, surface or name, type, "", "", "", "f_1", times)


def statement(
    id: str,
    head: str,
    relation: str,
    tail: str,
    score: float = 0.5,
    source: int = 1,
    *,
    negated: bool = False,
    hedged: bool = False,
) -> Statement:
    return Statement(id, head, relation, tail, score, source, negated, hedged, "f_1")


def test_fusion_on_paper() -> None:
    assert fuse([0.9]) == 0.9
    assert fuse([0.9, 0.5]) == pytest.approx(1 - 0.1 * 0.5)
    assert fuse([1.0, 1.0]) == pytest.approx(1 - 0.01 * 0.01)
    assert fuse([0.0]) == 0.01


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.randoms())
def test_fusion_does_not_depend_on_order(scores: list[float], chance: random.Random) -> None:
    mixed = scores[:]
    chance.shuffle(mixed)
    assert fuse(mixed) == fuse(scores)
    assert 0.01 <= fuse(scores) <= 1.0


def test_one_source_counts_with_its_best_score() -> None:
    graph = derive(
        [naming(A, "A"), naming(B, "B")],
        [
            statement("v_1", A, "knows", B, 0.4, source=1),
            statement("v_2", A, "knows", B, 0.6, source=1),
            statement("v_3", A, "knows", B, 0.5, source=2),
        ],
    )
    (triple,) = graph.triples.values()
    assert (triple.support, triple.score) == (2, pytest.approx(1 - 0.4 * 0.5))


def test_white_space_does_not_make_a_second_source() -> None:
    assert independent_source("a  b\r\n", "f") == independent_source("a b", "g")
    assert independent_source("a b", "f") != independent_source("a c", "f")
    assert independent_source("", "f") != independent_source("", "g")


def test_negated_evidence_states_and_never_supports() -> None:
    graph = derive([naming(A, "A"), naming(B, "B")], [statement("v", A, "r", B, negated=True)])
    assert graph.triples == {}
    assert graph.stated["v"].triple == triple_id(A, "R", B)
    assert set(graph.entities) == {A, B}


def test_inverse_and_direct_phrases_are_one_triple() -> None:
    rows = [
        RelationName("born_in", "born_in"),
        RelationName("birthplace of", "born_in", swapped=True),
    ]
    graph = derive(
        [naming(A, "A"), naming(B, "B")],
        [statement("v_1", A, "born in", B), statement("v_2", B, "Birthplace of", A, source=2)],
        relation_names=rows,
    )
    (triple,) = graph.triples.values()
    assert (triple.head, triple.relation, triple.tail) == (A, "BORN_IN", B)
    assert triple.support == 2
    assert graph.stated["v_2"].head == A


def test_a_symmetric_relation_is_held_once() -> None:
    rows = [RelationName("married", "spouse", symmetric=True)]
    graph = derive(
        [naming(A, "A"), naming(B, "B")],
        [statement("v_1", A, "married", B), statement("v_2", B, "married", A, source=2)],
        relation_names=rows,
    )
    (triple,) = graph.triples.values()
    assert (triple.head, triple.tail) == tuple(sorted((A, B)))


def test_contradicting_rows_of_the_relation_map_do_not_depend_on_order() -> None:
    rows = [RelationName("x", "beta"), RelationName("x", "alpha"), RelationName("X", "gamma")]
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        graph = derive(
            [naming(A, "A"), naming(B, "B")],
            [statement("v", A, "x", B)],
            relation_names=[rows[i] for i in order],
        )
        assert [t.relation for t in graph.triples.values()] == ["ALPHA"]


def test_chained_pairs_form_one_cluster() -> None:
    pairs = [("a", "b"), ("c", "d"), ("b", "c")]
    merges = [Merge(kept, dropped, "test", 1.0, "r") for kept, dropped in pairs]
    assert resolve((), merges) == dict.fromkeys("abcd", "a")
    assert resolve((), reversed(merges)) == dict.fromkeys("abcd", "a")


def test_contradicting_merges_have_a_fixed_representative() -> None:
    merges = [Merge("a", "b", "t", 1.0, "r"), Merge("b", "a", "t", 1.0, "r")]
    assert resolve((), merges) == {"a": "a", "b": "a"}


def test_votes_and_ties() -> None:
    graph = derive(
        [naming(A, "Curie", times=2), naming(A, "CURIE", times=3), naming(A, "curie", times=3)], []
    )
    entity = graph.entities[A]
    assert entity.name == "CURIE"
    assert entity.aliases == ("Curie", "curie")


def test_types_come_with_their_ancestors_from_the_config() -> None:
    config = Config("x", parameters={"types": {"City": "Place", "Place": "Thing", "Thing": ""}})
    names = [Naming(A, "Rome", "Rome", "City", "", "", "", config.id)]
    graph = derive(names, [], configs={config.id: config})
    assert graph.entities[A].types == ("City", "Place", "Thing")


def test_an_untyped_name_joins_across_case_only_when_unique() -> None:
    bare, person = entity_id("a", ""), A
    names = [naming(bare, "a", ""), naming(person, "A")]
    assert derive(names, []).canonical[bare] == person
    place = entity_id("A", "Place")
    assert derive([*names, naming(place, "A", "Place")], []).canonical[bare] == bare
    merged = [Merge(person, place, "t", 1.0, "r")]
    graph = derive([*names, naming(place, "A", "Place")], [], merges=merged)
    assert graph.canonical[bare] == person


def test_a_merge_with_nothing_written_makes_no_entity() -> None:
    graph = derive([naming(A, "A")], [], merges=[Merge(B, C, "t", 1.0, "r")])
    assert set(graph.entities) == {A}


@given(st.randoms())
def test_no_order_matters(chance: random.Random) -> None:
    bare = entity_id("a", "")
    names = [
        naming(A, "A", times=2),
        naming(A, "a", surface="The A"),
        naming(B, "B"),
        naming(C, "C", "Place"),
        naming(bare, "a", ""),
    ]
    says = [
        statement("v_1", A, "knows", B, 0.3, 1),
        statement("v_2", bare, "knows", B, 0.6, 2),
        statement("v_3", B, "known by", A, 0.6, 3),
        statement("v_4", B, "near", C, 0.5, 4, negated=True),
    ]
    rows = [RelationName("known by", "knows", swapped=True), RelationName("knows", "knows")]
    merges = [Merge(B, C, "t", 1.0, "r")]
    whole = derive(names, says, merges=merges, relation_names=rows)
    for part in (names, says, rows):
        chance.shuffle(part)
    again = derive(names, says, merges=merges, relation_names=rows)
    assert again.entities == whole.entities
    assert again.triples == whole.triples
    assert again.stated == whole.stated
