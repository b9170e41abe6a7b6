r"""Lexical search that stays exact while texts come and go: BM25 and TF-IDF over an inverted index.

| weighting | score of a text d for a query q |
|---|---|
| `bm25` | Σ_{t∈q} idf(t) · f·(k1+1) / (f + k1·(1 − b + b·|d|/mean length)), each query word once |
| `tfidf` | cosine of the vectors (1 + ln f)·idf(t) |

f = how often t stands in d, n texts, df(t) of them hold t. BM25 (Robertson and Zaragoza, 2009):
idf = ln(1 + (n − df + ½) / (df + ½)), which is never negative; k1 = 1.2, b = 0.75. TF-IDF:
idf = 1 + ln((1 + n) / (1 + df)). Words are `\w+|[^\w\s]`, lower-case.

Both depend on n, df and the mean length, so one new text changes the score of every other: weights
stored per word and text would all be stale. Here only counts are stored, and weights are computed
for the words of the query when it is asked. Texts lie in segments whose sizes at least halve from
one to the next (a log-structured merge), so adding one text to n costs O(log n) on average. A
removed text is only marked, and falls out when its segment is merged.

Several pools can be searched as if they were one: their counts add up (`Statistics`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import QueryShapeError
from retrieval.known_links import expand_ranges
from retrieval.ranking import FloatArray, Vectors
from retrieval.top_k import best
from retrieval.triple_data import IntArray

__all__ = ["LexicalIndex", "Statistics", "Vocabulary", "Weighting", "words"]

type Weighting = Literal["bm25", "tfidf"]

K1: Final = 1.2
B: Final = 0.75

_WORD: Final = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """Return the words and punctuation marks of a text, in lower case.

    >>> words("It's GOOD.")
    ['it', "'", 's', 'good', '.']
    """
    return _WORD.findall(text.lower())


class Vocabulary(dict[str, int]):
    """Word → number, given when a word is first met; shared by the pools of one retriever."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """What the weights depend on beside the text itself.

    >>> one = Statistics(2, 10, np.array([1, 2]))
    >>> both = one + Statistics(1, 5, np.array([1]))
    >>> both.texts, both.length, both.holding.tolist()
    (3, 15, [2, 2])
    """

    #: Number of texts, and of the words in them.
    texts: int
    length: int
    #: [words] texts that hold each word of the vocabulary; missing at the end means none.
    holding: IntArray

    def __add__(self, other: Statistics) -> Statistics:
        holding = np.zeros(max(len(self.holding), len(other.holding)), np.int64)
        holding[: len(self.holding)] += self.holding
        holding[: len(other.holding)] += other.holding
        return Statistics(self.texts + other.texts, self.length + other.length, holding)

    def idf(self, terms: IntArray, weighting: Weighting) -> FloatArray:
        """Return the inverse document frequencies of words [n]."""
        held = np.zeros(len(terms))
        known = terms < len(self.holding)
        held[known] = self.holding[terms[known]]
        if weighting == "bm25":
            return np.log1p((self.texts - held + 0.5) / (held + 0.5))
        return 1 + np.log((1 + self.texts) / (1 + held))


@dataclass(slots=True)
class _Segment:
    """Texts that were indexed together; postings are sorted by word, then by text."""

    keys: IntArray  # [texts], ascending
    lengths: FloatArray  # [texts] words
    alive: NDArray[np.bool_]  # [texts]
    terms: IntArray  # [distinct words], ascending
    starts: IntArray  # [distinct words + 1]: where the postings of each begin
    rows: IntArray  # [postings] which text
    counts: FloatArray  # [postings] how often
    #: Lengths of the TF-IDF vectors, and the statistics that they were computed with.
    norms: tuple[Statistics, FloatArray] | None = field(default=None)

    @classmethod
    def of(
        cls,
        keys: IntArray,
        lengths: FloatArray,
        terms: IntArray,
        rows: IntArray,
        counts: FloatArray,
    ) -> _Segment:
        order = np.lexsort((rows, terms))
        distinct, starts = np.unique(terms[order], return_index=True)
        return cls(
            keys,
            lengths,
            np.ones(len(keys), bool),
            distinct,
            np.append(starts, len(order)).astype(np.int64),
            rows[order],
            counts[order],
        )

    def posted(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Return (word, text, count) of all postings [n]."""
        return np.repeat(self.terms, np.diff(self.starts)), self.rows, self.counts


