"""The commands as a user types them: output, JSON, errors and exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import kg
from retrieval.commands import app, evaluations_app
from tests.retrieval.graphs import families
from tests.retrieval.test_evaluations import folder as data_folder

runner = CliRunner()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("commands") / "family.kg"
    store = kg.open_graph(path)
    families(store)
    store.close()
    result = runner.invoke(app, ["train", str(path), "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["mrr"] > figures["popularity_mrr"]
    return path


@pytest.fixture
def graph(made: Path, tmp_path: Path) -> str:
    return str(shutil.copytree(made, tmp_path / "family.kg"))


def run(*arguments: str, code: int = 0) -> str:
    result = runner.invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    if code:
        assert "Traceback" not in result.output
        assert len(result.stderr.strip().splitlines()) <= 2
        return result.stderr
    return result.stdout


def answer(*arguments: str) -> dict:
    return json.loads(run(*arguments, "--json").splitlines()[-1])


def test_train_ends_with_its_figure_beside_the_floor(graph: str) -> None:
    out = run("train", graph, "--epochs", "1")
    assert "this model" in out
    assert "floor: popularity" in out


def test_predict_tails_heads_and_the_whole_graph(graph: str) -> None:
    assert "Warsaw" in run("predict", graph, "--head", "Finn Curie", "--relation", "born_in")
    tails = answer("predict", graph, "--head", "Finn Curie", "--relation", "born_in", "--k", "2")
    assert [link["rank"] for link in tails["links"]] == [1, 2]
    assert tails["links"][0]["tail_name"] == "Warsaw"
    assert tails["links"][0]["support"][0]["tail"] == "Warsaw"
    heads = answer("predict", graph, "--tail", "Warsaw", "--relation", "born_in", "--k", "1")
    assert heads["links"][0]["head_name"].startswith("Finn ")
    text = answer("predict", graph, "--head-text", "Gwen Hahn", "--relation", "born_in", "--k", "1")
    assert text["links"][0]["head"] is None
    whole = answer("predict", graph)
    assert len(whole["links"]) == 5
    countries = answer(
        "predict", graph, "--head", "Finn Bohr", "--relation", "born in", "--type", "Country"
    )
    assert {link["tail_types"][0] for link in countries["links"]} == {"Country"}


def test_written_predictions_can_be_undone(graph: str) -> None:
    written = answer("predict", graph, "--k", "3", "--write-back")
    store = kg.open_graph(graph)
    assert store.stats().predictions == 3
    store.undo(written["run"])
    assert store.stats().predictions == 0
    store.close()
    assert "sheaf undo" in run("predict", graph, "--write-back")


def test_search(graph: str) -> None:
    assert "Finn Curie" in run("search", graph, "finn curie")
    hits = answer("search", graph, "born in Oslo", "--k", "2", "--type", "Person")["hits"]
    assert len(hits) == 2
    assert "born in Oslo" in hits[0]["context"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--head", "Finn Curi", "--relation", "born_in"], "did you mean 'Finn Curie'"),
        (["--head", "Finn Curie", "--relation", "bron_in"], "did you mean 'born_in'"),
        (["--head", "Finn Curie"], "name the relation"),
        (["--relation", "born_in"], "name one end"),
        (["--head", "Finn Curie", "--tail", "Rome", "--relation", "born_in"], "exactly one end"),
        (["--head", "Finn Curie", "--relation", "born_on"], "only values"),
        (
            ["--head", "Bo", "--relation", "born_in", "--type", "City", "--any-type"],
            "exclude each other",
        ),
    ],
)
def test_wrong_questions_end_with_two_lines_and_code_two(graph, arguments, message) -> None:
    assert message in run("predict", graph, *arguments, code=2)


def test_places_that_hold_no_graph_or_no_model(tmp_path: Path) -> None:
    assert "no graph" in run("search", str(tmp_path / "none.kg"), "x", code=2)
    store = kg.open_graph(tmp_path / "new.kg")
    families(store)
    store.close()
    assert "sheaf train" in run("search", str(tmp_path / "new.kg"), "x", code=2)
    assert "bolt" in run("search", "bolt://127.0.0.1:1", "x", code=4)


def test_evaluation_prints_a_table_or_one_json_object(tmp_path: Path) -> None:
    data_folder(tmp_path)
    arguments = ["link-prediction", "--data", str(tmp_path), "--steps", "2", "--dim", "8"]
    table = runner.invoke(evaluations_app, arguments)
    assert table.exit_code == 0, table.output
    assert "floor: popularity" in table.stdout
    one = runner.invoke(evaluations_app, [*arguments, "--json"])
    figures = json.loads(one.stdout.splitlines()[-1])
    assert {"mrr", "hits_at_1", "hits_at_3", "hits_at_10", "floors"} <= set(figures)
    missing = runner.invoke(evaluations_app, ["link-prediction", "--data", str(tmp_path / "no")])
    assert missing.exit_code == 1
    assert "not a folder" in missing.stderr


def test_answers_need_no_training_library(graph: str) -> None:
    # Loading it takes seconds, and a question should not.
    script = (
        "import sys; from typer.testing import CliRunner; from retrieval.commands import app; "
        f"r = CliRunner().invoke(app, ['search', {graph!r}, 'Finn']); "
        f"p = CliRunner().invoke(app, ['predict', {graph!r}]); "
        "print(r.exit_code, p.exit_code, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0", "0", "False"]
