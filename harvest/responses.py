"""The response cache: what a language model answered, so that nothing is paid for twice.

One SQLite file, `responses.sqlite`, in the home folder of a graph (`GraphStore.home`). A response
is saved under the hash of what was asked, as the endpoint sent it, *before* anything reads it. So
a killed process loses nothing that had arrived, and a better parser reads old answers again at no
cost. What went wrong is kept too, with its text. Several processes may share the file.

```
asked ─► body arrives ─► save ─► is it an answer? ─┬─ yes ─► account (tokens, cost)
                                                   └─ no ──► fail (text), asked again next time
```

It is a cache: deleting it loses money, not knowledge.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from kg.errors import StoreError

__all__ = ["FILE", "FailedCall", "Response", "ResponseCache", "response_key"]

#: Name of the file in a graph's home folder.
FILE: Final = "responses.sqlite"
#: Version of the tables below, in SQLite's `user_version`.
FORMAT: Final = 1
#: How long a process waits for another one that writes, in seconds.
BUSY_SECONDS: Final = 60.0

TABLES: Final = """
CREATE TABLE response (
  key BLOB PRIMARY KEY, model TEXT NOT NULL, body TEXT NOT NULL, created TEXT NOT NULL,
  prompt_tokens INTEGER, output_tokens INTEGER, cost REAL) WITHOUT ROWID;
CREATE TABLE failure (
  number INTEGER PRIMARY KEY, key BLOB NOT NULL, model TEXT NOT NULL, reason TEXT NOT NULL,
  text TEXT NOT NULL, created TEXT NOT NULL);
