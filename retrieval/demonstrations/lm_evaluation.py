"""How a task is put to a language model, what it says of candidates, and the claim itself.

`feedback` asks which single demonstration helps with training queries: what a retriever is trained
from. `claim` asks the model with eight demonstrations of each row: the figure that demonstration
retrieval is for. Beside the model's accuracy always stands the vote of the same demonstrations: a
model that stays below it has copied labels and added errors (`gate`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.demonstrations.baselines import balanced_hits
from retrieval.demonstrations.datasets import TaskData
from retrieval.demonstrations.evaluation import hits_of
from retrieval.demonstrations.measures import (
    answer_is_right,
    figures,
    gold_beside,
    interval,
    macro_f1,
    paired_bootstrap,
    vote_is_right,
)
from retrieval.demonstrations.mining import lexical_candidates
from retrieval.demonstrations.scorer import LMScorer, normalised
from retrieval.demonstrations.task import Demo, Task
from retrieval.demonstrations.template import Order, PromptTemplate, arranged

if TYPE_CHECKING:
    from retrieval.causal_lm import CausalLM
    from retrieval.demonstrations.retriever import DemonstrationRetriever
    from retrieval.demonstrations.score_store import ScoreStore

__all__ = [
    "Candidates",
    "answers",
    "claim",
    "claim_rows",
    "drawn_candidates",
    "drawn_queries",
    "feedback",
    "feedback_figures",
    "task_scorer",
]

#: (name of a row) → demonstrations of each query, best first.
type Rows = Mapping[str, Sequence[Sequence[Demo]]]
#: Id of a query → ids of its candidates.
type Candidates = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class _Format:
    """A template, and whether the prompt begins with the model's first token."""

    template: PromptTemplate
    bos: bool = False


def task_scorer(lm: CausalLM, task: str, *, store: ScoreStore | None = None) -> LMScorer:
    """Return the scorer of a task, with the format chosen for it (UDR's for tasks of the user)."""
    chosen = _FORMATS.get(task, _Format(PromptTemplate()))
    return LMScorer(lm, chosen.template, store=store, bos=chosen.bos)


def drawn_queries(pool: Sequence[Demo], n: int, *, seed: int) -> list[Demo]:
    """Return `n` demonstrations of a pool, drawn by the seed; smaller draws begin larger ones."""
    order = np.random.default_rng(seed).permutation(len(pool))[:n]
    return [pool[at] for at in order.tolist()]


def drawn_candidates(
    task: Task, queries: Sequence[Demo], *, n: int, among: int = 50, seed: int = 0
) -> Candidates:
    """Return for each query, by id, `n` of its `among` best by BM25, drawn by the seed.

    They stand in BM25's order. A query is never its own candidate.
    """
    found = lexical_candidates(task, queries, k=among)
    answer = {}
    for at, query in enumerate(queries):
        ids = found[query.id]
        drawn = np.random.default_rng((seed, at)).permutation(len(ids))[:n]
        answer[query.id] = [ids[place] for place in sorted(drawn.tolist())]
    return answer


def feedback(scorer: LMScorer, task: Task, candidates: Candidates) -> list[dict[str, Any]]:
    """Return for each query its candidates' scores: rows that `read_scored` reads.

    Keys: `query`, `candidates`, `scores` (share of the gold label after this one demonstration),
    `gold_log_probs` (its mean log-probability), `right` (whether the model says it).
    """
    pool = {demo.id: demo for demo in task.demos}
    prompts = [(pool[query].input, [pool[id]]) for query, ids in candidates.items() for id in ids]
    means = scorer.label_log_probs(prompts, task.labels)
    shares = normalised(means)
    rows, start = [], 0
    for query, ids in candidates.items():
        gold = task.labels.index(pool[query].output)
        here = slice(start, start + len(ids))
        rows.append(
            {
                "query": query,
                "candidates": ids,
                "scores": shares[here, gold].tolist(),
                "gold_log_probs": means[here, gold].tolist(),
                "right": (means[here].argmax(1) == gold).tolist(),
            }
        )
        start += len(ids)
    return rows


