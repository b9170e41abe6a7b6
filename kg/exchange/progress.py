"""How an export or import says how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

__all__ = ["Progress", "counted", "quiet"]

#: Rows between two calls.
STEP: Final = 1_000

#: Called with the number of rows that an export or import has done since the last call.
type Progress = Callable[[int], None]


def quiet(rows: int) -> None:
    """Show no progress."""


def counted[T](rows: Iterable[T], progress: Progress) -> Iterator[T]:
    """Iterate over rows and tell `progress` how many went by.

    >>> seen = []
    >>> list(counted("abc", seen.append)), seen
    (['a', 'b', 'c'], [3])
    """
    number = 0
    for row in rows:
        yield row
        number += 1
        if number == STEP:
            progress(number)
            number = 0
    if number:
        progress(number)
