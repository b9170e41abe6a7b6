"""The trained encoder: gradients, cached or not, frozen layers, and what is saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from retrieval.demonstrations.encoded_text import demo_text, query_text
from retrieval.demonstrations.grad_cache import cached_backward
from retrieval.demonstrations.objectives import LabelLesson
from retrieval.demonstrations.training_run import RunOptions, run
from retrieval.encoders.trainable import TrainableEncoder
from retrieval.errors import (
    ModelFileError,
    QueryShapeError,
)
from tests.retrieval.demonstrations.toy_encoder import toy_encoder
from tests.retrieval.demonstrations.toy_tasks import kinds


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
