"""One name, two types: is it one thing that was typed wrongly once, or two things?

A reader that calls Warsaw a city in one document and an organisation in another leaves two nodes
for one city; but Washington the city and Washington the person are two, and nothing in their names
says so. The decision rests on how often each reading was made and on what else is said of it:

| the rarer reading | merge | keep apart |
|---|---|---|
| its support | little: `LITTLE` mentions, or a tenth of the other's | more |
| what its relations expect (by a schema, or what else stands there) | the other's type | its own |
| its context | a common neighbour, or a common document and a fifth of the mentions | nothing |

The first row and one of those below must speak for the merge, and none against it.
"Same document" follows the observation that a name keeps one sense through a discourse (Gale,
Church and Yarowsky, 1992), which a person named like a place breaks: hence the share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from kg.resolution.entries import Entry, Statements

__all__ = ["is_mistyped", "mistyped_pairs"]

#: Mentions up to which a reading may be a slip, whatever the other one has.
LITTLE: Final = 2
#: Share of the other reading's mentions up to which it may be one.
SMALL: Final = 0.1
#: ... and for which sharing a document is context enough.
ASIDE: Final = 0.2


def is_mistyped(rare: Entry, common: Entry, statements: Statements) -> bool:
    """Say whether `rare` is `common` under a wrong type; both have one name and another root."""
    if rare.support > common.support:
        return False
    if rare.support > max(LITTLE, SMALL * common.support):
        return False
    expected = statements.expected_roots(rare.id, but={rare.id, common.id})
    if expected[rare.root]:
        return False
    if expected[common.root]:
        return True
    if statements.neighbours(rare.id) & statements.neighbours(common.id):
        return True
    return rare.support <= ASIDE * common.support and statements.share_document(rare, common)


def mistyped_pairs(
    groups: Iterable[list[Entry]], statements: Statements
) -> Iterator[tuple[Entry, Entry]]:
    """Yield (rare, common) for the slips among entries of one name."""
    for group in groups:
        typed = sorted((e for e in group if e.root), key=lambda e: (-e.support, e.id))
        for place, rare in enumerate(typed):
            for common in typed[:place]:
                if common.root != rare.root and is_mistyped(rare, common, statements):
                    yield rare, common
                    break
