"""The program of a reader: it holds one snapshot, answers questions, and can do nothing else.

Started by `kg.store.embedded.reader`, which asks through stdin and reads the answers from stdout.
It imports nothing of ours, so that it starts quickly. Once the snapshot is open, the process gives
up what a question has no need of: opening files and connections, writing to files, and more memory
than it is granted (where the operating system knows such limits). So a statement that slipped
through the guard would find nothing to read, write or call.
"""

from __future__ import annotations

import math
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from grafeo import GrafeoDB, GrafeoError

_MEMORY_IN_USE = Path("/proc/self/statm")
#: Bytes of a message for each character that is allowed, and besides.
_BYTES, _SPARE = 8, 1_000_000
#: Rows sent at a time.
BATCH = 1_000
#: Touches the graph, without looking at its edges, and makes one value of each kind.
_WARM = (
    "OPTIONAL MATCH (n) RETURN n, $given AS g, 0.5 AS f, date() AS d, time() AS t, "
    "datetime() AS dt, localdatetime() AS l, duration('P1D') AS p LIMIT 1"
)


def main() -> None:
    """Answer questions until there are no more."""
    # Whatever else is printed must not get among the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        engine = GrafeoDB.open_read_only(sys.argv[1])
        # What the engine or a value of it loads when it is first used is loaded now.
        pickle.dumps(list(engine.execute_cypher(_WARM, {"given": ["text", 1, None, {"a": 0.5}]})))
    except (GrafeoError, RuntimeError, OSError) as error:
        _send(answers, ("error", str(error)))
        return
    _confine(int(sys.argv[2]))
    _send(answers, ("end", None))
    while True:
        try:
            question = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our parent
        except EOFError:
            return
        cypher, data, seconds, characters = question
        _limit_processor(seconds)
        for message in _answer(engine, cypher, data):
            if not _send(answers, message, most=characters * _BYTES + _SPARE):
                break


def _answer(engine: Any, cypher: str, data: bytes) -> Iterator[tuple[str, Any]]:
    try:
        parameters = pickle.loads(data)  # noqa: S301 - from our parent
    except (ImportError, AttributeError, OSError) as error:
        yield "error", f"a parameter is not a plain value: {error}"
        return
    try:
        result = engine.execute_cypher(cypher, parameters)
        columns = list(result.columns)
        yield "columns", columns
        rows = []
        for row in result:
            rows.append(tuple(row[column] for column in columns))
            if len(rows) == BATCH:
                yield "rows", rows
                rows = []
        yield "rows", rows
    except (GrafeoError, RuntimeError, TypeError, ValueError) as error:
        yield "error", str(error)
        return
    yield "end", None


def _send(answers: BinaryIO, message: tuple[str, Any], *, most: int = _SPARE) -> bool:
    """Send a message; say whether it could be, or another one ended the answer in its place."""
    problem = ""
    try:
        data = pickle.dumps(message)
        problem = "large" if len(data) > most else ""
    except RecursionError:
        problem = "deep"
    answers.write(pickle.dumps((problem, None)) if problem else data)
    answers.flush()
    return not problem


def _confine(memory: int) -> None:
    """Give up files, connections and memory beyond `memory` bytes more than is used now."""
    try:
        import resource
    except ImportError:  # Windows
        return
    try:
        pages = int(_MEMORY_IN_USE.read_text(encoding="ascii").split()[0])
    except OSError:  # not Linux
        pages = None
    lowest_free = os.dup(sys.stdin.fileno())
    os.close(lowest_free)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, lowest_free)
    if pages is not None:
        _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + memory)


def _lower(limit: int, value: int, *, for_good: bool = True) -> None:
    """Lower a limit of this process, or only what holds until it is lowered or raised again."""
    import resource

    hard = resource.getrlimit(limit)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value if for_good else hard))


def _limit_processor(seconds: float) -> None:
    """End this process some time after the question's, should the parent be gone by then."""
    try:
        import resource
    except ImportError:
        return
    spent = resource.getrusage(resource.RUSAGE_SELF)
    allowed = (seconds + 1) * (os.cpu_count() or 1)
    soft = math.ceil(spent.ru_utime + spent.ru_stime + allowed)
    _lower(resource.RLIMIT_CPU, soft, for_good=False)


if __name__ == "__main__":
    main()
