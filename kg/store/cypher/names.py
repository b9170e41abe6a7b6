"""What statements are made of: names that are checked, rows that are written and accounted for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from kg.errors import StoreError

__all__ = ["Put", "name", "page"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Put:
    """A statement that writes `$rows`, lists that begin with an id.

    `match` finds what each row refers to, `write` writes it, and the answer is the number of rows
    that were written, because `UNWIND` with `MATCH` drops the others without a word.
    """

    match: LiteralString
    write: LiteralString

    @property
    def statement(self) -> LiteralString:
        """Return the whole statement; its answer is the number of rows that were written."""
        return f"{self.match} {self.write} RETURN count(*)"

    @property
    def matched(self) -> LiteralString:
        """Return a statement that only lists the ids of the rows whose ends are there."""
        return f"{self.match} RETURN collect(r[0])"


def page(puts: Sequence[Put], *, placed: bool = False) -> LiteralString:
    """Return one statement for several, with `$rows0`, `$rows1`, … and one list of answers.

    Args:
        puts: the statements.
        placed: answer with where node `n` of each row is, in place of how many rows there were.
    """
    answer = "collect([r[0], elementId(n)])" if placed else "count(*)"
    blocks = [
        f"CALL {{ {put.match.replace('$rows', f'$rows{at}', 1)} {put.write} "
        f"RETURN {answer} AS a{at} }}"
        for at, put in enumerate(puts)
    ]
    answers = ", ".join(f"a{at}" for at in range(len(puts)))
    return f"{' '.join(blocks)} RETURN [{answers}]"


def name(text: str) -> LiteralString:
    r"""Return a label or relationship type that may stand in a statement.

    Raises:
        StoreError: if it is anything but an ASCII word; `kg.ids` makes only such.

    >>> name("BORN_IN")
    '`BORN_IN`'
    >>> name("X`) DELETE (n")
    Traceback (most recent call last):
    kg.errors.StoreError: 'X`) DELETE (n' cannot be a label or relationship type: ...
    """
    if not _NAME.fullmatch(text):
        raise StoreError(
            f"{text!r} cannot be a label or relationship type: these are ASCII words, made by "
            "kg.ids.label and kg.ids.relation_type"
        )
    return f"`{text}`"
