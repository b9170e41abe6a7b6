"""Why the graph holds a triple: every piece of evidence with its quote, its document and its score.

`explain` finds triples by id or by the names of their ends; `SourceReader` lists the evidence of a
triple or of all triples of a head. Both show what does *not* support a triple as well: negated and
hedged evidence, and predictions, each marked as such.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from kg.derivation import statement_key
from kg.errors import NotFound
from kg.ids import normal_form, relation_type, triple_id
from kg.records import Config, Document, Entity, Evidence, Literal, Span, Triple
from kg.store import shape
from kg.store.protocol import GraphStore, Limits

__all__ = [
    "Explanation",
    "Predicted",
    "Source",
    "SourceReader",
    "explain",
    "label",
    "predicted",
    "quote_parts",
]

#: Characters of the document shown on each side of a quote.
CONTEXT: Final = 80
#: Everything that sources state of a head. STATES ends at the head, which is found by its index;
#: asked for by the triple's id alone, an engine may look through the evidence of the whole graph.
OF_HEAD: Final = (
    "MATCH (h:Entity {id: $head})<-[s:STATES]-(c) OPTIONAL MATCH (c)-[:FROM_DOCUMENT]->(d:Document)"
    " RETURN s, d.id AS document, d.title AS title, d.uri AS uri"
)
#: Evidence of one head fits into memory; it is cut down only after it has been put in order.
UNLIMITED: Final = Limits(seconds=600, rows=10**9, characters=10**12)


@dataclass(frozen=True, slots=True)
class Source:
    """One piece of evidence, with what a reader needs to check it."""

    evidence: str
    quote: str
    #: What stands in the document just before and after the quote.
    before: str
    after: str
    #: Where the quote names the triple's head and tail, counted from the start of the quote.
    head_span: Span | None
    tail_span: Span | None
    #: Title and uri of the document, and the span of the quote in it; empty for a model's word.
    title: str
    uri: str
    span: Span | None
    score: float
    harvester: str
    model: str
    negated: bool
    hedged: bool
    time: str


@dataclass(frozen=True, slots=True)
class Predicted:
    """A link that only a model believes in."""

    head: str
    relation: str
    tail: str
    predicate: str
    score: float
    model: str

    @property
    def id(self) -> str:
        """Return the id that the triple would have."""
        return triple_id(self.head, self.relation, self.tail)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A link, and everything that speaks for or against it."""

    head: Entity | Literal
    relation: str
    tail: Entity | Literal
    #: The derived triple; None if nothing supports it (only a prediction, or denied, or hedged).
    triple: Triple | None
    sources: tuple[Source, ...]
    predicted: Predicted | None

    @property
    def id(self) -> str:
        """Return the id of the triple, whether it is derived or not."""
        return triple_id(self.head.id, self.relation, self.tail.id)


def label(value: Entity | Literal) -> str:
    """Return how an entity or a literal is shown to a person.

    >>> label(Literal("1867-11-07", "xsd:date"))
    '1867-11-07'
    """
    return value.lexical if isinstance(value, Literal) else value.name


