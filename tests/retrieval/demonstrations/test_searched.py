"""Explanations as fields that are searched and shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrieval.demonstrations import persistence
from retrieval.demonstrations.retriever import DemonstrationRetriever
from retrieval.demonstrations.task import Demo, Task
from retrieval.demonstrations.template import PromptTemplate
from retrieval.errors import QueryShapeError

DEMOS = [
    Demo("1", "SUBJ of OBJ", "is part of", explanation="a wheel belongs to its car"),
    Demo("2", "the wheel of a car", "no relation", explanation="no masks are named"),
]
TASK = Task("re", "Relation:", DEMOS)


def letters(texts: list[str]) -> np.ndarray:
    return np.array(
        [[text.count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for text in texts], float
    )


@pytest.mark.parametrize("encoder", ["bm25", "tfidf", letters])
@pytest.mark.parametrize(
    ("searched", "query", "first"),
    [
        ("input", "wheel car", "2"),
        ("explanation", "wheel belongs car", "1"),
        ("explanation", "masks named", "2"),
        ("both", "SUBJ of OBJ a wheel belongs to its car", "1"),
    ],
)
def test_the_searched_field_decides(encoder: object, searched: str, query: str, first: str) -> None:
    retriever = DemonstrationRetriever(encoder, searched=searched)  # type: ignore[arg-type]
    retriever.add(TASK.demos, task=TASK)
    hits = retriever.retrieve(query, task=TASK, k=2)
    assert hits[0].id == first
    assert {hit.id: hit.input for hit in hits} == {demo.id: demo.input for demo in DEMOS}
    assert len(retriever.retrieve(query, task=TASK, k=2, diversify="mmr")) == 2


@pytest.mark.parametrize("encoder", ["bm25", letters])
def test_what_is_searched_is_saved(encoder: object, tmp_path: Path) -> None:
    retriever = DemonstrationRetriever(encoder, searched="explanation")  # type: ignore[arg-type]
    retriever.add(TASK.demos, task=TASK)
    persistence.save(retriever, tmp_path / "r")
    given = None if encoder == "bm25" else letters
    again = persistence.load(tmp_path / "r", encoder=given)
    assert again.searched == "explanation"
    for query in ("wheel belongs car", "masks named"):
        assert again.retrieve(query, task=TASK) == retriever.retrieve(query, task=TASK)


def test_what_cannot_be_searched_is_refused() -> None:
    retriever = DemonstrationRetriever("bm25", searched="explanation")
    with pytest.raises(QueryShapeError, match=r"the demonstration '3' has no explanation"):
        retriever.add([Demo("3", "x", "y")], task=TASK)
    assert len(retriever) == 0
    both = DemonstrationRetriever("bm25", searched="both")
    assert both.add([Demo("3", "x", "y")], task=TASK) == 1
    with pytest.raises(QueryShapeError, match="unknown searched='answer'"):
        DemonstrationRetriever("bm25", searched="answer")  # type: ignore[arg-type]


def test_a_prompt_may_show_explanations() -> None:
    template = PromptTemplate(demo="{input} | {explanation} | {output}\n")
    assert template.prompt("q", DEMOS[:1]) == (
        "SUBJ of OBJ | a wheel belongs to its car | is part of\nq\t"
    )
    braces = Demo("4", "{output}", "{input}", explanation="{explanation}")
    assert template.demonstration(braces) == "{output} | {explanation} | {input}\n"
