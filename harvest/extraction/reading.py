"""Read a chunk: blocks, sentences, and what each sentence mentions.

The result is plain data in reading order. Every place is given twice: as tokens of the parsed block
(for features) and as a span of the document (for records).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harvest.extraction.coreference import DocumentNames, NamedEntity, is_acronym_of
from harvest.extraction.mending import MendedText, mend, split_blocks
from harvest.extraction.mentions import NAMED, Candidate, find_candidates
from harvest.extraction.seeds import SeedNames
from kg.records import Chunk, Document, Span

__all__ = ["Placed", "ReadSentence", "read_chunk"]


@dataclass(frozen=True, slots=True)
class Placed:
    """A candidate with its place in the document and what it stands for."""

    candidate: Candidate
    span: Span
    #: As a reader would say it: breaks and hyphens of the page mended.
    surface: str
    #: The entity of a name or pronoun; None for dates, numbers and common nouns.
    entity: NamedEntity | None = None

    @property
    def name(self) -> str:
        """Return the entity's full name, or the words themselves."""
        return self.entity.name if self.entity is not None else self.surface


@dataclass(frozen=True, slots=True)
class ReadSentence:
    """A sentence with its mentions; `start` and `end` are tokens of `doc`."""

    doc: Any
    start: int
    end: int
    #: Span in the document.
    span: Span
    placed: tuple[Placed, ...]

    @property
    def words(self) -> list[str]:
        """Return the tokens' texts."""
        return [token.text for token in self.doc[self.start : self.end]]


def read_chunk(
    document: Document,
    chunk: Chunk,
    *,
    nlp: Any,
    names: DocumentNames,
    concepts: bool,
    seeds: SeedNames | None = None,
) -> list[ReadSentence]:
    """Return the sentences of a chunk in reading order.

    Args:
        document: the whole document.
        chunk: the part to read.
        nlp: the spaCy pipeline.
        names: the entities of the document's earlier chunks; those of this chunk are added.
        concepts: whether common noun phrases are wanted.
        seeds: the names in the schema's seeds.
    """
    blocks = [
        mended
        for span in split_blocks(document.text, chunk.start, chunk.end)
        if (mended := mend(document.text, *span)).text
    ]
    sentences: list[ReadSentence] = []
    # One definition sentence per document: the first block that says something.
    wants_definition = chunk.start == 0
    for block, doc in zip(blocks, nlp.pipe([block.text for block in blocks]), strict=True):
        says_something = any(token.pos_ in ("VERB", "AUX") for token in doc)
        candidates = find_candidates(
            doc,
            title=names.title,
            definition=wants_definition and says_something,
            concepts=concepts,
            seeds=seeds,
        )
        wants_definition = wants_definition and not says_something
        for sentence in doc.sents:
            inside = [c for c in candidates if sentence.start <= c.start and c.end <= sentence.end]
            read = _read_sentence(doc, sentence, block, inside, names, len(sentences))
            if read is not None:
                sentences.append(read)
    return sentences


def _read_sentence(
    doc: Any,
    sentence: Any,
    block: MendedText,
    candidates: Sequence[Candidate],
    names: DocumentNames,
    number: int,
) -> ReadSentence | None:
    start, end = sentence.start, sentence.end
    while start < end and doc[start].is_space:
        start += 1
    while end > start and doc[end - 1].is_space:
        end -= 1
    if start == end:
        return None
    placed: list[Placed] = []
    for candidate in candidates:
        mended = doc[candidate.start : candidate.end].text
        entity: NamedEntity | None = None
        if candidate.label == "PRONOUN":
            entity = names.person_for(mended, sentence=number)
            if entity is None:
                continue
            if _is_subject(doc, candidate):
                entity.last_subject = number
        elif candidate.label in NAMED:
            entity = _named(doc, candidate, mended, names, number, placed)
        span = block.original(_characters(doc, candidate.start, candidate.end))
        placed.append(Placed(candidate, span, mended, entity))
    span = block.original(_characters(doc, start, end))
    return ReadSentence(doc, start, end, span, tuple(placed))


def _named(
    doc: Any,
    candidate: Candidate,
    text: str,
    names: DocumentNames,
    number: int,
    before: Sequence[Placed],
) -> NamedEntity:
    """Return the entity of a name; "(IBM)" right behind a long name belongs to that."""
    if before and doc[candidate.start - 1].text == "(":
        previous = before[-1]
        adjoining = previous.candidate.end == candidate.start - 1
        if adjoining and previous.entity is not None and is_acronym_of(text, previous.surface):
            names.alias(text, previous.entity)
    subject = _is_subject(doc, candidate)
    return names.add(text, candidate.label, sentence=number, subject=subject)


def _is_subject(doc: Any, candidate: Candidate) -> bool:
    root = doc[candidate.start : candidate.end].root
    # A subject in company ("A, B and C") is not what "he" goes back to.
    alone = not any(child.dep_ == "conj" for child in root.children)
    return alone and root.dep_ in ("nsubj", "nsubjpass")


def _characters(doc: Any, start: int, end: int) -> Span:
    last = doc[end - 1]
    return doc[start].idx, last.idx + len(last.text)
