"""The test on own data: tasks whose answer is known because they are made here."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import sheaf
from retrieval.demonstrations.task import Demo, Task
from retrieval.errors import QueryShapeError
from retrieval.explanation_roles.own_data import _classified, explanations_help, mcnemar


def made(*, told: bool, n: int = 240) -> Task:
    """Items that share a code by two; a quarter of the labels is not what the code says.

    If it is told, an explanation says what the code says, so that of an item's twin is a better
    guess than the twin's label. Otherwise it says anything.
    """
    lot = random.Random(5)
    demos = []
    for code in range(n // 2):
        said = lot.choice(["up", "down"])
        other = "down" if said == "up" else "up"
        for twin in range(2):
            label = said if lot.random() < 0.75 else other
            why = said if told else lot.choice(["up", "down"])
            colour = lot.choice(["red", "green", "blue"])
            demos.append(
                Demo(f"{code}-{twin}", f"{colour} {twin} code{code}", label, explanation=why)
            )
    return Task("codes", "Direction:", demos)


def test_explanations_that_name_what_near_items_share_help() -> None:
    verdict = explanations_help(made(told=True), k=1)
    assert verdict.helps and verdict.against["neighbours"].better
    assert verdict.accuracy["retrieved"] > verdict.accuracy["none"] + 0.1
    assert verdict.advice.startswith("retrieve explanations")


def test_explanations_of_nothing_do_not_help() -> None:
    verdict = explanations_help(made(told=False), k=1)
    assert not verdict.helps
    assert verdict.advice == "no gain from explanations is shown: leave them out"


def test_explanations_that_only_give_the_own_label_away_are_told_apart() -> None:
    lot = random.Random(0)
    demos = []
    for at in range(120):
        label = lot.choice(["up", "down"])
        demos.append(Demo(str(at), f"item {lot.random()}", label, explanation=f"because {label}"))
    verdict = explanations_help(Task("leak", "Direction:", demos))
    assert verdict.accuracy["right"] == 1.0 and not verdict.helps
    assert "they explain their own item and no other" in verdict.advice


def test_a_repeated_text_does_not_lend_its_explanation() -> None:
    """Each text stands twice, with its label in the explanation: only the twin would give it."""
    lot = random.Random(0)
    demos = []
    for at in range(100):
        label = lot.choice(["up", "down"])
        for twin, text in enumerate((f"Item {at} .", f"item {at}.")):
            demos.append(Demo(f"{at}-{twin}", text, label, explanation=f"because {label}"))
    verdict = explanations_help(Task("twins", "Direction:", demos), k=1)
    assert verdict.accuracy["retrieved"] < verdict.accuracy["none"] + 0.1


def test_items_without_explanation_are_left_out_and_counted() -> None:
    task = made(told=True)
    bare = [Demo(f"bare{at}", "x", "up") for at in range(7)]
    verdict = explanations_help(Task("codes", "", [*task.demos, *bare]), k=2)
    assert (verdict.items, verdict.left_out, verdict.labels) == (240, 7, 2)


def test_one_seed_gives_one_verdict() -> None:
    assert explanations_help(made(told=True)) == explanations_help(made(told=True))


@pytest.mark.parametrize(
    ("demos", "says"),
    [
        ([], "has 0 explained items"),
        ([Demo(str(at), "x", "up", explanation="y") for at in range(50)], "with 1 different"),
        ([Demo(str(at), "x", str(at), explanation="y") for at in range(50)], "that repeat"),
    ],
)
def test_a_task_that_cannot_be_tested_is_refused(demos: list[Demo], says: str) -> None:
    with pytest.raises(QueryShapeError, match=says):
        explanations_help(Task("t", "", demos))


def test_unknown_options_are_refused() -> None:
    with pytest.raises(QueryShapeError, match="unknown features 'words'; choose tfidf or minilm"):
        explanations_help(made(told=True), features="words")  # type: ignore[arg-type]
    with pytest.raises(QueryShapeError, match="give k of 1 or more"):
        explanations_help(made(told=True), k=0)


def test_mcnemar_is_the_two_sided_binomial_test() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(10, 0) == pytest.approx(2 / 2**10)
    assert mcnemar(0, 10) == mcnemar(10, 0)
    # 1 + 10 + 45 of 2^10 splits are as uneven as 2 : 8 on one side.
    assert mcnemar(8, 2) == pytest.approx(2 * (1 + 10 + 45) / 2**10)


def test_the_approximation_for_large_counts_continues_the_exact_test() -> None:
    assert mcnemar(530, 469) == pytest.approx(mcnemar(531, 470), abs=0.005)


def test_the_ridge_model_equals_the_normal_equations() -> None:
    """The dual form with the ridge that leave-one-out chooses, each error computed by refitting."""
    lot = np.random.default_rng(0)
    table = lot.standard_normal((40, 5)).astype(np.float32)
    targets = (table[:, 0] + 0.5 * lot.standard_normal(40) > 0).astype(np.int64)
    test = np.arange(40) >= 30
    got = _classified(table, targets, test)

    def fitted(rows: np.ndarray, ridge: float, shown: np.ndarray) -> np.ndarray:
        x, y = table[rows].astype(float), np.where(targets[rows] == 1, 1.0, -1.0)
        mean, centre = x.mean(0), y.mean()
        w = np.linalg.solve((x - mean).T @ (x - mean) + ridge * np.eye(5), (x - mean).T @ y)
        return (table[shown] - mean) @ w + centre

    train = np.flatnonzero(~test)
    ridges = [10.0**e for e in range(-3, 4)]
    wanted = np.where(targets == 1, 1.0, -1.0)
    errors = [
        np.mean(
            [(wanted[[at]] - fitted(train[train != at], r, np.array([at]))) ** 2 for at in train]
        )
        for r in ridges
    ]
    best = ridges[int(np.argmin(errors))]
    assert (got == (fitted(train, best, np.flatnonzero(test)) > 0)).all()


def test_the_command_reads_natural_instructions(tmp_path: Path) -> None:
    made(told=True).to_ni(tmp_path / "codes.json")
    command = ["eval", "explanation-roles", "--data", str(tmp_path / "codes.json"), "--k", "1"]
    done = CliRunner().invoke(sheaf.app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["helps"] and figures["features"] == "tfidf" and figures["k"] == 1
    table = CliRunner().invoke(sheaf.app, command)
    assert "retrieved" in table.stdout and "retrieve explanations" in table.stdout


def test_the_command_runs_the_diagnostic() -> None:
    command = "eval explanation-roles --indices 8 --per-index 4 --test 50 --epochs 1".split()
    done = CliRunner().invoke(sheaf.app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.splitlines()[-1])
    assert list(figures["accuracy"]) == ["none", "random", "fixed", "learned", "optimal", "right"]
    assert (figures["train"], figures["dev"], figures["test"]) == (32, 10, 50)
    table = CliRunner().invoke(sheaf.app, command)
    assert "learned" in table.stdout and "0.9897" in table.stdout
