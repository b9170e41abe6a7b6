"""The names of a schema's seeds are found in the text, with the types that the seeds give them."""

from __future__ import annotations

from harvest.extraction.harvester import TextHarvester
from harvest.extraction.pipeline import load_pipeline
from harvest.extraction.seeds import SeedNames
from harvest.facts import facts_of
from kg.records import Document
from kg.schema import Schema

GENRE = """
types: {{Work: {{}}, Genre: {{}}}}
relations:
  genre: {{head: Work, tail: Genre{seeds}}}
"""
SEEDS = ", seeds: [[Blitzkrieg Bop, punk rock], [Paranoid, heavy metal]]"


def test_seed_names_stand_where_they_stand() -> None:
    names = SeedNames(Schema.parse(GENRE.format(seeds=SEEDS)))
    doc = load_pipeline("")("They play Punk  Rock and heavy metal, not heavy metals.")
    found = {doc[start:end].text for start, end in names.spans(doc)}
    assert found == {"Punk  Rock", "heavy metal"}
    assert names.types_of("punk rock") == {"Genre"}
    assert names.types_of("jazz") == frozenset()
    assert names.is_tail("genre", "HEAVY METAL")
    assert not names.is_tail("genre", "Paranoid")


def test_short_names_and_literals_are_no_seed_names() -> None:
    schema = Schema.parse(
        "types: {Work: {}, Place: {}}\nrelations:\n"
        "  made: {head: Work, tail: date, seeds: [[Psycho, '1960']]}\n"
        "  set_in: {head: Work, tail: Place, seeds: [[It, Rome]]}\n"
    )
    names = SeedNames(schema)
    assert names.types_of("1960") == frozenset()
    assert names.types_of("It") == frozenset()
    assert names.types_of("Rome") == {"Place"}


def test_a_seeded_tail_is_read_that_is_missed_without() -> None:
    text = "Battery Check is a song by the Swedish punk rock band Millencolin from Home from Home."
    document = Document(uri="x", text=text)

    def tails(seeds: str) -> set[str]:
        harvester = TextHarvester(Schema.parse(GENRE.format(seeds=seeds)))
        return {fact.tail for fact in facts_of(harvester, document)}

    assert tails(SEEDS) == {"punk rock"}
    assert TextHarvester(Schema.parse(GENRE.format(seeds=SEEDS))).config != (
        TextHarvester(Schema.parse(GENRE.format(seeds=""))).config
    )
