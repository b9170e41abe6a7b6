"""What the relation heads see of a pair of candidates: one dense vector and a set of hashed words.

Dense, five word-state means of the frozen encoder side by side:

    x(h, t) = [ head ; tail ; words between ; words on the dependency path ; words just outside ]

Hashed (the hashing trick, Weinberger et al. 2009): lemmas between the two and on the dependency
path with the direction of every arc, the neighbours of both, the labels of both, the distance.
Names inside are replaced by their label, so the heads learn how a relation is said and not which
people are known to stand in it. Every feature carries the order of head and tail, so swapping them
is another pair.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from harvest.extraction.mentions import Candidate

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BUCKETS", "PARTS", "SentenceView", "dependency_path"]

#: Number of word-state means in the dense vector.
PARTS = 5
#: Size of the hash table of words.
BUCKETS = 8192
_WINDOW = 4
_LONGEST_BETWEEN = 14


class SentenceView:
    """A parsed sentence with its word states, from which pairs are read.

    Args:
        doc: the parsed block.
        start: first token of the sentence.
        end: token behind its last one.
        states: word states, one row per token of the sentence.
    """

    def __init__(self, doc: Any, start: int, end: int, states: NDArray[np.float32]) -> None:
        self.doc = doc
        self.start = start
        self.end = end
        self.states = states
        # Every pair of the sentence reads the same words.
        self._word = {token.i: _word(token) for token in doc[start:end]}

    def parts(self, head: Candidate, tail: Candidate) -> tuple[list[int], ...]:
        """Return the rows of `states` whose means are the five parts of the dense vector."""
        left, right = sorted((head, tail))
        inside = {*range(head.start, head.end), *range(tail.start, tail.end)}
        between = range(left.end, right.start)
        path = [token.i for token, _ in dependency_path(self.doc, head, tail)]
        around = [
            index
            for edge in (left, right)
            for index in (
                *range(max(self.start, edge.start - _WINDOW), edge.start),
                *range(edge.end, min(self.end, edge.end + _WINDOW)),
            )
            if index not in inside and index not in between
        ]
        chosen: tuple[Iterable[int], ...] = (
            range(head.start, head.end),
            range(tail.start, tail.end),
            between,
            [index for index in path if index not in inside],
            around,
        )
        return tuple(
            [index - self.start for index in part if self.start <= index < self.end]
            for part in chosen
        )

    def dense(self, head: Candidate, tail: Candidate) -> NDArray[np.float32]:
        """Return the dense vector [5 * width] of a pair of this sentence."""
        nothing = np.zeros(self.states.shape[1], np.float32)
        means = [
            self.states[rows].mean(axis=0) if rows else nothing for rows in self.parts(head, tail)
        ]
        return np.concatenate(means)

    def hashed(self, head: Candidate, tail: Candidate) -> list[int]:
        """Return the sorted buckets of the pair's words."""
        order = "<" if head < tail else ">"
        left, right = sorted((head, tail))
        names = [f"order:{order}", f"labels:{head.label}{order}{tail.label}"]
        names += [f"head:{head.label}", f"tail:{tail.label}"]
        between = self._words(left.end, right.start)
        for word in between[:_LONGEST_BETWEEN]:
            names += [f"b:{word}", f"b{order}:{word}"]
        names += [f"bb{order}:{a}_{b}" for a, b in pairwise(between)][:_LONGEST_BETWEEN]
        if len(between) <= 5:
            names.append(f"all{order}:{'_'.join(between)}")
        names.append(f"distance{order}:{min(len(between), 16).bit_length()}")
        path = dependency_path(self.doc, head, tail)
        arcs = []
        for token, arc in path:
            word = self._at(token.i)
            names += [f"p:{word}", f"p{arc}:{word}:{token.dep_}"]
            arcs.append(f"{token.dep_}{arc}")
        names.append(f"arcs:{'_'.join(arcs)}")
        if len(path) <= 5:
            inner = [self._at(token.i) for token, _ in path if not _inside(token.i, head, tail)]
            names.append(f"path{order}:{'_'.join(inner)}")
        for side, edge in (("h", head), ("t", tail)):
            for offset in (1, 2):
                before, after = edge.start - offset, edge.end + offset - 1
                if before >= self.start:
                    names.append(f"{side}-{offset}:{self._at(before)}")
                if after < self.end:
                    names.append(f"{side}+{offset}:{self._at(after)}")
        return sorted({_bucket(name) for name in names})

    def _at(self, index: int) -> str:
        return self._word[index] if index in self._word else _word(self.doc[index])

    def _words(self, start: int, end: int) -> list[str]:
        """Return the words of a range, runs of equal ones (the tokens of a name) once."""
        words: list[str] = []
        for index in range(start, end):
            word = self._at(index)
            if not words or words[-1] != word:
                words.append(word)
        return words


@lru_cache(maxsize=100_000)
def _bucket(name: str) -> int:
    return crc32(name.encode()) % BUCKETS


def dependency_path(doc: Any, head: Candidate, tail: Candidate) -> list[tuple[Any, str]]:
    """Return the tokens on the dependency path from head to tail, each with its direction.

    "^" climbs from the head, "v" descends to the tail, "*" is the top. The ends are the root
    tokens of the two candidates. Empty when the parser put them into two sentences.
    """
    up = _ancestors(doc[head.start : head.end].root)
    down = _ancestors(doc[tail.start : tail.end].root)
    climbed = {token.i: index for index, token in enumerate(up)}
    for index, token in enumerate(down):
        if token.i in climbed:
            rise = [(item, "^") for item in up[: climbed[token.i]]]
            fall = [(item, "v") for item in reversed(down[:index])]
            return [*rise, (token, "*"), *fall]
    return []


def _ancestors(token: Any) -> list[Any]:
    chain = [token]
    while chain[-1].head.i != chain[-1].i:
        chain.append(chain[-1].head)
    return chain


def _inside(index: int, *candidates: Candidate) -> bool:
    return any(candidate.start <= index < candidate.end for candidate in candidates)


def _word(token: Any) -> str:
    """Return the lemma, or the label of a name, "#" for figures."""
    if token.ent_type_:
        return str(token.ent_type_)
    if token.pos_ == "PROPN":
        return "NAME"
    if token.like_num or token.text[:1].isdigit():
        return "#"
    return str(token.lemma_ or token.text).lower()
