"""From what a model says to records: spans, types, direction, literals. A pure function.

What cannot be verified in the text is dropped and counted, with its text:

| `dropped_…` | reason |
|---|---|
| `quote` | the quote does not stand in the chunk |
| `head`, `tail` | that end does not stand in the chunk |
| `pronoun` | an end is a pronoun, which names nothing |
| `same_ends` | both ends are one place or one thing |
| `relation` | the schema has no such relation (`unknown_relations="keep"` keeps the phrase) |
| `type` | the ends' types fit the relation in neither direction |
| `literal` | the tail is no date or number, where the schema wants one |
| `score` | below the threshold |
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from typing import Literal as OneOf

from harvest.extraction.dates import find_dates, parse_date
from harvest.llm.locating import FoldedText
from harvest.llm.rows import Drop, Row
from kg.ids import entity_id, normal_form
from kg.records import (
    LITERAL_TYPES,
    Batch,
    Chunk,
    Document,
    Evidence,
    Literal,
    Mention,
    RelationName,
    Span,
)
from kg.schema import RelationDef, Schema

__all__ = ["Found", "StatementReader"]

_PRONOUNS: Final = frozenset(
    """i you he she it we they me him her us them his hers its their theirs this that these those
    who whom which himself herself itself themselves one""".split()
)


@dataclass(slots=True)
class Found:
    """The records of a chunk and what was counted on the way to them."""

    mentions: dict[str, Mention] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    relation_names: dict[str, RelationName] = field(default_factory=dict)
    dropped: list[Drop] = field(default_factory=list)
    count: Counter[str] = field(default_factory=Counter)

    def batch(self) -> Batch:
        """Return the records, in reading order."""
        return Batch(
            mentions=tuple(sorted(self.mentions.values(), key=lambda m: (m.span or (0, 0), m.id))),
            evidence=tuple(sorted(self.evidence.values(), key=lambda e: (e.span or (0, 0), e.id))),
            relation_names=tuple(self.relation_names[p] for p in sorted(self.relation_names)),
        )


@dataclass(frozen=True, slots=True)
class _End:
    """One end of a statement with its place in the text."""

    span: Span
    surface: str
    #: Type of the schema, "" when unknown.
    type: str


class _Dropped(Exception):
    """A statement that is left out; the argument is the reason."""


class StatementReader:
    """Makes records of statements.

    Args:
        schema: the relations that statements may have.
        config: id of the harvester's config.
        unknown_relations: drop statements with other relations, or keep their phrase.
        threshold: keep statements with at least this score.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        config: str,
        unknown_relations: OneOf["drop", "keep"] = "drop",
        threshold: float = 0.0,
    ) -> None:
        self.schema = schema
        self.config = config
        self.unknown_relations = unknown_relations
        self.threshold = threshold
        self._types = {normal_form(name): name for name in (*schema.types, *LITERAL_TYPES)}

    def read(
        self, document: Document, chunk: Chunk, statements: Sequence[tuple[Row, float]]
    ) -> Found:
        """Return the records of the statements that a model made about a chunk."""
        found = Found()
        text = FoldedText(document.text, (chunk.start, chunk.end))
        for row, score in statements:
            try:
                self._statement(found, document, chunk, text, row, round(score, 4))
            except _Dropped as reason:
                found.dropped.append(Drop(str(reason), _shown(row)))
        return found

    def _statement(
        self,
        found: Found,
        document: Document,
        chunk: Chunk,
        text: FoldedText,
        row: Row,
        score: float,
    ) -> None:
        if score < self.threshold:
            raise _Dropped("score")
        known = self.schema.find(row.relation)
        if known is None or known[0].roles:
            if self.unknown_relations == "drop":
                raise _Dropped("relation")
            known = None
        quote = text.quote(row.quote)
        if quote is None:
            raise _Dropped("quote")
        head, tail = self._ends(text, row, quote, known)
        phrase = " ".join(row.relation.split())
        literal: Literal | None = None
        if known is None:
            found.count["unknown_relation"] += 1
        else:
            relation, inverse = known
            if inverse and self.schema.is_literal(relation.tail):
                # A literal has no links of its own: said from the tail, it is turned here.
                head, tail, phrase, inverse = tail, head, relation.name, False
            head, tail, swapped = self._directed(head, tail, relation, inverse=inverse)
            if swapped:
                found.count["swapped"] += 1
            found.relation_names[phrase] = RelationName(
                phrase, relation.name, inverse, relation.symmetric
            )
            if self.schema.is_literal(relation.tail):
                value = _value(tail.surface, relation.tail)
                literal = Literal(value, LITERAL_TYPES[relation.tail])
        self._add(found, document, chunk, quote, (head, tail), phrase, literal, row, score)

    def _add(
        self,
        found: Found,
        document: Document,
        chunk: Chunk,
        quote: Span,
        ends: tuple[_End, _End],
        phrase: str,
        literal: Literal | None,
        row: Row,
        score: float,
    ) -> None:
        head, tail = ends
        mentions = [self._mention(head, chunk)]
        if literal is None:
            mentions.append(self._mention(tail, chunk))
            if mentions[0].entity == mentions[1].entity:
                raise _Dropped("same_ends")
        for mention in mentions:
            found.mentions.setdefault(mention.id, mention)
        record = Evidence(
            head=mentions[0].entity,
            relation=phrase,
            tail=mentions[1].entity if literal is None else literal,
            score=score,
            config=self.config,
            chunk=chunk.id,
            span=quote,
            head_span=_within(head.span, quote),
            tail_span=_within(tail.span, quote),
            quote=document.text[slice(*quote)],
            negated=row.negated,
            hedged=row.hedged,
        )
        other = found.evidence.get(record.id)
        if other is None or record.score > other.score:
            found.evidence[record.id] = record

    def _ends(
        self, text: FoldedText, row: Row, quote: Span, known: tuple[RelationDef, bool] | None
    ) -> tuple[_End, _End]:
        """Return both ends where they stand, in the quote if possible."""
        places: list[list[Span]] = []
        for name, which in ((row.head, "head"), (row.tail, "tail")):
            if normal_form(name) in _PRONOUNS:
                raise _Dropped("pronoun")
            inside = text.names(name, quote)
            if not inside and which == "tail" and known and known[0].tail == "date":
                inside = _rewritten_date(text, name, quote)
            spans = inside or text.names(name)
            if not spans:
                raise _Dropped(which)
            if not inside:  # named in another sentence: the last one before, or the first after
                spans = [s for s in spans if s[0] < quote[0]][-1:] or spans[:1]
            places.append(spans)
        pairs = [(a, b) for a in places[0] for b in places[1] if a != b]
        if not pairs:
            raise _Dropped("same_ends")
        head, tail = min(pairs, key=lambda pair: _overlap(*pair))
        source = text.source
        return (
            _End(head, " ".join(source[slice(*head)].split()), self._type(row.head_type)),
            _End(tail, " ".join(source[slice(*tail)].split()), self._type(row.tail_type)),
        )

    def _type(self, name: str) -> str:
        """Return the schema's type of a name, "" for one that it does not have."""
        return self._types.get(normal_form(name), "")

    def _directed(
        self, head: _End, tail: _End, relation: RelationDef, *, inverse: bool
    ) -> tuple[_End, _End, bool]:
        """Return the ends in the direction in which their types fit, and whether it is the other.

        Raises:
            _Dropped: they fit in neither.
        """
        asked = (relation.tail, relation.head) if inverse else (relation.head, relation.tail)
        for first, second, swapped in ((head, tail, False), (tail, head, True)):
            if self._fits(first, asked[0]) and self._fits(second, asked[1]):
                return self._typed(first, asked[0]), self._typed(second, asked[1]), swapped
        literal_asked = self.schema.is_literal(asked[1]) and self._fits(head, asked[0])
        raise _Dropped("literal" if literal_asked else "type")

    def _fits(self, end: _End, asked: str) -> bool:
        if self.schema.is_literal(asked):
            if end.type in self.schema.types:
                return False
            return asked not in ("date", "number") or bool(_value(end.surface, asked))
        if not asked or not end.type:
            return True
        return self.schema.root(end.type) == self.schema.root(asked)

    def _typed(self, end: _End, asked: str) -> _End:
        """Return an end with the finer of the type that the model gave and the one asked for."""
        if self.schema.is_literal(asked):
            return end
        own = end.type if end.type in self.schema.types else ""
        finer = own if own and self.schema.is_a(own, asked) else asked or own
        return _End(end.span, end.surface, finer)

    def _mention(self, end: _End, chunk: Chunk) -> Mention:
        type_name = end.type if end.type in self.schema.types else ""
        root = self.schema.root(type_name) if type_name else ""
        return Mention(
            entity=entity_id(end.surface, root),
            surface=end.surface,
            type=type_name,
            config=self.config,
            chunk=chunk.id,
            span=end.span,
        )


