"""Which candidates are scored, what feedback says of them, and which a step sees."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from retrieval.demonstrations.encoded_text import demo_text, query_text
from retrieval.demonstrations.feedback import (
    LabelFeedback,
    Scored,
    read_scored,
    scored,
    write_scored,
)
from retrieval.demonstrations.mining import (
    lexical_candidates,
    nearest_candidates,
    sampled,
)
from retrieval.demonstrations.objectives import LabelLesson
from retrieval.demonstrations.retriever import DemonstrationRetriever
from retrieval.demonstrations.task import Demo, Task
from retrieval.encoders.trainable import TrainableEncoder
from retrieval.errors import (
    DataFormatError,
    NonFiniteScores,
    QueryShapeError,
)
from tests.retrieval.demonstrations.toy_tasks import CountingFeedback, kinds


def test_ranks_share_the_place_of_equal_scores() -> None:
    demos = tuple(Demo(str(at), "", "") for at in range(4))
    one = Scored(Demo("q", "", ""), demos, (0.5, 2.0, 0.5, -1.0))
    assert one.ranks.tolist() == [2, 1, 2, 4]
    assert one.order.tolist() == [1, 0, 2, 3]


def test_a_query_is_never_its_own_candidate() -> None:
    query = Demo("q", "", "")
    with pytest.raises(QueryShapeError, match="its own candidate"):
        Scored(query, (query,), (1.0,))
    with pytest.raises(QueryShapeError, match="2 candidates"):
        Scored(query, (Demo("1", "", ""), Demo("1", "", "")), (1.0, 2.0))
    with pytest.raises(NonFiniteScores):
        Scored(query, (Demo("1", "", ""),), (math.nan,))


def test_only_new_pairs_are_scored_and_rounds_merge() -> None:
    task, feedback = kinds(), CountingFeedback()
    first = scored(feedback, task, {"d0": ["d1", "d2"]})
    second = scored(feedback, task, {"d0": ["d2", "d3"], "d5": ["d1"]}, first)
    assert len(feedback.asked) == 4
    assert [demo.id for demo in second["d0"].candidates] == ["d1", "d2", "d3"]
    assert second["d0"].scores[:2] == first["d0"].scores
    assert list(second) == ["d0", "d5"]


def test_scores_go_to_their_own_pair_by_id_also_where_texts_are_equal() -> None:
    demos = [Demo("a", "same", "x"), Demo("b", "same", "y"), Demo("c", "other", "x")]
    task = Task("t", "kind :", demos, labels=("x", "y"))
    found = scored(LabelFeedback(), task, {"c": ["b", "a"], "b": ["c"]})
    assert dict(zip([d.id for d in found["c"].candidates], found["c"].scores, strict=True)) == {
        "b": 0.0,
        "a": 1.0,
    }


def test_scored_lists_round_trip(tmp_path: Path) -> None:
    task = kinds()
    lists = scored(CountingFeedback(), task, {"d0": ["d1", "d2"], "d1": ["d0"]})
    write_scored(tmp_path / "lists.json", lists.values())
    assert read_scored(tmp_path / "lists.json", task) == lists
    (tmp_path / "lists.json").write_text(
        json.dumps({"queries": [{"query": "d0", "candidates": ["gone"], "scores": [1]}]})
    )
    with pytest.raises(DataFormatError, match="gone"):
        read_scored(tmp_path / "lists.json", task)


def test_a_sentence_masked_in_two_ways_is_no_partner_of_itself(encoder: TrainableEncoder) -> None:
    source = {"sentence": "adaknewbob"}
    demos = [
        Demo("1", "SUBJ knew OBJ", "x", provenance=source),
        Demo("2", "OBJ knew SUBJ", "x", provenance=source),
        Demo("3", "SUBJ knew it", "x"),
    ]
    task = Task("t", "kind :", demos, labels=("x", "y"))
    for found in (
        lexical_candidates(task, task.demos, k=2),
        nearest_candidates(encoder, task, task.demos, k=2),
    ):
        assert {id: sorted(own) for id, own in found.items()} == {
            "1": ["3"],
            "2": ["3"],
            "3": ["1", "2"],
        }
    batch = LabelLesson(task).batch(3, np.random.default_rng(0))
    for row, query in enumerate(batch.queries):
        for column, demo in enumerate(batch.demos):
            alike = query.id == demo.id or "3" not in (query.id, demo.id)
            assert batch.same[row, column] == alike
            assert batch.positives[row, column] == (not alike)


def test_classification_candidates_come_by_input_and_generation_ones_by_output() -> None:
    demos = [
        Demo("1", "red apple", "select fruit"),
        Demo("2", "red apple pie", "count dishes"),
        Demo("3", "blue sky", "select fruit"),
    ]
    free = Task("free", "form :", demos)
    assert lexical_candidates(free, [free.demos[0]], k=1) == {"1": ["3"]}
    chosen = Task("chosen", "form :", demos, labels=("select fruit", "count dishes"))
    assert lexical_candidates(chosen, [chosen.demos[0]], k=1) == {"1": ["2"]}


def test_candidates_are_not_the_answer_word_as_a_query() -> None:
    # As released, UDR asks with the label word: arbitrary demonstrations of one label.
    demos = [Demo("q", "a fine film", "bad"), Demo("1", "bad weather", "good")]
    demos.append(Demo("2", "a fine film indeed", "good"))
    task = Task("t", "kind :", demos, labels=("good", "bad"))
    assert lexical_candidates(task, [task.demos[0]], k=1) == {"q": ["2"]}


def test_a_query_and_its_copies_are_left_out_and_nobody_else(encoder: TrainableEncoder) -> None:
    demos = [Demo("q", "the cat", "animal"), Demo("copy", "The CAT .", "animal")]
    demos += [Demo("1", "the dog", "animal"), Demo("2", "the car", "thing")]
    task = Task("t", "kind :", demos, labels=("animal", "thing"))
    by_words = lexical_candidates(task, [task.demos[0]], k=4)["q"]
    nearest = nearest_candidates(encoder, task, [task.demos[0]], k=4)["q"]
    assert sorted(by_words) == sorted(nearest) == ["1", "2"]


def test_nearest_candidates_are_those_of_the_retriever(encoder: TrainableEncoder) -> None:
    task = kinds()
    retriever = DemonstrationRetriever(encoder.model)
    retriever.add(task.demos, task=task)
    mined = nearest_candidates(encoder, task, task.demos[:5], k=4)
    for query in task.demos[:5]:
        hits = retriever.retrieve(query.input, task=task, k=4, exclude_ids=query.id)
        assert mined[query.id] == [hit.id for hit in hits]


def test_instructions_stand_before_queries_and_demonstrations() -> None:
    task = kinds(2)
    assert query_text(task.instruction, task.demos[0].input) == "kind : the car is 0"
    assert demo_text(task.instruction, task.demos[0]) == "kind : the car is 0\tthing"


def test_a_sample_holds_one_of_the_best_and_one_of_the_worst_in_order() -> None:
    demos = tuple(Demo(str(at), "", "") for at in range(50))
    scores = tuple(float(value) for value in np.random.default_rng(1).permutation(50))
    one = Scored(Demo("q", "", ""), demos, scores)
    generator = np.random.default_rng(0)
    seen: Counter[int] = Counter()
    for _ in range(300):
        places = sampled(one, 8, generator)
        ranks = one.ranks[places]
        assert len(set(places.tolist())) == 8
        assert ranks.tolist() == sorted(ranks.tolist())
        assert (ranks <= 5).sum() == 1
        assert (ranks > 45).sum() == 1
        seen.update(ranks.tolist())
    assert len(seen) == 50
    assert (one.ranks[sampled(one, 8, generator, top=2)] <= 5).sum() == 2


@pytest.mark.parametrize("size", [2, 3, 8, 9, 11, 16])
def test_short_lists_are_sampled_without_repetition(size: int) -> None:
    demos = tuple(Demo(str(at), "", "") for at in range(size))
    one = Scored(Demo("q", "", ""), demos, tuple(float(-at) for at in range(size)))
    places = sampled(one, 8, np.random.default_rng(0))
    assert len(set(places.tolist())) == min(size, 8)
    assert places.tolist() == sorted(places.tolist())
