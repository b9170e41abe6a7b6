"""The commands of `kg`, run as a user runs them: output, exit codes, JSON, hostile text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import kg
from kg.commands import app
from kg.ids import triple_id
from tests.kg.sample_graph import ACADEMY, EVIL_HEAD, MARIE, WARSAW, fill

RUN = CliRunner()
BORN = triple_id(MARIE, "BORN_IN", WARSAW)


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


# --------------------------------------------------------------------------------------- query


def test_query_prints_a_table(graph: str) -> None:
    out = run("query", graph, "MATCH (p:Person)-[r:BORN_IN]->(c) RETURN p, r, c.name AS city")
    assert "Marie Curie (Person)" in out
    assert "[BORN_IN 0.90]" in out
    assert "Warsaw" in out


def test_query_as_json_keeps_values(graph: str) -> None:
    found = answer("query", graph, "MATCH (p:Person)-[r:BORN_IN]->(c) RETURN p, r.score AS s")
    assert found["columns"] == ["p", "s"]
    assert found["count"] == 1
    assert found["rows"][0]["p"]["properties"]["id"] == MARIE
    assert found["rows"][0]["s"] == pytest.approx(0.9)


def test_query_says_how_many_rows_a_limit_hides(graph: str) -> None:
    result = RUN.invoke(
        app, ["query", graph, "UNWIND [1, 2, 3] AS n RETURN n ORDER BY n", "--limit", "2"]
    )
    assert "2 rows (1 more" in result.stderr
    assert "3" not in result.stdout
    found = answer("query", graph, "UNWIND [1, 2, 3] AS n RETURN n ORDER BY n", "--limit", "2")
    assert ([row["n"] for row in found["rows"]], found["count"]) == ([1, 2], 3)


def test_a_writing_query_is_refused(graph: str) -> None:
    error = run("query", graph, "MATCH (n) DETACH DELETE n", code=2)
    assert error.startswith("error: ")
    assert len(error.splitlines()) <= 2


def test_a_query_with_a_mistake_is_an_error_of_two_lines(graph: str) -> None:
    error = run("query", graph, "MATCH (n RETURN n", code=2)
    assert len(error.splitlines()) <= 2


def test_markup_and_control_characters_of_a_document_are_shown_as_text(graph: str) -> None:
    out = run(
        "query", graph, "MATCH (n:Entity)-[:RELATED_TO]->(m) RETURN n.name, m, '[red]x[/red]'"
    )
    assert EVIL_HEAD in out
    assert "[red]x[/red]" in out
    assert "\x1b" not in out


@pytest.mark.parametrize("command", ["query", "stats", "show", "relations", "undo"])
def test_a_graph_that_is_not_there(command: str, tmp_path: Path) -> None:
    words = [command, str(tmp_path / "none.kg")] + (["RETURN 1"] if command == "query" else [])
    assert "there is no graph" in run(*words, code=2)
    assert not (tmp_path / "none.kg").exists()


def test_an_unknown_scheme(tmp_path: Path) -> None:
    assert "unknown scheme" in run("stats", "mongodb://host", code=1)


# ------------------------------------------------------------------------- show, stats, relations


def test_show_writes_beside_the_graph_by_default(graph: str, tmp_path: Path) -> None:
    assert run("show", graph).strip() == str(tmp_path / "my.html")
    assert (tmp_path / "my.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    other = tmp_path / "other.html"
    found = answer("show", graph, "--limit", "2", "-o", str(other))
    assert found == {"picture": str(other), "bytes": other.stat().st_size}


def test_show_into_a_folder_that_is_missing(graph: str, tmp_path: Path) -> None:
    error = run("show", graph, "-o", str(tmp_path / "none" / "x.html"), code=1)
    assert "No such file or directory" in error


def test_stats(graph: str) -> None:
    found = answer("stats", graph, "--hash")
    store = kg.open_graph(graph)
    assert found["hash"] == kg.graph_hash(store)
    store.close()
    assert (found["triples"], found["predictions"], found["documents"]) == (5, 1, 3)
    assert found["relations"]["BORN_IN"] == 1
    assert "hash" not in answer("stats", graph)
    assert "BORN_IN" in run("stats", graph)


def test_relations_count_predictions_apart(graph: str) -> None:
    rows = {row["relation"]: row for row in answer("relations", graph)["relations"]}
    assert rows["BORN_IN"] == {
        "relation": "BORN_IN",
        "triples": 1,
        "predicted": 1,
        "phrases": ["born_in"],
    }
    assert rows["SPOUSE"]["predicted"] == 0
    assert "MEMBER_OF" not in rows  # only denied


# -------------------------------------------------------------------------------------- explain


def test_explain_shows_every_piece_of_evidence(graph: str) -> None:
    out = run("explain", graph, "marie curie | BORN IN | warsaw")
    assert BORN in out
    assert "score 0.90 · 1 independent source\n" in out
    assert "𝒳 Marie Curie was born in Warsaw." in out
    assert "[HEDGED] Perhaps Marie Curie" in out
    assert "rumour.txt · 0–50" in out
    assert "test, by hand" in out


def test_explain_by_id_as_json(graph: str) -> None:
    (found,) = answer("explain", graph, BORN)["triples"]
    assert (found["id"], found["relation"], found["head"]["name"]) == (
        BORN,
        "BORN_IN",
        "Marie Curie",
    )
    quote = found["sources"][0]
    assert quote["quote"][slice(*quote["head_span"])] == "Marie Curie"
    assert quote["after"].startswith(" The University of Paris")


def test_explain_a_prediction(graph: str) -> None:
    out = run("explain", graph, "Pierre Curie | born in | Warsaw")
    assert "PREDICTED, score 0.41" in out
    assert "no source states it" in out


def test_explain_what_is_only_denied(graph: str) -> None:
    for triple in (
        "Marie Curie | member of | French Academy of Sciences",
        triple_id(MARIE, "MEMBER_OF", ACADEMY),
    ):
        out = run("explain", graph, triple)
        assert "not asserted" in out
        assert "[DENIED]" in out


def test_explain_a_literal(graph: str) -> None:
    out = run("explain", graph, "Marie Curie | date of birth | 1867-11-07")
    assert "She was born on 7 November 1867." in out


def test_explain_a_triple_by_its_inverse_and_a_symmetric_one_from_both_ends(graph: str) -> None:
    ends = [("University of Paris", "employed", "Marie Curie")]
    ends += [("Marie Curie", "spouse", "Pierre Curie"), ("Pierre Curie", "spouse", "Marie Curie")]
    for parts in ends:
        assert len(answer("explain", graph, " | ".join(parts))["triples"]) == 1


@pytest.mark.parametrize(
    ("triple", "hint"),
    [
        ("Mary Curie | born in | Warsaw", "did you mean 'Marie Curie'"),
        ("Marie Curie | died in | Warsaw", "of 'Marie Curie' it holds: BORN_IN Warsaw"),
        ("Warsaw | born in | Paris", "'Warsaw' is the head of no triple"),
        ("Marie Curie | born in", "is not a triple"),
        ("t_" + "0" * 32, "give a triple id"),
        (MARIE, "is 'Marie Curie', not a triple"),
    ],
)
def test_explain_what_is_not_there(graph: str, triple: str, hint: str) -> None:
    error = run("explain", graph, triple, code=2)
    assert hint in error
    assert len(error.splitlines()) <= 2


# --------------------------------------------------------------------------------- undo, delete


def test_undo_lists_runs_latest_first(graph: str) -> None:
    runs = answer("undo", graph)["runs"]
    assert [row["harvester"] for row in runs] == ["link-prediction", "test"]
    assert runs == answer("undo", graph, "--list")["runs"]
    assert "by hand" in run("undo", graph)
    assert answer("stats", graph)["runs"] == 2


def test_undo_takes_a_run_by_the_beginning_of_its_id(graph: str) -> None:
    guess, harvest = (row["run"] for row in answer("undo", graph)["runs"])
    assert answer("undo", graph, guess)["removed"]["predictions"] == 2
    assert "removed" in run("undo", graph, harvest[:12])
    assert answer("stats", graph)["triples"] == 0


def test_undo_of_an_ambiguous_or_unknown_run(graph: str) -> None:
    assert "2 runs begin with r" in run("undo", graph, "r", code=2)
    error = run("undo", graph, "r_nothing", code=2)
    assert len(error.splitlines()) <= 2
    assert answer("stats", graph)["triples"] == 5


def test_delete_removes_what_only_that_document_says(graph: str) -> None:
    removed = answer("delete", graph, "rumour.txt")["removed"]
    assert (removed["documents"], removed["evidence"]) == (1, 1)
    assert answer("stats", graph)["triples"] == 5
    run("delete", graph, "marie.txt")
    assert answer("stats", graph)["triples"] == 1
    assert "marie.txt" in run("delete", graph, "marie.txt", code=2)
