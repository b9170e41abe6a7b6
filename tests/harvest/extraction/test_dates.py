"""Dates of prose become ISO values."""

import pytest

from harvest.extraction.dates import find_dates, parse_date


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7 November 1867", "1867-11-07"),
        ("7th of November, 1867", "1867-11-07"),
        ("November 7, 1867", "1867-11-07"),
        ("Nov. 7, 1867", "1867-11-07"),
        ("1867-11-07", "1867-11-07"),
        ("November 1867", "1867-11"),
        ("Sept. 1867", "1867-09"),
        ("1867", "1867"),
        ("29 February 1904", "1904-02-29"),
    ],
)
def test_forms(text: str, value: str) -> None:
    assert parse_date(text) == value
    [found] = find_dates(f"It was on {text}.")
    assert found.value == value
    assert f"It was on {text}."[slice(*found.span)] == text


@pytest.mark.parametrize(
    "text",
    [
        "29 February 1903",
        "31 April 1900",
        "the 1920s",
        "1914–18",
        "1,867 people",
        "$1867",
        "room 99",
        "1867%",
        "pi is 3.1415",
    ],
)
def test_what_is_no_date(text: str) -> None:
    assert parse_date(text) == ""
    assert find_dates(text) == []


def test_both_ends_of_a_life_are_found_in_order() -> None:
    text = "Marie Curie (7 November 1867 – 4 July 1934) won in 1903 and 1911."
    assert [date.value for date in find_dates(text)] == ["1867-11-07", "1934-07-04", "1903", "1911"]
