from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from retrieval.causal_lm import CausalLM
from retrieval.demonstrations.score_store import ScoreStore
from retrieval.demonstrations.scorer import LMScorer, Pair, normalised
from retrieval.demonstrations.task import Demo
from retrieval.demonstrations.template import PromptTemplate
from retrieval.demonstrations.tree_reader import TreeReader
from retrieval.errors import NonFiniteScores, QueryShapeError
from tests.retrieval.demonstrations.toy_lm import (
    naive_mean_log_prob,
    tokenizer,
    toy_lm,
    toy_model,
)

LABELS = (
    "great",
    "terrible",
    "SUBJ causes OBJ",
    "OBJ causes SUBJ",
    "SUBJ is made by OBJ",
    "SUBJ is part of OBJ",
    "SUBJ",  # the beginning of another label
    "\u4e2d\u6587 \U0001f600",
)


def sentences(seed: int, n: int) -> list[str]:
    rng = random.Random(seed)
    words = "a dull gripping film of the part SUBJ OBJ causes and ' \u00e9 {x} zzz".split()
    return [" ".join(rng.choices(words, k=rng.randint(1, 12))) for _ in range(n)]


def demos(seed: int, n: int) -> list[Demo]:
    rng = random.Random(seed)
    return [Demo(str(at), text, rng.choice(LABELS)) for at, text in enumerate(sentences(seed, n))]


def naive(scorer: LMScorer, prompts, labels=LABELS):  # type: ignore[no-untyped-def]
    return np.array(
        [
            [
                naive_mean_log_prob(
                    scorer.lm, scorer.prompt_ids(input, shown), scorer.answer_ids(label)
                )
                for label in labels
            ]
            for input, shown in prompts
        ]
    )


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("capacity", [8, 64, 192])
def test_one_demonstration_each(kind: str, capacity: int) -> None:
    scorer = LMScorer(toy_lm(kind), capacity=capacity)
    pool = demos(1, 5)
    prompts = [(text, [pool[at % 5]]) for at, text in enumerate(sentences(2, 14))]
    found = scorer.label_log_probs(prompts, LABELS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, naive(scorer, prompts), atol=1e-5)


@pytest.mark.parametrize("capacity", [16, 48, 400])
@pytest.mark.parametrize("bos", [False, True])
def test_a_shared_prompt_is_a_trunk(capacity: int, bos: bool) -> None:
    scorer = LMScorer(toy_lm(), capacity=capacity, bos=bos)
    pool = demos(3, 8)
    prompts = [(text, pool) for text in sentences(4, 9)]
    prompts += [(text, pool[:3] + demos(5, 2)) for text in sentences(6, 4)]
    prompts += [(text, []) for text in sentences(7, 3)]
    found = scorer.label_log_probs(prompts, LABELS)
    np.testing.assert_allclose(found, naive(scorer, prompts), atol=1e-5)


def test_the_head_runs_in_slices_of_many_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.causal_lm.HEAD_ROWS", 5)
    scorer = LMScorer(toy_lm())
    prompts = [(text, demos(1, 1)) for text in sentences(2, 5)]
    np.testing.assert_allclose(
        scorer.label_log_probs(prompts, LABELS), naive(scorer, prompts), atol=1e-5
    )


def test_generation_scores_are_means_over_answer_tokens() -> None:
    scorer = LMScorer(toy_lm())
    pairs = [
        Pair(text, answer, demos(at, 1))
        for at, (text, answer) in enumerate(zip(sentences(1, 10), sentences(9, 10), strict=True))
    ]
    slow = [
        naive_mean_log_prob(
            scorer.lm, scorer.prompt_ids(pair.input, pair.demos), scorer.answer_ids(pair.answer)
        )
        for pair in pairs
    ]
    np.testing.assert_allclose(scorer.score(pairs), slow, atol=1e-5)


def test_with_labels_the_score_is_the_share_of_the_answer() -> None:
    scorer = LMScorer(toy_lm())
    pairs = [
        Pair(text, label, demos(1, 2)) for text, label in zip(sentences(2, 8), LABELS, strict=True)
    ]
    means = naive(scorer, [(pair.input, pair.demos) for pair in pairs])
    powers = np.exp(means)
    gold = [LABELS.index(pair.answer) for pair in pairs]
    slow = powers[np.arange(len(pairs)), gold] / powers.sum(1)
    np.testing.assert_allclose(scorer.score(pairs, labels=LABELS), slow, atol=1e-5)
    # The paper's scorer as released leaves the normaliser out: those are other values.
    assert np.abs(scorer.score(pairs) - slow).max() > 0.1


def test_shares_do_not_overflow() -> None:
    shares = normalised(np.array([[-1000.0, -1001.0], [0.0, 0.0]], np.float32))
    np.testing.assert_allclose(shares, [[0.7310586, 0.2689414], [0.5, 0.5]], atol=1e-6)


def test_scores_do_not_depend_on_order_or_company() -> None:
    scorer = LMScorer(toy_lm(), capacity=40)
    pairs = [Pair(text, "great", demos(at % 3, 2)) for at, text in enumerate(sentences(8, 12))]
    together = scorer.score(pairs)
    np.testing.assert_allclose(scorer.score(pairs[::-1])[::-1], together, atol=1e-5)
    alone = [float(scorer.score([pair])[0]) for pair in pairs]
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_equal_questions_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = LMScorer(toy_lm())
    read = tokens_read(monkeypatch)
    scorer.score([Pair("a film", "great", demos(1, 1))])
    once = sum(read)
    read.clear()
    scores = scorer.score([Pair("a film", "great", demos(1, 1))] * 5)
    assert sum(read) == once
    assert len(set(scores.tolist())) == 1


