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

__all__ = ["WEIGHTINGS", "LexicalIndex", "Statistics", "Vocabulary", "Weighting", "words"]

type Weighting = Literal["bm25", "tfidf"]

WEIGHTINGS: Final = ("bm25", "tfidf")
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

    def __sub__(self, other: Statistics) -> Statistics:
        return self + Statistics(-other.texts, -other.length, -other.holding)

    def idf(self, terms: IntArray, weighting: Weighting) -> FloatArray:
        """Return the inverse document frequencies of words [n]."""
        held = np.zeros(len(terms))
        known = terms < len(self.holding)
        held[known] = self.holding[terms[known]]
        if weighting == "bm25":
            return np.log1p((self.texts - held + 0.5) / (held + 0.5))
        return 1 + np.log((1 + self.texts) / (1 + held))


@dataclass(slots=True, eq=False)
class _Segment:
    """Texts that were indexed together, by word (to search) and by text (to remove)."""

    keys: IntArray  # [texts], ascending
    lengths: Vectors  # [texts] words
    alive: NDArray[np.bool_]  # [texts]
    terms: IntArray  # [distinct words], ascending
    starts: IntArray  # [distinct words + 1]: where the postings of each begin
    rows: NDArray[np.int32]  # [postings] which text, by word
    counts: Vectors  # [postings] how often, by word
    text_starts: IntArray  # [texts + 1]: where the words of each begin
    text_terms: NDArray[np.int32]  # [postings] which word, by text
    text_counts: Vectors  # [postings] how often, by text
    #: [postings] (1 + ln f)², by text; computed when TF-IDF first needs it.
    squares: Vectors | None = field(default=None)
    #: What the lengths of texts do to their scores, and the statistics that it was computed with.
    base: tuple[Statistics, Vectors] | None = field(default=None)

    @classmethod
    def of(
        cls,
        keys: IntArray,
        lengths: Vectors,
        terms: NDArray[np.int32],
        rows: NDArray[np.int32],
        counts: Vectors,
    ) -> _Segment:
        """Return a segment of postings (word, text, count) that come ordered by text."""
        by_word = np.argsort(terms, kind="stable")
        distinct, starts = np.unique(terms[by_word], return_index=True)
        return cls(
            keys,
            lengths,
            np.ones(len(keys), bool),
            distinct.astype(np.int64),
            np.append(starts, len(rows)).astype(np.int64),
            rows[by_word],
            counts[by_word],
            np.searchsorted(rows, np.arange(len(keys) + 1)).astype(np.int64),
            terms,
            counts,
        )

    def statistics(self, places: IntArray | None = None) -> Statistics:
        """Return the counts over some texts [n], or over all."""
        if places is None:
            return Statistics(
                len(self.keys),
                int(self.lengths.sum()),
                np.bincount(self.text_terms).astype(np.int64),
            )
        _, held = expand_ranges(self.text_starts[places], self.text_starts[places + 1])
        return Statistics(
            len(places),
            int(self.lengths[places].sum()),
            np.bincount(self.text_terms[held]).astype(np.int64),
        )


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
        if weighting not in WEIGHTINGS:
            raise QueryShapeError(f"unknown weighting {weighting!r}; choose bm25 or tfidf")
        self.weighting: Weighting = weighting
        self.vocabulary = Vocabulary() if vocabulary is None else vocabulary
        self._segments: list[_Segment] = []
        self._statistics = Statistics(0, 0, np.zeros(0, np.int64))
        self._keys: IntArray | None = None

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
            lengths.append(len(found))
            for word, count in Counter(found).items():
                terms.append(self.vocabulary[word])
                rows.append(row)
                counts.append(count)
        segment = _Segment.of(
            numbers,
            np.array(lengths, np.float32),
            np.array(terms, np.int32),
            np.array(rows, np.int32),
            np.array(counts, np.float32),
        )
        self._statistics += segment.statistics()
        self._segments.append(segment)
        while len(self._segments) > 1 and (
            len(self._segments[-2].keys) < 2 * len(self._segments[-1].keys)
        ):
            younger = self._segments.pop()
            self._segments.append(_merged([self._segments.pop(), younger]))
        self._keys = None

    def remove(self, keys: Iterable[int]) -> int:
        """Remove texts and return how many were there."""
        wanted = np.unique(np.fromiter(keys, np.int64))
        gone = 0
        for place, segment in enumerate(self._segments):
            rows = np.searchsorted(segment.keys, wanted)
            inside = rows < len(segment.keys)
            inside[inside] = segment.keys[rows[inside]] == wanted[inside]
            rows = rows[inside]
            rows = rows[segment.alive[rows]]
            if not len(rows):
                continue
            gone += len(rows)
            self._statistics -= segment.statistics(rows)
            segment.alive[rows] = False
            if 2 * np.count_nonzero(segment.alive) < len(segment.keys):
                self._segments[place] = _merged([segment])
                self._keys = None
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
        if self._keys is None:
            self._keys = np.concatenate([segment.keys for segment in self._segments])
        among = None
        if allowed is not None:
            usable = np.isin(self._keys, np.fromiter(allowed, np.int64))
            among = np.flatnonzero(usable & self._alive())
        answer = []
        for query in queries:
            scores = self._scores(query, statistics or self._statistics)
            if among is not None:
                top = among[best(scores[among], k)]
            else:
                top = best(scores, min(k, len(self)))
            answer.append((self._keys[top], scores[top].astype(np.float64)))
        return answer

    def scores(self, queries: Sequence[str]) -> Vectors:
        """Return the scores of all texts in order of key, [queries, texts]."""
        table = np.zeros((len(queries), len(self)), np.float32)
        if len(self):
            alive = self._alive()
            for row, query in enumerate(queries):
                table[row] = self._scores(query, self._statistics)[alive]
        return table

    def _alive(self) -> NDArray[np.bool_]:
        return np.concatenate([segment.alive for segment in self._segments])

    def _base(self, segment: _Segment, statistics: Statistics) -> Vectors:
        """Return what each text's length does to its score [texts]."""
        if segment.base is None or segment.base[0] is not statistics:
            if self.weighting == "bm25":
                mean = statistics.length / statistics.texts or 1.0
                base = K1 * (1 - B + B * segment.lengths / mean)
            else:
                idf = statistics.idf(np.arange(len(self.vocabulary)), "tfidf") ** 2
                if segment.squares is None:
                    segment.squares = (1 + np.log(segment.text_counts)) ** 2
                squares = segment.squares * idf[segment.text_terms]
                # An empty text would be given its neighbour's first word.
                base = np.ones(len(segment.keys))
                full = np.flatnonzero(segment.lengths)
                if len(full):
                    base[full] = np.sqrt(np.add.reduceat(squares, segment.text_starts[full]))
            segment.base = (statistics, base.astype(np.float32))
        return segment.base[1]

    def _scores(self, query: str, statistics: Statistics) -> Vectors:
        """Return the scores of all texts, −∞ of removed ones, in single precision.

        Words are summed in their own order and scores rounded to single precision, so that texts
        that tie by the formula tie whatever the history of the index is.
        """
        terms, weights = self._weighted(query, statistics)
        parts = []
        for segment in self._segments:
            at = np.searchsorted(segment.terms, terms)
            here = at < len(segment.terms)
            here[here] = segment.terms[at[here]] == terms[here]
            which, places = expand_ranges(segment.starts[at[here]], segment.starts[at[here] + 1])
            rows, counts = segment.rows[places], segment.counts[places]
            base = self._base(segment, statistics)[rows]
            if self.weighting == "bm25":
                values = counts * np.float32(K1 + 1) / (counts + base)
            else:
                values = (1 + np.log(counts)) / base
            summed = np.bincount(rows, weights[here][which] * values, minlength=len(segment.keys))
            found = summed.astype(np.float32)
            if not segment.alive.all():
                found[~segment.alive] = -np.inf
            parts.append(found)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _weighted(self, query: str, statistics: Statistics) -> tuple[IntArray, FloatArray]:
        """Return the known words of a query, in alphabetic order, and their weights."""
        asked = Counter(words(query))
        known = sorted(word for word in asked if word in self.vocabulary)
        terms = np.array([self.vocabulary[word] for word in known], np.int64)
        weights = statistics.idf(terms, self.weighting)
        if self.weighting == "bm25" or not asked:
            return terms, weights
        own = (1 + np.log(np.array([asked[word] for word in known], float))) * weights
        # Words that no text holds count in the length of the query, too.
        strange = [count for word, count in asked.items() if word not in self.vocabulary]
        unseen = statistics.idf(np.array([len(self.vocabulary)]), "tfidf")
        rest = (1 + np.log(np.array(strange, float))) * unseen
        return terms, weights * own / np.sqrt((own**2).sum() + (rest**2).sum())


def _merged(segments: Sequence[_Segment]) -> _Segment:
    """Return one segment of the texts that are left in several, in their order."""
    keys, lengths, terms, rows, counts = [], [], [], [], []
    first = 0
    for segment in segments:
        left = int(np.count_nonzero(segment.alive))
        place = (np.cumsum(segment.alive) - 1 + first).astype(np.int32)
        own = np.repeat(np.arange(len(segment.keys)), np.diff(segment.text_starts))
        kept = segment.alive[own]
        terms.append(segment.text_terms[kept])
        rows.append(place[own[kept]])
        counts.append(segment.text_counts[kept])
        keys.append(segment.keys[segment.alive])
        lengths.append(segment.lengths[segment.alive])
        first += left
    return _Segment.of(
        np.concatenate(keys),
        np.concatenate(lengths),
        np.concatenate(terms),
        np.concatenate(rows),
        np.concatenate(counts),
    )
