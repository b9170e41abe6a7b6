"""A place on disk for what an export or import must look up or sort and cannot hold in memory.

A file lists triples in one order and their names in another. Joining the two in memory would need
room for the whole graph; here the one half waits in a temporary SQLite file, whose page cache is
the only memory it takes. The file goes away with the block that made it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

__all__ = ["Scratch"]

#: Page cache of the file, in KiB.
CACHE_KIB: Final = 32_768
#: Rows that wait in memory before they are written.
BUFFER: Final = 2_000


class Scratch(AbstractContextManager["Scratch"]):
    """Texts by key: `add` any number under one key, then `get` them or iterate sorted by key.

    Texts under one key come in the order in which they were added.

    >>> with Scratch() as names:
    ...     names.add("e_2", "Warsaw")
    ...     names.add("e_1", "Marie Curie")
    ...     names.get("e_2"), list(names), names.get("e_3")
    ('Warsaw', [('e_1', 'Marie Curie'), ('e_2', 'Warsaw')], None)
    """

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="sheaf-")
        self._db = sqlite3.connect(Path(self._folder.name) / "scratch", isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute("CREATE TABLE row (key TEXT, value TEXT)")
        self._waiting: list[tuple[str, str]] = []
        self._indexed = False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def add(self, key: str, value: str) -> None:
        """Keep a text under a key."""
        self._waiting.append((key, value))
        if len(self._waiting) >= BUFFER:
            self._write()

    def get(self, key: str) -> str | None:
        """Return the first text under a key, None if there is none."""
        self._write()
        if not self._indexed:  # made once, after the bulk: an index that grows row by row is slow
            self._db.execute("CREATE INDEX row_key ON row (key)")
            self._indexed = True
        row = self._db.execute(
            "SELECT value FROM row WHERE key = ? ORDER BY rowid LIMIT 1", (key,)
        ).fetchone()
        return row[0] if row else None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Iterate over keys and texts, sorted by key."""
        self._write()
        # No `yield from`: it would close the cursor of an iteration that an error left, perhaps
        # after the file.
        for row in self._db.execute("SELECT key, value FROM row ORDER BY key, rowid"):
            yield row[0], row[1]

    def keys(self) -> Iterator[str]:
        """Iterate over the different keys, sorted."""
        self._write()
        for (key,) in self._db.execute("SELECT DISTINCT key FROM row ORDER BY key"):
            yield key

    def join[T](self, rows: Iterable[T], key: Callable[[T], str]) -> Iterator[tuple[T, list[str]]]:
        """Iterate over rows, which come sorted by key, each with the texts under its key.

        >>> with Scratch() as quotes:
        ...     quotes.add("b", "one")
        ...     quotes.add("b", "two")
        ...     list(quotes.join("abc", str))
        [('a', []), ('b', ['one', 'two']), ('c', [])]
        """
        pairs = iter(self)
        pair = next(pairs, None)
        for row in rows:
            own, texts = key(row), []
            while pair is not None and pair[0] <= own:
                if pair[0] == own:
                    texts.append(pair[1])
                pair = next(pairs, None)
            yield row, texts

    def _write(self) -> None:
        if self._waiting:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT INTO row VALUES (?, ?)", self._waiting)
            self._db.execute("COMMIT")
            self._waiting.clear()