class SourceReader:
    """Reads the evidence of triples, one question to the graph for all triples of a head."""

    def __init__(self, graph: GraphStore) -> None:
        self._graph = graph
        #: Raw entity → the entity it became.
        self._entities: dict[str, str] = {}
        self._configs: dict[str, Config] = {}
        #: The latest chunk and its document.
        self._latest: tuple[str, Document] = ("", Document(uri="", text=""))

    def of_head(self, head: str) -> dict[str, tuple[Source, ...]]:
        """Return triple id → its evidence for every triple of a head, also those only denied."""
        found: dict[str, list[Source]] = defaultdict(list)
        for states, _, title, uri in self._graph.read(OF_HEAD, {"head": head}, limits=UNLIMITED):
            source = self._source(states.properties, head, title, uri)
            found[states.properties["triple_id"]].append(source)
        return {triple: _ordered(sources) for triple, sources in found.items()}

    def of_triple(self, triple: str, head: str, *, context: int = 0) -> tuple[Source, ...]:
        """Return all evidence of a triple: supporting first, then by score, then by id.

        Args:
            triple: id of the triple.
            head: id of its head.
            context: characters of the document to give on each side of a quote.
        """
        # By the records and not by Cypher: every store finds them by the triple at once.
        return _ordered(
            self._in_context(self._of_evidence(evidence, head), evidence.chunk, context)
            for evidence in self._graph.written("evidence", triple=triple)
        )

    def _of_evidence(self, evidence: Evidence, head: str) -> Source:
        document = self._document(evidence.chunk)
        config = self._config(evidence.config)
        states = shape.states_properties(evidence, "", config)
        return self._source(states, head, document.title, document.uri)

    def _source(
        self, states: Mapping[str, Any], head: str, title: str | None, uri: str | None
    ) -> Source:
        start = states.get("start")
        spans = [_within(states, name, start) for name in ("head", "tail")]
        # The relation map may have turned the ends of the statement round ("employed").
        if states["raw_head"] != head and self._entity(states["raw_head"]) != head:
            spans.reverse()
        return Source(
            evidence=states["id"],
            quote=states.get("quote", ""),
            before="",
            after="",
            head_span=spans[0],
            tail_span=spans[1],
            title=title or "",
            uri=uri or "",
            span=None if start is None else (start, states["end"]),
            score=float(states["score"]),
            harvester=states["harvester"],
            model=states.get("model", ""),
            negated=states["negated"],
            hedged=states["hedged"],
            time=states.get("time", ""),
        )

    def _in_context(self, source: Source, chunk: str | None, size: int) -> Source:
        if source.span is None or not size:
            return source
        text, (start, end) = self._document(chunk).text, source.span
        before, after = text[max(0, start - size) : start], text[end : end + size]
        return replace(source, before=before, after=after)

    def _document(self, chunk: str | None) -> Document:
        """Return the document of a chunk; one without a name and text for a model's word."""
        if chunk is None:
            return Document(uri="", text="")
        if self._latest[0] != chunk:
            (place,) = self._graph.written("chunk", id=chunk)
            (document,) = self._graph.written("document", id=place.document)
            self._latest = (chunk, document)
        return self._latest[1]

    def _config(self, id: str) -> Config:
        if id not in self._configs:
            (self._configs[id],) = self._graph.written("config", id=id)
        return self._configs[id]

    def _entity(self, raw: str) -> str:
        if raw not in self._entities:
            self._entities[raw] = self._graph.get(raw).id
        return self._entities[raw]


def _ordered(sources: Iterable[Source]) -> tuple[Source, ...]:
    return tuple(sorted(sources, key=lambda s: (s.negated, s.hedged, -s.score, s.evidence)))


def _within(states: Mapping[str, Any], end: str, start: int | None) -> Span | None:
    """Return the span of an end, counted from the start of the quote."""
    first = states.get(f"{end}_start")
    return None if first is None or start is None else (first - start, states[f"{end}_end"] - start)


def predicted(graph: GraphStore) -> list[Predicted]:
    """Return the links that only predictions support, best score first, one per link."""
    rows = graph.read(
        "MATCH (h:Entity)-[p:PREDICTED]->(t:Entity) "
        "RETURN h.id AS head, p.predicate AS predicate, t.id AS tail, p.score AS score, "
        "p.model AS model"
    )
    best: dict[str, Predicted] = {}
    for head, predicate, tail, score, model in rows:
        link = Predicted(
            head, relation_type(predicate), tail, predicate, float(score), str(model or "")
        )
        if link.id not in best or best[link.id].score < link.score:
            best[link.id] = link
    return sorted(best.values(), key=lambda link: (-link.score, link.id))


def quote_parts(quote: str, marks: Iterable[tuple[str, Span | None]]) -> Sequence[tuple[str, str]]:
    """Split a quote into (text, mark) pairs; "" marks plain text.

    Spans count code points, which JavaScript does not, so the cutting is done in Python. Where
    two spans overlap the one that begins first keeps its letters.

    >>> quote_parts("Curie was born in Warsaw.", [("tail", (18, 24)), ("head", (0, 5))])
    [('Curie', 'head'), (' was born in ', ''), ('Warsaw', 'tail'), ('.', '')]
    """
    parts: list[tuple[str, str]] = []
    at = 0
    for (start, end), name in sorted((span, name) for name, span in marks if span is not None):
        start, end = max(start, at), min(end, len(quote))
        if start < end:
            parts += [(quote[at:start], ""), (quote[start:end], name)]
            at = end
    return [part for part in (*parts, (quote[at:], "")) if part[0]]


def explain(graph: GraphStore, triple: str, *, context: int = CONTEXT) -> list[Explanation]:
    """Return what the graph knows about a triple, one answer per triple that is meant.

    Args:
        graph: an open graph.
        triple: a triple id (`t_…`), or `head | relation | tail` by names, aliases or ids; a
            relation by its name, an alias or its inverse. A name that several entities bear means
            all of them.
        context: characters of the document to give on each side of a quote.

    Raises:
        NotFound: if there is no such triple; the message names near matches.
    """
    reader = SourceReader(graph)
    links = {link.id: link for link in predicted(graph)}
    if "|" not in triple:
        return [_explain_id(graph, triple.strip(), reader, links, context)]
    parts = [part.strip() for part in triple.split("|")]
    if len(parts) != 3 or not all(parts):
        raise NotFound(
            f"{triple!r} is not a triple: give an id (t_…) or 'head | relation | tail', "
            "for example 'Marie Curie | born in | Warsaw'"
        )
    found = [
        explanation
        for head, relation, tail in _candidates(graph, *parts)
        if (explanation := _explain(graph, head, relation, tail, reader, links, context))
    ]
    if not found:
        raise NotFound(f"the graph holds no triple {triple!r}; {_near_triples(graph, parts[0])}")
    return sorted(found, key=lambda e: (e.triple is None, e.id))


