"""Feedback, candidates, batches, gradient caching, runs that resume, the trainer."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from retrieval.demonstrations.early_stopping import best_rank, label_match
from retrieval.demonstrations.encoded_text import demo_text, query_text
from retrieval.demonstrations.feedback import (
    LabelFeedback,
    Scored,
    read_scored,
    scored,
    write_scored,
)
from retrieval.demonstrations.grad_cache import cached_backward
from retrieval.demonstrations.mining import (
    lexical_candidates,
    nearest_candidates,
    sampled,
)
from retrieval.demonstrations.objectives import LabelLesson, ScoredLesson, batch_loss
from retrieval.demonstrations.retriever import DemonstrationRetriever
from retrieval.demonstrations.scorer import Pair
from retrieval.demonstrations.task import Demo, Task
from retrieval.demonstrations.trainer import DemonstrationTrainer
from retrieval.demonstrations.training_run import RunOptions, run, task_rates
from retrieval.encoders.trainable import TrainableEncoder
from retrieval.errors import (
    DataFormatError,
    ModelFileError,
    NonFiniteScores,
    QueryShapeError,
)
from tests.retrieval.demonstrations.toy_encoder import toy_encoder

ANIMALS, THINGS = ("cat", "dog", "cow"), ("car", "bus", "van")


def kinds(count: int = 24, name: str = "kinds") -> Task:
    demos = []
    for at in range(count):
        word = (ANIMALS if at % 2 else THINGS)[at % 3]
        demos.append(Demo(f"d{at}", f"the {word} is {at}", "animal" if at % 2 else "thing"))
    return Task(name, "kind :", demos, labels=("animal", "thing"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_encoder(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def encoder(folder: Path) -> TrainableEncoder:
    return TrainableEncoder(folder)


class CountingFeedback(LabelFeedback):
    """Labels, with a little order among equals; counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Pair] = []

    def score(
        self, pairs: Sequence[Pair], *, labels: Sequence[str] | None = None
    ) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        self.asked += pairs
        small = [len(pair.demos[0].input) / 1000 for pair in pairs]
        return super().score(pairs) + np.array(small, np.float32)


# ---------------------------------------------------------------------------- feedback


def test_ranks_share_the_place_of_equal_scores() -> None:
    demos = tuple(Demo(str(at), "", "") for at in range(4))
    one = Scored(Demo("q", "", ""), demos, (0.5, 2.0, 0.5, -1.0))
    assert one.ranks.tolist() == [2, 1, 2, 4]
    assert one.order.tolist() == [1, 0, 2, 3]


def test_a_query_is_never_its_own_candidate() -> None:
    query = Demo("q", "", "")
    with pytest.raises(QueryShapeError, match="its own candidate"):
        Scored(query, (query,), (1.0,))
    with pytest.raises(QueryShapeError, match="2 candidates"):
        Scored(query, (Demo("1", "", ""), Demo("1", "", "")), (1.0, 2.0))
    with pytest.raises(NonFiniteScores):
        Scored(query, (Demo("1", "", ""),), (math.nan,))


def test_only_new_pairs_are_scored_and_rounds_merge() -> None:
    task, feedback = kinds(), CountingFeedback()
    first = scored(feedback, task, {"d0": ["d1", "d2"]})
    second = scored(feedback, task, {"d0": ["d2", "d3"], "d5": ["d1"]}, first)
    assert len(feedback.asked) == 4
    assert [demo.id for demo in second["d0"].candidates] == ["d1", "d2", "d3"]
    assert second["d0"].scores[:2] == first["d0"].scores
    assert list(second) == ["d0", "d5"]


def test_scores_go_to_their_own_pair_by_id_also_where_texts_are_equal() -> None:
    demos = [Demo("a", "same", "x"), Demo("b", "same", "y"), Demo("c", "other", "x")]
    task = Task("t", "kind :", demos, labels=("x", "y"))
    found = scored(LabelFeedback(), task, {"c": ["b", "a"], "b": ["c"]})
    assert dict(zip([d.id for d in found["c"].candidates], found["c"].scores, strict=True)) == {
        "b": 0.0,
        "a": 1.0,
    }


def test_scored_lists_round_trip(tmp_path: Path) -> None:
    task = kinds()
    lists = scored(CountingFeedback(), task, {"d0": ["d1", "d2"], "d1": ["d0"]})
    write_scored(tmp_path / "lists.json", lists.values())
    assert read_scored(tmp_path / "lists.json", task) == lists
    (tmp_path / "lists.json").write_text(
        json.dumps({"queries": [{"query": "d0", "candidates": ["gone"], "scores": [1]}]})
    )
    with pytest.raises(DataFormatError, match="gone"):
        read_scored(tmp_path / "lists.json", task)


