"""Ids of rows on disk against a dictionary."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval import id_table
from retrieval.id_table import IdTable, hashes_of

#: Any string that Python can hold, lone surrogates and the empty one too.
anything = st.text(st.characters(codec=None), max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(anything, unique=True, max_size=20), st.lists(anything, max_size=10))
def test_rows_and_ids_equal_a_dictionary(ids: list[str], others: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        IdTable.write(folder, ids)
        table = IdTable(folder)
        place = {id: row for row, id in enumerate(ids)}
        asked = [*others, *ids]
        assert table.rows(asked).tolist() == [place.get(id, -1) for id in asked]
        assert list(table) == ids
        assert len(table) == len(ids)


def test_ids_of_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def same(ids):
        return np.full(len(ids), 7, np.uint64)

    monkeypatch.setattr(id_table, "hashes_of", same)
    IdTable.write(tmp_path, ["a", "b", "c"])
    assert IdTable(tmp_path).rows(["c", "a", "d", "b"]).tolist() == [2, 0, -1, 1]


def test_hashes_are_the_same_on_every_machine() -> None:
    assert hashes_of(["Łódź", ""]).tolist() == [10311307957789548941, 13020603013274838756]


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    IdTable.write(tmp_path, ["a", "b"])
    np.save(tmp_path / "rows.npy", np.arange(3))
    with pytest.raises(ValueError, match="do not fit"):
        IdTable(tmp_path)
