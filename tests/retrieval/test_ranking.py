"""Ranks against a float64 brute force, and every trap that the module's docstring names."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import NonFiniteScores, QueryShapeError
from retrieval.heads.affine import Affine
from retrieval.heads.protocol import HEADS, untrained_head
from retrieval.kernels import KERNELS
from retrieval.ranking import Ranks, rank, rank_scores, restrict

NOTHING = np.empty(0, np.int64), np.empty(0, np.int64)
every_kernel = pytest.mark.parametrize("kernel", list(KERNELS))


def added(terms) -> float:
    """Return the plain sum; Python's own `sum` corrects the rounding of floats."""
    total = 0.0
    for term in terms:
        total += term
    return total


def score(kernel: str, query, candidate) -> float:
    """Return the score of one pair, with Python's own floats and one dimension after the other."""
    pairs = [(float(a), float(b)) for a, b in zip(query, candidate, strict=True)]
    if kernel == "dot":
        return added(a * b for a, b in pairs)
    steps = [a - b for a, b in pairs]
    if kernel == "l1":
        return -added(abs(step) for step in steps)
    if kernel == "l2":  # its square, in which unequal distances stay unequal
        return -added(step * step for step in steps)
    half = len(pairs) // 2
    return -added(sqrt(x * x + y * y) for x, y in zip(steps[:half], steps[half:], strict=True))


def brute_force(kernel, queries, candidates, targets, known) -> tuple[list[int], list[int]]:
    """Rank one query after the other in float64, with Python's own comparisons."""
    return by_table(
        [[score(kernel, query, candidate) for candidate in candidates] for query in queries],
        targets,
        known,
    )


def by_table(table, targets, known) -> tuple[list[int], list[int]]:
    optimistic, pessimistic = [], []
    rows, ids = known
    for row, target in enumerate(targets):
        hidden = {int(id) for at, id in zip(rows, ids, strict=True) if at == row} - {int(target)}
        own = table[row][target]
        rivals = [s for id, s in enumerate(table[row]) if id not in hidden and id != target]
        optimistic.append(1 + sum(rival > own for rival in rivals))
        pessimistic.append(1 + sum(rival >= own for rival in rivals))
    return optimistic, pessimistic


@st.composite
def entities(draw, seed: int, dim: int):
    """Random vectors with twins, few values, large offsets and sizes near the ends of float32."""
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((draw(st.integers(1, 40)), dim))
    if draw(st.booleans()):  # equal texts have equal vectors
        vectors = vectors[random.integers(0, len(vectors), len(vectors))]
    if draw(st.booleans()):  # few values: many ties between different vectors
        vectors = np.round(vectors)
    if draw(st.booleans()):  # far from the origin and near each other: most digits are equal
        vectors = 1000 + vectors / 1000
    vectors *= draw(st.sampled_from([1, 1, 1e-21, 1e-30, 1e11]))
    vectors[random.random(len(vectors)) < draw(st.sampled_from([0, 0.3]))] = 0  # without words
    return vectors.astype(np.float32)


@st.composite
def problems(draw, kernels=tuple(KERNELS)):
    """Queries of any kernel, self-loops, restricted candidates, any number of known answers."""
    kernel = draw(st.sampled_from(kernels))
    dim = draw(st.integers(1, 9)) * (2 if kernel == "modulus" else 1)
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    candidates = draw(entities(seed, dim))
    queries = random.standard_normal((draw(st.integers(1, 12)), dim))
    if draw(st.booleans()):
        queries = np.round(queries)
    if draw(st.booleans()):  # the asking entity is its own answer
        queries = candidates[random.integers(0, len(candidates), len(queries))]
    targets = random.integers(0, len(candidates), len(queries))
    chosen = random.random((len(queries), len(candidates))) < draw(st.sampled_from([0, 0.2, 0.9]))
    rows, ids = np.nonzero(chosen)
    options = {
        "kernel": kernel,
        "query_tile": draw(st.integers(1, 15)),
        "candidate_tile": draw(st.integers(1, 50)),
        "threads": draw(st.sampled_from([None, 1, 2, 3])),
    }
    return queries.astype(np.float32), candidates, targets, (rows, ids), options


