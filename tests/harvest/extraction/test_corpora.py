"""Training reads the train parts only, and no sentence that the benchmark tests with."""

import json
from pathlib import Path

import pytest

from harvest.errors import InputError
from harvest.extraction.corpora import (
    Casing,
    HeadPlan,
    head_plans,
    sentence_key,
    training_sentences,
)
from harvest.extraction.heads import RelationHead

PLANS = (
    HeadPlan(RelationHead("director"), (("tekgen", "director", False), ("fewrel", "P57", False))),
    HeadPlan(RelationHead("part_of"), (("tekgen", "tracklist", True),)),
    HeadPlan(RelationHead("publication_date"), (("tekgen", "publication date", False),)),
)


RED_SUN = "Red Sun: A Tale is a 1990 film by Mia Roth."


def row(sent: str, head: str, relation: str, tail: str) -> str:
    return (
        json.dumps({"sent": sent, "sub_label": head, "rel_label": relation, "obj_label": tail})
        + "\n"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    base = tmp_path / "text2kgbench/wikidata_tekgen"
    (base / "train").mkdir(parents=True)
    (base / "test").mkdir()
    (base / "train/ont_1_x_train.jsonl").write_text(
        row(
            "Red Sun: A Tale is a 1990 film by Mia Roth.",
            "Red Sun : A Tale",
            "director",
            "Mia Roth",
        )
        + row(
            "Red Sun: A Tale is a 1990 film by Mia Roth.",
            "Red Sun : A Tale",
            "publication date",
            "01 January 1990",
        )
        + row("Blue Moon is a film by Ken Ott.", "Blue Moon", "director", "Ken Ott")
        + row("Songs holds the song Dawn.", "Songs", "tracklist", "Dawn")
    )
    (base / "test/ont_1_x_test.jsonl").write_text(
        json.dumps({"id": "1", "sent": "Blue Moon  is a film by Ken Ott ."})
        + "\n"
        + json.dumps({"id": "2", "sent": "the film lost was made by jan berg ."})
        + "\n"
    )
    fewrel = tmp_path / "re/fewrel"
    fewrel.mkdir(parents=True)
    tokens = "in paris , the film green hill was shot by eva lind ( 1950 ) .".split()
    leaked = "the film lost was made by jan berg .".split()
    (fewrel / "train64_from_cfrl.json").write_text(
        json.dumps(
            {
                "P57": [
                    {
                        "tokens": tokens,
                        "h": ["green hill", "Q1", [[5, 6]]],
                        "t": ["eva lind", "Q2", [[10, 11]]],
                    },
                    {
                        "tokens": leaked,
                        "h": ["lost", "Q3", [[2]]],
                        "t": ["jan berg", "Q4", [[6, 7]]],
                    },
                ]
            }
        )
    )
    return tmp_path


def triples(folder: Path, source: str) -> set[tuple[str, str, str]]:
    return {
        (s.text[slice(*head)], relation, s.text[slice(*tail)])
        for s in training_sentences(folder, PLANS)
        if s.source == source
        for head, relation, tail in s.triples
    }


def test_rows_of_one_sentence_are_joined_and_test_sentences_left_out(folder: Path) -> None:
    assert triples(folder, "tekgen") == {
        ("Red Sun: A Tale", "director", "Mia Roth"),
        ("Red Sun: A Tale", "publication_date", "1990"),  # gold writes 01 January 1990
        ("Dawn", "part_of", "Songs"),  # read from the other end
    }
    tekgen = [s for s in training_sentences(folder, PLANS) if s.source == "tekgen"]
    assert len(tekgen) == 2


def test_lower_cased_sentences_get_their_capitals_back_and_leaks_are_left_out(folder: Path) -> None:
    [sentence] = [s for s in training_sentences(folder, PLANS) if s.source == "fewrel"]
    assert sentence.text.startswith("In Paris, the film Green Hill ")
    assert sentence.text.endswith("Eva Lind (1950).")
    assert triples(folder, "fewrel") == {("Green Hill", "director", "Eva Lind")}


def test_a_folder_without_the_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--data"):
        next(training_sentences(tmp_path, PLANS))


def test_sentence_keys_ignore_blanks_case_and_signs() -> None:
    assert sentence_key("He left Bern .") == sentence_key("he left\nBern")
    assert sentence_key("He left Bern.") != sentence_key("He left Basel.")


def test_casing_is_learned_from_inside_sentences() -> None:
    casing = Casing(["The city of Warsaw is old.", "She saw the city, Warsaw."])
    assert casing.is_name("warsaw", count=50)
    assert not casing.is_name("city", count=1)
    assert casing.is_name("kadyanka", count=1)  # rare and unlike an English word
    assert not casing.is_name("walking", count=1)


def test_every_planned_head_has_a_source_and_one_name() -> None:
    plans = head_plans()
    names = [plan.head.name for plan in plans]
    assert len(names) == len(set(names))
    assert all(plan.sources for plan in plans)
