"""`sheaf resolve` as a user types it: with and without a judge, dry run, budget, exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import kg
import sheaf
from harvest.responses import FILE
from tests.harvest.llm.server import FAULTS, KEY, Server, pairs_of
from tests.harvest.llm.test_judge import many_pairs
from tests.kg.resolution.said import said

#: The keys of the report without a judge.
KEYS = (
    "run merges layers too_large entities_before entities_after asked unasked rounds seconds"
).split()


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder and an environment of the test's own, and no pauses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harvest.llm.limits.BASE", 0.01)
    for name in ("OPENAI_BASE_URL", "SHEAF_MODEL", "SHEAF_BUDGET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


def graph_of(pairs: int = 0) -> str:
    with closing(kg.open_graph("my.kg")) as graph:
        said(graph, many_pairs(pairs))
        said(
            graph,
            {
                "a.txt": [("Marie Curie:Person", "discovered", "Radium:Element")],
                "b.txt": [("Radium:Element", "was discovered by", "Curie, Marie:Person")],
            },
        )
    return state()


def state() -> str:
    with closing(kg.open_graph("my.kg")) as graph:
        return kg.graph_hash(graph)


def undo(run: str) -> str:
    with closing(kg.open_graph("my.kg")) as graph:
        graph.undo(run)
    return state()


def resolve(*arguments: str, server: Server | None = None) -> Result:
    judge = ("--judge", "m", "--base-url", server.url) if server else ()
    return CliRunner().invoke(sheaf.app, ["resolve", "my.kg", *judge, *arguments])


def last_json(result: Result) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return value


# ---------------------------------------------------------------------------------- without a judge


def test_shown_then_done_then_nothing_left() -> None:
    before = graph_of()
    shown = resolve("--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "nothing was written" in shown.stdout and state() == before
    report = last_json(resolve("--json"))
    assert list(report) == KEYS
    assert len(report["merges"]) == 1 and report["run"] and state() != before
    again = last_json(resolve("--json"))
    assert again["merges"] == []
    undo(again["run"])
    assert undo(report["run"]) == before


def test_the_way_back_is_printed() -> None:
    graph_of()
    done = resolve()
    assert "Curie, Marie" in done.stdout
    assert "sheaf undo my.kg r_" in done.stdout.replace("\n", "")


def test_a_graph_that_is_not_there_is_no_new_graph(tmp_path: Path) -> None:
    assert resolve().exit_code == 2
    assert not (tmp_path / "my.kg").exists()


def test_a_model_in_the_environment_is_not_asked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHEAF_MODEL", "m")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    graph_of(3)
    assert "judge" not in last_json(resolve("--json"))
    assert server.requests == []


@pytest.mark.parametrize(
    ("arguments", "said_why"),
    [
        (("--budget", "1usd"), "--budget is for --judge MODEL"),
        (("--questions", "5"), "--questions is for --judge MODEL"),
        (("--ask",), "--ask is for --judge MODEL"),
        (("--judge", "m", "--base-url", "http://a.b/v1", "--ask"), "--ask is for --dry-run"),
        (("--judge", "m", "--budget", "much"), "write an amount"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(arguments: tuple[str, ...], said_why: str) -> None:
    before = graph_of(1)
    result = resolve(*arguments)
    assert result.exit_code == 2 and said_why in result.stderr
    assert state() == before


# ------------------------------------------------------------------------------------- with a judge


def test_a_judge_merges_more_and_undo_takes_it_back(server: Server) -> None:
    before = graph_of(4)
    report = last_json(resolve("--json", server=server))
    assert list(report) == [*KEYS, "judge"]
    assert report["layers"] == {"spelling": 1, "judge": 2}
    judge = report["judge"]
    assert judge["same"] == 2 and judge["failures"] == []
    assert (
        judge["pairs"]
        == report["asked"]
        == sum(judge[kind] for kind in ("same", "different", "unclear"))
    )
    assert KEY not in json.dumps(report)
    calls = len(server.requests)
    again = last_json(resolve("--json", server=server))
    assert again["merges"] == [] and again["judge"]["calls"] == len(server.requests) - calls
    undo(again["run"])
    assert undo(report["run"]) == before


def test_the_same_command_after_undo_asks_nobody(server: Server) -> None:
    graph_of(4)
    report = last_json(resolve("--json", server=server))
    undo(report["run"])
    calls = len(server.requests)
    again = resolve(server=server)
    assert len(server.requests) == calls
    assert "2 same" in again.stderr and "0 calls" in again.stderr


def test_a_dry_run_asks_nobody_and_says_what_asking_would_take(
    server: Server, tmp_path: Path
) -> None:
    before = graph_of(4)
    cache = tmp_path / "my.kg" / FILE
    shown = resolve("--dry-run", server=server)
    assert shown.exit_code == 0, shown.output
    assert "nothing was written" in shown.stdout
    assert "not asked: " in shown.stderr and " tokens" in shown.stderr
    assert server.requests == [] and not cache.exists() and state() == before
    report = last_json(resolve("--dry-run", "--json", server=server))
    judge = report["judge"]
    assert (report["asked"], report["unasked"]) == (0, judge["not_asked"])
    assert judge["not_asked"] >= 4 and judge["estimated_tokens"] > 0
    limited = last_json(resolve("--dry-run", "--json", "--questions", "2", server=server))
    assert limited["judge"]["not_asked"] == 2
    assert limited["unasked"] == report["unasked"]
    assert server.requests == []


def test_a_dry_run_asks_if_it_is_told_to_and_the_answers_are_kept(server: Server) -> None:
    before = graph_of(4)
    shown = last_json(resolve("--dry-run", "--ask", "--json", server=server))
    assert shown["layers"]["judge"] == 2 and state() == before
    calls = len(server.requests)
    assert calls > 0
    kept = last_json(resolve("--dry-run", "--json", server=server))
    done = last_json(resolve("--json", server=server))
    assert kept["merges"] == done["merges"] == shown["merges"]
    assert len(server.requests) == calls


def test_at_the_budget_merges_found_so_far_are_written_and_the_command_goes_on(
    server: Server,
) -> None:
    before = graph_of(50)
    arguments = ("--json", "--budget", "6000tokens", "--answer-tokens", "1000")
    runs, merged, codes = [], 0, []
    for _ in range(8):
        result = resolve(*arguments, server=server)
        codes.append(result.exit_code)
        report = last_json(result)
        runs.append(report["run"])
        merged += report["layers"].get("judge", 0)
        used = report["judge"]["prompt_tokens"] + report["judge"]["output_tokens"]
        assert used <= 6000
        if result.exit_code == 0:
            break
        assert result.exit_code == 3
        assert report["judge"]["not_asked"] > 0 and report["unasked"] > 0
        assert "error: budget reached: " in result.stderr
    assert codes[0] == 3 and codes[-1] == 0
    assert merged == 25
    asked = [
        json.dumps([pair["first"], pair["second"]])
        for request in server.requests
        for pair in pairs_of(request)
    ]
    assert len(asked) == len(set(asked))  # no pair was paid for twice
    for run in reversed(runs):
        last = undo(run)
    assert last == before


def test_what_the_budget_interrupts_is_merged_already(server: Server) -> None:
    graph_of(50)
    result = resolve("--json", "--budget", "6000tokens", "--answer-tokens", "1000", server=server)
    report = last_json(result)
    assert result.exit_code == 3
    assert report["run"] and report["layers"]["spelling"] == 1 and report["layers"]["judge"] > 0


def test_calls_that_fail_are_reported_with_their_text_and_exit_code_1() -> None:
    graph_of(2)
    with Server(always=FAULTS["prose"]) as server:
        result = resolve("--json", server=server)
    report = last_json(result)
    assert result.exit_code == 1
    assert report["layers"] == {"spelling": 1} and report["run"]
    assert report["judge"]["unreadable"] == report["judge"]["pairs"] > 0
    (failure,) = report["judge"]["failures"]
    assert "I am sorry" in failure["text"]
    assert "no verdict for" in result.stderr and "I am sorry" in result.stderr


@pytest.mark.parametrize(("fault", "code"), [("401", 2), ("404", 2), ("429 tomorrow", 4)])
def test_an_endpoint_that_cannot_be_used_writes_nothing(fault: str, code: int) -> None:
    before = graph_of(2)
    with Server(always=FAULTS[fault]) as server:
        result = resolve(server=server)
    assert result.exit_code == code, result.output
    assert KEY not in result.output and state() == before
