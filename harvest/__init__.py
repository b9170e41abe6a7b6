"""Harvest: documents and language models to typed triples with their evidence.

`harvest.text("…")` returns the facts of a string; `harvest.job.harvest` reads files into a graph.
Importing this package loads neither torch nor spaCy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harvest.facts import Fact, text

__all__ = ["Fact", "text"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from harvest import facts

        return getattr(facts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
