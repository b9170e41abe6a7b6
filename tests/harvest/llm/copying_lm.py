"""A random language model of two layers whose tokenizer has the signs of an answer whole."""

from __future__ import annotations

from functools import cache

from retrieval.causal_lm import CausalLM
from tests.retrieval.demonstrations.toy_lm import byte_tokenizer, toy_model

TEXT = (
    "Sentence: Marie Curie was born in Warsaw.\nTriples: Marie Curie | place of birth | Warsaw; "
    "Marie Curie | date of birth | 7 November 1867\n"
)


@cache
def random_lm(seed: int = 0) -> CausalLM:
    """Weights large enough that its choices are far from even."""
    tokenizer = byte_tokenizer([TEXT] * 3 + [" | | |"] * 20, size=330)
    return CausalLM(toy_model(seed=seed, size=len(tokenizer), longest=2048), tokenizer)
