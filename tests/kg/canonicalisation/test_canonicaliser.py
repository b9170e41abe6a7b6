"""Relation maps of a few phrases, solved by hand; then whole graphs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg import Schema, graph_hash, open_graph
from kg.canonicalisation import CanonicalisationOptions, PhraseUse, canonicalise, propose_names
from kg.derivation import statement_key
from kg.records import RelationName
from kg.store.protocol import GraphStore
from tests.kg.resolution.said import raw, said

SCHEMA = Schema.parse(
    """
    types: {Person: {}, Place: {}}
    relations:
      born_in: {head: Person, tail: Place, aliases: [native of], inverse: birthplace of}
      spouse: {head: Person, tail: Person, symmetric: true, aliases: [married]}
      discoverer: {inverse: discovered, aliases: [discovered by]}
    """
)


def names(rows: Sequence[RelationName]) -> dict[str, tuple[str, bool]]:
    return {row.phrase: (row.relation, row.swapped) for row in rows}


def uses(*phrases: str) -> list[PhraseUse]:
    """Earlier phrases are commoner."""
    return [PhraseUse(phrase, len(phrases) - at) for at, phrase in enumerate(phrases)]


def by_meaning(meanings: dict[str, int]) -> object:
    """An encoder for which phrases of one number are equal; others are orthogonal."""

    def encode(texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), 64), np.float32)
        for at, (row, text) in enumerate(zip(rows, texts, strict=True)):
            phrase = text.removeprefix("One thing ").removesuffix(" another thing.")
            row[meanings.get(phrase, 20 + at)] = 1
        return rows

    return encode


# -------------------------------------------------------------------------------------- direction


def test_inverse_phrases_are_one_relation_with_ends_swapped() -> None:
    rows = propose_names(uses("caused by", "causes", "cause"))
    assert names(rows) == {"causes": ("caused by", True), "cause": ("caused by", True)}
    says = statement_key("e_smoke", "caused by", "e_fire", rows)
    assert statement_key("e_fire", "causes", "e_smoke", rows) == says
    assert statement_key("e_smoke", "causes", "e_fire", rows) != says


@settings(max_examples=50, deadline=None)
@given(st.permutations(["discovered", "was discovered by", "discovers", "is discovered by"]))
def test_swapped_phrases_meet_with_swapped_ends_whatever_is_commonest(order: list[str]) -> None:
    rows = propose_names(uses(*order))
    keys = set()
    for phrase in order:
        head, tail = ("e_x", "e_y") if phrase.endswith("by") else ("e_y", "e_x")
        keys.add(statement_key(head, phrase, tail, rows))
    assert len(keys) == 1


def test_an_encoder_cannot_join_what_is_read_from_two_sides() -> None:
    encode = by_meaning({"caused by": 1, "triggers": 1, "leads to": 1, "led by": 1})
    assert propose_names(uses("caused by", "triggers"), encode=encode) == []
    assert propose_names(uses("leads to", "led by"), encode=encode) == []


def test_neighbours_take_their_inverse_phrases_along() -> None:
    encode = by_meaning({"begins": 1, "starts": 1})
    rows = propose_names(uses("begins", "starts", "was begun by", "started by"), encode=encode)
    assert names(rows) == {
        "starts": ("begins", False),
        "was begun by": ("begins", True),
        "started by": ("begins", True),
    }


def test_neighbours_whose_relations_read_from_two_sides() -> None:
    # "launched" is named by its passive, and its commonest phrase is read like "begins".
    known = [RelationName("launched", "launch of", swapped=True, run="r")]
    encode = by_meaning({"begins": 1, "launched": 1})
    rows = propose_names(
        [PhraseUse("begins", 1), PhraseUse("launched", 5)], known=known, encode=encode
    )
    # "launched" keeps its name; "begins" takes it, from the same side.
    assert names(rows) == {"begins": ("launch of", True)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("parent of", "child of"),
        ("increases", "decreased"),
        ("causes", "prevents"),
        ("before", "after"),
        ("employer", "employee"),
        ("located in", "situated at"),
        ("creates jobs", "creates risks"),
        ("part of", "not member of"),
        ("and", "or"),
    ],
)
def test_an_encoder_joins_no_opposites(one: str, other: str) -> None:
    assert propose_names(uses(one, other), encode=by_meaning({one: 1, other: 1})) == []


def test_relations_between_other_types_are_not_joined_by_an_encoder() -> None:
    encode = by_meaning({"located": 1, "situated": 1})
    city, person = ("city", "place"), ("person", "place")

    def found(one: tuple[str, str], other: tuple[str, str]) -> int:
        used = [PhraseUse("located", 2, {one: 2}), PhraseUse("situated", 1, {other: 1})]
        return len(propose_names(used, encode=encode))

    assert found(city, city) == 1
    assert found(city, person) == 0
    assert found(city, ("", "place")) == 1  # unknown types say nothing


# ------------------------------------------------------------------------------------------ schema


def test_declared_relations_come_first() -> None:
    rows = propose_names(
        uses("was born in", "born in", "Native_of", "birthplace of", "is the birthplace of"),
        schema=SCHEMA,
    )
    assert names(rows) == {
        "was born in": ("born_in", False),
        "Native_of": ("born_in", False),
        "birthplace of": ("born_in", True),
        "is the birthplace of": ("born_in", True),
    }
    layers = {row.phrase: row.layer for row in rows}
    assert layers["Native_of"] == "schema"
    assert layers["was born in"] == "declared"


def test_declared_inverses_and_passives() -> None:
    rows = propose_names(
        uses("has discovered", "was discovered by", "discovered by"), schema=SCHEMA
    )
    assert names(rows) == {
        "has discovered": ("discoverer", True),
        "was discovered by": ("discoverer", False),
        "discovered by": ("discoverer", False),
    }


def test_symmetric_relations_have_no_side() -> None:
    (row,) = propose_names(uses("was married"), schema=SCHEMA)[:1] or [None]
    assert row is None  # "was married" is not "married"
    (row,) = propose_names(uses("has married"), schema=SCHEMA)
    assert (row.relation, row.symmetric, row.swapped) == ("spouse", True, False)


def test_what_the_map_holds_is_kept() -> None:
    known = [RelationName("discovered", "found", run="r_1"), RelationName("lies in", "in")]
    rows = propose_names(uses("discovers", "discovered", "lay in"), known=known)
    assert names(rows) == {"discovers": ("found", False)}
    schema = [RelationName("discovered", "detect"), *known]  # a schema's row holds
    assert names(propose_names(uses("discovers", "discovered"), known=schema)) == {
        "discovers": ("detect", False)
    }


# ----------------------------------------------------------------------------------------- a graph


@pytest.fixture
def graph() -> Iterator[GraphStore]:
    store = open_graph("memory://")
    said(
        store,
        {
            "a.txt": [
                ("Curie:Person", "discovered", "Radium"),
                ("Polonium", "was discovered by", "Curie:Person"),
                ("Radium", "was discovered by", "Curie:Person"),
                ("Curie:Person", "was born in", "Warsaw:City"),
                ("Curie:Person", "is born in", "Warsaw:City"),
            ]
        },
    )
    yield store
    store.close()


def test_triples_meet_and_undo_parts_them(graph: GraphStore) -> None:
    before = graph_hash(graph)
    assert graph.stats().triples == 5
    planned = canonicalise(graph, dry_run=True)
    assert graph_hash(graph) == before
    report = canonicalise(graph)
    assert (
        names(report.rows)
        == names(planned.rows)
        == {
            "discovered": ("was discovered by", True),
            "was born in": ("is born in", False),
        }
    )
    assert (report.types_before, report.types_after) == (4, 2)
    triples = list(graph.derived("triple"))
    radium = next(t for t in triples if t.head == raw("Radium"))
    assert (radium.tail, radium.support) == (raw("Curie:Person"), 2)
    assert len(triples) == 3
    # Every phrase stays in its evidence.
    assert {e.relation for e in graph.written("evidence")} == {
        "discovered",
        "was discovered by",
        "was born in",
        "is born in",
    }
    again = canonicalise(graph)
    assert again.rows == ()
    graph.undo(again.run)
    graph.undo(report.run)
    assert graph_hash(graph) == before


def test_new_phrases_join_what_was_found_before(graph: GraphStore) -> None:
    canonicalise(graph)
    said(graph, {"b.txt": [("Curie:Person", "has discovered", "Thorium")] * 3})
    report = canonicalise(graph)
    assert names(report.rows) == {"has discovered": ("was discovered by", True)}


def test_related_to_only_if_asked_and_a_warning_above_the_limit(graph: GraphStore) -> None:
    said(graph, {"b.txt": [("Curie:Person", "was fond of", "Bicycles")]})
    options = CanonicalisationOptions(related_to=True, many=2)
    report = canonicalise(graph, options=options)
    assert names(report.rows)["was fond of"] == ("RELATED_TO", False)
    assert "3 relation types" in report.warning
    assert canonicalise(graph, options=options).rows == ()
    assert "fond" not in str(canonicalise(graph, dry_run=True).rows)


def test_the_run_says_what_decided(graph: GraphStore) -> None:
    report = canonicalise(graph, options=CanonicalisationOptions(cosine=0.9))
    (run,) = [one for one in graph.written("run") if one.id == report.run]
    (config,) = graph.written("config", id=run.config)
    assert config.harvester == "canonicalisation"
    assert config.parameters["cosine"] == 0.9
    assert run.counts == {"relation_names": 2}
