"""Ranks against a float64 brute force, and every trap that the module's docstring names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import NonFiniteScores, QueryShapeError
from retrieval.ranking import Ranks, rank, rank_scores, restrict


def brute_force(queries, candidates, targets, known) -> tuple[list[int], list[int]]:
    """Rank one query after the other in float64, with Python's own comparisons."""
    optimistic, pessimistic = [], []
    rows, ids = known
    for row, target in enumerate(targets):
        hidden = {int(id) for at, id in zip(rows, ids, strict=True) if at == row} - {int(target)}
        scores = [
            sum(float(a) * float(b) for a, b in zip(queries[row], candidate, strict=True))
            for candidate in candidates
        ]
        rivals = [s for id, s in enumerate(scores) if id not in hidden and id != target]
        optimistic.append(1 + sum(score > scores[target] for score in rivals))
        pessimistic.append(1 + sum(score >= scores[target] for score in rivals))
    return optimistic, pessimistic


@st.composite
def problems(draw):
    """Random vectors with twins, constant columns, self-loops and any number of known answers."""
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    candidates = random.standard_normal((draw(st.integers(1, 40)), draw(st.integers(1, 9))))
    if draw(st.booleans()):  # equal texts have equal vectors
        twins = random.integers(0, len(candidates), len(candidates))
        candidates = candidates[np.minimum(twins, len(candidates) - 1)]
    if draw(st.booleans()):  # few values: many ties between different vectors
        candidates = np.round(candidates)
    queries = random.standard_normal((draw(st.integers(1, 12)), candidates.shape[1]))
    if draw(st.booleans()):
        queries = np.round(queries)
    if draw(st.booleans()):  # the asking entity is its own answer
        queries = candidates[random.integers(0, len(candidates), len(queries))]
    targets = random.integers(0, len(candidates), len(queries))
    chosen = random.random((len(queries), len(candidates))) < draw(st.sampled_from([0, 0.2, 0.9]))
    rows, ids = np.nonzero(chosen)
    return (
        queries.astype(np.float32),
        candidates.astype(np.float32),
        targets,
        (rows, ids),
        draw(st.integers(1, 15)),
        draw(st.integers(1, 50)),
    )


@settings(max_examples=200, deadline=None)
@given(problems())
def test_ranks_equal_a_float64_brute_force_for_every_tile_size(problem) -> None:
    queries, candidates, targets, known, query_tile, candidate_tile = problem
    found = rank(
        queries,
        candidates,
        targets,
        known,
        query_tile=query_tile,
        candidate_tile=candidate_tile,
    )
    optimistic, pessimistic = brute_force(queries, candidates, targets, known)
    assert found.optimistic.tolist() == optimistic
    assert found.pessimistic.tolist() == pessimistic
    for row in range(len(targets)):
        hidden = set(known[1][known[0] == row].tolist()) - {int(targets[row])}
        assert found.among[row] == len(candidates) - len(hidden)


def test_exact_twins_in_many_dimensions_tie_and_never_beat_each_other() -> None:
    # A matrix product gives equal vectors unequal last bits; plain comparison ranks them at random.
    random = np.random.default_rng(0)
    one = random.standard_normal((300, 256)).astype(np.float32)
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    candidates = np.concatenate([one, one])  # each entity has a twin
    queries = one + 0.1 * random.standard_normal((300, 256)).astype(np.float32)
    nothing = np.empty(0, np.int64), np.empty(0, np.int64)
    ranks = rank(queries, candidates, np.arange(300), nothing, candidate_tile=137)
    assert (ranks.pessimistic - ranks.optimistic == 1).all()


def test_toy_scores_give_one_two_and_one_and_a_half() -> None:
    scores = np.array([[0.9, 0.5, 0.5, 0.1]])
    known = np.array([0, 0]), np.array([0, 1])
    ranks = rank_scores(lambda rows: scores[rows], targets=np.array([1]), candidates=4, known=known)
    assert (ranks.optimistic[0], ranks.pessimistic[0], ranks.realistic[0]) == (1, 2, 1.5)
    # The same through vectors: one dimension, the score is the candidate itself.
    same = rank(np.ones((1, 1), np.float32), scores.T.astype(np.float32), np.array([1]), known)
    assert (same.optimistic[0], same.pessimistic[0], same.realistic[0]) == (1, 2, 1.5)


