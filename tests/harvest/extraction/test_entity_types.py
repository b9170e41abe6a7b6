"""A user's type names meet the recogniser's labels."""

import pytest

from harvest.extraction.countries import country_of, is_country
from harvest.extraction.entity_types import TypeMap, kind_of_name
from harvest.extraction.mentions import Candidate, find_candidates, trim
from harvest.extraction.pipeline import load_pipeline
from kg.schema import Schema

SCHEMA = Schema.parse(
    """
types:
  {Human: {}, Scientist: {parent: Human}, Company: {}, Place: {}, City: {parent: Place}, Prize: {},
   Foo: {}}
relations: {r: {head: Human, tail: Place}}
"""
)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Scientist", "person"),
        ("film production company", "organization"),
        ("written work", "work"),
        ("MountainRange", "nature"),
        ("countries", "country"),
        ("military rank", "idea"),
        ("Foo", ""),
    ],
)
def test_a_type_name_speaks_of_a_kind(name: str, kind: str) -> None:
    assert kind_of_name(name) == kind


def test_labels_get_the_root_type_of_their_kind() -> None:
    types = TypeMap(SCHEMA)
    assert types.type_of("PERSON") == "Human"
    assert types.type_of("ORG") == "Company"
    assert types.type_of("GPE") == "Place"
    assert types.type_of("PERSON", "Copley Medal") == "Prize"  # the recogniser's error
    assert types.type_of("LANGUAGE") == ""


def test_wrong_types_do_not_fit() -> None:
    types = TypeMap(SCHEMA)
    person, place = Candidate(0, 2, "PERSON"), Candidate(0, 1, "GPE")
    assert types.fits(person, "Marie Curie", "Scientist")
    assert not types.fits(place, "Warsaw", "Scientist")
    assert not types.fits(person, "Marie Curie", "City")
    assert not types.fits(Candidate(0, 2, "PERSON"), "Copley Medal", "Human")
    assert types.fits(Candidate(0, 1, "DATE", "1903"), "1903", "date")
    assert not types.fits(place, "Warsaw", "date")


def test_demonyms_and_countries() -> None:
    assert country_of("Danish") == "Denmark"
    assert is_country("the Netherlands") is False and is_country("Netherlands")


def found(text: str, **options: object) -> list[tuple[str, str]]:
    doc = load_pipeline()(text)
    return [(doc[c.start : c.end].text, c.label) for c in find_candidates(doc, **options)]  # type: ignore[arg-type]


def test_articles_titles_and_possessives_are_not_part_of_names() -> None:
    names = found("The University of Paris's dean met Dr. Henri Becquerel.", concepts=False)
    assert ("University of Paris", "ORG") in names
    assert ("Henri Becquerel", "PERSON") in names


def test_a_title_is_a_name_wherever_it_stands() -> None:
    names = found("Critics praised the red sun and Red Sun.", title="Red Sun (film)")
    assert "Red Sun" in [name for name, _ in names]
    [candidate] = [
        c
        for c in find_candidates(load_pipeline()("Critics praised Red Sun."), title="Red Sun")
        if c.prominent
    ]
    assert (candidate.start, candidate.end) == (2, 4)


def test_concepts_come_with_and_without_their_modifiers() -> None:
    concepts = {
        text for text, label in found("She studied theoretical physics.") if label == "CONCEPT"
    }
    assert {"physics", "theoretical physics"} <= concepts
    assert not [
        c for c in found("She studied theoretical physics.", concepts=False) if c[1] == "CONCEPT"
    ]


def test_dates_have_their_own_spans_and_years_inside_names_are_left_alone() -> None:
    assert ("7 November 1867", "DATE") in found("She was born on 7 November 1867.")
    assert ("2000", "DATE") not in found("Microsoft released Windows 2000 for companies.")


def test_a_name_ends_before_a_stray_sign() -> None:
    doc = load_pipeline()("Alban Berg; ] February 9")
    assert trim(doc, 0, len(doc)) == (0, 2)
