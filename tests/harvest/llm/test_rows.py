"""Broken answers: nothing that a model said may vanish without being counted."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvest.llm.client import Unreadable
from harvest.llm.completion import Completion
from harvest.llm.parsing import MOST_TRIES, parse_answer
from harvest.llm.rows import Row, read_rows
from tests.harvest.llm.broken import CASES, TWO, UNREADABLE, Case, dump, row


def test_the_corpus_is_large_and_its_names_differ() -> None:
    assert len(CASES) >= 60 and len({case[0] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_every_broken_answer_has_its_outcome(case: Case) -> None:
    _, said, heads, drops = case
    if heads is UNREADABLE:
        with pytest.raises(Unreadable) as caught:
            read_rows(Completion(said))
        assert str(caught.value)
        return
    rows = read_rows(Completion(said))
    assert tuple(row.head for row in rows.rows) == heads
    assert Counter(drop.reason for drop in rows.dropped) == drops
    assert all(drop.text for drop in rows.dropped)


def test_an_answer_that_was_cut_says_so() -> None:
    rows = read_rows(Completion(TWO[:-40], finish="length"))
    assert [row.head for row in rows.rows] == ["Ann"]
    assert Counter(d.reason for d in rows.dropped) == {"schema": 1, "truncated": 1}


def test_truth_and_types_are_understood() -> None:
    said = dump(row(negated="true", hedged=0, head_type="Person", tail_type=None))
    (found,) = read_rows(Completion(said)).rows
    assert found == Row("Ann was born in Rome.", "Ann", "born_in", "Rome", "Person", "", True)


def test_nested_ends_bring_their_types() -> None:
    said = dump(row() | {"tail": {"text": "Rome", "Type": "City"}})
    (found,) = read_rows(Completion(said)).rows
    assert (found.tail, found.tail_type) == ("Rome", "City")


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda name: name.strip() and "<" not in name and "`" not in name
)


@settings(max_examples=150, deadline=None)
@given(ends=st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=5), data=st.data())
def test_no_cut_loses_a_whole_statement_silently(
    ends: list[tuple[str, str]], data: st.DataObject
) -> None:
    """Wherever an answer is cut: each statement that was complete is found."""
    rows = [row(head, tail) for head, tail in ends]
    said = dump(*rows)
    cut = data.draw(st.integers(min_value=len('{"statements": ['), max_value=len(said)))
    whole = {r["quote"]: r for r in rows if f"{json.dumps(r, ensure_ascii=False)}" in said[:cut]}
    try:
        found = read_rows(Completion(said[:cut], finish="length"))
    except Unreadable:
        assert not whole
        return
    assert whole.keys() <= {r.quote for r in found.rows}


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="{}[]\",:\\ \n'`<>/abc1nulltrue", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    parsed = parse_answer(text, keys=["a"])
    assert parsed.lost >= 0
    try:
        read_rows(Completion(text))
    except Unreadable as error:
        assert str(error)


def test_a_repair_that_loses_an_object_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repairing may drop what it cannot place; names in the text and in the values are compared."""
    monkeypatch.setattr("harvest.llm.parsing._repair", lambda _: {"statements": [row()]})
    rows = read_rows(Completion(TWO[:-1] + ",,"))
    assert [row.head for row in rows.rows] == ["Ann"]
    assert [drop.reason for drop in rows.dropped] == ["unreadable"]


@pytest.mark.parametrize("said", ["[" * 20_000, "{" * 999 + "}" * 999, "['" * 9_999, "[x " * 999])
def test_an_answer_of_brackets_is_not_repaired_for_ever(
    said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    monkeypatch.setattr("harvest.llm.parsing._repair", lambda text: tried.append(len(text)))
    parse_answer(said, keys=["quote"])
    assert len(tried) <= MOST_TRIES
