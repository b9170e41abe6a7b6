"""Retrieval trained on the label alone; small versions of the diagnostic, and the formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from retrieval.errors import QueryShapeError
from retrieval.explanation_roles.diagnostic import diagnose
from retrieval.explanation_roles.items import Sizes, draw
from retrieval.explanation_roles.network import Encoder, Reader
from retrieval.explanation_roles.training import _Model, train

SMALL = Sizes(indices=120, per_index=10, dev=500, test=1000)


def reader() -> Reader:
    return Reader.new(torch.Generator().manual_seed(0))


def test_a_set_of_explanations_is_read_as_their_mean_slot_by_slot() -> None:
    one = reader()
    slots = one.slots(torch.tensor([[[[5, 6, 7, 8], [9, 0, 7, 0]]]]))[0, 0]
    assert torch.allclose(slots[0], (one.numbers[5] + one.numbers[9]) / 2)
    assert torch.allclose(slots[1], one.numbers[6])  # a number left out counts for nothing
    assert torch.allclose(slots[2], one.numbers[7])
    assert torch.allclose(slots[3], one.numbers[8])
    assert not one.slots(torch.zeros(1, 1, 2, 4, dtype=torch.long)).any()


def test_the_reader_does_not_mind_the_order_of_the_body() -> None:
    one, data = reader(), draw(sizes=SMALL).train
    body, question = torch.from_numpy(data.body[:20]), torch.from_numpy(data.question[:20])
    slots = one.slots(torch.from_numpy(data.rules[:20])[:, None, None])
    assert torch.allclose(
        one.logits(body, question, slots), one.logits(body.flip(1), question, slots), atol=1e-5
    )


def test_the_encoder_is_the_weighted_mean_of_its_numbers() -> None:
    encoder = Encoder.new(100, torch.Generator().manual_seed(0))
    row = torch.tensor([[4, 10, 0, 12, 13]])
    plain = sum(encoder.table[n] for n in (4, 10, 12, 13))
    assert torch.allclose(encoder.explanations(row)[0], plain / plain.norm(), atol=1e-6)


def test_the_likelihood_is_the_sum_over_sets() -> None:
    """Σ p(set|x) p(y|x, set), term by term, against the batched form."""
    data = draw(sizes=SMALL)
    model = _Model(data, "learned", seed=0)
    sets = model.sets(data.test, draw=0)
    got = model.log_odds(data.test, np.arange(5), sets).exp()
    for row in range(5):
        query = model.encoder.items(torch.from_numpy(data.test.inputs[[row]]))[0]
        near, said = [], []
        for chosen in sets[row]:
            pool = model.encoder.explanations(torch.from_numpy(data.train.explained[chosen]))
            near.append(model.encoder.confidence * (pool @ query).mean())
            slots = model.reader.slots(
                torch.from_numpy(data.train.explanations[chosen])[None, None]
            )
            body = torch.from_numpy(data.test.body[[row]])
            question = torch.from_numpy(data.test.question[[row]])
            said.append(torch.sigmoid(model.reader.logits(body, question, slots)[0, 0]))
        prior = torch.stack(near).softmax(0)
        assert got[row, 1].item() == pytest.approx(float(prior @ torch.stack(said)), abs=1e-5)
    assert torch.allclose(got.sum(1), torch.ones(5), atol=1e-5)


@pytest.mark.parametrize("way", ["random", "fixed", "learned", "optimal"])
def test_an_item_never_gets_its_own_explanation(way: str) -> None:
    data = draw(sizes=SMALL)
    sets = _Model(data, way, seed=0).sets(data.train, draw=0)  # type: ignore[arg-type]
    own = np.arange(len(data.train))[:, None, None]
    assert not (sets == own).any()


def test_the_nearest_explanations_come_first_and_equal_a_plain_search() -> None:
    data = draw(sizes=SMALL)
    model = _Model(data, "fixed", seed=0)
    sets = model.sets(data.test, draw=0).reshape(len(data.test), -1)
    assert sets.shape == (1000, 16)
    pool = model.encoder.explanations(torch.from_numpy(data.train.explained))
    query = model.encoder.items(torch.from_numpy(data.test.inputs))
    scores = (query @ pool.T).numpy()
    best = -np.sort(-scores, axis=1)[:, :16]
    assert np.allclose(np.take_along_axis(scores, sets, 1), best, atol=1e-6)


def test_the_oracle_finds_explanations_of_the_own_index_only() -> None:
    data = draw(sizes=SMALL)
    sets = _Model(data, "optimal", seed=0).sets(data.train, draw=0)
    assert (data.train.index[sets] == data.train.index[:, None, None]).all()


def test_the_right_explanation_solves_the_task_and_a_random_one_does_not() -> None:
    data = draw(sizes=SMALL)
    assert train(data, "right", epochs=8).test > 0.98
    assert abs(train(data, "random", epochs=5).test - 0.5) < 0.06


def test_learning_to_retrieve_beats_both_no_retrieval_and_the_untrained_encoder() -> None:
    data = draw(sizes=SMALL)
    none, fixed = train(data, "none", epochs=8), train(data, "fixed", epochs=8)
    learned = train(data, "learned", epochs=16)
    assert none.test < 0.65
    assert learned.test > fixed.test + 0.05 and learned.test > 0.93
    assert learned.found > fixed.found + 0.1


def test_what_training_does_not_hold_cannot_be_retrieved() -> None:
    sizes = Sizes(indices=120, per_index=10, dev=500, test=1000, disjoint=True)
    assert abs(train(draw(sizes=sizes), "learned", epochs=6).test - 0.5) < 0.07


def test_one_seed_gives_one_figure() -> None:
    data = draw(sizes=SMALL)
    assert train(data, "learned", epochs=3) == train(data, "learned", epochs=3)


def test_the_diagnostic_names_what_decides_its_figures() -> None:
    steps = []
    figures = diagnose(
        ways=("none", "right"),
        sizes=Sizes(indices=20, per_index=5, dev=50, test=50),
        epochs=2,
        progress=lambda *step: steps.append(step),
    )
    assert set(figures["accuracy"]) == {"none", "right"}
    assert figures["train"] == 100 and figures["seed"] == 0 and figures["kind"] == "missing"
    assert steps == [("none", 1, 2), ("none", 2, 2), ("right", 1, 2), ("right", 2, 2)]
    with pytest.raises(QueryShapeError, match="unknown way"):
        diagnose(ways=("best",))  # type: ignore[arg-type]
