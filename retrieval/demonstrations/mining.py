"""Which candidates are scored, and which of the scored ones a training step sees.

Round 0 takes the candidates by words: for classification those whose *input* is like the query's,
for generation those whose *output* is like it. Later rounds take the nearest ones of the encoder as
it is trained so far, so that its own mistakes are scored. A query is never its own candidate, by
id, by text and by the sentence that it was made of: excluding "the first hit" would drop a stranger
where two texts are alike.

Source: Li et al., "Unified demonstration retriever for in-context learning", ACL 2023, section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.demonstrations.encoded_text import demo_text, query_text
from retrieval.demonstrations.feedback import Scored
from retrieval.demonstrations.leakage import SameSource
from retrieval.demonstrations.lexical import LexicalIndex
from retrieval.demonstrations.task import Demo, Task
from retrieval.errors import QueryShapeError

if TYPE_CHECKING:
    from retrieval.encoders.trainable import TrainableEncoder
    from retrieval.triple_data import IntArray

__all__ = ["lexical_candidates", "nearest_candidates", "sampled"]

#: How many of the best and of the worst count as such when a step's candidates are drawn.
EDGE: Final = 5
#: Queries that are searched at once.
BLOCK: Final = 256


def lexical_candidates(task: Task, queries: Sequence[Demo], *, k: int) -> dict[str, list[str]]:
    """Return for each query, by id, the ids of its `k` best candidates by BM25.

    >>> pool = [Demo("1", "a dull film", "bad"), Demo("2", "dull", "bad"), Demo("3", "sun", "good")]
    >>> task = Task("mr", "Sentiment:", pool, labels=("good", "bad"))
    >>> lexical_candidates(task, [task.demos[0]], k=1)
    {'1': ['2']}
    """
    texts = [demo.input if task.is_classification else demo.output for demo in task.demos]
    asked = [demo.input if task.is_classification else demo.output for demo in queries]
    index = LexicalIndex()
    index.add(list(range(len(texts))), texts)
    barred = _Barred(task, queries)
    depth = k + barred.most
    found = [keys.tolist() for keys, _ in index.search_many(asked, k=depth)]
    return barred.cut(found, k)


def nearest_candidates(
    encoder: TrainableEncoder, task: Task, queries: Sequence[Demo], *, k: int
) -> dict[str, list[str]]:
    """Return for each query, by id, the ids of its `k` nearest candidates, best first."""
    pool = encoder.encode([demo_text(task.instruction, demo) for demo in task.demos])
    asked = encoder.encode([query_text(task.instruction, query.input) for query in queries])
    barred = _Barred(task, queries)
    depth = min(k + barred.most, len(pool))
    found: list[list[int]] = []
    for start in range(0, len(asked), BLOCK):
        scores = asked[start : start + BLOCK] @ pool.T
        found += np.argsort(-scores, axis=1, kind="stable")[:, :depth].tolist()
    return barred.cut(found, k)


def sampled(
    scored: Scored, count: int, generator: np.random.Generator, *, top: int = 1
) -> IntArray:
    """Return places of candidates for one step, best first by the feedback.

    `top` of the best five and one of the worst five, the rest from the middle; where the middle is
    too small, from what is left.

    Args:
        scored: the query's candidates.
        count: how many, 2 or more; all if there are no more.
        generator: draws.
        top: how many of the best five (2 for semantic parsing).
    """
    if count < top + 1:
        raise QueryShapeError(
            f"{count} candidates cannot hold {top} of the best and one of the worst"
        )
    order = scored.order
    if len(order) <= count:
        return order
    edge = min(EDGE, len(order) // 2)
    places = np.arange(len(order))
    best = generator.choice(places[:edge], min(top, edge), replace=False)
    worst = generator.choice(places[-edge:], 1)
    middle = places[edge:-edge]
    wanted = count - len(best) - 1
    if len(middle) < wanted:
        left = np.setdiff1d(places, np.concatenate([best, worst, middle]))
        middle = np.concatenate([middle, generator.choice(left, wanted - len(middle), False)])
    rest = generator.choice(middle, wanted, replace=False)
    chosen: IntArray = order[np.sort(np.concatenate([best, worst, rest]))]
    return chosen


class _Barred:
    """What each query must not get: its own id, and every demonstration of its text or sentence."""

    def __init__(self, task: Task, queries: Sequence[Demo]) -> None:
        self.pool = task.demos
        self.queries = queries
        source = SameSource(task.demos)
        self._same = [source.places(query) for query in queries]
        #: Most demonstrations that any query must be denied.
        self.most = max(map(len, self._same), default=0) + 1

    def cut(self, found: Sequence[Sequence[int]], k: int) -> dict[str, list[str]]:
        """Return ids of the first `k` that are allowed."""
        answer = {}
        for query, same, places in zip(self.queries, self._same, found, strict=True):
            kept = [self.pool[at].id for at in places if at not in same]
            answer[query.id] = [id for id in kept if id != query.id][:k]
        return answer
