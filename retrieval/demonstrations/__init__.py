"""Demonstration retrieval: the solved examples that help a language model most.

| what | where |
|---|---|
| a task and its solved examples; the prompt | `Task`, `Demo`, `PromptTemplate` |
| find them: words or vectors, live pools | `DemonstrationRetriever` |
| what a language model makes of them | `LMScorer` |
| learn to find better ones | `DemonstrationTrainer` |
| take them from a graph | `graph_pool` |

Nothing is imported before it is named.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrieval.demonstrations.retriever import DemonstrationRetriever
    from retrieval.demonstrations.scorer import LMScorer
    from retrieval.demonstrations.task import Demo, Task
    from retrieval.demonstrations.template import PromptTemplate
    from retrieval.demonstrations.trainer import DemonstrationTrainer

__all__ = [
    "Demo",
    "DemonstrationRetriever",
    "DemonstrationTrainer",
    "LMScorer",
    "PromptTemplate",
    "Task",
]

_HOME = {
    "Demo": "task",
    "DemonstrationRetriever": "retriever",
    "DemonstrationTrainer": "trainer",
    "LMScorer": "scorer",
    "PromptTemplate": "template",
    "Task": "task",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
