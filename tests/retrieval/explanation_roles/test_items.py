"""The diagnostic task is exactly what its description says."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.errors import QueryShapeError
from retrieval.explanation_roles.items import Items, Sizes, draw

SIZES = Sizes(indices=50, per_index=10, dev=200, test=4000)
DATA = draw(sizes=SIZES, seed=3)


def counts(items: Items) -> np.ndarray:
    """How often each number of the rule stands in the body, [n, 4]."""
    return (items.body[:, :, None] == items.rules[:, None, :]).sum(1)


def test_the_published_sizes_are_the_defaults() -> None:
    sizes = Sizes()
    assert (sizes.train, sizes.dev, sizes.test) == (5_000, 10_000, 50_000)
    assert (len(DATA.train), len(DATA.dev), len(DATA.test)) == (500, 200, 4000)


@pytest.mark.parametrize("items", [DATA.train, DATA.dev, DATA.test])
def test_an_item_is_twenty_numbers_with_index_and_question_in_front(items: Items) -> None:
    assert items.inputs.shape == (len(items), 20)
    assert set(items.question) == {1, 2}
    assert items.index.min() == 1 and items.index.max() == 50
    assert items.body.min() >= 1 and items.body.max() <= 100


def test_a_rule_has_four_different_numbers_and_belongs_to_its_index() -> None:
    rules: dict[int, tuple[int, ...]] = {}
    for index, rule in zip(DATA.test.index, DATA.test.rules, strict=True):
        assert len(set(rule)) == 4
        assert rules.setdefault(int(index), tuple(rule)) == tuple(rule)
    train = dict(zip(DATA.train.index.tolist(), map(tuple, DATA.train.rules), strict=True))
    assert train == rules  # dev and test reuse the rules of training


def test_the_label_says_which_number_of_the_asked_pair_is_the_more_frequent() -> None:
    n = counts(DATA.test)
    asked = np.where(DATA.test.question == 1, n[:, 0] > n[:, 1], n[:, 2] > n[:, 3])
    assert (asked == DATA.test.labels).all()


def test_both_pairs_always_differ_and_the_other_one_gives_nothing_away() -> None:
    n = counts(DATA.test)
    assert (n[:, 0] != n[:, 1]).all() and (n[:, 2] != n[:, 3]).all()
    other = np.where(DATA.test.question == 1, n[:, 2] > n[:, 3], n[:, 0] > n[:, 1])
    assert abs((other == DATA.test.labels).mean() - 0.5) < 0.03
    assert abs(DATA.test.labels.mean() - 0.5) < 0.03


def test_the_remaining_numbers_are_even_and_outside_the_rule() -> None:
    rest = (DATA.test.body[:, :, None] != DATA.test.rules[:, None, :]).all(2)
    seen = np.bincount(DATA.test.body[rest], minlength=101)[1:]
    assert seen.min() > 0.7 * seen.mean() and seen.max() < 1.3 * seen.mean()


def test_numbers_of_the_rule_stand_anywhere_in_the_body() -> None:
    places = (DATA.test.body[:, :, None] == DATA.test.rules[:, None, :]).any(2).mean(0)
    assert places.max() - places.min() < 0.05


def test_missing_information_explains_exactly() -> None:
    assert (DATA.train.explanations == DATA.train.rules).all()
    assert DATA.train.explained[0].tolist() == [1, *DATA.train.rules[0]]


def test_evidential_explanations_are_off_by_two_at_most_and_right_on_average() -> None:
    items = draw("evidential", sizes=SIZES, seed=3).test
    noise = items.explanations - items.rules
    assert set(noise.ravel()) == {-2, -1, 0, 1, 2}
    assert items.explanations.min() >= 1 and items.explanations.max() <= 100
    assert abs(noise[(items.rules > 2) & (items.rules < 99)].mean()) < 0.05


def test_a_recomposable_explanation_is_one_of_two_halves() -> None:
    items = draw("recomposable", sizes=SIZES, seed=3).train
    said = items.explanations > 0
    assert {tuple(row) for row in said.tolist()} == {
        (True, False, True, False),
        (False, True, False, True),
    }
    assert (items.explanations[said] == items.rules[said]).all()


def test_disjoint_parts_share_no_index_with_training() -> None:
    data = draw(sizes=Sizes(indices=50, per_index=2, dev=100, test=100, disjoint=True))
    assert not set(data.train.index) & {*data.dev.index, *data.test.index}


def test_one_seed_draws_the_same_items_and_another_does_not() -> None:
    again, other = draw(sizes=SIZES, seed=3), draw(sizes=SIZES, seed=4)
    assert (again.test.inputs == DATA.test.inputs).all()
    assert (other.test.inputs != DATA.test.inputs).any()


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(QueryShapeError, match="unknown kind 'hidden'; choose missing, evidential"):
        draw("hidden")  # type: ignore[arg-type]
    with pytest.raises(QueryShapeError, match="per_index is 0; give 1 or more"):
        Sizes(per_index=0)
