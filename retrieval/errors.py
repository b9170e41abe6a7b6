"""The errors of `retrieval`, as one tree.

```
RetrievalError           anything this package raises on purpose
├── UnknownName          a name or id that the graph does not hold; carries near matches
│   ├── UnknownEntity
│   └── UnknownRelation
├── AmbiguousEntity      a name that several entities carry; carries the candidates
├── QueryShapeError      neither or both ends of a link were given, a k below 1, an empty query
├── NothingToPredict     a graph, relation or type limit that leaves no link to predict
├── NotTrained           the graph has no trained model yet
├── ModelFileError       files of a model or index that are missing, damaged or of another version
├── DataFormatError      a data folder or one of its lines is not what the format promises
└── NonFiniteScores      a model produced NaN or infinity; ranks would be meaningless
```

Every message says which value was found, why it is refused and what to do about it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

from kg.errors import KgError

__all__ = [
    "AmbiguousEntity",
    "DataFormatError",
    "ModelFileError",
    "NonFiniteScores",
    "NotTrained",
    "NothingToPredict",
    "QueryShapeError",
    "RetrievalError",
    "UnknownEntity",
    "UnknownName",
    "UnknownRelation",
]


#: difflib's ratio from which a name is near, and how much worse than the best one it may be.
CUTOFF: Final = 0.6
SLACK: Final = 0.15

#: Exit code of a command whose arguments are at fault (table in `kg.reporting`).
USAGE: Final = 2


class RetrievalError(KgError):
    """Root of every error that `retrieval` raises on purpose; commands end with `exit_code`."""

    exit_code: int = 1


class UnknownName(RetrievalError):
    """A name that the graph does not hold; `near` lists what was perhaps meant.

    >>> error = UnknownRelation("born", ["born_in", "died_in"], hint="")
    >>> error.near
    ('born_in',)
    >>> print(error)
    unknown relation 'born'; did you mean 'born_in'?
    """

    kind: str = "name"
    exit_code = USAGE

    def __init__(self, name: str, known: Iterable[str], *, hint: str = "") -> None:
        self.name = name
        self.near: tuple[str, ...] = near_matches(name, known)
        message = f"unknown {self.kind} {name!r}"
        if self.near:
            message += f"; did you mean {' or '.join(repr(match) for match in self.near)}?"
        if hint:
            message += ("" if self.near else ";") + f" {hint}"
        super().__init__(message)


class UnknownEntity(UnknownName):
    """No entity of the graph has this id, name or alias."""

    kind = "entity"


class UnknownRelation(UnknownName):
    """No triple of the graph has this relation."""

    kind = "relation"


class AmbiguousEntity(RetrievalError):
    """Several entities carry the name; `candidates` are (id, name, types) of each."""

    exit_code = USAGE

    def __init__(self, name: str, candidates: Sequence[tuple[str, str, tuple[str, ...]]]) -> None:
        self.name = name
        self.candidates = tuple(candidates)
        shown = ", ".join(
            f"{id} ({', '.join(types) or 'no type'}: {own})" for id, own, types in candidates[:8]
        )
        more = "" if len(candidates) <= 8 else f" and {len(candidates) - 8} more"
        super().__init__(
            f"{name!r} names {len(candidates)} entities: {shown}{more}; give the id of one"
        )


class QueryShapeError(RetrievalError):
    """The question itself is malformed; the message says what to give instead."""

    exit_code = USAGE


class NothingToPredict(RetrievalError):
    """The graph, the relation or a limit leaves no link that could be predicted."""

    exit_code = USAGE


class NotTrained(RetrievalError):
    """The graph has no trained model yet."""

    exit_code = USAGE


class ModelFileError(RetrievalError):
    """A file of a model or an index is missing, damaged or of another version."""


class DataFormatError(RetrievalError):
    """A data folder or one of its lines is not what the format promises."""


class NonFiniteScores(RetrievalError):
    """A model produced NaN or infinity, by which nothing can be ranked."""


def near_matches(name: str, known: Iterable[str], *, limit: int = 3) -> tuple[str, ...]:
    """Return up to `limit` known names that look like `name`, best first.

    Case is ignored; a known name that contains the asked one (or lies in it) counts as near.

    >>> near_matches("marie curi", ["Marie Curie", "Pierre Curie", "Warsaw"], limit=1)
    ('Marie Curie',)
    >>> near_matches("zzz", ["Warsaw"])
    ()
    """
    asked = name.casefold().strip()
    originals: dict[str, str] = {}
    for candidate in known:
        originals.setdefault(candidate.casefold(), candidate)
    close = difflib.get_close_matches(asked, originals, n=limit, cutoff=CUTOFF)
    if close:  # beside a very good guess the middling ones only confuse
        enough = difflib.SequenceMatcher(None, close[0], asked).ratio() - SLACK
        ratios = ((key, difflib.SequenceMatcher(None, key, asked).ratio()) for key in close)
        close = [key for key, ratio in ratios if ratio >= enough]
    if len(close) < limit and len(asked) >= 3:
        inside = (
            key for key in sorted(originals) if asked in key or (len(key) > 3 and key in asked)
        )
        close += [key for key in inside if key not in close]
    return tuple(originals[key] for key in close[:limit])
