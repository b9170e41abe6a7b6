"""The durable record of the embedded store: every written record, in one SQLite file.

Ids are 16-byte blobs and are seen once per record; everything that refers uses small integer
keys. A key of evidence is never given twice, so that a reader can tell by it what it knows already.
Mentions and evidence are found by chunk and id: an id alone is random, and an index of such ids
would have every new row of a large graph change a page of its own. A mention refers to its
`naming`: what it says of the entity, held once however often a text repeats it.

The write-ahead log lets any number of processes read while one writes, and a killed writer leaves
the last whole transaction. `counter` grows with every change of what is derived, which is how a
reader sees that its projection is behind.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from kg.errors import NotFound, StoreBusy, StoreError, StoreForeign, StoreVersion

__all__ = ["FORMAT", "Record", "blob", "hex_id"]

#: Version of the tables below; a higher one in a file was written by a newer library.
FORMAT: Final = 4
#: Marks the file as ours ("shef").
APPLICATION_ID: Final = 0x73686566
#: How long a writer waits for another one, in seconds.
BUSY_SECONDS: Final = 60.0

#: Pages of the log that are written back to the tables at once, 4 KiB each. A page that many
#: transactions touch is then written back once for all of them.
LOG_PAGES: Final = 16_384

TABLES: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE document (
  key INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, uri TEXT NOT NULL, title TEXT NOT NULL,
  media_type TEXT NOT NULL, text TEXT NOT NULL, meta TEXT NOT NULL);
CREATE INDEX document_uri ON document (uri);
CREATE TABLE chunk (
  key INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, document INTEGER NOT NULL,
  start INTEGER NOT NULL, "end" INTEGER NOT NULL);
CREATE INDEX chunk_document ON chunk (document);
CREATE TABLE config (
  key INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, harvester TEXT NOT NULL,
  version TEXT NOT NULL, model TEXT NOT NULL, weights TEXT NOT NULL, prompt TEXT NOT NULL,
  parameters TEXT NOT NULL);
CREATE TABLE run (
  key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, config INTEGER NOT NULL,
  started TEXT NOT NULL, finished TEXT NOT NULL, counts TEXT NOT NULL);
CREATE TABLE raw (key INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE);
CREATE TABLE literal (
  key INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, lexical TEXT NOT NULL,
  datatype TEXT NOT NULL, lang TEXT NOT NULL);
CREATE TABLE naming (
  key INTEGER PRIMARY KEY, raw INTEGER NOT NULL, name TEXT NOT NULL, surface TEXT NOT NULL,
  type TEXT NOT NULL, iri TEXT NOT NULL, description TEXT NOT NULL, props TEXT NOT NULL,
  config INTEGER NOT NULL);
CREATE INDEX naming_raw ON naming (raw);
CREATE TABLE mention (
  key INTEGER PRIMARY KEY, id BLOB NOT NULL, naming INTEGER NOT NULL, chunk INTEGER,
  start INTEGER, "end" INTEGER, config INTEGER NOT NULL);
CREATE UNIQUE INDEX mention_place ON mention (chunk, id);
CREATE TABLE evidence (
  key INTEGER PRIMARY KEY, id BLOB NOT NULL, head INTEGER NOT NULL,
  relation TEXT NOT NULL, tail INTEGER, literal INTEGER, score REAL NOT NULL, chunk INTEGER,
  start INTEGER, "end" INTEGER, head_start INTEGER, head_end INTEGER, tail_start INTEGER,
  tail_end INTEGER, negated INTEGER NOT NULL, hedged INTEGER NOT NULL, time TEXT NOT NULL,
  source INTEGER NOT NULL, config INTEGER NOT NULL);
CREATE UNIQUE INDEX evidence_place ON evidence (chunk, id);
CREATE TABLE mention_run (
  mention INTEGER, run INTEGER, PRIMARY KEY (mention, run)) WITHOUT ROWID;
CREATE INDEX mention_run_run ON mention_run (run);
CREATE TABLE evidence_run (
  evidence INTEGER, run INTEGER, PRIMARY KEY (evidence, run)) WITHOUT ROWID;
CREATE INDEX evidence_run_run ON evidence_run (run);
CREATE TABLE task (
  chunk INTEGER, config INTEGER, run INTEGER, PRIMARY KEY (chunk, config, run)) WITHOUT ROWID;
CREATE INDEX task_run ON task (run);
CREATE TABLE lease (
  chunk BLOB, config BLOB, owner TEXT NOT NULL, expires REAL NOT NULL,
  PRIMARY KEY (chunk, config)) WITHOUT ROWID;
CREATE TABLE merge (
  id BLOB, kept TEXT NOT NULL, dropped TEXT NOT NULL, layer TEXT NOT NULL, score REAL NOT NULL,
  run INTEGER, PRIMARY KEY (id, run)) WITHOUT ROWID;
CREATE TABLE relation_name (
  phrase TEXT, relation TEXT, swapped INTEGER, symmetric INTEGER, layer TEXT NOT NULL,
  score REAL NOT NULL, run INTEGER,
  PRIMARY KEY (phrase, relation, swapped, symmetric, run)) WITHOUT ROWID;
CREATE TABLE prediction (
  id BLOB, head TEXT NOT NULL, relation TEXT NOT NULL, tail TEXT NOT NULL, score REAL NOT NULL,
  rank INTEGER NOT NULL, weights TEXT NOT NULL, trained_on INTEGER NOT NULL, run INTEGER,
  PRIMARY KEY (id, run)) WITHOUT ROWID;
"""


