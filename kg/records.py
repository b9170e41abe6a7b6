"""The records of a graph: what is written, and what is derived from it.

*Written* records are facts about what was seen. They are frozen, they are never changed, and their
ids are hashes of their content (`kg.ids`), so that writing one twice is the same as writing it
once: `Document`, `Chunk`, `Mention`, `Evidence`, `Config`, `Run`, `Merge`, `RelationName`,
`Prediction`.

*Derived* records are a pure function of the written ones (`kg.derivation`): `Entity`, `Literal`,
`Triple`. Nobody writes them; every store on every machine derives the same ones.

Offsets count Unicode code points of `Document.text`; `text[start:end]` is the quote. Scores lie in
[0, 1] and are rounded to four decimals when a record is made, before any threshold can see them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from kg.errors import RecordError
from kg.ids import literal_id, make_id, triple_id

__all__ = [
    "LITERAL_TYPES",
    "Batch",
    "Chunk",
    "Config",
    "Document",
    "Entity",
    "Evidence",
    "Link",
    "Literal",
    "Mention",
    "Merge",
    "Prediction",
    "RelationName",
    "Run",
    "Span",
    "Task",
    "Triple",
]

#: Schema types whose tails are literals, and the datatype of each.
LITERAL_TYPES: Final[Mapping[str, str]] = {
    "date": "xsd:date",
    "number": "xsd:decimal",
    "quantity": "kg:quantity",
    "text": "xsd:string",
}

#: Half-open range of code points in a document's text.
type Span = tuple[int, int]


def _canonical_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


#: Sets a field of a frozen record while it is being made.
_set_field = object.__setattr__


def _set(record: object, **values: object) -> None:
    """Set fields of a frozen record while it is being made."""
    for name, value in values.items():
        _set_field(record, name, value)


def _check_span(record: Mention | Evidence, span: Span) -> None:
    if not 0 <= span[0] < span[1]:
        raise RecordError(
            f"{_described(record)} has the span {span}: a span is (start, end) with "
            "0 <= start < end, counted in code points of the document's text"
        )


def _described(record: Mention | Evidence) -> str:
    """Return how a message names a record that has no id yet."""
    if isinstance(record, Mention):
        return f"mention {record.surface!r}"
    return f"evidence ({record.head}, {record.relation!r}, {record.tail_id})"


def _rounded_score(owner: str | Evidence, score: float) -> float:
    if not 0.0 <= score <= 1.0:  # also refuses NaN
        name = owner if isinstance(owner, str) else _described(owner)
        raise RecordError(f"{name} has score {score}: scores are probabilities between 0 and 1")
    return round(float(score), 4)


# ----------------------------------------------------------------------------------- written


@dataclass(frozen=True, slots=True)
class Document:
    """One text as it was read: decoded, otherwise unchanged.

    >>> Document(uri="a.txt", text="Marie Curie was born in Warsaw.").id
    'd_e61d85f9398e85c7eb88d7d7d39226d0'
    """

    #: Relative to the harvest root, or a URL, or `file.jsonl#key`.
    uri: str
    text: str
    title: str = ""
    media_type: str = "text/plain"
    meta: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = field(init=False, default="")
    id: str = field(init=False, default="")

    def __post_init__(self) -> None:
        digest = sha256(self.text.encode()).hexdigest()
        _set(self, sha256=digest, id=make_id("d", self.uri, digest))


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document that is harvested as one task; chunks of one document do not overlap."""

    document: str
    start: int
    end: int
    id: str = field(init=False, default="")

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise RecordError(f"chunk of {self.document} has the range {self.start}:{self.end}")
        _set(self, id=make_id("c", self.document, self.start, self.end))