@settings(max_examples=400, deadline=None)
@given(problems())
def test_ranks_equal_a_float64_brute_force_for_every_kernel_tile_size_and_thread_count(
    problem,
) -> None:
    queries, candidates, targets, known, options = problem
    found = rank(queries, candidates, targets, known, **options)
    expected = brute_force(options["kernel"], queries, candidates, targets, known)
    assert (found.optimistic.tolist(), found.pessimistic.tolist()) == expected
    for row in range(len(targets)):
        hidden = set(known[1][known[0] == row].tolist()) - {int(targets[row])}
        assert found.among[row] == len(candidates) - len(hidden)


@settings(max_examples=100, deadline=None)
@given(problems(), st.integers(0, 2**32 - 1))
def test_restricted_candidates_are_ranked_as_if_there_were_no_others(problem, seed) -> None:
    queries, candidates, targets, known, options = problem
    random = np.random.default_rng(seed)
    kept = np.union1d(targets, np.flatnonzero(random.random(len(candidates)) < 0.5))
    places, inside = restrict(kept, targets, known)
    found = rank(queries, candidates[kept], places, inside, **options)
    # The same by hiding everything else from every query.
    away = np.setdiff1d(np.arange(len(candidates)), kept)
    rows = np.concatenate([known[0], np.repeat(np.arange(len(queries)), len(away))])
    hidden = rows, np.concatenate([known[1], np.tile(away, len(queries))])
    expected = brute_force(options["kernel"], queries, candidates, targets, hidden)
    assert (found.optimistic.tolist(), found.pessimistic.tolist()) == expected


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("inverses", [True, False])
@pytest.mark.parametrize("name", list(HEADS))
def test_the_ranks_of_every_head_equal_a_float64_brute_force(name, inverses, threads) -> None:
    if issubclass(HEADS[name], Affine) and not inverses:
        pytest.skip("has no head query")
    head = untrained_head(name, relations=3, dim=8, inverses=inverses, seed=0)
    random = np.random.default_rng(0)
    vectors = random.standard_normal((60, 8)).astype(np.float32)
    vectors[40:] = vectors[:20]  # twins
    sources, relations = random.integers(0, 60, 48), np.arange(48) % 6  # both sides
    targets = np.where(np.arange(48) % 5, random.integers(0, 60, 48), sources)  # and self-loops
    known = np.nonzero(random.random((48, 60)) < 0.1)
    with torch.inference_mode():
        asked = head.queries(torch.from_numpy(vectors[sources]), torch.from_numpy(relations))
        candidates = head.candidates(torch.from_numpy(vectors)).numpy()
    found = rank(asked.numpy(), candidates, targets, known, kernel=head.kernel, threads=threads)
    expected = brute_force(head.kernel, asked.numpy(), candidates, targets, known)
    assert (found.optimistic.tolist(), found.pessimistic.tolist()) == expected
    assert found.tie_gap() > 0  # the twins tie


@pytest.mark.parametrize("inverses", [True, False])
@pytest.mark.parametrize(
    "name", ["complex", "distmult", "rotate", "simple", "transe-l1", "transe-l2"]
)
def test_ranks_by_queries_are_ranks_by_the_score_of_links(name, inverses) -> None:
    # Small whole numbers make both sides exact: ties of the one are ties of the other.
    random = np.random.default_rng(1)
    vectors = torch.from_numpy(random.integers(-2, 3, (30, 4)).astype(np.float32))
    own = untrained_head(name, relations=3, dim=4, inverses=inverses).parameters()["vectors"]
    numbers = random.integers(-2, 3, own.shape).astype(np.float32)
    if name == "rotate":
        numbers[:] = 0  # no other angle turns whole numbers into whole numbers exactly
    head = HEADS[name]({"vectors": torch.from_numpy(numbers)}, inverses=inverses)
    sources, relations = torch.arange(30), torch.arange(30) % 6
    targets = random.integers(0, 30, 30)
    with torch.inference_mode():
        asked = head.queries(vectors[sources], relations).numpy()
        double = HEADS[name]({"vectors": torch.from_numpy(numbers).double()}, inverses=inverses)
        wide = vectors.double()
        table = double.score(wide[sources][:, None], relations[:, None], wide[None]).tolist()
    found = rank(asked, vectors.numpy(), targets, NOTHING, kernel=head.kernel)
    expected = by_table(table, targets, NOTHING)
    assert (found.optimistic.tolist(), found.pessimistic.tolist()) == expected
    assert found.tie_gap() > 0


