"""The proposals of operators that break a rule; see `kg.perturbation.operators`."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Final

from kg.constraints.graph import Edge
from kg.constraints.rules import (
    Cardinality,
    Disjoint,
    Domain,
    MaxWords,
    Range,
    Symmetric,
    Types,
)
from kg.constraints.structure import Covers, MaxEdges, MinEdges
from kg.perturbation.task import FILLERS, Proposals, Task

__all__ = [
    "add_cycle",
    "break_edge",
    "drop_edge",
    "long_name",
    "mixed_types",
    "no_tail",
    "second_tail",
    "split_node",
    "too_few_edges",
    "too_many_edges",
    "turn_round",
    "uncover",
    "unknown_relation",
    "unknown_type",
    "wrong_head",
    "wrong_tail",
]

#: Relations that are put where an unknown one is wanted.
_UNKNOWN: Final = ("is related to", "goes with", "has to do with", "see also")


def too_few_edges(task: Task) -> Proposals:
    """Remove edges."""
    for rule in task.rules_of(MinEdges):
        drop = len(task.graph.edge_list) - rule.least + 1
        if drop > 0:
            for dropped in task.choices(range(len(task.graph.edge_list)), drop):
                yield task.without(*dropped)


def too_many_edges(task: Task) -> Proposals:
    """Add edges between nodes of the graph."""
    for rule in task.rules_of(MaxEdges):
        more = rule.most - len(task.graph.edge_list) + 1
        relations = task.relations()[:5]
        forwards = itertools.combinations(task.in_order(), 2)
        links = [Edge(head, name, tail) for head, tail in forwards for name in relations]
        if more > 0:
            for chosen in task.choices(links, more):
                yield task.with_more(*chosen)


def drop_edge(task: Task) -> Proposals:
    """Remove an edge."""
    for place in task.places():
        yield task.without(place)


def split_node(task: Task) -> Proposals:
    """Give an edge another node in place of one that it shares."""
    for place in task.places():
        edge = task.graph.edge_list[place]
        for node in task.fresh()[:3]:
            alike = node._replace(types=node.types or edge.head.types)
            yield task.with_edge(place, edge._replace(head=alike))
            if not edge.tail.literal:
                alike = node._replace(types=node.types or edge.tail.types)
                yield task.with_edge(place, edge._replace(tail=alike))


def add_cycle(task: Task) -> Proposals:
    """Add an edge."""
    for head, tail in task.pairs():
        for relation in task.relations()[:5]:
            yield task.with_more(Edge(head, relation, tail))


def unknown_relation(task: Task) -> Proposals:
    """Put a relation that is not in the vocabulary."""
    for place in task.places():
        for relation in task.mixed(_UNKNOWN):
            yield task.with_edge(place, task.graph.edge_list[place]._replace(relation=relation))


def unknown_type(task: Task) -> Proposals:
    """Add a type that is not in the vocabulary."""
    for node in task.mixed(task.graph.nodes()):
        if task.rules_of(Types) and not node.literal:
            unknown = node._replace(types=(*node.types, "Unheard-of"))
            yield task.with_nodes({node.id: unknown})


def long_name(task: Task) -> Proposals:
    """Add words to a name."""
    for rule in task.rules_of(MaxWords):
        for node in task.mixed(task.graph.nodes()):
            extra = task.chance.choice(FILLERS).split() * rule.most
            words = [node.name, *extra[: rule.most - node.name.count(" ")]]
            if not node.literal:
                yield task.with_nodes({node.id: task.renamed(node, " ".join(words))})


def uncover(task: Task) -> Proposals:
    """Replace names that stand in the text."""
    for rule in task.rules_of(Covers):
        standing = [node for node in task.graph.nodes() if rule.holds_name(node.name)]
        names = {node.name.lower() for node in standing}
        for kept in task.choices(sorted(names), rule.least - 1):
            gone = [node for node in standing if node.name.lower() not in kept]
            fresh = [node for node in task.fresh() if not rule.holds_name(node.name)]
            if len(fresh) >= len(gone):
                new = {
                    node.id: task.renamed(node, other.name)
                    for node, other in zip(gone, fresh, strict=False)
                }
                yield task.with_nodes(new)


def break_edge(task: Task) -> Proposals:
    """Drop a part of an edge."""
    for place in task.places():
        parts = list(task.graph.edge_list[place].key)
        parts.pop(task.chance.randrange(3))
        broken = task.without(place)
        yield replace(broken, unreadable=(*broken.unreadable, "; ".join(parts)))


def wrong_head(task: Task) -> Proposals:
    """Put a head of another type."""
    for rule in task.rules_of(Domain):
        for place in task.places_of(rule.relation):
            for node in task.nodes():
                if not node.literal and not set(node.types).intersection(rule.types):
                    edge = task.graph.edge_list[place]
                    yield task.with_edge(place, edge._replace(head=node))


def wrong_tail(task: Task) -> Proposals:
    """Put a tail of another type."""
    for rule in task.rules_of(Range):
        for place in task.places_of(rule.relation):
            for node in task.nodes():
                if not set(node.types).intersection(rule.types):
                    edge = task.graph.edge_list[place]
                    yield task.with_edge(place, edge._replace(tail=node))


def second_tail(task: Task) -> Proposals:
    """Add edges with other tails."""
    for rule in task.rules_of(Cardinality):
        for place in task.places_of(rule.relation):
            edge = task.graph.edge_list[place]
            held = [e for e in task.graph.edges() if e.key[:2] == edge.key[:2]]
            more = (rule.most or 0) - len({e.tail.id for e in held}) + 1
            if rule.most is not None and more > 0:
                taken = {e.tail.id for e in held}
                tails = [node for node in task.nodes() if node.id not in taken]
                for chosen in task.choices(tails, more):
                    yield task.with_more(*(Edge(edge.head, rule.relation, t) for t in chosen))


def no_tail(task: Task) -> Proposals:
    """Remove edges of a head."""
    for rule in task.rules_of(Cardinality):
        for place in task.places_of(rule.relation) if rule.least else ():
            head = task.graph.edge_list[place].head
            held = [
                number
                for number, edge in enumerate(task.graph.edges())
                if (edge.head.id, edge.relation) == (head.id, rule.relation)
            ]
            left = task.without(*held[rule.least - 1 :])
            lone = (head,) if all(head.id != node.id for node in left.nodes()) else ()
            yield replace(left, lone=(*left.lone, *lone))


def turn_round(task: Task) -> Proposals:
    """Store a symmetric edge the other way round."""
    for rule in task.rules_of(Symmetric):
        for place in task.places_of(rule.relation):
            edge = task.graph.edge_list[place]
            if not edge.tail.literal:
                yield task.with_edge(place, edge._replace(head=edge.tail, tail=edge.head))


def mixed_types(task: Task) -> Proposals:
    """Add a type that the node's own exclude."""
    for rule in task.rules_of(Disjoint):
        for node in task.mixed(task.graph.nodes()):
            for group in task.mixed(rule.groups):
                if node.types and not node.literal and group.isdisjoint(node.types):
                    mixed = node._replace(types=(*node.types, task.chance.choice(sorted(group))))
                    yield task.with_nodes({node.id: mixed})
