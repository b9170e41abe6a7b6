"""`sheaf export` and `sheaf import`: formats by suffix, option or content, reports, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import kg
from kg.exchange.commands import app
from kg.exchange.formats import Format
from kg.ids import triple_id
from tests.kg.sample_graph import MARIE, PIERRE, WARSAW, fill

RUN = CliRunner()
#: Suffix → triples of the sample that the format carries.
KEPT = {
    ".nq": 5, ".trig": 5, ".ttl": 5, ".nt": 5, ".parquet": 5, ".graphml": 5, ".tsv": 4,
    ".jsonl": 5, ".json": 5,
}  # fmt: skip


@pytest.fixture
def graph(tmp_path: Path) -> str:
    path = tmp_path / "my.kg"
    store = kg.open_graph(path)
    fill(store)
    store.close()
    return str(path)


def run(*words: str, code: int = 0) -> str:
    result = RUN.invoke(app, list(words))
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.stdout if code == 0 else result.stderr


def answer(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*words, "--json").splitlines()[-1])
    return found


def triples(address: str) -> set[str]:
    store = kg.open_graph(address, create=False)
    found = {triple.id for triple in store.derived("triple")}
    store.close()
    return found


@pytest.mark.parametrize("suffix", KEPT)
def test_the_suffix_names_the_format(graph: str, tmp_path: Path, suffix: str) -> None:
    file, copy = tmp_path / f"out{suffix}", str(tmp_path / "copy.kg")
    exported = answer("export", graph, str(file))
    assert exported["triples"] == KEPT[suffix]
    assert all(Path(name).exists() for name in exported["files"])
    imported = answer("import", copy, str(file))
    assert imported["format"] == exported["format"]
    assert len(triples(copy)) == KEPT[suffix]
    assert triples(copy) <= triples(graph)
    assert answer("import", copy, str(file))["created"] == 0
    store = kg.open_graph(copy)
    for one in list(store.written("run")):
        store.undo(one.id)
    assert store.stats().triples == 0
    store.close()


def test_what_is_printed_names_the_run_to_undo(graph: str, tmp_path: Path) -> None:
    run("export", graph, str(tmp_path / "a.ttl"))
    said = run("import", str(tmp_path / "copy.kg"), str(tmp_path / "a.ttl"))
    store = kg.open_graph(tmp_path / "copy.kg")
    own = next(store.written("run")).id
    store.close()
    assert said == f"5 triples of 7 entities read, 12 new records; undo with run {own}\n"
    run("export", graph, str(tmp_path / "a.nq"))
    said = run("import", str(tmp_path / "third.kg"), str(tmp_path / "a.nq"))
    assert said.startswith("32 records of 2 runs restored, ")


def test_a_lossless_copy_has_the_same_hash(graph: str, tmp_path: Path) -> None:
    for suffix in (".nq", ".trig", ".parquet"):
        file, copy = str(tmp_path / f"out{suffix}"), str(tmp_path / f"{suffix[1:]}.kg")
        run("export", graph, file)
        assert len(answer("import", copy, file)["runs"]) == 2
        stores = [kg.open_graph(path) for path in (graph, copy)]
        assert kg.graph_hash(stores[0]) == kg.graph_hash(stores[1])
        for store in stores:
            store.close()


def test_a_folder_is_known_by_what_it_holds(graph: str, tmp_path: Path) -> None:
    for format in ("parquet", "graphrag"):
        run("export", graph, str(tmp_path / format / "out"), "--format", format)
        copy = str(tmp_path / f"{format}.kg")
        assert answer("import", copy, str(tmp_path / format / "out"))["format"] == format
    (tmp_path / "empty").mkdir()
    error = run("import", str(tmp_path / "x.kg"), str(tmp_path / "empty"), code=1)
    assert "suffix (none)" in error


def test_export_says_what_it_leaves_out(graph: str, tmp_path: Path) -> None:
    result = RUN.invoke(app, ["export", graph, str(tmp_path / "x.tsv")])
    assert "left out 1 triple with a literal; --literals keeps them" in result.stderr
    assert answer("export", graph, str(tmp_path / "y.tsv"), "--literals")["triples"] == 5
    result = RUN.invoke(app, ["export", graph, str(tmp_path / "y"), "--format", "graphrag"])
    assert "left out 1 triple with a literal\n" in result.stderr


def test_the_format_is_named_by_suffix_or_option(graph: str, tmp_path: Path) -> None:
    error = run("export", graph, str(tmp_path / "x.csv"), code=1)
    assert "suffix .csv" in error
    assert answer("export", graph, str(tmp_path / "x.csv"), "--format", "tsv")["triples"] == 4
    (tmp_path / "x").touch()
    assert "suffix (none)" in run("import", graph, str(tmp_path / "x"), code=1)


@pytest.mark.parametrize("suffix", KEPT)
def test_import_of_a_file_that_is_missing(tmp_path: Path, suffix: str) -> None:
    error = run("import", str(tmp_path / "g.kg"), str(tmp_path / f"none{suffix}"), code=2)
    assert "does not exist" in error
    assert not (tmp_path / "g.kg").exists()


def test_export_of_a_graph_that_is_missing(tmp_path: Path) -> None:
    assert "there is no graph" in run(
        "export", str(tmp_path / "none.kg"), str(tmp_path / "a.nq"), code=2
    )


def test_a_folder_that_cannot_be_written_to(graph: str, tmp_path: Path) -> None:
    error = run("export", graph, str(tmp_path / "none" / "a.ttl"), code=1)
    assert "No such file" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "format", [f for f in Format if f not in ("nq", "trig", "parquet", "neo4j-csv")]
)
def test_predictions_are_exported_only_with_everything(
    graph: str, tmp_path: Path, format: Format
) -> None:
    file, copy = tmp_path / "x", tmp_path / "copy.kg"
    run("export", graph, str(file), "--format", format)
    run("import", str(copy), str(file), "--format", format)
    store = kg.open_graph(copy)
    assert store.stats().predictions == 0
    assert triple_id(PIERRE, "BORN_IN", WARSAW) not in {t.id for t in store.derived("triple")}
    assert triple_id(MARIE, "BORN_IN", WARSAW) in {t.id for t in store.derived("triple")}
    store.close()


def test_files_for_the_import_of_neo4j(graph: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    assert answer("export", graph, out, "--format", "neo4j-csv")["triples"] == 5
    assert list(Path(out).iterdir())
    error = run("import", str(tmp_path / "x.kg"), out, "--format", "neo4j-csv", code=1)
    assert "can only be exported" in error