@every_kernel
@pytest.mark.parametrize("dim", [2, 64, 256])
def test_exact_twins_tie_and_never_beat_each_other(kernel, dim) -> None:
    # Tiles give equal vectors unequal last bits; plain comparison ranks them at random.
    random = np.random.default_rng(0)
    one = random.standard_normal((300, dim)).astype(np.float32)
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    candidates = np.concatenate([one, one])  # each entity has a twin
    queries = one + 0.1 * random.standard_normal((300, dim)).astype(np.float32)
    ranks = rank(queries, candidates, np.arange(300), NOTHING, kernel=kernel, candidate_tile=137)
    assert (ranks.pessimistic - ranks.optimistic == 1).all()


@every_kernel
def test_torch_may_be_told_to_be_fast_elsewhere(kernel) -> None:
    # With inputs of a product rounded to bfloat16 the band would be a thousand times too narrow.
    random = np.random.default_rng(0)
    candidates = random.standard_normal((400, 64)).astype(np.float32)
    queries = random.standard_normal((100, 64)).astype(np.float32)
    targets = random.integers(0, 400, 100)
    expected = rank(queries, candidates, targets, NOTHING, kernel=kernel)
    torch.set_float32_matmul_precision("medium")
    try:
        found = rank(queries, candidates, targets, NOTHING, kernel=kernel)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert found.optimistic.tolist() == expected.optimistic.tolist()


def test_the_number_of_threads_that_torch_uses_is_left_as_it_was() -> None:
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(2)
            rank(
                np.eye(4, dtype=np.float32),
                np.eye(4, dtype=np.float32),
                np.arange(4),
                NOTHING,
                threads=threads,
                query_tile=1,
            )
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@every_kernel
def test_candidates_may_lie_in_a_file_that_is_only_read(kernel, tmp_path) -> None:
    random = np.random.default_rng(0)
    vectors = random.standard_normal((50, 6)).astype(np.float16)
    np.save(tmp_path / "vectors.npy", vectors)
    streamed = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    queries, targets = random.standard_normal((9, 6)).astype(np.float32), np.arange(9)
    found = rank(queries, streamed, targets, NOTHING, kernel=kernel, candidate_tile=7)
    expected = brute_force(kernel, queries, vectors, targets, NOTHING)
    assert (found.optimistic.tolist(), found.pessimistic.tolist()) == expected


def test_toy_scores_give_one_two_and_one_and_a_half() -> None:
    scores = np.array([[0.9, 0.5, 0.5, 0.1]])
    known = np.array([0, 0]), np.array([0, 1])
    ranks = rank_scores(lambda rows: scores[rows], targets=np.array([1]), candidates=4, known=known)
    assert (ranks.optimistic[0], ranks.pessimistic[0], ranks.realistic[0]) == (1, 2, 1.5)
    # The same through vectors: one dimension, the score is the candidate itself.
    same = rank(np.ones((1, 1), np.float32), scores.T.astype(np.float32), np.array([1]), known)
    assert (same.optimistic[0], same.pessimistic[0], same.realistic[0]) == (1, 2, 1.5)


@every_kernel
@pytest.mark.parametrize("n", [1, 2, 9, 300])
def test_a_constant_scorer_gets_the_middle_rank_not_the_first(n: int, kernel) -> None:
    query, same = np.ones((1, 4), np.float32), np.full((n, 4), 2, np.float32)
    ranks = rank(query, same, np.array([0]), NOTHING, kernel=kernel)
    assert ranks.realistic[0] == (n + 1) / 2
    assert ranks.optimistic[0] == 1
    flat = rank_scores(
        lambda rows: np.zeros((1, n)), targets=np.array([0]), candidates=n, known=NOTHING
    )
    assert flat.mrr() == pytest.approx(2 / (n + 1))


