"""Values on a terminal and in JSON: readable, complete, harmless."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg import presentation
from kg.presentation import cell, clean, plain, print_table
from kg.store.protocol import GraphPath, Node, Relationship

CURIE = Node(("Entity", "City", "Place"), {"name": "Warsaw", "types": ["City", "Place"]})
BORN = Relationship("BORN_IN", {"score": 0.934, "id": "t_1"})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (CURIE, "Warsaw (City)"),
        (Node(("Entity",), {"id": "e_1"}), "e_1"),
        (Node(("Literal",), {"lexical": "1867-11-07", "id": "l_1"}), "1867-11-07"),
        (Node(("Document",), {"title": "", "uri": "a.txt"}), "a.txt"),
        (Node(("Chunk",), {"id": "c_1"}), "Chunk c_1"),
        (Node(("Entity",), {"name": "a\x1b[2Jb\n"}), "a [2Jb"),
        (BORN, "[BORN_IN 0.93]"),
        (Relationship("FROM_DOCUMENT", {}), "[FROM_DOCUMENT]"),
        (GraphPath((CURIE, CURIE), (BORN,)), "Warsaw (City) — [BORN_IN 0.93] — Warsaw (City)"),
        (GraphPath((), ()), ""),
        ([1, [None, True]], "1, –, true"),
        ({"a": 0.25}, "a: 0.25"),
    ],
)
def test_cell(value: Any, shown: str) -> None:
    assert cell(value) == shown


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        | st.builds(Node, st.just(("Entity",)), st.dictionaries(st.text(max_size=5), inner))
    ),
    max_leaves=8,
)


@given(json_values)
def test_every_value_can_be_shown_and_written(value: Any) -> None:
    shown = cell(value)
    assert not any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in shown)
    json.dumps(plain(value), allow_nan=False)


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)
    assert "\n" not in clean(text)


@pytest.mark.parametrize("width", [30, 60, 90, 160])
def test_a_narrow_table_loses_no_letter(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(presentation, "PIPE_WIDTH", width)
    rows = [("r_" + "0" * 32, "model-" + "1" * 30, "2 " * 30, "3" * 7)]
    print_table(("run", "model", "counts", "end"), rows)
    out = capsys.readouterr().out
    assert [out.count(digit) for digit in "0123"] == [32, 30, 30, 7]
    if width == 160:
        assert rows[0][0] in out


def test_a_table_cuts_nothing_off(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 1000
    print_table(("name", "[b]n[/b]"), [(long, 1), ("[red]y[/red]", 23)])
    out = capsys.readouterr().out
    assert out.count("x") == 1000
    assert "[red]y[/red]" in out
    assert "[b]n[/b]" in out
