"""A toy encoder, made once for each file of tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.encoders.trainable import TrainableEncoder
from tests.retrieval.demonstrations.toy_encoder import toy_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_encoder(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def encoder(folder: Path) -> TrainableEncoder:
    return TrainableEncoder(folder)
