"""Entity encoders: from a text to a vector of length one, so that new entities need no training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrieval.ranking import Vectors

__all__ = ["EntityEncoder"]


@runtime_checkable
class EntityEncoder(Protocol):
    """Anything that turns texts into vectors; the same text always gives the same vector."""

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides a vector: weights, vocabulary, options."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one vector a text, [n, dim] float32, of length 1 (or 0 where nothing is known)."""
        ...

    def save(self, folder: Path) -> None:
        """Write the encoder into a folder."""
        ...
