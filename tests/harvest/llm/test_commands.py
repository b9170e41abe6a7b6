"""`sheaf harvest --with llm` as a user types it: settings, dry run, budget, exit codes, the key."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import kg
from harvest import commands
from harvest.llm.estimate import OUTPUT_RATIO, estimate
from harvest.responses import ResponseCache
from tests.harvest.llm import server as servers
from tests.harvest.llm.asking import harvester, many
from tests.harvest.llm.server import KEY, Server

SCHEMA = """
types: {Person: {}, Place: {}, City: {parent: Place}, Organization: {}}
relations:
  born_in: {head: Person, tail: Place}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder and an environment of the test's own, and no pauses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harvest.llm.limits.BASE", 0.01)
    for name in ("OPENAI_BASE_URL", "SHEAF_MODEL", "SHEAF_BUDGET", "SHEAF_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


def folder(tmp_path: Path, number: int = 6) -> Path:
    place = tmp_path / "docs"
    place.mkdir()
    for document in many(number):
        (place / document.uri).write_text(document.text)
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    return place


def run(server: Server | None, place: Path, *arguments: str) -> Result:
    where = () if server is None else ("--model", "m", "--base-url", server.url)
    fixed = ("harvest", "my.kg", str(place), "--with", "llm", "--schema", "schema.yaml")
    return CliRunner().invoke(commands.app, [*fixed, *where, *arguments])


def last_json(result: Result) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return value


def test_a_folder_is_harvested_and_the_bill_is_shown(tmp_path: Path, server: Server) -> None:
    result = run(server, folder(tmp_path), "--price", "1/2")
    assert result.exit_code == 0, result.output
    assert "US dollars" in result.stdout and "prompt tokens" in result.stdout
    assert "tokens, $" in result.stderr  # the live counter
    assert (tmp_path / "my.kg" / "responses.sqlite").exists()
    with closing(kg.open_graph("my.kg")) as graph:
        assert graph.stats().triples > 0
    again = last_json(run(server, tmp_path / "docs", "--json"))
    assert again["documents"]["unchanged"] == 6 and len(server.requests) == 6


def test_a_budget_ends_with_code_3_and_the_same_command_goes_on(
    tmp_path: Path, server: Server
) -> None:
    place = folder(tmp_path, 12)
    arguments = ("--budget", "9000tokens", "--answer-tokens", "500", "--json")
    codes = []
    for _ in range(12):
        result = run(server, place, *arguments)
        codes.append(result.exit_code)
        if result.exit_code == 0:
            break
        assert result.stderr.splitlines()[-2].startswith("error: budget reached: ")
        assert "the same command goes on" in result.stderr.splitlines()[-1]
        used = last_json(result)["harvester"]
        assert 0 < used["prompt_tokens"] + used["output_tokens"] <= 9000
    assert codes[0] == 3 and codes[-1] == 0
    asked = [json.dumps(request["messages"]) for request in server.requests]
    assert len(asked) == len(set(asked)) == 12


@pytest.mark.parametrize("sample", [5, 0])
def test_a_dry_run_comes_within_a_quarter_of_the_tokens(sample: int, server: Server) -> None:
    """The server counts tokens in its own way, as every provider does."""
    texts = many(40, sentences=9)
    with harvester(server, chunk_tokens=120) as made:
        guess = estimate(texts, made, sample=sample)
    with harvester(server, chunk_tokens=120) as made:
        for document in texts:
            for chunk in made.chunks(document):
                made.start(document, chunk)
        for document in texts:
            for chunk in made.chunks(document):
                made.extract(document, chunk)
        true = made.model.ledger.total
    assert guess.chunks == guess.total.calls == true.calls and guess.sampled == sample
    if sample:
        assert guess.total.prompt_tokens == pytest.approx(true.prompt_tokens, rel=0.25)
        assert guess.total.output_tokens == pytest.approx(true.output_tokens, rel=0.25)
        assert guess.total.cost == pytest.approx(true.cost, rel=0.25)
        assert set(guess.stages) == {"extract"}
    else:  # only the questions can be counted without a model
        assert guess.total.prompt_tokens == pytest.approx(true.prompt_tokens, rel=0.25)
        assert guess.total.output_tokens > 0


def test_a_dry_run_shows_stages_price_and_basis_and_writes_nothing(
    tmp_path: Path, server: Server
) -> None:
    place = folder(tmp_path)
    server.faults += ["prose"]
    result = run(server, place, "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    found = last_json(result)
    assert found["documents"] == 6 and found["estimate"]["sampled_chunks"] == 5
    assert set(found["estimate"]["stages"]) == {"extract", "extract again"}
    assert found["estimate"]["total"]["dollars"] is None  # no price for this model
    assert len(server.requests) == 6  # five chunks and one question again
    assert not (tmp_path / "my.kg").exists()
    priced = run(server, place, "--dry-run", "--price", "0.1/0.2")
    assert "given with --price" in priced.stdout and "chunks that were asked for" in priced.stdout
    known = run(server, place, "--dry-run", "--model", "gpt-4o-mini")
    assert "price table of 20" in known.stdout


def test_a_dry_run_without_a_model_says_what_it_assumes(tmp_path: Path) -> None:
    with Server() as gone:
        pass
    result = run(gone, folder(tmp_path), "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    found = last_json(result)["estimate"]
    assert found["sampled_chunks"] == 0 and "cannot be reached" in found["trouble"]
    assert found["total"]["output_tokens"] == pytest.approx(OUTPUT_RATIO * 6 * 80, rel=0.4)
    table = run(gone, tmp_path / "docs", "--dry-run")
    assert "a constant, 0.8 tokens of answer" in " ".join(table.stdout.split())


def test_a_dry_run_counts_only_what_is_not_answered_yet(tmp_path: Path, server: Server) -> None:
    place = folder(tmp_path)
    assert run(server, place, "--limit", "4").exit_code == 0
    found = last_json(run(server, place, "--dry-run", "--json"))["estimate"]
    assert (found["chunks"], found["stored_chunks"]) == (6, 4)
    assert found["total"]["calls"] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "a language model must be named"),
        (["--model", "m"], 2, "no key: set OPENAI_API_KEY"),
        (["--model", "m", "--base-url", "localhost:1"], 2, "write the endpoint's address"),
        (["--model", "m", "--base-url", "http://u:geheim@", "--budget", "1usd"], 2, "base URL"),
        (["--model", "m", "--base-url", "http://x/v1", "--budget", "5"], 2, "budget '5'"),
        (["--model", "m", "--base-url", "http://x/v1", "--budget", "5usd"], 2, "--price"),
        (["--model", "m", "--base-url", "http://x/v1", "--price", "5"], 2, "PROMPT/ANSWER"),
        (["--model", "m", "--base-url", "http://x/v1", "--spacy", "x"], 2, "--spacy is for"),
        (["--model", "m", "--base-url", "http://x/v1", "--concurrency", "0"], 2, "concurrency"),
        (["--model", "m", "--base-url", "http://127.0.0.1:9/v1"], 4, "cannot be reached"),
    ],
)
def test_mistakes_are_told_in_two_lines(
    tmp_path: Path,
    arguments: list[str],
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    result = run(None, folder(tmp_path), *arguments)
    assert result.exit_code == code, result.output
    assert words in " ".join(result.output.split())
    assert "Traceback" not in result.output and "geheim" not in result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) <= 1
    if code == 2:
        assert not (tmp_path / "my.kg").exists()


