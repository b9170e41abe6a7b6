"""The errors of `harvest`, as one tree.

```
HarvestError                 anything this package raises on purpose
├── InputError               the paths or options of a harvest make no sense as a whole
├── DocumentError            one file or document cannot be read; carries reason and hint
└── ExtractionError          a harvester cannot read one chunk; the document is a failed row
```

A `DocumentError` or `ExtractionError` never ends a harvest: it becomes one `Failure` row of the
report and the other documents go on. Every message says what was found and what to do about it.
"""

from __future__ import annotations

from typing import ClassVar

from kg.errors import KgError

__all__ = ["DocumentError", "ExtractionError", "HarvestError", "InputError"]


class HarvestError(KgError):
    """Root of every error that `harvest` raises on purpose."""


class InputError(HarvestError):
    """The paths or options of a harvest make no sense as a whole; nothing was read."""

    #: Usage.
    exit_code: ClassVar[int] = 2


class DocumentError(HarvestError):
    """One file or document cannot be read.

    Args:
        reason: what was found and why it is refused.
        hint: what the user can do about it.
    """

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(f"{reason}; {hint}")
        self.reason = reason
        self.hint = hint


class ExtractionError(HarvestError):
    """A harvester cannot read one chunk; what it wrote of the document before stays."""
