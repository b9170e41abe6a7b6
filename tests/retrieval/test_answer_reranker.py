"""The reranker: places that it may change, places that it may not, and what it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from retrieval.answer_reranker import (
    AnswerReranker,
    RerankerOptions,
    first_answers,
    pair_of,
    reranked,
    train_reranker,
)
from retrieval.entity_model import EntityModel, answer_ranks
from retrieval.entity_training.recipe import preset_named, train_model
from retrieval.errors import ModelFileError, QueryShapeError
from retrieval.protocols import Questions, questions
from retrieval.triple_data import TripleData
from tests.retrieval.test_evaluations import data


@pytest.fixture(scope="module")
def trained() -> tuple[EntityModel, TripleData, Questions]:
    given = data()
    model, _ = train_model(given, preset_named("bow-infonce", steps=10, dim=16))
    return model, given, questions(given, "dynamic")


def test_first_answers_are_the_best_filtered_ones(
    trained: tuple[EntityModel, TripleData, Questions],
) -> None:
    model, given, asked = trained
    vectors = model.encoder.encode(given.texts)
    chosen = np.arange(len(asked.sources))
    answers, scores = first_answers(model, vectors, asked, chosen, depth=6)
    ranks = answer_ranks(model.head, vectors, asked)
    for row in range(len(chosen)):
        query = model.queries(vectors[[asked.sources[row]]], asked.relations[[row]])[0]
        every = vectors[asked.candidates] @ query
        known = set(asked.known[1][asked.known[0] == row].tolist()) - {int(asked.targets[row])}
        slow = sorted((-every[at], at) for at in range(len(every)) if at not in known)[:6]
        np.testing.assert_allclose(scores[row], [-value for value, _ in slow], atol=1e-6)
        assert not known & set(answers[row].tolist())
        inside = asked.targets[row] in answers[row]
        assert inside == (ranks.optimistic[row] <= 6) or ranks.pessimistic[row] > 6


def test_a_new_order_moves_what_was_read_and_nothing_else(
    trained: tuple[EntityModel, TripleData, Questions],
) -> None:
    model, given, asked = trained
    vectors = model.encoder.encode(given.texts)
    chosen = np.arange(len(asked.sources))
    answers, scores = first_answers(model, vectors, asked, chosen, depth=2)
    ranks = answer_ranks(model.head, vectors, asked)
    reranker = AnswerReranker(None, torch.zeros(1), first=1.0, depth=2)
    here = answers == asked.targets[:, None]
    best = reranked(
        reranker, given, asked, chosen, ranks, answers, scores, read=10.0 * here.astype(np.float32)
    )
    inside = here.any(axis=1)
    assert inside.any()
    assert not inside.all()
    assert (best.optimistic[inside] == 1).all()
    assert (best.pessimistic[inside] == 1).all()
    assert best.take(~inside).realistic.tolist() == ranks.take(~inside).realistic.tolist()
    worst = reranked(
        reranker, given, asked, chosen, ranks, answers, scores, read=-10.0 * here.astype(np.float32)
    )
    assert (worst.optimistic[inside] == 2).all()
    same = reranked(
        reranker, given, asked, chosen, ranks, answers, scores, read=np.zeros_like(scores)
    )
    whole = ranks.pessimistic <= 2  # ties across the end of the list are cut
    assert whole.any()
    assert same.take(whole).realistic.tolist() == ranks.take(whole).realistic.tolist()
    level = reranked(
        reranker, given, asked, chosen, ranks, answers, 0 * scores, read=np.zeros_like(scores)
    )
    assert (level.take(inside).realistic == 1.5).all()


def test_it_learns_to_tell_the_right_answer(
    trained: tuple[EntityModel, TripleData, Questions], tmp_path: Path
) -> None:
    model, given, asked = trained
    training = questions(replace(given, test=given.train), "transductive")
    options = RerankerOptions(
        depth=8, questions=60, negatives=3, dev_questions=10, learning_rate=5e-4, frozen_layers=4
    )
    reranker, report = train_reranker(
        model, given, training=training, dev=questions(given, "dynamic", "dev"), options=options
    )
    assert report["loss"] < 0.7 * np.log(4)
    assert str(reranker.first) in report["dev_mrr_by_first"]
    assert (
        max(report["dev_mrr_by_first"].values()) == report["dev_mrr_by_first"][str(reranker.first)]
    )
    reranker.save(tmp_path)
    loaded = AnswerReranker.load(tmp_path)
    pairs = [pair_of(given, 0, 0, 3), pair_of(given, 5, 1, 2)]
    np.testing.assert_allclose(loaded.scores(pairs), reranker.scores(pairs), atol=1e-6)
    alone = np.concatenate([reranker.scores([pair]) for pair in pairs])
    np.testing.assert_allclose(alone, reranker.scores(pairs), atol=1e-5)
    assert (loaded.first, loaded.depth) == (reranker.first, 8)
    (tmp_path / "reranker.safetensors").write_bytes(b"half")
    with pytest.raises(ModelFileError, match="train it again"):
        AnswerReranker.load(tmp_path)
    assert asked.part == "test"


def test_wrong_requests_are_refused(trained: tuple[EntityModel, TripleData, Questions]) -> None:
    model, given, asked = trained
    vectors = model.encoder.encode(given.texts)
    with pytest.raises(QueryShapeError, match="are to be re-ordered"):
        first_answers(model, vectors, asked, np.arange(2), depth=10_000)
    other, _ = train_model(given, preset_named("bow-infonce", steps=2, dim=16, head="transe-l1"))
    with pytest.raises(QueryShapeError, match="transe-l1"):
        first_answers(other, vectors, asked, np.arange(2), depth=3)
    with pytest.raises(QueryShapeError, match="depth is 0"):
        RerankerOptions(depth=0)
