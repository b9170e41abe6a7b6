"""What lies both in a pool and in a test is found, by id, by text and by its sentence."""

from __future__ import annotations

from retrieval.demonstrations.datasets import TaskData, text_key, without_tests
from retrieval.demonstrations.leakage import LeakageGuard, of_one_sentence, repeated
from retrieval.demonstrations.task import Demo, Task


def test_a_removed_demonstration_bars_nothing() -> None:
    guard = LeakageGuard()
    demos = {1: Demo("a", "x", "", task="t"), 2: Demo("a", "X !", "", task="u")}
    guard.add(demos)
    assert guard.barred(["x"], exclude_ids=["a"], exclude_text=True) == [{1, 2}]
    guard.remove({1: demos[1]})
    assert guard.barred(["x"], exclude_ids=[Demo("a", "", "", task="t")], exclude_text=False) == [
        set()
    ]
    assert guard.barred(["x"], exclude_ids=[["a"]], exclude_text=False) == [{2}]
    guard.remove({2: demos[2]})
    assert guard.barred(["x"], exclude_ids=["a"], exclude_text=True) == [set()]


def test_texts_of_any_test_leave_the_pool() -> None:
    pool = [Demo("1", "It 's fine .", "good"), Demo("2", "awful", "bad"), Demo("3", "new", "bad")]
    mine = TaskData(Task("mr", "Sentiment:", pool), (Demo("q", "AWFUL!", "bad"),))
    other = TaskData(Task("sst2", "Sentiment:"), (Demo("q", "it's fine", "good"),))
    assert [demo.id for demo in without_tests(mine).task.demos] == ["1", "3"]
    assert [demo.id for demo in without_tests(mine, [other]).task.demos] == ["3"]
    assert repeated(mine) == [True]


def test_a_sentence_masked_another_way_is_still_the_same_sentence() -> None:
    source = {"sentence": text_key("Ada knew Bob")}
    pool = [
        Demo("1", "SUBJ knew OBJ", "knows", provenance=source),
        Demo("2", "SUBJ left OBJ", "left", provenance={"sentence": "adaleftbob"}),
    ]
    query = Demo("q", "OBJ knew SUBJ", "knows", provenance=source)
    data = TaskData(Task("re", "Relation:", pool), (query,))
    assert [demo.id for demo in without_tests(data).task.demos] == ["2"]
    assert of_one_sentence([query, Demo("p", "SUBJ left OBJ", "left")], pool) == [["1"], []]
    assert repeated(data) == [False]  # the masked texts differ
