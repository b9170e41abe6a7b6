"""Searching on a GPU: a copy of an index there, as long as the index does not change.

The index in main memory is the truth: it takes additions and removals, is saved and loaded. The
copy answers whole searches and is thrown away at the first change; "auto" copies again once
`PATIENCE` queries have come without a change, so that an index that takes an entity between two
searches does not travel each time. What the GPU cannot do (a graph
of neighbours, searches among allowed ids only, more than `LIMIT` answers) is done in main memory,
with equal answers but for the order of additions inside a product.

A GPU needs the package `faiss-gpu`, which holds the same module as `faiss-cpu`, so that only one of
the two may be installed:

    pip uninstall faiss-cpu && pip install faiss-gpu

Source: Johnson, Douze, Jégou, "Billion-scale similarity search with GPUs", IEEE Transactions on Big
Data 2021.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np

from retrieval.errors import QueryShapeError
from retrieval.ranking import Vectors
from retrieval.triple_data import IntArray

__all__ = ["Device", "DeviceCopy", "devices"]

#: "auto" uses GPUs where there are any, "gpu" insists on one and copies at once.
type Device = Literal["auto", "cpu", "gpu"]

#: Most answers, and most cells looked into, that the GPU's search takes.
LIMIT: Final = 2_048

#: Queries without a change after which "auto" copies.
PATIENCE: Final = 100


def devices() -> int:
    """Return how many GPUs FAISS can use; 0 with faiss-cpu."""
    import faiss

    return int(faiss.get_num_gpus())


class DeviceCopy:
    """A copy of an index on all GPUs, made when it is first asked for.

    >>> DeviceCopy("cpu").of(object(), 1, k=10, wide=8) is None
    True

    Raises:
        QueryShapeError: an unknown device, or "gpu" where FAISS has none.
    """

    def __init__(self, device: Device) -> None:
        if device not in ("auto", "cpu", "gpu"):
            raise QueryShapeError(f"unknown device {device!r}; choose auto, cpu or gpu")
        if device == "gpu" and not devices():
            raise QueryShapeError(
                "FAISS sees no GPU; install faiss-gpu in place of faiss-cpu on a machine with one, "
                "or choose the device auto or cpu"
            )
        self.device: Device = device
        self._copy: _Numbered | None = None
        self._asked = 0

    def drop(self) -> None:
        """Forget the copy: the index is about to change."""
        self._copy, self._asked = None, 0

    def of(self, index: Any, queries: int, *, k: int, wide: int) -> _Numbered | None:
        """Return the copy for so many queries, or None where main memory shall answer.

        Args:
            index: what is copied.
            queries: how many are about to be asked.
            k: answers of each.
            wide: cells that each looks into.
        """
        if self.device == "cpu" or max(k, wide) > LIMIT or not devices():
            return None
        self._asked += queries
        if self.device == "auto" and self._asked < PATIENCE:
            return None
        import faiss

        if self._copy is None:
            numbers = None
            if isinstance(index, faiss.IndexIDMap):
                numbers = faiss.vector_to_array(index.id_map)
                index = faiss.downcast_index(index.index)
            if isinstance(index, faiss.IndexHNSW):
                return None
            self._copy = _Numbered(faiss.index_cpu_to_all_gpus(index), numbers)
        return self._copy


class _Numbered:
    """An index whose rows have numbers of their own."""

    def __init__(self, index: Any, numbers: IntArray | None) -> None:
        self._index = index
        self._numbers = numbers

    def search(self, queries: Vectors, k: int, parameters: Any) -> tuple[Vectors, IntArray]:
        """Return scores and numbers [q, k]; −1 where there is no answer."""
        scores, rows = self._index.search(queries, k, params=parameters)
        if self._numbers is None:
            return scores, rows
        return scores, np.where(rows < 0, -1, self._numbers[np.maximum(rows, 0)])
