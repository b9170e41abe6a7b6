"""Every piece of evidence with the triple that it states."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import batched
from typing import Final

from kg.derivation import Statement, derive_triples
from kg.exchange.canonical import canonical_ids
from kg.records import Evidence
from kg.store.protocol import GraphStore

__all__ = ["stated_triples"]

#: Evidence looked at together.
PART: Final = 2_000


def stated_triples(graph: GraphStore) -> Iterator[tuple[Evidence, str]]:
    """Iterate over evidence, by id, and the id of the triple it states, supported or not.

    >>> import kg
    >>> list(stated_triples(kg.open_graph("memory://")))
    []
    """
    canonical = canonical_ids(graph)
    names = list(graph.written("relation_name"))
    for part in batched(graph.written("evidence"), PART):
        _, stated = derive_triples(map(Statement.of, part), canonical, relation_names=names)
        for evidence in part:
            yield evidence, stated[evidence.id].triple
