"""Edits of a graph by name: what each one breaks, and the changed graphs that it proposes.

An operator proposes changed graphs in random order; `kg.perturbation.perturb` takes the first
that breaks the operator's rule and no other one.

| operator | breaks | how |
|---|---|---|
| `too_few_edges` | MinEdges | removes edges |
| `too_many_edges` | MaxEdges | adds edges between its nodes |
| `drop_edge` | Connected | removes an edge |
| `split_node` | Connected | gives an edge another node in place of a shared one |
| `add_cycle` | Acyclic | adds an edge back |
| `unknown_relation` | Relations | puts a relation that is not in the vocabulary |
| `unknown_type` | Types | adds a type that is not in the vocabulary |
| `long_name` | MaxWords | adds words to a name |
| `uncover` | Covers | replaces names that stand in the text |
| `break_edge` | Arity | drops a part of an edge |
| `wrong_head`, `wrong_tail` | Domain, Range | puts a node of another type |
| `second_tail`, `no_tail` | Cardinality | adds an edge with another tail; removes edges |
| `turn_round` | Symmetric | stores a symmetric edge the other way round |
| `mixed_types` | Disjoint | adds a type that the node's own exclude |
| `negate_relation` | truth | puts the relation that denies it |
| `swap_relation` | truth | puts another relation |
| `swap_nodes` | truth | two nodes change places |
| `swap_ends` | truth | head and tail change places |
| `other_tail`, `other_head` | truth | puts another node of the same types |
| `synonym` | nothing | puts a name that means the same |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from kg.perturbation import semantic, structural
from kg.perturbation.task import Proposals, Task

__all__ = ["OPERATORS", "Operator"]


@dataclass(frozen=True, slots=True)
class Operator:
    """An edit by name."""

    name: str
    propose: Callable[[Task], Proposals]
    #: The rule that it breaks and no other; "" where it breaks none.
    breaks: str = ""
    #: What was true is still true.
    keeps_label: bool = False


#: Every operator by name.
OPERATORS: Final[Mapping[str, Operator]] = {
    operator.name: operator
    for operator in (
        Operator("too_few_edges", structural.too_few_edges, "MinEdges"),
        Operator("too_many_edges", structural.too_many_edges, "MaxEdges"),
        Operator("drop_edge", structural.drop_edge, "Connected"),
        Operator("split_node", structural.split_node, "Connected"),
        Operator("add_cycle", structural.add_cycle, "Acyclic"),
        Operator("unknown_relation", structural.unknown_relation, "Relations"),
        Operator("unknown_type", structural.unknown_type, "Types"),
        Operator("long_name", structural.long_name, "MaxWords"),
        Operator("uncover", structural.uncover, "Covers"),
        Operator("break_edge", structural.break_edge, "Arity"),
        Operator("wrong_head", structural.wrong_head, "Domain"),
        Operator("wrong_tail", structural.wrong_tail, "Range"),
        Operator("second_tail", structural.second_tail, "Cardinality"),
        Operator("no_tail", structural.no_tail, "Cardinality"),
        Operator("turn_round", structural.turn_round, "Symmetric"),
        Operator("mixed_types", structural.mixed_types, "Disjoint"),
        Operator("negate_relation", semantic.negate_relation),
        Operator("swap_relation", semantic.swap_relation),
        Operator("swap_nodes", semantic.swap_nodes),
        Operator("swap_ends", semantic.swap_ends),
        Operator("other_tail", semantic.other_tail),
        Operator("other_head", semantic.other_head),
        Operator("synonym", semantic.synonym, keeps_label=True),
    )
}
