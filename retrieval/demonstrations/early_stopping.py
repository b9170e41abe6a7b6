"""How good an encoder is on held-out queries of the pools, while it is trained.

| feedback | measure |
|---|---|
| labels | match@8: share of the eight nearest that have the query's answer |
| scored lists | mean of 1/rank that the feedback gives the nearest of the list's candidates |

Held-out queries are asked like any other, but never trained on; they leave themselves out of their
own hits. Where the pool is large, a sample of it stands for it: the measure only compares states of
one encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.demonstrations.encoded_text import demo_text, query_text
from retrieval.demonstrations.feedback import Scored
from retrieval.demonstrations.leakage import SameSource
from retrieval.demonstrations.task import Demo, Task

if TYPE_CHECKING:
    from retrieval.encoders.trainable import TrainableEncoder

__all__ = ["best_rank", "label_match"]

#: Demonstrations of a prompt, as everywhere.
HITS: Final = 8


def label_match(
    encoder: TrainableEncoder, task: Task, queries: Sequence[Demo], pool: Sequence[Demo]
) -> float:
    """Return match@8 of held-out queries, leaving each out of its own hits.

    Args:
        encoder: as it is.
        task: whose instruction stands in front.
        queries: with their answers.
        pool: demonstrations to search, nine or more to be of meaning.
    """
    shown = encoder.encode([demo_text(task.instruction, demo) for demo in pool])
    asked = encoder.encode([query_text(task.instruction, query.input) for query in queries])
    scores = asked @ shown.T
    same = SameSource(pool)
    for row, query in enumerate(queries):
        scores[row, list(same.places(query))] = -np.inf
    nearest = np.argsort(-scores, axis=1, kind="stable")[:, :HITS]
    return float(
        np.mean(
            [
                [query.accepts(pool[at].output) for at in row]
                for query, row in zip(queries, nearest.tolist(), strict=True)
            ]
        )
    )


def best_rank(encoder: TrainableEncoder, task: Task, scored: Sequence[Scored]) -> float:
    """Return the mean of 1/rank, by the feedback, of the candidate that is nearest to the query."""
    asked = encoder.encode([query_text(task.instruction, one.query.input) for one in scored])
    pool = list({demo.id: demo for one in scored for demo in one.candidates}.values())
    place = {demo.id: at for at, demo in enumerate(pool)}
    shown = encoder.encode([demo_text(task.instruction, demo) for demo in pool])
    values = []
    for vector, one in zip(asked, scored, strict=True):
        own = shown[[place[demo.id] for demo in one.candidates]]
        values.append(1.0 / one.ranks[int(np.argmax(own @ vector))])
    return float(np.mean(values))


def mean_of(measures: Sequence[Callable[[], float]]) -> Callable[[], float]:
    """Return the mean over tasks as one measure."""
    return lambda: float(np.mean([measure() for measure in measures]))