@pytest.mark.parametrize("n", [1, 2, 9, 100])
def test_a_constant_scorer_gets_the_middle_rank_not_the_first(n: int) -> None:
    nothing = np.empty(0, np.int64), np.empty(0, np.int64)
    ranks = rank(np.ones((1, 3), np.float32), np.ones((n, 3), np.float32), np.array([0]), nothing)
    assert ranks.realistic[0] == (n + 1) / 2
    assert ranks.optimistic[0] == 1
    flat = rank_scores(
        lambda rows: np.zeros((1, n)), targets=np.array([0]), candidates=n, known=nothing
    )
    assert flat.mrr() == pytest.approx(2 / (n + 1))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["queries", "candidates"])
def test_scores_that_are_no_numbers_are_refused(bad: float, where: str) -> None:
    queries, candidates = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)
    (queries if where == "queries" else candidates)[1, 1] = bad
    nothing = np.empty(0, np.int64), np.empty(0, np.int64)
    with pytest.raises(NonFiniteScores, match=where):
        rank(queries, candidates, np.array([0, 1]), nothing)
    with pytest.raises(NonFiniteScores):
        rank_scores(
            lambda rows: np.array([[bad]]), targets=np.array([0]), candidates=1, known=nothing
        )


def test_a_filtered_answer_cannot_tie_with_a_low_cosine() -> None:
    # With -1 in place of -inf the hidden candidate 0 would tie with the target at cosine -1.
    candidates = np.array([[1.0], [-1.0]], np.float32)
    known = np.array([0]), np.array([0])
    ranks = rank(np.ones((1, 1), np.float32), candidates, np.array([1]), known)
    assert (ranks.optimistic[0], ranks.pessimistic[0]) == (1, 1)


def test_foreign_ids_are_dropped_not_clamped_to_the_last_candidate() -> None:
    candidates = np.array([2, 5, 9])
    known = np.array([0, 0, 0, 1]), np.array([1, 5, 10, 9])
    targets, kept = restrict(candidates, np.array([5, 2]), known)
    assert targets.tolist() == [1, 0]
    assert kept[0].tolist() == [0, 1]
    assert kept[1].tolist() == [1, 2]


def test_a_target_outside_the_candidates_has_no_rank() -> None:
    nothing = np.empty(0, np.int64), np.empty(0, np.int64)
    for candidates in (np.array([2, 5]), np.empty(0, np.int64)):
        with pytest.raises(QueryShapeError, match="not among the candidates"):
            restrict(candidates, np.array([3]), nothing)


@pytest.mark.parametrize(
    ("targets", "known", "message"),
    [
        ([0, 4], ([], []), "target lies outside"),
        ([0, -1], ([], []), "target lies outside"),
        ([0], ([], []), "queries=2"),
        ([0, 1], ([0], [4]), "known answer lies outside"),
        ([0, 1], ([2], [0]), "row of a known answer lies outside"),
        ([0, 1], ([1, 0], [0, 0]), "must ascend"),
    ],
)
def test_what_does_not_fit_is_refused(targets, known, message: str) -> None:
    pairs = np.array(known[0], np.int64), np.array(known[1], np.int64)
    with pytest.raises(QueryShapeError, match=message):
        rank(np.ones((2, 3), np.float32), np.ones((4, 3), np.float32), np.array(targets), pairs)


def test_metrics_of_ranks_computed_on_paper() -> None:
    ranks = Ranks(np.array([1, 3, 10]), np.array([1, 5, 10]), np.array([11, 11, 11]))
    assert ranks.mrr() == pytest.approx((1 + 1 / 4 + 1 / 10) / 3)
    assert ranks.hits(1) == pytest.approx(1 / 3)
    assert ranks.hits(3) == pytest.approx(1 / 3)
    assert ranks.hits(10) == pytest.approx(1)
    assert ranks.tie_gap() == pytest.approx((1 / 3 - 1 / 5) / 3)
    assert ranks.adjusted_mean_rank_index() == pytest.approx(1 - (0 + 3 + 9) / 3 / 5)


def test_adjusted_mean_rank_is_nothing_for_chance_and_one_for_perfect() -> None:
    middle = Ranks(np.array([1]), np.array([9]), np.array([9]))
    best = Ranks(np.array([1]), np.array([1]), np.array([9]))
    assert middle.adjusted_mean_rank_index() == pytest.approx(0)
    assert best.adjusted_mean_rank_index() == pytest.approx(1)
