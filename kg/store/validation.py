"""Checks on a batch before anything of it is written; the same for every store.

A store first asks `needs` what of the batch refers outside of it, fetches that, and calls
`check_batch`. Then it may write without looking back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from kg.errors import RecordError
from kg.records import Batch, Chunk, Evidence, Mention, Span, Task

__all__ = ["Needs", "check_batch", "needs"]


@dataclass(frozen=True, slots=True)
class Needs:
    """Ids that a batch refers to and does not hold itself, sorted."""

    documents: tuple[str, ...]
    chunks: tuple[str, ...]
    configs: tuple[str, ...]
    raws: tuple[str, ...]


def needs(batch: Batch) -> Needs:
    """Return what a store must look up before it can check the batch."""
    named = {mention.entity for mention in batch.mentions}
    ends = {end for e in batch.evidence for end in _raw_ends(e)}
    own_chunks = {chunk.id for chunk in batch.chunks}
    placed: tuple[Mention | Evidence | Task, ...] = (*batch.mentions, *batch.evidence, *batch.tasks)
    return Needs(
        documents=tuple(
            sorted({c.document for c in batch.chunks} - {d.id for d in batch.documents})
        ),
        chunks=tuple(sorted({r.chunk for r in placed if r.chunk is not None} - own_chunks)),
        configs=tuple(sorted({record.config for record in placed})),
        raws=tuple(sorted(ends - named)),
    )


def _raw_ends(evidence: Evidence) -> tuple[str, ...]:
    if isinstance(evidence.tail, str):
        return (evidence.head, evidence.tail)
    return (evidence.head,)


def check_batch(
    batch: Batch,
    *,
    chunks: Mapping[str, Chunk],
    texts: Mapping[str, str],
    configs: Collection[str],
    raws: Collection[str],
    neighbours: Mapping[str, Iterable[Chunk]],
) -> None:
    """Refuse a batch that breaks its contract.

    Args:
        batch: what is to be written.
        chunks: the store's chunks among `needs(batch).chunks`, by id.
        texts: the store's document texts by document id, for `needs(batch).documents` and for
            the documents of `chunks`.
        configs: the store's configs among `needs(batch).configs`.
        raws: the store's raw entities among `needs(batch).raws`.
        neighbours: by document id, chunks of the store that the batch's config has read already.

    Raises:
        RecordError: on the first record that is wrong; the message says which and why.
    """
    known_chunks = {**chunks, **{chunk.id: chunk for chunk in batch.chunks}}
    known_texts = {**texts, **{document.id: document.text for document in batch.documents}}
    known_raws = {*raws, *(mention.entity for mention in batch.mentions)}
    placed: tuple[Mention | Evidence | Task, ...] = (*batch.mentions, *batch.evidence, *batch.tasks)
    for config in sorted({record.config for record in placed}):
        if config not in configs:
            raise RecordError(f"config {config} is unknown here: begin a run of it first")
    for chunk in batch.chunks:
        text = known_texts.get(chunk.document)
        if text is None:
            raise RecordError(f"chunk {chunk.id} is of {chunk.document}, which is not written yet")
        if chunk.end > len(text):
            raise RecordError(
                f"chunk {chunk.id} ends at {chunk.end}, its document at {len(text)} code points"
            )
    _check_overlaps(batch.chunks, neighbours)
    for task in batch.tasks:
        if task.chunk not in known_chunks:
            raise RecordError(f"task of chunk {task.chunk}: no such chunk is written")
    for mention in batch.mentions:
        _check_place(mention, mention.span, known_chunks)
    for evidence in batch.evidence:
        for raw in _raw_ends(evidence):
            if raw not in known_raws:
                raise RecordError(
                    f"evidence {evidence.id} ({evidence.relation!r}) names the raw entity {raw}, "
                    "which no mention names: write its mention with it"
                )
        place = _check_place(evidence, evidence.span, known_chunks)
        if place is not None and evidence.span is not None:
            _check_quote(evidence, evidence.span, known_texts[place.document])


def _check_overlaps(chunks: Iterable[Chunk], neighbours: Mapping[str, Iterable[Chunk]]) -> None:
    by_document: dict[str, dict[str, Chunk]] = defaultdict(dict)
    for chunk in chunks:
        by_document[chunk.document][chunk.id] = chunk
    for document, own in by_document.items():
        together = own | {chunk.id: chunk for chunk in neighbours.get(document, ())}
        ordered = sorted(together.values(), key=lambda chunk: (chunk.start, chunk.end))
        for before, after in pairwise(ordered):
            if after.start < before.end:
                raise RecordError(
                    f"chunks {before.start}:{before.end} and {after.start}:{after.end} of "
                    f"{document} overlap: a text is harvested once by one chunker"
                )


def _check_place(
    record: Mention | Evidence, span: Span | None, chunks: Mapping[str, Chunk]
) -> Chunk | None:
    if record.chunk is None or span is None:
        return None
    chunk = chunks.get(record.chunk)
    if chunk is None:
        raise RecordError(f"{record.id} stands in chunk {record.chunk}, which is not written yet")
    if not chunk.start <= span[0] < span[1] <= chunk.end:
        raise RecordError(
            f"{record.id} has the span {span}, outside its chunk {chunk.start}:{chunk.end} "
            "(offsets count code points of the whole document)"
        )
    return chunk


def _check_quote(evidence: Evidence, span: Span, text: str) -> None:
    found = text[span[0] : span[1]]
    if found != evidence.quote:
        raise RecordError(
            f"evidence {evidence.id} quotes {evidence.quote[:80]!r}, but its document holds "
            f"{found[:80]!r} at {span}"
        )
    for name, part in (("head", evidence.head_span), ("tail", evidence.tail_span)):
        if part is not None and not span[0] <= part[0] < part[1] <= span[1]:
            raise RecordError(f"evidence {evidence.id} has a {name} span {part} outside {span}")
