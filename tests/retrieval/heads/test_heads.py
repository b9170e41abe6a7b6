"""Every head: the specified vectors, both sides, inverses, gradients and files."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from retrieval.errors import ModelFileError, QueryShapeError
from retrieval.heads.affine import Affine
from retrieval.heads.protocol import HEADS, load_head, untrained_head
from retrieval.scoring import RelationScorer

H = torch.tensor([1.0, 2, 3, 4])
R = torch.tensor([0.5, -1, 2, 1])
T = torch.tensor([2.0, 0, 1, -1])
RELATIONS, DIM = 3, 6

#: Heads whose query can be solved for either end.
TWO_SIDED = [name for name, head in HEADS.items() if not issubclass(head, Affine)]
#: Every head with every setting of inverses that it knows.
SETTINGS = [(name, True) for name in HEADS] + [(name, False) for name in TWO_SIDED]
every_setting = pytest.mark.parametrize(("name", "inverses"), SETTINGS)


def vectors(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, DIM, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("transe-l1", -11.5),
        ("transe-l2", -7.29726),
        ("distmult", 3.0),
        ("complex", -5.5),
        ("simple", 7.25),
    ],
)
def test_scores_and_queries_of_both_sides_are_those_computed_on_paper(name, expected) -> None:
    head = HEADS[name]({"vectors": R[None].clone()}, inverses=False)
    forward, backward = torch.tensor([0]), torch.tensor([1])
    assert head.score(H, forward[0], T).item() == pytest.approx(expected, abs=1e-5)
    assert head.score(T, backward[0], H).item() == pytest.approx(expected, abs=1e-5)
    tails = head.scores(head.queries(H[None], forward), head.candidates(T[None]))
    heads = head.scores(head.queries(T[None], backward), head.candidates(H[None]))
    assert tails.item() == pytest.approx(expected, abs=1e-5)
    assert heads.item() == pytest.approx(expected, abs=1e-5)


def test_the_queries_of_complex_are_those_computed_on_paper() -> None:
    head = HEADS["complex"]({"vectors": R[None].clone()}, inverses=False)
    assert head.queries(H, torch.tensor(0)).tolist() == [-5.5, -6, 3.5, -2]
    assert head.queries(T, torch.tensor(1)).tolist() == [3, -1, -3.5, 1]


def test_rotate_turns_by_the_angle_and_backwards_by_its_opposite() -> None:
    head = HEADS["rotate"]({"vectors": torch.tensor([[math.pi / 2, math.pi]])}, inverses=False)
    source = torch.tensor([1.0, 2.0, 0.0, 1.0])  # 1 and 2 + i
    turned = head.queries(source, torch.tensor(0))  # i and −2 − i
    assert turned.tolist() == pytest.approx([0, -2, 1, -1], abs=1e-6)
    assert head.queries(turned, torch.tensor(1)).tolist() == pytest.approx(source.tolist())
    # |i − 0| + |−2 − i − (1 + 3i)| = 1 + 5
    target = torch.tensor([0.0, 1.0, 0.0, 3.0])
    assert head.score(source, torch.tensor(0), target).item() == pytest.approx(-6)


@every_setting
def test_the_score_of_a_link_is_that_of_its_query_and_candidate(name, inverses) -> None:
    head = untrained_head(name, relations=RELATIONS, dim=DIM, inverses=inverses, seed=1)
    assert (head.relations, head.dim, head.inverses) == (RELATIONS, DIM, inverses)
    sources, others = vectors(20, seed=1), vectors(7, seed=2)
    relations = torch.arange(20) % (2 * RELATIONS)  # both sides, mixed
    table = head.scores(head.queries(sources, relations), head.candidates(others))
    links = head.score(sources[:, None], relations[:, None], others[None])
    assert table.shape == links.shape == (20, 7)
    torch.testing.assert_close(table, links, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TWO_SIDED)
def test_without_inverses_the_backward_score_is_that_of_the_swapped_link(name) -> None:
    head = untrained_head(name, relations=RELATIONS, dim=DIM, inverses=False, seed=1)
    heads, tails, relations = vectors(9, seed=1), vectors(9, seed=2), torch.arange(9) % RELATIONS
    forward = head.score(heads, relations, tails)
    torch.testing.assert_close(head.score(tails, relations + RELATIONS, heads), forward)
    if name != "distmult":  # symmetric: the one head that cannot tell the ends apart
        assert not torch.allclose(head.score(tails, relations, heads), forward)


@pytest.mark.parametrize("name", list(HEADS))
def test_with_inverses_every_direction_has_its_own_vector(name) -> None:
    head = untrained_head(name, relations=RELATIONS, dim=DIM, inverses=True, seed=1)
    one = vectors(1).expand(2 * RELATIONS, -1)
    queries = head.queries(one, torch.arange(2 * RELATIONS))
    assert len(torch.unique(queries.round(decimals=4), dim=0)) == 2 * RELATIONS


@every_setting
def test_gradients_reach_relations_and_entities_and_are_finite_at_zero(name, inverses) -> None:
    head = untrained_head(name, relations=RELATIONS, dim=DIM, inverses=inverses, seed=1)
    with torch.no_grad():  # some start at zero, where what they are multiplied with has no gradient
        for value in head.parameters().values():
            value += 0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(2))
    entities = vectors(4)
    entities[1] = 0  # an entity without words
    entities.requires_grad_()
    relations = torch.tensor([0, 1, RELATIONS])
    links = head.score(entities[:3], relations, entities[1:])
    table = head.scores(head.queries(entities[:3], relations), head.candidates(entities))
    (links.sum() + table.sum()).backward()
    for tensor in (entities, *head.parameters().values()):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()
        assert tensor.grad.abs().sum() > 0


def test_rotate_has_a_finite_gradient_where_query_and_candidate_are_equal() -> None:
    head = untrained_head("rotate", relations=1, dim=4, seed=0)
    entities = torch.zeros(2, 4, requires_grad=True)
    relations = torch.zeros(2, dtype=torch.int64)
    links = head.score(entities, relations, entities)
    table = head.scores(head.queries(entities, relations), head.candidates(entities))
    (links.sum() + table.sum()).backward()
    assert torch.isfinite(entities.grad).all()


@pytest.mark.parametrize("name", ["transe-l1", "transe-l2", "distmult", "complex", "simple"])
def test_relation_vectors_start_xavier_uniform_and_depend_on_the_seed(name) -> None:
    table = untrained_head(name, relations=50, dim=150, inverses=False, seed=3).parameters()
    bound = math.sqrt(6 / (50 + 150))
    assert 0.99 * bound < table["vectors"].abs().max().item() <= bound
    assert table["vectors"].std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    again, other = (
        untrained_head(name, relations=50, dim=150, inverses=False, seed=seed).parameters()
        for seed in (3, 4)
    )
    assert torch.equal(again["vectors"], table["vectors"])
    assert not torch.equal(other["vectors"], table["vectors"])


def test_affine_gives_the_queries_of_the_relation_scorer() -> None:
    head = Affine.untrained(relations=RELATIONS, dim=DIM, seed=5)
    scorer = RelationScorer.of(head)
    sources, relations = vectors(12).numpy(), np.arange(12) % (2 * RELATIONS)
    found = head.queries(torch.from_numpy(sources), torch.from_numpy(relations))
    np.testing.assert_allclose(found.detach(), scorer.queries(sources, relations), rtol=1e-6)
    assert torch.linalg.vector_norm(found, dim=1).tolist() == pytest.approx([1] * 12)


@every_setting
def test_a_saved_head_is_loaded_as_it_was(name, inverses, tmp_path) -> None:
    head = untrained_head(name, relations=RELATIONS, dim=DIM, inverses=inverses, seed=1)
    head.save(tmp_path / "new" / "folder")
    loaded = load_head(tmp_path / "new" / "folder")
    assert type(loaded) is type(head)
    assert (loaded.name, loaded.inverses, loaded.relations) == (name, inverses, RELATIONS)
    relations = torch.arange(2 * RELATIONS)
    sources = vectors(2 * RELATIONS)
    assert torch.equal(loaded.queries(sources, relations), head.queries(sources, relations))
    assert all(value.requires_grad for value in loaded.parameters().values())


def test_a_head_on_another_device_shares_nothing_with_the_old_one() -> None:
    head = untrained_head("distmult", relations=2, dim=4, seed=0)
    moved = head.to("cpu")
    with torch.no_grad():
        moved.parameters()["vectors"].zero_()
    assert head.parameters()["vectors"].abs().sum() > 0


def test_files_that_hold_no_head_are_refused(tmp_path) -> None:
    from safetensors.torch import save_file

    with pytest.raises(ModelFileError, match="cannot be read"):
        load_head(tmp_path)
    (tmp_path / "head.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelFileError, match="cannot be read"):
        load_head(tmp_path)
    save_file({"vectors": torch.zeros(2, 2)}, tmp_path / "head.safetensors")
    with pytest.raises(ModelFileError, match="format None"):
        load_head(tmp_path)
    about = {"format": "1", "head": "distmult", "inverses": "True"}
    save_file({"vectors": torch.zeros(3, 2)}, tmp_path / "head.safetensors", metadata=about)
    with pytest.raises(ModelFileError, match="2R with inverses"):
        load_head(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "conve"}, "unknown head 'conve'"),
        ({"name": "complex", "dim": 5}, "dim=5 is odd"),
        ({"name": "simple", "dim": 5}, "dim=5 is odd"),
        ({"name": "rotate", "dim": 5}, "dim=5 is odd"),
        ({"relations": 0}, "relations=0"),
        ({"name": "affine", "relations": 0}, "relations=0"),
        ({"name": "affine", "inverses": False}, "use inverses=True"),
    ],
)
def test_heads_that_cannot_be_made_are_refused(wrong, message) -> None:
    options = {"name": "distmult", "relations": 2, "dim": 4} | wrong
    with pytest.raises(QueryShapeError, match=message):
        untrained_head(options.pop("name"), **options)


def test_entity_vectors_of_another_dimension_are_refused() -> None:
    with pytest.raises(QueryShapeError, match="make the head with dim=5"):
        untrained_head("distmult", relations=2, dim=4).candidates(torch.zeros(3, 5))