def _explain_id(
    graph: GraphStore,
    id: str,
    reader: SourceReader,
    links: dict[str, Predicted],
    context: int,
) -> Explanation:
    ends: tuple[str, str, str] | None = None
    if id in links:
        ends = (links[id].head, links[id].relation, links[id].tail)
    else:
        try:
            triple = graph.get(id)
        except NotFound:
            # Only denied or hedged: no triple is derived, but its evidence tells the ends.
            rows = tuple(graph.written("relation_name"))
            for evidence in graph.written("evidence", triple=id):
                head, tail = graph.get(evidence.head).id, graph.get(evidence.tail_id).id
                ends = statement_key(head, evidence.relation, tail, rows)
        else:
            if not isinstance(triple, Triple):
                raise NotFound(
                    f"{id} is {label(triple)!r}, not a triple: give a triple id (t_…) or "
                    "'head | relation | tail'"
                )
            ends = (triple.head, triple.relation, triple.tail)
    found = _explain(graph, *ends, reader, links, context) if ends else None
    if found is None:
        raise NotFound(
            f"the graph holds no triple {id!r}: give a triple id (t_…) or 'head | relation | tail'"
        )
    return found


def _explain(
    graph: GraphStore,
    head: str,
    relation: str,
    tail: str,
    reader: SourceReader,
    links: dict[str, Predicted],
    context: int,
) -> Explanation | None:
    id = triple_id(head, relation, tail)
    sources = reader.of_triple(id, head, context=context)
    link = links.get(id)
    if not sources and link is None:
        return None
    try:
        triple = graph.get(id)
    except NotFound:
        triple = None
    ends = graph.get(head), graph.get(tail)
    if isinstance(ends[0], Triple) or isinstance(ends[1], Triple):
        raise NotFound(f"{id} has a triple as one of its ends")
    return Explanation(
        head=ends[0],
        relation=relation,
        tail=ends[1],
        triple=triple if isinstance(triple, Triple) else None,
        sources=sources,
        predicted=link if triple is None else None,
    )


def _candidates(
    graph: GraphStore, head: str, phrase: str, tail: str
) -> Iterator[tuple[str, str, str]]:
    """Yield the canonical triples that two names and a phrase may mean."""
    heads, tails = [], []
    for entity in graph.derived("entity"):
        names = {normal_form(name) for name in (entity.name, *entity.aliases)}
        if entity.id == head or normal_form(head) in names:
            heads.append(entity.id)
        if entity.id == tail or normal_form(tail) in names:
            tails.append(entity.id)
    tails += [value.id for value in graph.derived("literal") if tail in (value.id, value.lexical)]
    rows = tuple(graph.written("relation_name"))
    seen: set[tuple[str, str, str]] = set()
    for one in heads:
        for other in tails:
            # An inverse name turns the ends round; a literal can only be a tail.
            key = statement_key(one, phrase, other, rows)
            if key not in seen:
                seen.add(key)
                yield key


def _near_triples(graph: GraphStore, head: str) -> str:
    """Return what a person may have meant: names like the head's, or the triples that it has."""
    entities = {entity.id: entity for entity in graph.derived("entity")}
    known: dict[str, str] = {}
    for entity in entities.values():
        for name in (entity.name, *entity.aliases):
            known.setdefault(normal_form(name), entity.id)
    subject = head if head in entities else known.get(normal_form(head))
    if subject is None:
        close = difflib.get_close_matches(normal_form(head), known, n=3)
        names = ", ".join(repr(entities[known[name]].name) for name in close)
        return f"no entity is called {head!r}" + (f"; did you mean {names}?" if names else "")
    held = []
    for triple in graph.derived("triple"):
        if triple.head == subject:
            end = entities.get(triple.tail) or graph.get(triple.tail)
            held.append(f"{triple.relation} {label(end)}" if not isinstance(end, Triple) else "")
    if not held:
        return f"{head!r} is the head of no triple"
    return f"of {head!r} it holds: {'; '.join(sorted(held)[:8])}"
