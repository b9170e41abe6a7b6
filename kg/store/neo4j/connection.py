"""Connecting to a Neo4j server: address and credentials, sessions, retries, errors as ours."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, LiteralString
from urllib.parse import unquote, urlsplit

from kg.errors import KgError, QueryError, StoreBusy, StoreError, StoreUnreachable
from kg.store.neo4j.work import Work

try:
    import neo4j
    from neo4j import exceptions as failures
except ModuleNotFoundError as error:
    raise StoreUnreachable(
        "a Neo4j address needs the neo4j driver, which is not installed: pip install 'sheaf[neo4j]'"
    ) from error

__all__ = ["Address", "Connection"]

#: How long to wait for a server to answer at all, in seconds.
CONNECT_SECONDS: Final = 15.0
#: How long the driver repeats a transaction that failed for a passing reason, in seconds.
RETRY_SECONDS: Final = 60.0
#: How long one writing transaction may take, waiting for other writers included, in seconds.
WRITE_SECONDS: Final = 1800.0

_SET_VARIABLES: Final = "set NEO4J_USERNAME and NEO4J_PASSWORD"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is and how to come in."""

    #: Without user and password, so that it may be shown.
    uri: str
    user: str
    password: str
    #: "" for the server's default database.
    database: str

    @classmethod
    def parse(cls, uri: str) -> Address:
        """Return the address; what the URI does not say comes from the environment.

        `NEO4J_USERNAME` (or `NEO4J_USER`, default `neo4j`), `NEO4J_PASSWORD` and
        `NEO4J_DATABASE`. The environment is the better place for a password: a command line can
        be read by every user of the machine. The database may also stand in the path.

        Raises:
            StoreUnreachable: if the URI names no host or a port that is no number.

        >>> Address.parse("neo4j://me:se%40cret@db.example:7687/papers")
        Address(uri='neo4j://db.example:7687', user='me', password='se@cret', database='papers')
        """
        try:
            parts = urlsplit(uri)
            port = parts.port
        except ValueError as error:
            raise StoreUnreachable(
                f"{_without_password(uri)!r} is not a server's address ({error}): "
                "write for example bolt://localhost:7687"
            ) from None
        if not parts.hostname or parts.fragment:
            raise StoreUnreachable(
                f"{_without_password(uri)!r} names no server: write for example "
                "bolt://localhost:7687 or neo4j+s://xxxx.databases.neo4j.io"
            )
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        where = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
        if parts.query:  # the routing context of neo4j://
            where += f"?{parts.query}"
        environment = os.environ.get
        user = environment("NEO4J_USERNAME") or environment("NEO4J_USER") or "neo4j"
        return cls(
            where,
            unquote(parts.username) if parts.username else user,
            unquote(parts.password) if parts.password else environment("NEO4J_PASSWORD", ""),
            parts.path.strip("/") or environment("NEO4J_DATABASE", ""),
        )


def version_of(agent: str) -> tuple[int, int]:
    """Return major and minor version of a server; (0, 0) for what is not said to be Neo4j.

    >>> version_of("Neo4j/5.26.20"), version_of("Neo4j/2025.08.0"), version_of("other")
    ((5, 26), (2025, 8), (0, 0))
    """
    found = re.match(r"Neo4j/(\d+)\.(\d+)", agent)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _without_password(uri: str) -> str:
    return re.sub(r"//[^/@]*@", "//", uri)


