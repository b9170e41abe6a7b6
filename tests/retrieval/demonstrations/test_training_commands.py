"""`sheaf train-demos`: from task files to a folder that sentence-transformers reads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner

from retrieval.demonstrations.training_commands import app
from tests.retrieval.demonstrations.toy_encoder import toy_encoder
from tests.retrieval.demonstrations.toy_tasks import kinds


def test_a_task_file_becomes_an_encoder(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    replace(kinds(30), labels=()).to_ni(tmp_path / "kinds.json")
    base = toy_encoder(tmp_path / "toy")
    arguments = ["train-demos", str(tmp_path / "out"), "--file", str(tmp_path / "kinds.json")]
    arguments += ["--base", str(base), "--labels", "--steps", "4", "--batch", "6", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    answer = json.loads(done.output[done.output.index("{") :])
    assert answer["tasks"] == {"kinds": 30}
    assert [check["step"] for check in answer["runs"][0]["checks"]] == [1, 2, 3, 4]
    loaded = SentenceTransformer(answer["model"], device="cpu")
    assert loaded.prompts["kinds"] == "kind : "
    # Given again it goes on from its end: same figures, nothing trained twice.
    again = CliRunner().invoke(app, arguments)
    assert json.loads(again.output[again.output.index("{") :]) == answer


def test_free_text_without_a_scorer_is_refused_with_the_way_out(tmp_path: Path) -> None:
    replace(kinds(30), labels=()).to_ni(tmp_path / "kinds.json")
    out = str(tmp_path / "out")
    base = toy_encoder(tmp_path / "toy")
    done = CliRunner().invoke(
        app, ["train-demos", out, "--file", str(tmp_path / "kinds.json"), "--base", str(base)]
    )
    assert done.exit_code == 2
    assert "give a scorer" in done.output
    neither = CliRunner().invoke(app, ["train-demos", out])
    assert neither.exit_code == 2
    assert "--file" in neither.output