def tokens_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    read: list[int] = []
    plain = CausalLM.states

    def counted(self, ids, **rest):  # type: ignore[no-untyped-def]
        read.append(ids.numel())
        return plain(self, ids, **rest)

    monkeypatch.setattr(CausalLM, "states", counted)
    return read


def test_shared_tokens_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = LMScorer(toy_lm())
    pool = demos(3, 8)
    queries = sentences(4, 20)
    prefix = len(scorer.prompt_ids("", pool)) - len(scorer.prompt_ids("", []))
    own = sum(len(scorer.prompt_ids(text, [])) for text in queries)
    read = tokens_read(monkeypatch)
    scorer.score([Pair(text, "great", pool) for text in queries])
    answer = len(scorer.answer_ids("great"))
    # The prefix once; each query, its answer but for the last token; little padding.
    assert sum(read) < 1.2 * (prefix + own + len(queries) * (answer - 1))


def test_empty_calls_give_empty_arrays() -> None:
    scorer = LMScorer(toy_lm())
    assert scorer.score([]).shape == (0,)
    assert scorer.score([], labels=LABELS).shape == (0,)
    assert scorer.label_log_probs([], LABELS).shape == (0, len(LABELS))


def test_text_in_braces_is_text() -> None:
    scorer = LMScorer(toy_lm())
    pairs = [Pair("{input} {0}", "{output}", [Demo("1", "{x}", "{}")])]
    slow = naive_mean_log_prob(
        scorer.lm, scorer.lm.ids("{x}\t{}\n{input} {0}\t"), scorer.lm.ids("{output}")
    )
    # Parts are encoded one by one, so compare with the parts' ids.
    parts = [*scorer.lm.ids("{x}\t{}\n"), *scorer.lm.ids("{input} {0}\t")]
    slow = naive_mean_log_prob(scorer.lm, parts, scorer.lm.ids("{output}"))
    assert scorer.score(pairs)[0] == pytest.approx(slow, abs=1e-5)


def test_an_answer_is_written_as_the_demonstrations_write_it() -> None:
    template = PromptTemplate("{input} is {output}\n", "{input} is", answer=" {output}")
    scorer = LMScorer(toy_lm(), template)
    shown = scorer.lm.ids(template.demonstration(Demo("1", "a film", "great")))
    asked = [*scorer.prompt_ids("a film"), *scorer.answer_ids("great"), *scorer.lm.ids("\n")]
    assert shown == asked


def test_hostile_questions_are_refused() -> None:
    scorer = LMScorer(toy_lm())
    with pytest.raises(QueryShapeError, match="none of the labels"):
        scorer.score([Pair("a film", "fine")], labels=LABELS)
    with pytest.raises(QueryShapeError, match="has no token"):
        scorer.score([Pair("a film", "")])
    with pytest.raises(QueryShapeError, match="must differ"):
        scorer.label_log_probs([("a film", [])], ["great", "great"])
    with pytest.raises(QueryShapeError, match="must differ"):
        scorer.label_log_probs([("a film", [])], [])
    with pytest.raises(QueryShapeError, match="reads 512"):
        scorer.score([Pair("film " * 600, "great")])
    empty = LMScorer(toy_lm(), PromptTemplate("{input}{output}", "{input}"))
    with pytest.raises(QueryShapeError, match="bos=True"):
        empty.score([Pair("", "great")])
    with_bos = LMScorer(toy_lm(), PromptTemplate("{input}{output}", "{input}"), bos=True)
    assert np.isfinite(with_bos.score([Pair("", "great")])).all()


def test_a_broken_model_gives_an_error_not_a_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = CausalLM(toy_model(), tokenizer())
    with torch.no_grad():
        lm.model.model.norm.weight[0] = float("nan")
    with pytest.raises(NonFiniteScores):
        LMScorer(lm).score([Pair("a film", "great")])


def test_a_store_resumes_and_keeps_models_and_templates_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [(text, demos(1, 1)) for text in sentences(2, 30)]
    distinct = len({text for text, _ in prompts}) * len(LABELS)
    plain = LMScorer(toy_lm(), capacity=40).label_log_probs(prompts, LABELS)

    class Killed(Exception):
        pass

    with ScoreStore(tmp_path / "scores.sqlite") as store:
        scorer = LMScorer(toy_lm(), store=store, capacity=40)
        calls = 0
        read_rows = TreeReader._read_rows

        def dying(self, *rest):  # type: ignore[no-untyped-def]
            nonlocal calls
            calls += 1
            if calls > 2:
                raise Killed
            return read_rows(self, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(TreeReader, "_read_rows", dying)
            with pytest.raises(Killed):
                scorer.label_log_probs(prompts, LABELS)
        kept = len(store)
        assert 0 < kept < plain.size

    with ScoreStore(tmp_path / "scores.sqlite") as store:
        assert len(store) == kept
        scorer = LMScorer(toy_lm(), store=store, capacity=40)
        np.testing.assert_allclose(scorer.label_log_probs(prompts, LABELS), plain, atol=1e-5)
        assert len(store) == distinct
        read = tokens_read(monkeypatch)
        again = scorer.score([Pair(*prompt[:1], "great", prompt[1]) for prompt in prompts])
        np.testing.assert_allclose(again, plain[:, 0], atol=1e-5)
        assert not read  # all known
        other = PromptTemplate("{input} = {output}\n", "{input} =", " {output}")
        LMScorer(toy_lm(), other, store=store).score([Pair("a film", "great")])
        assert len(store) == distinct + 1
        LMScorer(toy_lm(seed=1), store=store).score([Pair(prompts[0][0], "great", prompts[0][1])])
        assert len(store) == distinct + 2
