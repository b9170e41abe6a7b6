"""A graph of short sayings: `said(graph, {"a.txt": [("Ada:Person", "born in", "Rome:City")]})`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kg.ids import entity_id
from kg.records import Batch, Chunk, Config, Document, Evidence, Literal, Mention
from kg.store.protocol import GraphStore

TYPES = {"City": "Place", "River": "Place", "Place": "", "Person": "", "Organization": ""}

#: (head, relation, tail): "name:Type", "name" without a type, or "=1867" for a literal; a lone
#: name is mentioned only.
type Saying = tuple[str, str, str] | str


def raw(text: str) -> str:
    name, _, type = text.partition(":")
    return entity_id(name, TYPES.get(type) or type)


def said(graph: GraphStore, documents: Mapping[str, Sequence[Saying]], *, iri: str = "") -> str:
    """Write the sayings, one sentence each, and return the run."""
    config = Config("said", parameters={"types": TYPES})
    run = graph.begin_run(config).id
    for uri, sayings in documents.items():
        parts = [one if isinstance(one, tuple) else (one, "", "") for one in sayings]
        sentences = [
            " ".join(part.removeprefix("=").partition(":")[0] for part in one if part) + ". "
            for one in parts
        ]
        document = Document(uri, "".join(sentences))
        chunk = Chunk(document.id, 0, len(document.text))
        mentions, evidence, at = [], [], 0
        for (head, relation, tail), sentence in zip(parts, sentences, strict=True):
            place = {"chunk": chunk.id, "config": config.id}
            for end, start in ((head, at), (tail, at + len(sentence) - 2)):
                name, _, type = end.partition(":")
                if not end or end.startswith("="):
                    continue
                begin = start if end is head else start - len(name)
                span = (begin, begin + len(name))
                mentions.append(Mention(raw(end), name, type=type, span=span, iri=iri, **place))
            if relation:
                value = Literal(tail[1:], "xsd:date") if tail.startswith("=") else raw(tail)
                span = (at, at + len(sentence) - 1)
                quote = document.text[slice(*span)]
                evidence.append(
                    Evidence(raw(head), relation, value, 0.9, span=span, quote=quote, **place)
                )
            at += len(sentence)
        batch = Batch((document,), (chunk,), tuple(mentions), tuple(evidence))
        graph.write(batch, run=run)
    graph.finish_run(run, {})
    return run
