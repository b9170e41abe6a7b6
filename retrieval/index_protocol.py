"""What every index of entities can do, wherever it keeps its vectors.

| index | vectors are | for |
|---|---|---|
| `VectorIndex` | in memory | up to some millions: the one that models use |
| `ShardedIndex` | on disk, mapped, in shards | more than memory holds; readers while one writes |

**Which one is not chosen for you.** A sharded index searches every shard, so it is slower than one
index as long as one fits, and it lives in a folder of its own rather than in a file of a model. At
128 dimensions a million vectors take some 400 MB in memory, most of it Python's strings and
dictionaries, and a few hundred entities make no difference between the two. Both answer alike, so
changing over is a matter of the constructor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy.typing as npt

from retrieval.index_tuning import Tuning
from retrieval.ranking import Vectors

__all__ = ["EntityIndex"]


@runtime_checkable
class EntityIndex(Protocol):
    """Vectors under stable string ids."""

    def __len__(self) -> int:
        """Return how many ids it holds."""
        ...

    def __contains__(self, id: object) -> bool:
        """Return whether it holds an id."""
        ...

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids, in the order in which they came."""
        ...

    def add(self, ids: Sequence[str], vectors: npt.ArrayLike) -> None:
        """Add vectors [n, dim]; an id that is there already gets its new vector."""
        ...

    def remove(self, ids: Iterable[str]) -> int:
        """Remove ids and return how many were there."""
        ...

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Return the stored vectors [n, dim] as compared."""
        ...

    def search(
        self, query: Vectors, *, k: int = 10, allowed: Iterable[str] | None = None
    ) -> list[tuple[str, float]]:
        """Return the `k` nearest (id, similarity), best first, equal ones in order of id."""
        ...

    def search_many(
        self, queries: Vectors, *, k: int = 10, allowed: Iterable[str] | None = None
    ) -> list[list[tuple[str, float]]]:
        """Return for each query [n, dim] what `search` returns."""
        ...

    def tune(self, queries: Vectors | None = None, *, recall: float = 0.95, k: int = 10) -> Tuning:
        """Search as wide as a recall needs from now on, and return what is reached."""
        ...

    def save(self, path: Path, *, about: Mapping[str, Any] | None = None) -> None:
        """Write it, with remarks that come back as `about`."""
        ...
