"""Triples out of English text, offline: the extractor behind `harvest.text` and `sheaf harvest`.

`TextHarvester` is what a job calls. Importing this package loads neither torch nor spaCy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harvest.extraction.harvester import TextHarvester, shipped_schema

__all__ = ["TextHarvester", "shipped_schema"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from harvest.extraction import harvester

        return getattr(harvester, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
