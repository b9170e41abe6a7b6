"""How near a query is to what an entity is called: Dice's similarity of character trigrams.

    dice(a, b) = 2 · |trigrams(a) ∩ trigrams(b)| / (|trigrams(a)| + |trigrams(b)|)

Names are padded, so beginnings count, and compared in their normal form. An entity has the
similarity of the best of its names; 1 is kept for the same name. `with_names` puts the entity that
is called what was asked first, and raises those that nearly are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np

from kg.ids import normal_form
from retrieval.ranking import FloatArray

__all__ = ["NEAR", "NameTable", "with_names"]

#: Similarity from which a name counts as nearly the asked one.
NEAR: Final = 0.6

#: What a near name adds to a score: on the training queries of one fold it costs .001 of NDCG@10.
BONUS: Final = 2.0

#: The highest similarity of two names that differ.
UNEQUAL: Final = 0.99


class NameTable:
    """The names of many entities, compared with a query at once.

    >>> table = NameTable([["Marie Curie", "Madame Curie"], ["Paris"]])
    >>> table.scores("madame  curie").tolist()
    [1.0, 0.0]
    """

    def __init__(self, names: Sequence[Sequence[str]]) -> None:
        self._entities = len(names)
        self._keys = [normal_form(name) for own in names for name in own]
        self._owner = np.array([at for at, own in enumerate(names) for _ in own], np.int64)
        found: dict[str, list[tuple[int, int]]] = defaultdict(list)
        sizes = []
        for place, key in enumerate(self._keys):
            grams = _trigrams(key)
            sizes.append(grams.total())
            for gram, count in grams.items():
                found[gram].append((place, count))
        self._sizes = np.array(sizes, float)
        self._grams = {gram: np.array(rows, np.int64) for gram, rows in found.items()}

    def scores(self, query: str) -> FloatArray:
        """Return the similarity [entities] of the best name of each."""
        key = normal_form(query)
        own = _trigrams(key)
        shared = np.zeros(len(self._keys))
        for gram, count in own.items():
            rows = self._grams.get(gram)
            if rows is not None:
                shared[rows[:, 0]] += np.minimum(rows[:, 1], count)
        near = np.minimum(2 * shared / (own.total() + self._sizes), UNEQUAL)
        for place in np.flatnonzero(near == UNEQUAL).tolist():
            if self._keys[place] == key:
                near[place] = 1.0
        scores = np.zeros(self._entities)
        np.maximum.at(scores, self._owner, near)
        return scores


def with_names(scores: FloatArray, near: FloatArray) -> FloatArray:
    """Return scores in [0, 1] that know of names: 1 for the same name, less for all others.

        .99 / (1 + e^(−(score + `BONUS` · near)/4)), the bonus only if near ≥ `NEAR`

    >>> with_names(np.array([9.0, -9.0, 0.0]), np.array([0.5, 1.0, 0.1])).round(2).tolist()
    [0.9, 1.0, 0.5]
    """
    raised = scores + BONUS * np.where(near >= NEAR, near, 0.0)
    mixed: FloatArray = np.where(near == 1, 1.0, 0.99 / (1 + np.exp(-np.clip(raised, -99, 99) / 4)))
    return mixed


def _trigrams(text: str) -> Counter[str]:
    padded = f"  {text} "
    return Counter(padded[at : at + 3] for at in range(len(padded) - 2))
