"""What of a demonstration is searched: its input, its explanation, or both.

Queries have no explanation, so "explanation" compares what is asked with why others were answered
as they were. Whether that helps is a question to the data (`retrieval.explanation_roles`); on
natural text it mostly does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from retrieval.demonstrations.task import Demo
from retrieval.errors import QueryShapeError

__all__ = ["Searched", "as_searched"]

type Searched = Literal["input", "explanation", "both"]


def as_searched(demos: Iterable[Demo], searched: Searched) -> list[Demo]:
    """Return demonstrations whose input is the text that is searched.

    Raises:
        QueryShapeError: an explanation is to be searched and one has none, or an unknown choice.

    >>> demo = Demo("1", "SUBJ made of OBJ", "is part of", explanation="the parts come after of")
    >>> as_searched([demo], "both")[0].input
    'SUBJ made of OBJ the parts come after of'
    """
    demos = list(demos)
    if searched == "input":
        return demos
    if searched not in ("explanation", "both"):
        raise QueryShapeError(f"unknown {searched=}; choose input, explanation or both")
    bare = next((demo for demo in demos if not demo.explanation.strip()), None)
    if bare is not None and searched == "explanation":
        raise QueryShapeError(
            f"the demonstration {bare.id!r} has no explanation to be found by; leave it out, or "
            'search "both"'
        )
    return [
        replace(
            demo,
            input=demo.explanation
            if searched == "explanation"
            else f"{demo.input} {demo.explanation}".strip(),
        )
        for demo in demos
    ]
