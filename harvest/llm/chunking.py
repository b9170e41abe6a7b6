"""Cut a document into parts that a model can read at once: whole sentences, up to a size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from harvest.llm.tokens import count_tokens
from kg.records import Chunk, Document, Span

if TYPE_CHECKING:
    from spacy.language import Language

__all__ = ["halves", "sentence_chunks", "sentence_spans"]

#: Code points that the sentence splitter gets at once, so that a book does not fill the memory.
_BLOCK: Final = 50_000


def sentence_chunks(document: Document, *, most_tokens: int) -> list[Chunk]:
    """Return the parts of a document, in order: whole sentences of together `most_tokens` or less.

    A sentence that alone is longer is cut between words. White space between parts is in none.

    >>> document = Document(uri="a", text="One went home. Two stayed here.")
    >>> [document.text[c.start : c.end] for c in sentence_chunks(document, most_tokens=5)]
    ['One went home.', 'Two stayed here.']
    """
    chunks: list[Chunk] = []
    start = end = tokens = 0
    for span in _pieces(document.text, most_tokens):
        size = count_tokens(document.text[slice(*span)])
        if tokens and tokens + size > most_tokens:
            chunks.append(Chunk(document.id, start, end))
            tokens = 0
        if not tokens:
            start = span[0]
        end = span[1]
        tokens += size
    if tokens:
        chunks.append(Chunk(document.id, start, end))
    return chunks


def sentence_spans(text: str) -> Iterator[Span]:
    """Yield the sentences of a text without the white space around them."""
    at = 0
    while at < len(text):
        border = len(text)
        if border - at > _BLOCK:
            border = max(text.rfind("\n", at, at + _BLOCK), text.rfind(". ", at, at + _BLOCK)) + 1
            border = border if border > at else at + _BLOCK
        for sentence in _splitter()(text[at:border]).sents:
            # A paragraph ends a sentence, whether or not it has a full stop (headings, lists).
            for match in re.finditer(r"\S(?:.*?\S)??(?=\s*\n\s*\n|\s*\Z)", sentence.text, re.S):
                start = at + sentence.start_char
                yield start + match.start(), start + match.end()
        at = border


def halves(text: str, span: Span) -> tuple[Span, Span] | None:
    """Return a span cut in two between sentences, else between words; None if it is one word."""
    start, end = span
    middle = (start + end) // 2
    part = text[start:end]
    borders = [start + at for at, _ in sentence_spans(part)][1:]
    borders = borders or [start + match.end() for match in re.finditer(r"\s+(?=\S)", part.rstrip())]
    if not borders:
        return None
    cut = min(borders, key=lambda border: (abs(border - middle), border))
    if not (start < cut < end and text[start:cut].strip()):
        return None
    return (start, start + len(text[start:cut].rstrip())), (cut, end)


def _pieces(text: str, most_tokens: int) -> Iterator[Span]:
    """Yield sentences, and parts of those that are too long."""
    for start, end in sentence_spans(text):
        if count_tokens(text[start:end]) <= most_tokens:
            yield start, end
            continue
        at = size = 0
        for word in re.finditer(r"\S+\s*", text[start:end]):
            tokens = count_tokens(word[0])
            if size and size + tokens > most_tokens:
                yield start + at, start + at + len(text[start + at : start + word.start()].rstrip())
                at, size = word.start(), 0
            size += tokens
        yield start + at, end


@cache
def _splitter() -> Language:
    import spacy

    nlp: Any = spacy.blank("en")  # its rules need no model and know abbreviations
    nlp.add_pipe("sentencizer")
    return nlp  # type: ignore[no-any-return]
