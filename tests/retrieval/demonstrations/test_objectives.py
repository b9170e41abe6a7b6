"""Batches of queries and demonstrations, and the loss of each method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from retrieval.demonstrations.feedback import (
    scored,
)
from retrieval.demonstrations.mining import (
    lexical_candidates,
)
from retrieval.demonstrations.objectives import LabelLesson, ScoredLesson, batch_loss
from retrieval.demonstrations.task import Demo, Task
from retrieval.demonstrations.training_run import RunOptions, run, task_rates
from retrieval.encoders.trainable import TrainableEncoder
from retrieval.errors import (
    QueryShapeError,
)
from tests.retrieval.demonstrations.toy_tasks import CountingFeedback, kinds


def test_edges_are_equal_answers_and_never_the_query_itself() -> None:
    task = kinds()
    batch = LabelLesson(task).batch(24, np.random.default_rng(0))
    for row, query in enumerate(batch.queries):
        for column, demo in enumerate(batch.demos):
            assert batch.same[row, column] == (query.id == demo.id)
            wanted = query.output == demo.output and query.id != demo.id
            assert batch.positives[row, column] == wanted


def test_every_second_query_brings_a_partner_also_with_many_labels() -> None:
    demos = [Demo(f"{at}", f"number {at}", f"label {at // 2}") for at in range(80)]
    task = Task("many", "kind :", demos, labels=tuple(f"label {at}" for at in range(40)))
    for seed in range(5):
        batch = LabelLesson(task).batch(20, np.random.default_rng(seed))
        assert len({demo.id for demo in batch.demos}) == len(batch.demos) <= 10
        assert batch.positives.any(1).sum() >= 8
    alone = Task("alone", "kind :", [Demo("1", "a", "x"), Demo("2", "b", "y")], labels=("x", "y"))
    batch = LabelLesson(alone).batch(2, np.random.default_rng(0))
    assert len(batch.demos) == 1
    assert not batch.positives.any()


def test_hidden_answers_are_not_read(encoder: TrainableEncoder) -> None:
    task = kinds()
    read: list[str] = []
    forward = encoder.forward

    def listening(texts: Sequence[str]) -> dict[str, object]:
        read.extend(texts)
        return forward(texts)

    encoder.forward = listening  # type: ignore[method-assign]
    options = RunOptions(steps=1, batch=8, checks=1)
    for hidden, shown in ((0.0, 4), (0.5, 2), (1.0, 0)):
        read.clear()
        run(encoder, [LabelLesson(task, hidden=hidden)], loss="uwe", options=options)
        assert len(read) == 12
        assert sum("\t" in text for text in read) == shown


def test_lists_of_a_batch_share_their_demonstrations() -> None:
    task = kinds()
    lists = scored(CountingFeedback(), task, {f"d{at}": ["d20", "d21", "d22"] for at in range(6)})
    batch = ScoredLesson(task, list(lists.values()), 8).batch(6, np.random.default_rng(0))
    assert sorted(demo.id for demo in batch.demos) == ["d20", "d21", "d22"]
    for query, own, values in zip(batch.queries, batch.own, batch.scores, strict=True):
        one = lists[query.id]
        expected = {d.id: s for d, s in zip(one.candidates, one.scores, strict=True)}
        for column, value in zip(own.tolist(), values.tolist(), strict=True):
            assert expected[batch.demos[column].id] == pytest.approx(value)
        assert values.tolist() == sorted(values.tolist(), reverse=True)


@pytest.mark.parametrize("loss", ["epr", "udr", "udr-predicted", "llmr", "uwe"])
def test_every_loss_is_finite_and_reaches_both_sides(loss: str) -> None:
    task = kinds()
    lists = scored(CountingFeedback(), task, lexical_candidates(task, task.demos[:6], k=10))
    batch = ScoredLesson(task, list(lists.values()), 4).batch(6, np.random.default_rng(0))
    count = len(batch.queries) + len(batch.demos)
    raw = torch.randn(count, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    vectors = torch.nn.functional.normalize(raw, dim=1)
    value = batch_loss(loss, batch, vectors, temperature=0.1)  # type: ignore[arg-type]
    value.backward()
    assert torch.isfinite(raw.grad).all()
    assert raw.grad[:6].abs().sum() > 0
    assert raw.grad[6:].abs().sum() > 0


def test_llmr_spares_demonstrations_of_the_same_answer() -> None:
    task = kinds()
    lists = scored(CountingFeedback(), task, {"d0": ["d2", "d1"], "d3": ["d4", "d6"]})
    batch = ScoredLesson(task, list(lists.values()), 2).batch(2, np.random.default_rng(0))
    row = [query.id for query in batch.queries].index("d0")
    column = [demo.id for demo in batch.demos].index("d4")
    raw = torch.eye(len(batch.queries) + len(batch.demos), 8).requires_grad_()
    batch_loss("llmr", batch, raw, temperature=1.0).backward()
    # d4 is a "thing" like d0: the query d0 does not push it away; d3, whose own it is, does pull.
    pushed = raw.grad[len(batch.queries) + column] @ raw[row].detach()
    assert pushed.item() == pytest.approx(0, abs=1e-6)


def test_rates_belong_to_their_tasks_by_name() -> None:
    rates = task_rates({"b": 400, "a": 100, "c": 2500})
    assert rates == pytest.approx({"b": 20 / 80, "a": 10 / 80, "c": 50 / 80})


def test_tasks_are_drawn_by_the_root_of_their_size(encoder: TrainableEncoder) -> None:
    lessons = [LabelLesson(kinds(size, name)) for name, size in (("small", 4), ("large", 36))]
    options = RunOptions(steps=80, batch=2, checks=1)
    drawn = run(encoder, lessons, loss="uwe", options=options).drawn
    assert sum(drawn.values()) == 80
    assert drawn["small"] == pytest.approx(20, abs=11)


def test_tokens_of_several_pieces_are_those_of_one_text_alone(encoder: TrainableEncoder) -> None:
    texts = ["the cat is a kind thing", "cat", "the dog runs"]
    tokens, mask = encoder.tokens(texts, piece=2)
    for row, text in enumerate(texts):
        alone, own = encoder.tokens([text])
        assert mask[row].sum() == own.sum()
        torch.testing.assert_close(tokens[row][mask[row]], alone[0][own[0]], atol=1e-5, rtol=0)


def test_soft_late_interaction_is_trained_and_never_cached(encoder: TrainableEncoder) -> None:
    lessons = [LabelLesson(kinds())]
    options = RunOptions(steps=20, batch=12, learning_rate=3e-3, checks=2)
    report = run(encoder, lessons, loss="uwe-soft", options=options)
    assert report.checks[-1].loss < report.checks[0].loss
    with pytest.raises(QueryShapeError, match="lower batch"):
        run(encoder, lessons, loss="uwe-soft", options=replace(options, piece=6))


def test_short_lists_are_reported_not_dropped(caplog: pytest.LogCaptureFixture) -> None:
    task = kinds()
    lists = scored(CountingFeedback(), task, {"d0": ["d1", "d2"], "d3": ["d4", "d5", "d6"]})
    lesson = ScoredLesson(task, list(lists.values()), 3)
    assert len(lesson) == 2
    assert lesson.batch(2, np.random.default_rng(0)).own.shape == (2, 2)
    assert "only 2 candidates" in caplog.text
