"""A sentence asserts, denies, doubts, asks or supposes; only what it asserts is a fact."""

from functools import cache

import pytest

from harvest.extraction.assertion import Assertion, judge
from harvest.extraction.mentions import Candidate
from harvest.extraction.pipeline import load_pipeline


@cache
def verdict(text: str, head: str, tail: str) -> Assertion:
    doc = load_pipeline()(text)
    ends = []
    for name in (head, tail):
        span = doc.char_span(text.index(name), text.index(name) + len(name))
        ends.append(Candidate(span.start, span.end, "NAME"))
    return judge(doc, doc[:], ends[0], ends[1])


@pytest.mark.parametrize(
    ("text", "head", "tail"),
    [
        ("Niels Bohr played for Akademisk Boldklub.", "Niels Bohr", "Akademisk Boldklub"),
        ("Marie Curie, who was not rich, was born in Warsaw.", "Marie Curie", "Warsaw"),
        ("Marie Curie was not only born in Warsaw but also raised there.", "Marie Curie", "Warsaw"),
        ("He joined IBM, and his brother never left Berlin.", "He", "IBM"),
        (
            "The parents of Marie Curie were Bronisława and Władysław Skłodowski.",
            "Marie Curie",
            "Władysław",
        ),
        ("IBM engineer John Backus led the project.", "IBM", "John Backus"),
        ("The Titanic film was directed by James Cameron.", "Titanic", "James Cameron"),
        ("Marie Curie's discovery of radium was celebrated.", "Marie Curie", "radium"),
        ("In 1891 she would later marry Pierre Curie.", "she", "Pierre Curie"),
    ],
)
def test_asserted(text: str, head: str, tail: str) -> None:
    assert verdict(text, head, tail) == Assertion()


@pytest.mark.parametrize(
    ("text", "head", "tail"),
    [
        ("Niels Bohr never played for Manchester United.", "Niels Bohr", "Manchester United"),
        ("Niels Bohr did not play for Manchester United.", "Niels Bohr", "Manchester United"),
        ("Lise Meitner wasn't born in Berlin.", "Lise Meitner", "Berlin"),
        ("Otto Hahn refused to join the Nazi Party.", "Otto Hahn", "Nazi Party"),
        ("Ada Lovelace neither founded nor led IBM.", "Ada Lovelace", "IBM"),
    ],
)
def test_denied(text: str, head: str, tail: str) -> None:
    assert verdict(text, head, tail).negated


@pytest.mark.parametrize(
    ("text", "head", "tail", "reason"),
    [
        ("Was Lise Meitner born in Berlin?", "Lise Meitner", "Berlin", "question"),
        (
            "If Niels Bohr had joined IBM, he would have left Denmark.",
            "Niels Bohr",
            "IBM",
            "conditional",
        ),
        ("If he had stayed, Bohr would have joined IBM.", "Bohr", "IBM", "conditional"),
        ("Former IBM engineers founded SAP.", "IBM", "SAP", "group"),
        (
            "Students of Ernest Rutherford founded the Kapitza Club.",
            "Ernest Rutherford",
            "Kapitza Club",
            "group",
        ),
        ("The Eiffel Tower replica was built in Texas.", "Eiffel Tower", "Texas", "group"),
        ("A statue of Niels Bohr was made in Berlin.", "Niels Bohr", "Berlin", "group"),
        ("Bohr's brother Harald played for Hellerup.", "Bohr", "Hellerup", "group"),
        ("Alan Turing hoped to join IBM.", "Alan Turing", "IBM", "wish"),
    ],
)
def test_not_said(text: str, head: str, tail: str, reason: str) -> None:
    assert verdict(text, head, tail).dropped == reason


@pytest.mark.parametrize(
    ("text", "head", "tail"),
    [
        ("Homer was possibly born in Smyrna.", "Homer", "Smyrna"),
        ("Homer may have been born in Smyrna.", "Homer", "Smyrna"),
        ("Homer is said to have been born in Smyrna.", "Homer", "Smyrna"),
        ("Homer was allegedly born in Smyrna.", "Homer", "Smyrna"),
    ],
)
def test_in_doubt(text: str, head: str, tail: str) -> None:
    found = verdict(text, head, tail)
    assert found.hedged and not found.negated and not found.dropped
