"""Parquet: opened by pandas, sorted, checked before anything is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas
import pyarrow.parquet
import pytest

import kg
from kg.errors import ExchangeError, KgError
from kg.exchange.archive import KINDS
from kg.exchange.parquet import DERIVED, is_archive, read_parquet, write_parquet
from tests.kg.exchange.graphs import HOSTILE, full_graph, hostile_graph


def test_pandas_opens_every_table(tmp_path: Path) -> None:
    graph = full_graph()
    assert write_parquet(graph, tmp_path) == graph.stats().triples
    assert is_archive(tmp_path)
    found = graph.stats()
    counts = {kind: len(pandas.read_parquet(tmp_path / f"{kind}.parquet")) for kind in KINDS}
    assert counts["evidence"] == found.evidence
    assert counts["document"] == found.documents
    triples = pandas.read_parquet(tmp_path / "triple.parquet")
    entities = pandas.read_parquet(tmp_path / "entity.parquet")
    joined = triples.merge(entities, left_on="head", right_on="id")
    assert len(joined) == found.triples
    assert set(triples["id"]) == {t.id for t in graph.derived("triple")}


def test_pandas_sees_hostile_names_unchanged(tmp_path: Path) -> None:
    write_parquet(hostile_graph(), tmp_path)
    entities = pandas.read_parquet(tmp_path / "entity.parquet")
    assert sorted(entities["name"]) == sorted(HOSTILE)


def test_rows_come_by_id(tmp_path: Path) -> None:
    write_parquet(full_graph(), tmp_path)
    for kind in ("document", "chunk", "mention", "evidence", "config", *DERIVED):
        ids = list(pandas.read_parquet(tmp_path / f"{kind}.parquet", columns=["id"])["id"])
        assert ids == sorted(ids), kind


def test_row_groups_are_written_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kg.exchange.parquet.GROUP", 7)
    graph, copy = full_graph(), kg.open_graph("memory://")
    write_parquet(graph, tmp_path)
    file = pyarrow.parquet.ParquetFile(tmp_path / "mention.parquet")
    assert file.num_row_groups == -(-graph.stats().mentions // 7)
    read_parquet(copy, tmp_path)
    assert kg.graph_hash(copy) == kg.graph_hash(graph)


def test_an_export_takes_the_place_of_the_older_one(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    write_parquet(full_graph(), tmp_path)
    write_parquet(hostile_graph(), tmp_path)
    copy = kg.open_graph("memory://")
    read_parquet(copy, tmp_path)
    assert kg.graph_hash(copy) == kg.graph_hash(hostile_graph())
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"
    with pytest.raises(ExchangeError, match="is a file"):
        write_parquet(copy, tmp_path / "notes.txt")


def _rewrite(path: Path, change: str) -> None:
    table = pyarrow.parquet.read_table(path)
    match change:
        case "version":
            table = table.replace_schema_metadata({"sheaf.format": "999"})
        case "unmarked":
            table = table.replace_schema_metadata({})
        case "column":
            table = table.drop_columns(["head"])
        case "value":
            place = table.schema.get_field_index("relation")
            values = pyarrow.array(["changed"] * len(table))
            table = table.set_column(place, "relation", values)
    pyarrow.parquet.write_table(table, path)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ("version", "format 999"),
        ("unmarked", r"\(none\)"),
        ("column", "lacks the columns head"),
        ("value", "something was changed"),
        ("garbage", "not a Parquet file"),
        ("missing", "does not exist"),
    ],
)
def test_a_wrong_table_leaves_no_run(tmp_path: Path, change: str, hint: str) -> None:
    write_parquet(full_graph(), tmp_path)
    path = tmp_path / "evidence.parquet"
    if change == "garbage":
        path.write_bytes(b"PAR1 no")
    elif change == "missing":
        path.unlink()
    else:
        _rewrite(path, change)
    copy = kg.open_graph("memory://")
    with pytest.raises(ExchangeError, match=hint):
        read_parquet(copy, tmp_path)
    assert (copy.stats().runs, copy.stats().evidence) == (0, 0)


def test_a_record_whose_mention_is_missing(tmp_path: Path) -> None:
    write_parquet(full_graph(), tmp_path)
    table = pyarrow.parquet.read_table(tmp_path / "mention.parquet")
    pyarrow.parquet.write_table(table.slice(0, 0), tmp_path / "mention.parquet")
    copy = kg.open_graph("memory://")
    with pytest.raises(KgError, match="which no mention names"):
        read_parquet(copy, tmp_path)
    assert (copy.stats().runs, copy.stats().evidence) == (0, 0)


def test_a_copied_folder_is_an_archive_too(tmp_path: Path) -> None:
    write_parquet(full_graph(), tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    copy = kg.open_graph("memory://")
    assert read_parquet(copy, tmp_path / "b").records > 0
