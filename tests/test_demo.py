"""The demo, as `make demo` runs it: on the embedded store, and with equal answers on a server."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harvest.demo import QUESTIONS, app, steps
from kg import graph_hash, open_graph
from sheaf import app as sheaf

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's graph, and what the demo printed beside it."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = CliRunner().invoke(app, ["demo/pioneers.kg"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (folder / "output.txt").write_text(done.output)
    return folder


def test_the_demo_shows_all_it_promises(embedded: Path) -> None:
    output = (embedded / "output.txt").read_text()
    assert output.count("$ sheaf query") == 3
    assert output.count("$ sheaf search") == 2
    assert "popularity" in output
    picture = embedded / "demo" / "pioneers.html"
    assert str(picture) in output
    assert "cytoscape" in picture.read_text()


def test_every_question_has_answers_across_documents(embedded: Path) -> None:
    graph = open_graph(embedded / "demo" / "pioneers.kg", create=False)
    for _, cypher in QUESTIONS:
        assert len(graph.read(cypher)) >= 2
    assert graph.stats().documents >= 18
    assert graph.stats().triples >= 150
    graph.close()


@pytest.mark.neo4j
def test_the_server_gives_the_same_graph_and_answers(embedded: Path, neo4j_graph: str) -> None:
    with as_file(files("harvest") / "sample") as sample:
        _, harvest = steps(neo4j_graph, sample, embedded / "picture.html")[0]
        done = CliRunner().invoke(sheaf, list(harvest), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    here = open_graph(embedded / "demo" / "pioneers.kg", create=False)
    there = open_graph(neo4j_graph)
    assert graph_hash(here) == graph_hash(there)
    for _, cypher in QUESTIONS:
        assert list(here.read(cypher)) == list(there.read(cypher))
    here.close()
    there.close()
