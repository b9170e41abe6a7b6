"""Find dates in text and write them as ISO 8601 values: 1867, 1867-11, 1867-11-07.

| in the text | value |
|---|---|
| 7 November 1867 · 7th of November, 1867 · November 7, 1867 · Nov. 7, 1867 | 1867-11-07 |
| 1867-11-07 | 1867-11-07 |
| November 1867 · Nov. 1867 | 1867-11 |
| 1867 (as a year of its own, 1000 to 2099) | 1867 |

A date that the calendar does not have (31 February) is no date. Decades, ranges such as 1914–18 and
ages are left alone: guessing their end would invent knowledge.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass

from kg.records import Span

__all__ = ["DateSpan", "find_dates", "parse_date"]

_MONTHS = (
    "january february march april may june july august september october november december"
).split()
_MONTH = (
    r"(?P<month{0}>Jan(?:uary|\.)?|Feb(?:ruary|\.)?|Mar(?:ch|\.)?|Apr(?:il|\.)?|May|June?\.?|July?\.?|"
    r"Aug(?:ust|\.)?|Sept?(?:ember|\.)?|Oct(?:ober|\.)?|Nov(?:ember|\.)?|Dec(?:ember|\.)?)"
)
_DAY = r"(?P<day{0}>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_YEAR = r"(?P<year{0}>1\d{{3}}|20\d{{2}})"
_FORMS = (
    _DAY + r"\s+(?:of\s+)?" + _MONTH + r",?\s+" + _YEAR,
    _MONTH + r"\s+" + _DAY + r"\s*,?\s+" + _YEAR,
    _MONTH + r",?\s+(?:of\s+)?" + _YEAR,
    r"(?P<year{0}>1\d{{3}}|20\d{{2}})-(?P<month{0}>0[1-9]|1[0-2])-(?P<day{0}>0[1-9]|[12]\d|3[01])",
    _YEAR,
)
_DATE = re.compile(
    r"(?<![\w.,$£€%-])(?:"
    + "|".join(form.format(index) for index, form in enumerate(_FORMS))
    + r")(?![\w%]|[.,]\d|['’]s\b|-\d|\s?[–-]\s?\d\d(?!\d))"
)


@dataclass(frozen=True, slots=True)
class DateSpan:
    """A date that stands in a text: its span and its ISO value."""

    span: Span
    value: str


def find_dates(text: str) -> list[DateSpan]:
    """Return the dates of `text` from left to right.

    >>> [d.value for d in find_dates("born 7 November 1867, moved in May 1891, won in 1903")]
    ['1867-11-07', '1891-05', '1903']
    >>> find_dates("31 February 1900 sheep in the 1920s")
    []
    """
    found = []
    for match in _DATE.finditer(text):
        value = _value(match)
        if value:
            found.append(DateSpan(match.span(), value))
    return found


def parse_date(text: str) -> str:
    """Return the ISO value of a text that is one date and nothing else, or "".

    >>> parse_date("November 7, 1867"), parse_date("1867"), parse_date("soon")
    ('1867-11-07', '1867', '')
    """
    match = _DATE.fullmatch(text.strip())
    return _value(match) if match else ""


def _value(match: re.Match[str]) -> str:
    for index, _ in enumerate(_FORMS):
        groups = {
            part: match.group(f"{part}{index}")
            for part in ("year", "month", "day")
            if f"{part}{index}" in match.re.groupindex
        }
        year = groups.get("year")
        if year is None:
            continue
        month = groups.get("month")
        if month is None:
            return year
        number = int(month) if month.isdigit() else _month_number(month)
        if "day" not in groups:
            return f"{year}-{number:02d}"
        day = int(groups["day"])
        if day > monthrange(int(year), number)[1]:
            return ""
        return f"{year}-{number:02d}-{day:02d}"
    return ""


def _month_number(name: str) -> int:
    stem = name.rstrip(".").lower()[:3]
    return next(index for index, month in enumerate(_MONTHS, 1) if month.startswith(stem))