class LexicalIndex:
    """Texts under ascending integer keys, ranked by BM25 or TF-IDF.

    Args:
        weighting: which score.
        vocabulary: shared with other indexes whose statistics are to be added up; own if not given.

    >>> index = LexicalIndex()
    >>> index.add([0, 1, 2], ["a dull film", "a gripping film", "the weather"])
    >>> keys, scores = index.search_many(["gripping , truly"], k=2)[0]
    >>> keys.tolist(), scores.round(3).tolist()
    ([1, 0], [0.933, 0.0])
    >>> index.remove([1])
    1
    >>> len(index)
    2
    """

    def __init__(
        self, *, weighting: Weighting = "bm25", vocabulary: Vocabulary | None = None
    ) -> None:
        if weighting not in ("bm25", "tfidf"):
            raise QueryShapeError(f"unknown weighting {weighting!r}; choose bm25 or tfidf")
        self.weighting: Weighting = weighting
        self.vocabulary = Vocabulary() if vocabulary is None else vocabulary
        self._segments: list[_Segment] = []
        self._statistics = Statistics(0, 0, np.zeros(0, np.int64))

    def __len__(self) -> int:
        return self._statistics.texts

    @property
    def statistics(self) -> Statistics:
        """Counts over the texts that are there now."""
        return self._statistics

    def add(self, keys: Sequence[int], texts: Sequence[str]) -> None:
        """Add texts; keys ascend, and all are above those added before.

        Raises:
            QueryShapeError: the keys do not ascend, or are not as many as the texts.
        """
        if len(keys) != len(texts):
            raise QueryShapeError(f"{len(keys)} keys for {len(texts)} texts")
        if not keys:
            return
        numbers = np.asarray(keys, np.int64)
        last = int(self._segments[-1].keys[-1]) if self._segments else int(numbers[0]) - 1
        if (np.diff(numbers, prepend=last) <= 0).any():
            raise QueryShapeError(f"keys must ascend from {last + 1} on")
        terms, rows, counts, lengths = [], [], [], []
        for row, text in enumerate(texts):
            found = words(text)
            lengths.append(float(len(found)))
            for word, count in Counter(found).items():
                terms.append(self.vocabulary[word])
                rows.append(row)
                counts.append(float(count))
        segment = _Segment.of(
            numbers,
            np.array(lengths),
            np.array(terms, np.int64),
            np.array(rows, np.int64),
            np.array(counts),
        )
        self._statistics += _statistics_of(segment, np.ones(len(numbers), bool))
        self._segments.append(segment)
        while len(self._segments) > 1 and (
            len(self._segments[-2].keys) < 2 * len(self._segments[-1].keys)
        ):
            younger = self._segments.pop()
            self._segments.append(_merged([self._segments.pop(), younger]))

    def remove(self, keys: Iterable[int]) -> int:
        """Remove texts and return how many were there."""
        wanted = np.unique(np.fromiter(keys, np.int64))
        gone = 0
        for place, segment in enumerate(self._segments):
            hit = np.isin(segment.keys, wanted) & segment.alive
            if not hit.any():
                continue
            gone += int(hit.sum())
            less = _statistics_of(segment, hit)
            self._statistics += Statistics(-less.texts, -less.length, -less.holding)
            segment.alive &= ~hit
            if 2 * segment.alive.sum() < len(segment.keys):
                self._segments[place] = _merged([segment])
        self._segments = [segment for segment in self._segments if len(segment.keys)]
        return gone

    def search_many(
        self,
        queries: Sequence[str],
        *,
        k: int,
        allowed: Iterable[int] | None = None,
        statistics: Statistics | None = None,
    ) -> list[tuple[IntArray, FloatArray]]:
        """Return for each query the best `k` (keys, scores), equal ones in order of key.

        Texts that share no word with the query have the score 0, and come last.

        Args:
            queries: texts.
            k: number of answers, fewer if there are not so many texts.
            allowed: keys to choose from; all if not given.
            statistics: of all pools, if this one is searched together with others.

        Raises:
            QueryShapeError: if `k` is below 1.
        """
        if k < 1:
            raise QueryShapeError(f"k is {k}; ask for 1 answer or more")
        if not len(self):
            return [(np.empty(0, np.int64), np.empty(0)) for _ in queries]
        keys = np.concatenate([segment.keys for segment in self._segments])
        usable = np.concatenate([segment.alive for segment in self._segments])
        if allowed is not None:
            usable &= np.isin(keys, np.fromiter(allowed, np.int64))
        among = np.flatnonzero(usable)
        statistics = statistics or self._statistics
        bases = [self._base(segment, statistics) for segment in self._segments]
        answer = []
        for query in queries:
            scores = self._scores(query, statistics, bases)[among]
            top = best(scores, k)
            answer.append((keys[among[top]], scores[top]))
        return answer

    def scores(self, queries: Sequence[str]) -> Vectors:
        """Return the scores of all texts in order of key, [queries, texts]."""
        alive = [segment.alive for segment in self._segments]
        table = np.zeros((len(queries), len(self)), np.float32)
        if len(self):
            among = np.concatenate(alive)
            bases = [self._base(segment, self._statistics) for segment in self._segments]
            for row, query in enumerate(queries):
                table[row] = self._scores(query, self._statistics, bases)[among]
        return table

    def _base(self, segment: _Segment, statistics: Statistics) -> FloatArray:
        """Return what each text's length does to its score [texts]."""
        if self.weighting == "bm25":
            mean = statistics.length / statistics.texts or 1.0
            return K1 * (1 - B + B * segment.lengths / mean)
        if segment.norms is None or segment.norms[0] is not statistics:
            terms, rows, counts = segment.posted()
            squares = ((1 + np.log(counts)) * statistics.idf(terms, "tfidf")) ** 2
            norms = np.sqrt(np.bincount(rows, squares, minlength=len(segment.keys)))
            segment.norms = (statistics, np.where(norms > 0, norms, 1.0))
        return segment.norms[1]

    def _scores(
        self, query: str, statistics: Statistics, bases: Sequence[FloatArray]
    ) -> FloatArray:
        """Return the scores of all texts, removed ones included, in single precision.

        Words are summed in their own order and scores rounded to single precision, so that texts
        that tie by the formula tie whatever the history of the index is.
        """
        asked = Counter(words(query))
        known = sorted(word for word in asked if word in self.vocabulary)
        terms = np.array([self.vocabulary[word] for word in known], np.int64)
        weights = statistics.idf(terms, self.weighting)
        if self.weighting == "tfidf":
            # Words that no text holds count in the query's length, too.
            strange = len(asked) - len(known)
            unseen = float(statistics.idf(np.array([len(self.vocabulary)]), "tfidf")[0])
            own = (1 + np.log([asked[word] for word in known])) * weights if known else weights
            rare = [1 + np.log(asked[word]) for word in asked if word not in self.vocabulary]
            length = np.sqrt((own**2).sum() + ((np.array(rare) * unseen) ** 2).sum())
            weights = weights * own / (length if known or strange else 1.0)
        parts = []
        for segment, base in zip(self._segments, bases, strict=True):
            at = np.searchsorted(segment.terms, terms)
            here = at < len(segment.terms)
            here[here] = segment.terms[at[here]] == terms[here]
            which, places = expand_ranges(segment.starts[at[here]], segment.starts[at[here] + 1])
            rows, counts = segment.rows[places], segment.counts[places]
            if self.weighting == "bm25":
                values = counts * (K1 + 1) / (counts + base[rows])
            else:
                values = (1 + np.log(counts)) / base[rows]
            parts.append(
                np.bincount(rows, weights[here][which] * values, minlength=len(segment.keys))
            )
        return np.concatenate(parts).astype(np.float32).astype(np.float64)


def _statistics_of(segment: _Segment, chosen: NDArray[np.bool_]) -> Statistics:
    terms, rows, _ = segment.posted()
    return Statistics(
        int(chosen.sum()),
        int(segment.lengths[chosen].sum()),
        np.bincount(terms[chosen[rows]], minlength=0).astype(np.int64),
    )


def _merged(segments: Sequence[_Segment]) -> _Segment:
    """Return one segment of the texts that are left in several, in their order."""
    keys, lengths, postings, first = [], [], [], 0
    for segment in segments:
        place = np.cumsum(segment.alive) - 1 + first
        terms, rows, counts = segment.posted()
        kept = segment.alive[rows]
        postings.append((terms[kept], place[rows[kept]], counts[kept]))
        keys.append(segment.keys[segment.alive])
        lengths.append(segment.lengths[segment.alive])
        first += int(segment.alive.sum())
    terms, rows, counts = (np.concatenate(column) for column in zip(*postings, strict=True))
    return _Segment.of(np.concatenate(keys), np.concatenate(lengths), terms, rows, counts)
