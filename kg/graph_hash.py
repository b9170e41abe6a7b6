"""One hash for the whole derived graph: equal on every store, machine and order of arrival."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b

from kg.store.protocol import GraphStore

__all__ = ["graph_hash"]


def graph_hash(graph: GraphStore) -> str:
    """Return the hash over all entities, literals, triples, evidence ids and merges.

    Scores count to six decimals. Runs, times and predictions do not count.

    >>> from kg import open_graph
    >>> graph_hash(open_graph("memory://")) == graph_hash(open_graph("memory://"))
    True
    """
    digest = blake2b(digest_size=16)
    for row in _rows(graph):
        digest.update(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _rows(graph: GraphStore) -> Iterator[list[object]]:
    for e in graph.derived("entity"):
        props = json.dumps(dict(e.props), ensure_ascii=False, sort_keys=True)
        yield [e.id, e.name, *e.types, list(e.aliases), e.description, e.iri, props]
    for literal in graph.derived("literal"):
        yield [literal.id, literal.lexical, literal.datatype, literal.lang]
    for t in graph.derived("triple"):
        yield [t.id, t.head, t.relation, t.tail, t.predicate, f"{t.score:.6f}", t.support]
    for evidence in graph.written("evidence"):
        yield [evidence.id]
    for kept, dropped in sorted({(m.kept, m.dropped) for m in graph.written("merge")}):
        yield [kept, dropped]
