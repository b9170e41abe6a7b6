"""The evaluations on a data folder of a few lines, whose figures are worked out by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kg.ids import entity_id
from retrieval.cleaning.commands import evaluations_app
from retrieval.cleaning.evaluations import canonicalisation, pairwise, resolution
from retrieval.cleaning.gold_names import load_gold_names
from retrieval.errors import DataFormatError

ROWS = [
    # The sentence calls the head by its full name.
    ("Q1", "Ann Lee", "born in", "Q9", "Paris", "Ann Mary Lee was born in Paris."),
    # Another ontology relation gives the same city another type.
    ("Q1", "Ann Lee", "visited", "Q9", "Paris", "Ann Lee is in Paris."),
    # One name, two ids.
    ("Q2", "Green Party", "based in", "Q9", "Paris", "Green Party is based in Paris."),
    ("Q3", "Green Party", "based in", "Q8", "Oslo", "The party is based in Oslo."),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "text2kgbench" / "wikidata_tekgen"
    (folder / "train").mkdir(parents=True)
    (folder / "ontologies").mkdir()
    ontology = {
        "concepts": [
            {"qid": "c1", "label": "human"},
            {"qid": "c2", "label": "city"},
            {"qid": "c3", "label": "territory"},
            {"qid": "c4", "label": "party"},
        ],
        "relations": [
            {"label": "born in", "domain": "c1", "range": "c2"},
            {"label": "visited", "domain": "c1", "range": "c3"},
            {"label": "based in", "domain": "c4", "range": "c2"},
        ],
    }
    (folder / "ontologies" / "1_toy_ontology.json").write_text(json.dumps(ontology))
    keys = ("sub", "sub_label", "rel_label", "obj", "obj_label", "sent")
    lines = [json.dumps(dict(zip(keys, row, strict=True))) for row in ROWS]
    (folder / "train" / "ont_1_toy_train.jsonl").write_text("\n".join(lines))
    mine = tmp_path / "mine"
    mine.mkdir()
    relations = [["a", "discovered", "b"], ["b", "was discovered by", "a"], ["a", "sees", "b"]]
    graph = {"system": "kggen", "id": 1, "entities": [], "relations": relations}
    with gzip.open(mine / "graphs.jsonl.gz", "wt") as file:
        file.write(json.dumps(graph) + "\n")
    return tmp_path


def test_names_with_their_ids(data: Path) -> None:
    gold = load_gold_names(data / "text2kgbench")
    ids = {(gold.names[raw], *sorted(own)) for raw, own in gold.ids.items()}
    assert ids == {
        ("Ann Lee", "Q1"),
        ("Ann Mary Lee", "Q1"),
        ("Paris", "Q9"),
        ("Green Party", "Q2", "Q3"),
        ("Oslo", "Q8"),
    }
    assert gold.ids[entity_id("Paris", "city")] == gold.ids[entity_id("Paris", "territory")]
    parts = [gold.part("dev"), gold.part("test")]
    assert parts[0] | parts[1] == gold.ids.keys()
    assert not parts[0] & parts[1]


def test_aliases_of_wikidata(data: Path) -> None:
    file = data / "entity2wikidata.json"
    entry = {"wikidata_id": "Q9", "label": "Paris", "alternatives": ["City of Light", " "]}
    file.write_text(json.dumps({"/m/1": entry}))
    gold = load_gold_names(data / "text2kgbench", aliases=file)
    assert gold.ids[entity_id("City of Light", "city")] == {"Q9"}
    assert gold.places["alias"] == 1
    with pytest.raises(DataFormatError, match="does not exist"):
        load_gold_names(data / "text2kgbench", aliases=data / "nothing.json")


def test_resolution_beside_its_controls(data: Path) -> None:
    answers = [resolution(data / "text2kgbench", part=part) for part in ("dev", "test")]
    gold = sum(answer["ours"]["gold_pairs"] for answer in answers)
    true = sum(answer["ours"]["true_pairs"] for answer in answers)
    assert (gold, true) == (2, 2)  # Ann Lee = Ann Mary Lee; Paris twice
    for answer in answers:
        assert answer["ours"]["false_pairs"] == 0
        assert answer["controls"]["as_written"]["true_pairs"] == 0
        assert answer["controls"].keys() == {"as_written", "same_name"}


def test_pairs_across_parts_count_once_an_end_is_in_the_part() -> None:
    ids = {raw: frozenset(id) for raw, id in zip("abcd", "1123", strict=True)}
    found = pairwise([["a", "b"], ["c", "d"]], ids, frozenset("a"))
    assert (found["true_pairs"], found["false_pairs"], found["gold_pairs"]) == (1, 0, 1)
    found = pairwise([["a", "c"]], ids, frozenset("c"))
    assert (found["precision"], found["recall"], found["f1"]) == (0.0, 0.0, 0.0)


def test_canonicalisation_counts_and_samples(data: Path) -> None:
    answer = canonicalisation(data / "mine")
    assert (answer["predicates"], answer["after_words"], answer["after"]) == (3, 2, 2)
    assert answer["sample"] == ["was discovered by → discovered (swapped) [words]"]
    with pytest.raises(DataFormatError, match="no graph of 'openie'"):
        canonicalisation(data / "mine", system="openie")
    with pytest.raises(DataFormatError, match="does not exist"):
        canonicalisation(data)


def test_commands_print_one_object(data: Path) -> None:
    runner = CliRunner()
    for name, folder, key in (
        ("resolution", "text2kgbench", "ours"),
        ("canonicalisation", "mine", "after"),
    ):
        for json_flag in ([], ["--json"]):
            done = runner.invoke(evaluations_app, [name, "--data", str(data / folder), *json_flag])
            assert done.exit_code == 0, done.output
        assert key in json.loads(done.stdout.splitlines()[-1])
    wrong = runner.invoke(evaluations_app, ["resolution", "--data", str(data), "--part", "x"])
    assert wrong.exit_code == 2
