"""Hard negatives: never a fact, of the right types, near by name, the same for the same seed."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kg
from kg.errors import KgError
from kg.ids import entity_id
from kg.perturbation import HardNegatives
from kg.perturbation.hard_negatives import KINDS
from tests.kg.sample_graph import MARIE, PIERRE, fill

NAMES = {
    "k7": "Henry VII", "k8": "Henry VIII", "k1": "Charles I", "ann": "Ann Curie",
    "bob": "Bob Curie", "eng": "England", "fra": "France", "lon": "London", "par": "Paris",
}  # fmt: skip
TYPES = {id: ["Person"] for id in ("k7", "k8", "k1", "ann", "bob")}
TYPES |= {id: ["Country", "Place"] for id in ("eng", "fra")}
TYPES |= {id: ["City", "Place"] for id in ("lon", "par")}
TRIPLES = [
    ("k7", "rules", "eng"), ("k8", "rules", "eng"), ("k1", "rules", "fra"),
    ("k7", "born in", "lon"), ("ann", "born in", "par"), ("ann", "knows", "bob"),
    ("bob", "lives in", "lon"), ("k1", "knows", "k7"),
]  # fmt: skip


def small(**options: object) -> HardNegatives:
    return HardNegatives(TRIPLES, names=NAMES, types=TYPES, **options)  # type: ignore[arg-type]


def test_near_names_come_first() -> None:
    (negative,) = small().of(("k1", "rules", "fra"), 1, kinds=["near_name"])
    assert negative == ("k1", "rules", "eng", "near_name")
    heads = {n.head for n in small().of(("k7", "born in", "lon"), 4, kinds=["near_name"])}
    assert "k8" in heads  # Henry VII and Henry VIII
    heads = {n.head for n in small().of(("ann", "born in", "par"), 4, kinds=["near_name"])}
    assert "bob" in heads  # the same last word


def test_types_are_kept() -> None:
    negatives = small()
    for triple, found in negatives.stream(20, kinds=["near_name", "same_type"]):
        assert found
        for one in found:
            assert TYPES[one.head] == TYPES[triple[0]]
            assert TYPES[one.tail] == TYPES[triple[2]]


def test_same_relation_has_such_an_end_elsewhere() -> None:
    for triple, found in small().stream(20, kinds=["same_relation"]):
        same = [other for other in TRIPLES if other[1] == triple[1]]
        for one in found:
            assert one.head in {head for head, _, _ in same}
            assert one.tail in {tail for _, _, tail in same}


def test_other_relations_link_ends_of_these_types() -> None:
    found = small().of(("k7", "born in", "lon"), 9, kinds=["relation"])
    assert [one.relation for one in found] == ["lives in"]


def test_ends_change_places_only_where_types_allow_it() -> None:
    assert small().of(("k7", "born in", "lon"), 9, kinds=["ends"]) == []
    assert small().of(("ann", "knows", "bob"), 9, kinds=["ends"])[0][:3] == ("bob", "knows", "ann")
    assert small(symmetric=["knows"]).of(("ann", "knows", "bob"), 9, kinds=["ends"]) == []


_ids = st.sampled_from("abcdefgh")
_graphs = st.lists(st.tuples(_ids, st.sampled_from(["r", "s", "sym"]), _ids), min_size=1)


@given(_graphs, st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_negatives_are_never_facts_and_all_different(
    triples: list[tuple[str, str, str]], seed: int
) -> None:
    types = {id: ["T" if id < "e" else "U"] for id in "abcdefgh"}
    names = {id: id * 2 for id in "abcdefgh"}
    negatives = HardNegatives(triples, names=names, types=types, symmetric=["sym"])
    facts = set(triples) | {(t, r, h) for h, r, t in triples if r == "sym"}
    for triple, found in negatives.stream(8, seed=seed, kinds=(*KINDS, "random")):
        keys = [one[:3] for one in found]
        assert not facts.intersection(keys)
        assert len(set(keys)) == len(keys) <= 8
        assert all(head != tail for head, _, tail in keys)
        # Each changes one thing: an end, the relation, or the direction.
        for key in keys:
            same = sum(a == b for a, b in zip(key, triple, strict=True))
            assert same == 2 or key == triple[::-1]


def test_sorted_lists_find_what_comparing_all_pairs_finds() -> None:
    """The slow twin: nearest means fewest names between two, in either of the two orders."""
    chance = random.Random(0)
    words = "anna berta carl dora emil".split()
    names = {f"e{n}": " ".join(chance.sample(words, 2)) for n in range(30)}
    negatives = HardNegatives([("e0", "r", "e1")], names=names)
    orders = [sorted(names, key=lambda id: (names[id].split()[::step], id)) for step in (1, -1)]
    for id in names:
        near = list(dict.fromkeys(negatives._near(id)))
        distance = {
            other: min(abs(order.index(id) - order.index(other)) for order in orders)
            for other in names
            if other != id
        }
        found = [distance[other] for other in near]
        assert found == sorted(distance.values())


def test_same_seed_same_negatives_in_any_order() -> None:
    first, second = small(), small()
    backwards = {triple: second.of(triple, 5, seed=3) for triple in reversed(TRIPLES)}
    assert dict(first.stream(5, seed=3)) == backwards
    assert dict(first.stream(5, seed=4)) != backwards


def test_kinds_take_turns_and_k_is_a_bound() -> None:
    found = small().of(("k7", "rules", "eng"), 3)
    assert [one.kind for one in found] == ["near_name", "same_relation", "same_type"]
    assert small().of(("k7", "rules", "eng"), 0) == []
    few = HardNegatives([("a", "r", "b")]).of(("a", "r", "b"), 100, kinds=(*KINDS, "random"))
    assert [one[:3] for one in few] == [("b", "r", "a")]


def test_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(KgError, match=r"'hard'; there are near_name, same_relation.*random"):
        small().of(TRIPLES[0], 1, kinds=["hard"])  # type: ignore[list-item]


def test_a_stored_graph_gives_names_types_and_symmetric_relations() -> None:
    graph = kg.open_graph("memory://")
    fill(graph)
    negatives = HardNegatives.from_graph(graph)
    facts = {(t.head, t.relation, t.tail) for t in graph.derived("triple")}
    found = dict(negatives.stream(10, kinds=(*KINDS, "random")))
    assert set(found) == facts
    every = list(itertools.chain.from_iterable(found.values()))
    assert every
    assert not facts.intersection(one[:3] for one in every)
    assert not any(one.head.startswith("l_") for one in every)
    spouse = next(key for key in facts if key[1] == "SPOUSE")
    assert spouse[::-1] not in {one[:3] for one in found[spouse]}
    assert negatives.is_fact(spouse[::-1])
    assert not negatives.is_fact((PIERRE, "BORN_IN", entity_id("Warsaw", "Place")))  # predicted
    assert {MARIE, PIERRE} == {spouse[0], spouse[2]}
    graph.close()
