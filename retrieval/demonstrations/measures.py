r"""How good demonstrations are without asking a language model, and whether a difference is real.

| figure | meaning |
|---|---|
| match@k | share of the first k demonstrations that have the query's gold answer |
| any@k | share of queries with at least one such demonstration |
| vote | accuracy of the most frequent answer among them; ties go to the better ranked |
| vote if any@k | the same, of the queries that have such a demonstration |
| macro-F1 | of the vote: mean over the labels that occur in gold or vote |
| direction errors | votes for the right relation with SUBJ and OBJ exchanged |
| MAP | mean over queries of the mean precision at each relevant rank, over the whole pool |
| RP@k | relevant ones among the first k, divided by min(k, relevant ones) |

Read them in this order: much of what in-context learning gains is label copying, and the vote of
the same demonstrations says how much. A vote below a plain classifier on the same pool is worth
nothing. Queries without anything relevant are left out of MAP and RP@k.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from retrieval.bootstrap import bounds, resampled_means
from retrieval.demonstrations.task import Demo
from retrieval.errors import QueryShapeError
from retrieval.ranking import FloatArray

__all__ = [
    "answer_is_right",
    "average_precision",
    "figures",
    "gold_beside",
    "interval",
    "is_reversed",
    "macro_f1",
    "paired_bootstrap",
    "r_precision_at",
    "vote_is_right",
    "votes",
]

#: Resamples of a bootstrap.
RESAMPLES: Final = 2000


def figures(
    hits: Sequence[Sequence[Demo]], queries: Sequence[Demo], *, k: int = 8
) -> dict[str, float]:
    """Return the figures of the first part of the table.

    Args:
        hits: demonstrations of each query, best first.
        queries: their outputs are the gold answers, any of which counts.
        k: hits looked at.

    Raises:
        QueryShapeError: not as many lists of hits as queries, or none.

    >>> good, bad = Demo("1", "", "great"), Demo("2", "", "terrible")
    >>> answer = figures([[good, bad, bad]], [Demo("q", "", "great")])
    >>> [answer[name] for name in ("match_at_1", "match_at_8", "any_at_8", "vote")]
    [1.0, 0.333333, 1.0, 0.0]
    """
    if len(hits) != len(queries) or not queries:
        raise QueryShapeError(f"{len(hits)} lists of hits for {len(queries)} queries")
    hits = [found[:k] for found in hits]
    right = [
        [query.accepts(hit.output) for hit in found]
        for found, query in zip(hits, queries, strict=True)
    ]
    voted = votes(hits)
    correct = answer_is_right(voted, queries)
    gold = gold_beside(voted, queries)
    anywhere = np.array([any(row) for row in right])
    return {
        "match_at_1": _mean([bool(row and row[0]) for row in right]),
        f"match_at_{k}": _mean([np.mean(row) if row else 0.0 for row in right]),
        f"any_at_{k}": _mean(anywhere),
        "vote": _mean(correct),
        f"vote_if_any_at_{k}": _mean(correct[anywhere]) if anywhere.any() else 0.0,
        "macro_f1": round(macro_f1(voted, gold), 6),
        "direction_errors": sum(
            vote is not None and is_reversed(vote, answer)
            for vote, answer in zip(voted, gold, strict=True)
        ),
    }


def vote_is_right(hits: Sequence[Sequence[Demo]], queries: Sequence[Demo]) -> npt.NDArray[np.bool_]:
    """Return for each query whether the vote of its demonstrations is right [queries].

    >>> vote_is_right([[Demo("1", "", "a")], []], [Demo("q", "", "a"), Demo("p", "", "a")]).tolist()
    [True, False]
    """
    return answer_is_right(votes(hits), queries)


def answer_is_right(given: Sequence[str | None], queries: Sequence[Demo]) -> npt.NDArray[np.bool_]:
    """Return for each query whether the answer given is right [queries]; None never is.

    >>> answer_is_right(["a", None], [Demo("q", "", "a"), Demo("p", "", "a")]).tolist()
    [True, False]
    """
    pairs = zip(given, queries, strict=True)
    return np.array([answer is not None and query.accepts(answer) for answer, query in pairs], bool)


def gold_beside(given: Sequence[str | None], queries: Sequence[Demo]) -> list[str]:
    """Return the right answer of each query: the one given, if it is any of several right ones.

    >>> gold_beside(["b", "c"], [Demo("q", "", "a", other_outputs=("b",)), Demo("p", "", "a")])
    ['b', 'a']
    """
    return [
        answer if answer is not None and query.accepts(answer) else query.output
        for answer, query in zip(given, queries, strict=True)
    ]


def votes(hits: Sequence[Sequence[Demo]]) -> list[str | None]:
    """Return the most frequent answer of each list, the better ranked of equal ones.

    >>> votes([[Demo("1", "", "a"), Demo("2", "", "b")], []])
    ['a', None]
    """
    # Counter keeps the order of first occurrence among equals.
    counted = (Counter(hit.output for hit in found).most_common(1) for found in hits)
    return [first[0][0] if first else None for first in counted]


def macro_f1(predicted: Sequence[str | None], gold: Sequence[str]) -> float:
    """Return the mean F1 over all labels that are predicted or gold; no prediction is a miss.

    >>> round(macro_f1(["a", "a", "b", None], ["a", "b", "b", "b"]), 4)
    0.5833
    """
    said, are = Counter(predicted), Counter(gold)
    right = Counter(own for one, own in zip(predicted, gold, strict=True) if one == own)
    labels = {label for label in (*said, *are) if label is not None}
    scores = [2 * right[label] / (said[label] + are[label]) for label in labels]
    return float(np.mean(scores)) if scores else 0.0


def is_reversed(predicted: str, gold: str) -> bool:
    """Say whether a relation's label is the gold one with its ends exchanged.

    >>> is_reversed("OBJ causes SUBJ", "SUBJ causes OBJ"), is_reversed("dull", "dull")
    (True, False)
    """
    swapped = re.sub(
        r"\b(SUBJ|OBJ)\b", lambda end: "OBJ" if end[0] == "SUBJ" else "SUBJ", predicted
    )
    return swapped != predicted and swapped == gold


def average_precision(scores: npt.ArrayLike, relevant: npt.ArrayLike) -> FloatArray:
    """Return the average precision of each query that has anything relevant [≤ queries].

    Args:
        scores: [queries, pool]; ties count in the order of the pool.
        relevant: [queries, pool] booleans.

    >>> average_precision([[3, 2, 1, 0]], [[True, False, True, False]]).round(4).tolist()
    [0.8333]
    """
    ranked = _ranked(scores, relevant)
    found = np.cumsum(ranked, axis=1)
    precision = found / np.arange(1, ranked.shape[1] + 1)
    return np.asarray((precision * ranked).sum(axis=1) / found[:, -1])


def r_precision_at(scores: npt.ArrayLike, relevant: npt.ArrayLike, k: int) -> FloatArray:
    """Return RP@k of each query that has anything relevant [≤ queries].

    >>> r_precision_at([[3, 2, 1, 0]], [[True, False, True, False]], 10).tolist()
    [1.0]
    """
    ranked = _ranked(scores, relevant)
    possible = np.minimum(k, ranked.sum(axis=1))
    return np.asarray(ranked[:, :k].sum(axis=1) / possible)


def interval(values: npt.ArrayLike, *, seed: int = 0) -> dict[str, float]:
    """Return the mean of values [n] and its 95 % bootstrap interval.

    >>> interval([1.0, 1.0, 1.0])
    {'mean': 1.0, 'low': 1.0, 'high': 1.0}
    """
    low, high = bounds(resampled_means(values, resamples=RESAMPLES, seed=seed))
    return {"mean": _mean(values), "low": low, "high": high}


def paired_bootstrap(
    ours: npt.ArrayLike, theirs: npt.ArrayLike, *, seed: int = 0
) -> dict[str, Any]:
    """Return the mean difference of values [n] of the same queries, its interval and p.

    p is two-sided: twice the share of resamples on the other side of zero, at most 1, and never
    below what this many resamples can tell.

    Raises:
        QueryShapeError: not the same number of values.

    >>> paired_bootstrap([1, 1, 1, 1], [0, 0, 0, 0])
    {'difference': 1.0, 'low': 1.0, 'high': 1.0, 'p': 0.001, 'queries': 4}
    """
    first, second = np.asarray(ours, float), np.asarray(theirs, float)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise QueryShapeError(
            f"{first.shape} against {second.shape}; a paired test needs one value of both for each "
            "query"
        )
    means = resampled_means(first - second, resamples=RESAMPLES, seed=seed)
    low, high = bounds(means)
    p = 2 * min((means <= 0).mean(), (means >= 0).mean())
    return {
        "difference": _mean(first - second),
        "low": low,
        "high": high,
        "p": round(float(min(1.0, max(p, 2 / RESAMPLES))), 4),
        "queries": len(first),
    }


def _ranked(scores: npt.ArrayLike, relevant: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return relevance in the order of scores, of the queries that have any."""
    right = np.asarray(relevant, bool)
    some = right.any(axis=1)
    order = np.argsort(-np.asarray(scores, float)[some], axis=1, kind="stable")
    return np.take_along_axis(right[some], order, axis=1)


def _mean(values: npt.ArrayLike) -> float:
    return round(float(np.asarray(values, float).mean()), 6)
