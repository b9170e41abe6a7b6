"""An index on disk: shards of bounded size, mapped into memory, read by many while one writes.

```
folder/
  index.json                 the manifest: shards in order, options, generation
  shard-<hash>/              immutable: vectors (FAISS) and ids
  gone-<hash>.npy            rows of a shard that were removed
```

New vectors go into a fresh part in memory, which is exact. When it holds `shard_size` of them it
becomes a shard on disk, of the kind that was chosen. A search asks every shard and the fresh part
and merges their answers, so that shards without loss answer what one exact index answers. A removed
row is marked; a shard of which more is gone than lives is written again without it.

**Who sees what.** Nothing is seen by others before `save`, which replaces the manifest in one step.
A reader opens the generation of its manifest and keeps it, whatever is saved later; `load` again
for the newest. Files that no manifest names are removed by `save`; a reader that was about to open
one reads the new manifest instead. There is one writer: a second one, whose generation is no longer
the newest, is refused when it saves and can load and repeat.

**Memory** is the fresh part (4·d bytes a vector, at most `shard_size`), one shard while it is built
(the same again), and the pages in use of the files.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt

from retrieval import index_manifest
from retrieval.errors import ModelFileError, QueryShapeError
from retrieval.id_table import hashes_of
from retrieval.index_devices import Device
from retrieval.index_engines import Engine, Kind, checked_kind
from retrieval.index_shards import Shard
from retrieval.index_tuning import Tuning, tune
from retrieval.ranking import Vectors
from retrieval.rows import ComparableRows, Similarity, blocks_of, comparable, one_id_each
from retrieval.triple_data import IntArray
from retrieval.vector_index import FLAT_LIMIT, LEAST_TRAINED

__all__ = ["ShardedIndex"]

#: Vectors of a shard, and of the fresh part, which each search compares one by one.
SHARD_SIZE: Final = 250_000

#: A label is the number of a shard and, in so many lower bits, of a row. The fresh part comes after
#: every shard, so labels ascend in the order of arrival.
ROW_BITS: Final = 40
ROWS: Final = (1 << ROW_BITS) - 1
FRESH: Final = 1 << 22


class ShardedIndex:
    """Search by cosine, or by dot product, over vectors on disk with string ids.

    Args:
        folder: its own folder; made if needed, and without an index in it.
        dim: length of a vector.
        kind: of the shards; "auto" is exact for shards of up to `FLAT_LIMIT` vectors.
        shard_size: vectors of a shard.
        similarity: what nearness is.
        device: where searches run, see `retrieval.index_devices`.

    Raises:
        QueryShapeError: an unknown option, a shard size below 1, or a folder that holds an index.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     index = ShardedIndex(Path(folder), dim=2, shard_size=2)
    ...     index.add(["a", "b", "c"], np.array([[1, 0], [0, 2], [1, 1]], np.float32))
    ...     index.save()
    ...     reader = ShardedIndex.load(Path(folder))
    ...     len(reader), reader.search(np.array([0, 1], np.float32), k=1)
    (3, [('b', 1.0)])
    """

    def __init__(
        self,
        folder: Path,
        *,
        dim: int,
        kind: Literal["auto"] | Kind = "auto",
        shard_size: int = SHARD_SIZE,
        similarity: Similarity = "cosine",
        device: Device = "auto",
    ) -> None:
        checked_kind(kind)
        if similarity not in ("cosine", "dot"):
            raise QueryShapeError(f"unknown similarity {similarity!r}; choose cosine or dot")
        if shard_size < 1:
            raise QueryShapeError(f"shard_size is {shard_size}; give 1 or more")
        if (folder / "index.json").exists():
            raise QueryShapeError(
                f"{folder} holds an index already; use ShardedIndex.load, or another folder"
            )
        self.folder = folder
        self.dim = dim
        self.option: Literal["auto"] | Kind = kind
        self.shard_size = shard_size
        self.similarity: Similarity = similarity
        self.device: Device = device
        #: What `save` was told about the vectors.
        self.about: dict[str, Any] = {}
        #: How often it was saved.
        self.generation = 0
        self._shards: list[Shard] = []
        self._settings: dict[Kind, int] = {}
        self._fresh = _Fresh(dim=dim, device=device)

    def __len__(self) -> int:
        return sum(len(engine) for _, engine in self._engines())

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and bool(self._labels([id])[0] >= 0)

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids, in the order in which they came."""
        return tuple(self._living())

    @property
    def shards(self) -> int:
        """How many shards stand on disk, the fresh part not counted."""
        return len(self._shards)

    def add(self, ids: Sequence[str], vectors: npt.ArrayLike) -> None:
        """Add vectors [n, dim]; an id that is there already gets its new vector.

        A memory map of any floating type is read in blocks, so it may be larger than memory.

        Raises:
            QueryShapeError: if shapes do not fit, an id comes twice, or a value is not finite.
        """
        rows = ComparableRows(vectors, dim=self.dim, similarity=self.similarity)
        one_id_each(ids, rows)
        self.remove(ids)
        start = 0
        while start < len(ids):
            stop = min(len(ids), start + self.shard_size - len(self._fresh.ids))
            for part in blocks_of(stop - start):
                self._fresh.add(
                    ids[start + part[0] : start + part[-1] + 1], rows.take(start + part)
                )
            start = stop
            if len(self._fresh.ids) == self.shard_size:
                kind = self._kind_of(self.shard_size)
                self._shards.append(self._shard_of_fresh(self.folder, kind))
                self._fresh = _Fresh(dim=self.dim, device=self.device)

    def remove(self, ids: Iterable[str]) -> int:
        """Remove ids and return how many were there."""
        labels = self._labels(list(dict.fromkeys(ids)))
        labels = labels[labels >= 0]
        for at, shard in reversed(list(enumerate(self._shards))):
            rows = labels[labels >> ROW_BITS == at] & ROWS
            shard.engine.remove(rows.tolist())
            if len(shard.engine.gone) > len(shard.engine):
                self._shards[at : at + 1] = self._rewritten(shard)
        self._fresh.remove((labels[labels >> ROW_BITS == FRESH] & ROWS).tolist())
        return len(labels)

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Return the stored vectors [n, dim] as compared (rounded to 8 bits by `ivf-sq8`).

        Raises:
            QueryShapeError: if an id is not in the index.
        """
        labels = self._labels(ids)
        if (labels < 0).any():
            unknown = ids[int(np.argmin(labels))]
            raise QueryShapeError(f"{unknown!r} is not in the index; add it first")
        found = np.empty((len(ids), self.dim), np.float32)
        for at, engine in self._engines():
            here = labels >> ROW_BITS == at
            found[here] = engine.take(labels[here] & ROWS)
        return found

    def search(
        self, query: Vectors, *, k: int = 10, allowed: Iterable[str] | None = None
    ) -> list[tuple[str, float]]:
        """Return the `k` nearest (id, similarity), best first, equal ones in order of id.

        Of equal ones at the end of the list those that came first are taken, if it is exact.

        Args:
            query: [dim].
            k: number of answers, fewer if there are not so many.
            allowed: ids to choose from; all if not given. Unknown ids are ignored.

        Raises:
            QueryShapeError: if `k` is below 1 or the query has the wrong shape.
        """
        return self.search_many(np.asarray(query, np.float32)[None, :], k=k, allowed=allowed)[0]

    def search_many(
        self, queries: Vectors, *, k: int = 10, allowed: Iterable[str] | None = None
    ) -> list[list[tuple[str, float]]]:
        """Return for each query [n, dim] what `search` returns."""
        if k < 1:
            raise QueryShapeError(f"k is {k}; ask for 1 answer or more")
        queries = comparable(queries, dim=self.dim, similarity=self.similarity)
        chosen = None if allowed is None else self._labels(sorted(set(allowed)))
        parts: list[tuple[Vectors, IntArray]] = []
        for at, engine in self._engines():
            rows = None
            if chosen is not None:
                rows = np.sort(chosen[chosen >> ROW_BITS == at] & ROWS)
            wanted = min(k, len(engine) if rows is None else len(rows))
            if wanted:
                scores, found = engine.search(queries, k=wanted, allowed=rows)
                parts.append((scores, found | at << ROW_BITS))
        if not parts:
            return [[] for _ in queries]
        scores, labels = (np.concatenate(side, axis=1) for side in zip(*parts, strict=True))
        answers = []
        for row in range(len(queries)):
            best = np.lexsort((labels[row], -scores[row]))[:k]
            answer = [
                (self._name(label), float(score))
                for label, score in zip(labels[row][best].tolist(), scores[row][best], strict=True)
            ]
            answers.append(sorted(answer, key=lambda one: (-one[1], one[0])))
        return answers

    def tune(self, queries: Vectors | None = None, *, recall: float = 0.95, k: int = 10) -> Tuning:
        """Search each shard as wide as a recall needs, and return the least that one reaches.

        Later shards of the same kind begin with the widest setting that was found.

        Args:
            queries: [n, dim] such as will be asked; if not given, some that lie as near to the
                stored vectors as these to each other.
            recall: share of the `k` nearest stored vectors to find, in (0, 1].
            k: answers of a search.

        Raises:
            QueryShapeError: an option out of range, or an empty index.
        """
        if queries is not None:
            queries = comparable(queries, dim=self.dim, similarity=self.similarity)
        held = [engine for _, engine in self._engines() if len(engine)]
        found = [tune(one, queries, recall=recall, k=k) for one in held or [self._fresh.engine]]
        self._settings = {}
        for engine in held:
            before = self._settings.get(engine.kind, 0)
            self._settings[engine.kind] = max(before, engine.setting)
        return Tuning(
            max(one.setting for one in found),
            min(one.recall for one in found),
            sum(one.queries for one in found) if queries is None else len(queries),
        )

    def save(self, path: Path | None = None, *, about: Mapping[str, Any] | None = None) -> None:
        """Make what was added and removed visible to readers, in one step.

        Args:
            path: another folder to write a copy into; its own, if not given.
            about: kept in the manifest as it is; comes back as `about` of the loaded index.

        Raises:
            ModelFileError: another writer has saved since this index was loaded.
        """
        root = path or self.folder
        own = root.resolve() == self.folder.resolve()
        after = self.generation if own else 0
        index_manifest.follows(root, after)  # before gigabytes are written in vain
        root.mkdir(parents=True, exist_ok=True)
        shards = []
        for shard in self._shards:
            if not own:
                shutil.copytree(self.folder / shard.name, root / shard.name, dirs_exist_ok=True)
            gone = index_manifest.write_gone(root, shard.engine.gone)
            shards.append({**shard.described(root), "gone": gone})
        fresh = self._shard_of_fresh(root, "flat").described(root) if self._fresh.ids else None
        manifest = {
            "dim": self.dim,
            "option": self.option,
            "shard_size": self.shard_size,
            "similarity": self.similarity,
            "settings": self._settings,
            "shards": shards,
            "fresh": fresh,
            "about": dict(about or {}),
        }
        index_manifest.write(root, manifest, after=after)
        if own:
            self.generation += 1
            self.about = dict(about or {})

    @classmethod
    def load(cls, folder: Path, *, device: Device = "auto", check: bool = False) -> Self:
        """Return the newest generation that `save` wrote.

        Args:
            folder: of the index.
            device: where searches run.
            check: read every file and compare it with its hash; otherwise only sizes are.

        Raises:
            ModelFileError: a file is missing or damaged.
            QueryShapeError: the device "gpu" where there is none.
        """
        while True:
            before = index_manifest.generation(folder)
            try:
                return cls._opened(folder, device, check)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                # A writer that saved in between has removed what only the old manifest named.
                if before != index_manifest.generation(folder):
                    continue
                raise ModelFileError(
                    f"the index {folder} cannot be read ({error}); build it again"
                ) from error

    @classmethod
    def _opened(cls, folder: Path, device: Device, check: bool) -> Self:
        manifest = index_manifest.read(folder)
        index = cls.__new__(cls)
        index.folder, index.device, index.dim = folder, device, manifest["dim"]
        index.option, index.shard_size = manifest["option"], manifest["shard_size"]
        index.similarity, index.about = manifest["similarity"], dict(manifest["about"])
        index.generation, index._settings = manifest["generation"], dict(manifest["settings"])
        index._fresh = _Fresh(dim=index.dim, device=device)
        index._shards = []
        for entry in manifest["shards"]:
            gone = index_manifest.read_gone(folder, entry["gone"])
            shard = Shard.read(folder, entry, dim=index.dim, gone=gone, device=device)
            index._shards.append(shard)
        opened = list(index._shards)
        if manifest["fresh"]:
            fresh = Shard.read(folder, manifest["fresh"], dim=index.dim, gone=(), device=device)
            opened.append(fresh)
            index._fresh.add(list(fresh.ids), fresh.engine.take(fresh.living()))
        for shard in opened if check else ():
            shard.check(folder)
        return index

    def _engines(self) -> Iterator[tuple[int, Engine]]:
        """Yield the number and the engine of each shard, and of the fresh part."""
        yield from ((at, shard.engine) for at, shard in enumerate(self._shards))
        yield FRESH, self._fresh.engine

    def _labels(self, ids: Sequence[str]) -> IntArray:
        """Return shard and row of each id in one number, −1 for an unknown one."""
        found = np.array([self._fresh.numbers.get(id, -1) for id in ids], np.int64)
        found[found >= 0] |= FRESH << ROW_BITS
        hashes = hashes_of(ids)
        for at, shard in enumerate(self._shards):
            rows = shard.ids.rows(ids, hashes)
            for place in np.flatnonzero(rows >= 0).tolist():
                if int(rows[place]) not in shard.engine.gone:
                    found[place] = int(rows[place]) | at << ROW_BITS
        return found

    def _name(self, label: int) -> str:
        at, row = label >> ROW_BITS, label & ROWS
        return self._fresh.ids[row] if at == FRESH else self._shards[at].ids[row]

    def _living(self) -> Iterator[str]:
        for shard in self._shards:
            yield from (shard.ids[row] for row in shard.living().tolist())
        yield from self._fresh.numbers

    def _kind_of(self, count: int) -> Kind:
        """Return the kind of a shard of so many vectors."""
        if self.option == "auto":
            return "flat" if count <= FLAT_LIMIT else "ivf-sq8"
        return "flat" if self.option == "ivf-sq8" and count <= LEAST_TRAINED else self.option

    def _shard_of_fresh(self, root: Path, kind: Kind) -> Shard:
        numbers = np.fromiter(self._fresh.ids, np.int64, len(self._fresh.ids))
        return self._written(root, kind, self._fresh.engine, numbers, list(self._fresh.numbers))

    def _rewritten(self, shard: Shard) -> list[Shard]:
        """Return a shard without what is gone from it, or nothing."""
        rows = shard.living()
        if not len(rows):
            return []
        ids = [shard.ids[row] for row in rows.tolist()]
        kind = self._kind_of(len(rows))
        return [self._written(self.folder, kind, shard.engine, rows, ids)]

    def _written(
        self, root: Path, kind: Kind, engine: Engine, numbers: IntArray, ids: Sequence[str]
    ) -> Shard:
        built = Engine.built(
            kind,
            np.arange(len(numbers)),
            lambda rows: engine.take(numbers[rows]),
            dim=self.dim,
            numbered=False,
            setting=self._settings.get(kind, 0),
        )
        return Shard.write(root, built, ids, device=self.device)


class _Fresh:
    """The newest vectors, in memory and exact, under numbers that grow."""

    def __init__(self, *, dim: int, device: Device) -> None:
        self.engine = Engine(dim=dim, kind="flat", device=device)
        self.numbers: dict[str, int] = {}
        self.ids: dict[int, str] = {}
        self._next = 0

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        numbers = np.arange(self._next, self._next + len(ids))
        self.engine.add(numbers, vectors)
        self.numbers.update(zip(ids, numbers.tolist(), strict=True))
        self.ids.update(zip(numbers.tolist(), ids, strict=True))
        self._next += len(ids)

    def remove(self, numbers: Sequence[int]) -> None:
        self.engine.remove(numbers)
        for number in numbers:
            del self.numbers[self.ids.pop(number)]
