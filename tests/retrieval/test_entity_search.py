"""Search: names first, then what is said, and what changed a moment ago."""

from __future__ import annotations

from pathlib import Path

import pytest

import kg
from kg.store.protocol import GraphStore
from retrieval.entity_search import EntitySearch, search
from retrieval.errors import NothingToPredict, NotTrained, QueryShapeError
from retrieval.graph_model import GraphModel
from retrieval.link_prediction import train
from tests.retrieval.graphs import families, family_graph, id_of, write


@pytest.fixture(scope="module")
def graph() -> GraphStore:
    return family_graph()


@pytest.fixture(scope="module")
def model(graph: GraphStore) -> GraphModel:
    return train(graph).model


def names(graph: GraphStore, query: str, **options) -> list[str]:
    return [hit.entity.name for hit in search(graph, query, **options)]


def test_the_exact_name_comes_first_with_score_one(graph, model) -> None:
    hits = search(graph, "  finn CURIE ", model=model)
    assert hits[0].entity.name == "Finn Curie"
    assert (hits[0].score, hits[0].why) == (1.0, "name")
    assert all(hit.score < 1 for hit in hits[1:])
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@pytest.mark.parametrize("query", ["Fin Curie", "Finn Currie", "Finn-Curie", "finncurie"])
def test_a_misspelt_name_is_found(graph, model, query: str) -> None:
    assert names(graph, query, model=model, k=1) == ["Finn Curie"]


def test_links_answer_words_that_no_name_holds(graph, model) -> None:
    people = search(graph, "born in Vienna", types=["Person"], k=5, model=model)
    assert all("born in Vienna" in hit.context[0] for hit in people)
    assert names(graph, "city in Norway", types=["City"], k=1, model=model) == ["Oslo"]


def test_a_hit_shows_a_link_or_two_the_fitting_one_first(graph, model) -> None:
    hit = search(graph, "Oslo Norway", types=["City"], k=1, model=model)[0]
    assert hit.context[0] == "Oslo located in Norway"
    assert len(hit.context) == 2


def test_an_alias_counts_as_a_name_and_a_description_as_words() -> None:
    store = kg.open_graph("memory://")
    write(
        store,
        [(("Marie Curie", "Person"), "born in", ("Warsaw", "City"))],
        descriptions={"Warsaw": "capital on the Vistula"},
        aliases={"Marie Curie": "Madame Curie"},
    )
    model = train(store, epochs=1, dim=8).model
    hit = search(store, "madame curie", model=model)[0]
    assert (hit.entity.name, hit.score) == ("Marie Curie", 1.0)
    assert names(store, "vistula", model=model, k=1) == ["Warsaw"]


def test_nothing_in_common_is_no_hit(graph, model) -> None:
    assert search(graph, "zzzzzz", model=model) == []


def test_what_was_added_is_found_and_what_was_removed_is_not(tmp_path: Path) -> None:
    store = kg.open_graph(tmp_path / "family.kg")
    families(store)
    train(store, epochs=1)
    run = write(store, [(("Zebulon Quist", "Person"), "born in", ("Rome", "City"))])
    assert names(store, "Zebulon", k=1) == ["Zebulon Quist"]
    assert id_of("Zebulon Quist", "Person") in GraphModel.load(store.home).index
    store.undo(run)
    assert "Zebulon Quist" not in names(store, "Zebulon Quist")


def test_a_search_that_is_kept_finds_what_was_added_since_and_answers_as_a_new_one() -> None:
    store = family_graph()
    model = train(store, epochs=1).model
    kept = EntitySearch(store, model=model)
    assert "Zebulon Quist" not in [hit.entity.name for hit in kept.search("Zebulon Quist")]
    run = write(store, [(("Zebulon Quist", "Person"), "born in", ("Rome", "City"))])
    (hit,) = kept.search("zebulon quist", k=1)
    assert (hit.entity.name, hit.score, hit.why) == ("Zebulon Quist", 1.0, "name")
    assert hit.context == ("Zebulon Quist born in Rome",)
    for query in ("Zebulon", "born in Rome", "Norway"):
        assert kept.search(query) == search(store, query, model=model)
    store.undo(run)
    assert "Zebulon Quist" not in [hit.entity.name for hit in kept.search("Zebulon Quist")]


def test_the_limit_to_types_leaves_the_order_of_the_rest(graph, model) -> None:
    everything = names(graph, "Ada Curie Warsaw", model=model, k=100)
    people = names(graph, "Ada Curie Warsaw", model=model, k=100, types=["Person"])
    assert people[0] == everything[0] == "Ada Curie"
    assert "Warsaw" in everything
    assert "Warsaw" not in people


@pytest.mark.parametrize("query", ["", "  ", "?!", "\n"])
def test_a_query_without_words_is_refused(graph, model, query: str) -> None:
    with pytest.raises(QueryShapeError, match="no word"):
        search(graph, query, model=model)


def test_other_wrong_questions(graph, model) -> None:
    with pytest.raises(QueryShapeError, match="k is 0"):
        search(graph, "Rome", k=0, model=model)
    with pytest.raises(NothingToPredict, match="types: City"):
        search(graph, "Rome", types=["Ghost"], model=model)
    with pytest.raises(NotTrained):
        search(graph, "Rome")


@pytest.mark.parametrize("query", ["𝔉inn 𝕮urie 👩‍🔬", "'; DROP TABLE--", "a" * 10_000, "Ａda"])
def test_odd_queries_are_answered(graph, model, query: str) -> None:
    search(graph, query, model=model)
