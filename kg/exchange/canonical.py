"""Which entity a raw entity id stands for, where it is not itself."""

from __future__ import annotations

from typing import Final

from kg.derivation import resolve
from kg.store.protocol import GraphStore, Limits

__all__ = ["canonical_ids"]

JOINED: Final = (
    "MATCH ()-[m:MENTIONS]->(e:Entity) WHERE m.raw_entity <> e.id "
    "RETURN DISTINCT m.raw_entity, e.id"
)
#: Nothing here comes from a user, and there are as many answers as there are joined entities.
UNLIMITED: Final = Limits(seconds=3_600.0, rows=10**9, characters=10**11)


def canonical_ids(graph: GraphStore) -> dict[str, str]:
    """Return raw entity id → entity id for the ids that are not entities of their own.

    There are as many as were merged, or joined because one had no type; most graphs have few.

    >>> import kg
    >>> canonical_ids(kg.open_graph("memory://"))
    {}
    """
    merged = resolve((), graph.written("merge"))
    joined = {**merged, **dict(graph.read(JOINED, limits=UNLIMITED))}
    return {raw: id for raw, id in joined.items() if raw != id}
