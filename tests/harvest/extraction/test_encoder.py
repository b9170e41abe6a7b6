"""Word states come back in order, one row per word, and do not depend on other documents."""

import numpy as np
import pytest

from harvest.extraction.encoder import BATCH, EncoderMissing, FrozenEncoder

WORDS = "Marie Curie was born in Warsaw and studied radioactivity in Paris .".split()


def test_one_row_per_word_in_the_given_order() -> None:
    encoder = FrozenEncoder()
    long, short = encoder.words([WORDS, WORDS[:3]])
    assert long.shape == (len(WORDS), encoder.width)
    assert short.shape == (3, encoder.width)
    assert np.abs(long).sum() > 0 and not np.allclose(long[:3], short)  # context matters


def test_padding_changes_nothing_that_survives_rounding() -> None:
    encoder = FrozenEncoder()
    [alone] = encoder.words([WORDS[:4]])
    together = encoder.words([WORDS[:4]] + [WORDS * 3] * BATCH)[0]
    np.testing.assert_allclose(alone, together, atol=1e-4)


def test_words_behind_the_longest_input_have_no_state() -> None:
    [states] = FrozenEncoder().words([["word"] * 400])
    assert states.shape[0] == 400
    assert states[0].any() and not states[399].any()


def test_equal_meaning_lies_nearer_than_other_meaning() -> None:
    vectors = FrozenEncoder().texts(["was born in", "birthplace", "exports of wine"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_a_folder_that_is_no_model_is_refused(tmp_path: object) -> None:
    with pytest.raises(EncoderMissing, match=r"tokenizer\.json"):
        FrozenEncoder(tmp_path)  # type: ignore[arg-type]
