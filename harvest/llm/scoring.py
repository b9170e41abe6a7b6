"""How sure a model is of a statement: its own probability of the words, or a stated constant.

With log-probabilities, score = exp(mean log p) over the tokens of head, relation and tail: the
geometric mean, so that long names are not punished for being long. Without, every statement of a
model has the same score, `UNCALIBRATED`. Neither is the share of such statements that are true;
only a calibration on judged statements would give that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from harvest.llm.completion import Completion
from harvest.llm.rows import Row

__all__ = ["HIGHEST", "UNCALIBRATED", "score_rows"]

#: Score of a statement when the endpoint gives no log-probabilities.
UNCALIBRATED: Final = 0.7
#: No statement of a model is certain: models are surest where they have learned by heart.
HIGHEST: Final = 0.95


def score_rows(completion: Completion, rows: Sequence[Row]) -> list[float]:
    """Return a score for each statement of an answer, in (0, `HIGHEST`].

    >>> row = Row("A met B.", "A", "met", "B")
    >>> score_rows(Completion("…"), [row])
    [0.7]
    """
    if not completion.logprobs:
        return [UNCALIBRATED] * len(rows)
    text = "".join(token for token, _ in completion.logprobs)
    ends = list(accumulate(len(token) for token, _ in completion.logprobs))
    scores = []
    at = 0
    for row in rows:
        places = _places(text, row, at)
        if places is None:
            scores.append(UNCALIBRATED)
            continue
        at = max(end for _, end in places)
        inside = [
            logprob
            for end, (token, logprob) in zip(ends, completion.logprobs, strict=True)
            if any(end - len(token) < last and first < end for first, last in places)
        ]
        score = math.exp(sum(inside) / len(inside))
        scores.append(round(min(HIGHEST, max(score, 1e-4)), 4))
    return scores


def _places(text: str, row: Row, at: int) -> list[tuple[int, int]] | None:
    """Return where the answer spells head, relation and tail of a statement, behind its quote."""
    start = text.find(_spelled(row.quote), at)
    if start < 0:
        return None
    start += len(_spelled(row.quote))
    places = []
    for value in (row.head, row.relation, row.tail):
        spelled = f'"{_spelled(value)}"'
        found = text.find(spelled, start)
        if found < 0:
            return None
        places.append((found + 1, found + len(spelled) - 1))
    return places


def _spelled(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]
