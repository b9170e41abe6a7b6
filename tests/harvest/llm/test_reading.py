"""From statements to records: spans, direction, types, literals, and every reason to drop one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kg
from harvest.llm.reading import Found, StatementReader
from harvest.llm.rows import Row
from kg.records import Batch, Chunk, Config, Document, Literal, RelationName
from tests.harvest.llm.server import SCHEMA

TEXT = (
    "Marie Curie was born in Warsaw on 7 November 1867. She married Pierre Curie.\r\n"
    "MIT has 11,934 students. Curie and Marie Curie are one."
)
CONFIG = Config(harvester="llm")
DOCUMENT = Document(uri="a", text=TEXT)
CHUNK = Chunk(DOCUMENT.id, 0, len(TEXT))
BORN = Row("Marie Curie was born in Warsaw", "Marie Curie", "born_in", "Warsaw", "Person", "City")


def read(*rows: Row, score: float = 0.7, unknown: str = "drop", threshold: float = 0.0) -> Found:
    reader = StatementReader(
        SCHEMA,
        config=CONFIG.id,
        unknown_relations=unknown,  # type: ignore[arg-type]
        threshold=threshold,
    )
    return reader.read(DOCUMENT, CHUNK, [(row, score) for row in rows])


def test_a_statement_becomes_evidence_and_two_mentions() -> None:
    batch = read(BORN).batch()
    (evidence,) = batch.evidence
    assert evidence.span is not None
    assert evidence.quote == TEXT[slice(*evidence.span)] == "Marie Curie was born in Warsaw"
    assert evidence.head_span == (0, 11) and evidence.tail_span == (24, 30)
    assert [(m.surface, m.type) for m in batch.mentions] == [
        ("Marie Curie", "Person"),
        ("Warsaw", "City"),
    ]
    assert batch.mentions[1].entity == kg.ids.entity_id("Warsaw", "Place")  # its root's key
    assert batch.relation_names == (RelationName("born_in", "born_in"),)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"quote": "Marie Curie was born in Paris"}, "quote"),
        ({"head": "Maria Curie"}, "head"),
        ({"tail": "Warszawa"}, "tail"),
        ({"head": "She"}, "pronoun"),
        ({"relation": "died_in"}, "relation"),
        ({"head_type": "Organization"}, "type"),
        ({"tail": "Marie Curie", "tail_type": ""}, "same_ends"),
        ({"relation": "born_on", "tail": "Warsaw", "tail_type": ""}, "literal"),
        ({"relation": "born_on", "tail": "Warsaw", "tail_type": "City"}, "literal"),
    ],
)
def test_what_cannot_be_verified_is_dropped_with_its_text(
    change: dict[str, str], reason: str
) -> None:
    found = read(replace(BORN, **change))  # type: ignore[arg-type]
    assert not found.evidence and not found.mentions
    (drop,) = found.dropped
    assert drop.reason == reason
    assert all(value in drop.text for key, value in change.items() if "type" not in key)


def test_the_reader_leaves_alone_what_it_cannot_tell() -> None:
    """Types that the schema does not have say nothing about the direction."""
    (evidence,) = read(replace(BORN, head_type="Scientist", tail_type="")).evidence.values()
    assert evidence.relation == "born_in"


def test_ends_the_wrong_way_round_are_turned_by_their_types() -> None:
    wrong = replace(BORN, head="Warsaw", head_type="City", tail="Marie Curie", tail_type="Person")
    found = read(wrong)
    assert found.evidence.keys() == read(BORN).evidence.keys()
    assert found.count["swapped"] == 1


def test_an_inverse_is_kept_as_said_and_mapped() -> None:
    said = replace(
        BORN,
        head="Warsaw",
        relation="Birthplace  of",
        tail="Marie Curie",
        head_type="City",
        tail_type="Person",
    )
    found = read(said)
    (evidence,) = found.evidence.values()
    assert evidence.relation == "Birthplace of" and found.count["swapped"] == 0
    assert found.batch().relation_names == (RelationName("Birthplace of", "born_in", True),)
    turned = read(
        replace(said, head="Marie Curie", tail="Warsaw", head_type="Person", tail_type="City")
    )
    assert turned.evidence.keys() == found.evidence.keys() and turned.count["swapped"] == 1


@pytest.mark.parametrize("tail", ["7 November 1867", "1867-11-07", "November 7, 1867"])
def test_a_date_is_a_literal_as_the_text_extractor_writes_it(tail: str) -> None:
    row = Row("Marie Curie was born in Warsaw on 7 November 1867", "Marie Curie", "born_on", tail)
    (evidence,) = read(row).evidence.values()
    assert evidence.tail == Literal("1867-11-07", "xsd:date")
    assert TEXT[slice(*evidence.tail_span)] == "7 November 1867"  # type: ignore[misc]


def test_a_number_is_a_literal_without_its_commas() -> None:
    row = Row("MIT has 11,934 students", "MIT", "students", "11,934", "Organization", "number")
    (evidence,) = read(row).evidence.values()
    assert evidence.tail == Literal("11934", "xsd:decimal")
    turned = replace(row, head="11,934", tail="MIT", head_type="number", tail_type="Organization")
    assert read(turned).evidence.keys() == read(row).evidence.keys()


def test_an_end_outside_the_quote_keeps_its_own_place() -> None:
    row = Row("She married Pierre Curie", "Marie Curie", "married", "Pierre Curie")
    found = read(row)
    (evidence,) = found.evidence.values()
    assert evidence.head_span is None and evidence.tail_span is not None
    places = [m.span for m in found.mentions.values() if m.name == "Marie Curie"]
    assert places == [(0, 11)]


def test_overlapping_ends_are_set_apart_where_the_text_allows() -> None:
    row = Row("Curie and Marie Curie are one", "Curie", "married", "Marie Curie")
    (evidence,) = read(row).evidence.values()
    assert evidence.head_span is not None and evidence.tail_span is not None
    assert evidence.head_span[1] <= evidence.tail_span[0]


def test_unknown_relations_are_kept_on_demand() -> None:
    row = replace(BORN, relation="grew  up in")
    found = read(row, unknown="keep")
    (evidence,) = found.evidence.values()
    assert evidence.relation == "grew up in" and found.count["unknown_relation"] == 1
    assert found.batch().relation_names == ()


def test_the_threshold_sees_the_rounded_score() -> None:
    assert read(BORN, score=0.69996, threshold=0.7).evidence
    dropped = read(BORN, score=0.69994, threshold=0.7)
    assert not dropped.evidence and dropped.dropped[0].reason == "score"


def test_one_statement_twice_is_one_evidence_with_the_better_score() -> None:
    reader = StatementReader(SCHEMA, config=CONFIG.id)
    found = reader.read(DOCUMENT, CHUNK, [(BORN, 0.4), (BORN, 0.8), (BORN, 0.6)])
    assert [e.score for e in found.evidence.values()] == [0.8]


WORDS = st.sampled_from(
    "Marie Curie Warsaw was born in 👩‍🔬 Zoe\u0308 \r\n Köln , . She 1867 MIT “ ” ﬁ 東京".split(" ")
)


@settings(max_examples=150, deadline=None)
@given(
    words=st.lists(WORDS, min_size=1, max_size=25),
    rows=st.lists(
        st.builds(
            Row,
            quote=st.lists(WORDS, min_size=1, max_size=8).map(" ".join),
            head=st.lists(WORDS, min_size=1, max_size=2).map(" ".join),
            relation=st.sampled_from(["born_in", "married", "born_on", "birthplace_of", "x"]),
            tail=st.lists(WORDS, min_size=1, max_size=2).map(" ".join),
            head_type=st.sampled_from(["", "Person", "City", "x"]),
            tail_type=st.sampled_from(["", "Person", "City", "date"]),
            negated=st.booleans(),
        ),
        max_size=6,
    ),
)
def test_whatever_is_said_the_store_takes_the_records(words: list[str], rows: list[Row]) -> None:
    document = Document(uri="a", text=" ".join(words))
    chunk = Chunk(document.id, 0, len(document.text))
    store = kg.open_graph("memory://")
    run = store.begin_run(CONFIG)
    reader = StatementReader(SCHEMA, config=CONFIG.id, unknown_relations="keep")
    found = reader.read(document, chunk, [(row, 0.5) for row in rows])
    assert len(found.evidence) + len(found.dropped) <= len(rows)
    batch = found.batch()
    store.write(
        Batch(
            documents=(document,),
            chunks=(chunk,),
            mentions=batch.mentions,
            evidence=batch.evidence,
            relation_names=batch.relation_names,
        ),
        run=run.id,
    )
    assert sum(1 for _ in store.written("evidence")) == len(found.evidence)
    store.close()
