"""The losses of demonstration retrieval: hand-solved values, properties, hostile input."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.losses.distillation import distilled, list_kl, squared_logits
from retrieval.losses.info_nce import info_nce
from retrieval.losses.list_wise import list_wise
from retrieval.losses.many_to_many import many_to_many
from retrieval.losses.set_selection import selection_kernel, set_ranking, set_scores
from retrieval.losses.soft_late_interaction import soft_late_interaction

RANKS = torch.tensor([[1, 2, 3]])


@pytest.mark.parametrize(
    ("similarities", "value"), [((0, 0, 0), 0.92420), ((2, 1, 0), 0.29346), ((0, 1, 2), 2.29346)]
)
def test_ranks_of_the_feedback_weigh_the_pairs(similarities: tuple[int, ...], value: float) -> None:
    loss = list_wise(torch.tensor([similarities], dtype=torch.float), RANKS)
    assert loss.item() == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize(("similarities", "value"), [((2, 1, 0), 0.09782), ((0, 1, 2), 0.76449)])
def test_predicted_positions_weigh_the_pairs(similarities: tuple[int, ...], value: float) -> None:
    table = torch.tensor([similarities], dtype=torch.float)
    assert list_wise(table, RANKS, weight="predicted").item() == pytest.approx(value, abs=1e-5)


def slow_list_wise(similarities: list[float], ranks: list[int], weight: str) -> float:
    order = sorted(range(len(ranks)), key=lambda at: -similarities[at])
    position = {at: place for place, at in enumerate(order, start=1)}
    total, pairs = 0.0, 0
    for i, rank in enumerate(ranks):
        for j, other in enumerate(ranks):
            if rank < other:
                pairs += 1
                cost = math.log1p(math.exp(similarities[j] - similarities[i]))
                if weight == "given":
                    total += (1 / rank - 1 / other) * cost
                else:
                    total += abs(1 / position[i] - 1 / position[j]) * cost
    return total if weight == "given" else total / max(1, pairs)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(["given", "predicted"]))
def test_list_wise_equals_the_loop_over_pairs(data: st.DataObject, weight: str) -> None:
    size = data.draw(st.integers(1, 7))
    numbers = st.lists(st.integers(-40, 40), min_size=size, max_size=size, unique=True)
    similarities = [value / 7 for value in data.draw(numbers)]
    ranks = data.draw(st.lists(st.integers(1, 5), min_size=size, max_size=size))
    table = torch.tensor([similarities], dtype=torch.double)
    found = list_wise(table, torch.tensor([ranks]), weight=weight).item()  # type: ignore[arg-type]
    assert found == pytest.approx(slow_list_wise(similarities, ranks, weight), abs=1e-5)


def test_equal_ranks_make_no_pair() -> None:
    table = torch.tensor([[5.0, -5.0]], requires_grad=True)
    for weight in ("given", "predicted"):
        loss = list_wise(table, torch.tensor([[1, 1]]), weight=weight)  # type: ignore[arg-type]
        loss.backward()
        assert loss.item() == 0
        assert not table.grad.any()


def test_the_predicted_form_stops_at_differences_of_fifty() -> None:
    table = torch.tensor([[0.0, 1e4]])
    loss = list_wise(table, torch.tensor([[1, 2]]), weight="predicted")
    assert loss.item() == pytest.approx(0.5 * 50)


def test_list_wise_refuses_what_would_be_silently_wrong() -> None:
    with pytest.raises(ValueError, match="one shape"):
        list_wise(torch.zeros(1, 3), torch.ones(1, 2))
    with pytest.raises(ValueError, match="below 1"):
        list_wise(torch.zeros(1, 2), torch.tensor([[0, 1]]))
    with pytest.raises(ValueError, match="unknown weight"):
        list_wise(torch.zeros(1, 2), torch.tensor([[1, 2]]), weight="mean")  # type: ignore[arg-type]


def test_every_positive_of_a_query_counts() -> None:
    row, edges = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[True, True, False]])
    loss = many_to_many(row, edges, temperature=1.0, symmetric=False)
    assert loss.item() == pytest.approx(0.90761, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_many_to_many_with_one_edge_a_row_is_info_nce(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    table = torch.rand(4, 6, generator=generator)
    targets = torch.randint(0, 6, (4,), generator=generator)
    edges = torch.nn.functional.one_hot(targets, 6).bool()
    ours = many_to_many(table, edges, temperature=0.3, symmetric=False)
    assert ours.item() == pytest.approx(info_nce(table, targets, temperature=0.3).item(), abs=1e-5)


def test_the_symmetric_form_is_the_mean_of_both_sides() -> None:
    table = torch.tensor([[0.9, 0.1], [0.2, 0.3], [0.5, 0.4]])
    edges = torch.tensor([[True, False], [False, True], [True, True]])
    both = many_to_many(table, edges, temperature=0.5)
    sides = [
        many_to_many(one, own, temperature=0.5, symmetric=False)
        for one, own in ((table, edges), (table.T, edges.T))
    ]
    assert both.item() == pytest.approx(sum(side.item() for side in sides) / 2)


def test_ignored_pairs_leave_the_denominator_and_get_no_gradient() -> None:
    table = torch.tensor([[0.5, 0.9, 0.1]], requires_grad=True)
    edges = torch.tensor([[True, False, False]])
    ignored = torch.tensor([[False, True, False]])
    loss = many_to_many(table, edges, temperature=1.0, ignored=ignored, symmetric=False)
    without = many_to_many(table[:, [0, 2]], edges[:, [0, 2]], temperature=1.0, symmetric=False)
    loss.backward()
    assert loss.item() == pytest.approx(without.item())
    assert table.grad[0, 1] == 0


def test_a_batch_without_positives_costs_nothing_and_stays_finite() -> None:
    table = torch.zeros(2, 3, requires_grad=True)
    none = torch.zeros(2, 3, dtype=torch.bool)
    loss = many_to_many(table, none, temperature=0.05, ignored=~none)
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(table.grad).all()


def test_soft_late_interaction_weighs_tokens_by_their_dot_product() -> None:
    tokens, target = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]]), torch.tensor([[1.0, 2.0]])
    mask = torch.ones(1, 2, dtype=torch.bool)
    weights = (tokens @ target.T).softmax(1).flatten()
    assert weights.tolist() == pytest.approx([0.11920, 0.88080], abs=1e-5)
    assert soft_late_interaction(tokens, mask, target).item() == pytest.approx(0.88891, abs=2e-5)


def test_soft_late_interaction_has_max_sim_and_the_mean_as_limits() -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.nn.functional.normalize(torch.randn(2, 5, 4, generator=generator), dim=2)
    targets = torch.nn.functional.normalize(torch.randn(3, 4, generator=generator), dim=1)
    mask = torch.ones(2, 5, dtype=torch.bool)
    cosines = tokens @ targets.T
    sharp = soft_late_interaction(tokens, mask, targets, temperature=1e-4)
    flat = soft_late_interaction(tokens, mask, targets, temperature=1e6)
    torch.testing.assert_close(sharp, cosines.amax(1), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat, cosines.mean(1), atol=1e-5, rtol=0)


def test_padding_is_no_token() -> None:
    tokens = torch.tensor([[[1.0, 0.0], [9.0, 9.0]]])
    mask = torch.tensor([[True, False]])
    found = soft_late_interaction(tokens, mask, torch.tensor([[1.0, 0.0]]))
    assert found.item() == pytest.approx(1.0)
    with pytest.raises(ValueError, match="no token"):
        soft_late_interaction(tokens, ~mask & mask, torch.tensor([[1.0, 0.0]]))


def test_the_kernel_rewards_likeness_and_its_determinant_diversity() -> None:
    query = torch.tensor([1.0, 0.0])
    candidates = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.8, 0.6], [-1.0, 0.0]])
    kernel = selection_kernel(query, candidates)
    assert torch.diag(kernel).tolist() == pytest.approx(
        [1.0, 1.0, math.exp(-0.1 / 0.1), math.exp(-1 / 0.1)], rel=1e-4
    )
    twice, mixed = set_scores(kernel, torch.tensor([[0, 1], [0, 2]])).tolist()
    assert mixed > twice
    assert math.isfinite(twice)


def test_a_singular_set_has_a_finite_gradient() -> None:
    candidates = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]], requires_grad=True)
    kernel = selection_kernel(torch.tensor([1.0, 0.0]), candidates)
    set_ranking(set_scores(kernel, torch.tensor([[0, 2], [0, 1]]))).backward()
    assert torch.isfinite(candidates.grad).all()


def test_set_scores_equal_the_determinant() -> None:
    generator = torch.Generator().manual_seed(1)
    root = torch.randn(5, 5, generator=generator, dtype=torch.double)
    kernel = root @ root.T
    sets = torch.tensor([[0, 1, 2], [2, 3, 4]])
    slow = [torch.logdet(kernel[rows][:, rows]).item() for rows in sets]
    assert set_scores(kernel, sets).tolist() == pytest.approx(slow, abs=1e-3)


def test_equal_set_scores_are_no_division_by_zero() -> None:
    scores = torch.tensor([3.0, 3.0, 3.0], requires_grad=True)
    loss = set_ranking(scores)
    loss.backward()
    assert loss.item() == pytest.approx((0.02 + 0.02 + 0.04) / 3)
    assert torch.isfinite(scores.grad).all()


def test_squared_logits_and_their_mixture() -> None:
    student, teacher = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0])
    assert squared_logits(student, teacher).item() == 5
    assert distilled(torch.tensor(3.0), student, teacher).item() == pytest.approx(4.0)
    with pytest.raises(ValueError, match="one shape"):
        squared_logits(student.unsqueeze(1), teacher)


def test_kl_of_a_list_is_zero_where_the_lists_agree_and_ignores_a_shift() -> None:
    teacher = torch.tensor([[0.3, -1.0, 2.0]])
    assert list_kl(teacher + 5, teacher).item() == pytest.approx(0, abs=1e-6)
    student = torch.tensor([[0.0, 0.0]])
    p = 1 / (1 + math.exp(-1))
    expected = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    assert list_kl(student, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(expected, abs=1e-6)