def _value(text: str, datatype: str) -> str:
    """Return a literal as the text extractor writes it: ISO dates, plain digits; "" if it is none.

    >>> _value("7 November 1867", "date"), _value("1,250", "number"), _value("soon", "date")
    ('1867-11-07', '1250', '')
    """
    if datatype == "date":
        return parse_date(text)
    if datatype == "number":
        digits = text.replace(",", "")
        return digits if re.fullmatch(r"[-+]?\d+(?:\.\d+)?", digits) else ""
    return text


def _rewritten_date(text: FoldedText, name: str, quote: Span) -> list[Span]:
    """Return where a date stands that the model wrote in another form."""
    value = parse_date(name)
    start = quote[0]
    dates = find_dates(text.source[slice(*quote)])
    return [(start + d.span[0], start + d.span[1]) for d in dates if value and d.value == value]


def _overlap(head: Span, tail: Span) -> tuple[bool, int, Span, Span]:
    """Sort pairs of places: apart before overlapping, near before far, then in reading order."""
    gap = max(head[0], tail[0]) - min(head[1], tail[1])
    return gap < 0, abs(gap), head, tail


def _within(span: Span, quote: Span) -> Span | None:
    return span if quote[0] <= span[0] and span[1] <= quote[1] else None


def _shown(row: Row) -> str:
    return f"({row.head} | {row.relation} | {row.tail}) “{row.quote}”"[:500]
