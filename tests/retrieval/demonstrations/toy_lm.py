"""A random causal language model of two layers with a tokenizer of bytes, and the slow scorer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from retrieval.causal_lm import CausalLM

WORDS = "a dull and gripping film great terrible SUBJ causes OBJ is made by of the part\n\t"


def byte_tokenizer(texts: Sequence[str], *, size: int) -> Any:
    """All bytes, and the merges that some texts give."""
    toy = Tokenizer(models.BPE())
    toy.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    toy.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<bos>", "<eos>"],
        show_progress=False,
    )
    toy.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=toy, bos_token="<bos>", eos_token="<eos>")


@cache
def tokenizer() -> Any:
    return byte_tokenizer([WORDS] * 3, size=320)


def toy_model(
    kind: str = "llama", *, seed: int = 0, size: int | None = None, longest: int = 512
) -> Any:
    """Weights large enough that its distributions are far from uniform."""
    torch.manual_seed(seed)
    size = size or len(tokenizer())
    if kind == "llama":
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=size,
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=longest,
                initializer_range=0.3,
                bos_token_id=0,
                eos_token_id=1,
            )
        )
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=size,
            n_embd=32,
            n_layer=2,
            n_head=4,
            n_positions=longest,
            initializer_range=0.3,
            bos_token_id=0,
            eos_token_id=1,
        )
    )


@cache
def toy_lm(kind: str = "llama", seed: int = 0) -> CausalLM:
    return CausalLM(toy_model(kind, seed=seed), tokenizer())


def naive_mean_log_prob(lm: CausalLM, prompt: Sequence[int], answer: Sequence[int]) -> float:
    """One plain pass over prompt and answer: no sharing, no padding, the whole vocabulary."""
    with torch.inference_mode():
        logits = lm.model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0].double()
    log_probs = torch.log_softmax(logits, -1)
    start = len(prompt) - 1
    picked = [float(log_probs[start + at, token]) for at, token in enumerate(answer)]
    return sum(picked) / len(picked)
