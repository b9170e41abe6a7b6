r"""Find in a text what a model quotes from it, although it never copies exactly.

Both sides are folded letter by letter and the place of every letter is kept, so that a place in
the folded text is a span of code points of the original:

| folded | examples |
|---|---|
| case and compatibility forms | `Warsaw` = `WARSAW` = `Ｗarsaw` |
| composed and decomposed letters | `é` = `e` + accent |
| white space of any length and kind | `"in\r\n  Warsaw"` = `"in Warsaw"` |
| quotation marks, dashes, ellipses | `“` = `"`, `–` = `-` |
| invisible marks (soft hyphen, joiners) | left out |

A match never begins or ends within a letter, and that of a name never within a word: `Ann` does not
stand in `Annapolis`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from kg.records import Span

__all__ = ["FoldedText"]

_SIGNS: Final = {
    **dict.fromkeys("‘’‚‛′`´", "'"),
    **dict.fromkeys("“”„‟″«»", '"'),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    "…": "...",
}
#: Signs that a model adds or leaves out around a quote.
_AROUND: Final = " \"'.,;:-"
#: Most code points that an ellipsis in a quote may stand for.
GAP: Final = 400


class FoldedText:
    r"""A part of a text in which quotes can be found.

    >>> text = "Later,  “Marie\nCurie” was born in WARSAW."
    >>> folded = FoldedText(text)
    >>> start, end = folded.quote('"marie curie" was born in Warsaw')
    >>> text[start:end]
    '“Marie\nCurie” was born in WARSAW'
    >>> [text[slice(*span)] for span in folded.names("Warsaw")]
    ['WARSAW']
    """

    def __init__(self, text: str, span: Span | None = None) -> None:
        #: The whole text.
        self.source = text
        start, end = span or (0, len(text))
        letters: list[str] = []
        places: list[int] = []
        for place in range(start, end):
            for letter in _fold(text[place]):
                if letter == " " and (not letters or letters[-1] == " "):
                    continue
                letters.append(letter)
                places.append(place)
        self._folded = "".join(letters)
        self._places = places

    def quote(self, quote: str) -> Span | None:
        """Return the first place of a quote, None if it does not stand there.

        An ellipsis in it may stand for some words that were left out.
        """
        needle = _folded(quote)
        for form in (needle, needle.strip(_AROUND)):
            span = next(self._matches(form), None)
            if span is not None:
                return span
        parts = [part.strip(_AROUND) for part in re.split(r"\.{3}|\[\.*\]", needle)]
        return self._in_order([part for part in parts if part]) if len(parts) > 1 else None

    def names(self, name: str, within: Span | None = None) -> list[Span]:
        """Return all places of a name, whole words only, from left to right."""
        needle = _folded(name)
        for form in (needle, needle.strip(_AROUND)):
            spans = [
                (start, end)
                for start, end in self._matches(form, words=True)
                if within is None or within[0] <= start < end <= within[1]
            ]
            if spans:
                return spans
        return []

    def _in_order(self, parts: list[str]) -> Span | None:
        start = end = -1
        for part in parts:
            span = next((s for s in self._matches(part) if s[0] >= max(end, 0)), None)
            if span is None or (end >= 0 and span[0] - end > GAP):
                return None
            start = span[0] if start < 0 else start
            end = span[1]
        return (start, end) if end >= 0 else None

    def _matches(self, needle: str, *, words: bool = False) -> Iterator[Span]:
        if not needle:
            return
        folded, places = self._folded, self._places
        at = folded.find(needle)
        while at >= 0:
            end = at + len(needle)
            if self._at_letters(at, end) and not (words and self._within_word(at, end)):
                yield places[at], places[end - 1] + 1
            at = folded.find(needle, at + 1)

    def _at_letters(self, at: int, end: int) -> bool:
        """Tell whether a match begins and ends between letters of the original."""
        places = self._places
        if at > 0 and places[at - 1] == places[at]:
            return False
        return end == len(places) or (
            places[end] != places[end - 1] and not unicodedata.combining(self._folded[end])
        )

    def _within_word(self, at: int, end: int) -> bool:
        folded = self._folded
        return (at > 0 and _joined(folded[at - 1], folded[at])) or (
            end < len(folded) and _joined(folded[end - 1], folded[end])
        )


def _joined(left: str, right: str) -> bool:
    """Tell whether no word ends between two letters; scripts without blanks end words anywhere."""
    return all(
        letter.isalnum() and unicodedata.category(letter) != "Lo" for letter in (left, right)
    )


def _folded(text: str) -> str:
    letters = "".join(map(_fold, text))
    return " ".join(letters.split())


@lru_cache(maxsize=4096)
def _fold(char: str) -> str:
    if char.isspace():
        return " "
    if char in _SIGNS:
        return _SIGNS[char]
    category = unicodedata.category(char)
    if category == "Cf":
        return ""
    if category == "Cc":
        return " "
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold())
    return re.sub(r"\s", " ", folded)
