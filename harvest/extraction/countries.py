"""The country that a demonym tells of ("Polish" → Poland), and whether a name is a country's."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from kg.ids import normal_form

__all__ = ["country_of", "is_country"]

#: Other names under which texts write these countries.
_OTHER_NAMES = {
    "United States": ("USA", "U.S.", "US", "United States of America", "America"),
    "United Kingdom": ("UK", "U.K.", "Great Britain", "Britain", "England", "Scotland", "Wales"),
    "Soviet Union": ("USSR",),
    "Netherlands": ("Holland",),
    "China": ("People's Republic of China",),
}


def country_of(demonym: str) -> str:
    """Return the country of a demonym, "" if there is none of that name.

    >>> country_of("Polish"), country_of("Jewish")
    ('Poland', '')
    """
    return _tables()[0].get(normal_form(demonym), "")


def is_country(name: str) -> bool:
    """Tell whether a name is one of a country, today's or a well-known former one.

    >>> is_country("Poland"), is_country("Warsaw")
    (True, False)
    """
    return normal_form(name) in _tables()[1]


@cache
def _tables() -> tuple[dict[str, str], frozenset[str]]:
    lines = files("harvest").joinpath("data/countries.txt").read_text("utf-8").splitlines()
    demonyms: dict[str, str] = {}
    names: set[str] = set()
    for line in lines:
        if not line or line.startswith("#"):
            continue
        country, _, words = line.partition(":")
        names.update(map(normal_form, (country, *_OTHER_NAMES.get(country, ()))))
        for word in words.split(","):
            if word.strip():
                demonyms[normal_form(word)] = country
    return demonyms, frozenset(names)
