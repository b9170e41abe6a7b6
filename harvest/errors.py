"""The errors of `harvest`, as one tree.

```
HarvestError                 anything this package raises on purpose
├── InputError               the paths or options of a harvest make no sense as a whole
├── DocumentError            one file or document cannot be read; carries reason and hint
├── ExtractionError          a harvester cannot read one chunk, which is a failed row then
│   ├── AnswerError          a language model gave no usable answer; carries what it said
│   └── ContextTooLong       a question is longer than the model's context
└── HarvestStop              going on makes no sense; what is written stays
    ├── BudgetReached        the next call could cost more than is left (exit code 3)
    ├── EndpointRefused      wrong key, no such model, no credit (exit code 2)
    └── EndpointUnreachable  the endpoint does not answer (exit code 4)
```

A `DocumentError` or `ExtractionError` never ends a harvest: it becomes one `Failure` row of the
report and the rest goes on. A `HarvestStop` ends it in good order, and the same command goes on
later. Every message says what was found and what to do about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kg.errors import KgError

if TYPE_CHECKING:
    from harvest.report import Report

__all__ = [
    "AnswerError",
    "BudgetReached",
    "ContextTooLong",
    "DocumentError",
    "EndpointRefused",
    "EndpointUnreachable",
    "ExtractionError",
    "HarvestError",
    "HarvestStop",
    "InputError",
]


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


class AnswerError(ExtractionError):
    """A language model gave no usable answer.

    Args:
        reason: what is wrong with it and what to do about it.
        answer: what came instead, in full.
        retryable: another harvest asks again; otherwise the answer is stored and stays the same.
    """

    def __init__(self, reason: str, *, answer: str = "", retryable: bool = False) -> None:
        super().__init__(reason)
        self.answer = answer
        self.retryable = retryable


class ContextTooLong(ExtractionError):
    """A question is longer than the model's context; a shorter one may pass."""


class HarvestStop(HarvestError):
    """Going on makes no sense. What is written stays, and the same command goes on later."""

    #: The account of the harvest that was stopped, once there is one.
    report: Report | None = None


class BudgetReached(HarvestStop):
    """The next call could cost more than is left of the budget."""

    exit_code: ClassVar[int] = 3


class EndpointRefused(HarvestStop):
    """The endpoint refuses every call: wrong key, no such model, no credit."""

    #: Usage.
    exit_code: ClassVar[int] = 2


class EndpointUnreachable(HarvestStop):
    """The endpoint does not answer."""

    exit_code: ClassVar[int] = 4
    retryable = True
