"""The frozen sentence encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrieval.encoders.sentence import BATCH, SentenceEncoder
from retrieval.errors import ModelFileError


def test_vectors_do_not_depend_on_what_stands_beside_a_text() -> None:
    encoder = SentenceEncoder()
    texts = [f"Text number {at} " * (1 + at % 7) for at in range(BATCH + 5)]
    together = encoder.encode(texts)
    assert together.shape == (len(texts), encoder.dim)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    # The slow twin: one text at a time.
    for at in (0, 6, BATCH, BATCH + 4):
        assert np.allclose(encoder.encode([texts[at]])[0], together[at], atol=1e-5)
    assert encoder.encode([]).shape == (0, encoder.dim)
    assert len(encoder.fingerprint) == 16


def test_synonyms_are_nearer_than_other_words() -> None:
    city, town, music = SentenceEncoder().encode(["a big city", "a large town", "loud music"])
    assert city @ town > city @ music


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="holds no config"):
        SentenceEncoder(tmp_path)
