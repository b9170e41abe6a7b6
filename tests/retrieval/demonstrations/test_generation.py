from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from retrieval.demonstrations.generation import greedy
from retrieval.demonstrations.scorer import LMScorer
from retrieval.demonstrations.task import Demo
from retrieval.errors import QueryShapeError
from tests.retrieval.demonstrations.toy_lm import toy_lm


def naive_greedy(prompt: Sequence[int], max_tokens: int) -> list[int]:
    """The whole text read again for every token."""
    lm = toy_lm()
    ids = list(prompt)
    for _ in range(max_tokens):
        with torch.inference_mode():
            token = int(lm.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        if token in lm.eos:
            break
        ids.append(token)
    return ids[len(prompt) :]


def test_kept_keys_and_padding_change_nothing() -> None:
    lm = toy_lm()
    texts = ["a dull film", "x", "SUBJ causes OBJ and is part of it\t", "great", "a" * 40] * 4
    prompts = [lm.ids(text) for text in texts]
    slow = [lm.text(naive_greedy(prompt, 12)) for prompt in prompts]
    assert greedy(lm, prompts, max_tokens=12, stop="") == slow
    assert len(set(slow)) > 1


def test_an_answer_ends_before_the_stop_text() -> None:
    lm = toy_lm()
    whole = greedy(lm, [lm.ids("a dull film")], max_tokens=12, stop="")[0]
    stop = whole[3]
    assert greedy(lm, [lm.ids("a dull film")], max_tokens=12, stop=stop) == [
        whole[: whole.index(stop)]
    ]


def test_only_allowed_tokens_come() -> None:
    lm = toy_lm()
    choices = [lm.ids("great"), lm.ids("terrible"), lm.ids("is made by")]

    def allowed(prompt: int, tokens: Sequence[int]) -> set[int]:
        """One of three texts, and then nothing."""
        done = len(tokens)
        return {
            choice[done]
            for choice in choices
            if list(tokens) == choice[:done] and done < len(choice)
        }

    found = LMScorer(lm).generate(
        [(text, [Demo("1", "a film", "great")]) for text in ("a film", "the part of it")],
        allowed=allowed,
    )
    assert set(found) <= {"great", "terrible", "is made by"}


def test_a_constraint_knows_its_prompt_although_prompts_are_sorted() -> None:
    lm = toy_lm()
    words = ["great", "terrible", "film"]

    def allowed(prompt: int, tokens: Sequence[int]) -> list[int]:
        return lm.ids(words[prompt])[len(tokens) : len(tokens) + 1]

    prompts = [(text, []) for text in ("a very long text of many words", "a", "a film")]
    assert LMScorer(lm).generate(prompts, allowed=allowed) == words


def test_hostile_prompts_are_refused() -> None:
    lm = toy_lm()
    assert greedy(lm, []) == []
    with pytest.raises(QueryShapeError, match="no token"):
        greedy(lm, [[]])
    with pytest.raises(QueryShapeError, match="reads 512"):
        greedy(lm, [[1] * 500], max_tokens=64)
