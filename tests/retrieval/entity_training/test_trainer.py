"""The loop: it learns, keeps the best state, and goes on after a kill to the same bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retrieval.entity_model import EntityModel
from retrieval.entity_training.contrastive import Contrastive
from retrieval.entity_training.margin import Margin
from retrieval.entity_training.presets import Preset
from retrieval.entity_training.recipe import preset_named, train_model
from retrieval.entity_training.trainer import EntityOptions, train_entities
from retrieval.errors import ModelFileError, NonFiniteScores, QueryShapeError
from tests.retrieval.test_evaluations import data

SMALL = {"steps": 12, "entities": 30, "checks": 4, "patience": 9}


def small(name: str, **changes: Any) -> Preset:
    return preset_named(name, **{**SMALL, **changes})  # type: ignore[arg-type]


def bytes_of(model: EntityModel) -> list[bytes]:
    parts = [value.detach().numpy().tobytes() for value in model.head.parameters().values()]
    return [*parts, model.encoder.encode(data().texts).tobytes()]


class Killed(Exception):
    """A kill in the middle of a training."""


def kill_at(step: int) -> Any:
    def progress(done: int, total: int, label: str) -> None:
        if done == step:
            raise Killed

    return progress


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("bow-infonce", {"dim": 8}),
        ("minilm", {"layers": 1}),
        ("simkgc", {"layers": 1, "batches": "mixed"}),
        ("blp-transe", {"layers": 1}),
    ],
)
def test_a_killed_training_ends_with_the_bytes_of_one_that_was_not(
    name: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    preset = small(name, **changes)
    whole, report = train_model(data(), preset)
    with pytest.raises(Killed):
        train_model(data(), preset, folder=tmp_path, progress=kill_at(8))
    resumed, again = train_model(data(), preset, folder=tmp_path)
    assert bytes_of(resumed) == bytes_of(whole)
    assert [(one.step, one.value) for one in again.checks] == [
        (one.step, one.value) for one in report.checks
    ]
    assert again.coverage == report.coverage
    assert again.best_step == report.best_step


def test_a_checkpoint_of_other_options_or_data_is_refused(tmp_path: Path) -> None:
    preset = small("bow-infonce", dim=8)
    train_model(data(), preset, folder=tmp_path)
    with pytest.raises(ModelFileError, match="other options or data"):
        train_model(data(), small("bow-infonce", dim=8, temperature=0.2), folder=tmp_path)
    fewer = replace(data(), train=data().train[:-1])
    with pytest.raises(ModelFileError, match="other options or data"):
        train_model(fewer, preset, folder=tmp_path)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"half")
    with pytest.raises(ModelFileError, match="cannot be read"):
        train_model(data(), preset, folder=tmp_path)


@pytest.mark.parametrize("name", ["bow-infonce", "minilm-frozen", "blp-transe"])
def test_the_loss_falls(name: str) -> None:
    _, report = train_model(data(), small(name, steps=40, layers=1, upper_rate=1e-3))
    losses = [one.loss for one in report.checks]
    assert losses[-1] < 0.8 * losses[0]
    assert report.coverage["passes"] > 1


def test_the_best_state_remains_and_training_stops_without_a_better_one() -> None:
    from retrieval.encoders.bag_of_words import BagOfWordsEncoder
    from retrieval.entity_training.trainees import BagTrainee
    from retrieval.heads.protocol import untrained_head

    given = data()
    encoder = BagOfWordsEncoder.fit(given.texts, dim=8)
    trainee = BagTrainee(encoder, given.texts)
    head = untrained_head("affine", relations=len(given.relations), dim=8)
    values = iter([0.3, 0.5, 0.4, 0.2, 0.9])
    states: list[bytes] = []

    def measure() -> float:
        states.append(encoder.weights.tobytes())
        return next(values)

    report = train_entities(
        trainee,
        head,
        given.train,
        Contrastive(given.train, relations=len(given.relations)),
        options=EntityOptions(steps=10, entities=20, checks=5, patience=2),
        measure=measure,
    )
    assert [one.step for one in report.checks] == [2, 4, 6, 8]
    assert report.best_step == 4
    assert report.stopped_early
    assert encoder.weights.tobytes() == states[1]


def test_a_loss_that_is_no_number_names_the_rates() -> None:
    preset = small("bow-infonce", dim=8, bag_rate=float("inf"))
    with pytest.raises(NonFiniteScores, match="bag_rate"):
        train_model(data(), preset)


def test_a_bag_beside_a_sentence_encoder_can_be_left_out() -> None:
    model, _ = train_model(data(), small("blp-transe", layers=0))
    lone = model.encoder.encode(["red boat", "qqqq"])
    assert np.allclose(np.linalg.norm(lone, axis=1), 1, atol=1e-5)
    assert model.head.name == "transe-l1"
    assert not model.head.inverses


def test_dense_parameters_have_two_rates() -> None:
    preset = small("minilm", layers=1, upper_rate=1e-12, dense_rate=1e-2)
    from retrieval.encoders.sentence import SentenceEncoder

    model, _ = train_model(data(), preset)
    encoder: Any = model.encoder
    assert not np.allclose(encoder.projection, np.eye(encoder.dim), atol=1e-3)
    _, start = SentenceEncoder().parts()
    for name, value in encoder._model.state_dict().items():
        torch.testing.assert_close(value, start.state_dict()[name], atol=1e-6, rtol=0)


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(QueryShapeError, match="steps is 0"):
        EntityOptions(steps=0)
    with pytest.raises(QueryShapeError, match="warm_up=1"):
        EntityOptions(warm_up=1)
    assert Margin(data().train, relations=2).parameters == {}
