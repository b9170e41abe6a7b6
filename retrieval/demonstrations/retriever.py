"""One retriever of demonstrations for every task: add, remove, retrieve, build the prompt, save.

```python
retriever = DemonstrationRetriever("minilm")
retriever.add(task.demos, task=task)
hits = retriever.retrieve("a gripping film", task=task, k=8)
prompt = retriever.prompt("a gripping film", hits)
```

| encoder | what it is |
|---|---|
| "bm25", "tfidf" | words; needs NumPy alone |
| "minilm" | the installed all-MiniLM-L6-v2 |
| a folder, a `SentenceTransformer` | any encoder, trained ones included |
| a function | texts → vectors |

All hits carry id, score, rank and provenance. Retrieving from the same split that the query is from
needs `exclude_ids` or `exclude_text` (see `leakage`).
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, overload

import numpy as np

from retrieval.demonstrations.leakage import Barred, LeakageGuard
from retrieval.demonstrations.lexical import words
from retrieval.demonstrations.searched import Searched, as_searched
from retrieval.demonstrations.selection import (
    balanced,
    ceil_kernel,
    greedy_dpp,
    mmr,
    within_budget,
)
from retrieval.demonstrations.spaces import (
    DenseSpace,
    Encode,
    Encoded,
    Encoder,
    Engine,
    Found,
    joined,
    space_of,
)
from retrieval.demonstrations.task import Demo, Task
from retrieval.demonstrations.template import Order, PromptTemplate, arranged
from retrieval.errors import QueryShapeError
from retrieval.ranking import Vectors

if TYPE_CHECKING:
    from retrieval.demonstrations.adapters import DSPyRetriever, OpenICLRetriever

__all__ = ["DemonstrationRetriever", "Snapshot"]

#: Candidates that diversity and token budget choose from, beyond which relevance is lost.
CANDIDATES: Final = 50


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The pools of a retriever."""

    #: Without their `demos`.
    tasks: tuple[Task, ...]
    #: Key → demonstration, keys ascending in each task.
    demos: dict[int, Demo]
    next_key: int

    def numbered(self) -> dict[int, str]:
        """Return the names of the pools that hold anything, under their place among the tasks."""
        filled = {demo.task for demo in self.demos.values()}
        return {at: task.name for at, task in enumerate(self.tasks) if task.name in filled}


