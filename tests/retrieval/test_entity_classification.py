"""Classes of unseen entities: by hand, and on a world where the class is in the name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from retrieval.encoders.bag_of_words import BagOfWordsEncoder
from retrieval.entity_classification import (
    ClassData,
    _chosen,
    _figures,
    _row,
    classification,
    load_classes,
    past_peak,
)
from retrieval.errors import DataFormatError
from sheaf import app
from tests.retrieval.test_evaluations import WORDS, folder


def with_classes(path: Path) -> Path:
    """Every coloured thing is of the class of its colour."""
    folder(path)
    parts: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
    for line in (path / "entity2text.txt").read_text().splitlines():
        id, text = line.split("\t")
        if " " not in text:
            continue
        colour, thing = text.split()
        part = {"tree": "dev", "boat": "test"}.get(thing, "train")
        parts[part].append(f"{id}\tcolour of {colour}")
    for part, lines in parts.items():
        (path / f"{part}-ents-class.txt").write_text("\n".join(lines) + "\n")
    return path


def test_figures_by_hand() -> None:
    said, true = ["a", "a", "a", "b"], ["a", "a", "b", "c"]
    found = _figures(said, true, 0)
    assert found["accuracy"] == 0.5
    assert found["balanced_accuracy"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["accuracy_interval"]["low"] <= 0.5 <= found["accuracy_interval"]["high"]


def test_unseen_entities_are_classified_by_their_words(tmp_path: Path) -> None:
    data = load_classes(with_classes(tmp_path))
    assert len(data.texts["test"]) == len(WORDS)
    encoder = BagOfWordsEncoder.fit(data.texts["train"], dim=16)
    answer = classification(data, encoder, strengths=(1.0, 1000.0))
    rows = answer["rows"]
    assert rows["majority"]["accuracy"] == pytest.approx(1 / len(WORDS), abs=1e-6)
    for name in ("tfidf", "spelling", "encoder", "encoder_spelling"):
        assert rows[name]["accuracy"] == 1
        assert rows[f"{name}_balanced"]["balanced_accuracy"] == 1
        assert rows[name]["strength"] in (1.0, 1000.0)
    assert (answer["classes"], answer["classes_in_test"]) == (5, 5)
    assert (answer["accuracy"], answer["balanced_accuracy"]) == (1, 1)
    assert (
        classification(data, encoder, strengths=(1.0,))["rows"]
        == classification(data, encoder, strengths=(1.0,))["rows"]
    )


def test_texts_of_the_test_reach_no_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"train": ["red car", "blue car", "red bus", "blue bus"], "dev": ["red a", "blue a"]}
    classes = {"train": ["r", "b", "r", "b"], "dev": ["r", "b"], "test": ["r", "b"]}
    answers = []
    for test in (["red zebra", "blue quagga"], ["red zebra zebra", "blue zebra"]):
        data = ClassData({**texts, "test": test}, classes, "made", "made")
        answers.append(classification(data, None, strengths=(1.0,))["rows"]["tfidf"])
    assert answers[0] == answers[1]
    assert "encoder" not in classification(data, None, strengths=(1.0,))["rows"]


def test_weights_by_rarity_help_the_rare_class() -> None:
    random = np.random.default_rng(0)
    words = {"common": "aa bb cc".split(), "rare": "cc dd ee".split()}

    def draw(counts: dict[str, int]) -> tuple[list[str], list[str]]:
        own = [name for name, count in counts.items() for _ in range(count)]
        return [" ".join(random.choice(words[name], 2)) for name in own], own

    drawn = {
        part: draw({"common": common, "rare": rare})
        for part, common, rare in (("train", 300, 12), ("dev", 100, 8), ("test", 200, 60))
    }
    data = ClassData(
        {part: texts for part, (texts, _) in drawn.items()},
        {part: own for part, (_, own) in drawn.items()},
        "made",
        "made",
    )
    rows = classification(data, None)["rows"]
    assert rows["tfidf_balanced"]["balanced_accuracy"] >= rows["tfidf"]["balanced_accuracy"]
    assert rows["tfidf_balanced"]["balanced_accuracy"] > 0.75


def test_dev_says_which_row_stands_for_a_question() -> None:
    rows = {
        "majority": {"accuracy": 1.0},
        "tfidf": {"dev": 0.7},
        "tfidf_balanced": {"dev": 0.9},
        "encoder": {"dev": 0.8},
        "encoder_balanced": {"dev": 0.6},
    }
    assert _chosen(rows, balanced=False) == "encoder"
    assert _chosen(rows, balanced=True) == "tfidf_balanced"


def test_the_strength_is_the_best_on_dev_among_those_that_are_tried() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(2)
    texts = {
        part: [" ".join(random.choice(list("abcdef"), 4)) for _ in range(80)]
        for part in ("train", "dev", "test")
    }
    classes = {
        part: [text[0] if text[0] in "abc" else "c" for text in own] for part, own in texts.items()
    }
    words = TfidfVectorizer(token_pattern=r"\w").fit(texts["train"])
    features = {part: words.transform(own) for part, own in texts.items()}
    strengths = (0.1, 1.0, 10.0)
    found = _row(features, classes, strengths, balanced=False, seed=0)
    on_dev: dict[float, float] = {}
    for strength in strengths:
        model = LogisticRegression(C=strength, max_iter=1000)
        model.fit(features["train"], classes["train"])
        said = model.predict(features["dev"])
        on_dev[strength] = float(np.mean(said == np.array(classes["dev"])))
        if past_peak(list(on_dev.values())):
            break
    assert found["dev"] == pytest.approx(max(on_dev.values()), abs=1e-6)
    assert found["strength"] == max(on_dev, key=lambda one: (on_dev[one], -one))


def test_the_command_prints_rows_and_names_what_is_missing(tmp_path: Path) -> None:
    with_classes(tmp_path)
    command = ["eval", "entity-classification", "--data", str(tmp_path), "--encoder"]
    done = CliRunner().invoke(app, [*command, "none", "--json"])
    assert done.exit_code == 0, done.output
    assert set(json.loads(done.stdout)["rows"]) == {
        "majority", "tfidf", "tfidf_balanced", "spelling", "spelling_balanced",
    }  # fmt: skip
    trained = CliRunner().invoke(app, [*command, "bow", "--json"])
    assert trained.exit_code == 0, trained.output
    assert json.loads(trained.stdout)["rows"]["encoder"]["accuracy"] == 1
    BagOfWordsEncoder.fit(["red car", "red bus"], dim=4).save(tmp_path / "bow")
    table = CliRunner().invoke(app, [*command, str(tmp_path / "bow")])
    assert table.exit_code == 0, table.output
    assert "encoder_spelling" in table.stdout
    path = tmp_path / "dev-ents-class.txt"
    path.write_text(path.read_text() + "nobody\tcolour of red\n")
    with pytest.raises(DataFormatError, match="line 6: 'nobody"):
        load_classes(tmp_path)
    path.unlink()
    with pytest.raises(DataFormatError, match="dev-ents-class"):
        load_classes(tmp_path)
