"""Both losses against slow twins that loop over every pair."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from retrieval.entity_training.batches import EntityBatch
from retrieval.entity_training.contrastive import STALE, Contrastive, ContrastiveOptions
from retrieval.entity_training.margin import Margin, MarginOptions
from retrieval.errors import QueryShapeError
from retrieval.heads.protocol import RelationHead, untrained_head

#: Entity 2 has two tails of relation 0, so each is masked when the other is asked.
TRIPLES = np.array([[2, 0, 5], [2, 0, 9], [5, 1, 9], [9, 1, 5], [5, 0, 5]])
ENTITIES = np.array([2, 5, 9, 11])
BATCH = EntityBatch(
    ENTITIES, np.array([[0, 0, 1], [0, 0, 2], [1, 1, 2], [1, 0, 1]]), np.array([0, 1, 2, 4])
)


def vectors(*, seed: int = 0, count: int = 4) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, 6), dim=1).requires_grad_()


def head() -> RelationHead:
    return untrained_head("affine", relations=2, dim=6, seed=1)


def known(source: int, relation: int) -> set[int]:
    forward = {t for h, r, t in TRIPLES.tolist() if (h, r) == (source, relation)}
    backward = {h for h, r, t in TRIPLES.tolist() if (t, r + 2) == (source, relation)}
    return forward | backward


def slow_contrastive(
    given: torch.Tensor, options: ContrastiveOptions, stale: dict[int, torch.Tensor] | None = None
) -> float:
    """The formula, one question after the other."""
    scorer = head()
    losses = []
    asked = [(h, r, t) for h, r, t in BATCH.triples.tolist()]
    asked += [(t, r + 2, h) for h, r, t in BATCH.triples.tolist()]
    for source, relation, target in asked:
        row = torch.tensor(relation)
        true = scorer.score(given[source], row, given[target]).item() - options.margin
        exponents = [true / options.temperature]
        for place, entity in enumerate(ENTITIES.tolist()):
            masked = options.mask_known and entity in known(int(ENTITIES[source]), relation)
            away = not options.self_negatives and place == source
            if place != target and not masked and not away:
                score = scorer.score(given[source], row, given[place]).item()
                exponents.append(score / options.temperature)
        for entity, vector in (stale or {}).items():
            masked = options.mask_known and entity in known(int(ENTITIES[source]), relation)
            if entity not in ENTITIES and not masked:
                score = scorer.score(given[source], row, vector).item()
                exponents.append(STALE * score / options.temperature)
        losses.append(math.log(sum(math.exp(e - exponents[0]) for e in exponents)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize(
    "options",
    [
        ContrastiveOptions(),
        ContrastiveOptions(temperature=0.3, mask_known=False),
        ContrastiveOptions(self_negatives=False, margin=0.02),
    ],
)
def test_the_contrastive_loss_is_its_formula(options: ContrastiveOptions) -> None:
    given = vectors()
    loss = Contrastive(TRIPLES, relations=2, options=options).loss(given, BATCH, head())
    assert loss.item() == pytest.approx(slow_contrastive(given, options), abs=1e-5)
    loss.backward()
    assert given.grad is not None
    assert bool(torch.isfinite(given.grad).all())


def test_entities_of_earlier_batches_are_half_weight_candidates_without_gradient() -> None:
    options = ContrastiveOptions(temperature=0.5, pre_batches=1)
    objective = Contrastive(TRIPLES, relations=2, options=options)
    earlier = EntityBatch(np.array([5, 20]), np.array([[0, 0, 1]]), np.array([0]))
    old = vectors(seed=7, count=2)
    objective.loss(old, earlier, head()).backward()
    old.grad = None
    given = vectors()
    loss = objective.loss(given, BATCH, head())
    expected = slow_contrastive(given, options, {5: old[0], 20: old[1]})
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    loss.backward()
    assert old.grad is None
    again = Contrastive(TRIPLES, relations=2, options=options)
    fresh = again.loss(vectors(), BATCH, head()).item()
    assert fresh < loss.item()
    again.restore({"0/entities": torch.tensor([5, 20]), "0/vectors": old.detach()})
    assert again.loss(vectors(), BATCH, head()).item() == pytest.approx(loss.item(), abs=1e-6)


def test_a_learned_temperature_gets_a_gradient() -> None:
    objective = Contrastive(TRIPLES, relations=2, options=ContrastiveOptions(learned=True))
    objective.loss(vectors(), BATCH, head()).backward()
    scale = objective.parameters["log_scale"]
    assert scale.item() == pytest.approx(math.log(20), abs=1e-5)
    assert scale.grad is not None
    assert math.isfinite(scale.grad.item())
    assert scale.grad.item() != 0
    assert Contrastive(TRIPLES, relations=2).parameters == {}


@pytest.mark.parametrize("name", ["transe-l1", "distmult", "complex"])
def test_the_margin_loss_is_the_mean_over_all_drawn_corruptions(name: str) -> None:
    options = MarginOptions(negatives=5, seed=4)
    scorer = untrained_head(name, relations=2, dim=6, inverses=False, seed=1)  # type: ignore[arg-type]
    given = vectors()
    loss = Margin(TRIPLES, relations=2, options=options).loss(given, BATCH, scorer)
    heads, tails = Margin(TRIPLES, relations=2, options=options)._corrupted(BATCH.triples)
    losses = []
    for row, (h, r, t) in enumerate(BATCH.triples.tolist()):
        true = scorer.score(given[h], torch.tensor(r), given[t]).item()
        for bad_head, bad_tail in zip(heads[row].tolist(), tails[row].tolist(), strict=True):
            assert bad_head == h or bad_tail == t
            false = scorer.score(given[bad_head], torch.tensor(r), given[bad_tail]).item()
            losses.append(max(0.0, 1 - true + false))
    assert loss.item() == pytest.approx(np.mean(losses), abs=1e-5)


def test_negatives_are_ends_of_other_triples_from_both_sides() -> None:
    triples = np.array([[0, 0, 1], [2, 0, 3], [4, 0, 5]])
    margin = Margin(triples, relations=1, options=MarginOptions(negatives=200))
    heads, tails = margin._corrupted(triples)
    for row, (h, _, t) in enumerate(triples.tolist()):
        others = set(range(6)) - {h, t}
        drawn = set(heads[row].tolist()) | set(tails[row].tolist())
        assert drawn - {h, t} == others
        assert (heads[row] != h).any()
        assert (tails[row] != t).any()


def test_known_corruptions_count_only_where_asked() -> None:
    everything = np.array(list(itertools.product(range(4), [0], range(4))))
    batch = EntityBatch(np.arange(4), everything[:6].copy(), np.arange(6))
    scorer = untrained_head("distmult", relations=1, dim=6, inverses=False)
    masked = Margin(everything, relations=1, options=MarginOptions(mask_known=True))
    plain = Margin(everything, relations=1)
    assert masked.loss(vectors(), batch, scorer).item() == 0
    assert plain.loss(vectors(), batch, scorer).item() > 0


def test_the_regulariser_adds_a_third_of_the_mean_squares() -> None:
    scorer = untrained_head("complex", relations=2, dim=6, inverses=False, seed=1)
    given = vectors()
    values = [
        Margin(TRIPLES, relations=2, options=MarginOptions(regularisation=weight))
        .loss(given, BATCH, scorer)
        .item()
        for weight in (0.0, 0.3)
    ]
    rows = torch.from_numpy(BATCH.triples)
    table = scorer.parameters()["vectors"]
    squares = [given[rows[:, 0]], table[rows[:, 1]], given[rows[:, 2]]]
    expected = 0.1 * sum(part.square().mean().item() for part in squares)
    assert values[1] - values[0] == pytest.approx(expected, abs=1e-5)


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(QueryShapeError, match="temperature=0"):
        ContrastiveOptions(temperature=0)
    with pytest.raises(QueryShapeError, match="negatives=0"):
        MarginOptions(negatives=0)
    alone = EntityBatch(np.array([2, 5]), np.array([[0, 0, 1]]), np.array([0]))
    scorer = untrained_head("distmult", relations=2, dim=6, inverses=False)
    with pytest.raises(QueryShapeError, match="no negatives"):
        Margin(TRIPLES, relations=2).loss(vectors(count=2), alone, scorer)
