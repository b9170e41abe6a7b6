"""A graph of labelled edges as the rules see it, whether a few edges of text or a whole store.

```
LabelledGraph.of([("cannabis", "synonym of", "marijuana"), …])     a handful of edges
LabelledGraph.parse("(cannabis; synonym of; marijuana)(…)")        the same, from its text
StoredGraph(store)                                                 entities and triples, streamed
```
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from kg.store.protocol import GraphStore

__all__ = ["Edge", "LabelledGraph", "Node", "Source", "StoredGraph"]


class Node(NamedTuple):
    """An end of an edge."""

    id: str
    #: As people write it; for a concept of an explanation graph the same as its id.
    name: str
    #: Types of the schema, finest first, then their ancestors; a literal's datatype.
    types: tuple[str, ...] = ()
    literal: bool = False


class Edge(NamedTuple):
    """A directed, labelled edge.

    >>> str(Edge(Node("a", "a"), "part of", Node("b", "b")))
    '(a; part of; b)'
    """

    head: Node
    relation: str
    tail: Node
    #: Id of the triple in a store, "" elsewhere.
    id: str = ""

    def __str__(self) -> str:
        return f"({self.head.name}; {self.relation}; {self.tail.name})"

    @property
    def key(self) -> tuple[str, str, str]:
        """Return (head id, relation, tail id)."""
        return self.head.id, self.relation, self.tail.id


class Source(Protocol):
    """What rules read: all nodes once, then all edges once."""

    @property
    def unreadable(self) -> Sequence[str]:
        """Parts of the text that are no edge; empty for a graph that was not text."""
        ...

    def nodes(self) -> Iterator[Node]:
        """Iterate over the nodes, each once."""
        ...

    def edges(self) -> Iterator[Edge]:
        """Iterate over the edges; parallel and equal edges stay apart."""
        ...

    def quotes(self, edge: Edge) -> tuple[str, ...]:
        """Return what the sources of an edge say, word for word."""
        ...


@dataclass(frozen=True, slots=True)
class LabelledGraph:
    """A graph small enough to be held and changed, edges in their order.

    >>> graph = LabelledGraph.of([("a", "part of", "b"), ("b", "is a", "c")])
    >>> [node.name for node in graph.nodes()], graph.text
    (['a', 'b', 'c'], '(a; part of; b)(b; is a; c)')
    """

    edge_list: tuple[Edge, ...] = ()
    #: Nodes without an edge.
    lone: tuple[Node, ...] = ()
    unreadable: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        triples: Iterable[tuple[str, str, str]],
        *,
        types: Mapping[str, Sequence[str]] | None = None,
    ) -> LabelledGraph:
        """Make a graph of (head, relation, tail), whose nodes are called by their ids.

        Args:
            triples: the edges.
            types: node → its types, finest first. Nodes that no edge names are kept, too.
        """
        kinds = types or {}
        known: dict[str, Node] = {}

        def node(id: str) -> Node:
            return known.setdefault(id, Node(id, id, tuple(kinds.get(id, ()))))

        edges = tuple(Edge(node(head), relation, node(tail)) for head, relation, tail in triples)
        return cls(edges, tuple(node(id) for id in kinds if id not in known))

    @classmethod
    def parse(cls, text: str) -> LabelledGraph:
        """Read `(head; relation; tail)(…)`; a part that is no edge is kept in `unreadable`.

        >>> LabelledGraph.parse("(a; is a; b)(b; causes: c)").unreadable
        ('b; causes: c',)
        """
        inner = text.removeprefix("(").removesuffix(")")
        whole = len(inner) == len(text) - 2
        parts = [tuple(part.split("; ")) for part in inner.split(")(")]
        triples = [(part[0], part[1], part[2]) for part in parts if len(part) == 3]
        unreadable = ["; ".join(part) for part in parts if len(part) != 3]
        if not whole:  # without its outer brackets, which edge was cut short is unknown
            return cls(unreadable=(text,))
        return cls(cls.of(triples).edge_list, unreadable=tuple(unreadable))

    @property
    def text(self) -> str:
        """Return the graph as `(head; relation; tail)(…)`, parts that are no edge last."""
        return "".join([*map(str, self.edge_list), *(f"({part})" for part in self.unreadable)])

    def nodes(self) -> Iterator[Node]:
        """Iterate over the nodes in the order in which edges name them, lone ones last."""
        ends = (node for edge in self.edge_list for node in (edge.head, edge.tail))
        yield from {node.id: node for node in (*ends, *self.lone)}.values()

    def edges(self) -> Iterator[Edge]:
        """Iterate over the edges in their order."""
        yield from self.edge_list

    def quotes(self, edge: Edge) -> tuple[str, ...]:
        """Return nothing: these edges have no sources."""
        return ()


class StoredGraph:
    """A store's entities, literals and triples; predictions are not among them.

    Triples are streamed. Entities are held, since every triple names two of them.
    """

    unreadable: tuple[str, ...] = ()

    def __init__(self, store: GraphStore) -> None:
        self._store = store
        self._nodes: dict[str, Node] = {}

    def nodes(self) -> Iterator[Node]:
        """Iterate over entities and literals."""
        if not self._nodes:
            self._load()
        yield from self._nodes.values()

    def _load(self) -> None:
        chains: dict[tuple[str, ...], tuple[str, ...]] = {}  # a graph has few different ones
        for entity in self._store.derived("entity"):
            chain = chains.setdefault(entity.types, entity.types)
            self._nodes[entity.id] = Node(entity.id, entity.name, chain)
        for literal in self._store.derived("literal"):
            kinds = chains.setdefault((literal.datatype,), (literal.datatype,))
            self._nodes[literal.id] = Node(literal.id, literal.lexical, kinds, literal=True)

    def edges(self) -> Iterator[Edge]:
        """Iterate over the triples."""
        if not self._nodes:
            self._load()
        nodes = self._nodes
        for triple in self._store.derived("triple"):
            yield Edge(nodes[triple.head], triple.relation, nodes[triple.tail], triple.id)

    def quotes(self, edge: Edge) -> tuple[str, ...]:
        """Return the quotes of the triple's evidence, each once."""
        evidence = self._store.written("evidence", triple=edge.id)
        return tuple(dict.fromkeys(one.quote for one in evidence if one.quote))
