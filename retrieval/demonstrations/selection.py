r"""Which candidates become the prompt: diverse ones, one of each label, as many as fit.

| rule | choice |
|---|---|
| MMR (Carbonell and Goldstein, 1998) | next: best λ·relevance − (1−λ)·nearness to the chosen |
| DPP (Kulesza and Taskar, 2012; kernel of CEIL, Ye et al., 2023) | next: highest gain of log det |
| label balance | the best of each label in turn |
| token budget | best first, whatever still fits |

CEIL's kernel: K_ij = ρ_i·((z_i·z_j+1)/2)·ρ_j with ρ_i = exp((q_i − max q) / (2s)), where q_i =
(q·z_i+1)/2 and s = 0.1. The greedy maximum is the incremental Cholesky form of Chen et al. (2018):
O(n·k²) instead of a determinant per candidate.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from retrieval.errors import QueryShapeError
from retrieval.ranking import FloatArray

__all__ = ["balanced", "ceil_kernel", "greedy_dpp", "mmr", "within_budget"]

#: λ of MMR: relevance and novelty count alike.
TRADE_OFF: Final = 0.5
#: s of CEIL's kernel (its released value).
SCALE: Final = 0.1
#: Gains of the determinant below this are rounding: the rest adds nothing new.
SINGULAR: Final = 1e-10


def mmr(
    relevance: npt.ArrayLike, similarity: npt.ArrayLike, k: int, *, trade_off: float = TRADE_OFF
) -> list[int]:
    """Return `k` positions by maximal marginal relevance, in the order of choice.

    Args:
        relevance: [n] similarity to the query, in the scale of `similarity`.
        similarity: [n, n] between candidates.
        k: how many.
        trade_off: λ; 1 is plain ranking, 0 looks at novelty alone.

    >>> mmr([0.9, 0.89, 0.5], [[1, 1, 0], [1, 1, 0], [0, 0, 1]], 2)
    [0, 2]
    """
    if not 0 <= trade_off <= 1:
        raise QueryShapeError(f"trade_off is {trade_off}; choose between 0 and 1")
    relevant, alike = np.asarray(relevance, float), np.asarray(similarity, float)
    chosen: list[int] = []
    nearest = np.full(len(relevant), -np.inf)
    free = np.ones(len(relevant), bool)
    for _ in range(min(k, len(relevant))):
        novelty = nearest if chosen else np.zeros(len(relevant))
        worth = trade_off * relevant - (1 - trade_off) * novelty
        at = int(np.argmax(np.where(free, worth, -np.inf)))
        chosen.append(at)
        free[at] = False
        nearest = np.maximum(nearest, alike[at])
    return chosen


def ceil_kernel(
    relevance: npt.ArrayLike, similarity: npt.ArrayLike, *, scale: float = SCALE
) -> FloatArray:
    """Return CEIL's kernel [n, n] from cosines to the query [n] and among candidates [n, n].

    >>> ceil_kernel([1.0, 0.6], [[1.0, 0.0], [0.0, 1.0]]).round(4).tolist()
    [[1.0, 0.1839], [0.1839, 0.1353]]
    """
    halved = (np.asarray(relevance, float) + 1) / 2
    weight = np.exp((halved - halved.max(initial=0)) / (2 * scale))
    kernel: FloatArray = weight[:, None] * ((np.asarray(similarity, float) + 1) / 2) * weight
    return kernel


def greedy_dpp(kernel: npt.ArrayLike, k: int) -> list[int]:
    """Return `k` positions, each the one that raises log det of the chosen sub-matrix most.

    When nothing raises it any more (the kernel's rank is used up), the rest comes in the order of
    the kernel's diagonal, so that a pool of copies still fills the prompt.

    >>> greedy_dpp([[1.0, 0.9, 0.1], [0.9, 1.0, 0.1], [0.1, 0.1, 0.5]], 2)
    [0, 2]
    """
    matrix = np.asarray(kernel, float)
    count = min(k, len(matrix))
    gains = np.diag(matrix).copy()
    factors = np.zeros((count, len(matrix)))
    free = np.ones(len(matrix), bool)
    chosen: list[int] = []
    while len(chosen) < count:
        at = int(np.argmax(np.where(free, gains, -np.inf)))
        if gains[at] < SINGULAR:
            order = np.argsort(-np.diag(matrix), kind="stable").tolist()
            chosen += [place for place in order if free[place]][: count - len(chosen)]
            break
        step = len(chosen)
        past = factors[:step]
        row = (matrix[at] - past[:, at] @ past) / np.sqrt(gains[at])
        factors[step] = row
        gains = gains - row**2
        chosen.append(at)
        free[at] = False
    return chosen


def balanced(labels: Sequence[Hashable], k: int) -> list[int]:
    """Return `k` positions of a ranking so that labels are as even as can be, in order of choice.

    Labels take turns in the order in which they first occur; one that has run out is passed over.

    >>> balanced(["a", "a", "a", "b", "c", "b"], 4)
    [0, 3, 4, 1]
    """
    queues: dict[Hashable, list[int]] = {}
    for at, label in enumerate(labels):
        queues.setdefault(label, []).append(at)
    turns = sorted(
        (turn, first, at)
        for first, queue in enumerate(queues.values())
        for turn, at in enumerate(queue)
    )
    return [at for _, _, at in turns[:k]]


def within_budget(lengths: Sequence[int], budget: int) -> list[int]:
    """Return the positions that fit, taken best first; one that is too long is passed over.

    >>> within_budget([5, 9, 3], 8)
    [0, 2]
    """
    if budget < 0:
        raise QueryShapeError(f"a budget of {budget} tokens; give 0 or more")
    chosen = []
    for at, length in enumerate(lengths):
        if length <= budget:
            chosen.append(at)
            budget -= length
    return chosen
