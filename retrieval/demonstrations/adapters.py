"""The retriever in the shapes that other tools call: LangChain, DSPy, OpenICL.

| tool | shape |
|---|---|
| LangChain | a `BaseExampleSelector`: `select_examples(inputs)`, `add_example(example)` |
| DSPy | a callable `(query, k) → [dspy.Example]`, for `dspy.configure(rm=…)` and `demos` |
| DSPy | `embed(texts)`, for `dspy.Embedder` and with it `dspy.KNN` |
| OpenICL | `index_ds`, `test_ds`, `ice_num`, and `retrieve()` → rows of `index_ds` per test item |

Each is thin: search, exclusion, balance and budget are those of `retrieve`, whose options are taken
as they are. A tool is imported when its adapter is made. OpenICL's shape needs no import, since its
inferencers only call the methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from retrieval.demonstrations.retriever import DemonstrationRetriever
from retrieval.demonstrations.spaces import DenseSpace
from retrieval.demonstrations.task import Demo, Task
from retrieval.demonstrations.template import Order, arranged
from retrieval.errors import QueryShapeError
from retrieval.ranking import Vectors

__all__ = ["DSPyRetriever", "OpenICLRetriever", "langchain_selector"]


def langchain_selector(
    retriever: DemonstrationRetriever,
    task: Task,
    *,
    k: int = 8,
    input_key: str = "input",
    output_key: str = "output",
    order: Order = "ascending",
    **options: Any,
) -> Any:
    """Return a LangChain example selector over one task's pool.

    Selected examples are dictionaries with `input_key`, `output_key`, "id" and "score". An added
    example gets the id in its "id", or one made of its text, so adding it twice keeps one.
    """
    from langchain_core.example_selectors.base import BaseExampleSelector

    class Selector(BaseExampleSelector):
        """Demonstrations for `FewShotPromptTemplate(example_selector=…)`."""

        def add_example(self, example: dict[str, str]) -> str:
            """Add an example to the pool and return its id."""
            missing = [key for key in (input_key, output_key) if key not in example]
            if missing:
                raise QueryShapeError(f"the example lacks {missing[0]!r}; it has {list(example)}")
            text = f"{example[input_key]}\t{example[output_key]}"
            id = example.get("id") or blake2b(text.encode(), digest_size=8).hexdigest()
            demo = Demo(id, example[input_key], example[output_key])
            retriever.add([demo], task=task)
            return id

        def select_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
            """Return the examples for an input, the best one last (see `order`)."""
            if input_key not in input_variables:
                raise QueryShapeError(
                    f"no variable {input_key!r} among {list(input_variables)}; name the one to "
                    "search by as input_key="
                )
            hits = retriever.retrieve(input_variables[input_key], task=task, k=k, **options)
            return [
                {input_key: hit.input, output_key: hit.output, "id": hit.id, "score": hit.score}
                for hit in arranged(hits, order)
            ]

    return Selector()


class DSPyRetriever:
    """What DSPy calls a retriever model: a query in, examples out, best first.

    Examples have `input` and `output`, "input" marked as the input; `long_text` is both, as
    `dspy.Retrieve` reads it.
    """

    def __init__(
        self, retriever: DemonstrationRetriever, task: Task, *, k: int = 8, **options: Any
    ) -> None:
        import dspy

        self._example = dspy.Example
        self.retriever, self.task, self.k, self.options = retriever, task, k, options

    def __call__(self, query: str, k: int | None = None) -> list[Any]:
        """Return `dspy.Example`s."""
        hits = self.retriever.retrieve(query, task=self.task, k=k or self.k, **self.options)
        return [
            self._example(
                input=hit.input,
                output=hit.output,
                long_text=f"{hit.input}\t{hit.output}",
                id=hit.id,
                score=hit.score,
            ).with_inputs("input")
            for hit in hits
        ]

    def embed(self, texts: list[str]) -> Vectors:
        """Return the vectors [n, dim] of texts as queries of the task.

        Raises:
            QueryShapeError: the retriever is lexical and has none.
        """
        space = self.retriever.space
        if not isinstance(space, DenseSpace):
            raise QueryShapeError("a lexical retriever has no vectors; use one with an encoder")
        return space.encoded_queries(texts, self.task.instruction)


class OpenICLRetriever:
    """OpenICL's retriever over a fixed test set.

    Args:
        retriever: holds the task's pool as it is now.
        task: whose pool.
        test: inputs, or demonstrations whose own text or id must not be retrieved.
        ice_num: in-context examples per test item.
        options: of `DemonstrationRetriever.retrieve`.

    >>> task = Task("mr", "Sentiment:", [Demo("1", "dull", "bad"), Demo("2", "fine", "good")])
    >>> retriever = DemonstrationRetriever("bm25")
    >>> _ = retriever.add(task.demos, task=task)
    >>> OpenICLRetriever(retriever, task, ["a fine film"], ice_num=1).retrieve()
    [[1]]
    """

    def __init__(
        self,
        retriever: DemonstrationRetriever,
        task: Task,
        test: Sequence[str | Demo],
        *,
        ice_num: int = 8,
        **options: Any,
    ) -> None:
        self.retriever, self.task, self.ice_num, self.options = retriever, task, ice_num, options
        pool = retriever.pool(task)
        #: The pool and the test as rows, in OpenICL's manner.
        self.index_ds = [_row(demo) for demo in pool]
        self.test_ds = [_row(item) for item in test]
        self._place = {demo.id: at for at, demo in enumerate(pool)}
        self._barred = [item if isinstance(item, Demo) else None for item in test]

    def retrieve(self) -> list[list[int]]:
        """Return for each test item rows of `index_ds`, the best one last, as its prompts are."""
        hits = self.retriever.retrieve(
            [row["input"] for row in self.test_ds],
            task=self.task,
            k=self.ice_num,
            exclude_ids=self._barred,
            **self.options,
        )
        return [[self._place[hit.id] for hit in arranged(found)] for found in hits]


def _row(item: str | Demo) -> Mapping[str, str]:
    if isinstance(item, str):
        return {"input": item}
    return {"id": item.id, "input": item.input, "output": item.output}
