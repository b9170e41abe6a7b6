"""The bound on the error of a tile holds, and is not far from what happens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import QueryShapeError
from retrieval.kernels import (
    KERNELS,
    exact_scores,
    full_precision,
    longest_of,
    square_lengths,
    tile_kernel,
)

KINDS = ("even", "far", "tiny", "tinier", "large", "whole", "one long")


def vectors(kind: str, n: int, dim: int, seed: int):
    random = np.random.default_rng(seed)
    found = random.standard_normal((n, dim))
    if kind == "far":
        found = 1000 + found / 1000
    elif kind == "tiny":
        found *= 1e-22
    elif kind == "tinier":  # their squares are 0 in float32
        found *= 1e-29
    elif kind == "large":
        found *= 1e13
    elif kind == "whole":
        found = np.round(found)
    elif kind == "one long":
        found[0] *= 1e5
    return found.astype(np.float32)


def tile_and_bounds(kernel: str, queries, candidates):
    """Return the tile, and for each pair the bounds that hold if it were the target's score."""
    own = tile_kernel(kernel)
    tile = np.empty((len(queries), len(candidates)), np.float32)
    squares = square_lengths(candidates)
    with full_precision():
        own.tile(queries, candidates, squares, tile)
    longest = longest_of(squares)
    low, high = (np.empty_like(tile) for _ in range(2))
    for column, candidate in enumerate(candidates):
        star = exact_scores(kernel, queries, np.broadcast_to(candidate, queries.shape))
        low[:, column], high[:, column] = own.bounds(queries, star, longest)
    return tile, low, high


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(list(KERNELS)),
    st.sampled_from(KINDS),
    st.sampled_from(KINDS),
    st.integers(1, 300),
    st.integers(0, 2**32 - 1),
)
def test_the_value_of_a_tile_lies_within_the_bounds_of_its_exact_score(
    kernel, kind, other, half, seed
) -> None:
    queries = vectors(kind, 7, 2 * half, seed)
    candidates = vectors(other, 30, 2 * half, seed + 1)
    tile, low, high = tile_and_bounds(kernel, queries, candidates)
    assert (low <= tile).all()
    assert (tile <= high).all()


@pytest.mark.parametrize("kernel", list(KERNELS))
def test_the_bounds_are_not_so_wide_that_everything_is_scored_twice(kernel) -> None:
    queries, candidates = vectors("even", 50, 128, 0), vectors("even", 500, 128, 1)
    tile, low, high = tile_and_bounds(kernel, queries, candidates)
    assert (high - low).max() < 0.005 * tile.std()


def test_exact_scores_are_those_computed_on_paper() -> None:
    query, candidate = np.float32([[1, 2, 3, 4]]), np.float32([[4, 2, 3, 0]])
    found = {kernel: exact_scores(kernel, query, candidate)[0] for kernel in KERNELS}
    # |1 − 4 + (3 − 3)i| + |2 − 2 + (4 − 0)i| = 3 + 4
    assert found == {"dot": 17, "l1": -7, "l2": -25, "modulus": -7}


def test_exact_scores_of_equal_rows_are_equal_wherever_they_stand() -> None:
    one = vectors("even", 1, 257, 0).repeat(100, 0)
    other = vectors("even", 1, 257, 1).repeat(100, 0)
    for kernel in ("dot", "l1", "l2"):
        assert len(set(exact_scores(kernel, one, other).tolist())) == 1


def test_an_unknown_kernel_is_refused() -> None:
    with pytest.raises(QueryShapeError, match="available: dot, l1, l2, modulus"):
        tile_kernel("cosine")


def test_short_vectors_whose_squares_vanish_are_not_taken_for_nothing() -> None:
    # The nearer of two candidates is decided by digits that only float64 has.
    query = np.float32([[0.12573022, -0.13210486]])
    candidates = np.float32([[1.0000006e-27, 1.0000001e-27], [9.9999945e-28, 1.0000003e-27]])
    tile, low, high = tile_and_bounds("dot", query, candidates)
    assert square_lengths(candidates).tolist() == [0, 0]
    assert (low <= tile).all()
    assert (tile <= high).all()