def feedback_figures(task: Task, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return what one demonstration does, of the rows of `feedback`.

    Keys: accuracy with a candidate by chance (`lm_any`), with the first by BM25 (`lm_first`), with
    the best by the model's own score (`lm_oracle`: no retriever that ranks these candidates does
    better); and how much of it is copying: the gold label's mean share after a demonstration with
    that label (`share_same_label`) and after another (`share_other_label`), and how often the best
    candidate has the gold label (`best_has_label`; by chance `any_has_label`).
    """
    outputs = {demo.id: demo.output for demo in task.demos}
    best = [int(np.argmax(row["scores"])) for row in rows]
    same = [[outputs[id] == outputs[row["query"]] for id in row["candidates"]] for row in rows]
    flat = np.concatenate([np.array(one, bool) for one in same])
    shares = np.concatenate([np.array(row["scores"]) for row in rows])

    def mean(values: Any) -> float:
        return round(float(np.mean(values)), 6) if len(values) else 0.0

    return {
        "queries": len(rows),
        "lm_any": mean(np.concatenate([row["right"] for row in rows])),
        "lm_first": mean([row["right"][0] for row in rows]),
        "lm_oracle": mean([row["right"][at] for row, at in zip(rows, best, strict=True)]),
        "share_same_label": mean(shares[flat]),
        "share_other_label": mean(shares[~flat]),
        "best_has_label": mean([own[at] for own, at in zip(same, best, strict=True)]),
        "any_has_label": mean(flat),
    }


def claim_rows(
    data: TaskData,
    retrievers: Mapping[str, DemonstrationRetriever],
    *,
    k: int = 8,
    seeds: int = 3,
    shuffled: Collection[str] = (),
) -> dict[str, Sequence[Sequence[Demo]]]:
    """Return demonstrations of each query: fixed sets by chance, then each retriever's.

    `random-0`, … and `balanced-0`, … (labels in turn) are the same `k` for all queries, as a prompt
    written once would have, so their keys and values are computed once. `NAME-shuffled` is what a
    retriever named in `shuffled` finds, in an order by chance.
    """
    pool = data.task.demos
    rows: dict[str, Sequence[Sequence[Demo]]] = {}
    for seed in range(seeds):
        rows[f"random-{seed}"] = [drawn_queries(pool, k, seed=100 + seed)] * len(data.test)
    for seed in range(seeds):
        (fixed,) = balanced_hits(data, [()], k=k, seed=100 + seed)
        rows[f"balanced-{seed}"] = [fixed] * len(data.test)
    for name, one in retrievers.items():
        hits = hits_of(one, data, k=k)
        rows[name] = hits
        if name in shuffled:
            draw = np.random.default_rng(seeds)
            rows[f"{name}-shuffled"] = [
                [found[at] for at in draw.permutation(len(found)).tolist()] for found in hits
            ]
    return rows


def claim(
    scorer: LMScorer,
    data: TaskData,
    rows: Rows,
    *,
    order: Order = "ascending",
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Return the model's accuracy with each row's demonstrations, and the vote of the same.

    Args:
        scorer: of the task.
        data: its test is asked.
        rows: of each the demonstrations of each query, best first. A row that is the same for all
            queries costs one reading of its prompt.
        order: of demonstrations in the prompt.
        progress: called with the name of each row that is done.

    Each row has `lm` (accuracy), its interval, `lm_macro_f1`, the figures of `measures`, `gate`
    (model above vote) with the paired difference, and `against`: paired differences of the model's
    accuracy to each earlier row.
    """
    right: dict[str, Any] = {}
    answer: dict[str, Any] = {}
    for name, hits in rows.items():
        said = answers(scorer, data, hits, order=order)
        right[name] = answer_is_right(said, data.test).astype(float)
        voted = vote_is_right(hits, data.test)
        answer[name] = {
            "lm": round(float(right[name].mean()), 6),
            "lm_interval": interval(right[name]),
            "lm_macro_f1": round(macro_f1(said, gold_beside(said, data.test)), 6),
            **figures(hits, data.test),
            "gate": bool(right[name].mean() > voted.mean()),
            "lm_minus_vote": paired_bootstrap(right[name], voted),
            "against": {
                other: paired_bootstrap(right[name], values)
                for other, values in right.items()
                if other != name
            },
            "right": right[name].astype(int).tolist(),
        }
        if progress:
            progress(name)
    return answer


def answers(
    scorer: LMScorer,
    data: TaskData,
    hits: Sequence[Sequence[Demo]],
    *,
    order: Order = "ascending",
) -> list[str]:
    """Return the label that the model finds likeliest for each query of the test."""
    prompts = [
        (query.input, arranged(found, order)) for query, found in zip(data.test, hits, strict=True)
    ]
    means = scorer.label_log_probs(prompts, data.task.labels)
    return [data.task.labels[at] for at in means.argmax(1).tolist()]


def _labelled(before: str, asks: str) -> PromptTemplate:
    query = f"{before} {{input}}\n{asks}"
    return PromptTemplate(f"{query} {{output}}\n\n", query, answer=" {output}")


#: Chosen on 50 training queries with SmolLM2 and eight fixed demonstrations, by the mean log share
#: of the gold label; accuracy of UDR's own format (a tab) → of the chosen one.
_FORMATS: Final[Mapping[str, _Format]] = {
    # .56 → .78; "Review: … Sentiment: …" .84, but a lower share.
    "sst2": _Format(
        PromptTemplate("{input} It was {output}.\n", "{input} It was", " {output}"), True
    ),
    "trec": _Format(_labelled("Question:", "Type:"), True),  # .40 → .62
    "subj": _Format(_labelled("Sentence:", "Type:"), True),  # .64 → .84
    # .08 → .08, chance: nineteen relations are beyond SmolLM2; log share −3.05 → −2.90.
    "semeval-re": _Format(_labelled("Sentence:", "Relation:")),
}
