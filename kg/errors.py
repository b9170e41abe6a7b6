"""The errors of `kg`, as one tree.

```
KgError                      anything this package raises on purpose
├── RecordError              a record breaks its contract (span, id, score, missing mention)
├── SchemaError              a schema file is wrong; names file, line and key
├── QueryRefused             the read-only guard refused a statement
├── QueryError               the engine could not run an accepted statement
├── LimitReached             a query ran past its limit of rows, bytes or seconds
├── NotFound                 an id, run, document or name that the graph does not hold
├── ExchangeError            a file to import or export is not what it should be
└── StoreError               the store itself
    ├── StoreUnreachable     server down, wrong address, wrong password      (retryable)
    ├── StoreBusy            another writer held the store for too long       (retryable)
    ├── StoreForeign         the place holds something that is not our graph
    └── StoreVersion         written by a newer version of this library
```

Every message says which value was found, why it is refused and what to do about it.
"""

from __future__ import annotations

__all__ = [
    "ExchangeError",
    "KgError",
    "LimitReached",
    "NotFound",
    "QueryError",
    "QueryRefused",
    "RecordError",
    "SchemaError",
    "StoreBusy",
    "StoreError",
    "StoreForeign",
    "StoreUnreachable",
    "StoreVersion",
]


class KgError(Exception):
    """Root of every error that `kg` raises on purpose."""

    retryable: bool = False


class RecordError(KgError):
    """A record breaks its contract: a span is not its quote, a mention is unknown, a score bad."""


class SchemaError(KgError):
    """A schema file is wrong; the message names file, line and key."""


class QueryRefused(KgError):
    """The read-only guard refused a statement; nothing was sent to the engine."""


class QueryError(KgError):
    """The engine could not parse or run an accepted statement."""


class LimitReached(KgError):
    """A query ran past its limit of rows, bytes or seconds."""


class NotFound(KgError):
    """The graph does not hold the id, run, document or name that was asked for."""


class ExchangeError(KgError):
    """A file to import or export is not what its format promises."""


class StoreError(KgError):
    """Something is wrong with the store itself."""


class StoreUnreachable(StoreError):
    """The store cannot be reached: server down, wrong address or wrong password."""

    retryable = True


class StoreBusy(StoreError):
    """Another writer held the store longer than the busy timeout."""

    retryable = True


class StoreForeign(StoreError):
    """The place named by the URI holds something that is not a graph of ours."""


class StoreVersion(StoreError):
    """The graph was written by a newer version of this library than the one that opens it."""
