"""The lexical parts of entity search against plain BM25, and the choice of candidates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import QueryShapeError
from retrieval.search_fields import EntityFields, TextField, candidates, link_text
from retrieval.search_words import content_words, stemmed, without_filler


def plain_bm25(asked: list[str], texts: list[list[str]]) -> list[float]:
    """Lucene's BM25, word by word (without the constant factor k1 + 1)."""
    mean = sum(map(len, texts)) / len(texts) or 1
    scores = []
    for text in texts:
        score = 0.0
        for word in asked:
            held = sum(word in other for other in texts)
            idf = math.log(1 + (len(texts) - held + 0.5) / (held + 0.5))
            count = text.count(word)
            score += idf * count / (count + 1.2 * (0.25 + 0.75 * len(text) / mean))
        scores.append(score)
    return scores


WORDS = st.lists(st.sampled_from("abcd"), max_size=5)


@settings(deadline=None)  # the first call imports bm25s
@given(WORDS.map(lambda words: sorted(set(words))), st.lists(WORDS, min_size=1, max_size=6))
def test_a_field_scores_as_the_plain_formula(asked: list[str], texts: list[list[str]]) -> None:
    np.testing.assert_allclose(
        TextField(texts).scores(asked), plain_bm25(asked, texts), rtol=1e-5, atol=1e-6
    )


def test_texts_without_a_word_score_nothing() -> None:
    assert TextField([[], []]).scores(["a"]).tolist() == [0, 0]
    assert TextField([]).scores(["a"]).tolist() == []
    assert TextField([["a"]]).scores([]).tolist() == [0]


def test_each_field_answers_for_itself() -> None:
    fields = EntityFields(
        names=["Plan 9", "Ed Wood"],
        descriptions=["a film", "a director of films"],
        links=[link_text("/film/film/directed_by", "Ed Wood"), ""],
    )
    found = fields.scores("Which film was directed by Ed Wood?")
    assert found["name"][0] == 0 < found["name"][1]
    assert (found["description"] > 0).all()
    assert found["links"][0] > 0 == found["links"][1]
    assert found["words"][1] > found["words"][0] > 0
    assert "links" not in EntityFields(names=["a"], descriptions=[""]).scores("a")
    with pytest.raises(QueryShapeError, match="2 names, 1 descriptions"):
        EntityFields(names=["a", "b"], descriptions=[""])


def test_filler_goes_unless_there_is_nothing_else() -> None:
    assert without_filler("What is the capital of France?") == "capital france"
    assert without_filler("The Who") == "the who"
    assert content_words("Films of the film director") == ["film", "director"]
    assert stemmed("Ｆilms of NAÏVE painters") == ["film", "of", "naïv", "painter"]


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=12),
    st.lists(st.integers(-3, 3), min_size=1, max_size=12),
    st.integers(1, 12),
)
def test_candidates_are_the_first_of_each_stage(one: list, other: list, pool: int) -> None:
    size = min(len(one), len(other))
    stages = [np.array(one[:size], np.float32), np.array(other[:size], np.float32)]
    expected = set()
    for scores in stages:
        order = sorted(range(size), key=lambda at, scores=scores: (-scores[at], at))[:pool]
        expected |= {at for at in order if scores[at] > 0}
    assert candidates(stages, pool=pool).tolist() == sorted(expected)