# -------------------------------------------------------------------------- candidates


def test_a_sentence_masked_in_two_ways_is_no_partner_of_itself(encoder: TrainableEncoder) -> None:
    source = {"sentence": "adaknewbob"}
    demos = [
        Demo("1", "SUBJ knew OBJ", "x", provenance=source),
        Demo("2", "OBJ knew SUBJ", "x", provenance=source),
        Demo("3", "SUBJ knew it", "x"),
    ]
    task = Task("t", "kind :", demos, labels=("x", "y"))
    for found in (
        lexical_candidates(task, task.demos, k=2),
        nearest_candidates(encoder, task, task.demos, k=2),
    ):
        assert {id: sorted(own) for id, own in found.items()} == {
            "1": ["3"],
            "2": ["3"],
            "3": ["1", "2"],
        }
    batch = LabelLesson(task).batch(3, np.random.default_rng(0))
    for row, query in enumerate(batch.queries):
        for column, demo in enumerate(batch.demos):
            alike = query.id == demo.id or "3" not in (query.id, demo.id)
            assert batch.same[row, column] == alike
            assert batch.positives[row, column] == (not alike)


def test_classification_candidates_come_by_input_and_generation_ones_by_output() -> None:
    demos = [
        Demo("1", "red apple", "select fruit"),
        Demo("2", "red apple pie", "count dishes"),
        Demo("3", "blue sky", "select fruit"),
    ]
    free = Task("free", "form :", demos)
    assert lexical_candidates(free, [free.demos[0]], k=1) == {"1": ["3"]}
    chosen = Task("chosen", "form :", demos, labels=("select fruit", "count dishes"))
    assert lexical_candidates(chosen, [chosen.demos[0]], k=1) == {"1": ["2"]}


def test_candidates_are_not_the_answer_word_as_a_query() -> None:
    # As released, UDR asks with the label word: arbitrary demonstrations of one label.
    demos = [Demo("q", "a fine film", "bad"), Demo("1", "bad weather", "good")]
    demos.append(Demo("2", "a fine film indeed", "good"))
    task = Task("t", "kind :", demos, labels=("good", "bad"))
    assert lexical_candidates(task, [task.demos[0]], k=1) == {"q": ["2"]}


def test_a_query_and_its_copies_are_left_out_and_nobody_else(encoder: TrainableEncoder) -> None:
    demos = [Demo("q", "the cat", "animal"), Demo("copy", "The CAT .", "animal")]
    demos += [Demo("1", "the dog", "animal"), Demo("2", "the car", "thing")]
    task = Task("t", "kind :", demos, labels=("animal", "thing"))
    by_words = lexical_candidates(task, [task.demos[0]], k=4)["q"]
    nearest = nearest_candidates(encoder, task, [task.demos[0]], k=4)["q"]
    assert sorted(by_words) == sorted(nearest) == ["1", "2"]


def test_nearest_candidates_are_those_of_the_retriever(encoder: TrainableEncoder) -> None:
    task = kinds()
    retriever = DemonstrationRetriever(encoder.model)
    retriever.add(task.demos, task=task)
    mined = nearest_candidates(encoder, task, task.demos[:5], k=4)
    for query in task.demos[:5]:
        hits = retriever.retrieve(query.input, task=task, k=4, exclude_ids=query.id)
        assert mined[query.id] == [hit.id for hit in hits]


def test_instructions_stand_before_queries_and_demonstrations() -> None:
    task = kinds(2)
    assert query_text(task.instruction, task.demos[0].input) == "kind : the car is 0"
    assert demo_text(task.instruction, task.demos[0]) == "kind : the car is 0\tthing"


def test_a_sample_holds_one_of_the_best_and_one_of_the_worst_in_order() -> None:
    demos = tuple(Demo(str(at), "", "") for at in range(50))
    scores = tuple(float(value) for value in np.random.default_rng(1).permutation(50))
    one = Scored(Demo("q", "", ""), demos, scores)
    generator = np.random.default_rng(0)
    seen: Counter[int] = Counter()
    for _ in range(300):
        places = sampled(one, 8, generator)
        ranks = one.ranks[places]
        assert len(set(places.tolist())) == 8
        assert ranks.tolist() == sorted(ranks.tolist())
        assert (ranks <= 5).sum() == 1
        assert (ranks > 45).sum() == 1
        seen.update(ranks.tolist())
    assert len(seen) == 50
    assert (one.ranks[sampled(one, 8, generator, top=2)] <= 5).sum() == 2


