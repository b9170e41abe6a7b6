"""A task's table: retrievers and their floors and ceilings, measured without a language model.

Every row holds the figures of `measures` for the test as it is, the same with demonstrations of the
query's own text left out (`without_repeated`), a bootstrap interval of the vote, and the paired
difference of its vote to that of BM25. A judge, such as a language model that is asked with the
same demonstrations, adds its own figures to each row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from retrieval.demonstrations import baselines
from retrieval.demonstrations.datasets import TaskData
from retrieval.demonstrations.leakage import of_one_sentence, repeated
from retrieval.demonstrations.measures import (
    answer_is_right,
    average_precision,
    figures,
    gold_beside,
    interval,
    is_reversed,
    macro_f1,
    paired_bootstrap,
    r_precision_at,
    vote_is_right,
)
from retrieval.demonstrations.retriever import DemonstrationRetriever
from retrieval.demonstrations.task import Demo
from retrieval.errors import QueryShapeError
from retrieval.ranking import FloatArray

__all__ = ["Judge", "evaluate", "hits_of", "sampled"]

type Hits = Sequence[Sequence[Demo]]
#: Gets the task, its queries as test, and the demonstrations of each; returns further figures.
type Judge = Callable[[TaskData, Hits], Mapping[str, Any]]

#: Queries whose scores for the whole pool are held at a time.
TILE: Final = 256


def evaluate(
    data: TaskData,
    retrievers: Mapping[str, DemonstrationRetriever],
    *,
    k: int = 8,
    seeds: Sequence[int] = (0, 1, 2),
    judge: Judge | None = None,
    classifier: bool = True,
    whole_ranking: bool = True,
) -> dict[str, Any]:
    """Return the table of one task.

    Args:
        data: pool and queries.
        retrievers: by name; one that does not hold the task's pool yet is given it.
        k: demonstrations per query.
        seeds: of the random rows, whose figures are means over them.
        judge: adds figures to each row that has demonstrations.
        classifier: whether to fit the plain classifier (needs scikit-learn).
        whole_ranking: whether to rank whole pools, for MAP and RP@k.

    Raises:
        QueryShapeError: the task is not a classification, or has no queries.
    """
    if not data.task.is_classification or not data.test:
        raise QueryShapeError(
            f"the task {data.task.name!r} has {len(data.task.labels)} labels and {len(data.test)} "
            "queries; a table needs both"
        )
    barred = of_one_sentence(data.test, data.task.demos)
    rows: dict[str, Any] = {"majority": _answers(baselines.majority(data), data.test)}
    for name, draw in (
        ("random", baselines.random_hits),
        ("random_balanced", baselines.balanced_hits),
    ):
        drawn = [draw(data, barred, k=k, seed=seed) for seed in seeds]
        rows[name] = _mean([_row(data, hits, k, judge) for hits in drawn])
    found: dict[str, Hits] = {}
    for name, retriever in retrievers.items():
        found[name] = hits_of(retriever, data, k=k)
        rows[name] = _row(data, found[name], k, judge)
        rows[name]["without_repeated"] = figures(
            _without_repeated(retriever, data, found[name], k), data.test, k=k
        )
        if whole_ranking:
            rows[name] |= _whole(retriever, data, k)
    rows["oracle_same_label"] = _row(data, baselines.oracle_hits(data, barred, k=k), k, judge)
    if classifier:
        rows["tfidf_logistic"] = _answers(baselines.classifier(data), data.test)
    if "bm25" in found:
        theirs = vote_is_right(found["bm25"], data.test)
        for name, hits in found.items():
            if name != "bm25":
                ours = vote_is_right(hits, data.test)
                rows[name]["vote_against_bm25"] = paired_bootstrap(ours, theirs)
    return {
        "task": data.task.name,
        "pool": len(data.task.demos),
        "queries": len(data.test),
        "labels": len(data.task.labels),
        "k": k,
        "repeated_in_pool": sum(repeated(data)),
        "seeds": list(seeds),
        "rows": rows,
    }


def hits_of(
    retriever: DemonstrationRetriever, data: TaskData, *, k: int, exclude_text: bool = False
) -> list[list[Demo]]:
    """Return demonstrations for the test's queries, none of a query's own sentence."""
    if data.task.name not in retriever.tasks:
        retriever.add(data.task.demos, task=data.task)
    return retriever.retrieve(
        [query.input for query in data.test],
        task=data.task,
        k=k,
        exclude_ids=of_one_sentence(data.test, data.task.demos),
        exclude_text=exclude_text,
    )


def sampled(data: TaskData, queries: int | None, *, seed: int = 0) -> TaskData:
    """Return the task with at most so many queries, drawn by the seed, in their old order."""
    if queries is None or queries >= len(data.test):
        return data
    drawn = np.random.default_rng(seed).choice(len(data.test), queries, replace=False)
    return replace(data, test=tuple(data.test[at] for at in sorted(drawn.tolist())))


def _row(data: TaskData, hits: Hits, k: int, judge: Judge | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        **figures(hits, data.test, k=k),
        "vote_interval": interval(vote_is_right(hits, data.test)),
    }
    return row | dict(judge(data, hits)) if judge else row


def _without_repeated(
    retriever: DemonstrationRetriever, data: TaskData, hits: Hits, k: int
) -> Hits:
    """Return the hits as they are without any demonstration of the query's own text."""
    again = [row for row, is_repeated in enumerate(repeated(data)) if is_repeated]
    only = replace(data, test=tuple(data.test[row] for row in again))
    answer = list(hits)
    for row, own in zip(again, hits_of(retriever, only, k=k, exclude_text=True), strict=True):
        answer[row] = own
    return answer


def _whole(retriever: DemonstrationRetriever, data: TaskData, k: int) -> dict[str, float]:
    """Return MAP and RP@k over the whole pool, in the order of the scores."""
    pool = retriever.pool(data.task)
    number = {label: at for at, label in enumerate(data.task.labels)}
    answers = np.array([number[demo.output] for demo in pool])
    precisions: list[FloatArray] = []
    first: list[FloatArray] = []
    for start in range(0, len(data.test), TILE):
        queries = data.test[start : start + TILE]
        scores = retriever.scores([query.input for query in queries], task=data.task)
        right = np.array([[number[query.output]] for query in queries]) == answers
        if right.any():
            precisions.append(average_precision(scores, right))
            first.append(r_precision_at(scores, right, k))
    if not precisions:
        return {"map": 0.0, f"rp_at_{k}": 0.0}
    return {
        "map": round(float(np.concatenate(precisions).mean()), 6),
        f"rp_at_{k}": round(float(np.concatenate(first).mean()), 6),
    }


def _answers(given: Sequence[str], queries: Sequence[Demo]) -> dict[str, Any]:
    """Return the figures of answers that need no demonstrations."""
    right, gold = answer_is_right(given, queries), gold_beside(given, queries)
    return {
        "accuracy": round(float(np.mean(right)), 6),
        "accuracy_interval": interval(right),
        "macro_f1": round(macro_f1(given, gold), 6),
        "direction_errors": sum(map(is_reversed, given, gold)),
    }


def _mean(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the means of figures over seeds, and the vote of each."""
    means = {
        name: round(float(np.mean([row[name] for row in rows])), 6)
        for name, value in rows[0].items()
        if isinstance(value, (int, float))
    }
    return means | {"votes": [row["vote"] for row in rows]}
