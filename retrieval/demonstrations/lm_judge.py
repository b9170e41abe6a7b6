"""A language model asked with each row's demonstrations, as the judge of an evaluation.

Its answer is the label with the highest mean log-probability of its tokens. Read it beside the vote
of the same demonstrations: a model that stays below has copied labels and added errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.demonstrations.datasets import TaskData
from retrieval.demonstrations.measures import interval, vote_is_right
from retrieval.demonstrations.task import Demo
from retrieval.demonstrations.template import Order, arranged

if TYPE_CHECKING:
    from retrieval.demonstrations.evaluation import Judge
    from retrieval.demonstrations.scorer import LMScorer

__all__ = ["lm_judge"]


def lm_judge(scorer: LMScorer, *, order: Order = "ascending") -> Judge:
    """Return a judge that adds `lm_accuracy`, its interval, and where it is right against the vote.

    Args:
        scorer: the language model and its template.
        order: of demonstrations in the prompt; "ascending" puts the best next to the query.
    """

    def judge(data: TaskData, hits: Sequence[Sequence[Demo]]) -> Mapping[str, Any]:
        prompts = [
            (query.input, arranged(found, order))
            for query, found in zip(data.test, hits, strict=True)
        ]
        means = scorer.label_log_probs(prompts, data.task.labels)
        said = [data.task.labels[at] for at in np.argmax(means, axis=1).tolist()]
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
