"""The sentences of a graph's sources with the statements they make: solved examples of extraction.

| left out | because |
|---|---|
| evidence without a text | there is no sentence to learn from |
| a sentence with a negated or hedged statement | what remains would teach to overlook one |
| a triple that any source denies | one of the two is wrong |
| a sentence that only points at an end ("She", "the city") | the name is not there to be copied |
| predictions | they are no evidence |

A quote that lies within another one of the same chunk belongs to the longer one, so that a sentence
is one example however many harvesters have read it. Names are given as they stand in the sentence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from kg.ids import normal_form
from kg.records import Entity, Literal, Triple
from kg.store.protocol import Limits
from retrieval.demonstrations.task import Demo

if TYPE_CHECKING:
    from kg.store.protocol import GraphStore

__all__ = ["SourceSentence", "StatedTriple", "source_sentences"]

#: All that sources state; a supporting sentence is one row or a few.
_STATED: Final = (
    "MATCH (d:Document)<-[:FROM_DOCUMENT]-(c:Chunk)-[s:STATES]->(:Entity) "
    "RETURN s.id AS evidence, s.triple_id AS triple, s.quote AS quote, s.start AS start, "
    "s.end AS end, s.head_start AS head_start, s.head_end AS head_end, "
    "s.tail_start AS tail_start, s.tail_end AS tail_end, s.negated AS negated, "
    "s.hedged AS hedged, c.id AS chunk, d.id AS document, d.uri AS uri"
)
#: What any source denies, a model or a file included.
_DENIED: Final = (
    "MATCH ()-[s:STATES]->(:Entity) WHERE s.negated = true RETURN DISTINCT s.triple_id AS triple"
)
#: Everything is wanted, however much there is.
_UNLIMITED: Final = Limits(seconds=3600, rows=10**9, characters=10**12)


@dataclass(frozen=True, slots=True)
class StatedTriple:
    """A triple as its sentence says it."""

    #: Id of the triple.
    triple: str
    head: str
    #: Name of the relation, as "born_in", and its type, as "BORN_IN".
    relation: str
    relation_type: str
    tail: str
    #: Types of the ends, finest first; of a literal its datatype.
    head_types: tuple[str, ...] = ()
    tail_types: tuple[str, ...] = ()
    #: Score of the triple, by all that supports it.
    score: float = 0.0

    def __str__(self) -> str:
        return f"{self.head} | {self.relation} | {self.tail}"


@dataclass(frozen=True, slots=True)
class SourceSentence:
    """A sentence of a document, and all that it states."""

    text: str
    statements: tuple[StatedTriple, ...]
    document: str
    uri: str
    chunk: str
    #: Where it stands in the document, in code points.
    start: int
    end: int

    @property
    def id(self) -> str:
        """Return the id of its demonstration."""
        return f"{self.chunk}:{self.start}-{self.end}"

    def only(self, relation_type: str) -> Self:
        """Return the sentence with the statements of one relation."""
        kept = (one for one in self.statements if one.relation_type == relation_type)
        return replace(self, statements=tuple(kept))

    def demo(self) -> Demo:
        """Return it as a demonstration: in goes the sentence, out come its statements.

        White space is made plain: a line break of the source would end a part of the prompt.
        """
        return Demo(
            self.id,
            " ".join(self.text.split()),
            "; ".join(map(str, self.statements)),
            provenance={
                "triples": " ".join(one.triple for one in self.statements),
                "document": self.document,
                "source": self.uri,
                "chunk": self.chunk,
                "start": str(self.start),
                "end": str(self.end),
            },
        )


@dataclass(frozen=True, slots=True)
class _Row:
    """One piece of evidence, as the graph answers."""

    evidence: str
    triple: str
    quote: str
    start: int
    end: int
    head_start: int | None
    head_end: int | None
    tail_start: int | None
    tail_end: int | None
    negated: bool
    hedged: bool
    chunk: str
    document: str
    uri: str


def source_sentences(graph: GraphStore, *, without: Collection[str] = ()) -> list[SourceSentence]:
    """Return the sentences of a graph that show what they state, in the order of their ids.

    Args:
        graph: any store.
        without: ids of configs whose evidence is not looked at.
    """
    barred = {
        evidence.id for config in without for evidence in graph.written("evidence", config=config)
    }
    denied = {triple for (triple,) in graph.read(_DENIED, limits=_UNLIMITED)}
    by_chunk: defaultdict[str, list[_Row]] = defaultdict(list)
    for values in graph.read(_STATED, limits=_UNLIMITED):
        row = _Row(*values)
        if row.evidence not in barred:
            by_chunk[row.chunk].append(row)
    if not by_chunk:
        return []
    ends: dict[str, Entity | Literal] = {one.id: one for one in graph.derived("entity")}
    ends |= {one.id: one for one in graph.derived("literal")}
    triples = {one.id: one for one in graph.derived("triple")}
    found = [
        sentence
        for rows in by_chunk.values()
        for together in _sentences(rows)
        if (sentence := _read(together, triples, ends, denied)) is not None
    ]
    return sorted(found, key=lambda sentence: sentence.id)


def _sentences(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    """Yield the rows of each sentence of a chunk, that of the longest quote first."""
    together: list[_Row] = []
    for row in sorted(rows, key=lambda row: (row.start, -row.end, row.evidence)):
        if together and row.end <= together[0].end:
            together.append(row)
            continue
        if together:
            yield together
        together = [row]
    if together:
        yield together


def _read(
    rows: list[_Row],
    triples: Mapping[str, Triple],
    ends: Mapping[str, Entity | Literal],
    denied: Collection[str],
) -> SourceSentence | None:
    """Return a sentence with all its statements; None if it is left out."""
    whole = rows[0]
    stated: dict[str, tuple[int, StatedTriple]] = {}
    for row in rows:
        if row.negated or row.hedged or row.triple in denied or row.triple not in triples:
            return None
        triple = triples[row.triple]
        said = _said(row, whole, triple, ends)
        if said is None:
            return None
        stated.setdefault(triple.id, said)
    in_order = sorted(stated.values(), key=lambda pair: (pair[0], pair[1].triple))
    return SourceSentence(
        text=whole.quote,
        statements=tuple(statement for _, statement in in_order),
        document=whole.document,
        uri=whole.uri,
        chunk=whole.chunk,
        start=whole.start,
        end=whole.end,
    )


def _said(
    row: _Row, whole: _Row, triple: Triple, ends: Mapping[str, Entity | Literal]
) -> tuple[int, StatedTriple] | None:
    """Return where a statement begins and what it says; None if an end is not named."""
    first = _surface(whole, row.head_start, row.head_end), row.head_start
    second = _surface(whole, row.tail_start, row.tail_end), row.tail_start
    head, tail = ends[triple.head], ends[triple.tail]
    # The relation map may have turned the ends of the statement round ("employed").
    for (one, begins), (other, _) in ((first, second), (second, first)):
        if _names(head, one) and _names(tail, other):
            statement = StatedTriple(
                triple.id,
                " ".join(one.split()),
                triple.predicate,
                triple.relation,
                " ".join(other.split()),
                _types(head),
                _types(tail),
                triple.score,
            )
            return begins or 0, statement
    return None


def _surface(whole: _Row, start: int | None, end: int | None) -> str:
    return (
        "" if start is None or end is None else whole.quote[start - whole.start : end - whole.start]
    )


def _names(end: Entity | Literal, surface: str) -> bool:
    if not surface.strip():
        return False
    if isinstance(end, Literal):
        return True
    key = normal_form(surface)
    return any(normal_form(name) == key for name in (end.name, *end.aliases))


def _types(end: Entity | Literal) -> tuple[str, ...]:
    return (end.datatype,) if isinstance(end, Literal) else end.types
