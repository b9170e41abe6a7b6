"""Figures of a small data folder, and floors against slow twins."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from retrieval.answer_reranker import RerankerOptions
from retrieval.entity_training.presets import Preset
from retrieval.entity_training.recipe import preset_named, train_model
from retrieval.errors import ModelFileError, QueryShapeError
from retrieval.evaluations import evaluate, link_prediction
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


def bow(*, steps: int = 4, dim: int = 8, seed: int = 0) -> Preset:
    return preset_named("bow-infonce", steps=steps, dim=dim, seed=seed)


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
        preset=bow(steps=60, dim=32),
        progress=lambda done, total, label: seen.append(total - done),
    )
    assert seen == list(range(59, seen[-1] - 1, -1))  # may stop early, never skips a step
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
    assert set(answer["cpu_seconds"]) == {"training", "encoding", "ranking", "floors"}
    assert answer["by_relation"]["has colour"]["questions"] == 10
    json.dumps(answer)


def test_a_seed_decides_everything(tmp_path: Path) -> None:
    folder(tmp_path)
    times = {"cpu_seconds", "process_cpu_seconds"}
    answers = [
        {
            k: v
            for k, v in link_prediction(tmp_path, preset=bow(seed=seed)).items()
            if k not in times
        }
        for seed in (1, 1, 2)
    ]
    for answer in answers:
        answer["model"].pop("training")  # has processor times
    assert answers[0] == answers[1]
    assert answers[0]["model"]["fingerprint"] != answers[2]["model"]["fingerprint"]


def test_dev_and_transductive(tmp_path: Path) -> None:
    folder(tmp_path)
    dev = link_prediction(tmp_path, preset=bow(), part="dev")
    assert (
        dev["candidates"] == len(data().entities) - 5
    )  # the new entities of the test are not known
    transductive = link_prediction(tmp_path, preset=bow(), split="transductive")
    assert transductive["protocol"] == "transductive"


def test_text_of_the_test_does_not_reach_the_vocabulary(tmp_path: Path) -> None:
    before = link_prediction(folder(tmp_path), preset=bow())
    texts = (tmp_path / "entity2text.txt").read_text()
    (tmp_path / "entity2text.txt").write_text(texts.replace("boat", "boat zebra quagga"))
    after = link_prediction(tmp_path, preset=bow())
    assert before["model"]["fingerprint"] == after["model"]["fingerprint"]


def test_a_saved_model_is_evaluated_as_it_was(tmp_path: Path) -> None:
    data_folder, out = folder(tmp_path), tmp_path / "model"
    trained = link_prediction(data_folder, preset=bow(), out=out)
    loaded = link_prediction(data_folder, model=out)
    assert {key: loaded[key] for key in ("mrr", "by_relation", "floors")} == {
        key: trained[key] for key in ("mrr", "by_relation", "floors")
    }
    assert loaded["model"]["fingerprint"] == trained["model"]["fingerprint"]
    assert loaded["cpu_seconds"]["training"] < 1


def test_the_first_answers_can_be_re_ordered(tmp_path: Path) -> None:
    data_folder, out = folder(tmp_path), tmp_path / "model"
    options = RerankerOptions(depth=4, questions=8, negatives=2, dev_questions=4)
    first = link_prediction(
        data_folder, preset=bow(), out=out, rerank=options, reranked_questions=6
    )["reranked"]
    assert first["questions"] == first["before"]["questions"] == 6
    assert first["training"]["steps"] == 1
    again = link_prediction(data_folder, model=out, rerank=options, reranked_questions=6)
    assert again["reranked"] == first | {"training": {}}


def test_a_model_answers_data_whose_relations_stand_in_another_order(tmp_path: Path) -> None:
    given = data()
    model, _ = train_model(given, bow(steps=40))
    turned = replace(given, relations=given.relations[::-1])
    for part in ("train", "dev", "test"):
        triples = getattr(given, part).copy()
        triples[:, 1] = len(given.relations) - 1 - triples[:, 1]
        turned = replace(turned, **{part: triples})
    before = evaluate(model, given, questions(given, "dynamic"))
    after = evaluate(model, turned, questions(turned, "dynamic"))
    assert before["by_relation"] == after["by_relation"]


def test_wrong_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(QueryShapeError, match="either a preset"):
        link_prediction(tmp_path)
    with pytest.raises(QueryShapeError, match="minilm-frozen"):
        preset_named("gpt")  # type: ignore[arg-type]
    with pytest.raises(QueryShapeError, match="'epochs'"):
        preset_named("minilm", epochs=3)
    with pytest.raises(QueryShapeError, match="threads"):
        link_prediction(folder(tmp_path), preset=bow(), threads=0)
    with pytest.raises(ModelFileError, match="eval link-prediction --out"):
        link_prediction(folder(tmp_path), model=tmp_path)
    model, _ = train_model(data(), bow())
    other = replace(data(), relations=("is a", "has shape"))
    with pytest.raises(QueryShapeError, match="'has shape'"):
        evaluate(model, other, questions(other, "dynamic"))
