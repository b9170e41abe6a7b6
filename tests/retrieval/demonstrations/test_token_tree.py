from __future__ import annotations

import random

import pytest

from retrieval.demonstrations.token_tree import Forest, laid_out, plan, rows_of, shared_prefixes


def ancestors(forest: Forest, place: int) -> list[int]:
    return [at for at in range(place + 1) if at <= place < forest.ends[at]]


def random_sequences(seed: int, n: int) -> tuple[list[tuple[int, ...]], list[int], list[int]]:
    """Sorted paths over three tokens, so that much is shared, with answers of one to four."""
    rng = random.Random(seed)
    texts = sorted(
        {tuple(rng.choices((1, 2, 3), weights=(5, 1, 1), k=rng.randint(2, 20))) for _ in range(n)}
    )
    answers = [len(text) - rng.randint(1, min(4, len(text) - 1)) for text in texts]
    return [text[:-1] for text in texts], answers, [text[-1] for text in texts]


def test_a_tree_solved_by_hand() -> None:
    # 1 ─ 2 ─ 3        5
    #     └── 4 ─ 1
    paths = [(1, 2, 3), (1, 2, 4, 1), (5,)]
    assert shared_prefixes(paths) == [0, 2, 0]
    forest = laid_out(paths, [2, 3, 1], [7, 8, 9], (0, 3), 0)
    assert forest.tokens == [1, 2, 3, 4, 1, 5]
    assert forest.positions == [0, 1, 2, 2, 3, 0]
    assert [ancestors(forest, at) for at in range(6)] == [
        [0],
        [0, 1],
        [0, 1, 2],
        [0, 1, 3],
        [0, 1, 3, 4],
        [5],
    ]
    # The state of the token before an answer predicts its first token.
    assert forest.asked == [(1, 3, 0), (2, 7, 0), (3, 1, 1), (4, 8, 1), (5, 9, 2)]


def test_a_text_that_begins_another_needs_no_token_of_its_own() -> None:
    forest = laid_out([(1, 2), (1, 2, 3)], [2, 2], [9, 9], (0, 2), 0)
    assert forest.tokens == [1, 2, 3]
    assert forest.asked == [(1, 9, 0), (1, 3, 1), (2, 9, 1)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("capacity", [2, 8, 24, 1000])
def test_every_answer_is_asked_once_after_its_own_path(seed: int, capacity: int) -> None:
    paths, answers, last = random_sequences(seed, 60)
    trunks = plan(paths, answers, capacity)
    seen: list[int] = []
    for trunk in trunks:
        before: tuple[int, ...] = ()
        above = trunk
        while above.parent is not None:
            before = tuple(paths[above.of][above.start : above.stop]) + before
            assert above.parent.stop == above.start
            above = above.parent
        for piece in trunk.pieces:
            seen += range(*piece)
            forest = laid_out(paths, answers, last, piece, trunk.stop)
            for at in range(*piece):
                assert paths[at][: trunk.stop] == before
                assert trunk.stop < answers[at]
                asked = [(place, token) for place, token, owner in forest.asked if owner == at]
                whole = (*paths[at], last[at])
                assert [token for _, token in asked] == list(whole[answers[at] :])
                for offset, (place, _) in enumerate(asked):
                    path = [forest.tokens[one] for one in ancestors(forest, place)]
                    assert (*before, *path) == whole[: answers[at] + offset]
                    assert forest.positions[place] == answers[at] + offset - 1
    assert sorted(seen) == list(range(len(paths)))


def test_trunks_come_after_their_parents() -> None:
    paths, answers, _ = random_sequences(1, 200)
    trunks = plan(paths, answers, 8)
    assert len(trunks) > 1
    for at, trunk in enumerate(trunks):
        assert trunk.parent is None or any(trunk.parent is one for one in trunks[:at])


def test_nothing_gives_nothing() -> None:
    assert [trunk.pieces for trunk in plan([], [], 8)] == [[]]
    assert rows_of([], 8) == []


def test_rows_hold_several_trees_that_do_not_see_each_other() -> None:
    trees = [laid_out([tuple(range(1, n + 2))], [n], [0], (0, 1), 0) for n in (3, 5, 2, 20)]
    rows = rows_of(trees, 12)
    assert sum(len(row.tokens) for row in rows) == sum(len(tree.tokens) for tree in trees)
    assert [len(row.tokens) for row in rows] == sorted(
        (len(row.tokens) for row in rows), reverse=True
    )
    for row in rows:
        for place, position in enumerate(row.positions):
            assert len(ancestors(row, place)) == position + 1
