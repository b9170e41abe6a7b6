"""Which entity a raw entity id stands for, where it is not itself."""

from __future__ import annotations

from kg.derivation import resolve
from kg.exchange.scratch import Scratch
from kg.store.protocol import GraphStore

__all__ = ["canonical_ids"]


def canonical_ids(graph: GraphStore) -> dict[str, str]:
    """Return raw entity id → entity id for the ids that are not entities of their own.

    There are as many as were merged, or joined because one had no type; most graphs have few.

    >>> import kg
    >>> canonical_ids(kg.open_graph("memory://"))
    {}
    """
    found = resolve((), graph.written("merge"))
    with Scratch() as raws, Scratch() as entities:
        for mention in graph.written("mention"):
            raws.add(mention.entity, "")
        for entity in graph.derived("entity"):
            entities.add(entity.id, "")
        for raw, own in entities.join(raws.keys(), str):
            if not own and raw not in found:
                found[raw] = graph.get(raw).id
    return {raw: id for raw, id in found.items() if raw != id}
