r"""Undo what page layout did to a text, and remember where every character came from.

A PDF page or a wrapped text file breaks lines inside sentences and words ("Cam-\nbridge"). Parsers
and names suffer, yet every span that is written must still equal its quote. So the text is read
through a `MendedText`: a copy with the breaks mended, and for each of its characters the place in
the original. Spans are found in the copy and reported in the original.

| original | mended |
|---|---|
| letter, hyphen, line break, lower-case letter | the two letters joined |
| hyphen, line break, anything else | the hyphen stays, the break goes |
| line break inside a paragraph | one space |
| empty line, or a short line before a capital (a heading) | a block border |
| soft hyphen, zero-width characters | removed |
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kg.records import Span

__all__ = ["MendedText", "mend", "split_blocks"]

#: A line shorter than this that is followed by a capital is a heading or a list item, not a
#: wrapped line: wrapped text fills its lines (columns of a journal page hold about 45 characters).
SHORT_LINE = 45

_INVISIBLE = frozenset("\u00ad\u200b\u2060\ufeff")
_BREAK = re.compile(r"[ \t]*(?:\r\n|\r|\n)[ \t]*")


@dataclass(frozen=True, slots=True)
class MendedText:
    r"""A block of text as a reader would say it, with the origin of each of its characters.

    >>> block = mend("He left Cam-\nbridge.", 0, 20)
    >>> block.text
    'He left Cambridge.'
    >>> block.original((8, 17))
    (8, 19)
    """

    text: str
    #: `origins[i]` is the place in the document of character i of `text`.
    origins: tuple[int, ...]

    def original(self, span: Span) -> Span:
        """Return the span in the document for a span of `text`."""
        start, end = span
        return self.origins[start], self.origins[end - 1] + 1


def split_blocks(text: str, start: int, end: int) -> list[Span]:
    r"""Return the spans of the blocks (paragraphs, headings, list items) of `text[start:end]`.

    >>> split_blocks("Early life\nMarie was born.\n\nShe left.", 0, 37)
    [(0, 10), (11, 26), (28, 37)]
    """
    blocks: list[Span] = []
    begin = line_start = start
    for match in _BREAK.finditer(text, start, end):
        if match.start() < line_start:
            continue
        line = text[line_start : match.start()]
        following = text[match.end() : match.end() + 1]
        is_border = (
            not line.strip()
            or match.end() >= end
            or following in "\r\n"
            or (
                len(line) < SHORT_LINE
                and not line.rstrip().endswith(("-", ",", ";"))
                and not following.islower()
            )
        )
        if is_border:
            blocks.append((begin, match.start()))
            begin = match.end()
        line_start = match.end()
    blocks.append((begin, end))
    return [trimmed for span in blocks if (trimmed := _trim(text, span)) is not None]


def mend(text: str, start: int, end: int) -> MendedText:
    """Return the block `text[start:end]` with line breaks and hyphens at line ends mended."""
    kept: list[str] = []
    origins: list[int] = []
    at = start
    for match in _BREAK.finditer(text, start, end):
        _copy(text, at, match.start(), kept, origins)
        at = match.end()
        if kept and kept[-1] == "-" and len(kept) > 1 and kept[-2].isalpha():
            if at < end and text[at].islower():
                kept.pop()
                origins.pop()
        elif kept and at < end:
            kept.append(" ")
            origins.append(match.start())
    _copy(text, at, end, kept, origins)
    return MendedText("".join(kept), tuple(origins))


def _copy(text: str, start: int, end: int, kept: list[str], origins: list[int]) -> None:
    for at in range(start, end):
        if text[at] not in _INVISIBLE:
            kept.append(" " if text[at] in "\t\u00a0" else text[at])
            origins.append(at)


def _trim(text: str, span: Span) -> Span | None:
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return (start, end) if start < end else None
