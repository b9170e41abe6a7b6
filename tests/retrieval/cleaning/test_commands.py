"""`resolve` and `canonicalise` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kg import graph_hash, open_graph
from retrieval.cleaning.commands import app
from tests.kg.resolution.said import said


@pytest.fixture
def address(tmp_path: Path) -> str:
    folder = tmp_path / "my.kg"
    graph = open_graph(folder)
    said(
        graph,
        {
            "a.txt": [("Marie Curie:Person", "discovered", "Radium:Element")],
            "b.txt": [("Radium:Element", "was discovered by", "Curie, Marie:Person")],
        },
    )
    graph.close()
    return str(folder)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def state(address: str) -> str:
    graph = open_graph(address)
    try:
        return graph_hash(graph)
    finally:
        graph.close()


@pytest.mark.parametrize(("command", "key"), [("resolve", "merges"), ("canonicalise", "rows")])
def test_shown_then_done_then_nothing_left(address: str, command: str, key: str) -> None:
    before = state(address)
    shown = run(command, address, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "nothing was written" in shown.stdout
    assert state(address) == before
    done = run(command, address, "--json")
    report = json.loads(done.stdout.splitlines()[-1])
    assert len(report[key]) == 1
    assert report["run"]
    assert state(address) != before
    again = json.loads(run(command, address, "--json").stdout.splitlines()[-1])
    assert again[key] == []
    graph = open_graph(address)
    for one in (again, report):
        graph.undo(one["run"])
    graph.close()
    assert state(address) == before


def test_the_way_back_is_printed(address: str) -> None:
    done = run("resolve", address)
    assert "Curie, Marie" in done.stdout
    assert f"sheaf undo {address} r_" in done.stdout.replace("\n", "")


def test_too_many_types_are_warned_of(address: str) -> None:
    done = run("canonicalise", address, "--many", "1", "--dry-run")
    assert "warning" not in done.stderr
    graph = open_graph(address)
    said(graph, {"c.txt": [("Marie Curie:Person", "likes", "Radium:Element")]})
    graph.close()
    assert "2 relation types are left" in run("canonicalise", address, "--many", "1").stderr
    assert "RELATED_TO" in run("canonicalise", address, "--related-to").stdout


def test_a_graph_that_is_not_there_is_no_new_graph(tmp_path: Path) -> None:
    assert run("resolve", str(tmp_path / "nothing.kg")).exit_code != 0
    assert not (tmp_path / "nothing.kg").exists()
