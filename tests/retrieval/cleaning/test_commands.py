"""`canonicalise` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import sheaf
from kg import graph_hash, open_graph
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
    return CliRunner().invoke(sheaf.app, list(arguments))


def state(address: str) -> str:
    graph = open_graph(address)
    try:
        return graph_hash(graph)
    finally:
        graph.close()


def test_shown_then_done_then_nothing_left(address: str) -> None:
    before = state(address)
    shown = run("canonicalise", address, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "nothing was written" in shown.stdout
    assert state(address) == before
    done = run("canonicalise", address, "--json")
    report = json.loads(done.stdout.splitlines()[-1])
    assert len(report["rows"]) == 1
    assert report["run"]
    assert state(address) != before
    again = json.loads(run("canonicalise", address, "--json").stdout.splitlines()[-1])
    assert again["rows"] == []
    graph = open_graph(address)
    for one in (again, report):
        graph.undo(one["run"])
    graph.close()
    assert state(address) == before


def test_too_many_types_are_warned_of(address: str) -> None:
    done = run("canonicalise", address, "--many", "1", "--dry-run")
    assert "warning" not in done.stderr
    graph = open_graph(address)
    said(graph, {"c.txt": [("Marie Curie:Person", "likes", "Radium:Element")]})
    graph.close()
    assert "2 relation types are left" in run("canonicalise", address, "--many", "1").stderr
    assert "RELATED_TO" in run("canonicalise", address, "--related-to").stdout
