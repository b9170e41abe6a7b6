"""Annotated patterns of SemEval as literal rules: what its explanations are worth by themselves.

203 training sentences carry the phrase by which a reader saw the relation ("SUBJ-O were in a
OBJ-O"). The first phrase that stands in a query answers it; most queries hold none. Explanations as
retrievable texts have to beat this.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.demonstrations.datasets import TaskData
from retrieval.demonstrations.task import Demo
from retrieval.errors import DataFormatError

__all__ = ["Rule", "load_rules", "rule_answers", "rule_figures"]

_FILE = "demos/semeval_masked_re/semeval_exp.json"


@dataclass(frozen=True, slots=True)
class Rule:
    """A phrase, and the answer of a text that holds it."""

    phrase: str
    output: str


def load_rules(folder: Path | str, data: TaskData) -> list[Rule]:
    """Return the rules of SemEval in the order of the file, in the words of its task.

    Raises:
        DataFormatError: the file is missing or not in its format.
    """
    words = data.task.verbalizer or {}
    try:
        rows = json.loads((Path(folder) / _FILE).read_text("utf-8"))
        return [Rule(str(row["pat"][0]), words[row["rel"]]) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DataFormatError(
            f"{folder} does not hold the rules of SemEval ({type(error).__name__}: {error})"
        ) from error


def rule_answers(rules: Sequence[Rule], queries: Sequence[Demo]) -> list[str | None]:
    """Return for each query the answer of the first rule whose phrase it holds.

    >>> rules = [Rule("SUBJ in OBJ", "is inside"), Rule("SUBJ", "other")]
    >>> rule_answers(rules, [Demo("1", "a SUBJ in OBJ", ""), Demo("2", "OBJ", "")])
    ['is inside', None]
    """
    return [
        next((rule.output for rule in rules if rule.phrase in query.input), None)
        for query in queries
    ]


def rule_figures(
    rules: Sequence[Rule], queries: Sequence[Demo], *, none: str = "no relation"
) -> dict[str, float]:
    """Return how often a rule fires and is right: over all queries, and without those of `none`.

    >>> rule_figures([Rule("b", "x")], [Demo("1", "a b", "x"), Demo("2", "b", "no relation")])
    {'fired': 2, 'right': 1, 'precision': 0.5, 'accuracy': 0.5, 'fired_on_relations': 1, \
'precision_on_relations': 1.0}
    """
    fired = [
        (query.accepts(answer), not query.accepts(none))
        for query, answer in zip(queries, rule_answers(rules, queries), strict=True)
        if answer is not None
    ]
    right = sum(is_right for is_right, _ in fired)
    related = [is_right for is_right, has_relation in fired if has_relation]
    return {
        "fired": len(fired),
        "right": right,
        "precision": round(right / len(fired), 6) if fired else 0.0,
        "accuracy": round(right / len(queries), 6),
        "fired_on_relations": len(related),
        "precision_on_relations": round(sum(related) / len(related), 6) if related else 0.0,
    }
