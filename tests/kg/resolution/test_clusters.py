"""Union-find and the second look at every member."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from kg.resolution.clusters import connected, split

pairs = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=20)


def test_chained_pairs_form_one_cluster() -> None:
    # One pass that joins sets returns {a, b, c} and {c, d} here.
    assert connected([("a", "b"), ("c", "d"), ("b", "c")]) == [["a", "b", "c", "d"]]


@given(pairs, st.randoms())
def test_groups_do_not_depend_on_the_order_of_pairs(
    edges: list[tuple[int, int]], chance: random.Random
) -> None:
    shuffled = [edge if chance.random() < 0.5 else edge[::-1] for edge in edges]
    chance.shuffle(shuffled)
    groups = {frozenset(group) for group in connected(edges)}
    assert {frozenset(group) for group in connected(shuffled)} == groups
    assert sum(map(len, groups)) == len({end for edge in edges for end in edge})


def test_members_that_do_not_match_the_representative_are_looked_at_by_themselves() -> None:
    groups = split(
        [1, 2, 3, 10, 11],
        order=lambda n: n,
        matches=lambda a, b: abs(a - b) < 3,
        agrees=lambda a, b: True,
    )
    assert groups == [[1, 2, 3], [10, 11]]


def test_members_must_agree_with_each_other() -> None:
    groups = split(
        ["?", "city", "person"],
        order=len,
        matches=lambda a, b: True,
        agrees=lambda a, b: {a, b} != {"city", "person"},
    )
    assert groups == [["?", "city"]]


@given(st.sets(st.integers(0, 30), min_size=1), st.integers(0, 5))
def test_every_member_matches_its_representative(items: set[int], reach: int) -> None:
    groups = split(
        items,
        order=lambda n: -n,
        matches=lambda a, b: abs(a - b) <= reach,
        agrees=lambda a, b: True,
    )
    seen = [item for group in groups for item in group]
    assert len(seen) == len(set(seen))
    for first, *rest in groups:
        assert rest
        assert all(abs(first - item) <= reach and item < first for item in rest)
