"""The proposals of operators that keep every rule; see `kg.perturbation.operators`."""

from __future__ import annotations

from kg.perturbation.task import Proposals, Task

__all__ = [
    "negate_relation",
    "other_head",
    "other_tail",
    "swap_ends",
    "swap_nodes",
    "swap_relation",
    "synonym",
]


def negate_relation(task: Task) -> Proposals:
    """Put the relation that denies it."""
    for place in task.places():
        edge = task.graph.edge_list[place]
        denied = task.meaning.negated(edge.relation)
        if denied is not None:
            yield task.with_edge(place, edge._replace(relation=denied))


def swap_relation(task: Task) -> Proposals:
    """Put another relation."""
    for place in task.places():
        edge = task.graph.edge_list[place]
        for relation in task.relations():
            if relation != edge.relation:
                yield task.with_edge(place, edge._replace(relation=relation))


def swap_nodes(task: Task) -> Proposals:
    """Let two nodes change places."""
    for first, second in task.pairs():
        yield task.with_nodes({first.id: second, second.id: first})


def swap_ends(task: Task) -> Proposals:
    """Let head and tail change places."""
    for place in task.places():
        edge = task.graph.edge_list[place]
        if not edge.tail.literal and edge.relation not in task.meaning.symmetric:
            yield task.with_edge(place, edge._replace(head=edge.tail, tail=edge.head))


def other_tail(task: Task) -> Proposals:
    """Put a tail of the same types."""
    for place in task.places():
        edge = task.graph.edge_list[place]
        for node in task.nodes():
            if node.types == edge.tail.types and node.literal == edge.tail.literal:
                yield task.with_edge(place, edge._replace(tail=node))


def other_head(task: Task) -> Proposals:
    """Put a head of the same types."""
    for place in task.places():
        edge = task.graph.edge_list[place]
        for node in task.nodes():
            if node.types == edge.head.types and not node.literal:
                yield task.with_edge(place, edge._replace(head=node))


def synonym(task: Task) -> Proposals:
    """Put a name that means the same."""
    synonyms = task.meaning.synonyms
    taken = {node.name.lower() for node in task.graph.nodes()}
    for node in task.mixed(n for n in task.graph.nodes() if not n.literal):
        names = list(synonyms.get(node.name.lower(), ()))
        words = node.name.split(" ")
        for at, word in enumerate(words):
            for other in synonyms.get(word.lower(), ()):
                names.append(" ".join((*words[:at], other, *words[at + 1 :])))
        for name in task.mixed(names):
            if name.lower() not in taken:
                yield task.with_nodes({node.id: task.renamed(node, name)})
