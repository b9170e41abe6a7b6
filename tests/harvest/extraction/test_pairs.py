"""A pair is read in one direction, from its own sentence, and the fast reading equals the slow."""

from functools import cache

import numpy as np

from harvest.extraction.encoder import FrozenEncoder
from harvest.extraction.heads import RelationHead, RelationHeads
from harvest.extraction.mentions import Candidate, find_candidates
from harvest.extraction.pairs import BUCKETS, SentenceView, dependency_path
from harvest.extraction.pipeline import load_pipeline

SENTENCES = (
    "Marie Curie was born in Warsaw on 7 November 1867.",
    "In 1895 she married Pierre Curie, a French physicist who taught in Paris.",
    "Polonium was named after Poland.",
)


@cache
def views() -> tuple[SentenceView, ...]:
    docs = [load_pipeline()(text) for text in SENTENCES]
    states = FrozenEncoder().words([[token.text for token in doc] for doc in docs])
    return tuple(
        SentenceView(doc, 0, len(doc), matrix) for doc, matrix in zip(docs, states, strict=True)
    )


def tiny_heads(width: int, *, hidden: int = 8, relations: int = 3) -> RelationHeads:
    rng = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    tensors = {
        "mu": random(5 * width),
        "sigma": np.abs(random(5 * width)) + 0.5,
        "W": random(5 * width, hidden) / 40,
        "b": random(hidden),
        "E": random(BUCKETS, hidden) / 4,
        "V": random(hidden, relations + 1),
        "c": random(relations + 1),
    }
    heads = tuple(RelationHead(f"r{i}") for i in range(relations))
    return RelationHeads(heads, tensors, (0.7, -0.3))


def test_swapping_head_and_tail_is_another_pair() -> None:
    view = views()[0]
    head, tail = Candidate(0, 2, "PERSON"), Candidate(5, 6, "GPE")
    assert not np.array_equal(view.dense(head, tail), view.dense(tail, head))
    assert view.hashed(head, tail) != view.hashed(tail, head)


def test_the_dense_vector_is_five_means_of_word_states() -> None:
    view = views()[0]  # Marie Curie was born in Warsaw on 7 November 1867 .
    dense = view.dense(Candidate(0, 2, "PERSON"), Candidate(5, 6, "GPE"))
    width = view.states.shape[1]
    assert dense.shape == (5 * width,)
    np.testing.assert_allclose(dense[:width], view.states[0:2].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(dense[width : 2 * width], view.states[5], atol=1e-6)
    np.testing.assert_allclose(
        dense[2 * width : 3 * width], view.states[2:5].mean(axis=0), atol=1e-6
    )


def test_a_path_climbs_from_the_head_and_descends_to_the_tail() -> None:
    view = views()[0]
    path = dependency_path(view.doc, Candidate(0, 2, "PERSON"), Candidate(5, 6, "GPE"))
    assert [(token.text, arc) for token, arc in path] == [
        ("Curie", "^"),
        ("born", "*"),
        ("in", "v"),
        ("Warsaw", "v"),
    ]


def test_reading_a_sentence_at_once_equals_reading_its_pairs_one_by_one() -> None:
    for view in views():
        candidates = find_candidates(view.doc)
        pairs = [(a, b) for a in candidates for b in candidates if not a.overlaps(b)]
        heads = tiny_heads(view.states.shape[1])
        slow = heads.probabilities(
            np.stack([view.dense(a, b) for a, b in pairs]), [view.hashed(a, b) for a, b in pairs]
        )
        np.testing.assert_allclose(heads.read(view, pairs), slow, atol=1e-5)


def test_names_do_not_reach_the_hashed_words() -> None:
    nlp = load_pipeline()
    docs = [nlp(f"{name} was born in Warsaw.") for name in ("Marie Curie", "Lise Meitner")]
    words = []
    for doc in docs:
        view = SentenceView(doc, 0, len(doc), np.zeros((len(doc), 4), np.float32))
        words.append(view.hashed(Candidate(0, 2, "PERSON"), Candidate(5, 6, "GPE")))
    assert words[0] == words[1]
