"""What a given name or a title of address tells of a person's gender."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from kg.ids import normal_form

__all__ = ["gender_of"]


def gender_of(name: str) -> str:
    """Return "f" or "m" for a name that begins with a known given name, "" for all others.

    >>> gender_of("Marie Curie"), gender_of("Niels Bohr"), gender_of("Warsaw")
    ('f', 'm', '')
    """
    first = normal_form(name).partition(" ")[0]
    women, men = _given_names()
    return "f" if first in women else "m" if first in men else ""


@cache
def _given_names() -> tuple[frozenset[str], frozenset[str]]:
    lines = files("harvest").joinpath("data/given_names.txt").read_text("utf-8").splitlines()
    groups: dict[str, list[str]] = {}
    for line in lines:
        if line and not line.startswith("#"):
            key, _, names = line.partition(":")
            groups[key] = normal_form(names).split()
    return frozenset(groups["women"]), frozenset(groups["men"])