class DemonstrationRetriever:
    r"""Finds the solved examples that help with an input.

    Args:
        encoder: see the table above.
        index: how vectors are searched ("faiss", "numpy", "auto"); of no meaning for words.
        searched: what of a demonstration is compared with a query: its "input", its "explanation",
            or "both".
        count_tokens: how many tokens of the language model a text has, for `max_tokens`; words and
            punctuation marks if not given, which a subword model exceeds by about a third.

    Safe to use from several threads: encoding runs beside everything, changes and searches one
    after the other.

    >>> from retrieval.demonstrations.task import Demo, Task
    >>> task = Task("mr", "Sentiment of the sentence:", labels=("great", "terrible"))
    >>> retriever = DemonstrationRetriever("bm25")
    >>> retriever.add([Demo("1", "a dull film", "terrible"), Demo("2", "gripping", "great")],
    ...               task=task)
    2
    >>> hits = retriever.retrieve("truly gripping", task=task, k=1)
    >>> hits[0].id, hits[0].output, hits[0].rank
    ('2', 'great', 1)
    >>> retriever.prompt("truly gripping", hits)
    'gripping\tgreat\ntruly gripping\t'
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        index: Engine = "auto",
        searched: Searched = "input",
        count_tokens: Callable[[str], int] | None = None,
    ) -> None:
        as_searched((), searched)
        self.encoder = encoder
        self.searched: Searched = searched
        self.count_tokens = count_tokens or (lambda text: len(words(text)))
        self.space = space_of(encoder, index)
        self._tasks: dict[str, Task] = {}
        self._demos: dict[int, Demo] = {}
        self._keys: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._guard = LeakageGuard()
        self._next = 0
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._demos)

    @property
    def tasks(self) -> dict[str, Task]:
        """The tasks that have a pool, by name; their `demos` are left out (see `pool`)."""
        return dict(self._tasks)

    def pool(self, task: Task | str) -> tuple[Demo, ...]:
        """Return the demonstrations of a task in the order in which they came."""
        with self._lock:
            return tuple(self._demos[key] for key in self._keys[self._known(task)].values())

    def vectors(self, ids: Sequence[str], *, task: Task | str) -> Vectors:
        """Return the stored vectors [n, dim] of a task's demonstrations, for a second stage.

        Raises:
            QueryShapeError: a retriever of words, an unknown task, or an id that its pool lacks.
        """
        if not isinstance(self.space, DenseSpace):
            raise QueryShapeError("a retriever of words holds no vectors; give it an encoder")
        with self._lock:
            name = self._known(task)
            unknown = [id for id in ids if id not in self._keys[name]]
            if unknown:
                raise QueryShapeError(f"the pool {name!r} has no demonstration {unknown[0]!r}")
            return self.space.vectors(name, [self._keys[name][id] for id in ids])

    def add(self, demos: Iterable[Demo], *, task: Task) -> int:
        """Add demonstrations to a task's pool and return how many came; known ids are replaced.

        Raises:
            QueryShapeError: an id twice, an output that is no label of the task, or a task of this
                name with another instruction or other labels.
        """
        demos = task.verbalized(demos)
        if len({demo.id for demo in demos}) != len(demos):
            raise QueryShapeError(f"task {task.name!r}: an id comes twice; give each demo its own")
        bare = replace(task, demos=())
        if self._tasks.get(task.name, bare) != bare:
            raise QueryShapeError(
                f"the pool {task.name!r} was made with another instruction or other labels; give "
                "the task a name of its own"
            )
        encoded = self._encoded(demos, task.instruction) if demos else ()
        with self._lock:
            self._tasks.setdefault(task.name, bare)
            self._put(task.name, demos, encoded)
        return len(demos)

    def remove(self, ids: Iterable[str], *, task: Task | str | None = None) -> int:
        """Remove demonstrations by id, of one task or of all, and return how many were there."""
        wanted = list(dict.fromkeys(ids))
        with self._lock:
            names = list(self._tasks) if task is None else [self._known(task)]
            removed = 0
            for name in names:
                own = self._keys[name]
                gone = {id: own[id] for id in wanted if id in own}
                for id in gone:
                    del own[id]
                if gone:
                    self._guard.remove({key: self._demos.pop(key) for key in gone.values()})
                    self.space.remove(name, list(gone.values()))
                removed += len(gone)
            return removed

    @overload
    def retrieve(
        self,
        queries: str,
        *,
        task: Task | str | None,
        k: int = ...,
        exclude_ids: Sequence[Barred] | Barred = ...,
        exclude_text: bool = ...,
        diversify: Literal["mmr", "dpp"] | None = ...,
        balance: Literal["label"] | None = ...,
        max_tokens: int | None = ...,
        instruction: str = ...,
        template: PromptTemplate | None = ...,
    ) -> list[Demo]: ...

    @overload
    def retrieve(
        self,
        queries: list[str] | tuple[str, ...],
        *,
        task: Task | str | None,
        k: int = ...,
        exclude_ids: Sequence[Barred] | Barred = ...,
        exclude_text: bool = ...,
        diversify: Literal["mmr", "dpp"] | None = ...,
        balance: Literal["label"] | None = ...,
        max_tokens: int | None = ...,
        instruction: str = ...,
        template: PromptTemplate | None = ...,
    ) -> list[list[Demo]]: ...

    def retrieve(
        self,
        queries: str | list[str] | tuple[str, ...],
        *,
        task: Task | str | None,
        k: int = 8,
        exclude_ids: Sequence[Barred] | Barred = None,
        exclude_text: bool = False,
        diversify: Literal["mmr", "dpp"] | None = None,
        balance: Literal["label"] | None = None,
        max_tokens: int | None = None,
        instruction: str = "",
        template: PromptTemplate | None = None,
    ) -> list[Demo] | list[list[Demo]]:
        """Return the best demonstrations of each query, best first.

        Args:
            queries: one input, or several; the answer has the same shape.
            task: whose pool to search; None searches all pools as one. A `Task` also says the
                instruction, which may differ from the pool's.
            k: demonstrations per query; fewer if the pool or the budget is smaller.
            exclude_ids: for each query what it must not get: an id (of every task, if several
                pools are searched), a `Demo`, or several. For a single query, its own entry.
            exclude_text: leave out demonstrations with the query's own text (`text_key`).
            diversify: choose from the 50 best by "mmr" or by "dpp"; hits keep their scores, and
                their order is that of relevance.
            balance: "label" takes labels in turn, best first.
            max_tokens: of all demonstrations together, as `template` writes them.
            instruction: put in front of the queries if `task` is None.
            template: of the prompt; decides only how long a demonstration is.

        Raises:
            QueryShapeError: an unknown task or option, `k` below 1, or `exclude_ids` of another
                length than the queries.
        """
        if k < 1:
            raise QueryShapeError(f"k is {k}; ask for 1 demonstration or more")
        if diversify not in (None, "mmr", "dpp") or balance not in (None, "label"):
            raise QueryShapeError(
                f"{diversify=}, {balance=}: diversify takes mmr or dpp, balance takes label"
            )
        if diversify and balance:
            raise QueryShapeError("diversify and balance exclude each other; choose one")
        single = isinstance(queries, str)
        inputs = [queries] if isinstance(queries, str) else list(queries)
        form = template or PromptTemplate()
        entries: Any = [exclude_ids] if single and exclude_ids is not None else exclude_ids
        if isinstance(task, Task):
            instruction = task.instruction
        elif task is not None:
            instruction = self._tasks[self._known(task)].instruction
        with self._lock:
            pools = list(self._tasks) if task is None else [self._known(task)]
            pools = [pool for pool in pools if self._keys[pool]]
        if not inputs or not pools:
            nothing: list[list[Demo]] = [[] for _ in inputs]
            return [] if single else nothing
        queried = self.space.encoded_queries(inputs, instruction)
        with self._lock:
            barred = self._guard.barred(inputs, exclude_ids=entries, exclude_text=exclude_text)
            wide = k if not diversify and max_tokens is None else max(CANDIDATES, k)
            depth = wide + max(map(len, barred))
            search = self._search_labels if balance else self.space.search
            found = [
                [pair for pair in zip(*row, strict=True) if pair[0] not in own]
                for row, own in zip(search(queried, pools=pools, k=depth), barred, strict=True)
            ]
            answer = []
            for pairs in found:
                order = self._preferred(pairs, k, diversify, balance)
                if max_tokens is not None:
                    texts = [form.demonstration(self._demos[pairs[at][0]]) for at in order]
                    fitting = within_budget(list(map(self.count_tokens, texts)), max_tokens)
                    order = [order[place] for place in fitting]
                chosen = [pairs[at] for at in sorted(order[:k])]
                answer.append(
                    [
                        replace(self._demos[key], score=score, rank=rank)
                        for rank, (key, score) in enumerate(chosen, start=1)
                    ]
                )
        return answer[0] if single else answer

    def scores(self, queries: Sequence[str], *, task: Task | str) -> Vectors:
        """Return the scores [queries, pool] of a whole pool, in the order of `pool(task)`."""
        name = self._known(task)
        asks = task.instruction if isinstance(task, Task) else self._tasks[name].instruction
        encoded = self.space.encoded_queries(queries, asks)
        with self._lock:
            keys = list(self._keys[name].values())
            if not keys or not len(queries):
                return np.zeros((len(queries), len(keys)), np.float32)
            return self.space.scores(encoded, name, keys)

    def prompt(
        self,
        query: str,
        hits: Sequence[Demo],
        *,
        order: Order = "ascending",
        template: PromptTemplate | None = None,
    ) -> str:
        """Return the prompt; "ascending" puts the best demonstration next to the query."""
        return (template or PromptTemplate()).prompt(query, arranged(hits, order))

    def as_langchain(self, task: Task, **options: Any) -> Any:
        """Return a LangChain example selector; options of `adapters.langchain_selector`."""
        from retrieval.demonstrations.adapters import langchain_selector

        return langchain_selector(self, task, **options)

    def as_dspy(self, task: Task, **options: Any) -> DSPyRetriever:
        """Return a DSPy retriever and embedder; options of `adapters.DSPyRetriever`."""
        from retrieval.demonstrations.adapters import DSPyRetriever

        return DSPyRetriever(self, task, **options)

    def as_openicl(
        self, task: Task, test: Sequence[str | Demo], **options: Any
    ) -> OpenICLRetriever:
        """Return an OpenICL retriever; options of `adapters.OpenICLRetriever`."""
        from retrieval.demonstrations.adapters import OpenICLRetriever

        return OpenICLRetriever(self, task, test, **options)

    def save(self, path: Path | str) -> None:
        """Write a folder that `load` reads; see `persistence`.

        Raises:
            ModelFileError: if something else is at `path`.
        """
        from retrieval.demonstrations import persistence

        persistence.save(self, Path(path))

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        encoder: Encode | None = None,
        count_tokens: Callable[[str], int] | None = None,
    ) -> DemonstrationRetriever:
        """Return the retriever that `save` wrote; a function is given again as `encoder`.

        Raises:
            ModelFileError: a file is missing or damaged, or the encoder is another one.
        """
        from retrieval.demonstrations import persistence

        return persistence.load(Path(path), encoder=encoder, count_tokens=count_tokens)

    def snapshot(self) -> Snapshot:
        """Return all that a copy of this retriever needs beside its encoder."""
        with self._lock:
            return Snapshot(tuple(self._tasks.values()), dict(self._demos), self._next)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let no other thread change or search the pools meanwhile."""
        with self._lock:
            yield

    def restore(self, snapshot: Snapshot, *, files: Path | None = None) -> None:
        """Take over pools; vectors are read from the folder `files`, or encoded if not given.

        Raises:
            QueryShapeError: this retriever holds demonstrations already.
        """
        if len(self) or self._next:
            raise QueryShapeError("only a new retriever can take over the pools of another")
        with self._lock:
            self._tasks = {task.name: task for task in snapshot.tasks}
            self._demos = dict(snapshot.demos)
            self._next = snapshot.next_key
            self._guard.add(self._demos)
            for key, demo in self._demos.items():
                self._keys[demo.task][demo.id] = key
            if files is not None and isinstance(self.space, DenseSpace):
                self.space.load(files, snapshot.numbered())
                return
            for name, task in self._tasks.items():
                keys = list(self._keys[name].values())
                demos = [self._demos[key] for key in keys]
                if demos:
                    encoded = self._encoded(demos, task.instruction)
                    self.space.add(name, keys, encoded)

    def _encoded(self, demos: Sequence[Demo], instruction: str) -> Encoded:
        return self.space.encoded_demos(as_searched(demos, self.searched), instruction)

    def _known(self, task: Task | str) -> str:
        name = task if isinstance(task, str) else task.name
        if name not in self._tasks:
            raise QueryShapeError(
                f"no pool of a task {name!r}; add demonstrations to it first "
                f"(there are: {', '.join(self._tasks) or 'none'})"
            )
        return name

    def _put(self, name: str, demos: Sequence[Demo], encoded: Encoded) -> None:
        self.remove([demo.id for demo in demos], task=name)
        keys = range(self._next, self._next + len(demos))
        self._next += len(demos)
        if demos:
            self.space.add(name, list(keys), encoded)
        held = dict(zip(keys, demos, strict=True))
        self._demos.update(held)
        self._guard.add(held)
        self._keys[name].update((demo.id, key) for key, demo in held.items())

    def _search_labels(self, queries: Encoded, *, pools: Sequence[str], k: int) -> list[Found]:
        """Return the best `k` of each label together, best first."""
        by_label: defaultdict[str, list[int]] = defaultdict(list)
        for pool in pools:
            for key in self._keys[pool].values():
                by_label[self._demos[key].output].append(key)
        found = [
            self.space.search(queries, pools=pools, k=k, allowed=keys) for keys in by_label.values()
        ]
        return joined(found, k * len(found))

    def _preferred(
        self,
        pairs: Sequence[tuple[int, float]],
        k: int,
        diversify: str | None,
        balance: str | None,
    ) -> list[int]:
        """Return places of candidates (key, score), the most wanted first."""
        if balance:
            return balanced([self._demos[key].output for key, _ in pairs], len(pairs))
        if not diversify or not pairs:
            return list(range(len(pairs)))
        pairs = pairs[: max(CANDIDATES, k)]
        scores = np.array([score for _, score in pairs])
        if not self.space.cosine:  # into the scale of the cosines between candidates
            scores = scores / (np.abs(scores).max() or 1.0)
        shown = as_searched((self._demos[key] for key, _ in pairs), self.searched)
        alike = self.space.similarities(dict(zip((key for key, _ in pairs), shown, strict=True)))
        if diversify == "mmr":
            return mmr(scores, alike, len(pairs))
        return greedy_dpp(ceil_kernel(scores, alike), len(pairs))
