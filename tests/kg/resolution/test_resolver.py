"""Resolution on graphs small enough to be solved by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from kg import Schema, graph_hash, open_graph
from kg.ids import entity_id
from kg.records import Batch, Config, Entity, Mention, Merge
from kg.resolution import Question, ResolutionOptions, resolve
from kg.store.protocol import GraphStore
from tests.kg.resolution.said import raw, said


@pytest.fixture
def graph() -> Iterator[GraphStore]:
    store = open_graph("memory://")
    yield store
    store.close()


def merged(graph: GraphStore, **options: object) -> set[frozenset[str]]:
    """Resolve and return the merged pairs by name; a second call must find nothing."""
    before = graph_hash(graph)
    planned = resolve(graph, dry_run=True, **options)
    assert graph_hash(graph) == before
    assert not list(graph.written("merge"))
    report = resolve(graph, **options)
    assert report.merges == planned.merges
    assert len(list(graph.written("merge", run=report.run))) == len(report.merges)
    assert len(list(graph.derived("entity"))) == report.entities_after
    after = graph_hash(graph)
    again = resolve(graph, **options)
    assert again.merges == ()
    assert graph_hash(graph) == after
    graph.undo(again.run)
    graph.undo(report.run)
    assert graph_hash(graph) == before
    return {frozenset({m.kept_name, m.dropped_name}) for m in report.merges}


def pairs(*texts: str) -> set[frozenset[str]]:
    return {frozenset(text.split(" = ")) for text in texts}


# ------------------------------------------------------------------------------------- spelling


def test_two_ways_to_write_a_name_become_one_entity(graph: GraphStore) -> None:
    said(
        graph,
        {
            "a.txt": ["Barack Obama:Person", "The Beatles:Organization", "Łódź Fabryczna:Place"],
            "b.txt": ["Obama, Barack:Person", "Beatles:Organization", "Lodz Fabryczna:Place"],
        },
    )
    assert merged(graph) == pairs(
        "Barack Obama = Obama, Barack",
        "The Beatles = Beatles",
        "Łódź Fabryczna = Lodz Fabryczna",
    )


def test_titles_middle_names_and_initials_of_persons(graph: GraphStore) -> None:
    said(
        graph,
        {
            "a.txt": [
                "General Sir Douglas David Gracey KCB:Person",
                "Douglas Gracey:Person",
                "Robert E. Lee:Person",
                "Robert Edward Lee:Person",
                "Vietnam War:Event",
                "Vietnam Civil War:Event",
                "Martin Luther King:Person",
                "Martin Luther King Jr.:Person",
            ]
        },
    )
    assert merged(graph) == pairs(
        "General Sir Douglas David Gracey KCB = Douglas Gracey",
        "Robert E. Lee = Robert Edward Lee",
    )


def test_a_name_that_fits_two_persons_is_neither(graph: GraphStore) -> None:
    names = ["George Bush", "George W. Bush", "George H. W. Bush"]
    said(graph, {"a.txt": [f"{name}:Person" for name in names]})
    assert merged(graph) == set()


def test_guarded_names_stay_apart(graph: GraphStore) -> None:
    said(
        graph,
        {
            "a.txt": [
                "United Nations Security Council Resolution 1441",
                "United Nations Security Council Resolution 1442",
                "Henry VII of England:Person",
                "Henry VIII of England:Person",
                "Acetyl-coenzyme A carboxylase 1",
                "Acetyl-coenzyme A carboxylase 2",
                "North Korea national football team",
                "South Korea national football team",
                "Islamic Republic of Iran Broadcasting Corporation",
                "Islamic Republic of Iraq Broadcasting Corporation",
            ]
        },
    )
    assert merged(graph) == set()


def test_other_types_stay_apart_however_alike_the_names(graph: GraphStore) -> None:
    said(graph, {"a.txt": ["The Paris Hilton:Person", "Hilton Paris:Organization"]})
    assert merged(graph) == set()


def test_the_best_supported_entity_is_kept_and_ties_go_to_the_smallest_id(
    graph: GraphStore,
) -> None:
    said(graph, {"a.txt": ["Barack Obama:Person"], "b.txt": ["Obama, Barack:Person"] * 2})
    (merge,) = resolve(graph, dry_run=True).merges
    assert merge.kept_name == "Obama, Barack"
    said(graph, {"c.txt": ["Barack Obama:Person"]})
    (merge,) = resolve(graph, dry_run=True).merges
    assert merge.kept == min(raw("Barack Obama:Person"), raw("Obama, Barack:Person"))


def test_what_was_merged_before_is_kept(graph: GraphStore) -> None:
    said(graph, {"a.txt": ["Barack Obama:Person", "Obama, Barack:Person", "Barry:Person"]})
    run = graph.begin_run(Config("by hand")).id
    merge = Merge(raw("Barry:Person"), raw("Barack Obama:Person"), "hand", 1.0, run)
    graph.write(Batch(merges=(merge,)), run=run)
    report = resolve(graph)
    assert len(report.merges) == 1
    (entity,) = graph.derived("entity")
    assert set(entity.aliases) | {entity.name} == {"Barack Obama", "Obama, Barack", "Barry"}


# ----------------------------------------------------------------------------- type conflicts


def test_a_city_that_one_document_calls_an_organization_is_one_node(graph: GraphStore) -> None:
    said(
        graph,
        {
            "a.txt": [("Marie Curie:Person", "was born in", "Warsaw:City")],
            "b.txt": [("Marie Curie:Person", "left", "Warsaw:Organization")],
        },
    )
    assert merged(graph) == pairs("Warsaw = Warsaw") == {frozenset({"Warsaw"})}


def test_what_stands_beside_it_shows_a_wrong_type(graph: GraphStore) -> None:
    said(
        graph,
        {
            "a.txt": [("Ada:Person", "was born in", "London:City")],
            "b.txt": [("Bob:Person", "was born in", "Warsaw:City")],
            "c.txt": [("Eve:Person", "was born in", "Warsaw:Person")],
            "d.txt": [("Max:Person", "was born in", "Berlin:City")],
        },
    )
    assert merged(graph) == {frozenset({"Warsaw"})}


def test_a_schema_shows_a_wrong_type(graph: GraphStore) -> None:
    said(
        graph,
        {
            "a.txt": [("Bob:Person", "likes", "Warsaw:City"), "Warsaw:City"],
            "b.txt": [("Eve:Person", "born in", "Warsaw:Person")],
        },
    )
    schema = Schema.parse(
        "types: {Person: {}, Place: {}, City: {parent: Place}}\n"
        "relations: {born_in: {head: Person, tail: Place}}"
    )
    assert merged(graph) == set()
    assert merged(graph, schema=schema) == {frozenset({"Warsaw"})}


def test_a_name_of_two_well_supported_things_stays_two(graph: GraphStore) -> None:
    facts = {
        f"{at}.txt": [
            ("Washington:Person", "led", f"Army {at}:Organization"),
            ("Washington:City", "is capital of", "United States:Place"),
            ("Washington:Person", "was president of", "United States:Place"),
        ]
        for at in "abc"
    }
    said(graph, facts)
    assert merged(graph) == set()


def test_a_rare_reading_that_its_relations_support_stays(graph: GraphStore) -> None:
    said(
        graph,
        {
            "a.txt": ["Washington:City"] * 30,
            "b.txt": [("Adams:Person", "was president of", "United States:Place")],
            "c.txt": [("Lincoln:Person", "was president of", "United States:Place")],
            "d.txt": [
                ("Washington:Person", "was president of", "United States:Place"),
                ("Washington:City", "lies in", "United States:Place"),
            ],
        },
    )
    assert merged(graph) == set()


def test_two_readings_without_anything_in_common_stay_two(graph: GraphStore) -> None:
    said(
        graph,
        {
            "a.txt": [("Washington:City", "lies on", "Potomac:River")],
            "b.txt": [("Washington:Person", "owned", "Mount Vernon:Place")],
        },
    )
    assert merged(graph) == set()


def test_a_slip_in_the_same_document_is_one_thing(graph: GraphStore) -> None:
    said(graph, {"a.txt": [*["Warsaw:City"] * 6, "Warsaw:Person"]})
    assert merged(graph) == {frozenset({"Warsaw"})}


def test_a_merged_name_takes_its_untyped_mentions_along(graph: GraphStore) -> None:
    said(
        graph,
        {
            "a.txt": [("Marie Curie:Person", "was born in", "Warsaw:City")],
            "b.txt": [("Marie Curie:Person", "left", "Warsaw:Organization")],
            "c.txt": [("Someone", "visited", "Warsaw")],
        },
    )
    # Two typed readings: the untyped one stands alone until they are one.
    assert len([e for e in graph.derived("entity") if e.name == "Warsaw"]) == 3
    resolve(graph)
    assert len([e for e in graph.derived("entity") if e.name == "Warsaw"]) == 1


def test_an_untyped_name_that_could_be_either_stays_alone(graph: GraphStore) -> None:
    said(
        graph,
        {
            "a.txt": ["Port Washington:City"] * 3,
            "b.txt": ["Port Washington:Person"] * 3,
            "c.txt": ["Washington, Port"] * 5,
        },
    )
    assert merged(graph) == set()


# --------------------------------------------------------------------------------- identifiers


def iri_mention(name: str, type: str, iri: str, config: Config) -> Mention:
    return Mention(entity_id(name, type, iri=iri), name, config.id, type=type, iri=iri)


def test_iris_join_and_part(graph: GraphStore) -> None:
    config = Config("file")
    run = graph.begin_run(config).id
    mentions = [
        iri_mention("Warsaw", "City", "http://a.org/1", config),
        Mention(
            entity_id("Warszawa", "City"), "Warszawa", config.id, type="City", iri="http://a.org/1"
        ),
        iri_mention("Port Jackson", "City", "http://a.org/2", config),
        iri_mention("Jackson, Port", "City", "http://a.org/3", config),
        iri_mention("Jackson Port", "City", "http://b.org/3", config),
    ]
    graph.write(Batch(mentions=tuple(mentions)), run=run)
    report = resolve(graph)
    names = [{m.kept_name, m.dropped_name} for m in report.merges]
    assert {"Warsaw", "Warszawa"} in names
    assert report.layers["iri"] == 1
    # Two numbers of one register are two things; a number of another register says nothing.
    assert {"Port Jackson", "Jackson, Port"} not in names
    assert len(list(graph.derived("entity"))) == 3


def test_conflicting_values_of_a_functional_relation_part(graph: GraphStore) -> None:
    schema = Schema.parse(
        "types: {Person: {}}\nrelations: {born_on: {head: Person, tail: date, functional: true}}"
    )
    said(
        graph,
        {
            "a.txt": [("John Smith:Person", "born on", "=1867-11-07")],
            "b.txt": [("Smith, John:Person", "born on", "=1901-01-01")],
            "c.txt": [("Marie Curie:Person", "born on", "=1867-11-07")],
            "d.txt": [("Curie, Marie:Person", "born on", "=1867")],
        },
    )
    assert merged(graph) == pairs("John Smith = Smith, John", "Marie Curie = Curie, Marie")
    assert merged(graph, schema=schema) == pairs("Marie Curie = Curie, Marie")


# ------------------------------------------------------------------------- encoder and judge


def letters(texts: Sequence[str]) -> np.ndarray:
    """A toy encoder: counts of letters; the first word decides most."""
    rows = np.zeros((len(texts), 26), np.float32)
    for row, text in zip(rows, texts, strict=True):
        for char in text.split(";")[0].casefold():
            if "a" <= char <= "z":
                row[ord(char) - 97] += 1
    return rows


def test_nearest_neighbours_are_joined_only_behind_the_guards(graph: GraphStore) -> None:
    said(
        graph,
        {
            "a.txt": [
                "Roma Uno:City",
                "Nuo Amor:City",
                "Rocky 2:Person",
                "Rocky 3:Person",
                "Prussian Army",
                "Prussian Mary",
            ]
        },
    )
    assert merged(graph) == set()
    options = ResolutionOptions(cosine=0.95)
    assert merged(graph, encode=letters, options=options) == pairs("Roma Uno = Nuo Amor")


def test_an_encoder_that_returns_nonsense_is_named(graph: GraphStore) -> None:
    said(graph, {"a.txt": ["A:City", "B:City"]})
    with pytest.raises(ValueError, match="one vector for each text"):
        resolve(graph, encode=lambda texts: np.zeros(3))


def test_a_judge_is_asked_only_what_is_doubtful_once_and_within_the_budget(
    graph: GraphStore,
) -> None:
    said(
        graph,
        {
            "a.txt": [
                ("International Business Machines:Organization", "is based in", "Armonk:City"),
                ("International Business Machine Co:Organization", "makes", "Watson"),
                "Obama, Barack:Person",
                "Barack Obama:Person",
                "Rocky 2:Person",
                "Rocky 3:Person",
            ]
        },
    )
    asked: list[Question] = []

    def judge(questions: Sequence[Question]) -> list[bool | None]:
        asked.extend(questions)
        return [True] * len(questions)

    report = resolve(graph, judge=judge)
    assert [(q.first.name, q.second.name) for q in asked if "Business" in q.first.name] != []
    assert all("Rocky" not in q.first.name and "Obama" not in q.first.name for q in asked)
    assert report.asked == len(asked) == 1
    assert report.layers == {"spelling": 1, "judge": 1}
    (question,) = asked
    assert {question.first.neighbours, question.second.neighbours} == {("Armonk",), ("Watson",)}
    graph.undo(report.run)
    poor = resolve(graph, judge=judge, options=ResolutionOptions(questions=0))
    assert (poor.asked, poor.unasked, poor.layers) == (0, 1, {"spelling": 1})


def test_a_judge_that_does_not_know_joins_nothing(graph: GraphStore) -> None:
    said(graph, {"a.txt": ["International Business Machines", "International Business Machine Co"]})
    assert resolve(graph, judge=lambda asked: [None] * len(asked)).merges == ()
    with pytest.raises(ValueError, match="answers"):
        resolve(graph, judge=lambda asked: [])


# -------------------------------------------------------------------------------------- limits


def test_groups_above_the_limit_are_reported_and_left_alone(graph: GraphStore) -> None:
    orders = ["Ann Bea Cid", "Bea Ann Cid", "Cid Ann Bea", "Ann Cid Bea"]
    said(graph, {"a.txt": [f"{text}:Person" for text in orders]})
    assert len(merged(graph)) == 3
    report = resolve(graph, options=ResolutionOptions(largest=3))
    assert report.merges == ()
    assert [sorted(group) for group in report.too_large] == [sorted(orders)]


def test_a_chain_of_likenesses_does_not_drift(graph: GraphStore) -> None:
    chain = ["Museum of Konstantinopel", "Museum of Konstantinopol", "Museum of Konstantinopoli"]
    mentions = [f"{name}:Place" for name in (chain[0], *chain)]
    said(graph, {"a.txt": mentions})
    # The last is one edit from the second, but two from the first, which most mentions name.
    options = ResolutionOptions(jaccard=0.7)
    assert merged(graph, options=options) == {frozenset(chain[:2])}


def test_an_empty_graph_has_nothing_to_resolve(graph: GraphStore) -> None:
    report = resolve(graph)
    assert (report.merges, report.entities_before, report.rounds) == ((), 0, 1)


def test_the_run_says_what_decided(graph: GraphStore) -> None:
    said(graph, {"a.txt": ["Barack Obama:Person", "Obama, Barack:Person"]})
    report = resolve(graph, options=ResolutionOptions(jaccard=0.95))
    (run,) = [one for one in graph.written("run") if one.id == report.run]
    (config,) = graph.written("config", id=run.config)
    assert config.harvester == "resolution"
    assert config.parameters["jaccard"] == 0.95
    assert config.parameters["layers"] == ["iri", "name", "mistyped", "spelling", "person"]
    assert run.counts == {"merges": 1}
    assert isinstance(graph.get(report.merges[0].dropped), Entity)
