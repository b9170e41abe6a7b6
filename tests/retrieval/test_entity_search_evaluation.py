"""The evaluation of entity search on a made collection: groups, folds without leaks, rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from retrieval.encoders.bag_of_words import BagOfWordsEncoder
from retrieval.entity_search_evaluation import _ask, _fold, compared, evaluate_search, neighbours
from retrieval.errors import DataFormatError, ModelFileError
from retrieval.kept_vectors import kept_vectors
from retrieval.search_data import SearchData, group_of, load_search
from sheaf import app

COLOURS = "red blue green black white grey pink brown".split()
THINGS = "car boat tree house".split()
PREFIXES = "SemSearch_ES INEX_LD INEX_XER SemSearch_LS TREC_Entity QALD2_tr QALD2_te".split()


def collection(root: Path) -> Path:
    """Write 32 coloured things and eight queries, one for each colour."""
    root.mkdir(parents=True, exist_ok=True)
    corpus, judged = [], []
    for colour in COLOURS:
        for thing in THINGS:
            said = f"A {thing} that somebody painted {colour}." if thing != "house" else ""
            corpus.append(f"{colour}_{thing}\t\t{colour} {thing}\t{said}")
    queries = []
    for number, colour in enumerate(COLOURS):
        query = f"{PREFIXES[number % len(PREFIXES)]}-{number}"
        queries.append(f"{query}\tWhich cars are {colour}?")
        judged += [f"{query}\t0\t{colour}_car\t2", f"{query}\t0\t{colour}_boat\t1"]
        judged.append(f"{query}\t0\t{colour}_tree\t0")
    ids = [line.partition("\t")[0] for line in queries]
    folds = {
        str(fold): {
            "training": [id for at, id in enumerate(ids) if at % 2 != fold],
            "testing": [id for at, id in enumerate(ids) if at % 2 == fold],
        }
        for fold in range(2)
    }
    (root / "corpus.tsv").write_text("\n".join(corpus))
    (root / "queries.tsv").write_text("\n".join(queries) + "\n")
    (root / "qrels.tsv").write_text("\n".join(judged) + "\n")
    (root / "folds.json").write_text(json.dumps(folds))
    return root


def bag(data: SearchData) -> BagOfWordsEncoder:
    return BagOfWordsEncoder.fit(data.texts(), dim=16)


@pytest.fixture
def data(tmp_path: Path) -> SearchData:
    return load_search(collection(tmp_path / "made"))


def test_groups_are_the_official_ones_and_not_the_prefixes() -> None:
    assert [group_of(f"{prefix}-1") for prefix in PREFIXES] == [
        "SemSearch-ES", "INEX-LD", "ListSearch", "ListSearch", "ListSearch", "QALD-2", "QALD-2",
    ]  # fmt: skip
    assert group_of("SemSearch-1") == "other"


def test_rows_groups_and_comparison(data: SearchData) -> None:
    answer = evaluate_search(data, bag(data))
    rows = answer["rows"]
    assert set(rows) == {
        "bm25", "words", "encoder", "raw_hybrid", "hybrid", "fielded", "named", "fusion",
    }  # fmt: skip
    assert answer["ndcg_at_10"] == rows["fusion"]["all"]["ndcg_at_10"]
    for row in rows.values():
        groups = {name: own for name, own in row.items() if name != "learned_by_fold"}
        assert {name: own["queries"] for name, own in groups.items()} == {
            "all": 8, "SemSearch-ES": 2, "INEX-LD": 1, "ListSearch": 3, "QALD-2": 2,
        }  # fmt: skip
        mean = sum(own["queries"] * own["ndcg_at_10"] for own in list(groups.values())[1:]) / 8
        assert groups["all"]["ndcg_at_10"] == pytest.approx(mean, abs=2e-4)
    # "cars" is no word of the corpus, and its stem is.
    assert rows["bm25"]["all"]["ndcg_at_10"] < rows["words"]["all"]["ndcg_at_10"]
    assert rows["words"]["all"]["over_bm25"]["difference"] > 0
    assert "over_bm25" not in rows["bm25"]["all"]
    assert len(rows["fielded"]["learned_by_fold"]) == 2
    again = evaluate_search(data, bag(data))
    assert {**again, "cpu_seconds": 0} == {**answer, "cpu_seconds": 0}


def test_a_fold_learns_nothing_from_what_it_is_measured_on(data: SearchData) -> None:
    encoder = bag(data)
    fold = data.folds[0]
    (turned,) = {"grey_house"}

    def results(queries: tuple[str, ...]) -> list:
        changed = replace(
            data,
            gains={
                query: {turned: 2} if query in queries else own for query, own in data.gains.items()
            },
        )
        asked = _ask(changed, encoder, None, encoder.encode)
        return [
            (name, found, {query: rows.tolist() for query, rows in ranked.items()})
            for name, found, ranked in _fold(changed, asked, fold)
        ]

    true = results(())
    assert results(fold.testing) == true
    assert results(fold.training) != true
    assert all(set(ranked) == set(fold.testing) for _, _, ranked in true)


def test_links_bring_what_no_text_says(data: SearchData, tmp_path: Path) -> None:
    folder = tmp_path / "links"
    folder.mkdir()
    triples = [f"{colour}_car\t/thing/owned_by\t{colour}_house" for colour in COLOURS]
    (folder / "train.tsv").write_text("\n".join([*triples, "stranger\t/thing/owned_by\tred_car"]))
    for part in ("dev", "test"):
        (folder / f"{part}.tsv").write_text("red_tree\t/thing/owned_by\tred_boat\n")
    links = neighbours(data, folder)
    row = {id: place for place, id in enumerate(data.entities)}
    assert links[row["red_car"]] == "owned by red house"
    assert links[row["red_house"]] == "owned by red car"
    assert links[row["red_tree"]] == ""
    answer = evaluate_search(data, bag(data), links=links)
    rows = dict(answer["rows"])
    assert rows.pop("linked")["all"]["queries"] == 8
    assert rows == evaluate_search(data, bag(data))["rows"]
    assert set(answer["weights_of_all_queries"]) == {
        "name", "description", "words", "vector", "links",
    }  # fmt: skip


def test_paired_comparison() -> None:
    same = compared([0.5, 0.2], [0.5, 0.2], seed=0)
    assert (same["difference"], same["p"], same["low"], same["high"]) == (0, 1, 0, 0)
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.1, 60).tolist()
    assert compared(noise, [0.0] * 60, seed=0)["p"] > 0.05
    assert compared([one + 0.1 for one in noise], [0.0] * 60, seed=0)["p"] < 0.01


def test_the_command_prints_the_key_and_keeps_vectors(tmp_path: Path) -> None:
    root = collection(tmp_path / "made")
    bag(load_search(root)).save(tmp_path / "bow")
    command = ["eval", "entity-search", "--data", str(root), "--encoder", str(tmp_path / "bow")]
    kept = ["--cache", str(tmp_path / "kept")]
    first = CliRunner().invoke(app, [*command, *kept, "--json"])
    assert first.exit_code == 0, first.output
    assert len(list((tmp_path / "kept").iterdir())) == 2
    second = CliRunner().invoke(app, [*command, *kept, "--json"])
    plain = CliRunner().invoke(app, [*command, "--json"])
    assert json.loads(first.stdout)["ndcg_at_10"] > 0
    rows = [json.loads(done.stdout)["rows"] for done in (first, second, plain)]
    assert rows[0] == rows[1] == rows[2]
    table = CliRunner().invoke(app, command)
    assert "NDCG@10" in table.stdout
    assert "fielded" in table.stdout


def test_damaged_vectors_are_named(tmp_path: Path) -> None:
    encoder = BagOfWordsEncoder.fit(["red car", "red bus"], dim=4)
    encode = kept_vectors(encoder, tmp_path)
    np.testing.assert_array_equal(encode(["red car"]), encoder.encode(["red car"]))
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"no array")
    with pytest.raises(ModelFileError, match="delete it"):
        encode(["red car"])
    np.save(path, np.zeros((2, 4), np.float32))
    with pytest.raises(ModelFileError, match="delete it"):
        encode(["red car"])


def wrong(root: Path, name: str, old: str, new: str) -> None:
    path = root / name
    path.write_text(path.read_text().replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("corpus.tsv", "red_boat\t", "red_car\t", "twice"),
        ("corpus.tsv", "\t\tred car\t", "\tred car\t", "line 1"),
        ("qrels.tsv", "\t2", "\t-2", "'-2'"),
        ("qrels.tsv", "red_car", "nobody", "'nobody'"),
        ("folds.json", '"testing": ["SemSearch_ES-0"', '"testing": ["INEX_LD-1"', "at once"),
        ("folds.json", '"SemSearch_ES-0", "INEX_XER-2"', '"INEX_XER-2"', "queries"),
        ("folds.json", "testing", "other", "folds of training and testing"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, name: str, old: str, new: str, message: str) -> None:
    root = collection(tmp_path)
    wrong(root, name, old, new)
    if name == "folds.json" and message == "queries":
        wrong(root, name, '"testing": ["SemSearch_ES-0", ', '"testing": [')
    with pytest.raises(DataFormatError, match=message):
        load_search(root)


def test_a_missing_file_is_named_and_unanswerable_queries_are_left_out(tmp_path: Path) -> None:
    root = collection(tmp_path)
    whole = load_search(root)
    path = root / "qrels.tsv"
    path.write_text(
        "\n".join(line for line in path.read_text().splitlines() if not line.startswith("INEX_LD"))
    )
    assert set(whole.queries) - set(load_search(root).queries) == {"INEX_LD-1"}
    (root / "folds.json").unlink()
    with pytest.raises(DataFormatError, match=r"no folds\.json"):
        load_search(root)
