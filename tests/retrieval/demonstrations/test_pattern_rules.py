"""Rules read from SemEval's file, and counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrieval.demonstrations.datasets import load_task
from retrieval.demonstrations.pattern_rules import Rule, load_rules, rule_answers, rule_figures
from retrieval.demonstrations.task import Demo
from retrieval.errors import DataFormatError

ROW = {"rel": "Content-Container(e1,e2)", "pat": ["SUBJ-O were in a OBJ-O"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "demos" / "semeval_masked_re"
    place.mkdir(parents=True)
    rows = [
        {"rel": "Content-Container(e1,e2)", "sent": "the SUBJ-O were in a OBJ-O ."},
        {"rel": "no_relation", "sent": "SUBJ-O were in a OBJ-O mood"},
        {"rel": "Cause-Effect(e1,e2)", "sent": "SUBJ-O made OBJ-O"},
    ]
    for part in ("train", "test"):
        (place / f"semeval_{part}_data.json").write_text(json.dumps(rows))
    (place / "semeval_exp.json").write_text(json.dumps([ROW]))
    return tmp_path


def test_rules_speak_the_words_of_the_task(folder: Path) -> None:
    data = load_task(folder, "semeval-re")
    rules = load_rules(folder, data)
    assert rules == [Rule("SUBJ-O were in a OBJ-O", "SUBJ is inside OBJ")]
    figures = rule_figures(rules, data.test)
    assert figures == {
        "fired": 2, "right": 1, "precision": 0.5, "accuracy": 0.333333,
        "fired_on_relations": 1, "precision_on_relations": 1.0,
    }  # fmt: skip


def test_the_first_rule_wins_and_a_phrase_is_no_pattern() -> None:
    rules = [Rule("a.c", "x"), Rule("b", "first"), Rule("abc", "second")]
    assert rule_answers(rules, [Demo("1", "abc", "")]) == ["first"]
    assert rule_figures([], [Demo("1", "abc", "x")])["precision"] == 0.0


def test_a_damaged_file_is_named(folder: Path) -> None:
    data = load_task(folder, "semeval-re")
    file = folder / "demos" / "semeval_masked_re" / "semeval_exp.json"
    for text in ("{", json.dumps([ROW | {"pat": []}]), json.dumps([ROW | {"rel": "Kinship"}])):
        file.write_text(text)
        with pytest.raises(DataFormatError, match="rules of SemEval"):
            load_rules(folder, data)