@pytest.mark.parametrize("size", [2, 3, 8, 9, 11, 16])
def test_short_lists_are_sampled_without_repetition(size: int) -> None:
    demos = tuple(Demo(str(at), "", "") for at in range(size))
    one = Scored(Demo("q", "", ""), demos, tuple(float(-at) for at in range(size)))
    places = sampled(one, 8, np.random.default_rng(0))
    assert len(set(places.tolist())) == min(size, 8)
    assert places.tolist() == sorted(places.tolist())


# ----------------------------------------------------------------------------- batches


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


# --------------------------------------------------------------------- gradient caching


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_cached_gradients_are_the_plain_ones(tmp_path: Path, dropout: float) -> None:
    encoder = TrainableEncoder(toy_encoder(tmp_path, dropout=dropout))
    encoder.model.train()
    task = kinds()
    texts = [demo_text(task.instruction, demo) for demo in task.demos]
    weights = torch.randn(24, 24, generator=torch.Generator().manual_seed(0))

    def loss(vectors: torch.Tensor) -> torch.Tensor:
        return ((vectors @ vectors.T) * weights).exp().sum()

    def gradients() -> list[torch.Tensor]:
        found = [p.grad.clone() for p in encoder.trained.values() if p.grad is not None]
        encoder.model.zero_grad(set_to_none=True)
        return found

    torch.manual_seed(5)
    plain = loss(encoder.vectors(texts, piece=7))
    plain.backward()
    expected = gradients()
    torch.manual_seed(5)
    encode = lambda part: encoder.forward(part)["sentence_embedding"]  # noqa: E731
    cached = cached_backward(encode, texts, loss, piece=7)
    assert cached.item() == pytest.approx(plain.item(), rel=1e-5)
    for one, other in zip(gradients(), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_a_loss_without_vectors_is_refused() -> None:
    with pytest.raises(ValueError, match="does not depend"):
        encode = lambda part: torch.zeros(len(part), 1)  # noqa: E731
        cached_backward(encode, ["a"], lambda _: torch.zeros(1, requires_grad=True).sum(), piece=1)


# --------------------------------------------------------------------------- the encoder


def test_vectors_come_in_the_order_of_the_texts(encoder: TrainableEncoder) -> None:
    texts = ["the cat is a kind thing", "cat", "the dog runs", "a"]
    together = encoder.vectors(texts, piece=2).detach().numpy()
    np.testing.assert_allclose(together, encoder.encode(texts), atol=1e-6)


def test_frozen_layers_keep_their_weights(folder: Path) -> None:
    encoder = TrainableEncoder(folder, frozen_layers=1)
    before = {name: p.detach().clone() for name, p in encoder.model.named_parameters()}
    options = RunOptions(steps=2, batch=6, learning_rate=0.01, checks=1)
    run(encoder, [LabelLesson(kinds())], loss="uwe", options=options)
    moved = {n for n, p in encoder.model.named_parameters() if not torch.equal(p, before[n])}
    assert moved
    assert not [name for name in moved if "embeddings" in name or "layer.0." in name]
    with pytest.raises(QueryShapeError, match="2 layers"):
        TrainableEncoder(folder, frozen_layers=3)


def test_a_folder_without_an_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no encoder"):
        TrainableEncoder(tmp_path)


def test_plain_sentence_transformers_loads_what_is_saved(
    encoder: TrainableEncoder, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    task = kinds()
    encoder.save(tmp_path / "saved", prompts={task.name: f"{task.instruction} "})
    loaded = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    texts = [demo.input for demo in task.demos]
    ours = encoder.encode([query_text(task.instruction, demo.input) for demo in task.demos])
    theirs = loaded.encode(texts, prompt_name="kinds", show_progress_bar=False)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert not list((tmp_path / "saved").rglob("*.bin"))


# ---------------------------------------------------------------------------------- runs


def weights(encoder: TrainableEncoder) -> list[bytes]:
    return [p.detach().numpy().tobytes() for p in encoder.trained.values()]


def test_a_resumed_run_ends_with_the_same_bytes(tmp_path: Path) -> None:
    folder = toy_encoder(tmp_path, dropout=0.1)
    options = RunOptions(steps=9, batch=6, learning_rate=0.01, checks=3, patience=9)
    lessons = [LabelLesson(kinds()), LabelLesson(kinds(12, "other"))]
    task = kinds()

    def once(file: Path, stop: int = 99) -> tuple[TrainableEncoder, object]:
        encoder = TrainableEncoder(folder)

        def progress(done: int, total: int, label: str) -> None:
            if done == stop:
                raise KeyboardInterrupt

        report = run(
            encoder,
            lessons,
            loss="uwe",
            options=options,
            measure=lambda: label_match(encoder, task, task.demos[:6], task.demos),
            checkpoint=file,
            progress=progress,
        )
        return encoder, report

    whole, report = once(tmp_path / "whole.safetensors")
    with pytest.raises(KeyboardInterrupt):
        once(tmp_path / "cut.safetensors", stop=5)
    resumed, again = once(tmp_path / "cut.safetensors")
    assert weights(whole) == weights(resumed)
    assert report == again


def test_a_checkpoint_of_another_run_is_refused(encoder: TrainableEncoder, tmp_path: Path) -> None:
    lessons, file = [LabelLesson(kinds())], tmp_path / "run.safetensors"
    options = RunOptions(steps=2, batch=4, checks=1)
    run(encoder, lessons, loss="uwe", options=options, checkpoint=file)
    with pytest.raises(ModelFileError, match="other options or data"):
        other = replace(options, temperature=0.1)
        run(encoder, lessons, loss="uwe", options=other, checkpoint=file)
    with pytest.raises(ModelFileError, match="other options or data"):
        hidden = [LabelLesson(kinds(), hidden=0.5)]
        run(encoder, hidden, loss="uwe", options=options, checkpoint=file)
    file.write_bytes(b"half")
    with pytest.raises(ModelFileError, match="cannot be read"):
        run(encoder, lessons, loss="uwe", options=options, checkpoint=file)


def test_the_best_state_remains_and_a_run_without_gain_stops(encoder: TrainableEncoder) -> None:
    values = iter([0.2, 0.9, 0.5, 0.4, 0.3, 0.2])
    seen: list[list[bytes]] = []

    def measure() -> float:
        seen.append(weights(encoder))
        return next(values)

    options = RunOptions(steps=12, batch=4, learning_rate=0.01, checks=6, patience=2)
    report = run(encoder, [LabelLesson(kinds())], loss="uwe", options=options, measure=measure)
    assert (report.best_step, report.stopped_early, len(seen)) == (4, True, 5)
    assert weights(encoder) == seen[1]


def test_a_loss_that_explodes_is_an_error(encoder: TrainableEncoder) -> None:
    options = RunOptions(steps=30, batch=8, learning_rate=1e30, warm_up=0)
    with pytest.raises(NonFiniteScores, match="lower the learning rate"):
        run(encoder, [LabelLesson(kinds())], loss="uwe", options=options)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"temperature": 0.0}, {"warm_up": 1.0}])
