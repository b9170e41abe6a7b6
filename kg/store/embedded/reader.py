"""A reader: another process that answers users' questions on a snapshot, and can be ended.

The engine runs a question to its end, whatever that takes: measured with Grafeo 0.6.0, one that
asks for too much takes a whole processor and all memory for good, and some statements kill the
process that runs them. A thread cannot be ended, a process can. So limits of time and memory are
kept here by the operating system, and what dies of a question is not the user's program.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Any, Final

from kg.errors import LimitReached, QueryError, StoreError
from kg.store.embedded import reader_process
from kg.store.limits import out_of_time, too_deep, too_long
from kg.store.protocol import Limits

__all__ = ["MEMORY", "Reader", "SnapshotGone"]

#: Memory that questions may take beyond the snapshot's own, in bytes.
MEMORY: Final = 4 * 1024**3
#: Time to open a snapshot, in seconds; a million triples take about two.
OPENING: Final = 300.0


class SnapshotGone(StoreError):
    """The snapshot is no longer there, because a newer one has taken its place."""

    retryable = True


class Reader:
    """A process that holds one snapshot; closed, it is gone.

    Raises:
        SnapshotGone: if the snapshot cannot be opened.
    """

    def __init__(self, snapshot: Path, *, memory: int = MEMORY) -> None:
        self.snapshot = snapshot
        self._memory = memory
        self._answering = False
        program = [sys.executable, "-P", reader_process.__file__, str(snapshot), str(memory)]
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us; we end it
        )
        try:
            for _ in self._messages(OPENING):
                pass
        except (QueryError, LimitReached) as error:
            self.close()
            raise SnapshotGone(f"{snapshot.name} does not open: {error}") from None

    @property
    def alive(self) -> bool:
        """Say whether it can be asked: it runs, and the last answer was taken whole."""
        return not self._answering and self._process.poll() is None

    def ask(
        self, cypher: str, parameters: Mapping[str, Any], limits: Limits
    ) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
        """Return the columns and, one by one, the rows of a statement that the guard has passed.

        A reader whose rows were not all taken is of no more use.

        Raises:
            QueryError: if the engine cannot run it.
            LimitReached: if it takes too much time or memory; the reader is gone then.
        """
        if self._process.stdin is None:
            raise StoreError("the reader has no stdin")
        try:
            data = pickle.dumps(dict(parameters))
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            raise QueryError(f"the parameters cannot be sent: {error}") from None
        question = (cypher, data, limits.seconds, limits.characters)
        pickle.dump(question, self._process.stdin)
        self._process.stdin.flush()
        messages = self._messages(limits.seconds, limits)
        columns: tuple[str, ...] = ()
        for kind, value in messages:
            if kind == "columns":
                columns = tuple(value)
                break
        return columns, (row for _, rows in messages for row in rows)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # a question that nobody reads any more
                    pipe.close()

    def _messages(self, seconds: float, limits: Limits | None = None) -> Iterator[tuple[str, Any]]:
        """Yield what comes until the end of the answer; end the process when time is up."""
        stdout = self._process.stdout
        late = Timer(seconds, self._process.kill)
        late.daemon = True
        late.start()
        self._answering = True
        try:
            while stdout is not None:
                kind, value = pickle.load(stdout)  # noqa: S301 - from our own program
                self._answering = kind in ("columns", "rows")
                if kind == "end":
                    return
                if kind == "error":
                    reason = " ".join(str(value).split())
                    raise QueryError(f"the query cannot be run: {reason}")
                if kind == "deep":
                    raise too_deep()
                if kind == "large" and limits is not None:
                    raise too_long(limits)
                yield kind, value
        except (EOFError, pickle.UnpicklingError, BrokenPipeError):
            in_time = late.is_alive()
            self._process.kill()
            self._process.wait()
            if in_time or limits is None:
                raise self._died() from None
            raise out_of_time(limits) from None
        finally:
            late.cancel()

    def _died(self) -> LimitReached:
        return LimitReached(
            "the engine died of the query: it needs more memory than "
            f"{self._memory / 1024**3:g} GB, or is too complex; ask for less at once"
        )
