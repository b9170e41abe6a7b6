"""The real langchain-core and dspy call the adapters; OpenICL's shape is checked as it is used."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from retrieval.demonstrations.retriever import DemonstrationRetriever
from retrieval.demonstrations.task import Demo, Task
from retrieval.errors import QueryShapeError

TASK = Task(
    "mr",
    "Sentiment of the sentence:",
    [Demo("1", "a dull film", "bad"), Demo("2", "a gripping film", "good")],
    labels=("good", "bad"),
)


def letters(texts: list[str]) -> np.ndarray:
    """An encoder for tests: how often each letter stands in a text."""
    return np.array([[text.lower().count(chr(97 + at)) for at in range(26)] for text in texts])


@pytest.fixture
def retriever() -> DemonstrationRetriever:
    made = DemonstrationRetriever("bm25")
    made.add(TASK.demos, task=TASK)
    return made


class TestLangChain:
    prompts = pytest.importorskip("langchain_core.prompts")

    def test_a_few_shot_prompt_has_the_best_example_next_to_the_query(
        self, retriever: DemonstrationRetriever
    ) -> None:
        prompt = self.prompts.FewShotPromptTemplate(
            example_selector=retriever.as_langchain(TASK, k=2),
            example_prompt=self.prompts.PromptTemplate.from_template("{input} => {output}"),
            suffix="{input} =>",
            input_variables=["input"],
            example_separator="\n",
        )
        assert prompt.format(input="so gripping") == (
            "a dull film => bad\na gripping film => good\nso gripping =>"
        )

    def test_added_examples_are_found_and_the_same_one_is_kept_once(
        self, retriever: DemonstrationRetriever
    ) -> None:
        selector = retriever.as_langchain(TASK, k=1, input_key="question", output_key="answer")
        added = {"question": "weather report", "answer": "bad"}
        first = selector.add_example(added)
        assert asyncio.run(selector.aadd_example(added)) == first
        assert len(retriever) == 3
        (found,) = selector.select_examples({"question": "weather"})
        assert found["id"] == first
        assert found["answer"] == "bad"
        assert found["score"] > 0

    def test_a_missing_variable_is_named(self, retriever: DemonstrationRetriever) -> None:
        selector = retriever.as_langchain(TASK)
        with pytest.raises(QueryShapeError, match="input_key"):
            selector.select_examples({"question": "x"})
        with pytest.raises(QueryShapeError, match="'output'"):
            selector.add_example({"input": "x"})


class TestDSPy:
    dspy = pytest.importorskip("dspy")

    def test_retrieve_asks_it_for_passages(self, retriever: DemonstrationRetriever) -> None:
        with self.dspy.context(rm=retriever.as_dspy(TASK)):
            found = self.dspy.Retrieve(k=1)("gripping")
        assert found.passages == ["a gripping film\tgood"]

    def test_examples_are_demos_of_a_prediction(self, retriever: DemonstrationRetriever) -> None:
        examples = retriever.as_dspy(TASK, k=2)("gripping")
        predict = self.dspy.Predict("input -> output")
        predict.demos = examples
        messages = self.dspy.ChatAdapter().format(
            predict.signature, predict.demos, {"input": "so gripping"}
        )
        assert [m["role"] for m in messages] == [
            "system", "user", "assistant", "user", "assistant", "user",
        ]  # fmt: skip
        assert "a gripping film" in messages[1]["content"]
        assert "good" in messages[2]["content"]
        assert set(examples[0].inputs().toDict()) == {"input"}

    def test_knn_embeds_with_the_instruction(self) -> None:
        seen: list[str] = []

        def encode(texts: list[str]) -> np.ndarray:
            seen.extend(texts)
            return letters(texts)

        dense = DemonstrationRetriever(encode, index="numpy")
        dense.add(TASK.demos, task=TASK)
        adapter = dense.as_dspy(TASK, k=2)
        seen.clear()
        knn = self.dspy.KNN(1, adapter("a"), self.dspy.Embedder(adapter.embed, caching=False))
        assert len(knn(input="zzz")) == 1
        assert all(text.startswith("Sentiment of the sentence: ") for text in seen)

    def test_an_embedder_is_an_encoder(self) -> None:
        embedder = self.dspy.Embedder(letters, caching=False)
        dense = DemonstrationRetriever(embedder, index="numpy")
        dense.add(TASK.demos, task=TASK)
        assert dense.retrieve("gripping", task=TASK, k=1)[0].id == "2"

    def test_words_have_no_vectors(self, retriever: DemonstrationRetriever) -> None:
        with pytest.raises(QueryShapeError, match="no vectors"):
            retriever.as_dspy(TASK).embed(["x"])


class TestOpenICL:
    def test_rows_are_those_of_its_index_best_last(self, retriever: DemonstrationRetriever) -> None:
        shape = retriever.as_openicl(TASK, ["so gripping", "so dull"], ice_num=2)
        rows = shape.retrieve()
        assert rows == [[0, 1], [1, 0]]
        assert [shape.index_ds[at]["id"] for at in rows[0]] == ["1", "2"]
        assert shape.test_ds[0] == {"input": "so gripping"}

    def test_an_item_of_the_pool_is_not_its_own_example(
        self, retriever: DemonstrationRetriever
    ) -> None:
        shape = retriever.as_openicl(TASK, retriever.pool(TASK), ice_num=1)
        assert shape.retrieve() == [[1], [0]]
