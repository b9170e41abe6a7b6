"""Bare facts from a file become evidence: the file is the source, and `undo` takes it back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import file_digest
from itertools import batched, pairwise
from pathlib import Path
from typing import Final

from kg.errors import ExchangeError, KgError
from kg.exchange.progress import Progress, quiet
from kg.ids import entity_id, relation_type
from kg.records import Batch, Chunk, Config, Document, Entity, Evidence, Literal, Mention, Span
from kg.store.protocol import GraphStore

__all__ = [
    "Fact",
    "FactReport",
    "Passage",
    "file_hash",
    "named",
    "phrase_of",
    "write_facts",
]

#: Facts and entities written in one transaction.
BATCH: Final = 5_000
#: Entities remembered as written; one that is forgotten is only written (for nothing) again.
REMEMBERED: Final = 200_000


@dataclass(frozen=True, slots=True)
class Passage:
    """A text that a file brings along, and what part of it states a fact."""

    document: Document
    span: Span

    @property
    def quote(self) -> str:
        """The stated part."""
        return self.document.text[slice(*self.span)]


@dataclass(frozen=True, slots=True)
class Fact:
    """A triple that a file states."""

    head: Entity
    #: The relation as a phrase or as a relation type.
    phrase: str
    tail: Entity | Literal
    score: float = 1.0
    #: Where the file itself quotes a text for it; None makes the file the source.
    passage: Passage | None = None
    #: Kept and shown, but no support: somebody's summary of what other passages say.
    hedged: bool = False


@dataclass(frozen=True, slots=True)
class FactReport:
    """What an import wrote."""

    run: str
    facts: int
    entities: int
    #: Records that were new to the graph; 0 when the same file is imported again.
    created: int


def named(name: str) -> Entity:
    """Return an entity of unknown type that is known by its name only.

    >>> named("Warsaw").types
    ()
    """
    return Entity(id=entity_id(name), name=name)


def phrase_of(relation: str, phrase: object) -> str:
    """Return the phrase to import: the given one if it means the relation, else the relation.

    >>> phrase_of("BORN_IN", "born in"), phrase_of("BORN_IN", "died in"), phrase_of("BORN_IN", None)
    ('born in', 'BORN_IN', 'BORN_IN')
    """
    fits = isinstance(phrase, str) and phrase.strip() and relation_type(phrase) == relation
    return str(phrase) if fits else relation


def file_hash(*paths: Path) -> str:
    """Return the SHA-256 of files, so that the same file is the same source everywhere.

    Raises:
        ExchangeError: if one is missing.
    """
    digests = []
    for path in paths:
        try:
            with path.open("rb") as file:
                digests.append(file_digest(file, "sha256").hexdigest())
        except FileNotFoundError:
            raise ExchangeError(f"{path} does not exist: check the path") from None
    return "-".join(digests)


def write_facts(
    graph: GraphStore,
    rows: Iterable[Fact | Entity],
    *,
    file: str,
    sha256: str,
    progress: Progress = quiet,
) -> FactReport:
    """Write facts, and entities without any, as evidence of a file.

    Memory does not grow with the number of rows.

    Args:
        graph: an open graph.
        rows: what the file states; an end's id is its raw id. Iterated twice, since the tree of
            types belongs to the config that comes first: a collection, or an object that reads
            its file anew for each `iter()`. If the first pass raises, nothing is written.
        file: name of the file.
        sha256: hash of its bytes, see `file_hash`.
        progress: told how many rows were written.

    Raises:
        RecordError: if a name is empty.
    """
    if isinstance(rows, Iterator):
        raise TypeError("rows are iterated twice: give a collection, not an iterator")
    config = Config(
        harvester="import",
        parameters={"file": file, "sha256": sha256, "types": _parents(_chains(rows))},
    )
    run = graph.begin_run(config).id
    try:
        report = _write(graph, rows, config.id, run, progress)
    except KgError:
        graph.undo(run)  # half a file would pass for the whole
        raise
    counts = {"facts": report.facts, "entities": report.entities, "created": report.created}
    graph.finish_run(run, counts)
    return report


def _write(
    graph: GraphStore, rows: Iterable[Fact | Entity], config: str, run: str, progress: Progress
) -> FactReport:
    facts = entities = created = 0
    seen: set[str] = set()
    for part in batched(rows, BATCH):
        mentions: dict[str, Mention] = {}
        for entity in _entities(part):
            if entity.id not in seen:
                mentions.setdefault(entity.id, _mention(entity, config))
        if len(seen) > REMEMBERED:
            seen.clear()
        seen |= mentions.keys()
        # Apart from the evidence, so that the report can tell how many entities there are.
        wrote = graph.write(Batch(mentions=tuple(mentions.values())), run=run)
        entities += wrote.created + wrote.linked
        created += wrote.created
        own = [row for row in part if isinstance(row, Fact)]
        documents = {p.document.id: p.document for f in own if (p := f.passage) is not None}
        batch = Batch(
            documents=tuple(documents.values()),
            chunks=tuple(_chunk(document) for document in documents.values()),
            evidence=tuple(_evidence(fact, config) for fact in own),
        )
        created += graph.write(batch, run=run).created
        facts += len(own)
        progress(len(part))
    return FactReport(run, facts, entities, created)


def _entities(rows: Iterable[Fact | Entity]) -> Iterator[Entity]:
    for row in rows:
        if isinstance(row, Entity):
            yield row
        else:
            yield row.head
            if isinstance(row.tail, Entity):
                yield row.tail


def _chunk(document: Document) -> Chunk:
    return Chunk(document.id, 0, len(document.text))


def _evidence(fact: Fact, config: str) -> Evidence:
    evidence = Evidence(
        head=fact.head.id,
        relation=fact.phrase,
        tail=fact.tail if isinstance(fact.tail, Literal) else fact.tail.id,
        score=fact.score,
        config=config,
        hedged=fact.hedged,
    )
    if fact.passage is None:
        return evidence
    passage = fact.passage
    chunk = _chunk(passage.document).id
    return replace(evidence, chunk=chunk, span=passage.span, quote=passage.quote)


def _mention(entity: Entity, config: str) -> Mention:
    return Mention(
        entity=entity.id,
        surface=entity.name,
        config=config,
        type=entity.types[0] if entity.types else "",
        iri=entity.iri,
        description=entity.description,
        props=entity.props,
    )


def _chains(rows: Iterable[Fact | Entity]) -> set[tuple[str, ...]]:
    return {entity.types for entity in _entities(rows)}


def _parents(chains: Iterable[tuple[str, ...]]) -> dict[str, str]:
    """Return type → parent as the chains of the entities tell them; of two, the smaller."""
    parents: dict[str, str] = {}
    for types in sorted(chains):
        for type, parent in pairwise((*types, "")):
            parents[type] = min(filter(None, (parents.get(type), parent)), default="")
    return parents