@pytest.mark.parametrize(("fault", "code"), [("401", 2), ("404", 2), ("500", 1), ("prose", 1)])
def test_what_the_endpoint_says_decides_the_exit_code(
    tmp_path: Path, fault: str, code: int
) -> None:
    with Server(always=servers.FAULTS[fault]) as server:
        result = run(server, folder(tmp_path, 2), "--json")
    assert result.exit_code == code, result.output
    report = last_json(result)
    assert report["documents"]["ok"] == 0
    if code == 1:
        assert len(report["failures"]) == 2
        assert all(row["text"] and row["answer"] for row in report["failures"])


def test_a_flag_beats_the_environment_which_beats_the_file(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folder(tmp_path, 1)
    (tmp_path / ".env").write_text(
        f"# what to ask\nSHEAF_MODEL=filed\nexport OPENAI_BASE_URL='{server.url}'\n"
        'OPENAI_API_KEY="filed-key-0123"\n'
    )
    monkeypatch.delenv("OPENAI_API_KEY")

    def asked(*arguments: str) -> tuple[str, str]:
        assert run(None, place, *arguments).exit_code == 0
        return server.requests[-1]["model"], server.headers[-1]["authorization"]

    assert asked() == ("filed", "Bearer filed-key-0123")
    monkeypatch.setenv("SHEAF_MODEL", "set")
    monkeypatch.setenv("OPENAI_API_KEY", "set-key-012345")
    assert asked() == ("set", "Bearer set-key-012345")
    assert asked("--model", "flagged") == ("flagged", "Bearer set-key-012345")


@pytest.mark.parametrize("fault", ["echo key", "echo key 400", "echo key 500", "401", None])
def test_the_key_is_in_no_output_and_no_file(tmp_path: Path, fault: str | None) -> None:
    outputs = []
    with Server(always=None if fault is None else servers.FAULTS[fault]) as server:
        place = folder(tmp_path, 2)
        for arguments in (["--json"], [], ["--dry-run"], ["--dry-run", "--json"]):
            result = run(server, place, *arguments)
            outputs.append(result.output + repr(result.exception) + result.stderr)
    assert server.requests
    for form in (KEY, KEY.replace("/", "\\/")):
        assert not [text for text in outputs if form in text]
        for path in tmp_path.rglob("*"):
            assert not path.is_file() or form.encode() not in path.read_bytes()


def test_a_fallback_is_said_on_stderr_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Server(always=servers.without("json_schema")) as server:
        result = run(server, folder(tmp_path, 2))
    assert result.exit_code == 0
    assert "fallback:format=json object" in result.stdout
    assert any("refuses json_schema" in record.getMessage() for record in caplog.records)


def test_a_damaged_cache_is_told_and_not_thrown_away(tmp_path: Path, server: Server) -> None:
    place = folder(tmp_path, 1)
    run(server, place)
    cache = tmp_path / "my.kg" / "responses.sqlite"
    for extra in cache.parent.glob("responses.sqlite-*"):
        extra.unlink()
    cache.write_bytes(b"not a database, but 100 bytes of something else" * 40)
    result = run(server, place)
    assert result.exit_code == 1 and "move it away" in result.stderr
    assert cache.read_bytes().startswith(b"not a database")


def test_the_cache_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "responses.sqlite"
    ResponseCache(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(kg.errors.StoreError, match="format 99"):
        ResponseCache(path)
