"""The rules about a graph as a whole.

| rule | holds when |
|---|---|
| `MinEdges(n)`, `MaxEdges(n)` | it has at least, at most n edges, unreadable ones included |
| `Connected()` | from every node every other is reached, whatever the direction of the edges |
| `Acyclic(relations)` | no node reaches itself along the edges (of these relations) |
| `Covers(text, n)` | n different names of its nodes stand in the text |

`Connected` and `Acyclic` hold the nodes and edges that they see in memory.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, override

from kg.constraints.graph import Edge, Node
from kg.constraints.rules import Check, Rule, Violation
from kg.errors import KgError

__all__ = ["Acyclic", "Connected", "Covers", "MaxEdges", "MinEdges"]

#: Nodes named in a message.
SHOWN = 5


class _Counting(Rule):
    judges_partial = True

    def begin(self) -> Check:
        """Return a check that has seen nothing yet."""
        return _EdgeCount(self)

    def judge(self, edges: int) -> Iterator[Violation]:
        """Say what is wrong with that many edges."""
        raise NotImplementedError


class _EdgeCount(Check):
    def __init__(self, rule: _Counting) -> None:
        self.rule, self.edges = rule, 0

    def unreadable(self, text: str) -> Iterable[Violation]:
        self.edges += 1
        return ()

    def edge(self, edge: Edge) -> Iterable[Violation]:
        self.edges += 1
        return ()

    def end(self) -> Iterable[Violation]:
        return self.rule.judge(self.edges)


@dataclass(frozen=True)
class MinEdges(_Counting):
    """The graph has at least this many edges."""

    least: int

    @override
    def judge(self, edges: int) -> Iterator[Violation]:
        """Say what is wrong with that many edges."""
        if edges < self.least:
            yield self.broken(f"{edges} edges, at least {self.least} are wanted")


@dataclass(frozen=True)
class MaxEdges(_Counting):
    """The graph has at most this many edges."""

    most: int

    @override
    def judge(self, edges: int) -> Iterator[Violation]:
        """Say what is wrong with that many edges."""
        if edges > self.most:
            yield self.broken(f"{edges} edges, at most {self.most} are allowed")


@dataclass(frozen=True)
class Connected(Rule):
    """The graph is one piece; a graph without nodes is."""

    def begin(self) -> Check:
        """Return a check that has seen nothing yet."""
        return _Pieces(self)


class _Pieces(Check):
    def __init__(self, rule: Connected) -> None:
        from networkx.utils import UnionFind

        self.rule = rule
        self.nodes: dict[str, Node] = {}
        self.pieces: Any = UnionFind()

    def node(self, node: Node) -> Iterable[Violation]:
        self.nodes[node.id] = node
        self.pieces[node.id]  # the look-up adds it
        return ()

    def edge(self, edge: Edge) -> Iterable[Violation]:
        self.pieces.union(edge.head.id, edge.tail.id)
        return ()

    def end(self) -> Iterator[Violation]:
        # Largest first; of equal ones that with the node that was seen first.
        order = {id: place for place, id in enumerate(self.nodes)}
        pieces = [sorted(piece, key=order.__getitem__) for piece in self.pieces.to_sets()]
        pieces.sort(key=lambda piece: (-len(piece), order[piece[0]]))
        for piece in pieces[1:]:
            nodes = [self.nodes[id] for id in piece]
            yield self.rule.broken(f"{_names(nodes)} not linked to the rest", *nodes[:SHOWN])


@dataclass(frozen=True)
class Acyclic(Rule):
    """No node reaches itself along directed edges; one that links a node to itself is a circle."""

    #: Only edges of these relations count; None for all.
    relations: Collection[str] | None = None

    def begin(self) -> Check:
        """Return a check that has seen nothing yet."""
        return _Circles(self)


class _Circles(Check):
    """Finds the strongly connected parts: a node is on a circle exactly if it is in one."""

    def __init__(self, rule: Acyclic) -> None:
        from networkx import DiGraph

        self.rule = rule
        self.graph: Any = DiGraph()

    def edge(self, edge: Edge) -> Iterable[Violation]:
        if self.rule.relations is None or edge.relation in self.rule.relations:
            self.graph.add_edge(edge.head.id, edge.tail.id, edge=edge)
        return ()

    def end(self) -> Iterator[Violation]:
        from networkx import find_cycle, strongly_connected_components

        for part in strongly_connected_components(self.graph):
            if len(part) == 1 and not self.graph.has_edge(*(node := min(part), node)):
                continue
            inside = self.graph.subgraph(sorted(part))
            steps = [inside.edges[a, b]["edge"] for a, b in find_cycle(inside)]
            edges = [edge for _, _, edge in inside.edges.data("edge")]
            ends = (node for edge in edges for node in (edge.head, edge.tail))
            nodes = {node.id: node for node in ends}
            path = " → ".join(edge.head.name for edge in [*steps[:SHOWN], steps[0]])
            yield self.rule.broken(f"{path} is a circle", *nodes.values(), *steps)


@dataclass(frozen=True)
class Covers(Rule):
    """At least `least` different names of nodes stand in the text, letter case aside.

    Standing in it means as a part of it, as the ExplaGraphs validator has it, so that "a" stands
    in almost any text; with `whole_words` a name must begin and end where words do.
    """

    text: str
    least: int
    #: What the text is, for the report.
    of: str = "text"
    whole_words: bool = False

    def __post_init__(self) -> None:
        if self.least < 1:
            raise KgError(f"Covers has the bound {self.least}: it must be 1 or more")

    @property
    def about(self) -> str:
        """Return what the text is."""
        return self.of

    def begin(self) -> Check:
        """Return a check that has seen nothing yet."""
        return _Coverage(self)

    @cached_property
    def _folded(self) -> str:
        return self.text.lower()

    def holds_name(self, name: str) -> bool:
        """Say whether a name stands in the text."""
        if not self.whole_words:
            return name.lower() in self._folded
        pattern = rf"(?<!\w){re.escape(name.lower())}(?!\w)"
        return bool(name) and re.search(pattern, self._folded) is not None


class _Coverage(Check):
    def __init__(self, rule: Covers) -> None:
        self.rule = rule
        self.found: set[str] = set()

    def node(self, node: Node) -> Iterable[Violation]:
        if self.rule.holds_name(node.name):
            self.found.add(node.name.lower())
        return ()

    def end(self) -> Iterator[Violation]:
        rule = self.rule
        if len(self.found) < rule.least:
            names = f": {', '.join(sorted(self.found))}" if self.found else ""
            yield rule.broken(
                f"{len(self.found)} names stand in the {rule.of}{names}; {rule.least} are wanted"
            )


def _names(nodes: list[Node]) -> str:
    names = ", ".join(repr(node.name) for node in nodes[:SHOWN])
    if len(nodes) > SHOWN:
        return f"{names} and {len(nodes) - SHOWN} more are"
    return f"{names} {'is' if len(nodes) == 1 else 'are'}"