class Connection:
    """A driver and the way in which transactions are run on it."""

    def __init__(self, address: Address) -> None:
        self.address = address
        try:
            self._driver = neo4j.GraphDatabase.driver(
                address.uri,
                auth=(address.user, address.password),
                connection_timeout=CONNECT_SECONDS,
                connection_acquisition_timeout=2 * CONNECT_SECONDS,
                max_transaction_retry_time=RETRY_SECONDS,
                notifications_min_severity=neo4j.NotificationMinimumSeverity.OFF,
                user_agent="sheaf",
            )
        except (ValueError, failures.ConfigurationError) as error:
            raise StoreUnreachable(
                f"{address.uri} cannot be used as a server's address: {_reason(error)}"
            ) from None
        # Sessions of a cluster see what earlier ones wrote.
        self._bookmarks = neo4j.GraphDatabase.bookmark_manager()
        try:
            # Only a statement shows whether the database exists.
            with self.translated(), self._session(neo4j.READ_ACCESS) as session:
                self.server = str(session.run("RETURN 1").consume().server.agent)
            self.version = version_of(self.server)
        except BaseException:
            self._driver.close()
            raise

    def close(self) -> None:
        """Close all connections; closing twice is allowed."""
        self._driver.close()

    def read[T](self, ask: Callable[[Work], T], *, seconds: float | None = None) -> T:
        """Run `ask` in a reading transaction, again when it failed for a passing reason."""
        work = neo4j.unit_of_work(timeout=seconds)(lambda tx: ask(Work(tx)))
        with self.translated(), self._session(neo4j.READ_ACCESS) as session:
            return session.execute_read(work)

    def write[T](self, act: Callable[[Work], T]) -> tuple[T, int]:
        """Run `act` in a writing transaction; return its result and the number of retries.

        `act` must not keep anything of a failed attempt: it may be called again.
        """
        attempts = 0

        def attempt(tx: neo4j.ManagedTransaction) -> T:
            nonlocal attempts
            attempts += 1
            return act(Work(tx, names_are_values=self.version >= (5, 26)))

        work = neo4j.unit_of_work(timeout=WRITE_SECONDS)(attempt)
        with self.translated(), self._session(neo4j.WRITE_ACCESS) as session:
            result = session.execute_write(work)
        return result, attempts - 1

    def define(self, statement: LiteralString) -> None:
        """Make a constraint or an index, unless somebody else has just done so."""
        with self.translated():
            try:
                with self._session(neo4j.WRITE_ACCESS) as session:
                    session.execute_write(lambda tx: tx.run(statement).consume())
            except failures.Neo4jError as error:
                if "AlreadyExists" not in (error.code or ""):
                    raise

    @contextmanager
    def holding(self, statement: LiteralString, **values: Any) -> Iterator[list[tuple[Any, ...]]]:
        """Run a writing statement and keep what it locks until the block ends."""
        with (
            self.translated(),
            self._session(neo4j.WRITE_ACCESS) as session,
            session.begin_transaction(timeout=WRITE_SECONDS) as tx,
        ):
            yield [tuple(record.values()) for record in tx.run(statement, values)]
            tx.commit()

    @contextmanager
    def reading(self, seconds: float) -> Iterator[neo4j.Transaction]:
        """Hold one reading transaction without retries, ended by the server after `seconds`."""
        with (
            self._session(neo4j.READ_ACCESS) as session,
            session.begin_transaction(timeout=seconds) as tx,
        ):
            yield tx

    def _session(self, access: str) -> neo4j.Session:
        return self._driver.session(
            database=self.address.database or None,
            default_access_mode=access,
            bookmark_manager=self._bookmarks,
        )

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise the driver's errors as ours."""
        try:
            yield
        except KgError:
            raise
        except (failures.DriverError, failures.Neo4jError, OSError) as error:
            raise self._ours(error) from None

    def _ours(self, error: Exception) -> KgError:
        where, code = self.address.uri, getattr(error, "code", "") or ""
        if isinstance(error, failures.AuthError) or ".Security." in code:
            if isinstance(error, failures.Forbidden):
                return StoreError(
                    f"the user {self.address.user!r} may not do this on {where}: {_reason(error)}"
                )
            what = "with this password" if self.address.password else "without a password"
            return StoreUnreachable(
                f"{where} does not let the user {self.address.user!r} in {what}: {_SET_VARIABLES}"
            )
        if "DatabaseNotFound" in code:
            return StoreUnreachable(
                f"{where} has no database {self.address.database!r}: set NEO4J_DATABASE to one "
                "that exists, or unset it for the default one"
            )
        if "TransactionTimedOut" in code or "LockAcquisitionTimeout" in code:
            return StoreBusy(f"{where} was held by another writer for too long: try again later")
        if isinstance(
            error,
            failures.ServiceUnavailable
            | failures.SessionExpired
            | failures.ConnectionAcquisitionTimeoutError
            | failures.UnsupportedServerProduct
            | OSError,
        ):
            return StoreUnreachable(
                f"no Neo4j server answers at {where} ({_reason(error)}): start it, or correct "
                "the address (NEO4J_URI)"
            )
        if isinstance(error, failures.TransientError):
            return StoreBusy(f"{where} could not finish: {_reason(error)}; try again")
        if "Statement" in code:
            return QueryError(f"the query cannot be run: {_reason(error)}")
        return StoreError(f"{where}: {_reason(error)}")


def _reason(error: BaseException) -> str:
    """Return the first line of what the server or driver says, within reason."""
    text = getattr(error, "message", None) or str(error)
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    line = lines[0] if lines else type(error).__name__
    return line if len(line) <= 200 else line[:200] + "…"
