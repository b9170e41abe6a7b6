"""What the text harvester writes, and what it does not."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import harvest
from harvest.errors import InputError
from harvest.extraction.harvester import CHUNK, TextHarvester
from harvest.extraction.pipeline import NotEnglish
from harvest.facts import Fact
from kg.ids import entity_id
from kg.records import Batch, Document, Literal, Mention
from kg.schema import Schema


@cache
def harvester() -> TextHarvester:
    return TextHarvester()


def facts(text: str) -> set[tuple[str, str, str]]:
    return {(fact.head, fact.relation, fact.tail) for fact in harvest.text(text)}


def run(document: Document) -> list[Batch]:
    known: list[Mention] = []
    batches = []
    for chunk in harvester().chunks(document):
        batch = harvester().extract(document, chunk, known=known)
        known += batch.mentions
        batches.append(batch)
    return batches


# ------------------------------------------------------------------------ what is said


def test_place_and_date_of_birth_with_their_quote() -> None:
    text = "Marie Curie was born in Warsaw on 7 November 1867."
    [born_in, date] = harvest.text(text)
    assert (born_in.head, born_in.relation, born_in.tail) == ("Marie Curie", "born_in", "Warsaw")
    assert (date.relation, date.tail) == ("date_of_birth", "1867-11-07")
    assert born_in.quote == text and text[slice(*born_in.span)] == text
    assert 0.5 <= born_in.score <= 1.0
    assert str(born_in).startswith("Marie Curie —born_in→ Warsaw")


def test_a_date_is_a_literal_of_its_datatype() -> None:
    document = Document(uri="a", text="Marie Curie was born in Warsaw on 7 November 1867.")
    tails = [
        e.tail for batch in run(document) for e in batch.evidence if e.relation == "date_of_birth"
    ]
    assert tails == [Literal("1867-11-07", "xsd:date")]


def test_names_of_one_entity_are_joined_across_sentences() -> None:
    text = "Marie Curie was a physicist. Curie was born in Warsaw."
    assert ("Marie Curie", "born_in", "Warsaw") in facts(text)


def test_a_pronoun_is_its_person_and_its_span_is_the_pronoun() -> None:
    text = "Marie Curie was a physicist. She was born in Warsaw."
    document = Document(uri="a", text=text)
    [evidence] = [e for batch in run(document) for e in batch.evidence if e.relation == "born_in"]
    assert evidence.head == entity_id("Marie Curie", "Person")
    assert evidence.head_span is not None and text[slice(*evidence.head_span)] == "She"
    assert evidence.quote == "She was born in Warsaw."
    surfaces = {m.surface for batch in run(document) for m in batch.mentions}
    assert "She" not in surfaces  # pronouns are not mentions


def test_direction_follows_the_sentence_not_the_order_of_names() -> None:
    for text in ("Paul Allen founded Microsoft.", "Microsoft was founded by Paul Allen."):
        assert ("Microsoft", "founded_by", "Paul Allen") in facts(text)
        assert ("Paul Allen", "founded_by", "Microsoft") not in facts(text)


def test_two_founders_of_one_company() -> None:
    found = facts("Steve Jobs and Steve Wozniak founded Apple in 1976.")
    assert {
        ("Apple", "founded_by", "Steve Jobs"),
        ("Apple", "founded_by", "Steve Wozniak"),
    } <= found


# -------------------------------------------------------------------- what is not said


@pytest.mark.parametrize(
    "text",
    [
        "Marie Curie met Albert Einstein in Brussels in 1911.",
        "Alan Turing read a book about Apple.",
        "Former IBM engineers founded SAP.",
        "Was Lise Meitner born in Berlin?",
        "If Niels Bohr had been born in Berlin, he would have become a lawyer.",
        "Berlin is larger than Munich.",
    ],
)
def test_nothing_is_made_of(text: str) -> None:
    assert facts(text) == set()


def test_what_is_denied_is_kept_as_negated_and_never_as_a_fact() -> None:
    text = "Lise Meitner was not born in Berlin."
    assert facts(text) == set()
    denied = harvest.text(text, include_negated=True)
    assert [(f.relation, f.tail, f.negated) for f in denied] == [("born_in", "Berlin", True)]
    assert "(denied)" in str(denied[0])


def test_what_is_in_doubt_is_hedged() -> None:
    [fact] = [
        f
        for f in harvest.text("Lise Meitner was possibly born in Berlin.")
        if f.relation == "born_in"
    ]
    assert fact.hedged and not fact.negated


@pytest.mark.parametrize(
    "text",
    [
        "Marie Curie est une physicienne et chimiste polonaise, naturalisée française par son "
        "mariage avec le physicien Pierre Curie, qui reçut le prix Nobel."
    ],
)
def test_another_language_is_refused(text: str) -> None:
    with pytest.raises(NotEnglish):
        harvest.text(text)


# ----------------------------------------------------------------------------- records


def test_a_name_cut_by_a_line_end_is_whole_and_its_span_exact() -> None:
    text = "Otto Hahn was born in Frank-\nfurt on 8 March 1879."
    document = Document(uri="a", text=text)
    [batch] = run(document)
    [mention] = [m for m in batch.mentions if "Frankfurt" in m.name]
    assert mention.surface == "Frankfurt"
    assert mention.span is not None and text[slice(*mention.span)] == "Frank-\nfurt"
    assert ("Otto Hahn", "born_in", "Frankfurt") in facts(text)


PIECES = st.sampled_from(
    [
        "Marie Curie ",
        "was born in Warsaw",
        ". ",
        "\n",
        "\r\n",
        "\n\n",
        "😀",
        "e\u0301",
        "She ",
        "-\n",
        "7 November 1867",
        " (",
        ") ",
        "the ",
        "Pierre Curie's wife",
        "\u00ad",
        "\u200b",
        " and ",
        "Joliot-",
        "\t",
        "“",
        "”",
        "İstanbul ",
        "ß",
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, max_size=25))
def test_every_span_equals_its_quote(pieces: list[str]) -> None:
    text = "".join(pieces)
    document = Document(uri="x", text=text)
    for chunk in harvester().chunks(document):
        try:
            batch = harvester().extract(document, chunk)
        except NotEnglish:
            continue
        for mention in batch.mentions:
            assert (
                mention.span is not None
                and chunk.start <= mention.span[0] < mention.span[1] <= chunk.end
            )
            letters = [c for c in text[slice(*mention.span)] if c.isalnum()]
            assert letters == [c for c in mention.surface if c.isalnum()]
        ids = {mention.entity for mention in batch.mentions}
        for evidence in batch.evidence:
            assert evidence.span is not None and evidence.quote == text[slice(*evidence.span)]
            for span in (evidence.head_span, evidence.tail_span):
                assert (
                    span is not None and evidence.span[0] <= span[0] < span[1] <= evidence.span[1]
                )
            assert evidence.head in ids
            assert isinstance(evidence.tail, Literal) or evidence.tail in ids


def test_a_document_gives_the_same_alone_and_among_others_and_again() -> None:
    texts = [
        "Marie Curie was born in Warsaw. She won the Nobel Prize in Physics in 1903.",
        "Niels Bohr (7 October 1885 – 18 November 1962) was a Danish physicist who studied at the "
        "University of Copenhagen and founded the Institute for Theoretical Physics in 1921.",
        "Apple was founded by Steve Jobs in 1976.",
    ]
    documents = [Document(uri=str(i), text=text) for i, text in enumerate(texts)]
    together = [run(document) for document in documents]
    fresh = TextHarvester()
    for document, batches in reversed(list(zip(documents, together, strict=True))):
        [chunk] = fresh.chunks(document)
        assert [fresh.extract(document, chunk)] == batches
    assert fresh.config == harvester().config


def test_scores_are_rounded_before_any_threshold() -> None:
    for batch in run(Document(uri="a", text="Marie Curie was born in Warsaw on 7 November 1867.")):
        for evidence in batch.evidence:
            assert evidence.score == round(evidence.score, 4)


def test_long_documents_are_cut_at_paragraphs_and_names_still_join() -> None:
    filler = "The laboratory had a long table and many lamps. " * 60 + "\n\n"
    text = "Marie Curie was a physicist.\n\n" + filler * 9 + "Curie was born in Warsaw."
    document = Document(uri="long", text=text)
    chunks = harvester().chunks(document)
    assert len(chunks) == 2 and all(chunk.end - chunk.start <= CHUNK for chunk in chunks)
    assert text[chunks[0].end - 2 : chunks[0].end] == "\n\n"
    heads = {e.head for batch in run(document) for e in batch.evidence if e.relation == "born_in"}
    assert heads == {entity_id("Marie Curie", "Person")}


def test_an_empty_document_has_no_chunks() -> None:
    assert harvester().chunks(Document(uri="a", text=" \n ")) == []


def test_no_break_at_all_is_cut_by_length() -> None:
    chunks = harvester().chunks(Document(uri="a", text="x" * (2 * CHUNK + 5)))
    assert [chunk.end - chunk.start for chunk in chunks] == [CHUNK, CHUNK, 5]


# ------------------------------------------------------------------------- own schemas

OWN = """
types: {Scientist: {parent: Person}, Person: {}, Place: {}, Town: {parent: Place}, Company: {}}
relations:
  native_town: {head: Scientist, tail: Town, aliases: [birthplace]}
  started: {head: Person, tail: Company, inverse: founded by}
  sued:
    description: a company or person that took another to court
    aliases: [filed a lawsuit against]
    templates: ["{head} sued {tail}."]
