"""A language model asked with each row's demonstrations, as the judge of an evaluation.

Its answer is the label with the highest mean log-probability of its tokens. Read it beside the vote
of the same demonstrations: a model that stays below has copied labels and added errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.demonstrations.datasets import TaskData
from retrieval.demonstrations.lm_evaluation import answers
from retrieval.demonstrations.measures import interval, vote_is_right
from retrieval.demonstrations.task import Demo
from retrieval.demonstrations.template import Order

if TYPE_CHECKING:
    from retrieval.demonstrations.evaluation import Judge
    from retrieval.demonstrations.scorer import LMScorer

__all__ = ["lm_judge"]


def lm_judge(scorer_of: Callable[[str], LMScorer], *, order: Order = "ascending") -> Judge:
    """Return a judge that adds `lm_accuracy`, its interval, and where it is right against the vote.

    Args:
        scorer_of: name of a task → the language model with that task's template.
        order: of demonstrations in the prompt; "ascending" puts the best next to the query.
    """

    def judge(data: TaskData, hits: Sequence[Sequence[Demo]]) -> Mapping[str, Any]:
        said = answers(scorer_of(data.task.name), data, hits, order=order)
        right = np.array(
            [query.accepts(answer) for query, answer in zip(data.test, said, strict=True)]
        )
        return {
            "lm_accuracy": round(float(right.mean()), 6),
            "lm_interval": interval(right),
            "lm_right_where_vote_is_wrong": round(
                float((right & ~vote_is_right(hits, data.test)).mean()), 6
            ),
        }

    return judge
