"""Scores of a language model, kept on disk so that none is computed twice.

A key is a hash of all that a score depends on: the model's weights, the token ids of the prompt
(template, demonstrations and query, as the model reads them) and those of the answer. So scores are
shared between tasks, iterations of mining and runs, and a run that was killed goes on where it was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final, Self

from retrieval.errors import ModelFileError

__all__ = ["ScoreStore", "score_key"]

#: Keys asked for at a time; SQLite allows 32,766 parameters.
ASKED: Final = 500
#: Seconds to wait for another process that writes.
PATIENCE: Final = 60.0


def score_key(model: str, prompt: Sequence[int], answer: Sequence[int]) -> bytes:
    """Return the key of a score, 16 bytes.

    >>> score_key("m", [1, 2], [3]) == score_key("m", [1], [2, 3])
    False
    """
    digest = blake2b(digest_size=16)
    digest.update(f"{model}|{','.join(map(str, prompt))}|{','.join(map(str, answer))}".encode())
    return digest.digest()


class ScoreStore:
    """Key → score, in one SQLite file; several processes may use it at once.

    Args:
        path: the file; made if it does not exist.

    Raises:
        ModelFileError: the file is not such a store.

    >>> with ScoreStore(":memory:") as store:
    ...     store.put([(b"k", -0.5)])
    ...     store.get([b"k", b"other"]), len(store)
    ({b'k': -0.5}, 1)
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self._database = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        try:
            # Written ahead and synced at checkpoints: a kill loses at most the last batch.
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS score (key BLOB PRIMARY KEY, value REAL NOT NULL) "
                "WITHOUT ROWID"
            )
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise ModelFileError(
                f"{path} is no store of scores ({error}): give another file"
            ) from error

    def __len__(self) -> int:
        count: int = self._database.execute("SELECT count(*) FROM score").fetchone()[0]
        return count

    def get(self, keys: Sequence[bytes]) -> dict[bytes, float]:
        """Return the scores that are known."""
        found: dict[bytes, float] = {}
        for start in range(0, len(keys), ASKED):
            asked = keys[start : start + ASKED]
            marks = ",".join("?" * len(asked))
            query = f"SELECT key, value FROM score WHERE key IN ({marks})"  # noqa: S608 (marks only)
            found.update(self._database.execute(query, asked))
        return found

    def put(self, scores: Iterable[tuple[bytes, float]]) -> None:
        """Keep scores, all of them or none."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.executemany("INSERT OR REPLACE INTO score VALUES (?, ?)", scores)
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