@every_kernel
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e16, -1e16])
@pytest.mark.parametrize("where", ["queries", "candidates"])
def test_numbers_that_make_no_scores_are_refused(bad: float, where: str, kernel) -> None:
    # NaN compares false with everything, which would be the first rank or half a rank.
    queries, candidates = np.ones((4, 4), np.float32), np.ones((4, 4), np.float32)
    (queries if where == "queries" else candidates)[3, 1] = bad
    with pytest.raises(NonFiniteScores, match=where):
        rank(
            queries,
            candidates,
            np.arange(4),
            NOTHING,
            kernel=kernel,
            query_tile=2,
            candidate_tile=2,
        )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(NonFiniteScores):
        rank_scores(
            lambda rows: np.array([[bad]]), targets=np.array([0]), candidates=1, known=NOTHING
        )


@every_kernel
def test_a_filtered_answer_cannot_tie_with_a_low_score(kernel) -> None:
    # With -1 in place of -inf the hidden candidate 0 would tie with the target at cosine -1.
    candidates = np.array([[1.0, 0], [-1.0, 0]], np.float32)
    known = np.array([0]), np.array([0])
    ranks = rank(np.array([[1.0, 0]], np.float32), candidates, np.array([1]), known, kernel=kernel)
    assert (ranks.optimistic[0], ranks.pessimistic[0], ranks.among[0]) == (1, 1, 1)


@every_kernel
def test_the_asking_entity_is_a_candidate_and_may_be_the_answer(kernel) -> None:
    vectors = np.array([[1.0, 0], [0, 1], [1, 1]], np.float32)
    found = rank(vectors[:2], vectors, np.array([0, 1]), NOTHING, kernel=kernel)
    # Under dot, [1, 1] is as near to either as they are themselves; no distance is below 0.
    assert found.optimistic.tolist() == [1, 1]
    assert found.pessimistic.tolist() == ([2, 2] if kernel == "dot" else [1, 1])
    # Asked for [1, 1] instead, the asking entity takes the place that it deserves.
    other = rank(vectors[:1], vectors, np.array([2]), NOTHING, kernel=kernel)
    assert other.realistic[0] == (1.5 if kernel == "dot" else 2)


def test_foreign_ids_are_dropped_not_clamped_to_the_last_candidate() -> None:
    candidates = np.array([2, 5, 9])
    known = np.array([0, 0, 0, 1]), np.array([1, 5, 10, 9])
    targets, kept = restrict(candidates, np.array([5, 2]), known)
    assert targets.tolist() == [1, 0]
    assert kept[0].tolist() == [0, 1]
    assert kept[1].tolist() == [1, 2]


def test_a_target_outside_the_candidates_has_no_rank() -> None:
    for candidates in (np.array([2, 5]), np.empty(0, np.int64)):
        with pytest.raises(QueryShapeError, match="not among the candidates"):
            restrict(candidates, np.array([3]), NOTHING)


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


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kernel": "cosine"}, "unknown kernel 'cosine'"),
        ({"kernel": "modulus"}, "3 dimensions are no complex coordinates"),
        ({"query_tile": 0}, "query_tile=0"),
        ({"candidate_tile": 0}, "candidate_tile=0"),
        ({"threads": 0}, "threads=0"),
    ],
)
def test_options_that_cannot_be_are_refused(wrong, message: str) -> None:
    vectors = np.ones((2, 3), np.float32)
    with pytest.raises(QueryShapeError, match=message):
        rank(vectors, vectors, np.arange(2), NOTHING, **wrong)


@every_kernel
def test_no_question_has_no_rank(kernel) -> None:
    found = rank(
        np.ones((0, 2), np.float32),
        np.ones((3, 2), np.float32),
        NOTHING[0],
        NOTHING,
        kernel=kernel,
    )
    assert len(found.optimistic) == len(found.pessimistic) == len(found.among) == 0


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
