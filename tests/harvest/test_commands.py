"""`sheaf harvest` as a user types it: output, exit codes, and one clear line for each mistake."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import kg
from harvest import commands
from harvest.job import harvest
from tests.harvest import killing
from tests.harvest.documents import pdf_files
from tests.harvest.linking import LinkingHarvester, write_folder


@pytest.fixture(autouse=True)
def _without_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(*_: Any, include_hedged: bool, **__: Any) -> LinkingHarvester:
        return LinkingHarvester(include_hedged=include_hedged)

    monkeypatch.setattr(commands, "_text_harvester", make)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(commands.app, ["harvest", *map(str, arguments)])


def last_json(result: Result) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return value


def test_a_folder_is_harvested_and_told(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "docs")
    result = run(tmp_path / "my.kg", folder)
    assert result.exit_code == 0, result.output
    assert "documents" in result.stdout and "links" in result.stdout
    assert "6 documents" in result.stderr
    graph = kg.open_graph(tmp_path / "my.kg")
    alone = kg.open_graph("memory://")
    harvest(alone, [folder], harvester=LinkingHarvester())
    assert kg.graph_hash(graph) == kg.graph_hash(alone)
    graph.close()


def test_json_is_one_object_on_stdout(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "docs")
    result = run(tmp_path / "my.kg", folder, "--json")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 1
    report = last_json(result)
    assert report["documents"] == {
        "ok": 6,
        "unchanged": 0,
        "replaced": 0,
        "failed": 0,
        "skipped": 0,
    }
    assert report["sentences"] == 150 and report["run"]
    again = last_json(run(tmp_path / "my.kg", folder, "--json"))
    assert again["documents"]["unchanged"] == 6 and again["evidence"] == 0


def test_bad_inputs_are_one_line_each_and_the_others_are_harvested(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "good.txt").write_text("Marie Curie links Paris.")
    (folder / "empty.txt").write_bytes(b"")
    (folder / "binary.txt").write_bytes(b"\x00\x01\x02")
    (folder / "encoding.txt").write_bytes(b"\xef\xbb\xbf\xff\xfe")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    (folder / "locked.pdf").write_bytes(pdf_files.encrypted("words", user_password="pw"))
    (folder / "lines.jsonl").write_text('{"text": "Niels Bohr links Rome."}\n{"text": \n')
    (folder / "fails.md").write_text("Otto Hahn fails.")
    (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    result = run(tmp_path / "my.kg", folder, tmp_path / "missing.txt", "--json")
    assert result.exit_code == 1
    report = last_json(result)
    assert report["documents"]["ok"] == 2 and report["triples"] == 2
    rows = {row["path"]: row for row in report["failures"] if not row["skipped"]}
    assert set(rows) == {
        "docs/empty.txt",
        "docs/binary.txt",
        "docs/encoding.txt",
        "docs/broken.pdf",
        "docs/locked.pdf",
        "docs/lines.jsonl:2",
        "docs/fails.md",
        str(tmp_path / "missing.txt"),
    }
    assert rows["docs/fails.md"]["text"] == "Otto Hahn fails."
    lines = [line for line in result.stderr.splitlines() if line.startswith("failed: ")]
    assert len(lines) == len(rows)
    assert "skipped: 1 files" in result.stderr and "photo.jpg" in result.stderr
    assert "Traceback" not in result.output


def test_nothing_to_read_makes_no_graph(tmp_path: Path) -> None:
    result = run(tmp_path / "my.kg", tmp_path / "missing.txt")
    assert result.exit_code == 1
    assert "there is no such file; check the spelling" in result.stderr
    assert not (tmp_path / "my.kg").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{kg}", "{docs}", "--with", "llm"], 2, "a language model must be named: give --model"),
        (["{kg}", "{docs}", "--model", "m"], 2, "--model is for --with llm"),
        (["{kg}", "{docs}", "--with", "magic"], 2, "magic"),
        (["{kg}", "{docs}", "--root", "{kg}"], 2, "does not lie below the root"),
        (["{kg}", "{docs}", "--limit", "0"], 2, "limit"),
        (["{kg}", "{docs}", "--threshold", "1.5"], 2, "threshold"),
        (["{kg}", "{docs}", "--schema", "{docs}/no.yaml"], None, "no.yaml"),
        (["{kg}", "{docs}", "--schema", "{broken}"], 2, "broken.yaml"),
        (["{kg}"], 2, "PATH"),
        (["ftp://host/x", "{docs}"], None, "unknown scheme ftp://"),
        (["bolt://127.0.0.1:9", "{docs}"], 4, "no Neo4j server answers at bolt://127.0.0.1:9"),
        (["{docs}", "{docs}"], None, "docs"),
    ],
)
def test_mistakes_are_told_in_two_lines(
    tmp_path: Path, arguments: list[str], code: int | None, words: str
) -> None:
    folder = write_folder(tmp_path / "docs", documents=1)
    (tmp_path / "broken.yaml").write_text("relations: [unclosed\n")
    places = {"kg": tmp_path / "my.kg", "docs": folder, "broken": tmp_path / "broken.yaml"}
    result = run(*(argument.format(**places) for argument in arguments))
    assert result.exit_code in ((1, 2) if code is None else (code,))
    assert words in result.output
    assert "Traceback" not in result.output and isinstance(result.exception, SystemExit)
    if "error: " in result.stderr:  # Typer itself draws a box around a mistyped option
        assert len(result.stderr.strip().splitlines()) <= 2
    assert not (tmp_path / "my.kg").exists()


def test_options_reach_the_job(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    place = tmp_path / "my.kg"
    (folder / "a.txt").write_text("Marie Curie perhaps links Paris.")
    (folder / "b.txt").write_text("Niels Bohr links Rome.")
    one = last_json(run(place, folder, "--json", "--limit", "1", "--include-hedged"))
    assert one["documents"]["ok"] == 1 and one["triples"] == 1
    run(place, folder / "b.txt", "--root", tmp_path)
    graph = kg.open_graph(place)
    assert {document.uri for document in graph.written("document")} == {"a.txt", "docs/b.txt"}
    graph.close()
    (folder / "a.txt").write_text("Marie Curie links Vienna.")
    kept = last_json(run(place, folder / "a.txt", "--json", "--keep-old"))
    assert kept["documents"]["replaced"] == 0
    replaced = last_json(run(place, folder / "a.txt", "--json"))
    assert replaced["documents"]["replaced"] == 1


def test_a_dry_run_estimates_and_writes_nothing(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "docs", documents=12)
    (folder / "empty.txt").write_bytes(b"")
    result = run(tmp_path / "my.kg", folder, "--dry-run", "--json")
    assert result.exit_code == 1
    found = last_json(result)
    assert (found["documents"], found["failed"]) == (12, 1)
    assert found["estimate"]["sentences"] == pytest.approx(300, rel=0.1)
    assert found["estimate"]["sampled_documents"] == 5
    assert not (tmp_path / "my.kg").exists()
    (folder / "empty.txt").unlink()
    table = run(tmp_path / "my.kg", folder, "--dry-run")
    assert table.exit_code == 0 and "estimated seconds" in table.stdout


def test_names_of_files_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31m[red].txt").write_bytes(b"")
    result = run(tmp_path / "my.kg", tmp_path)
    assert result.exit_code == 1
    assert "\x1b[31m[red]" not in result.stderr and "[31m[red]" in result.stderr


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "docs", documents=30)
    script = (
        # A shell that starts the tests in the background lets them ignore Ctrl-C.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from harvest import commands\n"
        "from tests.harvest.linking import LinkingHarvester\n"
        "commands._text_harvester = lambda *a, **k: LinkingHarvester(delay=0.05)\n"
        "commands.app()\n"
    )
    place = tmp_path / "my.kg"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "harvest", str(place), str(folder)],
        cwd=killing.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while written_tasks(place) < 10:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == (
        "stopped: what is written stays; the same command goes on from here"
    )
    assert "Traceback" not in errors
    done = written_tasks(place)
    assert 10 <= done < 150
    report = last_json(run(place, folder, "--json"))
    assert report["chunks"] == 150 - done and report["documents"]["ok"] == 30


def written_tasks(place: Path) -> int:
    if not (place / "record.sqlite").exists():
        return 0
    graph = kg.open_graph(place)
    try:
        return sum(1 for _ in graph.written("task"))
    finally:
        graph.close()


def test_importing_the_commands_loads_nothing_heavy() -> None:
    script = (
        "import sys, harvest.commands\n"
        "heavy = {'torch', 'spacy', 'transformers', 'networkx', 'bs4', 'pypdf', 'numpy'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=killing.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
