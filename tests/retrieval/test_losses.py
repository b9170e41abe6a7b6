"""InfoNCE against values computed by hand and against a loop."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.losses.info_nce import info_nce

COSINES = torch.tensor([[0.8, 0.5, 0.1, 0.6]])


def test_values_of_the_specification() -> None:
    loss = info_nce(COSINES, torch.tensor([0]), temperature=0.5)
    assert loss.item() == pytest.approx(0.902487, abs=1e-6)
    known = torch.tensor([0]), torch.tensor([3])
    masked = info_nce(COSINES, torch.tensor([0]), temperature=0.5, known=known)
    assert masked.item() == pytest.approx(0.585233, abs=1e-6)


def test_the_target_is_kept_even_if_it_is_among_the_known() -> None:
    known = torch.tensor([0, 0]), torch.tensor([0, 3])
    masked = info_nce(COSINES, torch.tensor([0]), temperature=0.5, known=known)
    assert masked.item() == pytest.approx(0.585233, abs=1e-6)


def test_a_masked_candidate_gets_no_gradient() -> None:
    cosines = COSINES.clone().requires_grad_()
    known = torch.tensor([0]), torch.tensor([3])
    info_nce(cosines, torch.tensor([0]), temperature=0.5, known=known).backward()
    assert cosines.grad is not None
    assert cosines.grad[0, 3] == 0
    assert cosines.grad[0, 0] < 0 < cosines.grad[0, 1]


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=4), min_size=1, max_size=5),
    st.floats(0.02, 2),
    st.data(),
)
def test_it_equals_the_formula_written_as_a_loop(rows, temperature, data) -> None:
    targets = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    pairs = data.draw(
        st.sets(st.tuples(st.integers(0, len(rows) - 1), st.integers(0, 3)), max_size=6)
    )
    known = (
        torch.tensor([row for row, _ in pairs], dtype=torch.int64),
        torch.tensor([column for _, column in pairs], dtype=torch.int64),
    )
    expected = 0.0
    for at, (row, target) in enumerate(zip(rows, targets, strict=True)):
        kept = [s for j, s in enumerate(row) if j == target or (at, j) not in pairs]
        expected -= math.log(
            math.exp(row[target] / temperature) / sum(math.exp(s / temperature) for s in kept)
        )
    loss = info_nce(
        torch.tensor(rows, dtype=torch.float64),
        torch.tensor(targets),
        temperature=temperature,
        known=known,
    )
    assert loss.item() == pytest.approx(expected / len(rows), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_of_nothing_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        info_nce(COSINES, torch.tensor([0]), temperature=temperature)
