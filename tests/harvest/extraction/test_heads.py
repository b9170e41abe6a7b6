"""Heads are found by any of their names, and survive being saved."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harvest.extraction.heads import RelationHead, RelationHeads, WeightsMissing
from tests.harvest.extraction.test_pairs import tiny_heads


def test_a_head_goes_by_name_alias_and_inverse() -> None:
    heads = replace(
        tiny_heads(2),
        heads=(
            RelationHead("founded_by", aliases=("founder",), inverse="founder_of"),
            RelationHead("born_in"),
            RelationHead("founder_of_order"),
        ),
    )
    assert heads.find(["Founded By"]) == (0, False)
    assert heads.find(["founder-of"]) == (0, True)
    assert heads.find(["unknown", "born_in"]) == (1, False)
    assert heads.find(["unknown"]) is None


def test_save_and_load_give_the_same_probabilities(tmp_path: Path) -> None:
    heads = tiny_heads(4)
    heads.save(tmp_path)
    again = RelationHeads.load(tmp_path)
    assert again.heads == heads.heads and again.calibration == heads.calibration
    dense = np.random.default_rng(1).normal(size=(3, 20)).astype(np.float32)
    words = [[1, 2], [], [5]]
    np.testing.assert_allclose(
        heads.probabilities(dense, words), again.probabilities(dense, words), atol=5e-3
    )


def test_missing_weights_name_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"harvest\.extraction\.training --data"):
        RelationHeads.load(tmp_path)


def test_the_shipped_heads_fit_into_the_package() -> None:
    heads = RelationHeads.load()
    assert len(heads.heads) >= 60
    assert all(0.5 <= head.threshold <= 0.99 for head in heads.heads)
    assert all(np.isfinite(value).all() for value in heads.tensors.values())
