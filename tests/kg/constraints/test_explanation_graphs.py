"""The validator of ExplaGraphs: its rules one by one, and its evaluation on a made-up folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg.constraints.explanation_graphs import (
    NEGATIONS,
    RELATIONS,
    evaluate,
    explanation_rules,
    read_items,
    structure_of,
)
from kg.errors import ExchangeError

BELIEF = "Cats should be kept at home."
ARGUMENT = "Cats hunt birds."
GOOD = (
    "(cats; capable of; hunt birds)(hunt birds; is not a; kept at home)"
    "(kept at home; desires; home)"
)
BAD = {
    "MinEdges": "(cats; capable of; hunt birds)(hunt birds; is not a; kept at home)",
    "Arity": GOOD.replace("is not a; ", ""),
    "Relations": GOOD.replace("capable of", "is able to"),
    "MaxWords": GOOD.replace("desires; home", "desires; the home of people"),
    "Covers": GOOD.replace("hunt birds", "sing songs"),
    "Connected": "(cats; capable of; hunt birds)(home; is a; house)(house; is a; kept at home)",
    "Acyclic": GOOD + "(kept at home; causes; cats)",
}


def test_good_graph_is_right_in_any_letter_case() -> None:
    assert structure_of(BELIEF, ARGUMENT, GOOD).ok
    assert structure_of(BELIEF.upper(), ARGUMENT, GOOD.title()).ok


@pytest.mark.parametrize("rule", BAD)
def test_each_rule_is_broken_alone(rule: str) -> None:
    assert structure_of(BELIEF, ARGUMENT, BAD[rule]).broken == {rule}


def test_both_texts_are_covered() -> None:
    rules = explanation_rules(BELIEF, ARGUMENT)
    assert {rule.about for rule in rules if rule.name == "Covers"} == {"belief", "argument"}
    report = structure_of(BELIEF, "Dogs bark.", GOOD)
    assert [failed.about for failed in report.failed] == ["argument"]


def test_there_are_28_relations_and_13_have_a_negated_twin() -> None:
    assert len(RELATIONS) == 28
    assert len(NEGATIONS) == 13
    unpaired = RELATIONS - {*NEGATIONS, *NEGATIONS.values()}
    assert unpaired == {"antonym of", "synonym of"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    gold = [(BELIEF, ARGUMENT, "counter", GOOD)] * 9
    for name in ("train", "dev"):
        # A byte-order mark, as some files of the data set have.
        text = "\n".join("\t".join(row) for row in gold)
        (tmp_path / f"{name}.tsv").write_text(text + "\n", encoding="utf-8-sig")
    answers = [("counter", GOOD), *(("counter", bad) for bad in BAD.values()), ("support", GOOD)]
    text = "\n".join("\t".join(row) for row in answers) + "\n"
    (tmp_path / "maxmargin_dev_preds.tsv").write_text(text, encoding="utf-8")
    return tmp_path


def test_evaluation_counts_each_kind_of_failure(folder: Path) -> None:
    found = evaluate(folder)
    assert found["gold"] == {
        "dev": {"items": 9, "structure_right": 9},
        "train": {"items": 9, "structure_right": 9},
    }
    model = found["max_margin"]
    assert model["stance_accuracy"] == round(8 / 9, 4)
    assert model["structural_accuracy"] == round(1 / 9, 4)
    assert model["structure_wrong"] == 7
    assert model["failures"] == {
        "disconnected": 1,
        "coverage": 1,
        "relation or long concept": 2,
        "cyclic": 1,
        "malformed": 1,
        "fewer than 3 edges": 1,
    }
    assert set(model["rules"]) == set(BAD)


def test_byte_order_mark_is_no_letter(folder: Path) -> None:
    assert read_items(folder / "dev.tsv")[0].belief == BELIEF


def test_missing_and_broken_files_are_named(folder: Path) -> None:
    with pytest.raises(ExchangeError, match=r"test\.tsv does not exist"):
        read_items(folder / "test.tsv")
    (folder / "dev.tsv").write_text(f"{BELIEF}\t{ARGUMENT}\n")
    with pytest.raises(ExchangeError, match=r"dev\.tsv: line 1 has 2 columns, not 4"):
        evaluate(folder)


def test_predictions_must_be_one_per_item(folder: Path) -> None:
    (folder / "maxmargin_dev_preds.tsv").write_text(f"counter\t{GOOD}\n")
    with pytest.raises(ExchangeError, match="1 predictions for 9 items"):
        evaluate(folder)
