"""One call from a string to triples: `harvest.text("Marie Curie was born in Warsaw.")`.

The call writes nothing anywhere; `harvest.job.harvest` is the way into a graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from kg.records import Document, Evidence, Literal, Mention, Span

if TYPE_CHECKING:
    from harvest.extraction.harvester import TextHarvester
    from kg.schema import Schema

__all__ = ["Fact", "facts_of", "text"]


@dataclass(frozen=True, slots=True)
class Fact:
    """A triple as a text states it. Printing it shows the triple, its score and its sentence."""

    head: str
    relation: str
    tail: str
    #: Probability between 0 and 1.
    score: float
    #: The sentence, exactly as it stands in the text.
    quote: str
    #: Place of the quote in the text, in code points.
    span: Span
    head_type: str = ""
    tail_type: str = ""
    #: The text doubts it: "is said to have …".
    hedged: bool = False
    #: The text denies it: "never …".
    negated: bool = False

    def __str__(self) -> str:
        mark = " (denied)" if self.negated else " (in doubt)" if self.hedged else ""
        quote = " ".join(self.quote.split())
        return f"{self.head} —{self.relation}→ {self.tail}{mark}  {self.score:.2f}  “{quote}”"


def text(
    text: str,
    schema: Schema | None = None,
    *,
    threshold: float | None = None,
    include_negated: bool = False,
) -> list[Fact]:
    """Return the facts that an English text states, in reading order.

    Args:
        text: any length; no markup is removed.
        schema: the relations to look for; the shipped ones when left out.
        threshold: probability from which a fact is kept; each relation's own when left out.
        include_negated: also return what the text denies, marked so.

    Raises:
        NotEnglish: the text is not English.

    >>> for fact in text("Marie Curie was born in Warsaw on 7 November 1867."):
    ...     print(fact.head, fact.relation, fact.tail)
    Marie Curie born_in Warsaw
    Marie Curie date_of_birth 1867-11-07
    """
    harvester = _harvester(_ById(schema), threshold)
    found = facts_of(harvester, Document(uri="<text>", text=text))
    return [fact for fact in found if include_negated or not fact.negated]


def facts_of(harvester: TextHarvester, document: Document) -> Iterator[Fact]:
    """Yield what a harvester finds in one document, by names instead of ids, in reading order."""
    known: list[Mention] = []
    for chunk in harvester.chunks(document):
        batch = harvester.extract(document, chunk, known=known)
        known += batch.mentions
        names = {mention.entity: mention for mention in known}
        for evidence in sorted(batch.evidence, key=_place):
            tail = evidence.tail
            yield Fact(
                head=names[evidence.head].name,
                relation=evidence.relation,
                tail=tail.lexical if isinstance(tail, Literal) else names[tail].name,
                score=evidence.score,
                quote=evidence.quote,
                span=evidence.span or (0, 0),
                head_type=names[evidence.head].type,
                tail_type=tail.datatype if isinstance(tail, Literal) else names[tail].type,
                hedged=evidence.hedged,
                negated=evidence.negated,
            )


def _place(evidence: Evidence) -> tuple[Span, Span, Span, str]:
    return (
        evidence.span or (0, 0),
        evidence.head_span or (0, 0),
        evidence.tail_span or (0, 0),
        evidence.relation,
    )


@dataclass(frozen=True, eq=False)
class _ById:
    """A schema as a key of the cache: the object itself, kept alive as long as its entry."""

    schema: Schema | None

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.schema is self.schema


@lru_cache(maxsize=4)
def _harvester(key: _ById, threshold: float | None) -> TextHarvester:
    from harvest.extraction.harvester import TextHarvester

    return TextHarvester(key.schema, threshold=threshold)