def test_impossible_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(QueryShapeError):
        RunOptions(**wrong)  # type: ignore[arg-type]


def test_measures_leave_the_query_out(encoder: TrainableEncoder) -> None:
    task = kinds(10)
    nine = label_match(encoder, task, task.demos[:1], task.demos)
    # Of the nine others five are animals: the eight nearest leave one out.
    assert nine in (4 / 8, 3 / 8)
    one = Scored(task.demos[0], task.demos[1:4], (3.0, 2.0, 1.0))
    assert best_rank(encoder, task, [one]) in (1.0, 1 / 2, 1 / 3)


# ------------------------------------------------------------------------------- trainer


def test_training_on_labels_beats_the_base(folder: Path) -> None:
    task = kinds(60)
    options = RunOptions(steps=60, batch=16, learning_rate=3e-3)
    trainer = DemonstrationTrainer(folder, options=options)
    retriever = trainer.fit([task])
    base = DemonstrationRetriever(folder)
    base.add(task.demos, task=task)

    def match(one: DemonstrationRetriever) -> float:
        asked = [demo.input for demo in task.demos]
        ids = [demo.id for demo in task.demos]
        hits = one.retrieve(asked, task=task, exclude_ids=ids)
        pairs = zip(task.demos, hits, strict=True)
        return float(np.mean([[hit.output == demo.output for hit in row] for demo, row in pairs]))

    assert len(retriever) == 60
    assert match(retriever) > max(0.95, match(base) + 0.1)


