"""What must not be retrieved for a query: itself, and its own text under another id.

**The trap.** A pool that holds the query answers it with itself, and every figure is too good. Two
common remedies are wrong: dropping the first hit takes away a good demonstration whenever the query
is not in the pool, and comparing strings by prefix or spelling lets through "It 's good ." for
"it's good". Here the query is barred by id, and on request by `text_key`, which looks at letters
and digits only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from retrieval.demonstrations.datasets import TaskData, source_keys, text_key
from retrieval.demonstrations.task import Demo
from retrieval.errors import QueryShapeError

__all__ = ["Barred", "LeakageGuard", "SameSource", "of_one_sentence", "repeated"]

#: Of one query: an id, a `Demo` (that one only, where several tasks use one id), some, or none.
type Barred = str | Demo | Collection[str | Demo] | None


class LeakageGuard:
    """Which keys of a retriever hold an id or a text.

    >>> guard = LeakageGuard()
    >>> guard.add({7: Demo("train-0", "It 's good .", "great", task="mr")})
    >>> guard.barred(["it's good"], exclude_ids=None, exclude_text=True)
    [{7}]
    """

    def __init__(self) -> None:
        self._by_id: defaultdict[str, dict[int, str]] = defaultdict(dict)
        self._by_text: defaultdict[str, set[int]] = defaultdict(set)

    def add(self, demos: Mapping[int, Demo]) -> None:
        """Add demonstrations under their keys."""
        for key, demo in demos.items():
            self._by_id[demo.id][key] = demo.task
            self._by_text[text_key(demo.input)].add(key)

    def remove(self, demos: Mapping[int, Demo]) -> None:
        """Remove demonstrations."""
        for key, demo in demos.items():
            del self._by_id[demo.id][key]
            if not self._by_id[demo.id]:
                del self._by_id[demo.id]
            same = text_key(demo.input)
            self._by_text[same].discard(key)
            if not self._by_text[same]:
                del self._by_text[same]

    def barred(
        self, inputs: Sequence[str], *, exclude_ids: Sequence[Barred] | None, exclude_text: bool
    ) -> list[set[int]]:
        """Return for each query the keys that it must not get.

        Raises:
            QueryShapeError: `exclude_ids` are not as many as the queries.
        """
        answer: list[set[int]] = [set() for _ in inputs]
        if exclude_ids is not None:
            if isinstance(exclude_ids, str) or len(exclude_ids) != len(inputs):
                raise QueryShapeError(
                    f"exclude_ids has {len(exclude_ids)} entries for {len(inputs)} queries; give "
                    "one entry for each query (an id, several, or None)"
                )
            for keys, entry in zip(answer, exclude_ids, strict=True):
                several = [entry] if isinstance(entry, (str, Demo)) else entry or ()
                for one in several:
                    keys |= self._keys(one)
        if exclude_text:
            for keys, text in zip(answer, inputs, strict=True):
                keys |= self._by_text.get(text_key(text), set())
        return answer

    def _keys(self, one: str | Demo) -> set[int]:
        if isinstance(one, Demo):
            return {key for key, task in self._by_id.get(one.id, {}).items() if task == one.task}
        return set(self._by_id.get(one, {}))


class SameSource:
    """Which demonstrations of a pool have a query's text, or were made of its sentence.

    >>> pool = [Demo("1", "It 's good .", "great"), Demo("2", "dull", "terrible")]
    >>> SameSource(pool).places(Demo("q", "it's good", "great"))
    {0}
    """

    def __init__(self, pool: Iterable[Demo]) -> None:
        self._places: defaultdict[str, set[int]] = defaultdict(set)
        for at, demo in enumerate(pool):
            for key in source_keys(demo):
                self._places[key].add(at)

    def places(self, query: Demo) -> set[int]:
        """Return their places in the pool."""
        found = (self._places.get(key, ()) for key in source_keys(query))
        return set().union(*found)


def of_one_sentence(queries: Sequence[Demo], pool: Iterable[Demo]) -> list[list[str]]:
    """Return for each query the ids in its pool that were made of the query's own sentence.

    A sentence that is masked in two ways is two texts, but each gives the other away; where it came
    from is in `provenance["sentence"]`.

    >>> source = {"sentence": "adaknewbob"}
    >>> demo = Demo("1", "SUBJ knew OBJ", "knows", provenance=source)
    >>> of_one_sentence([Demo("2", "OBJ knew SUBJ", "knows", provenance=source)], [demo])
    [['1']]
    """
    held: defaultdict[str, list[str]] = defaultdict(list)
    for demo in pool:
        if "sentence" in demo.provenance:
            held[demo.provenance["sentence"]].append(demo.id)
    return [list(held.get(query.provenance.get("sentence", ""), ())) for query in queries]


def repeated(data: TaskData) -> list[bool]:
    """Return for each query of the test whether its text stands in the pool.

    >>> from retrieval.demonstrations.task import Task
    >>> task = Task("mr", "Sentiment:", [Demo("1", "It 's good .", "great")])
    >>> repeated(TaskData(task, (Demo("t", "it's good", "great"), Demo("u", "dull", "bad"))))
    [True, False]
    """
    held = {text_key(demo.input) for demo in data.task.demos}
    return [text_key(query.input) in held for query in data.test]
