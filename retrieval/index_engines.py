"""The FAISS structures below an index: numbered vectors in, nearest numbers out.

| kind | answers | bytes a vector | adding | removing |
|---|---|---|---|---|
| `flat` | exact | 4·d | at once | at once |
| `ivf-sq8` | the nearest in `nprobe` of up to 4·√n cells | d | at once | at once |
| `hnsw` | by a walk over a graph of neighbours, `efSearch` wide | 4·d + 256 | slow | marked |

**HNSW cannot forget.** Its nodes are the way to other nodes, so a removed vector stays in the
graph, is passed through and never answered. Who owns the engine builds it again when more are
removed than live: over time a removal costs no more than an adding did, but one of many takes as
long as all of them.

**The trap.** A search that may answer only some of the vectors starves: the cells it looks into, or
the nodes it passes, may hold none of them. So it looks wider until there are enough answers, and a
few allowed vectors are compared one by one from the start.

Bounded memory: cells are learned from a sample of `SAMPLE` vectors a cell, and vectors are read in
blocks, so that a memory map can be indexed that is larger than memory.

Sources: Jégou, Douze, Schmid, "Product quantization for nearest neighbor search", PAMI 2011
(inverted file); Malkov, Yashunin, "Efficient and robust approximate nearest neighbor search using
hierarchical navigable small world graphs", PAMI 2018. Both as FAISS builds them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from retrieval.errors import QueryShapeError
from retrieval.index_devices import Device, DeviceCopy
from retrieval.ranking import Vectors
from retrieval.rows import blocks_of
from retrieval.top_k import best
from retrieval.triple_data import IntArray

__all__ = ["Engine", "Kind", "checked_kind", "exact_top"]

type Kind = Literal["flat", "ivf-sq8", "hnsw"]

#: Rows → their vectors.
type Take = Callable[[IntArray], Vectors]

#: Cells looked into, and width of the walk, before `tune` has chosen: infrastructure's measurement
#: on a million vectors of 384 dimensions, recall@10 of .985 and .953.
SETTINGS: Final[dict[Kind, int]] = {"flat": 0, "ivf-sq8": 8, "hnsw": 64}

#: Neighbours of a node of HNSW, in each of two directions.
NEIGHBOURS: Final = 32

#: Vectors a cell that cells are learned from, and how many FAISS asks for at least: with fewer, a
#: centre is its own sample and no other vector's.
SAMPLE: Final = 64
LEAST_A_CELL: Final = 39

#: Share by which the range of a dimension is wider than the sample's, at each end. What is rounded
#: is a vector less its cell's centre; centres fit their sample better than later vectors, and what
#: is out of range is cut off.
MARGIN: Final = 0.25

#: Allowed vectors up to which each is compared.
FEW: Final = 1_024

#: A starved search looks so many times as wide.
WIDER: Final = 4


class Engine:
    """Nearest neighbours by dot product, over vectors with numbers.

    Args:
        dim: length of a vector.
        kind: see the table above.
        numbered: numbers are given with the vectors; otherwise they are counted from 0.
        setting: `nprobe` or `efSearch`; 0 for the default.
        device: where whole searches run, see `retrieval.index_devices`.

    >>> engine = Engine(dim=2, kind="flat")
    >>> engine.add(np.array([7, 5]), np.array([[1, 0], [0, 2]], np.float32))
    >>> scores, numbers = engine.search(np.array([[1, 1]], np.float32), k=2)
    >>> numbers.tolist(), scores.tolist()
    ([[5, 7]], [[2.0, 1.0]])
    """

    def __init__(
        self,
        *,
        dim: int,
        kind: Kind = "flat",
        numbered: bool = True,
        setting: int = 0,
        device: Device = "cpu",
    ) -> None:
        self.dim = dim
        self.kind: Kind = kind
        self.numbered = numbered
        self.setting = setting or SETTINGS[kind]
        #: Numbers that are removed but still in the structure.
        self.gone: set[int] = set()
        self._index = _untrained(dim, kind, numbered)
        self._copy = DeviceCopy(device)

    @classmethod
    def built(
        cls,
        kind: Kind,
        numbers: IntArray,
        take: Take,
        *,
        dim: int,
        numbered: bool = True,
        setting: int = 0,
        device: Device = "cpu",
    ) -> Engine:
        """Return an engine of some vectors, read a sample and then block by block.

        Args:
            kind: of the engine.
            numbers: [n], of the vectors.
            take: gives the vectors [m, dim] of some of the rows 0..n − 1.
            dim: length of a vector.
            numbered: as of the class.
            setting: as of the class.
            device: as of the class.
        """
        engine = cls(dim=dim, kind=kind, numbered=numbered, setting=setting, device=device)
        if kind == "ivf-sq8":
            engine._index = _trained(dim, len(numbers), take, numbered=numbered)
        for rows in blocks_of(len(numbers)):
            engine.add(numbers[rows], take(rows))
        return engine

    def __len__(self) -> int:
        return int(self._index.ntotal) - len(self.gone)

    @property
    def width(self) -> int:
        """The widest setting that can make a difference."""
        return int(self._index.nlist if self.kind == "ivf-sq8" else self._index.ntotal)

    def add(self, numbers: IntArray, vectors: Vectors) -> None:
        """Add vectors [n, dim] under numbers that were never there."""
        self._copy.drop()
        if self.numbered:
            self._index.add_with_ids(vectors, numbers)
        else:
            self._index.add(vectors)

    def remove(self, numbers: Sequence[int]) -> None:
        """Remove numbers that are there."""
        if not numbers:
            return
        self._copy.drop()
        if self.kind == "hnsw" or not self.numbered:
            self.gone |= set(numbers)
        else:
            self._index.remove_ids(np.array(numbers, np.int64))

    def take(self, numbers: IntArray) -> Vectors:
        """Return the vectors [n, dim] of numbers, as they are compared."""
        if not len(numbers):
            return np.empty((0, self.dim), np.float32)
        if self.kind == "ivf-sq8" and not self.numbered and self._index.direct_map.no():
            self._index.make_direct_map()
        found: Vectors = self._index.reconstruct_batch(np.ascontiguousarray(numbers, np.int64))
        return found

    def search(
        self,
        queries: Vectors,
        *,
        k: int,
        allowed: IntArray | None = None,
        setting: int | None = None,
    ) -> tuple[Vectors, IntArray]:
        """Return scores and numbers [q, k] of the nearest, best first.

        Of equal ones at the end of the list `flat` takes the least numbers.

        Args:
            queries: [q, dim].
            k: number of answers, at most as many as may be answered.
            allowed: numbers to choose from; all that are not gone, if not given.
            setting: in place of the engine's own.
        """
        if self.kind != "flat":
            return self._wide_enough(queries, k, allowed, setting or self.setting)
        # FAISS drops any of those that are equal at the end of the list; one more shows whether
        # there are some.
        asked = min(k + 1, len(self) if allowed is None else len(allowed))
        scores, numbers = self._wide_enough(queries, asked, allowed, 0)
        if asked > k and len(tied := np.flatnonzero(scores[:, k - 1] == scores[:, k])):
            left = self.numbers() if allowed is None else np.sort(allowed)
            scores[tied, :k], numbers[tied, :k] = exact_top(queries[tied], left, self.take, k)
        return scores[:, :k], numbers[:, :k]

    def _wide_enough(
        self, queries: Vectors, k: int, allowed: IntArray | None, wide: int
    ) -> tuple[Vectors, IntArray]:
        """Return scores and numbers [q, k], looking wider while there are too few."""
        faiss = _faiss()
        if self.kind == "hnsw":  # the walk keeps what lives, so it must pass more to keep as many
            wide = min(self.width, wide * int(self._index.ntotal) // max(1, len(self)))
        wide = max(1, wide)
        if allowed is not None:
            if self.kind != "flat" and len(allowed) <= FEW:
                return exact_top(queries, allowed, self.take, k)
            selector = faiss.IDSelectorBatch(allowed)
        elif self.gone:
            gone = np.fromiter(self.gone, np.int64, len(self.gone))
            excluded = faiss.IDSelectorBatch(gone)
            selector = faiss.IDSelectorNot(excluded)
        else:
            selector = None
            copied = self._copy.of(self._index, len(queries), k=k, wide=wide)
            if copied is not None:
                scores, numbers = copied.search(queries, k, self._parameters(None, k, wide))
                if (numbers >= 0).all():
                    return scores, numbers
        scores, numbers = self._index.search(queries, k, params=self._parameters(selector, k, wide))
        while True:
            starved = np.flatnonzero((numbers < 0).any(axis=1))
            if not len(starved) or wide >= self.width:
                break
            wide = min(WIDER * wide, self.width)
            scores[starved], numbers[starved] = self._index.search(
                queries[starved], k, params=self._parameters(selector, k, wide)
            )
        if len(starved):  # nodes that no walk reaches
            left = self.numbers() if allowed is None else allowed
            scores[starved], numbers[starved] = exact_top(queries[starved], left, self.take, k)
        return scores, numbers

    def numbers(self) -> IntArray:
        """Return the numbers that are there [n]."""
        faiss = _faiss()
        if not self.numbered:
            found = np.arange(self._index.ntotal, dtype=np.int64)
        elif self.kind == "ivf-sq8":
            lists = self._index.invlists
            parts = [
                faiss.rev_swig_ptr(lists.get_ids(cell), lists.list_size(cell)).copy()
                for cell in range(self._index.nlist)
                if lists.list_size(cell)
            ]
            found = np.sort(np.concatenate([np.empty(0, np.int64), *parts]))
        else:
            found = np.sort(faiss.vector_to_array(self._index.id_map))
        if self.gone:
            found = found[~np.isin(found, np.fromiter(self.gone, np.int64, len(self.gone)))]
        return np.asarray(found, np.int64)

    def write(self, path: Path) -> None:
        """Write the structure, which `read` takes together with `kind`, `setting` and `gone`."""
        _faiss().write_index(self._index, str(path))

    @classmethod
    def read(
        cls,
        path: Path,
        *,
        dim: int,
        kind: Kind,
        numbered: bool = True,
        setting: int = 0,
        gone: Sequence[int] = (),
        device: Device = "cpu",
        mapped: bool = False,
    ) -> Engine:
        """Return the engine of a file that `write` wrote.

        Args:
            path: the file.
            dim: as it was.
            kind: as it was.
            numbered: as it was.
            setting: as of the class.
            gone: numbers that were removed and are still in the structure.
            device: as of the class.
            mapped: leave the vectors in the file, which nothing may change from then on.

        Raises:
            ValueError: the file is not of this dimension, or FAISS cannot read it.
        """
        faiss = _faiss()
        engine = cls(dim=dim, kind=kind, numbered=numbered, setting=setting, device=device)
        try:
            engine._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
        except RuntimeError as error:
            raise ValueError(f"FAISS cannot read it: {str(error).splitlines()[-1]}") from error
        if engine._index.d != dim:
            raise ValueError(f"vectors of {engine._index.d} dimensions in place of {dim}")
        engine.gone = set(gone)
        return engine

    def _parameters(self, selector: Any, k: int, wide: int) -> Any:
        faiss = _faiss()
        if self.kind == "ivf-sq8":
            return faiss.SearchParametersIVF(sel=selector, nprobe=min(wide, self.width))
        if self.kind == "hnsw":
            return faiss.SearchParametersHNSW(sel=selector, efSearch=max(k, wide))
        return faiss.SearchParameters(sel=selector)


def exact_top(queries: Vectors, numbers: IntArray, take: Take, k: int) -> tuple[Vectors, IntArray]:
    """Return scores and numbers [q, k] of the nearest of some vectors, compared one by one.

    Of equal ones those that come first in `numbers` are taken, and come first. Where there are
    fewer than `k`, the rest is −∞ and −1.

    Args:
        queries: [q, d].
        numbers: [n] of the vectors to compare.
        take: gives the vectors [m, d] of some numbers, asked for blocks.
        k: number of answers.
    """
    scores = np.full((len(queries), k), -np.inf, np.float32)
    found = np.full((len(queries), k), -1, np.int64)
    for rows in blocks_of(len(numbers)):
        block = numbers[rows]
        products = np.concatenate([scores, queries @ take(block).T], axis=1)
        for at, row in enumerate(products):
            top = best(row, k)
            old = top < k
            found[at] = np.where(
                old, found[at][np.where(old, top, 0)], block[np.maximum(top - k, 0)]
            )
            scores[at] = row[top]
    return scores, found


def cells_for(count: int) -> int:
    """Return how many cells `count` vectors are put into."""
    return max(1, min(count // LEAST_A_CELL, 4 * math.isqrt(count)))


def checked_kind(kind: str) -> None:
    """Refuse what is neither a kind nor "auto".

    Raises:
        QueryShapeError: for another name.
    """
    if kind not in ("auto", *SETTINGS):
        raise QueryShapeError(f"unknown kind of index {kind!r}; choose auto, {', '.join(SETTINGS)}")


def _untrained(dim: int, kind: Kind, numbered: bool) -> Any:
    faiss = _faiss()
    if kind == "ivf-sq8":
        return _inverted(dim, 1, numbered)
    index = (
        faiss.IndexFlatIP(dim)
        if kind == "flat"
        else faiss.IndexHNSWFlat(dim, NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
    )
    return faiss.IndexIDMap2(index) if numbered else index


def _inverted(dim: int, cells: int, numbered: bool) -> Any:
    faiss = _faiss()
    index = faiss.index_factory(dim, f"IVF{cells},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.sq.rangestat_arg = MARGIN
    # The smallest index has fewer vectors a cell than FAISS likes; it would say so on stderr.
    index.cp.min_points_per_centroid = 1
    if numbered:
        index.set_direct_map_type(faiss.DirectMap.Hashtable)
    return index


def _trained(dim: int, count: int, take: Take, *, numbered: bool) -> Any:
    """Return an empty inverted file whose cells and ranges come from a sample of the vectors."""
    cells = cells_for(count)
    index = _inverted(dim, cells, numbered)
    rows = np.arange(count)
    if count > SAMPLE * cells:
        rows = np.sort(np.random.default_rng(0).choice(count, SAMPLE * cells, replace=False))
    sample = np.empty((len(rows), dim), np.float32)
    for part in blocks_of(len(rows)):
        sample[part] = take(rows[part])
    index.train(sample)
    return index


def _faiss() -> Any:
    """Return the module, untyped: its stubs lack selectors and direct maps."""
    import faiss

    return faiss