def blob(id: str) -> bytes:
    """Return the 16 bytes of an id.

    Raises:
        NotFound: if the text is not an id.
    """
    kind, _, digits = id.partition("_")
    try:
        value = bytes.fromhex(digits)
    except ValueError:
        value = b""
    if len(kind) != 1 or len(value) != 16:
        raise NotFound(f"{id!r} is not an id: ids look like e_f8ff17a17c5e126fbf904372f3051a9c")
    return value


def hex_id(kind: str, value: bytes) -> str:
    """Return the id of 16 bytes."""
    return f"{kind}_{value.hex()}"


class Record:
    """An open SQLite record: tables, transactions and the change counter."""

    def __init__(self, path: Path | None, *, create: bool = True) -> None:
        self.path = path
        self.read_only = False
        self._db = self._connect(path, create)
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _connect(self, path: Path | None, create: bool) -> sqlite3.Connection:
        if path is None:
            return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        mode = "rwc" if create else "rw"
        if path.exists() and not os.access(path, os.W_OK):
            self.read_only = True
            # A write-ahead log that is there is read with it. Without one, SQLite would have to
            # make its index beside the file; nobody is writing, so the file may count as fixed.
            mode = "ro" if _log_of(path).exists() else "ro&immutable=1"
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        try:
            db = sqlite3.connect(
                uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False
            )
            db.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.DatabaseError as error:
            raise self._foreign(error) from None
        return db

    def _foreign(self, error: object) -> StoreForeign:
        return StoreForeign(
            f"{self.path} cannot be opened as a graph's record ({error}): "
            "give the folder of a graph, or a new path"
        )

    def _prepare(self) -> None:
        try:
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            application = self._db.execute("PRAGMA application_id").fetchone()[0]
            tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if tables and application != APPLICATION_ID:
                raise self._foreign("it is another program's SQLite file")
            if tables and version != FORMAT:
                way_out = (
                    "upgrade sheaf"
                    if version > FORMAT
                    else "harvest the documents into a new graph"
                )
                raise StoreVersion(
                    f"{self.path} has format {version}, and this version of sheaf reads format "
                    f"{FORMAT}: {way_out}"
                )
            if self.path is not None and not self.read_only:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = NORMAL")
                self._db.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
            self._db.execute("PRAGMA temp_store = MEMORY")
            self._db.execute("PRAGMA cache_size = -65536")
            if not tables:
                self._create()
        except sqlite3.OperationalError as error:
            raise _translated(error, self.path) from None

    def _create(self) -> None:
        with self.transaction():
            # Another process may have been faster.
            if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return
            for statement in TABLES.split(";\n"):
                if statement.strip():
                    self._db.execute(statement)
            self._db.execute("INSERT INTO meta VALUES ('counter', 0)")
            self._db.execute("INSERT INTO meta VALUES ('evidence', 0)")
            self._db.execute("INSERT INTO meta VALUES ('store', lower(hex(randomblob(16))))")
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {FORMAT}")

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        self._db.close()

    @property
    def counter(self) -> int:
        """The change counter."""
        return int(self.one("SELECT value FROM meta WHERE name = 'counter'")[0])

    def bump(self) -> None:
        """Say that what is derived may have changed. Inside a transaction."""
        self._db.execute("UPDATE meta SET value = value + 1 WHERE name = 'counter'")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the one write lock: all of the block is written, or nothing.

        Raises:
            StoreBusy: if another process holds the lock for longer than the busy timeout.
        """
        with self._translating():
            self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._translating():
                self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # the first error is the one to show
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one consistent state, whatever others write meanwhile."""
        with self._translating():
            self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("ROLLBACK")

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _translated(error, self.path) from None

    def execute(self, sql: str, parameters: Iterable[Any] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        with self._translating():
            return self._db.execute(sql, tuple(parameters))

    def many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> int:
        """Run one statement for each row and return the number of changed rows."""
        with self._translating():
            return self._db.executemany(sql, rows).rowcount

    def one(self, sql: str, parameters: Iterable[Any] = ()) -> tuple[Any, ...]:
        """Return the first row; there must be one."""
        row = self.execute(sql, parameters).fetchone()
        if row is None:
            raise StoreError(f"{self.path or 'memory://'} has no row for: {sql}")
        return tuple(row)

    def keys(self, table: str, ids: Iterable[str]) -> dict[str, int]:
        """Return id → key for those ids that the table holds.

        Raises:
            NotFound: if one of them is not an id at all.
        """
        wanted = {blob(id): id for id in ids}
        found: dict[str, int] = {}
        # In the order of the index, so that neighbours share its pages.
        ordered = sorted(wanted)
        for start in range(0, len(ordered), 500):
            part = ordered[start : start + 500]
            marks = ",".join("?" * len(part))
            sql = f"SELECT id, key FROM {table} WHERE id IN ({marks})"
            found.update((wanted[id], key) for id, key in self.execute(sql, part))
        return found

    def insert(self, table: str, columns: str, rows: list[tuple[Any, ...]]) -> list[int]:
        """Insert rows that are known to be new and return their keys."""
        first = self.one(f"SELECT coalesce(max(key), 0) + 1 FROM {table}")[0]
        if table == "evidence":
            used = self.one("SELECT value + 1 FROM meta WHERE name = 'evidence'")[0]
            first = max(first, used)
        marks = ",".join("?" * (len(columns.split(",")) + 1))
        self.many(
            f"INSERT INTO {table} (key, {columns}) VALUES ({marks})",
            [(key, *row) for key, row in enumerate(rows, first)],
        )
        return list(range(first, first + len(rows)))

    def retire_evidence_keys(self) -> None:
        """Say that evidence will be removed: no key that it had is given again."""
        self._db.execute(
            "UPDATE meta SET value = max(value, (SELECT coalesce(max(key), 0) FROM evidence)) "
            "WHERE name = 'evidence'"
        )


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _translated(error: sqlite3.Error, path: Path | None) -> StoreError:
    where = path or "memory://"
    text = str(error)
    if "locked" in text or "busy" in text:
        return StoreBusy(
            f"{where} is held by another writer for more than {BUSY_SECONDS:.0f} s: "
            "wait for it to end, or stop it"
        )
    if "readonly" in text:
        return StoreError(f"{where} is read-only: change its permissions, or copy the graph")
    if "malformed" in text or "not a database" in text:
        return StoreError(f"{where} is damaged ({text}): restore it from a copy, or harvest again")
    if "full" in text:
        return StoreError(f"{where} cannot grow ({text}): free disk space and run again")
    return StoreError(f"{where}: {text}")
