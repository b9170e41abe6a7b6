"""CEIL's sets, the reward model, and the two scorers over cached vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from retrieval.demonstrations.encoded_text import query_text
from retrieval.demonstrations.feedback import LabelFeedback, Scored, scored
from retrieval.demonstrations.mining import lexical_candidates
from retrieval.demonstrations.reranker import PairScorer, TokenScorer, reranked
from retrieval.demonstrations.retriever import DemonstrationRetriever
from retrieval.demonstrations.reward import OTHER_ANSWER, RewardModel
from retrieval.demonstrations.scorer import Pair
from retrieval.demonstrations.set_training import (
    ScoredSets,
    SetLesson,
    read_scored_sets,
    scored_sets,
    set_loss,
    write_scored_sets,
)
from retrieval.demonstrations.task import Demo
from retrieval.demonstrations.trainer import DemonstrationTrainer
from retrieval.demonstrations.training_run import RunOptions
from retrieval.encoders.trainable import TrainableEncoder
from retrieval.errors import DataFormatError, ModelFileError, QueryShapeError
from retrieval.losses.set_selection import selection_kernel, set_ranking, set_scores
from tests.retrieval.demonstrations.toy_tasks import CountingFeedback, kinds


def lists(count: int = 12, k: int = 12) -> list[Scored]:
    task = kinds(30)
    found = scored(CountingFeedback(), task, lexical_candidates(task, task.demos[:count], k=k))
    return list(found.values())


# ------------------------------------------------------------------------------- sets


def test_sets_are_different_and_scored_as_one_prompt() -> None:
    task, feedback = kinds(30), CountingFeedback()
    for one in scored_sets(feedback, task, lists(), np.random.default_rng(0), candidates=6, size=3):
        assert len(set(one.sets)) == len(one.sets) == 10
        assert one.sets[0] == (0, 1, 2)
        for members, score in zip(one.sets, one.scores, strict=True):
            outputs = [one.single.candidates[at].output for at in members]
            share = outputs.count(one.single.query.output) / 3
            assert score == pytest.approx(share, abs=0.05)
    assert all(len(pair.demos) == 3 for pair in feedback.asked)


def test_a_short_list_has_as_many_sets_as_there_are() -> None:
    found = scored_sets(
        LabelFeedback(), kinds(30), lists(4, k=3), np.random.default_rng(0), candidates=3, size=2
    )
    assert {len(one.sets) for one in found} == {3}


def test_the_loss_of_a_batch_equals_the_loop_over_its_queries() -> None:
    task = kinds(30)
    drawn = scored_sets(CountingFeedback(), task, lists(), np.random.default_rng(0), candidates=6)
    batch = SetLesson(task, drawn).batch(5, np.random.default_rng(1))
    raw = torch.randn(5 + len(batch.demos), 8, generator=torch.Generator().manual_seed(0))
    vectors = torch.nn.functional.normalize(raw, dim=1)
    found = set_loss(batch, vectors[:5], vectors[5:]).item()
    by_query = {one.single.query.id: one for one in drawn}
    column = {demo.id: at for at, demo in enumerate(batch.demos)}
    values = []
    for row, query in enumerate(batch.queries):
        one = by_query[query.id]
        order = sorted(range(len(one.sets)), key=lambda at, one=one: -one.scores[at])
        demos = vectors[5:][[column[demo.id] for demo in one.single.candidates]]
        kernel = selection_kernel(vectors[row], demos)
        sets = torch.tensor([one.sets[at] for at in order])
        values.append(set_ranking(set_scores(kernel, sets)).item())
    assert found == pytest.approx(np.mean(values), abs=1e-5)


def test_scored_sets_round_trip(tmp_path: Path) -> None:
    task = kinds(30)
    drawn = scored_sets(CountingFeedback(), task, lists(3), np.random.default_rng(0))
    write_scored_sets(tmp_path / "sets.json", drawn)
    assert read_scored_sets(tmp_path / "sets.json", task) == drawn
    with pytest.raises(DataFormatError):
        read_scored_sets(tmp_path / "sets.json", kinds(2))
    with pytest.raises(QueryShapeError, match="different members"):
        ScoredSets(drawn[0].single, ((0, 0),), (1.0,))


def test_training_on_sets_lowers_their_loss(folder: Path, tmp_path: Path) -> None:
    options = RunOptions(steps=30, batch=8, learning_rate=3e-3, checks=3)
    trainer = DemonstrationTrainer(
        folder, CountingFeedback(), loss="ceil", K=12, l=6, options=options, folder=tmp_path
    )
    report = trainer.train([kinds(30)]).runs[0]
    assert report.checks[-1].loss < report.checks[0].loss
    assert (tmp_path / "sets-0-kinds.json").is_file()


# ----------------------------------------------------------------------------- reward


def test_the_reward_model_learns_the_order_and_is_a_feedback(folder: Path, tmp_path: Path) -> None:
    task = kinds(30)
    reward = RewardModel(folder)
    losses = reward.fit(lists(), steps=60, learning_rate=3e-3)
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:5])
    query, same, other = task.demos[0], task.demos[2], task.demos[1]
    pairs = [Pair(query.input, query.output, (demo,)) for demo in (same, other)]
    free = reward.score(pairs)
    assert free[0] > free[1]
    bound = reward.score(pairs, labels=task.labels)
    assert bound[0] == pytest.approx(free[0], abs=1e-5)
    assert bound[1] == OTHER_ANSWER
    reward.save(tmp_path / "reward")
    np.testing.assert_allclose(RewardModel(tmp_path / "reward").score(pairs), free, atol=1e-5)
    options = RunOptions(steps=3, batch=4, checks=1)
    trainer = DemonstrationTrainer(folder, reward, loss="llmr", K=8, l=4, options=options)
    assert trainer.train([task]).runs[0].checks


def test_order_and_company_of_a_pair_do_not_change_its_reward(folder: Path) -> None:
    task = kinds(30)
    reward = RewardModel(folder)
    pairs = [Pair(d.input, d.output, (task.demos[0],)) for d in task.demos[1:8]]
    together = reward.score(pairs)
    alone = [reward.score([pair])[0] for pair in pairs]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    with pytest.raises(QueryShapeError, match="one demonstration"):
        reward.score([Pair("a", "b", ())])


def test_nothing_to_learn_is_an_error(folder: Path, tmp_path: Path) -> None:
    flat = Scored(Demo("q", "a", "b"), (Demo("1", "c", "d"), Demo("2", "e", "f")), (1.0, 1.0))
    with pytest.raises(QueryShapeError, match="nothing to learn"):
        RewardModel(folder).fit([flat])
    with pytest.raises(ModelFileError):
        RewardModel(tmp_path)


# ---------------------------------------------------------------------- second stage


def test_the_pair_scorer_is_distilled_and_reranks_cached_vectors(
    folder: Path, tmp_path: Path
) -> None:
    task, encoder = kinds(30), TrainableEncoder(folder)
    # Labels as the teacher: another answer must come after the query's own.
    found = scored(LabelFeedback(), task, lexical_candidates(task, task.demos, k=20))
    second = PairScorer(encoder)
    losses = second.fit(task, list(found.values()), steps=150)
    assert losses[-1] < 0.7 * losses[0]  # equal answers within a list keep it from 0
    retriever = DemonstrationRetriever(encoder.model)
    retriever.add(task.demos, task=task)
    asked = [demo.input for demo in task.demos]
    ids = [demo.id for demo in task.demos]
    hits = reranked(retriever, second, asked, task=task, k=5, among=25, exclude_ids=ids)

    def share(found: list[list[Demo]]) -> float:
        pairs = zip(task.demos, found, strict=True)
        return float(np.mean([[hit.output == demo.output for hit in row] for demo, row in pairs]))

    first = retriever.retrieve(asked, task=task, k=5, exclude_ids=ids)
    assert share(hits) > max(0.9, share(first) + 0.1)
    assert all(d.id not in {h.id for h in row} for d, row in zip(task.demos, hits, strict=True))
    assert [hit.rank for hit in hits[0]] == [1, 2, 3, 4, 5]
    second.save(tmp_path)
    again = reranked(
        retriever, PairScorer.load(tmp_path, encoder), asked, task=task, k=5, among=25,
        exclude_ids=ids,
    )  # fmt: skip
    assert again == hits


def test_pair_features_are_the_four_of_dse(folder: Path) -> None:
    second = PairScorer(TrainableEncoder(folder))
    u, v = torch.randn(32), torch.randn(32)
    by_hand = second.network(torch.cat([u, v, u * v, (u - v).abs()])).item()
    assert second.logits(u, v).item() == pytest.approx(by_hand)


def test_the_token_scorer_equals_the_loop_over_tokens(folder: Path) -> None:
    task, encoder = kinds(6), TrainableEncoder(folder)
    text = query_text(task.instruction, task.demos[0].input)
    vectors = encoder.encode([demo.input for demo in task.demos])
    found = TokenScorer(encoder, temperature=0.5).scores([text], [vectors])[0]
    with torch.inference_mode():
        tokens = encoder.forward([text])["token_embeddings"][0].numpy()
    for vector, score in zip(vectors, found, strict=True):
        dots = tokens @ vector / 0.5
        weights = np.exp(dots - dots.max()) / np.exp(dots - dots.max()).sum()
        lengths = np.linalg.norm(tokens, axis=1) * np.linalg.norm(vector)
        assert score == pytest.approx(
            float((weights * (tokens @ vector) / lengths).sum()), abs=1e-5
        )


def test_a_second_stage_needs_vectors_and_enough_candidates(folder: Path, tmp_path: Path) -> None:
    task = kinds(6)
    lexical = DemonstrationRetriever("bm25")
    lexical.add(task.demos, task=task)
    second = TokenScorer(TrainableEncoder(folder))
    with pytest.raises(QueryShapeError, match="holds no vectors"):
        reranked(lexical, second, ["the cat"], task=task, k=2)
    with pytest.raises(QueryShapeError, match="between 1 and among"):
        reranked(lexical, second, ["the cat"], task=task, k=9, among=8)
    with pytest.raises(ModelFileError):
        PairScorer.load(tmp_path, TrainableEncoder(folder))
