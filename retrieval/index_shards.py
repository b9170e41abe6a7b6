"""One immutable part of an index on disk: vectors and ids in a folder that bears its hash.

A shard never changes once its folder has its name, so any number of processes may read it while
another writes the next one. The name is a hash of the contents: two writers cannot write different
shards of one name, and `check` finds damage. What was removed from a shard since is written beside
it by whoever owns the shard, not into it.

The vectors stay in the file and are mapped, as are the ids: an open shard takes a few pages of
memory, and the operating system keeps those that are used often.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b, file_digest
from pathlib import Path
from shutil import rmtree
from typing import Any, Final, Self

from retrieval.id_table import FILES, IdTable
from retrieval.index_devices import Device
from retrieval.index_engines import Engine
from retrieval.triple_data import IntArray

__all__ = ["PREFIX", "UNFINISHED", "Shard"]

#: How the names of shards begin, and those that are being written.
PREFIX: Final = "shard-"
UNFINISHED: Final = "new-"


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """Vectors of the rows 0..n − 1, and their ids."""

    #: Name of its folder.
    name: str
    engine: Engine
    ids: IdTable

    @classmethod
    def write(cls, root: Path, engine: Engine, ids: Sequence[str], *, device: Device) -> Self:
        """Write an engine with rows counted from 0 and the ids of the rows; return it, mapped.

        Nothing of it is seen under its name before it is whole.
        """
        new = root / f"{UNFINISHED}{os.getpid()}"
        rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        try:
            engine.write(new / "vectors.faiss")
            IdTable.write(new, ids)
            name = PREFIX + _digest(new)
            if not (root / name).is_dir():
                new.rename(root / name)
        finally:
            rmtree(new, ignore_errors=True)
        entry = {"name": name, "kind": engine.kind, "setting": engine.setting}
        return cls.read(root, entry, dim=engine.dim, gone=(), device=device)

    @classmethod
    def read(
        cls,
        root: Path,
        entry: dict[str, Any],
        *,
        dim: int,
        gone: Sequence[int],
        device: Device,
    ) -> Self:
        """Open the shard that `entry` describes.

        Args:
            root: folder of the shard's folder.
            entry: what `described` returned.
            dim: length of a vector.
            gone: rows that were removed.
            device: where searches run.

        Raises:
            FileNotFoundError: a file is not there.
            ValueError: the shard is damaged or of another dimension.
        """
        folder = root / str(entry["name"])
        # Reading past the end of a mapped file kills the process, so sizes are checked before.
        for name, size in entry.get("sizes", {}).items():
            if (folder / name).stat().st_size != size:
                raise ValueError(f"{folder / name} is not {size} bytes long")
        engine = Engine.read(
            folder / "vectors.faiss",
            dim=dim,
            kind=entry["kind"],
            numbered=False,
            setting=int(entry["setting"]),
            gone=gone,
            device=device,
            mapped=True,
        )
        return cls(str(entry["name"]), engine, IdTable(folder))

    def described(self, root: Path) -> dict[str, Any]:
        """Return what `read` needs to open it."""
        folder = root / self.name
        return {
            "name": self.name,
            "kind": self.engine.kind,
            "setting": self.engine.setting,
            "sizes": {name: (folder / name).stat().st_size for name in ("vectors.faiss", *FILES)},
        }

    def check(self, root: Path) -> None:
        """Read all of it and compare it with its name.

        Raises:
            ValueError: it is damaged.
        """
        if PREFIX + _digest(root / self.name) != self.name:
            raise ValueError(f"{root / self.name} does not hold what its name says")

    def living(self) -> IntArray:
        """Return the rows that are not removed."""
        return self.engine.numbers()


def _digest(folder: Path) -> str:
    whole = blake2b(digest_size=16)
    for name in ("vectors.faiss", *FILES):
        with (folder / name).open("rb") as file:
            whole.update(file_digest(file, lambda: blake2b(digest_size=16)).digest())
    return whole.hexdigest()
