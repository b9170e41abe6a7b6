"""What a rule is, and the rules about single nodes and edges.

A rule is a frozen value that says what must hold. `begin` gives a check, which sees every node,
then every edge, then the end, and says what breaks the rule; rules that need no memory are their
own check. So one pass serves any number of rules, over three edges or three million.

| rule | holds when |
|---|---|
| `Arity()` | every edge of the text has its three parts |
| `Relations(vocabulary)` | every relation is known |
| `Types(vocabulary)` | every type of an entity is known |
| `MaxWords(n)` | every name has 1 to n words, separated by single spaces |
| `Domain(relation, types)` | every head has one of the types |
| `Range(relation, types)` | every tail has one of the types, or literal datatypes |
| `Cardinality(relation, least, most, types)` | a head has that many different tails |
| `Symmetric(relation)` | it is stored once, from the smaller id to the larger |
| `Disjoint(groups)` | no node has types of two groups |

The rules about the graph as a whole are in `kg.constraints.structure`. A node without a type has
none of the types that `Domain` or `Range` ask for: what is unknown is reported, as in SHACL.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from kg.constraints.graph import Edge, Node
from kg.errors import KgError

__all__ = [
    "Arity",
    "Cardinality",
    "Check",
    "Disjoint",
    "Domain",
    "MaxWords",
    "OfRelation",
    "Range",
    "Relations",
    "Rule",
    "Symmetric",
    "Types",
    "Violation",
]


@dataclass(frozen=True, slots=True)
class Violation:
    """One place where a rule does not hold."""

    #: Name of the rule's class.
    rule: str
    #: What the rule is about: a relation, a text, "" for the graph.
    about: str
    message: str
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    #: What the sources of the edges say.
    quotes: tuple[str, ...] = ()


class Check:
    """One pass of a rule over a graph; a check that does not care about something ignores it."""

    def unreadable(self, text: str) -> Iterable[Violation]:
        """See a part of the text that is no edge."""
        return ()

    def node(self, node: Node) -> Iterable[Violation]:
        """See a node; all nodes come before the first edge."""
        return ()

    def edge(self, edge: Edge) -> Iterable[Violation]:
        """See an edge."""
        return ()

    def end(self) -> Iterable[Violation]:
        """See that this was all."""
        return ()


class Rule(Check, ABC):
    """A condition on a graph."""

    #: The rule can be judged although some of the text could not be read.
    judges_partial: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Return the name of the rule."""
        return type(self).__name__

    @property
    def about(self) -> str:
        """Return what it is about."""
        return ""

    @property
    def listens_to(self) -> str | None:
        """Return the only relation whose edges the check needs to see, None for all."""
        return None

    def begin(self) -> Check:
        """Return a check that has seen nothing yet."""
        return self

    def broken(self, message: str, *ends: Node | Edge) -> Violation:
        """Return a violation of this rule at these nodes and edges."""
        nodes = tuple(end for end in ends if isinstance(end, Node))
        edges = tuple(end for end in ends if isinstance(end, Edge))
        return Violation(self.name, self.about, message, nodes, edges)


class OfRelation(Rule, ABC):
    """A rule about the edges of one relation."""

    relation: str

    @property
    def about(self) -> str:
        """Return the relation."""
        return self.relation

    @property
    def listens_to(self) -> str | None:
        """Return the relation."""
        return self.relation


@dataclass(frozen=True)
class Arity(Rule):
    """Every edge of the text has a head, a relation and a tail."""

    judges_partial = True

    def unreadable(self, text: str) -> Iterator[Violation]:
        """See a part of the text that is no edge."""
        yield self.broken(f"{text!r} is not head; relation; tail")


