"""The structural validator of ExplaGraphs, made of our rules, and its evaluation.

ExplaGraphs (Saha et al., EMNLP 2021, https://arxiv.org/abs/2104.07644): a belief and an argument
are given; asked are the stance and a small graph `(concept; relation; concept)(…)` that explains
it. An answer has *structural accuracy* (StCA) if its stance is right and its graph, in lower case,
keeps every rule of `explanation_rules`. The authors ask that no answer is mended afterwards: graphs
decoded under these rules do not compare with the published figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kg.constraints.graph import LabelledGraph
from kg.constraints.rules import Arity, MaxWords, Relations, Rule
from kg.constraints.structure import Acyclic, Connected, Covers, MinEdges
from kg.constraints.validation import Report, validate
from kg.errors import ExchangeError

__all__ = [
    "RELATIONS",
    "ExplanationItem",
    "evaluate",
    "explanation_rules",
    "read_items",
    "structure_of",
]

#: The relations that have a negated twin; which words negate them is up to each.
_POSITIVE: Final[tuple[str, ...]] = (
    "at location",
    "capable of",
    "causes",
    "created by",
    "desires",
    "has context",
    "has property",
    "has subevent",
    "made of",
    "part of",
    "receives action",
    "used for",
)
#: Relation → its negation, which is how the data set writes it.
NEGATIONS: Final = {**{name: f"not {name}" for name in _POSITIVE}, "is a": "is not a"}
#: The 28 relations of the data set.
RELATIONS: Final = frozenset({*NEGATIONS, *NEGATIONS.values(), "antonym of", "synonym of"})

#: Kinds of failure in the order of the published analysis, and the rules of each.
KINDS: Final = {
    "disconnected": ("Connected",),
    "coverage": ("Covers",),
    "relation or long concept": ("Relations", "MaxWords"),
    "cyclic": ("Acyclic",),
    "malformed": ("Arity",),
    "fewer than 3 edges": ("MinEdges",),
}


@dataclass(frozen=True, slots=True)
class ExplanationItem:
    """A belief, an argument, the stance of the one to the other, and the graph that explains it."""

    belief: str
    argument: str
    stance: str
    graph: str


def explanation_rules(belief: str, argument: str) -> tuple[Rule, ...]:
    """Return the rules for the graph of one pair of texts.

    >>> [rule.name for rule in explanation_rules("a b", "c d")]
    ['MinEdges', 'Arity', 'Relations', 'MaxWords', 'Covers', 'Covers', 'Connected', 'Acyclic']
    """
    return (
        MinEdges(3),
        Arity(),
        Relations(RELATIONS),
        MaxWords(3),
        Covers(belief, 2, of="belief"),
        Covers(argument, 2, of="argument"),
        Connected(),
        Acyclic(),
    )


def structure_of(belief: str, argument: str, graph: str) -> Report:
    """Judge the structure of one graph, given as text.

    >>> text = "(cats; capable of; purr)(purr; causes; joy)(joy; desires; cats)"
    >>> structure_of("Cats purr.", "Cats give joy.", text).broken
    frozenset({'Acyclic'})
    """
    return validate(LabelledGraph.parse(graph.lower()), explanation_rules(belief, argument))


def read_items(path: Path) -> list[ExplanationItem]:
    """Read `train.tsv` or `dev.tsv`: belief, argument, stance, graph, separated by tabs.

    Raises:
        ExchangeError: if a line does not have four columns.
    """
    return [ExplanationItem(*row) for row in _rows(path, 4)]


def evaluate(folder: Path) -> dict[str, Any]:
    """Judge the gold graphs of ExplaGraphs and the released predictions of the max-margin model.

    The failures of the predictions overlap: one graph may break several rules.

    Args:
        folder: with `train.tsv`, `dev.tsv` and `maxmargin_dev_preds.tsv`.

    Raises:
        ExchangeError: if a file is missing or has other columns.
    """
    gold = {name: read_items(folder / f"{name}.tsv") for name in ("dev", "train")}
    answers = _rows(folder / "maxmargin_dev_preds.tsv", 2)
    if len(answers) != len(gold["dev"]):
        raise ExchangeError(
            f"{folder} has {len(answers)} predictions for {len(gold['dev'])} items of dev.tsv: "
            "one line per item is expected"
        )
    return {
        "gold": {
            name: {"items": len(items), "structure_right": sum(_right(items))}
            for name, items in gold.items()
        },
        "max_margin": _judged(gold["dev"], answers),
    }


def _right(items: Iterable[ExplanationItem]) -> Iterable[bool]:
    return (structure_of(item.belief, item.argument, item.graph).ok for item in items)


def _judged(items: Sequence[ExplanationItem], answers: Sequence[Sequence[str]]) -> dict[str, Any]:
    right_stance = right = 0
    failures = dict.fromkeys(KINDS, 0)
    rules: Counter[str] = Counter()
    for item, (stance, graph) in zip(items, answers, strict=True):
        if stance != item.stance:
            continue
        right_stance += 1
        report = structure_of(item.belief, item.argument, graph)
        right += report.ok
        rules.update(report.broken)
        for kind, names in KINDS.items():
            failures[kind] += not report.broken.isdisjoint(names)
    return {
        "items": len(items),
        "stance_accuracy": round(right_stance / len(items), 4),
        "structural_accuracy": round(right / len(items), 4),
        "structure_wrong": right_stance - right,
        "failures": failures,
        "rules": dict(sorted(rules.items())),
    }


def _rows(path: Path, columns: int) -> list[list[str]]:
    try:
        # Some releases begin with a byte-order mark; lines end with \n only.
        lines = path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except FileNotFoundError:
        raise ExchangeError(f"{path} does not exist: give the folder of ExplaGraphs") from None
    rows = [line.split("\t") for line in lines]
    for number, row in enumerate(rows, 1):
        if len(row) != columns:
            raise ExchangeError(f"{path}: line {number} has {len(row)} columns, not {columns}")
    return rows
