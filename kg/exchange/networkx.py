"""A graph as a networkx `MultiDiGraph`, in memory.

The key of an edge is the id of its triple: with the relation's name as key, a second edge of that
relation would overwrite the first, and a plain `DiGraph` loses parallel edges. Predictions are not
exported, as they are no facts. For a file, and for graphs that do not fit into memory, see
`kg.exchange.graphml`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kg.store.protocol import GraphStore

if TYPE_CHECKING:
    import networkx

__all__ = ["to_networkx"]


def to_networkx(graph: GraphStore) -> networkx.MultiDiGraph[str]:
    """Return the entities, literals and triples of a graph.

    A node is an id with `kind` ("entity" or "literal") and the fields of the record; an edge has
    the triple's id as key, and `relation`, `predicate`, `score` and `support`.

    >>> import kg
    >>> to_networkx(kg.open_graph("memory://")).number_of_nodes()
    0
    """
    import networkx

    result: networkx.MultiDiGraph[str] = networkx.MultiDiGraph()
    for entity in graph.derived("entity"):
        result.add_node(
            entity.id,
            kind="entity",
            name=entity.name,
            types=entity.types,
            aliases=entity.aliases,
            description=entity.description,
            iri=entity.iri,
            props=dict(entity.props),
        )
    for literal in graph.derived("literal"):
        result.add_node(
            literal.id,
            kind="literal",
            lexical=literal.lexical,
            datatype=literal.datatype,
            lang=literal.lang,
        )
    for triple in graph.derived("triple"):
        result.add_edge(
            triple.head,
            triple.tail,
            key=triple.id,
            relation=triple.relation,
            predicate=triple.predicate,
            score=triple.score,
            support=triple.support,
        )
    return result
