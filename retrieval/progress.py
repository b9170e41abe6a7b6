"""What long work tells whoever waits for it."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress"]


class Progress(Protocol):
    """Called after each step with steps done, steps in all and what is being done."""

    def __call__(self, done: int, total: int, label: str) -> None:
        """Show the state."""
        ...
