"""BM25 and TF-IDF against the plain formulas, against bm25s, and against an index built anew."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.demonstrations.lexical import LexicalIndex, Vocabulary, Weighting, words
from retrieval.errors import QueryShapeError

TEXTS = st.text(alphabet="ab c.", max_size=12)
WEIGHTINGS: tuple[Weighting, ...] = ("bm25", "tfidf")


def plain_bm25(query: str, texts: list[str]) -> list[float]:
    """The formula, read word by word."""
    bags = [Counter(words(text)) for text in texts]
    mean = sum(bag.total() for bag in bags) / len(bags) or 1
    scores = []
    for bag in bags:
        score = 0.0
        for word in set(words(query)):
            held = sum(word in other for other in bags)
            idf = math.log(1 + (len(bags) - held + 0.5) / (held + 0.5))
            score += idf * bag[word] * 2.2 / (bag[word] + 1.2 * (0.25 + 0.75 * bag.total() / mean))
        scores.append(score)
    return scores


def plain_tfidf(query: str, texts: list[str]) -> list[float]:
    """The cosine of two dictionaries."""
    bags = [Counter(words(text)) for text in texts]

    def vector(bag: Counter[str]) -> dict[str, float]:
        weights = {
            word: (1 + math.log(count))
            * (1 + math.log((1 + len(bags)) / (1 + sum(word in other for other in bags))))
            for word, count in bag.items()
        }
        length = math.sqrt(sum(weight**2 for weight in weights.values()))
        return {word: weight / length for word, weight in weights.items()}

    asked = vector(Counter(words(query)))
    return [
        sum(weight * asked.get(word, 0) for word, weight in vector(bag).items()) for bag in bags
    ]


PLAIN = {"bm25": plain_bm25, "tfidf": plain_tfidf}


def index_of(texts: list[str], weighting: Weighting = "bm25") -> LexicalIndex:
    index = LexicalIndex(weighting=weighting)
    index.add(range(len(texts)), texts)
    return index


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@settings(max_examples=25, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=9), query=TEXTS)
def test_scores_are_those_of_the_formula(
    weighting: Weighting, texts: list[str], query: str
) -> None:
    expected = PLAIN[weighting](query, texts)
    index = index_of(texts, weighting)
    assert index.scores([query])[0] == pytest.approx(expected, abs=1e-5)
    keys, scores = index.search_many([query], k=len(texts))[0]
    assert scores.tolist() == pytest.approx([expected[key] for key in keys], abs=1e-5)
    assert sorted(scores.tolist(), reverse=True) == scores.tolist()


def test_scores_are_those_of_bm25s() -> None:
    bm25s = pytest.importorskip("bm25s")
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(list("abcdefghij"), 12)) for _ in range(50)]
    query = "a c e x"
    peer = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    peer.index([words(text) for text in texts], show_progress=False)
    # The peer leaves out the constant factor k1 + 1.
    assert index_of(texts).scores([query])[0] == pytest.approx(
        peer.get_scores(["a", "c", "e"]) * 2.2, abs=1e-4
    )


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(st.one_of(st.lists(TEXTS, max_size=4), st.integers(0, 30)), max_size=14),
    query=TEXTS,
)
def test_after_any_changes_it_answers_like_an_index_built_anew(
    weighting: Weighting, steps: list[list[str] | int], query: str
) -> None:
    changed, left, following = LexicalIndex(weighting=weighting), dict[int, str](), 0
    for step in steps:
        if isinstance(step, int):
            assert changed.remove([step]) == (left.pop(step, None) is not None)
        else:
            keys = range(following, following + len(step))
            changed.add(keys, step)
            left.update(zip(keys, step, strict=True))
            following += len(step)
    anew = LexicalIndex(weighting=weighting)
    anew.add(list(left), list(left.values()))
    assert len(changed) == len(anew) == len(left)
    (mine, my_scores), (theirs, their_scores) = (
        index.search_many([query], k=5)[0] for index in (changed, anew)
    )
    assert mine.tolist() == theirs.tolist()
    assert my_scores.tolist() == pytest.approx(their_scores.tolist(), abs=1e-6)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_pools_searched_with_their_summed_counts_are_one_pool(weighting: Weighting) -> None:
    texts = ["a b", "b b c", "c d", "a a e", "e"]
    vocabulary = Vocabulary()
    parts = [LexicalIndex(weighting=weighting, vocabulary=vocabulary) for _ in range(2)]
    parts[0].add([0, 1], texts[:2])
    parts[1].add([2, 3, 4], texts[2:])
    total = parts[0].statistics + parts[1].statistics
    found: dict[int, float] = {}
    for part in parts:
        keys, scores = part.search_many(["a b e z"], k=3, statistics=total)[0]
        found |= dict(zip(keys.tolist(), scores.tolist(), strict=True))
    assert [found[key] for key in range(5)] == pytest.approx(PLAIN[weighting]("a b e z", texts))


def test_ties_go_to_the_lowest_key_across_segments() -> None:
    index = LexicalIndex()
    for key in range(20):
        index.add([key], ["same words"])
    index.remove([0, 5])
    keys, scores = index.search_many(["same", "strange"], k=4)[0]
    assert keys.tolist() == [1, 2, 3, 4]
    assert len(set(scores.tolist())) == 1
    assert index.search_many(["strange"], k=3)[0][0].tolist() == [1, 2, 3]


def test_segments_stay_few_while_single_texts_come() -> None:
    index = LexicalIndex()
    for key in range(300):
        index.add([key], [f"text {key}"])
    assert len(index._segments) <= 9
    assert index.remove(range(290)) == 290
    assert index.search_many(["text 295"], k=1)[0][0].tolist() == [295]


def test_only_allowed_keys_are_found() -> None:
    index = index_of(["a", "a", "b"])
    assert index.search_many(["a"], k=5, allowed=[1, 2, 99])[0][0].tolist() == [1, 2]


@pytest.mark.parametrize("query", ["", "   ", "\x85\u2028", "не", "'); DROP TABLE", "a" * 10_000])
def test_any_query_is_answered(query: str) -> None:
    index = index_of(["a film", "не дом"])
    assert len(index.search_many([query], k=2)[0][0]) == 2
    assert np.isfinite(index.scores([query])).all()


def test_an_empty_index_answers_nothing() -> None:
    index = index_of(["a"])
    index.remove([0])
    assert index.search_many(["a"], k=3)[0][0].tolist() == []
    assert index.scores(["a"]).shape == (1, 0)
    assert index_of(["", ""]).search_many(["a"], k=3)[0][0].tolist() == [0, 1]


def test_wrong_arguments_are_refused() -> None:
    index = index_of(["a"])
    with pytest.raises(QueryShapeError, match="ascend from 1"):
        index.add([0], ["b"])
    with pytest.raises(QueryShapeError, match="2 keys for 1"):
        index.add([1, 2], ["b"])
    with pytest.raises(QueryShapeError, match="k is 0"):
        index.search_many(["a"], k=0)
    with pytest.raises(QueryShapeError, match="choose bm25"):
        LexicalIndex(weighting="bm42")  # type: ignore[arg-type]
