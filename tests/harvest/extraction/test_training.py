"""The network learns what is separable, rejects the rest, and does the same again."""

from dataclasses import replace

import numpy as np
import pytest

from harvest.extraction.calibration import calibrated, platt, threshold
from harvest.extraction.corpora import head_plans
from harvest.extraction.heads import RelationHead, RelationHeads
from harvest.extraction.synthetic import synthetic_sentences
from harvest.extraction.training import fit
from harvest.extraction.training_pairs import PairSet, pair_set, read_pairs, write_pairs


def toy(count: int = 600, *, seed: int = 0) -> PairSet:
    """Relation 0 where word 1 is said, relation 1 where word 2 is said, none otherwise."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, count)
    return PairSet(
        dense=rng.normal(size=(count, 10)).astype(np.float16),
        hashed=[[int(k), 10 + int(rng.integers(0, 50))] for k in kind],
        relations=[[int(k) - 1] if k else [] for k in kind],
        weight=np.ones(count, np.float32),
        sentence=np.arange(count, dtype=np.int64),
        silent=np.zeros(count, np.bool_),
        synthetic=np.zeros(count, np.bool_),
    )


def test_the_heads_learn_the_words_and_the_reject_class() -> None:
    heads = (RelationHead("a"), RelationHead("b"))
    network = RelationHeads(heads, fit(toy(), 2, epochs=60, seed=0))
    network, report = calibrated(network, toy(300, seed=1))
    test = toy(200, seed=2)
    p = network.probabilities(test.dense.astype(np.float32), test.hashed)
    said = [[int(r) for r in np.flatnonzero(row > 0.5)] for row in p]
    right = sum(a == b for a, b in zip(said, test.relations, strict=True))
    assert right >= 195
    assert report["held_out_precision"] > 0.95


def test_training_twice_gives_the_same_weights() -> None:
    first, second = (fit(toy(), 2, epochs=2, seed=3) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    other = fit(toy(), 2, epochs=2, seed=4)
    assert not np.array_equal(first["V"], other["V"])


def test_platt_recovers_a_known_slope_and_offset() -> None:
    rng = np.random.default_rng(0)
    margin = rng.normal(size=40_000).astype(np.float32) * 3
    truth = rng.random(40_000) < 1 / (1 + np.exp(-(0.5 * margin - 1.0)))
    slope, offset = platt(margin, truth, np.ones(40_000, np.float32))
    assert slope == pytest.approx(0.5, abs=0.03)
    assert offset == pytest.approx(-1.0, abs=0.05)


def test_a_threshold_is_the_lowest_that_is_precise_enough() -> None:
    scores = np.array([0.56, 0.66, 0.76, 0.86, 0.96], np.float32)
    truth = np.array([False, False, True, True, True])
    assert threshold(scores, truth, np.ones(5, np.float32)) == pytest.approx(0.7)
    never = np.zeros(5, np.bool_)
    assert threshold(scores, never, np.ones(5, np.float32)) == pytest.approx(0.95)


def test_pairs_of_a_sentence_know_their_relations_and_survive_a_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    plans = head_plans()
    column = next(i for i, plan in enumerate(plans) if plan.head.name == "born_in")
    sentence = next(synthetic_sentences(per_template=1))  # "… was born in …."
    pairs = pair_set([sentence], plans, seed=0)
    assert [column] in pairs.relations
    assert [] in pairs.relations  # the same two, swapped
    assert pairs.synthetic.all() and not pairs.silent.any()
    write_pairs(tmp_path / "pairs.npz", pairs)
    again = read_pairs(tmp_path / "pairs.npz")
    assert again.hashed == pairs.hashed and again.relations == pairs.relations
    assert np.array_equal(again.dense, pairs.dense)


def test_silent_pairs_weigh_less_than_named_ones() -> None:
    sentence = replace(next(synthetic_sentences(per_template=1)), complete=False)
    pairs = pair_set([sentence], head_plans(), seed=0)
    weights = {
        bool(names): weight for names, weight in zip(pairs.relations, pairs.weight, strict=True)
    }
    assert weights[True] == 1.0


def test_synthetic_sentences_are_the_same_for_a_seed_and_mark_their_spans() -> None:
    first = list(synthetic_sentences(per_template=2, seed=1))
    assert first == list(synthetic_sentences(per_template=2, seed=1))
    assert first != list(synthetic_sentences(per_template=2, seed=2))
    for sentence in first:
        for head, _, tail in sentence.triples:
            assert sentence.text[slice(*head)].strip() and sentence.text[slice(*tail)].strip()
            assert head != tail
        assert "{" not in sentence.text
    assert any(not sentence.triples for sentence in first)
