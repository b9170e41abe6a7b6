"""Edits that break exactly one rule, or none but the truth, or nothing at all."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kg.constraints.graph import Edge, LabelledGraph
from kg.constraints.rules import Rule, Symmetric
from kg.constraints.structure import Acyclic, Connected
from kg.constraints.validation import validate
from kg.errors import KgError
from kg.perturbation.meaning import Key, Meaning
from kg.perturbation.operators import OPERATORS, Operator
from kg.perturbation.task import Task

__all__ = ["Edit", "perturb"]

#: Proposals of one operator that are looked at before it is held to be unable.
TRIED = 2_000


@dataclass(frozen=True, slots=True)
class Edit:
    """A changed graph."""

    operator: str
    graph: LabelledGraph
    #: Name of the rule that it breaks, "" for none.
    breaks: str
    keeps_label: bool
    removed: tuple[Edge, ...]
    added: tuple[Edge, ...]


def perturb(
    graph: LabelledGraph,
    ops: Sequence[str] | None = None,
    *,
    seed: int = 0,
    keep_label: bool = False,
    rules: Sequence[Rule] = (Connected(), Acyclic()),
    meaning: Meaning | None = None,
    each: int = 1,
) -> list[Edit]:
    """Return changed graphs, up to `each` per operator, in the order of the operators.

    An edit of an operator that breaks a rule breaks that rule and keeps every other one that the
    graph keeps; the rest keep all. No edit is the graph itself, and no edge that a label-breaking
    edit adds is among the facts. An operator that finds no such edit gives none.

    Args:
        graph: the graph to change; it is left as it is.
        ops: names from `OPERATORS`; by default all that fit `keep_label` and the rules.
        seed: of every choice; an operator's edits do not depend on which others are asked for.
        keep_label: edits that stay true, or edits that do not.
        rules: what the graph must keep.
        meaning: relations, words and facts to draw from.
        each: edits per operator, all different.

    Raises:
        KgError: for an operator that does not exist, does not fit `keep_label`, or breaks a rule
            that is not among `rules`.

    >>> graph = LabelledGraph.of([("a", "part of", "b"), ("b", "part of", "c"), ("c", "in", "d")])
    >>> for edit in perturb(graph, ["drop_edge", "add_cycle", "swap_ends"], seed=1):
    ...     print(edit.operator, edit.graph.text)
    drop_edge (a; part of; b)(c; in; d)
    add_cycle (a; part of; b)(b; part of; c)(c; in; d)(c; part of; a)
    swap_ends (a; part of; b)(c; part of; b)(c; in; d)
    """
    knows = meaning or Meaning()
    kept = {rule.name for rule in rules}
    operators = [
        operator
        for operator in _chosen(ops, keep_label=keep_label)
        if ops is not None or not operator.breaks or operator.breaks in kept
    ]
    for operator in operators:
        if operator.breaks and operator.breaks not in kept:
            raise KgError(
                f"{operator.name} breaks the rule {operator.breaks}, which is not among the rules: "
                "add it with its bounds"
            )
    before = validate(graph, rules, examples=0).broken
    edits: list[Edit] = []
    for operator in operators:
        task = Task(graph, rules, knows, random.Random(f"{seed} {operator.name}"))
        found = _edits(operator, task, before)
        edits += itertools.islice(found, each)
    return edits


def _chosen(ops: Sequence[str] | None, *, keep_label: bool) -> Iterator[Operator]:
    for name in OPERATORS if ops is None else ops:
        operator = OPERATORS.get(name)
        if operator is None:
            raise KgError(f"no operator {name!r}; there are {', '.join(OPERATORS)}")
        if operator.keeps_label == keep_label:
            yield operator
        elif ops is not None:
            what = "keeps" if operator.keeps_label else "breaks"
            raise KgError(
                f"{name} {what} what is true: ask for it with keep_label={operator.keeps_label}"
            )


def _edits(operator: Operator, task: Task, before: frozenset[str]) -> Iterator[Edit]:
    if operator.breaks in before:
        return
    own = [edge.key for edge in task.graph.edges()]
    facts: set[Key] = {*own, *task.meaning.facts}
    wanted = before | ({operator.breaks} if operator.breaks else set())
    # To store a symmetric edge the other way round says the same, and is wrong for that.
    may_restate = operator.keeps_label or operator.breaks == Symmetric.__name__
    seen = {_identity(task.graph)}
    for graph in itertools.islice(operator.propose(task), TRIED):
        if _identity(graph) in seen:
            continue
        seen.add(_identity(graph))
        added = _difference(graph.edge_list, task.graph.edge_list)
        if not may_restate and any(task.meaning.states(facts, edge) for edge in added):
            continue
        if validate(graph, task.rules, examples=0).broken == wanted:
            removed = _difference(task.graph.edge_list, graph.edge_list)
            yield Edit(operator.name, graph, operator.breaks, operator.keeps_label, removed, added)


def _identity(graph: LabelledGraph) -> tuple[object, ...]:
    """Return what makes two graphs the same: their nodes, and their edges as a set."""
    nodes = frozenset((node.id, node.name, node.types) for node in graph.nodes())
    return nodes, frozenset(edge.key for edge in graph.edges()), graph.unreadable


def _difference(edges: Sequence[Edge], others: Sequence[Edge]) -> tuple[Edge, ...]:
    """Return the edges that the others lack; equal edges count as often as they stand there."""
    keys = [edge.key for edge in others]
    left = []
    for edge in edges:
        if edge.key in keys:
            keys.remove(edge.key)
        else:
            left.append(edge)
    return tuple(left)
