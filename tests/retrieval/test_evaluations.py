"""Figures of a small data folder, and floors against slow twins."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from retrieval.errors import QueryShapeError
from retrieval.evaluations import link_prediction
from retrieval.floors import popularity_ranks, tfidf_ranks
from retrieval.known_links import with_inverses
from retrieval.protocols import questions
from retrieval.ranking import rank_scores
from retrieval.triple_data import TripleData

WORDS = ("red", "green", "blue", "white", "black")
THINGS = ("car", "house", "bird", "shoe", "book", "lamp", "tree", "boat")


def colours() -> tuple[dict[str, list[tuple[str, str, str]]], dict[str, str]]:
    """An inductive split: the colour and the kind of a new thing are in its name."""
    parts: dict[str, list[tuple[str, str, str]]] = {"train": [], "dev": [], "test": []}
    for number, thing in enumerate(THINGS):
        part = {6: "dev", 7: "test"}.get(number, "train")
        for word in WORDS:
            parts[part].append((f"{word}_{thing}", "has colour", word))
            if part == "train":
                parts[part].append((f"{word}_{thing}", "is a", thing))
    names = {end for triples in parts.values() for h, _, t in triples for end in (h, t)}
    return parts, {name: name.replace("_", " ") for name in names}


def folder(path: Path) -> Path:
    parts, texts = colours()
    for part, triples in parts.items():
        text = "".join("\t".join(triple) + "\n" for triple in triples)
        for prefix in ("", "ind-"):
            (path / f"{prefix}{part}.tsv").write_text(text)
    lines = [f"{name}\t{text}\n" for name, text in sorted(texts.items())]
    (path / "entity2text.txt").write_text("".join(lines))
    return path


def data() -> TripleData:
    parts, texts = colours()
    return TripleData.of(parts["train"], dev=parts["dev"], test=parts["test"], texts=texts)


def test_popularity_equals_counting_for_each_question() -> None:
    given = data()
    for part in ("dev", "test"):
        asked = questions(given, "dynamic", part)
        relations = len(given.relations)
        counts = Counter((r, t) for _, r, t in with_inverses(given.train, relations).tolist())
        table = np.array(
            [[counts[r, c] for c in asked.candidates.tolist()] for r in asked.relations.tolist()]
        )
        slow = rank_scores(
            lambda rows, table=table: table[rows],
            targets=asked.targets,
            candidates=len(asked.candidates),
            known=asked.known,
        )
        fast = popularity_ranks(asked, given.train, relations=relations)
        assert fast.optimistic.tolist() == slow.optimistic.tolist()
        assert fast.pessimistic.tolist() == slow.pessimistic.tolist()
        assert fast.among.tolist() == slow.among.tolist()


def test_tfidf_equals_the_usual_library() -> None:
    given = data()
    asked = questions(given, "dynamic")
    trained = given.entities_of(given.train)
    library = TfidfVectorizer(token_pattern=r"\w+", min_df=2, sublinear_tf=True)
    library.fit([given.texts[row] for row in trained])
    matrix = library.transform(given.texts)
    table = (matrix[asked.sources] @ matrix[asked.candidates].T).toarray().round(6)
    slow = rank_scores(
        lambda rows: table[rows],
        targets=asked.targets,
        candidates=len(asked.candidates),
        known=asked.known,
    )
    fast = tfidf_ranks(asked, given.texts, trained)
    # Bounds of ties may differ in the last bits of float32; the mean rank hardly can.
    np.testing.assert_allclose(fast.realistic, slow.realistic, atol=1.0)
    assert fast.mrr() == pytest.approx(slow.mrr(), abs=0.02)


def test_the_answer_holds_all_that_decides_it_and_beats_its_floors(tmp_path: Path) -> None:
    seen: list[int] = []
    answer = link_prediction(
        folder(tmp_path),
        epochs=30,
        dim=32,
        progress=lambda done, total, label: seen.append(total - done),
    )
    assert seen[-1] == 0
    assert {"mrr", "hits_at_1", "hits_at_3", "hits_at_10", "tie_gap"} <= set(answer)
    assert answer["protocol"] == "dynamic"
    assert answer["filter"] == "train + dev + test"
    assert answer["candidates"] == len(data().entities)
    assert answer["questions"] == 10
    assert answer["triples_with_new_entity"] == 5
    assert answer["mrr"] > 1.5 * answer["floors"]["popularity"]["mrr"]
    assert 0 < answer["floors"]["tfidf"]["mrr"] < 1
    assert answer["by_side"]["tail"]["questions"] == 5
    sides = (answer["by_side"]["tail"]["mrr"] + answer["by_side"]["head"]["mrr"]) / 2
    assert answer["mrr"] == pytest.approx(sides, abs=1e-5)
    assert answer["by_target"]["new"]["questions"] == 5
    low, high = (answer["confidence_interval"][end] for end in ("low", "high"))
    assert low <= answer["mrr"] <= high
    assert {"sheaf", "torch", "numpy"} == set(answer["versions"])
    assert set(answer["cpu_seconds"]) == {"training", "encoding_and_ranking", "floors"}
    json.dumps(answer)


def test_a_seed_decides_everything(tmp_path: Path) -> None:
    folder(tmp_path)
    times = {"cpu_seconds", "process_cpu_seconds"}
    answers = [
        {
            k: v
            for k, v in link_prediction(tmp_path, epochs=2, dim=8, seed=seed).items()
            if k not in times
        }
        for seed in (1, 1, 2)
    ]
    assert answers[0] == answers[1]
    assert answers[0]["encoder"]["fingerprint"] != answers[2]["encoder"]["fingerprint"]


def test_dev_and_transductive(tmp_path: Path) -> None:
    folder(tmp_path)
    dev = link_prediction(tmp_path, epochs=1, dim=8, part="dev")
    assert (
        dev["candidates"] == len(data().entities) - 5
    )  # the new entities of the test are not known
    transductive = link_prediction(tmp_path, epochs=1, dim=8, split="transductive")
    assert transductive["protocol"] == "transductive"


def test_text_of_the_test_does_not_reach_the_vocabulary(tmp_path: Path) -> None:
    before = link_prediction(folder(tmp_path), epochs=1, dim=8)
    texts = (tmp_path / "entity2text.txt").read_text()
    (tmp_path / "entity2text.txt").write_text(texts.replace("boat", "boat zebra quagga"))
    after = link_prediction(tmp_path, epochs=1, dim=8)
    assert before["encoder"] == after["encoder"]


def test_wrong_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(QueryShapeError, match="bow"):
        link_prediction(tmp_path, encoder="gpt")  # type: ignore[arg-type]
    with pytest.raises(QueryShapeError, match="threads"):
        link_prediction(folder(tmp_path), threads=0)
