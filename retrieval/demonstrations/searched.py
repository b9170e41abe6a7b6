"""What of a demonstration is searched: its input, its explanation, or both.

Queries have no explanation, so "explanation" compares what is asked with why others were answered
as they were. Whether that helps is a question to the data. On SemEval, with the 203 explained
sentences as the pool and 2,261 queries, the first hit of BM25 has the right relation in .287 by the
input, .313 by the explanation and .321 by both (TF-IDF .277, .325, .345; MiniLM .232, .222, .261):
those explanations name the words to look for. Given to a model as its input, retrieved ones bring
nothing there (`retrieval.explanation_roles`).
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
