"""Whether a graph keeps a set of rules, and where it does not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kg.constraints.graph import Edge, LabelledGraph, Source, StoredGraph
from kg.constraints.rules import Check, Rule, Violation
from kg.store.protocol import GraphStore

__all__ = ["Failed", "Report", "validate"]

type Triples = Iterable[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Failed:
    """A rule that does not hold, how often, and the first places."""

    rule: str
    about: str
    count: int
    examples: tuple[Violation, ...]

    def __str__(self) -> str:
        of = f" of {self.about}" if self.about else ""
        return f"{self.rule}{of}: {self.examples[0].message if self.examples else self.count}"


@dataclass(frozen=True, slots=True)
class Report:
    """What `validate` found."""

    #: In the order of the rules.
    failed: tuple[Failed, ...]
    #: Names of rules that could not be judged, because parts of the text are no edges.
    unjudged: tuple[str, ...]
    nodes: int
    edges: int

    @property
    def ok(self) -> bool:
        """Say whether every rule holds."""
        return not self.failed

    @property
    def broken(self) -> frozenset[str]:
        """Return the names of the rules that do not hold."""
        return frozenset(one.rule for one in self.failed)

    def __str__(self) -> str:
        return "every rule holds" if self.ok else "\n".join(map(str, self.failed))


def validate(
    graph: GraphStore | LabelledGraph | Triples, rules: Sequence[Rule], *, examples: int = 10
) -> Report:
    """Check a graph against rules, in one pass over its nodes and one over its edges.

    Of a text with parts that are no edge, only the rules that count edges and `Arity` are judged:
    what holds of a part says nothing about the whole.

    Args:
        graph: an open store, a graph, or (head, relation, tail) triples.
        rules: what must hold; see `kg.constraints.rules`, `.structure` and `rules_of`.
        examples: violations shown per rule; all are counted. Those of a store come with quotes.

    >>> from kg.constraints import Acyclic, MinEdges, Relations
    >>> rules = [MinEdges(3), Relations(["part of", "is a"]), Acyclic()]
    >>> report = validate([("a", "part of", "b"), ("b", "is", "a")], rules)
    >>> report.ok
    False
    >>> print(report)
    MinEdges: 2 edges, at least 3 are wanted
    Relations: 'is' is not among the relations
    Acyclic: a → b → a is a circle
    """
    source = _source(graph)
    judged = [rule for rule in rules if rule.judges_partial or not source.unreadable]
    checks = [rule.begin() for rule in judged]
    found: list[list[Violation]] = [[] for _ in judged]
    counts: Counter[int] = Counter()

    def note(number: int, violations: Iterable[Violation]) -> None:
        for violation in violations:
            counts[number] += 1
            if len(found[number]) < examples:
                found[number].append(violation)

    for text in source.unreadable:
        for number, check in enumerate(checks):
            note(number, check.unreadable(text))
    nodes = edges = 0
    of_nodes = [(n, c) for n, c in enumerate(checks) if type(c).node is not Check.node]
    for node in source.nodes():
        nodes += 1
        for number, check in of_nodes:
            note(number, check.node(node))
    of_edges = _by_relation(judged, checks)
    for edge in source.edges():
        edges += 1
        for number, check in of_edges[edge.relation]:
            note(number, check.edge(edge))
    for number, check in enumerate(checks):
        note(number, check.end())
    failed = tuple(
        Failed(
            judged[number].name,
            judged[number].about,
            counts[number],
            tuple(_quoted(violation, source) for violation in found[number]),
        )
        for number in sorted(counts)
    )
    unjudged = tuple(rule.name for rule in rules if rule not in judged)
    return Report(failed, unjudged, nodes, edges)


def _source(graph: GraphStore | LabelledGraph | Triples) -> Source:
    if isinstance(graph, LabelledGraph):
        return graph
    if isinstance(graph, GraphStore):
        return StoredGraph(graph)
    return LabelledGraph.of(graph)


class _by_relation(defaultdict[str, list[tuple[int, Check]]]):  # noqa: N801 - used as a function
    """Relation → the checks that want to see its edges, so that a schema of 500 costs no more."""

    def __init__(self, rules: Sequence[Rule], checks: Sequence[Check]) -> None:
        super().__init__()
        self._all: list[tuple[int, Check]] = []
        self._only: dict[str, list[tuple[int, Check]]] = defaultdict(list)
        for number, (rule, check) in enumerate(zip(rules, checks, strict=True)):
            if type(check).edge is Check.edge:
                continue
            only = rule.listens_to
            (self._all if only is None else self._only[only]).append((number, check))

    def __missing__(self, relation: str) -> list[tuple[int, Check]]:
        self[relation] = self._all + self._only.get(relation, [])
        return self[relation]


def _quoted(violation: Violation, source: Source) -> Violation:
    edges: Iterable[Edge] = violation.edges
    quotes = dict.fromkeys(quote for edge in edges for quote in source.quotes(edge))
    return replace(violation, quotes=tuple(quotes))
