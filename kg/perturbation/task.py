"""What an operator works on, and the small changes that operators are made of."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kg.constraints.graph import Edge, LabelledGraph, Node
from kg.constraints.rules import Relations, Rule
from kg.perturbation.meaning import Meaning

__all__ = ["FILLERS", "Proposals", "Task"]

#: Names that are put where any other one will do.
FILLERS: Final = ("something else", "another matter", "some other thing", "one more point")
#: Ways to choose several edges that are tried.
_WAYS: Final = 200

#: Changed graphs, of which the first that fits is taken.
type Proposals = Iterator[LabelledGraph]


@dataclass(frozen=True, slots=True)
class Task:
    """What an operator works on."""

    graph: LabelledGraph
    rules: Sequence[Rule]
    meaning: Meaning
    chance: random.Random

    def mixed[T](self, values: Iterable[T]) -> list[T]:
        """Return values in random order."""
        found = list(values)
        self.chance.shuffle(found)
        return found

    def rules_of[R: Rule](self, kind: type[R]) -> list[R]:
        """Return the rules of one kind, in random order."""
        return self.mixed(rule for rule in self.rules if isinstance(rule, kind))

    def relations(self) -> list[str]:
        """Return the relations that an edge may have, in random order."""
        known = {*self.meaning.relations, *(edge.relation for edge in self.graph.edges())}
        for rule in self.rules:
            if isinstance(rule, Relations):
                known = {name for name in known if name in rule.vocabulary}
        return self.mixed(sorted(known))

    def nodes(self) -> list[Node]:
        """Return the nodes that an edge may have, the graph's own first."""
        own = list(self.graph.nodes())
        inside = {node.id for node in own}
        return self.mixed(own) + self.mixed(n for n in self.meaning.nodes if n.id not in inside)

    def with_edges(self, edges: Iterable[Edge]) -> LabelledGraph:
        """Return the graph with other edges."""
        return replace(self.graph, edge_list=tuple(edges))

    def without(self, *dropped: int) -> LabelledGraph:
        """Return the graph without the edges at these places."""
        kept = (edge for place, edge in enumerate(self.graph.edge_list) if place not in dropped)
        return self.with_edges(kept)

    def with_edge(self, place: int, edge: Edge) -> LabelledGraph:
        """Return the graph with another edge at a place; it is no longer a stored triple."""
        edges = list(self.graph.edge_list)
        edges[place] = edge._replace(id="")
        return self.with_edges(edges)

    def with_more(self, *edges: Edge) -> LabelledGraph:
        """Return the graph with further edges."""
        return self.with_edges((*self.graph.edge_list, *edges))

    def with_nodes(self, new: Mapping[str, Node]) -> LabelledGraph:
        """Return the graph with other nodes in place of those with these ids, everywhere."""

        def end(node: Node) -> Node:
            return new.get(node.id, node)

        edges = (
            Edge(end(edge.head), edge.relation, end(edge.tail), edge.id)
            if edge.head.id in new or edge.tail.id in new
            else edge
            for edge in self.graph.edges()
        )
        return replace(self.graph, edge_list=tuple(edges), lone=tuple(map(end, self.graph.lone)))

    def renamed(self, node: Node, name: str) -> Node:
        """Return the node under another name; where names are ids, the id changes with it."""
        return node._replace(name=name, id=name if node.id == node.name else node.id)

    def places(self) -> list[int]:
        """Return the places of the edges in random order."""
        return self.mixed(range(len(self.graph.edge_list)))

    def pairs(self) -> list[tuple[Node, Node]]:
        """Return ordered pairs of different nodes, no literals, in random order."""
        nodes = [node for node in self.graph.nodes() if not node.literal]
        return self.mixed(itertools.permutations(nodes, 2))

    def in_order(self) -> list[Node]:
        """Return the nodes heads first if the graph has no circle, in random order if it has."""
        from networkx import DiGraph, is_directed_acyclic_graph, topological_sort

        nodes = {node.id: node for node in self.mixed(self.graph.nodes())}
        links: DiGraph[str] = DiGraph()
        links.add_nodes_from(nodes)
        links.add_edges_from((edge.head.id, edge.tail.id) for edge in self.graph.edges())
        order = topological_sort(links) if is_directed_acyclic_graph(links) else iter(nodes)
        return [nodes[id] for id in order if not nodes[id].literal]

    def fresh(self) -> list[Node]:
        """Return nodes that the graph does not have, in random order."""
        taken = {node.name.lower() for node in self.graph.nodes()}
        coined = [Node(name, name) for name in FILLERS]
        pool = [*self.mixed(self.meaning.nodes), *self.mixed(coined)]
        return [node for node in pool if node.name.lower() not in taken]

    def places_of(self, relation: str) -> list[int]:
        """Return the places of a relation's edges in random order."""
        return [n for n in self.places() if self.graph.edge_list[n].relation == relation]

    def choices[T](self, values: Iterable[T], number: int) -> Iterator[tuple[T, ...]]:
        """Return ways to choose, in random order; not all of them, where there are many."""
        pool = list(values)
        if number <= len(pool):
            for _ in range(_WAYS):
                yield tuple(self.chance.sample(pool, number))
