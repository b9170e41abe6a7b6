"""Whether one index over all pools sends a query to its own task, and whether the instruction did.

All pools lie in one retriever and are searched as one (`task=None`); a query carries its task's
instruction. The control gives every query another task's instruction: where the share of hits from
the right task stays, the input decided, where it falls, the instruction did. Tasks that share an
instruction (four ask for sentiment, two for relations) cannot be told apart by it, so the share of
hits from the same *instruction* stands beside it.

No demonstration is in the index whose text stands in the test of any task: four fifths of the test
of SST-2 also lie in the pool of MR.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from retrieval.demonstrations.datasets import TaskData, without_tests
from retrieval.demonstrations.evaluation import sampled
from retrieval.demonstrations.measures import figures
from retrieval.demonstrations.retriever import DemonstrationRetriever
from retrieval.demonstrations.task import Demo
from retrieval.errors import QueryShapeError

__all__ = ["mixed_index"]


def mixed_index(
    retriever: DemonstrationRetriever,
    tasks: Sequence[TaskData],
    *,
    k: int = 8,
    queries: int | None = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """Return shares of hits from the right task, with right and with exchanged instructions.

    Args:
        retriever: an empty one; it is given all pools.
        tasks: at least two different instructions among them.
        k: demonstrations per query.
        queries: per task, drawn by the seed; None asks all.
        seed: of queries and of the exchange.

    Returns:
        `right_task`, `right_instruction` and `vote` as means over tasks, `shuffled` with the same
        under exchanged instructions, `chance` with the shares that hits drawn from the whole index
        would have, and `tasks` with the figures of each.

    Raises:
        QueryShapeError: the retriever is not empty, or all tasks have one instruction.
    """
    kinds = list(dict.fromkeys(data.task.instruction for data in tasks))
    if len(retriever) or len(kinds) < 2:
        raise QueryShapeError(
            f"{len(retriever)} demonstrations and {len(kinds)} instructions; a mixed index starts "
            "empty and needs two different instructions"
        )
    clean = [without_tests(data, tasks) for data in tasks]
    for data in clean:
        retriever.add(data.task.demos, task=data.task)
    exchanged = _exchanged(kinds, seed)
    answer: dict[str, Any] = {}
    for data in (sampled(one, queries, seed=seed) for one in clean):
        own = data.task.instruction
        answer[data.task.name] = _shares(retriever, data, own, clean, k)
        answer[data.task.name]["shuffled"] = _shares(retriever, data, exchanged[own], clean, k)
    return {
        **_means(list(answer.values())),
        "shuffled": _means([one["shuffled"] for one in answer.values()]),
        "chance": _chance(clean),
        "k": k,
        "queries_per_task": queries,
        "seed": seed,
        "demonstrations": len(retriever),
        "tasks": answer,
    }


def _exchanged(kinds: Sequence[str], seed: int) -> Mapping[str, str]:
    """Return another instruction for each: one turn around a shuffled circle."""
    order = np.random.default_rng(seed).permutation(len(kinds)).tolist()
    return {kinds[at]: kinds[after] for at, after in zip(order, order[1:] + order[:1], strict=True)}


def _shares(
    retriever: DemonstrationRetriever,
    data: TaskData,
    instruction: str,
    tasks: Sequence[TaskData],
    k: int,
) -> dict[str, Any]:
    hits: list[list[Demo]] = retriever.retrieve(
        [query.input for query in data.test], task=None, k=k, instruction=instruction
    )
    alike = {one.task.name for one in tasks if one.task.instruction == data.task.instruction}
    found = [hit.task for row in hits for hit in row]
    return {
        "right_task": round(float(np.mean([name == data.task.name for name in found])), 6),
        "right_instruction": round(float(np.mean([name in alike for name in found])), 6),
        "vote": figures(hits, data.test, k=k)["vote"],
    }


def _chance(tasks: Sequence[TaskData]) -> dict[str, float]:
    sizes = np.array([len(data.task.demos) for data in tasks])
    kinds = np.array([data.task.instruction for data in tasks])
    alike = [sizes[kinds == kind].sum() / sizes.sum() for kind in kinds]
    return {
        "right_task": round(1 / len(tasks), 6),  # the mean of shares that add up to one
        "right_instruction": round(float(np.mean(alike)), 6),
    }


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {
        name: round(float(np.mean([row[name] for row in rows])), 6)
        for name in ("right_task", "right_instruction", "vote")
    }
