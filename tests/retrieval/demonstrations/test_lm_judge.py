"""The judge asks a model with the demonstrations of the row, best next to the query."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.demonstrations.datasets import TaskData
from retrieval.demonstrations.lm_evaluation import task_scorer
from retrieval.demonstrations.lm_judge import lm_judge
from retrieval.demonstrations.task import Demo, Task
from tests.retrieval.demonstrations.toy_lm import toy_lm


def test_it_says_what_the_scorer_finds_likeliest() -> None:
    lm = toy_lm()
    labels = ("good", "bad")
    task = Task("own", "Sentiment:", labels=labels)
    data = TaskData(task, (Demo("q", "dull film", "bad"), Demo("p", "fine film", "good")))
    hits = [[Demo("1", "dull", "bad"), Demo("2", "fine", "good")], []]
    figures = lm_judge(lm)(data, hits)
    means = task_scorer(lm, "own").label_log_probs(
        [("dull film", list(reversed(hits[0]))), ("fine film", [])], labels
    )
    right = [
        labels[at] == query.output for at, query in zip(means.argmax(1), data.test, strict=True)
    ]
    assert figures["lm_accuracy"] == pytest.approx(np.mean(right))
    assert figures["lm_minus_vote"]["queries"] == 2
