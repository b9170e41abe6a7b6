"""Knowledge graphs of typed, scored and sourced triples: records, stores, Cypher, exchange.

>>> import kg
>>> graph = kg.open_graph("memory://")
>>> graph.stats().triples
0
"""

from kg.errors import KgError
from kg.graph_hash import graph_hash
from kg.schema import Schema
from kg.store.open import open_graph
from kg.store.protocol import GraphStore

__all__ = ["GraphStore", "KgError", "Schema", "graph_hash", "open_graph"]
