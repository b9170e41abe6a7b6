"""The composed encoder and its trained layers against what the plain encoder gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from retrieval.encoders.bag_of_words import BagOfWordsEncoder
from retrieval.encoders.composed import BAG_WEIGHT, ComposedEncoder
from retrieval.encoders.protocol import load_encoder
from retrieval.encoders.sentence import SentenceEncoder
from retrieval.encoders.upper_layers import UpperLayers
from retrieval.entity_training.trainees import ComposedTrainee
from retrieval.errors import ModelFileError, QueryShapeError

TEXTS = (
    "a red car",
    "boat",
    "physicist who discovered radium and polonium in Paris, with her husband",
    "a white house",
    "",
)


def test_kept_states_and_upper_layers_give_the_vectors_of_the_whole_encoder(tmp_path: Path) -> None:
    encoder = SentenceEncoder()
    whole = encoder.encode(TEXTS)
    for layers in (0, 2, 6):
        upper = UpperLayers(encoder, TEXTS, layers=layers, cache=tmp_path)
        with torch.no_grad():
            made = upper.vectors(np.arange(5)).numpy()
        # States are kept as float16.
        np.testing.assert_allclose(made, whole, atol=2e-3)
        with torch.no_grad():
            some = upper.vectors(np.array([3, 0])).numpy()
        np.testing.assert_allclose(some, made[[3, 0]], atol=1e-5)
    assert len(list(tmp_path.iterdir())) == 3
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    UpperLayers(encoder, TEXTS, layers=2, cache=tmp_path)
    UpperLayers(encoder, TEXTS[:2], layers=2, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_trained_layers_are_copies_and_settle_into_a_whole_model() -> None:
    encoder = SentenceEncoder()
    before = encoder.encode(TEXTS)
    upper = UpperLayers(encoder, TEXTS, layers=1)
    with torch.no_grad():
        for parameter in upper.parameters().values():
            parameter.mul_(1.1)
        trained = upper.vectors(np.arange(5)).numpy()
    assert np.array_equal(encoder.encode(TEXTS), before)
    settled = encoder.encode(TEXTS, model=upper.settled())
    np.testing.assert_allclose(settled, trained, atol=2e-3)
    assert not np.allclose(settled, before, atol=1e-2)


def test_gradients_reach_the_trained_layers_only() -> None:
    upper = UpperLayers(SentenceEncoder(), TEXTS, layers=2)
    upper.vectors(np.arange(5)).sum().backward()
    assert all(parameter.grad is not None for parameter in upper.parameters().values())
    assert len(upper.layers) == 2


def test_more_layers_than_there_are_or_no_text_is_refused() -> None:
    with pytest.raises(QueryShapeError, match="7 layers of 5 texts"):
        UpperLayers(SentenceEncoder(), TEXTS, layers=7)
    with pytest.raises(QueryShapeError, match="0 texts"):
        UpperLayers(SentenceEncoder(), [], layers=1)


def composed() -> ComposedEncoder:
    trainee = ComposedTrainee(TEXTS, np.arange(5), layers=1, min_count=1, seed=3)
    with torch.no_grad():
        for parameter in trainee.dense.values():
            parameter.mul_(1.05)
    return trainee.encoder()


def test_the_vector_is_the_normalised_sum_of_both_parts() -> None:
    encoder = composed()
    meaning = encoder.sentence.encode(TEXTS, model=encoder._model) @ encoder.projection
    means = np.zeros((5, encoder.dim))
    for row, text in enumerate(TEXTS):
        features = encoder.bag.features([text]).values
        if len(features):
            means[row] = encoder.bag.weights[features].mean(axis=0)
    sums = meaning + BAG_WEIGHT * means
    expected = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)


def test_training_and_serving_see_the_same_vectors() -> None:
    trainee = ComposedTrainee(TEXTS, np.arange(4), layers=1, min_count=1)
    with torch.no_grad():
        graph = trainee.vectors(np.array([4, 2, 0])).numpy()
    np.testing.assert_allclose(trainee.encoded()[[4, 2, 0]], graph, atol=1e-5)
    np.testing.assert_allclose(trainee.encoder().encode(TEXTS), trainee.encoded(), atol=3e-3)


def test_a_text_has_the_same_vector_alone_and_among_others() -> None:
    encoder = composed()
    together = encoder.encode(TEXTS)
    for row, text in enumerate(TEXTS):
        np.testing.assert_allclose(encoder.encode([text])[0], together[row], atol=1e-5)


def test_a_saved_encoder_is_loaded_as_it_was_by_us_and_by_sentence_transformers(
    tmp_path: Path,
) -> None:
    from sentence_transformers import SentenceTransformer

    encoder = composed()
    encoder.save(tmp_path)
    loaded = load_encoder(tmp_path)
    np.testing.assert_allclose(loaded.encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)
    assert loaded.fingerprint == encoder.fingerprint
    frozen = ComposedTrainee(TEXTS, np.arange(5), min_count=1).encoder()
    frozen.save(tmp_path / "frozen")
    assert load_encoder(tmp_path / "frozen").fingerprint == frozen.fingerprint
    assert frozen.fingerprint != encoder.fingerprint
    plain = SentenceTransformer(str(tmp_path), device="cpu", trust_remote_code=True)
    np.testing.assert_allclose(plain.encode(list(TEXTS)), encoder.encode(TEXTS), atol=1e-5)
    bag = BagOfWordsEncoder.fit(TEXTS, dim=8, min_count=1)
    bag.save(tmp_path / "bow")
    plain = SentenceTransformer(str(tmp_path / "bow"), device="cpu", trust_remote_code=True)
    np.testing.assert_allclose(plain.encode(list(TEXTS)), bag.encode(TEXTS), atol=1e-6)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    encoder = composed()
    encoder.save(tmp_path)
    (tmp_path / "projection.safetensors").write_bytes(b"half")
    with pytest.raises(ModelFileError, match="train again"):
        load_encoder(tmp_path)
    (tmp_path / "encoder.json").write_text('{"encoder": "tree"}')
    with pytest.raises(ModelFileError, match="'tree'"):
        load_encoder(tmp_path)
    with pytest.raises(ModelFileError, match="does not fit"):
        ComposedEncoder(encoder.sentence, encoder.projection[:, :5], encoder.bag)
