"""What a projection was derived from, kept beside it: enough to bring it up to date, and an index.

```
postings    one row per piece of evidence, sorted: triple (16) · entity that is its head (16) ·
            key of the evidence and whether it supports the triple (8)
counts      naming → in how many mentions
moved       raw entity → entity, where they differ (merges, untyped names)
relations   the relation map, as JSON
```

The postings also answer at once which evidence states a triple and at which node it hangs, for
which an engine without indexes on relationships would look at every edge.
"""

from __future__ import annotations

import json
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["ROW", "Basis", "Posting", "posting", "posting_row"]

#: Bytes of one row of the postings.
ROW: Final = 40


class Posting(NamedTuple):
    """One piece of evidence for a triple."""

    triple: bytes
    head: bytes
    key: int
    supports: bool


def posting_row(place: bytes, key: int, supports: bool) -> bytes:
    """Return the row of one piece of evidence.

    Args:
        place: 16 bytes of the triple's id, then 16 of its head's.
        key: of the evidence.
        supports: whether it supports the triple, or only states it.
    """
    return place + (key << 1 | supports).to_bytes(8, "little")


@dataclass(frozen=True)
class Basis:
    """What a projection was derived from, see the module."""

    counts: Mapping[int, int]
    moved: Mapping[str, str]
    relations: str
    #: Sorted rows of `ROW` bytes.
    postings: bytes

    def __len__(self) -> int:
        return len(self.postings) // ROW

    def of(self, triple: bytes) -> list[Posting]:
        """Return the evidence that states a triple, by the 16 bytes of its id."""
        found = []
        # The first row of a triple is the first that is not smaller than its id alone.
        place = bisect_left(_Rows(self.postings, 16), triple)
        for start in range(place * ROW, len(self.postings), ROW):
            row = self.postings[start : start + ROW]
            if row[:16] != triple:
                break
            found.append(posting(row))
        return found

    def keys(self) -> list[int]:
        """Return the keys of all evidence, in the order of the postings."""
        numbers = array("Q", memoryview(self.postings).cast("Q")[4::5].tolist())
        if sys.byteorder == "big":
            numbers.byteswap()
        return [number >> 1 for number in numbers]

    def at(self, places: Iterable[int]) -> list[bytes]:
        """Return the rows at these places."""
        return [self.postings[place * ROW : (place + 1) * ROW] for place in places]

    def exchanged(self, *, without: Iterable[bytes], plus: Iterable[bytes]) -> bytes:
        """Return the postings without some rows, which are there, and with others.

        Only the places of the change are looked up; what lies between them is copied whole.
        """
        rows = _Rows(self.postings, ROW)
        cuts = [(bisect_left(rows, row), 1, b"") for row in without]
        cuts += [(bisect_left(rows, row), 0, row) for row in plus]
        pieces: list[bytes] = []
        start = 0
        # At one place what is new comes first; it sorts before the row that stands there.
        for place, drop, row in sorted(cuts, key=lambda cut: (cut[0], cut[1], cut[2])):
            pieces += (self.postings[start * ROW : place * ROW], row)
            start = place + drop
        pieces.append(self.postings[start * ROW :])
        return b"".join(pieces)

    def save(self, path: Path) -> None:
        """Write all of it into one file."""
        counts = array("q", [number for pair in self.counts.items() for number in pair])
        header = {"moved": dict(self.moved), "relations": self.relations, "counts": len(counts)}
        with path.open("wb") as file:
            file.write(json.dumps(header).encode() + b"\n")
            file.write(counts.tobytes())
            file.write(self.postings)

    @classmethod
    def load(cls, path: Path) -> Basis:
        """Read what `save` wrote; the caller has checked its checksum."""
        with path.open("rb") as file:
            header = json.loads(file.readline())
            counts = array("q")
            counts.frombytes(file.read(header["counts"] * counts.itemsize))
            pairs = dict(zip(counts[::2], counts[1::2], strict=True))
            return cls(pairs, header["moved"], header["relations"], file.read())


class _Rows(Sequence[bytes]):
    """The beginnings of the rows, for a binary search."""

    def __init__(self, postings: bytes, width: int) -> None:
        self.postings = postings
        self.width = width

    def __len__(self) -> int:
        return len(self.postings) // ROW

    def __getitem__(self, place: int) -> bytes:  # type: ignore[override]
        return self.postings[place * ROW : place * ROW + self.width]


def posting(row: bytes) -> Posting:
    """Return what a row says."""
    number = int.from_bytes(row[32:], "little")
    return Posting(row[:16], row[16:32], number >> 1, bool(number & 1))
