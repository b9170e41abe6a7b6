"""String ids of the rows of an immutable table, both ways, without holding them in memory.

A dictionary of ten million ids takes gigabytes and minutes to read. Here the operating system maps
four files, of which a look-up touches a few pages:

| file | holds |
|---|---|
| `ids.bin` | the ids in order of rows, as UTF-8, one after the other |
| `offsets.npy` | n + 1 places in it: id of row i is `ids[offsets[i]:offsets[i + 1]]` |
| `hashes.npy` | 8-byte hashes of the ids, ascending |
| `rows.npy` | the row of each hash |

Row → id is a slice; id → row is a binary search for its hash, then a comparison of the ids, since
two ids may share a hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from retrieval.triple_data import IntArray

__all__ = ["FILES", "IdTable", "hashes_of"]

type Hashes = npt.NDArray[np.uint64]

#: The files of a table.
FILES: Final = ("ids.bin", "offsets.npy", "hashes.npy", "rows.npy")


class IdTable:
    """The ids of a table's rows, read from the files that `write` wrote.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     IdTable.write(Path(folder), ["Łódź", "Paris"])
    ...     table = IdTable(Path(folder))
    ...     len(table), table[0], table.rows(["Paris", "Rome"]).tolist()
    (2, 'Łódź', [1, -1])
    """

    def __init__(self, folder: Path) -> None:
        self._offsets: IntArray = _mapped(folder / "offsets.npy")
        self._hashes: Hashes = _mapped(folder / "hashes.npy")
        self._rows: IntArray = _mapped(folder / "rows.npy")
        size = int(self._offsets[-1])
        if not len(self._offsets) == len(self._hashes) + 1 == len(self._rows) + 1:
            raise ValueError("the files of ids do not fit each other")
        self._text: Any = b""
        if size:  # an empty file cannot be mapped
            self._text = np.memmap(folder / "ids.bin", np.uint8, "r", shape=(size,))

    @staticmethod
    def write(folder: Path, ids: Sequence[str]) -> None:
        """Write the files into a folder that is there."""
        texts = [_bytes(id) for id in ids]
        offsets = np.zeros(len(texts) + 1, np.int64)
        np.cumsum([len(text) for text in texts], out=offsets[1:])
        hashes = hashes_of(ids)
        order = np.argsort(hashes, kind="stable")
        with (folder / "ids.bin").open("wb") as file:
            file.writelines(texts)
        np.save(folder / "offsets.npy", offsets, allow_pickle=False)
        np.save(folder / "hashes.npy", hashes[order], allow_pickle=False)
        np.save(folder / "rows.npy", order, allow_pickle=False)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> str:
        return bytes(self._text[self._offsets[row] : self._offsets[row + 1]]).decode(
            "utf-8", "surrogatepass"
        )

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))

    def rows(self, ids: Sequence[str], hashes: Hashes | None = None) -> IntArray:
        """Return the row of each id, −1 for an unknown one.

        Args:
            ids: [n].
            hashes: `hashes_of(ids)`, for those who ask several tables.
        """
        asked = hashes_of(ids) if hashes is None else hashes
        found = np.full(len(ids), -1, np.int64)
        if not len(self):
            return found
        first = np.searchsorted(self._hashes, asked)
        near = self._hashes[np.minimum(first, len(self) - 1)]
        for at in np.flatnonzero((first < len(self)) & (near == asked)).tolist():
            place = int(first[at])
            while place < len(self) and self._hashes[place] == asked[at]:
                row = int(self._rows[place])
                if self[row] == ids[at]:
                    found[at] = row
                    break
                place += 1
        return found


def hashes_of(ids: Sequence[str]) -> Hashes:
    """Return the 8-byte hash of each id [n], the same on every machine."""
    digests = b"".join(blake2b(_bytes(id), digest_size=8).digest() for id in ids)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def _bytes(id: str) -> bytes:
    return id.encode("utf-8", "surrogatepass")


def _mapped(path: Path) -> Any:
    return np.load(path, mmap_mode="r", allow_pickle=False)
