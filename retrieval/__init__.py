"""Encoders of entities, link prediction, entity search and demonstrations on a graph.

`train(graph)` learns one vector per entity from its words, `predict(graph, …)` and `propose(graph)`
name links that the graph does not hold, `search(graph, "words")` finds entities, and
`demos(graph, "sentence")` solved examples for a prompt. The package knows texts, vectors and
graphs, and not where triples come from. Nothing heavy is imported before a model is trained or
asked.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrieval.demonstrations.graph_pool import demos
    from retrieval.entity_search import search
    from retrieval.link_prediction import predict, train
    from retrieval.proposals import propose

__all__ = ["demos", "predict", "propose", "search", "train"]

_HOME = {
    "demos": "retrieval.demonstrations.graph_pool",
    "predict": "retrieval.link_prediction",
    "propose": "retrieval.proposals",
    "search": "retrieval.entity_search",
    "train": "retrieval.link_prediction",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
