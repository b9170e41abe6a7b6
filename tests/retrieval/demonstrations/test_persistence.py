"""A saved retriever answers as before, and says so when it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval.demonstrations.retriever import DemonstrationRetriever
from retrieval.demonstrations.task import Demo, Task
from retrieval.errors import ModelFileError

FILM = Task("film", "Sentiment:", verbalizer={"0": "bad", "1": "good"})
FREE = Task("free / \u2028 name", "Answer:")
QUERIES = ["a gripping film", "dull\u2028text", "strange"]


def letters(texts: list[str]) -> np.ndarray:
    return np.array([[text.count(chr(97 + at)) for at in range(26)] for text in texts], np.float32)


def shifted(texts: list[str]) -> np.ndarray:
    return letters(texts)[:, ::-1]


def filled(encoder: Any, **options: Any) -> DemonstrationRetriever:
    retriever = DemonstrationRetriever(encoder, **options)
    retriever.add([Demo("x", "to be removed", "1")], task=FILM)
    retriever.add(
        [
            Demo("1", "a gripping film", "1", explanation="why", provenance={"document": "d.txt"}),
            Demo("2", "dull\u2028text\x85\n with lines", "0"),
            Demo("3", "a gripping film", "0"),
        ],
        task=FILM,
    )
    retriever.add([Demo("1", "so?", "yes", other_outputs=("yeah",))], task=FREE)
    retriever.remove(["x"])
    return retriever


@pytest.mark.parametrize(
    ("encoder", "index"),
    [("bm25", "auto"), ("tfidf", "auto"), (letters, "faiss"), (letters, "numpy")],
)
def test_it_answers_and_changes_as_before(encoder: Any, index: str, tmp_path: Path) -> None:
    before = filled(encoder, index=index)
    before.save(tmp_path / "saved")
    after = DemonstrationRetriever.load(
        tmp_path / "saved", encoder=encoder if callable(encoder) else None
    )
    for _ in range(2):
        for task in (FILM, FREE, None):
            expected = before.retrieve(QUERIES, task=task, k=3)
            assert after.retrieve(QUERIES, task=task, k=3) == expected
        for retriever in (before, after):  # also once they are changed alike
            retriever.remove(["1"], task=FILM)
            retriever.add([Demo("4", "strange", "1")], task=FILM)
    assert after.tasks == before.tasks


def test_nothing_on_disk_is_a_pickle(tmp_path: Path) -> None:
    filled(letters, index="numpy").save(tmp_path / "saved")
    names = {file.name for file in (tmp_path / "saved").iterdir()}
    assert names == {
        "retriever.json", "demos.jsonl", "pool-0.index", "pool-0.index.json",
        "pool-1.index", "pool-1.index.json",
    }  # fmt: skip
    for file in (tmp_path / "saved").iterdir():
        assert not file.read_bytes().startswith(b"\x80")


def test_a_model_travels_with_the_pools(tmp_path: Path) -> None:
    transformers = pytest.importorskip("sentence_transformers")
    from sentence_transformers.sentence_transformer.modules import BoW

    model = transformers.SentenceTransformer(
        modules=[BoW(vocab=["gripping", "dull", "film", "helping"])], similarity_fn_name="dot"
    )
    before = filled(model)
    before.save(tmp_path / "saved")
    after = DemonstrationRetriever.load(tmp_path / "saved")
    expected = before.retrieve(QUERIES, task=FILM)
    assert after.retrieve(QUERIES, task=FILM) == expected
    # The folder inside is one that sentence-transformers itself reads.
    again = transformers.SentenceTransformer(str(tmp_path / "saved" / "encoder"))
    assert again.similarity_fn_name == "dot"
    by_folder = filled(tmp_path / "saved" / "encoder")
    by_folder.save(tmp_path / "second")
    assert DemonstrationRetriever.load(tmp_path / "second").retrieve(QUERIES, task=FILM) == expected


def test_a_newer_version_takes_the_place_of_the_older_one(tmp_path: Path) -> None:
    retriever = filled("bm25")
    retriever.save(tmp_path / "saved")
    retriever.remove(["1"])
    retriever.save(tmp_path / "saved")
    assert len(DemonstrationRetriever.load(tmp_path / "saved")) == len(retriever)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_something_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("words")
    with pytest.raises(ModelFileError, match="holds no retriever"):
        filled("bm25").save(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "words"


def test_a_function_is_asked_for_and_checked(tmp_path: Path) -> None:
    filled(letters).save(tmp_path / "saved")
    with pytest.raises(ModelFileError, match="give it as encoder="):
        DemonstrationRetriever.load(tmp_path / "saved")
    with pytest.raises(ModelFileError, match="does not encode as it did"):
        DemonstrationRetriever.load(tmp_path / "saved", encoder=shifted)


@pytest.mark.parametrize("name", ["retriever.json", "demos.jsonl", "pool-0.index"])
@pytest.mark.parametrize("damage", ["gone", "cut", "foreign"])
def test_damage_is_named(name: str, damage: str, tmp_path: Path) -> None:
    filled(letters, index="numpy").save(tmp_path / "saved")
    file = tmp_path / "saved" / name
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-20])
    else:
        file.write_text(json.dumps({"format": 99}))
    with pytest.raises(ModelFileError, match="saved"):
        DemonstrationRetriever.load(tmp_path / "saved", encoder=letters)
