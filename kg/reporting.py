"""How a command ends when something went wrong: one or two lines on stderr and an exit code.

| code | meaning | raised by |
|---|---|---|
| 0 | done | |
| 1 | some inputs failed, or the work could not be done | other `KgError`s, `OSError` of a file |
| 2 | usage: not there, or not allowed | `NotFound`, `QueryRefused`, `SchemaError` |
| 3 | budget reached | an error whose class says `exit_code = 3` |
| 4 | the store cannot be reached or is busy | `StoreUnreachable`, `StoreBusy` |

The commands of all three packages use it. An error class of another package is reported when it
derives from `KgError` (`class HarvestError(KgError)`, `class RetrievalError(KgError)`: imports run
kg ← retrieval ← harvest, so this file need not know them) or carries an `exit_code`. Anything else
is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ContextDecorator, contextmanager
from typing import Any, Final, cast, overload

import typer

from kg.errors import (
    KgError,
    NotFound,
    QueryRefused,
    SchemaError,
    StoreBusy,
    StoreUnreachable,
)

__all__ = ["exit_code", "report_errors"]

FAILED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 4


def exit_code(error: BaseException) -> int | None:
    """Return the exit code for an error that a command may report, None for a bug.

    >>> exit_code(NotFound("no run r1")), exit_code(StoreBusy("locked")), exit_code(KgError("x"))
    (2, 4, 1)
    >>> exit_code(KeyError("a bug")) is None
    True
    """
    declared = getattr(type(error), "exit_code", None)
    if isinstance(declared, int):
        return declared
    if isinstance(error, StoreUnreachable | StoreBusy):
        return UNREACHABLE
    if isinstance(error, NotFound | QueryRefused | SchemaError):
        return USAGE
    if isinstance(error, KgError):
        return FAILED
    # A missing folder or a full disk is the user's to mend; a closed pipe (`| head`) is Typer's.
    if isinstance(error, OSError) and error.filename and not isinstance(error, BrokenPipeError):
        return FAILED
    return None


@overload
def report_errors[F: Callable[..., Any]](function: F) -> F: ...
@overload
def report_errors() -> _Reporter: ...
def report_errors(function: Callable[..., Any] | None = None) -> Any:
    """Turn known errors into one or two lines on stderr and an exit code.

    It serves as a decorator (`@report_errors`, below `@app.command()`) and as a context manager
    (`with report_errors():`).

    Raises:
        typer.Exit: with the code of the table above, in place of a known error.

    >>> @report_errors
    ... def show(name: str) -> None:
    ...     raise NotFound(f"no entity {name!r}")
    >>> try:
    ...     show("Curie")
    ... except typer.Exit as end:
    ...     end.exit_code
    2
    """
    reporter = cast(_Reporter, _report())
    return reporter if function is None else reporter(function)


class _Reporter(ContextDecorator, AbstractContextManager[None]):
    """What `contextmanager` returns, for the type checker."""


@contextmanager
def _report() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        code = exit_code(error)
        if code is None:  # a bug: nobody may hide it
            raise
        typer.secho(f"error: {_two_lines(error)}", fg=typer.colors.RED, err=True)
        raise typer.Exit(code) from error


def _two_lines(error: BaseException) -> str:
    """Return the message on at most two lines, without control characters from data."""
    if isinstance(error, OSError) and not isinstance(error, KgError) and error.strerror:
        return f"{error.filename}: {error.strerror}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    lines = [lines[0], " ".join(lines[1:])] if len(lines) > 1 else lines or [type(error).__name__]
    return "\n".join("".join(c if c.isprintable() else " " for c in line) for line in lines)