@dataclass(frozen=True)
class Relations(Rule):
    """Every relation is in the vocabulary."""

    vocabulary: Collection[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabulary", _set(self.vocabulary, "relations"))

    def edge(self, edge: Edge) -> Iterator[Violation]:
        """See an edge."""
        if edge.relation not in self.vocabulary:
            yield self.broken(f"{edge.relation!r} is not among the relations", edge)


@dataclass(frozen=True)
class Types(Rule):
    """Every type of an entity is in the vocabulary; an entity without a type passes."""

    vocabulary: Collection[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabulary", _set(self.vocabulary, "types"))

    def node(self, node: Node) -> Iterator[Violation]:
        """See a node."""
        for type in () if node.literal else node.types:
            if type not in self.vocabulary:
                yield self.broken(f"{node.name!r} has the unknown type {type!r}", node)


@dataclass(frozen=True)
class MaxWords(Rule):
    """Every name that is not a literal has at least one and at most `most` words.

    Words are what single spaces separate, as the ExplaGraphs validator counts them.
    """

    most: int

    def __post_init__(self) -> None:
        _at_least(self.most, 1, "MaxWords")

    def node(self, node: Node) -> Iterator[Violation]:
        """See a node."""
        if not node.literal and (not node.name or node.name.count(" ") >= self.most):
            yield self.broken(f"{node.name!r} does not have 1 to {self.most} words", node)


@dataclass(frozen=True)
class Domain(OfRelation):
    """Every head of the relation has one of the types."""

    relation: str
    types: Collection[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", _set(self.types, "types"))

    def edge(self, edge: Edge) -> Iterator[Violation]:
        """See an edge of the relation."""
        yield from _typed(self, edge, edge.head, self.types)


@dataclass(frozen=True)
class Range(OfRelation):
    """Every tail of the relation has one of the types; for literals these are datatypes."""

    relation: str
    types: Collection[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", _set(self.types, "types"))

    def edge(self, edge: Edge) -> Iterator[Violation]:
        """See an edge of the relation."""
        yield from _typed(self, edge, edge.tail, self.types)


@dataclass(frozen=True)
class Symmetric(OfRelation):
    """A symmetric relation is stored once, from the smaller id to the larger."""

    relation: str

    def edge(self, edge: Edge) -> Iterator[Violation]:
        """See an edge of the relation."""
        if not edge.tail.literal and edge.tail.id < edge.head.id:
            yield self.broken("stored from the larger id to the smaller", edge)


@dataclass(frozen=True)
class Disjoint(Rule):
    """No node has types of two groups, such as two branches of a type tree."""

    groups: tuple[frozenset[str], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(_set(group, "types") for group in self.groups))

    def node(self, node: Node) -> Iterator[Violation]:
        """See a node."""
        found = [group.intersection(node.types) for group in self.groups]
        if sum(map(bool, found)) > 1:
            types = " and ".join(repr(min(types)) for types in found if types)
            yield self.broken(f"{node.name!r} is of {types}, which exclude each other", node)


@dataclass(frozen=True)
class Cardinality(OfRelation):
    """A head has at least `least` and at most `most` different tails of the relation.

    `Cardinality("BORN_IN", most=1)` makes a relation functional. A lower bound needs `types`: it
    holds for every node of one of them, whether or not it has such an edge.
    """

    relation: str
    least: int = 0
    most: int | None = None
    types: Collection[str] = ()

    def __post_init__(self) -> None:
        _at_least(self.least, 0, "Cardinality")
        if self.most is not None:
            _at_least(self.most, max(self.least, 0), "Cardinality")
        if self.least and not self.types:
            raise KgError(
                f"Cardinality of {self.relation} has the lower bound {self.least} for nodes of any "
                "type: name the types that must have such an edge"
            )
        object.__setattr__(self, "types", _set(self.types, "types"))

    def begin(self) -> Check:
        """Return a check that has seen nothing yet."""
        return _Counts(self)


class _Counts(Check):
    def __init__(self, rule: Cardinality) -> None:
        self.rule = rule
        self.concerned: dict[str, Node] = {}
        self.edges: dict[str, tuple[Edge, ...]] = {}

    def node(self, node: Node) -> Iterable[Violation]:
        if self.rule.least and _meet(node.types, self.rule.types):
            self.concerned[node.id] = node
        return ()

    def edge(self, edge: Edge) -> Iterable[Violation]:
        rule = self.rule
        if rule.types and not _meet(edge.head.types, rule.types):
            return ()
        held = self.edges.get(edge.head.id, ())
        if all(edge.tail.id != other.tail.id for other in held):
            self.edges[edge.head.id] = (*held, edge)
        return ()

    def end(self) -> Iterator[Violation]:
        rule = self.rule
        for id, node in self.concerned.items():
            if len(self.edges.get(id, ())) < rule.least:
                found = len(self.edges.get(id, ()))
                yield rule.broken(f"{node.name!r} has {found} of at least {rule.least}", node)
        for edges in self.edges.values():
            if rule.most is not None and len(edges) > rule.most:
                head = edges[0].head
                message = f"{head.name!r} has {len(edges)} of at most {rule.most}"
                yield rule.broken(message, head, *edges)


def _typed(rule: Rule, edge: Edge, end: Node, types: Collection[str]) -> Iterator[Violation]:
    if _meet(end.types, types):
        return
    found = f"is of type {end.types[0]!r}" if end.types else "has no type"
    yield rule.broken(f"{end.name!r} {found}, not {' or '.join(sorted(types))}", end, edge)


def _meet(found: tuple[str, ...], types: Collection[str]) -> bool:
    return any(type in types for type in found)


def _set(words: Collection[str], what: str) -> frozenset[str]:
    if isinstance(words, str):
        raise KgError(f"the {what} are one text, {words!r}: give a list of texts")
    return frozenset(words)


def _at_least(number: int, least: int, rule: str) -> None:
    if number < least:
        raise KgError(f"{rule} has the bound {number}: it must be {least} or more")