@dataclass(frozen=True, slots=True)
class Config:
    """A harvester with everything that can change its output.

    `parameters["types"]` maps each schema type to its parent ("" for a root), which is how a
    derived entity gets its ancestors as labels. `parameters["include_hedged"]` lets hedged
    evidence of this config support triples.
    """

    harvester: str
    version: str = "1"
    model: str = ""
    weights: str = ""
    prompt: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(init=False, default="")

    def __post_init__(self) -> None:
        parameters = json.loads(_canonical_json(self.parameters))
        key = _canonical_json(parameters)
        _set(
            self,
            parameters=parameters,
            id=make_id(
                "f", self.harvester, self.version, self.model, self.weights, self.prompt, key
            ),
        )


@dataclass(frozen=True, slots=True)
class Mention:
    """One place where a text names an entity, or a model's or file's word that it exists.

    `surface` is what stands in the text (hyphens and line breaks of a page mended); `name` is the
    entity's name by this mention: "Curie" may be a surface of the name "Marie Curie". `entity` is
    the *raw* entity id, the one that `kg.ids.entity_id` makes of the name and the root of the
    type. Pronouns are not mentions; evidence may still point at them.
    """

    entity: str
    surface: str
    config: str
    name: str = ""
    type: str = ""
    chunk: str | None = None
    span: Span | None = None
    iri: str = ""
    description: str = ""
    props: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(init=False, default="")

    def __post_init__(self) -> None:
        if not self.surface.strip():
            raise RecordError(f"mention of {self.entity} has an empty surface")
        if (self.chunk is None) != (self.span is None):
            raise RecordError(
                f"{_described(self)} has chunk {self.chunk} and span {self.span}: "
                "give both (it stands in a text) or neither (a model or a file says so)"
            )
        start = end = None
        if self.span is not None:
            _check_span(self, self.span)
            start, end = self.span
        if not self.name:
            _set_field(self, "name", self.surface)
        _set_field(self, "id", make_id("m", self.entity, self.chunk, start, end, self.config))


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that is not a thing: a date, a number, a quantity, a text.

    >>> Literal("1867-11-07", "xsd:date").id
    'l_e38aa34ee5575b221e02884144dd6424'
    """

    lexical: str
    datatype: str
    lang: str = ""
    id: str = field(init=False, default="")

    def __post_init__(self) -> None:
        _set(self, id=literal_id(self.lexical, self.datatype, self.lang))


@dataclass(frozen=True, slots=True)
class Evidence:
    """One place where a source states a triple, with its score and the exact quote.

    `head` and a non-literal `tail` are raw entity ids, `relation` is the raw phrase. `span` is the
    quote (usually a sentence), `head_span` and `tail_span` lie in it. Evidence of a model has no
    chunk and no spans.
    """

    head: str
    relation: str
    #: A raw entity id, or the `Literal` itself.
    tail: str | Literal
    score: float
    config: str
    chunk: str | None = None
    span: Span | None = None
    head_span: Span | None = None
    tail_span: Span | None = None
    #: `document.text[slice(*span)]`, checked when it is written; "" for evidence of a model.
    quote: str = ""
    negated: bool = False
    hedged: bool = False
    #: The time that the source gives for the statement, as ISO 8601 or as written.
    time: str = ""
    id: str = field(init=False, default="")

    def __post_init__(self) -> None:
        # The commonest record of all: nothing is formatted unless it is wrong.
        span, tail = self.span, self.tail
        if not self.relation.strip():
            raise RecordError(f"{_described(self)} has an empty relation")
        if (self.chunk is None) != (span is None):
            raise RecordError(f"{_described(self)} must have both a chunk and a span, or neither")
        start = end = None
        if span is not None:
            _check_span(self, span)
            start, end = span
            if len(self.quote) != end - start:
                raise RecordError(
                    f"{_described(self)} has a quote of {len(self.quote)} characters for {span}"
                )
        if self.head_span is not None:
            _check_span(self, self.head_span)
        if self.tail_span is not None:
            _check_span(self, self.tail_span)
        tail = tail if isinstance(tail, str) else tail.id
        key = (self.head, self.relation, tail, self.chunk, start, end, self.config)
        _set_field(self, "score", _rounded_score(self, self.score))
        _set_field(self, "id", make_id("v", *key))

    @property
    def tail_id(self) -> str:
        """Return the id of the tail, whether it is a raw entity or a literal."""
        return self.tail.id if isinstance(self.tail, Literal) else self.tail


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a config. Its id is random: two equal runs are two runs."""

    id: str
    config: str
    started: str
    finished: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Link:
    """This run has found this mention or evidence; without any link a record does not stay."""

    record: str
    run: str


