"""Which written records can be asked for, and by which filters: one answer for all stores."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from kg.errors import KgError

__all__ = ["Filtered", "check_filters"]


class Filtered(Protocol):
    """A kind of record as a store describes it; the keys of `where` are its filters."""

    @property
    def where(self) -> Mapping[str, str]:
        """Filter name → condition in the store's language."""
        ...


def check_filters[K: Filtered](kinds: Mapping[str, K], kind: str, filters: Collection[str]) -> K:
    """Return a store's description of a kind of record.

    Raises:
        KgError: for a kind that there is not, or a filter that it does not have.
    """
    if kind not in kinds:
        raise KgError(f"no written records of kind {kind!r}; there are {', '.join(kinds)}")
    described = kinds[kind]
    unknown = [name for name in filters if name not in described.where]
    if unknown:
        allowed = ", ".join(described.where) or "none"
        raise KgError(f"{kind} cannot be filtered by {unknown[0]!r}; allowed: {allowed}")
    return described
