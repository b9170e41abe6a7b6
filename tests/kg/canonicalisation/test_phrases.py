"""What phrases say, apart from tense, number, articles and the side they are read from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.canonicalisation.phrases import Phrase, stem


@pytest.mark.parametrize(
    ("one", "other", "turned"),
    [
        ("discovered", "was discovered by", True),
        ("discovers", "has discovered", False),
        ("causes", "caused by", True),
        ("wrote", "was written by", True),
        ("born in", "was born in", False),
        ("is the capital of", "capital of", False),
        ("capital of", "has capital", True),
        ("part of", "has part", True),
        ("led to", "leads to", False),
        ("is known as", "also known as", False),
        ("birthPlace", "birth place", False),
        ("works_for", "works for", False),
        ("does not cause", "doesn't cause", False),
    ],
)
def test_phrases_of_one_relation(one: str, other: str, turned: bool) -> None:
    a, b = Phrase.of(one), Phrase.of(other)
    assert a.words == b.words
    assert (a.swapped != b.swapped) is turned


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("born in", "born on"),
        ("part of", "not part of"),
        ("causes", "does not cause"),
        ("employs", "employer"),
        ("employer", "employee"),
        ("developed", "development"),
        ("calls", "is called"),
        ("is a type of", "has type"),
        ("leads", "leads to"),
        ("underlying", "under"),
        ("have been", "have"),
        ("must be", "must"),
        ("transformed", "transformative"),
        ("can cause", "causes"),
        ("used in", "used for"),
    ],
)
def test_phrases_of_two_relations(one: str, other: str) -> None:
    assert Phrase.of(one).words != Phrase.of(other).words


@pytest.mark.parametrize(
    "text", ["is", "has", "the", "位于", "родился в", "🎵", "n't", "by", "is by"]
)
def test_every_phrase_has_words(text: str) -> None:
    assert Phrase.of(text).words


@given(st.text(min_size=1, max_size=20))
def test_any_text_is_taken_apart(text: str) -> None:
    phrase = Phrase.of(text)
    assert phrase.words
    assert phrase == Phrase.of(text)


def test_stems_are_those_of_the_library_but_for_nouns_made_of_verbs() -> None:
    assert [stem(word) for word in ("influences", "influenced", "receives", "received")] == [
        "influenc",
        "influenc",
        "receiv",
        "receiv",
    ]
    assert stem("production") != stem("produces")
    assert stem("considers") == stem("considered") == stem("considering")
