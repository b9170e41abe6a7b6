"""A language model asked with each row's demonstrations, as the judge of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from retrieval.demonstrations.datasets import TaskData
from retrieval.demonstrations.lm_evaluation import answers, task_scorer
from retrieval.demonstrations.measures import (
    answer_is_right,
    interval,
    paired_bootstrap,
    vote_is_right,
)
from retrieval.demonstrations.task import Demo

if TYPE_CHECKING:
    from retrieval.causal_lm import CausalLM
    from retrieval.demonstrations.evaluation import Judge

__all__ = ["lm_judge"]


def lm_judge(lm: CausalLM) -> Judge:
    """Return a judge that adds `lm_accuracy`, its interval, and its difference to the vote.

    A model that stays below the vote has copied labels and added errors.
    """

    def judge(data: TaskData, hits: Sequence[Sequence[Demo]]) -> Mapping[str, Any]:
        said = answers(task_scorer(lm, data.task.name), data, hits)
        right = answer_is_right(said, data.test)
        return {
            "lm_accuracy": round(float(right.mean()), 6),
            "lm_interval": interval(right),
            "lm_minus_vote": paired_bootstrap(right, vote_is_right(hits, data.test)),
        }

    return judge