"""


def test_an_own_schema_reaches_trained_heads_by_alias_and_inverse() -> None:
    schema = Schema.parse(OWN)
    reader = TextHarvester(schema)
    assert reader.zero_shot == ("sued",)
    assert reader.report["zero_shot:sued"] == 1
    found = {
        (f.head, f.relation, f.tail, f.head_type, f.tail_type)
        for f in harvest.text(
            "Marie Curie was born in Warsaw. Steve Jobs founded Apple in 1976.", schema
        )
    }
    assert ("Marie Curie", "native_town", "Warsaw", "Scientist", "Town") in found
    assert ("Steve Jobs", "started", "Apple", "Person", "Company") in found


def test_a_relation_without_a_head_is_read_from_its_words_and_in_its_direction() -> None:
    schema = Schema.parse(OWN)

    def sued(text: str) -> set[tuple[str, str]]:
        return {(f.head, f.tail) for f in harvest.text(text, schema) if f.relation == "sued"}

    assert sued("Microsoft sued Motorola in 2010.") == {("Microsoft", "Motorola")}
    assert sued("Motorola was sued by Microsoft.") == {("Microsoft", "Motorola")}
    assert sued("Microsoft met Motorola in 2010.") == set()
    assert sued("Microsoft never sued Motorola.") == set()


def test_bad_options_are_refused() -> None:
    with pytest.raises(InputError, match=r"threshold 1\.5"):
        TextHarvester(threshold=1.5)
    roles = Schema.parse("types: {}\nrelations: {meeting: {roles: [who, whom, where]}}")
    with pytest.raises(InputError, match="roles"):
        TextHarvester(roles)


def test_everything_that_changes_the_output_changes_the_config() -> None:
    base = harvester().config
    others = [
        TextHarvester(threshold=0.9).config,
        TextHarvester(include_hedged=True).config,
        TextHarvester(Schema.parse(OWN)).config,
    ]
    assert len({base.id, *(config.id for config in others)}) == 4
    assert base.weights and base.model


def test_a_fact_prints_on_one_line() -> None:
    fact = Fact("A", "r", "B", 0.5, "x\n y", (0, 4), hedged=True)
    assert str(fact) == "A —r→ B (in doubt)  0.50  “x y”"


def test_places_in_one_list_are_not_in_each_other() -> None:
    listed = "The region is composed of Annapolis County, Kings County, and Hants County."
    assert facts(listed) == set()
    assert ("Regensburg", "located_in", "Bavaria") in facts("Regensburg is a city in Bavaria.")


def test_a_name_ends_before_signs() -> None:
    """Encyclopaedias leave "(;" where a pronunciation stood."""
    found = facts("Irwin Allen Ginsberg (; June 3, 1926 – April 5, 1997) was an American poet.")
    assert {head for head, _, _ in found} == {"Irwin Allen Ginsberg"}


def test_what_a_thing_is_is_not_its_name() -> None:
    assert not any(tail == "Award" for _, _, tail in facts("Christie received an Award in 1955."))