@dataclass(frozen=True, slots=True)
class Task:
    """A finished piece of work: this config has read this chunk. Written with its evidence."""

    chunk: str
    config: str


@dataclass(frozen=True, slots=True)
class Merge:
    """A decision that two entities are one; derivation follows it, `undo` takes it back."""

    kept: str
    dropped: str
    layer: str
    score: float
    run: str
    id: str = field(init=False, default="")

    def __post_init__(self) -> None:
        if self.kept == self.dropped:
            raise RecordError(f"merge of {self.kept} with itself")
        _set(
            self,
            score=_rounded_score("merge", self.score),
            id=make_id("g", self.kept, self.dropped),
        )


@dataclass(frozen=True, slots=True)
class RelationName:
    """One row of the relation map: a raw phrase stands for a relation, perhaps with ends swapped.

    A symmetric relation is stored with its ends in the order of their ids. A row without a run is
    declared by a schema and always holds; one with a run was found by a canonicaliser, `undo` of
    that run takes it back.
    """

    phrase: str
    relation: str
    swapped: bool = False
    symmetric: bool = False
    #: What found the row: "schema", or a layer of `kg.canonicalisation`.
    layer: str = "schema"
    score: float = 1.0
    run: str = ""

    def __post_init__(self) -> None:
        owner = f"relation name {self.phrase!r} for {self.relation!r}"
        _set(self, score=_rounded_score(owner, self.score))


@dataclass(frozen=True, slots=True)
class Prediction:
    """A link that a model believes in. It is never evidence and never mistaken for a fact."""

    head: str
    relation: str
    tail: str
    score: float
    rank: int
    weights: str
    #: The graph's change counter when the model was trained.
    trained_on: int
    run: str
    id: str = field(init=False, default="")

    def __post_init__(self) -> None:
        key = (self.head, self.relation, self.tail, self.weights, self.trained_on)
        _set(self, score=_rounded_score("prediction", self.score), id=make_id("p", *key))


@dataclass(frozen=True, slots=True)
class Batch:
    """Written records that reach the store in one transaction, all or none.

    Order inside does not matter, and neither does writing the same batch twice.
    """

    documents: tuple[Document, ...] = ()
    chunks: tuple[Chunk, ...] = ()
    mentions: tuple[Mention, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    tasks: tuple[Task, ...] = ()
    relation_names: tuple[RelationName, ...] = ()
    merges: tuple[Merge, ...] = ()
    predictions: tuple[Prediction, ...] = ()


# ----------------------------------------------------------------------------------- derived


@dataclass(frozen=True, slots=True)
class Entity:
    """A thing of the graph, derived from all mentions that name it."""

    id: str
    #: Commonest name, ties the smallest.
    name: str
    #: Commonest type first, then its ancestors in the schema; empty when unknown.
    types: tuple[str, ...] = ()
    #: Every other name and surface, sorted.
    aliases: tuple[str, ...] = ()
    description: str = ""
    iri: str = ""
    props: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Triple:
    """A directed, typed, scored link, derived from all evidence that states it."""

    head: str
    #: Relation type in UPPER_SNAKE, as in Cypher.
    relation: str
    tail: str
    #: Name of the relation in the schema; else the commonest raw phrase, ties the smallest.
    predicate: str
    score: float
    #: Number of independent sources: equal sentences count once.
    support: int
    id: str = field(init=False, default="")

    def __post_init__(self) -> None:
        _set(self, id=triple_id(self.head, self.relation, self.tail))
