"""Pairs of names that are worth a closer look, found without comparing every two.

MinHash [Broder, "On the resemblance and containment of documents", 1997]: of a random order of all
grams, the smallest gram of a name is equal to that of another name with probability J, their
Jaccard similarity. 32 orders make a signature; cut into 8 bands of 4, two names share a band with
probability 1 - (1 - J⁴)⁸, which is .40, .89, .9998 at J = .5, .7, .9. Names that share a band stand
side by side in a sorted table of bands, so the cost is O(n log n).

Names that one text makes by the hundred ("… national under-20 football team") share bands all with
all. In such a crowd a name is only paired with the `CROWD` names behind it in the order of their
spelling keys, which keeps the number of pairs linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kg.resolution.names import Name

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["alike_pairs", "same_key_pairs", "signatures"]

#: Random orders, and bands they are cut into (Graphiti's values).
PERMUTATIONS: Final = 32
BANDS: Final = 8
#: Seed of the random orders: the same names give the same pairs on every machine.
SEED: Final = 1
#: How far a name looks in a block.
CROWD: Final = 50
#: How far below the wanted Jaccard the share of equal signature places may lie: four deviations.
SLACK: Final = 0.25


def same_key_pairs(names: Sequence[Name]) -> list[tuple[int, int]]:
    """Return pairs of positions, smaller first, of telling names with one spelling key.

    >>> same_key_pairs([Name.of(text) for text in ("Barack Obama", "Warsaw", "Obama, Barack")])
    [(0, 2)]
    """
    telling = [at for at, name in enumerate(names) if name.is_telling and name.key]
    telling.sort(key=lambda at: (names[at].key, at))
    groups = (list(group) for _, group in groupby(telling, key=lambda at: names[at].key))
    return [
        (at, other)
        for group in groups
        for place, at in enumerate(group)
        for other in group[place + 1 : place + 1 + CROWD]
    ]


def alike_pairs(names: Sequence[Name], *, least: float) -> list[tuple[int, int]]:
    """Return pairs of positions, smaller first, whose Jaccard may be `least` or more.

    Names that are not telling (`Name.is_telling`) are in no pair.

    >>> alike_pairs([Name.of("Vue.js"), Name.of("Warsaw"), Name.of("Vue. js")], least=0.9)
    [(0, 2)]
    """
    telling = np.array([at for at, name in enumerate(names) if name.is_telling], np.int64)
    if len(telling) < 2:
        return []
    shown = [names[at] for at in telling]
    marks = signatures(shown)
    by_key = sorted(range(len(shown)), key=lambda at: (shown[at].key, at))
    rank = np.empty(len(shown), np.int64)
    rank[by_key] = np.arange(len(shown))
    sizes = np.array([len(name.grams) for name in shown])
    found: list[NDArray[np.int64]] = []
    rows = PERMUTATIONS // BANDS
    for band in range(BANDS):
        columns = marks[:, band * rows : (band + 1) * rows]
        block = np.unique(columns, axis=0, return_inverse=True)[1].reshape(-1)
        order = np.lexsort((rank, block))
        block = block[order]
        for step in range(1, CROWD + 1):
            same = np.flatnonzero(block[step:] == block[:-step])
            if not len(same):
                break
            left, right = order[same], order[same + step]
            # |A ∩ B| is at most the smaller set, so sizes alone bound the Jaccard similarity.
            small, large = (
                np.minimum(sizes[left], sizes[right]),
                np.maximum(sizes[left], sizes[right]),
            )
            near = (marks[left] == marks[right]).mean(axis=1) >= least - SLACK
            keep = near & (small >= least * large)
            left, right = left[keep], right[keep]
            found.append(np.minimum(left, right) * len(shown) + np.maximum(left, right))
    codes = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
    pairs = np.stack([telling[codes // len(shown)], telling[codes % len(shown)]], axis=1)
    return [(int(a), int(b)) for a, b in pairs]


def signatures(names: Sequence[Name]) -> NDArray[Any]:
    """Return the MinHash signature of each name's grams, [names, PERMUTATIONS]."""
    try:
        from datasketch import MinHash
    except ModuleNotFoundError as error:
        error.add_note("likeness of names needs datasketch: pip install 'sheaf[resolution]'")
        raise
    known: dict[bytes, int] = {}

    def hashed(gram: bytes) -> int:
        # There are far fewer grams than names have grams.
        if gram not in known:
            known[gram] = int.from_bytes(sha1(gram, usedforsecurity=False).digest()[:4], "little")
        return known[gram]

    sets = ([gram.encode() for gram in name.grams] for name in names)
    sketches = MinHash.generator(sets, num_perm=PERMUTATIONS, seed=SEED, hashfunc=hashed)
    return np.array([sketch.hashvalues for sketch in sketches])
