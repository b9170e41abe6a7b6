"""Quotes found in a text although no model copies exactly; spans are exact."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvest.llm.locating import FoldedText


@pytest.mark.parametrize(
    ("text", "quote", "found"),
    [
        ("He was born in Warsaw.", "He was born in Warsaw.", "He was born in Warsaw."),
        ("He was born in Warsaw.", "he WAS born", "He was born"),
        ("He was  born\r\n in\tWarsaw.", "was born in Warsaw", "was  born\r\n in\tWarsaw"),
        ("He was born in Warsaw", '"He was born in Warsaw."', "He was born in Warsaw"),
        ("“He” was — so – ‘born’…", "\"He\" was - so - 'born'...", "“He” was — so – ‘born’…"),
        ("Zoe\u0308 was here", "Zo\u00eb was", "Zoe\u0308 was"),
        ("Zo\u00eb was here", "Zoe\u0308 was", "Zo\u00eb was"),
        ("wo\u00adman of Rome", "woman of", "wo\u00adman of"),
        ("the ﬁrst Ｗarsaw", "first Warsaw", "ﬁrst Ｗarsaw"),
        ("Die große Straße", "GROSSE STRASSE", "große Straße"),
        ("A 👩‍🔬 was born in Köln", "👩‍🔬 was born", "👩‍🔬 was born"),
        ("東京都は日本の首都", "日本の首都", "日本の首都"),
        ("One day he, an old man, left.", "One day he ... left", "One day he, an old man, left"),
        ("One day he, an old man, left.", "One day […] left", "One day he, an old man, left"),
        ("ends with cafe\u0301", "with cafe\u0301", "with cafe\u0301"),
    ],
)  # fmt: skip
def test_a_quote_is_found_and_its_span_is_exact(text: str, quote: str, found: str) -> None:
    span = FoldedText(text).quote(quote)
    assert span is not None and text[slice(*span)] == found


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("He was born in Warsaw.", "He was born in Paris."),
        ("He was born.", ""),
        ("He was born.", " .,"),
        ("", "He"),
        ("ends with cafe\u0301", "with cafe"),  # an accent belongs to its letter
        ("ﬁrst", "f"),  # half a ligature
        ("left … came", "came ... left"),
        ("A b." + " x" * 400 + " C d.", "A b ... C d"),
    ],
)
def test_what_does_not_stand_there_is_not_found(text: str, quote: str) -> None:
    assert FoldedText(text).quote(quote) is None


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("Annapolis and Ann met Ann.", "Ann", ["Ann", "Ann"]),
        ("MARIE  Curie’s lab", "Marie Curie", ["MARIE  Curie"]),
        ("the café-bar", "café", ["café"]),
        ("住在東京都", "東京", ["東京"]),
        ("born 1867.", "1867", ["1867"]),
        ("born 18670", "1867", []),
        ("U.S.A. won", "U.S.A.", ["U.S.A."]),
        ("C++ is old", "C++", ["C++"]),
    ],
)
def test_names_are_whole_words(text: str, name: str, found: list[str]) -> None:
    assert [text[slice(*span)] for span in FoldedText(text).names(name)] == found


def test_only_the_part_is_searched_and_spans_count_from_the_texts_start() -> None:
    text = "Ann left. Ann came."
    folded = FoldedText(text, (10, 19))
    assert folded.names("Ann") == [(10, 13)] and folded.quote("left") is None
    assert FoldedText(text).names("Ann", (9, 19)) == [(10, 13)]


@settings(max_examples=300, deadline=None)
@given(text=st.text(min_size=1, max_size=40), data=st.data())
def test_every_slice_between_letters_is_found(text: str, data: st.DataObject) -> None:
    """Also when it is written otherwise; the place found reads the same."""
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    quote = text[start:end]
    span = FoldedText(text).quote(unicodedata.normalize("NFC", quote).swapcase())
    plain = FoldedText(text).quote(quote)
    for found in (span, plain):
        if found is not None:
            assert 0 <= found[0] < found[1] <= len(text)
    letters = quote.isascii() and quote.isalnum()
    if letters and text.isascii():
        assert plain is not None and text[slice(*plain)].lower() == quote.lower()
        assert span is not None
