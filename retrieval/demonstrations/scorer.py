"""How likely a language model finds an answer after demonstrations and a query.

| score | formula | used for |
|---|---|---|
| `score(pairs)` | ℓ(y) = 1/|y| · Σ log p(yᵢ | demos, x, y₍<ᵢ₎) | generation |
| `score(pairs, labels=…)` | e^ℓ(y) / Σ_{y′ ∈ labels} e^ℓ(y′) | classification (UDR, §2.2) |
| `label_log_probs` | ℓ(y) for every label | a label as prediction: the largest |

ℓ is the mean over the answer's tokens, so long labels are not put at a disadvantage.

Every score of a call is computed in one go: equal token sequences once, stored ones not at all, and
what several share (demonstrations, queries, the beginnings of labels) once, by the tree of
`token_tree`. The vocabulary's product is formed for answer tokens only. All of this is exact: the
values are those of one plain pass per answer, up to rounding (1e-5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.causal_lm import CausalLM
from retrieval.demonstrations.generation import Allowed, greedy
from retrieval.demonstrations.score_store import ScoreStore, score_key
from retrieval.demonstrations.task import Demo
from retrieval.demonstrations.template import PromptTemplate
from retrieval.demonstrations.tree_reader import CAPACITY, TreeReader
from retrieval.errors import QueryShapeError

__all__ = ["LMScorer", "Pair"]

type Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pair:
    """A query with its answer, and the demonstrations before it, in the order of the prompt."""

    input: str
    answer: str
    demos: Sequence[Demo] = ()


class LMScorer:
    """Scores answers by one causal language model.

    Args:
        lm: the model.
        template: how demonstrations, query and answer are written.
        store: where scores are kept; None: they are computed at each call.
        bos: begin every prompt with the model's own first token.
        capacity: tokens of a row of the batch.

    Raises:
        QueryShapeError: `bos`, and the model has no such token.
    """

    def __init__(
        self,
        lm: CausalLM,
        template: PromptTemplate | None = None,
        *,
        store: ScoreStore | None = None,
        bos: bool = False,
        capacity: int = CAPACITY,
    ) -> None:
        if bos and not lm.bos:
            raise QueryShapeError("this model has no token that begins a text: leave out bos")
        self.lm = lm
        self.template = template or PromptTemplate()
        self.store = store
        self._reader = TreeReader(lm, capacity=capacity)
        self._bos = lm.bos if bos else ()

    def score(self, pairs: Sequence[Pair], *, labels: Sequence[str] | None = None) -> Scores:
        """Return the score of each pair's answer, float32 [pairs]; larger is better.

        Args:
            pairs: what is scored.
            labels: the answers to choose from: the score is then the answer's share among them
                (0 to 1). None: the mean log-probability of the answer's tokens (≤ 0).

        Raises:
            QueryShapeError: an answer is no label or has no token, or a prompt is too long.
            NonFiniteScores: the model gave NaN or infinity.
        """
        if labels is None:
            return self._mean_log_probs(
                [(self.prompt_ids(pair.input, pair.demos), pair.answer) for pair in pairs]
            )
        places = {label: at for at, label in enumerate(labels)}
        for pair in pairs:
            if pair.answer not in places:
                raise QueryShapeError(
                    f"the answer {pair.answer!r} is none of the labels ({', '.join(labels)})"
                )
        means = self.label_log_probs([(pair.input, pair.demos) for pair in pairs], labels)
        gold = [places[pair.answer] for pair in pairs]
        shares: Scores = normalised(means)[np.arange(len(pairs)), gold]
        return shares

    def label_log_probs(
        self, prompts: Sequence[tuple[str, Sequence[Demo]]], labels: Sequence[str]
    ) -> Scores:
        """Return the mean log-probability of every label after each prompt, [prompts, labels].

        Args:
            prompts: (input, demonstrations in the order of the prompt).
            labels: the answers to choose from; they must differ.

        Raises:
            QueryShapeError: no label or one twice, a label without a token, a prompt too long.
            NonFiniteScores: the model gave NaN or infinity.
        """
        if not labels or len(set(labels)) != len(labels):
            raise QueryShapeError(f"labels must differ, and there must be one: {list(labels)}")
        ids = [self.prompt_ids(input, demos) for input, demos in prompts]
        jobs = [(prompt, label) for prompt in ids for label in labels]
        return self._mean_log_probs(jobs).reshape(len(prompts), len(labels))

    def generate(
        self,
        prompts: Sequence[tuple[str, Sequence[Demo]]],
        *,
        max_tokens: int = 64,
        stop: str = "\n",
        allowed: Allowed | None = None,
    ) -> list[str]:
        """Return the greedy answer to each prompt, without `stop` and what comes after it.

        Args:
            prompts: (input, demonstrations in the order of the prompt).
            max_tokens: longest answer.
            stop: text at which an answer ends; empty: only the model's own end.
            allowed: which tokens may come next (`generation`).

        Raises:
            QueryShapeError: a prompt without a token, or too long.
        """
        ids = [self.prompt_ids(input, demos) for input, demos in prompts]
        return greedy(self.lm, ids, max_tokens=max_tokens, stop=stop, allowed=allowed)

    def prompt_ids(self, input: str, demos: Sequence[Demo] = ()) -> tuple[int, ...]:
        """Return the token ids of a prompt: those of its parts, joined."""
        ids = list(self._bos)
        for part in self.template.parts(input, demos):
            ids += self.lm.ids(part)
        return tuple(ids)

    def answer_ids(self, answer: str) -> tuple[int, ...]:
        """Return the token ids of an answer as it follows the query."""
        return tuple(self.lm.ids(self.template.reply(answer)))

    def _mean_log_probs(self, jobs: Sequence[tuple[tuple[int, ...], str]]) -> Scores:
        answers = {answer: self.answer_ids(answer) for _, answer in jobs}
        fingerprint = self.lm.fingerprint if self.store is not None else ""
        keys = []
        todo: dict[bytes, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        for prompt, answer in jobs:
            ids = answers[answer]
            self._check(prompt, answer, ids)
            keys.append(score_key(fingerprint, prompt, ids))
            todo.setdefault(keys[-1], (prompt, ids))
        known = self.store.get(list(todo)) if self.store is not None else {}
        missing = [key for key in todo if key not in known]
        for found in self._reader.mean_log_probs([todo[key] for key in missing]):
            scores = [(missing[at], score) for at, score in found]
            if self.store is not None:
                self.store.put(scores)
            known.update(scores)
        return np.array([known[key] for key in keys], np.float32)

    def _check(self, prompt: Sequence[int], answer: str, ids: Sequence[int]) -> None:
        if not prompt:
            raise QueryShapeError("a prompt has no token: give it an input, or use bos=True")
        if not ids:
            raise QueryShapeError(f"the answer {answer!r} has no token: nothing can be scored")
        if len(prompt) + len(ids) > self.lm.longest:
            raise QueryShapeError(
                f"a prompt has {len(prompt)} tokens and its answer {len(ids)}, the model reads "
                f"{self.lm.longest}: give fewer demonstrations (max_tokens when retrieving)"
            )


def normalised(means: Scores) -> Scores:
    """Return e^ℓ(y) / Σ e^ℓ(y′) over the last axis: the shares of labels.

    >>> normalised(np.log(np.array([[0.1, 0.3]], np.float32))).round(3).tolist()
    [[0.25, 0.75]]
    """
    powers = np.exp(means - means.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True), np.float32)
