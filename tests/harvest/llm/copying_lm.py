"""A random language model of two layers whose tokenizer has the signs of an answer whole."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from retrieval.causal_lm import CausalLM

TEXT = (
    "Sentence: Marie Curie was born in Warsaw.\nTriples: Marie Curie | place of birth | Warsaw; "
    "Marie Curie | date of birth | 7 November 1867\n"
)


@cache
def _tokenizer() -> Any:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<bos>", "<eos>"],
        show_progress=False,
    )
    made.train_from_iterator([TEXT] * 3 + [" | | |"] * 20, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<bos>", eos_token="<eos>")


@cache
def random_lm(seed: int = 0) -> CausalLM:
    """Weights large enough that its choices are far from even."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(_tokenizer()),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
    )
    return CausalLM(LlamaForCausalLM(config), _tokenizer())
