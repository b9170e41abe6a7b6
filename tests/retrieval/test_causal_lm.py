from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from retrieval.causal_lm import CausalLM
from retrieval.demonstrations.scorer import LMScorer
from retrieval.demonstrations.task import Demo
from retrieval.demonstrations.template import PromptTemplate
from retrieval.errors import ModelFileError
from tests.retrieval.demonstrations.toy_lm import (
    naive_mean_log_prob,
    tokenizer,
    toy_lm,
    toy_model,
)


def test_a_folder_is_read_silently_and_known_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = toy_model()
    model.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    capfd.readouterr()
    lm = CausalLM.load(tmp_path)
    assert capfd.readouterr() == ("", "")
    assert lm.fingerprint == toy_lm().fingerprint
    assert lm.ids("great film") == toy_lm().ids("great film")
    assert lm.text(lm.ids("great \u00e9")) == "great \u00e9"
    assert lm.bos == (0,)
    assert lm.eos == {1}
    assert lm.longest == 512


def test_other_weights_have_another_fingerprint() -> None:
    assert toy_lm(seed=1).fingerprint != toy_lm().fingerprint
    assert toy_lm("gpt2").fingerprint != toy_lm().fingerprint


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="does not exist"):
        CausalLM.load(tmp_path / "none.gguf")
    with pytest.raises(ModelFileError, match="no causal language model"):
        CausalLM.load(tmp_path)


def test_a_model_with_more_than_a_head_is_refused() -> None:
    class Capped(torch.nn.Module):
        """Logits that are squashed after the head."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = toy_model()
            self.base_model, self.device, self.dtype = (
                self.inner.base_model,
                self.inner.device,
                self.inner.dtype,
            )

        def get_output_embeddings(self) -> Any:
            return self.inner.get_output_embeddings()

        def forward(self, **rest: Any) -> Any:
            answer = self.inner(**rest)
            answer.logits = torch.tanh(answer.logits)
            return answer

    with pytest.raises(ModelFileError, match="cannot be scored"):
        CausalLM(Capped(), tokenizer())


def test_a_model_that_ignores_its_mask_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy_model()
    plain = type(model.base_model).forward

    def forward(self: Any, input_ids: Any = None, cache: Any = None, **rest: Any) -> Any:
        return plain(self, input_ids=input_ids)

    monkeypatch.setattr(type(model.base_model), "forward", forward)
    with pytest.raises(ModelFileError, match="cannot be scored"):
        CausalLM(model, tokenizer())


@pytest.mark.slow
def test_the_installed_model_writes_and_scores(capfd: pytest.CaptureFixture[str]) -> None:
    lm = CausalLM.load()
    assert capfd.readouterr() == ("", "")
    scorer = LMScorer(lm, PromptTemplate("{input} {output}.\n", "{input}", " {output}"))
    shown = [
        Demo("1", "The capital of Italy is", "Rome"),
        Demo("2", "The capital of Spain is", "Madrid"),
    ]
    prompts = [
        ("The capital of France is", shown),
        ("The capital of Japan is", shown),
        ("The capital of Japan is", shown[:1]),
    ]
    labels = ["Paris", "Tokyo", "Rome", "Mexico City", "Mexico"]
    found = scorer.label_log_probs(prompts, labels)
    assert found.argmax(1).tolist() == [0, 1, 1]
    slow = [
        [
            naive_mean_log_prob(lm, scorer.prompt_ids(*prompt), scorer.answer_ids(label))
            for label in labels
        ]
        for prompt in prompts
    ]
    assert abs(found - slow).max() < 1e-4  # thirty layers in float32; 1e-5 of values up to 10
    assert scorer.generate(prompts[:2], max_tokens=8, stop=".") == [" Paris", " Tokyo"]
