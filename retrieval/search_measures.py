"""How good a ranked list of entities is, when the judgements are graded and few.

| measure | says |
|---|---|
| NDCG@k | Σ_{i ≤ k} gain_i / log₂(i + 1), over the same sum of the best possible order |
| recall@k | share of the relevant entities (gain > 0) among the first k |
| judged@k | share of the first k that anybody judged |

**Not judged is not irrelevant.** An unjudged entity counts as gain 0, so a system unlike those
whose answers were judged looks worse than it is. Judged@k says how far a figure can be trusted.

Source: Järvelin and Kekäläinen, ACM TOIS 2002; linear gain as in the DBpedia-Entity collection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

__all__ = ["judged", "ndcg", "recall"]


def ndcg(ranked: Sequence[str], gains: Mapping[str, int], *, k: int) -> float:
    """Return the normalised discounted cumulative gain of the first `k`; 0 if nothing is relevant.

    >>> round(ndcg(["a", "x", "b"], {"a": 1, "b": 2}, k=10), 4)
    0.7602
    """
    discounts = 1 / np.log2(np.arange(k) + 2)
    ideal = np.sort([gain for gain in gains.values() if gain > 0])[::-1][:k]
    if not len(ideal):
        return 0.0
    own = np.array([max(gains.get(id, 0), 0) for id in ranked[:k]], float)
    return float(own @ discounts[: len(own)]) / float(ideal @ discounts[: len(ideal)])


def recall(ranked: Sequence[str], gains: Mapping[str, int], *, k: int) -> float:
    """Return the share of the relevant entities that the first `k` hold; 0 if there are none."""
    relevant = {id for id, gain in gains.items() if gain > 0}
    return len(relevant.intersection(ranked[:k])) / len(relevant) if relevant else 0.0


def judged(ranked: Sequence[str], gains: Mapping[str, int], *, k: int) -> float:
    """Return the share of the first `k` that were judged at all, relevant or not.

    >>> judged(["a", "x"], {"a": 0}, k=10)
    0.5
    """
    first = ranked[:k]
    return sum(id in gains for id in first) / len(first) if first else 0.0
