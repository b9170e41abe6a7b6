from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks import lm_scoring
from retrieval.causal_lm import CausalLM
from tests.retrieval.demonstrations.toy_lm import toy_lm


def test_both_ways_give_the_same_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(model: Any, device: str) -> CausalLM:
        return toy_lm()

    monkeypatch.setattr(CausalLM, "load", load)
    monkeypatch.setattr("sys.argv", ["lm_scoring", "--queries", "3", "--shown", "4", "--json"])
    lm_scoring.main()
    found = json.loads(capsys.readouterr().out)
    assert set(found["ratio"]) == {"generation", "classification", "generation_unshared"}
    assert found["parts"]["generation"]["pairs"] == 12
    assert found["parts"]["classification"]["labels"] == 18
    assert found["parts"]["classification"]["pairs"] == 3
    for part in found["parts"].values():
        assert part["worst_difference"] < 1e-5
        assert part["ratio"] > 0
