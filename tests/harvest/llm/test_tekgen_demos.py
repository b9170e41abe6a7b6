"""The comparison of demonstrations on a benchmark of two tiny ontologies, with a random model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import sheaf
from harvest.errors import InputError
from harvest.tekgen_demos import _difference, pool_of, sampled, tekgen_demos
from harvest.text2kgbench import load_ontologies
from retrieval.causal_lm import CausalLM
from tests.harvest.llm.copying_lm import random_lm

PEOPLE = "Ada Bo Cy Di Ed Flo Gus Hal Ida Jo".split()
PLACES = "Rome Oslo Bonn Kiel Lyon Bern Nice Graz Linz Cork".split()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two ontologies of ten train and five test sentences; one test sentence is in train too."""
    base = tmp_path / "wikidata_tekgen"
    for part in ("ontologies", "test", "train", "ground_truth"):
        (base / part).mkdir(parents=True)
    for number, (name, relation, verb) in enumerate(
        [("birth", "place of birth", "was born in"), ("death", "place of death", "died in")], 1
    ):
        ontology = {
            "id": f"ont_{number}_{name}",
            "concepts": [{"qid": "Q5", "label": "human"}, {"qid": "Q2", "label": "place"}],
            "relations": [
                {"label": relation, "domain": "Q5", "range": "Q2"},
                {"label": "date of birth ", "domain": "Q5", "range": ""},
            ],
        }
        stem = f"ont_{number}_{name}"
        (base / f"ontologies/{number}_{name}_ontology.json").write_text(json.dumps(ontology))
        train = [(f"{p} {verb} {q}.", p, q) for p, q in zip(PEOPLE, PLACES, strict=True)]
        test = [(f"{p} {verb} {q}.", p, q) for p, q in zip(PEOPLE[:4], PLACES[4:8], strict=True)]
        test.append((f"{PEOPLE[0]}  {verb} {PLACES[0]} !", PEOPLE[0], PLACES[0]))

        def rows(*found: dict[str, object]) -> str:
            return "".join(json.dumps(row) + "\n" for row in found)

        (base / f"train/{stem}_train.jsonl").write_text(
            rows(
                *(
                    {"sent": s, "sub_label": h, "rel_label": relation, "obj_label": t}
                    for s, h, t in train
                )
            )
        )
        (base / f"test/{stem}_test.jsonl").write_text(
            rows(*({"id": f"{stem}-{at}", "sent": s} for at, (s, _, _) in enumerate(test)))
        )
        (base / f"ground_truth/{stem}_ground_truth.jsonl").write_text(
            rows(
                *(
                    {"id": f"{stem}-{at}", "triples": [{"sub": h, "rel": relation, "obj": t}]}
                    for at, (_, h, t) in enumerate(test)
                )
            )
        )
    return tmp_path


def test_every_row_has_its_scores_and_those_without_a_model(data: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    found = tekgen_demos(
        data,
        rows=("none", "random", "bm25"),
        per_ontology=3,
        k=2,
        lm=random_lm(),
        extractor=False,
        progress=lambda *step: steps.append(step),
    )
    assert list(found["rows"]) == ["none", "random", "bm25"] and found["sentences"] == 6
    for row in found["rows"].values():
        assert 0 <= row["unfiltered_micro_f1"] <= 1 and row["triples_written"] <= 6 * 4
    none, random = found["rows"]["none"], found["rows"]["random"]
    assert none["copied"]["unfiltered_micro_f1"] == none["relations_shown"] == 0
    assert random["relations_shown"] == 1.0  # one relation an ontology
    assert found["ceiling"]["unfiltered_micro_f1"] == 1.0
    assert steps[:2] == [("none", 3, 6), ("none", 6, 6)]
    assert set(found["against_random"]) == {"none", "bm25"}


def test_no_text_of_a_test_file_is_a_demonstration(data: Path) -> None:
    found = tekgen_demos(data, rows=("none",), per_ontology=1, lm=random_lm(), extractor=False)
    assert found["demonstrations"] == {"ont_1_birth": 9, "ont_2_death": 9}
    first = load_ontologies(data)[0]
    task, facts = pool_of(first)
    assert len(task.demos) == 10
    assert task.demos[0].output == " Ada | place of birth | Rome"
    assert facts[task.demos[0].id] == [("Ada", "place of birth", "Rome")]


def test_several_rows_of_one_sentence_are_one_demonstration(data: Path) -> None:
    file = data / "wikidata_tekgen/train/ont_1_birth_train.jsonl"
    row = {
        "sent": "Ada was born in Rome.",
        "sub_label": "Ada",
        "rel_label": "date of birth ",
        "obj_label": "1900",
    }
    file.write_text(file.read_text() + json.dumps(row) + "\n" + json.dumps(row) + "\n")
    task, _ = pool_of(load_ontologies(data)[0])
    assert task.demos[0].output == " Ada | place of birth | Rome; Ada | date of birth | 1900"
    assert len(task.demos) == 10


def test_the_sample_is_drawn_by_its_seed(data: Path) -> None:
    first = load_ontologies(data)[0]
    one, same, other = (sampled(first, 3, seed=seed).sentences for seed in (0, 0, 5))
    assert one == same and len(one) == 3 and one != other
    assert sampled(first, 99, seed=0).sentences == first.sentences


def test_one_seed_gives_one_answer(data: Path) -> None:
    def run() -> dict[str, object]:
        found = tekgen_demos(
            data, rows=("random",), per_ontology=2, k=2, lm=random_lm(), extractor=False
        )
        del found["rows"]["random"]["seconds"]
        return found

    assert run() == run()


def test_the_interval_is_of_paired_resamples(data: Path) -> None:
    ontologies = load_ontologies(data)
    gold = {s.id: list(s.gold) for o in ontologies for s in o.sentences}
    nothing: dict[str, list[tuple[str, str, str]]] = {id: [] for id in gold}
    same = _difference(ontologies, gold, gold, seed=0)
    assert same == {"difference": 0.0, "low": 0.0, "high": 0.0}
    assert _difference(ontologies, gold, nothing, seed=0)["low"] == 1.0
    half = {id: said if at % 2 else [] for at, (id, said) in enumerate(gold.items())}
    some = _difference(ontologies, gold, half, seed=0)
    assert some["difference"] == pytest.approx(1 - 2 * 5 / 15, abs=1e-4)
    assert 0 < some["low"] < some["difference"] < some["high"] < 1


def test_numbers_that_make_no_sense_are_refused(data: Path) -> None:
    with pytest.raises(InputError, match="per_ontology=0"):
        tekgen_demos(data, per_ontology=0, lm=random_lm())


def test_the_command(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CausalLM, "load", classmethod(lambda cls, model=None: random_lm()))
    command = ["eval", "tekgen-demos", "--data", str(data), "--retriever", "bm25"]
    done = CliRunner().invoke(sheaf.app, [*command, "--per-ontology", "1", "--k", "2", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    assert list(found["rows"]) == ["none", "random", "bm25"] and found["k"] == 2
    assert found["text_extractor"]["unfiltered_micro_f1"] >= 0
    done = CliRunner().invoke(sheaf.app, [*command, "--per-ontology", "1", "--k", "2"])
    assert "bm25: micro F1, official F1; copied" in done.stdout and "ceiling" in done.stdout
