"""Figures worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.demonstrations.measures import (
    average_precision,
    figures,
    interval,
    is_reversed,
    macro_f1,
    paired_bootstrap,
    r_precision_at,
    votes,
)
from retrieval.demonstrations.task import Demo
from retrieval.errors import QueryShapeError


def hits(*outputs: str) -> list[Demo]:
    return [Demo(str(at), "", output) for at, output in enumerate(outputs)]


def gold(output: str, *others: str) -> Demo:
    return Demo("q", "", output, other_outputs=others)


def test_match_any_and_vote() -> None:
    found = [hits("a", "b", "b", "a"), hits("b", "b", "b", "b")]
    answer = figures(found, [gold("a"), gold("a")], k=4)
    assert answer["match_at_1"] == 0.5
    assert answer["match_at_4"] == 0.25
    assert answer["any_at_4"] == 0.5
    assert answer["vote"] == 0.5  # a tie goes to the better ranked
    assert answer["vote_if_any_at_4"] == 1.0


def test_only_the_first_k_count() -> None:
    answer = figures([hits("b", "a", "a")], [gold("a")], k=1)
    assert answer["any_at_1"] == answer["vote"] == 0.0


def test_a_tied_vote_goes_to_the_higher_ranked_label_not_to_the_alphabet() -> None:
    assert votes([hits("z", "a", "a", "z"), hits("b", "a", "a")]) == ["z", "a"]


def test_any_of_several_right_answers_counts() -> None:
    answer = figures([hits("car")], [gold("auto", "car")], k=1)
    assert answer["vote"] == answer["macro_f1"] == answer["match_at_1"] == 1.0


def test_a_query_without_hits_is_wrong() -> None:
    answer = figures([[], hits("a")], [gold("a"), gold("a")])
    assert answer["vote"] == answer["match_at_8"] == 0.5


def test_macro_f1_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    said, are = random.choice(list("abcd"), 60), random.choice(list("abcde"), 60)
    assert macro_f1(said.tolist(), are.tolist()) == pytest.approx(
        metrics.f1_score(are, said, average="macro")
    )


def test_direction_errors_are_the_right_relation_turned_round() -> None:
    assert is_reversed("OBJ is made by SUBJ", "SUBJ is made by OBJ")
    assert not is_reversed("SUBJ is made by OBJ", "SUBJ is made by OBJ")
    assert not is_reversed("OBJ causes SUBJ", "SUBJ is made by OBJ")
    found = [hits("OBJ causes SUBJ"), hits("no relation")]
    assert figures(found, [gold("SUBJ causes OBJ")] * 2)["direction_errors"] == 1


def test_map_of_hits_at_ranks_one_and_three_of_two() -> None:
    assert average_precision([[4, 3, 2, 1]], [[1, 0, 1, 0]]) == pytest.approx([0.8333], abs=1e-4)


def test_r_precision_of_a_query_with_fewer_right_ones_than_k() -> None:
    assert r_precision_at([[4, 3, 2, 1]], [[1, 1, 0, 0]], 10).tolist() == [1.0]
    assert r_precision_at([[4, 3, 2, 1]], [[0, 1, 1, 1]], 2).tolist() == [0.5]


def test_queries_without_anything_right_are_left_out() -> None:
    scores, right = [[2, 1], [2, 1]], [[0, 0], [0, 1]]
    assert average_precision(scores, right).tolist() == [0.5]
    assert len(r_precision_at(scores, right, 1)) == 1


def test_ranking_figures_equal_a_loop() -> None:
    random = np.random.default_rng(1)
    scores, right = random.integers(0, 5, (20, 30)), random.random((20, 30)) < 0.2
    loop_map, loop_rp = [], []
    for row, relevant in zip(scores, right, strict=True):
        if not relevant.any():
            continue
        ranking = sorted(range(30), key=lambda at: (-row[at], at))
        found, precisions = 0, []
        for rank, at in enumerate(ranking, start=1):
            if relevant[at]:
                found += 1
                precisions.append(found / rank)
        loop_map.append(np.mean(precisions))
        loop_rp.append(sum(relevant[at] for at in ranking[:10]) / min(10, relevant.sum()))
    assert average_precision(scores, right) == pytest.approx(loop_map)
    assert r_precision_at(scores, right, 10) == pytest.approx(loop_rp)


def test_the_bootstrap_is_seeded_and_pairs_queries() -> None:
    random = np.random.default_rng(2)
    theirs = random.random(200) < 0.5
    ours = theirs | (random.random(200) < 0.1)  # better on a few, worse on none
    first = paired_bootstrap(ours, theirs, seed=3)
    assert first == paired_bootstrap(ours, theirs, seed=3)
    assert 0 < first["low"] < first["difference"] < first["high"]
    assert first["p"] < 0.01
    same = paired_bootstrap(ours, ours)
    assert (same["difference"], same["p"]) == (0.0, 1.0)
    found = interval(ours)
    assert found["low"] < found["mean"] < found["high"]


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(QueryShapeError, match="paired"):
        paired_bootstrap([1, 0], [1])
    with pytest.raises(QueryShapeError, match="2 lists of hits for 1"):
        figures([[], []], [gold("a")])
    with pytest.raises(QueryShapeError, match="0 queries"):
        figures([], [])