def test_mining_scores_only_unseen_pairs_and_trains_from_the_base_again(folder: Path) -> None:
    task, feedback = kinds(30), CountingFeedback()
    options = RunOptions(steps=3, batch=6, learning_rate=1e-3, checks=1)
    trainer = DemonstrationTrainer(
        folder, feedback, loss="udr", K=6, l=4, iterations=1, queries=12, options=options
    )
    trained = trainer.train([task])
    lists = trained.scored["kinds"]
    assert len(trained.runs) == 2
    assert len(lists) == 12
    assert sum(len(one.candidates) for one in lists.values()) == len(feedback.asked)
    assert all(6 <= len(one.candidates) <= 12 for one in lists.values())
    # The same lists without mining give the same encoder: nothing of round 0 is left in it.
    again = DemonstrationTrainer(folder, feedback, loss="udr", l=4, options=options)
    encoder = again._encoder()
    lessons, measure = again._scored_lessons(encoder, [task], trained.scored, 0)
    again._run(encoder, lessons, measure, 0)
    assert weights(encoder) == weights(trained.encoder)


def test_a_stopped_training_goes_on_without_scoring_again(folder: Path, tmp_path: Path) -> None:
    task = kinds(30)
    options = RunOptions(steps=4, batch=6, learning_rate=1e-3, checks=2)

    def trainer(feedback: CountingFeedback, stop: int = 99) -> DemonstrationTrainer:
        def progress(done: int, total: int, label: str) -> None:
            progress.calls += 1  # type: ignore[attr-defined]
            if progress.calls == stop:  # type: ignore[attr-defined]
                raise KeyboardInterrupt

        progress.calls = 0  # type: ignore[attr-defined]
        return DemonstrationTrainer(
            folder,
            feedback,
            loss="epr",
            K=6,
            iterations=1,
            options=options,
            folder=tmp_path,
            progress=progress,
        )

    with pytest.raises(KeyboardInterrupt):
        trainer(CountingFeedback(), stop=7).train([task])  # in the second round
    feedback = CountingFeedback()
    resumed = trainer(feedback).train([task])
    assert not feedback.asked
    assert [run.best_step > 0 for run in resumed.runs] == [True, True]


def test_known_lists_are_the_first_round(folder: Path, tmp_path: Path) -> None:
    task, feedback = kinds(30), CountingFeedback()
    candidates = lexical_candidates(task, task.demos[:10], k=6)
    write_scored(tmp_path / "known.json", scored(feedback, task, candidates).values())
    feedback.asked = []
    options = RunOptions(steps=2, batch=6, checks=1)
    trainer = DemonstrationTrainer(folder, feedback, loss="udr-predicted", l=4, options=options)
    trained = trainer.train([task], known={"kinds": tmp_path / "known.json"})
    assert not feedback.asked
    assert set(trained.scored["kinds"]) == set(candidates)


def test_without_held_out_queries_all_are_trained_on_and_the_last_state_remains(
    folder: Path,
) -> None:
    task, options = kinds(12), RunOptions(steps=4, batch=30, checks=2)
    trainer = DemonstrationTrainer(folder, held_out=0, options=options)
    encoder = trainer._encoder()
    (lesson,), _ = trainer._label_lessons(encoder, [task], {"kinds": task.demos})
    assert len(lesson) == len(lesson.task.demos) == 12
    report = trainer.train([task]).runs[0]
    assert report.best_step == 4
    with pytest.raises(QueryShapeError, match="from 0 to below 1"):
        DemonstrationTrainer(held_out=1.0)


def test_what_cannot_be_trained_is_refused(folder: Path) -> None:
    free = Task("free", "form :", [Demo("1", "a", "b"), Demo("2", "c", "d")])
    with pytest.raises(QueryShapeError, match="no labels"):
        DemonstrationTrainer(folder).train([free])
    with pytest.raises(QueryShapeError, match="different names"):
        DemonstrationTrainer(folder).train([kinds(), kinds()])
    with pytest.raises(QueryShapeError, match="unknown loss"):
        DemonstrationTrainer(loss="triplet")  # type: ignore[arg-type]
    with pytest.raises(QueryShapeError, match="K must be"):
        DemonstrationTrainer(K=1)
    with pytest.raises(QueryShapeError, match="cannot be trained"):
        function = DemonstrationRetriever(lambda texts: np.zeros((len(texts), 2)))
        DemonstrationTrainer(function).train([kinds()])
