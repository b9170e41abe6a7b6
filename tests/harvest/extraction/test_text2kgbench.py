"""The benchmark's score, and what it hides, on three hand-solved sentences."""

import json
from pathlib import Path

import pytest

from harvest.errors import InputError
from harvest.text2kgbench import (
    FactTriple,
    benchmark_date,
    ceiling,
    first_phrase_floor,
    load_ontologies,
    score,
)

GOLD = {
    "t1": [("Ada", "cast member", "Bo")],
    "t2": [],
    "t3": [("Cy", "director", "Di"), ("Cy", "genre", "drama")],
}


def write(folder: Path) -> Path:
    base = folder / "wikidata_tekgen"
    for part in ("ontologies", "test", "train", "ground_truth"):
        (base / part).mkdir(parents=True)
    ontology = {
        "title": "Tiny",
        "id": "ont_1_tiny",
        "concepts": [{"qid": "Q1", "label": "film"}, {"qid": "Q5", "label": "human"}],
        "relations": [
            {"pid": "P57", "label": "director", "domain": "Q1", "range": "Q5"},
            {"pid": "P161", "label": "cast member", "domain": "Q1", "range": "Q5"},
            {"pid": "P136", "label": "genre", "domain": "Q1", "range": "Q999"},
            {"pid": "P577", "label": "publication date", "domain": "Q1", "range": ""},
        ],
    }
    (base / "ontologies/1_tiny_ontology.json").write_text(json.dumps(ontology))
    texts = {"t1": "Ada (2001) has Bo.", "t2": "Nothing.", "t3": "Cy is a drama by someone."}

    def lines(rows: list[dict[str, object]]) -> str:
        return "".join(json.dumps(row) + "\n" for row in rows)

    (base / "test/ont_1_tiny_test.jsonl").write_text(
        lines([{"id": key, "sent": text} for key, text in texts.items()])
    )
    (base / "ground_truth/ont_1_tiny_ground_truth.jsonl").write_text(
        lines(
            [
                {
                    "id": key,
                    "sent": texts[key],
                    "triples": [{"sub": s, "rel": r, "obj": o} for s, r, o in rows],
                }
                for key, rows in GOLD.items()
            ]
        )
    )
    (base / "train/ont_1_tiny_train.jsonl").write_text(
        lines(
            [
                {
                    "id": "a",
                    "sub_label": "X",
                    "rel_label": "genre",
                    "obj_label": "Drama",
                    "sent": "X is a drama.",
                }
            ]
        )
    )
    return folder


def test_a_copy_of_the_gold_loses_only_the_sentence_without_gold(tmp_path: Path) -> None:
    found = score(load_ontologies(write(tmp_path)), GOLD)
    assert found.official_f1 == pytest.approx(2 / 3)
    assert found.unfiltered_micro_f1 == 1.0


def test_blanks_case_and_underscores_do_not_matter(tmp_path: Path) -> None:
    output: dict[str, list[FactTriple]] = {"t1": [("ada", "cast_member", "B o")]}
    assert score(load_ontologies(write(tmp_path)), output).official_f1 == pytest.approx(1 / 3)


def test_the_official_score_forgives_saying_too_much_and_the_micro_score_does_not(
    tmp_path: Path,
) -> None:
    ontologies = load_ontologies(write(tmp_path))
    shouting = {key: [*rows, ("Ada", "publication_date", "2001")] for key, rows in GOLD.items()}
    found = score(ontologies, shouting)
    assert found.official_f1 == pytest.approx(2 / 3)  # unchanged
    assert found.unfiltered_micro_precision == pytest.approx(3 / 6)
    assert found.unfiltered_micro_recall == 1.0


def test_a_wrong_triple_of_a_right_relation_costs_official_precision(tmp_path: Path) -> None:
    output: dict[str, list[FactTriple]] = {"t1": [*GOLD["t1"], ("Ada", "cast member", "Cy")]}
    found = score(load_ontologies(write(tmp_path)), output)
    assert found.official_precision == pytest.approx(0.5 / 3)
    assert found.official_recall == pytest.approx(1 / 3)


def test_floor_and_ceiling(tmp_path: Path) -> None:
    [ontology] = load_ontologies(write(tmp_path))
    read = first_phrase_floor(ontology)
    assert read("Cy is a drama by someone.") == [("Cy", "genre", "Drama")]
    assert read("Ada (2001) has Bo.") == []
    assert ceiling([ontology])["t3"] == [("Cy", "genre", "drama")]  # Di does not stand there


def test_ontologies_become_schemas(tmp_path: Path) -> None:
    [ontology] = load_ontologies(write(tmp_path))
    relations = ontology.schema.relations
    assert (relations["director"].head, relations["director"].tail) == ("film", "human")
    assert relations["genre"].tail == ""  # names a concept that is not listed
    assert relations["publication date"].tail == "date"


def test_dates_are_written_as_the_benchmark_writes_them() -> None:
    assert benchmark_date("1903-02") == "01 February 1903"


def test_a_wrong_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ontologies"):
        load_ontologies(tmp_path)