CREATE INDEX failure_key ON failure (key);
"""


@dataclass(frozen=True, slots=True)
class Response:
    """What an endpoint sent for one question."""

    #: The body of the HTTP answer, without the user's key.
    body: str
    #: None until the answer has been read once.
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    #: In US dollars; None when the price is unknown.
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class FailedCall:
    """A call that gave no usable answer, and the text that came instead."""

    key: str
    reason: str
    text: str


def response_key(
    *,
    model: str,
    messages: Sequence[Mapping[str, Any]],
    schema: Mapping[str, Any] | None,
    parameters: Mapping[str, Any],
    sample: int = 0,
) -> str:
    """Return the key of a question: 32 hexadecimal digits.

    Args:
        model: as the endpoint knows it.
        messages: the conversation.
        schema: JSON Schema that the answer shall follow.
        parameters: everything else that can change the answer, such as the temperature.
        sample: number of the sample when one question is asked several times.

    >>> response_key(model="m", messages=[], schema=None, parameters={"temperature": 0})
    'af2b66dcb36ad58dc97e4a09f2577179'
    """
    parts = ["kg1", "r", model, list(messages), schema, dict(parameters), sample]
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    # A lone surrogate (a damaged file name in a title) has no UTF-8, and needs none here.
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class ResponseCache:
    """Raw answers and failures by question; safe with several threads and processes.

    Args:
        path: the file, made when it is missing; None keeps everything in memory.

    Raises:
        StoreError: the file is damaged, of a newer version, or cannot be written.

    >>> cache = ResponseCache(None)
    >>> cache.save("00ff", model="m", body="{}")
    >>> cache.get("00ff").body, cache.get("0000") is None
    ('{}', True)
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(
                path or ":memory:",
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            self._prepare()
        except sqlite3.Error as error:
            raise self._trouble(error) from None

    @classmethod
    def beside(cls, home: Path | None) -> ResponseCache:
        """Return the cache of a graph whose home folder this is; in memory for None."""
        if home is not None:
            home.mkdir(parents=True, exist_ok=True)
        return cls(None if home is None else home / FILE)

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        with self._lock:
            self._db.close()

    def get(self, key: str) -> Response | None:
        """Return the stored answer of a question, None if there is none."""
        sql = "SELECT body, prompt_tokens, output_tokens, cost FROM response WHERE key = ?"
        with self._guarded():
            row = self._db.execute(sql, (bytes.fromhex(key),)).fetchone()
        return None if row is None else Response(*row)

    def save(self, key: str, *, model: str, body: str) -> None:
        """Keep a body before anything reads it; the first one of a key stays."""
        with self._guarded():
            self._db.execute(
                "INSERT OR IGNORE INTO response (key, model, body, created) VALUES (?, ?, ?, ?)",
                (bytes.fromhex(key), model, _text(body), _now()),
            )

    def account(
        self, key: str, *, prompt_tokens: int, output_tokens: int, cost: float | None
    ) -> None:
        """Note what a stored answer took."""
        with self._guarded():
            self._db.execute(
                "UPDATE response SET prompt_tokens = ?, output_tokens = ?, cost = ? WHERE key = ?",
                (prompt_tokens, output_tokens, cost, bytes.fromhex(key)),
            )

    def fail(self, key: str, *, model: str, reason: str, text: str) -> None:
        """Keep the text of a failed call; if it had been saved as an answer, it is none now."""
        with self._guarded():
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM response WHERE key = ?", (bytes.fromhex(key),))
            self._note(key, model, reason, text)
            self._db.execute("COMMIT")

    def note(self, key: str, *, model: str, reason: str, text: str) -> None:
        """Keep the text of an answer that cannot be used; it stays stored and is not asked again.

        Only another parser, model or prompt can make something else of it. Noted once.
        """
        known = "SELECT count(*) FROM failure WHERE key = ? AND reason = ? AND text = ?"
        row = (bytes.fromhex(key), _text(reason), _text(text))
        with self._guarded():
            if not self._db.execute(known, row).fetchone()[0]:
                self._note(key, model, reason, text)

    def _note(self, key: str, model: str, reason: str, text: str) -> None:
        self._db.execute(
            "INSERT INTO failure (key, model, reason, text, created) VALUES (?, ?, ?, ?, ?)",
            (bytes.fromhex(key), model, _text(reason), _text(text), _now()),
        )

    def failures(self) -> Iterator[FailedCall]:
        """Iterate over the failed calls, oldest first."""
        with self._guarded():
            rows = self._db.execute("SELECT key, reason, text FROM failure ORDER BY number")
            found = rows.fetchall()
        for key, reason, text in found:
            yield FailedCall(key.hex(), reason, text)

    def size(self) -> int:
        """Return the number of stored answers."""
        with self._guarded():
            return int(self._db.execute("SELECT count(*) FROM response").fetchone()[0])

    def _prepare(self) -> None:
        execute = self._db.execute
        if self.path is not None:
            execute("PRAGMA journal_mode = WAL")
            # A killed process loses nothing with NORMAL; a power cut may lose the last answers.
            execute("PRAGMA synchronous = NORMAL")
        execute("BEGIN IMMEDIATE")  # two processes may make the file at the same moment
        try:
            version = execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in TABLES.split(";"):
                    execute(statement)
                execute(f"PRAGMA user_version = {FORMAT}")
            elif version != FORMAT:
                raise StoreError(
                    f"{self.path} has format {version}, this version reads {FORMAT}: update sheaf, "
                    "or move the file away (its answers would be paid for again)"
                )
        finally:
            execute("COMMIT")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                if self._db_is_open() and self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise self._trouble(error) from None

    def _db_is_open(self) -> bool:
        try:
            return self._db.total_changes >= 0
        except sqlite3.ProgrammingError:
            return False

    def _trouble(self, error: sqlite3.Error) -> StoreError:
        return StoreError(
            f"the response cache {self.path or 'in memory'} cannot be used ({error}): free the "
            "disk or mend its rights; if the file is damaged, move it away (its answers would be "
            "paid for again)"
        )


def _text(value: str) -> str:
    """Return text that SQLite can hold: lone surrogates become question marks."""
    return value.encode("utf-8", "replace").decode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
