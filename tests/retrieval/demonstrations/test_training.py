"""Runs that resume to the byte, and the trainer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.demonstrations.early_stopping import best_rank, label_match
from retrieval.demonstrations.feedback import (
    Scored,
    scored,
    write_scored,
)
from retrieval.demonstrations.mining import (
    lexical_candidates,
)
from retrieval.demonstrations.objectives import LabelLesson
from retrieval.demonstrations.retriever import DemonstrationRetriever
from retrieval.demonstrations.task import Demo, Task
from retrieval.demonstrations.trainer import DemonstrationTrainer
from retrieval.demonstrations.training_run import RunOptions, run
from retrieval.encoders.trainable import TrainableEncoder
from retrieval.errors import (
    ModelFileError,
    NonFiniteScores,
    QueryShapeError,
)
from tests.retrieval.demonstrations.toy_encoder import toy_encoder
from tests.retrieval.demonstrations.toy_tasks import CountingFeedback, kinds


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
