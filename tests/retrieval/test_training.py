"""The encoder, the optimiser and training: known values, twins, determinism, learning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.encoders.bag_of_words import BagOfWordsEncoder, bag, features_of
from retrieval.encoders.protocol import EntityEncoder
from retrieval.entity_model import EntityModel
from retrieval.entity_training.recipe import preset_named, train_model
from retrieval.entity_training.trainer import EntityReport
from retrieval.errors import ModelFileError, NothingToPredict
from retrieval.heads.affine import Affine
from retrieval.known_links import KnownLinks
from retrieval.row_adam import RowAdam
from retrieval.scoring import RelationScorer
from retrieval.triple_data import TripleData

TEXTS = ["red wine", "white wine of France", "a", "", "Überwald 東京 東京", "red", "wine " * 50]


def test_features_by_hand() -> None:
    assert features_of("Red a") == ["wred", "wa", "c^red", "cred$"]
    assert features_of("...") == []
    many = features_of(" ".join(f"word{number}" for number in range(40)))
    assert sum(feature.startswith("w") for feature in many) == 32
    assert {feature[1:] for feature in many if feature.endswith("$")} == {
        f"ord{number}$"[-4:] for number in range(6)
    }


def test_a_word_and_a_gram_that_look_alike_are_different_features() -> None:
    encoder = BagOfWordsEncoder.fit(["ines wine", "ines wines"], dim=4, min_count=1)
    assert {"wines", "cwine", "wwine"} <= set(encoder.vocabulary)


def test_the_vocabulary_comes_from_the_given_texts_alone() -> None:
    encoder = BagOfWordsEncoder.fit(["red wine", "red beer"], dim=4)
    assert set(encoder.vocabulary) == {"wred", "c^red", "cred$"}
    assert not encoder.encode(["quark"]).any()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=8), st.integers(0, 3))
def test_a_text_has_one_vector_alone_and_in_any_batch(texts: list[str], seed: int) -> None:
    encoder = BagOfWordsEncoder.fit(TEXTS, dim=16, min_count=1, seed=seed)
    together = encoder.encode([*texts, *TEXTS])
    for row, text in enumerate([*texts, *TEXTS]):
        assert (encoder.encode([text])[0] == together[row]).all()
    lengths = np.linalg.norm(together, axis=1)
    assert ((abs(lengths - 1) < 1e-5) | (lengths == 0)).all()
    assert together.dtype == np.float32


def test_encoding_equals_the_differentiable_twin_and_a_loop() -> None:
    encoder = BagOfWordsEncoder.fit(TEXTS, dim=16, min_count=1)
    vectors = encoder.encode(TEXTS)
    twin = bag(torch.from_numpy(encoder.weights), encoder.features(TEXTS)).numpy()
    np.testing.assert_allclose(vectors, twin, atol=1e-6)
    number = {feature: row for row, feature in enumerate(encoder.vocabulary)}
    for text, vector in zip(TEXTS, vectors, strict=True):
        total = sum(
            (encoder.weights[number[f]].astype(float) for f in features_of(text)), np.zeros(16)
        )
        length = np.linalg.norm(total)
        np.testing.assert_allclose(vector, total / length if length else total, atol=1e-6)


def test_more_texts_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = BagOfWordsEncoder.fit(TEXTS, dim=8, min_count=1)
    whole = encoder.encode(TEXTS)
    monkeypatch.setattr("retrieval.encoders.bag_of_words.BLOCK", 2)
    assert (encoder.encode(TEXTS) == whole).all()


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    encoder = BagOfWordsEncoder.fit(TEXTS, dim=8, min_count=1)
    scorer = RelationScorer.of(Affine.untrained(relations=3, dim=8))
    encoder.save(tmp_path)
    scorer.save(tmp_path)
    loaded = BagOfWordsEncoder.load(tmp_path)
    assert isinstance(loaded, EntityEncoder)
    assert loaded.fingerprint == encoder.fingerprint
    assert (loaded.encode(TEXTS) == encoder.encode(TEXTS)).all()
    assert (RelationScorer.load(tmp_path).scale == scorer.scale).all()
    other = BagOfWordsEncoder.fit(TEXTS, dim=8, min_count=1, seed=1)
    assert other.fingerprint != encoder.fingerprint


@pytest.mark.parametrize("name", ["encoder.json", "encoder.safetensors", "scorer.safetensors"])
@pytest.mark.parametrize("damage", [None, b"", b"{}", b"\x00" * 64])
def test_damaged_files_are_refused(tmp_path: Path, name: str, damage: bytes | None) -> None:
    BagOfWordsEncoder.fit(TEXTS, dim=8, min_count=1).save(tmp_path)
    RelationScorer.of(Affine.untrained(relations=3, dim=8)).save(tmp_path)
    if damage is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(damage)
    with pytest.raises(ModelFileError, match="train again"):
        BagOfWordsEncoder.load(tmp_path)
        RelationScorer.load(tmp_path)


def test_queries_equal_the_trained_head_and_the_formula() -> None:
    head = Affine.untrained(relations=2, dim=6, seed=3)
    scorer = RelationScorer.of(head)
    sources = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    relations = np.array([0, 3, 1, 2])
    made = scorer.queries(sources, relations)
    twin = head.queries(torch.from_numpy(sources), torch.from_numpy(relations))
    np.testing.assert_allclose(made, twin.detach().numpy(), atol=1e-6)
    plain = sources[1] * scorer.scale[3] + scorer.offset[3]
    np.testing.assert_allclose(made[1], plain / np.linalg.norm(plain), atol=1e-6)


def test_row_adam_is_adam_where_every_row_is_touched() -> None:
    start = torch.randn(600, 5, generator=torch.Generator().manual_seed(0))
    table, plain = start.clone(), start.clone().requires_grad_()
    rows, adam = torch.arange(600), RowAdam(table)
    usual = torch.optim.Adam([plain], lr=0.05)
    for _ in range(4):
        part = adam.gather(rows)
        (part**3).sum().backward()
        adam.step(rows, part, lr=0.05)
        usual.zero_grad()
        (plain**3).sum().backward()
        usual.step()
    torch.testing.assert_close(table, plain.detach(), rtol=1e-4, atol=1e-5)


def test_row_adam_leaves_other_rows_alone() -> None:
    table = torch.ones(4, 2)
    adam, rows = RowAdam(table), torch.tensor([2, 0])
    part = adam.gather(rows)
    part.sum().backward()
    adam.step(rows, part, lr=0.1)
    assert (table[[1, 3]] == 1).all()
    assert (table[[0, 2]] < 1).all()


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 5)), min_size=1),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=8),
)
def test_known_targets_equal_a_dictionary_of_sets(links, asked) -> None:
    expected: dict[tuple[int, int], set[int]] = {}
    for head, relation, tail in links:
        expected.setdefault((head, relation), set()).add(tail)
        expected.setdefault((tail, relation + 3), set()).add(head)
    known = KnownLinks.of([np.array(links)], relations=3)
    queries = np.array(asked, np.int64).reshape(-1, 2)
    rows, ids = known.targets(queries[:, 0], queries[:, 1])
    found = list(zip(rows.tolist(), ids.tolist(), strict=True))
    assert found == [
        (row, id) for row, key in enumerate(asked) for id in sorted(expected.get(key, ()))
    ]


def colours() -> TripleData:
    """Things are linked to the colour in their names; the test asks for things never trained on."""
    names = ["red", "green", "blue", "white", "black"]
    things = ["car", "house", "bird", "shoe", "book", "lamp", "tree"]
    triples = [(f"{c} {t}", "has colour", c) for c in names for t in things]
    new = [(f"{c} piano", "has colour", c) for c in names]
    texts = {end: end for triple in triples + new for end in (triple[0], triple[2])}
    return TripleData.of(triples, test=new, texts=texts)


def trained(seed: int) -> tuple[TripleData, EntityModel, EntityReport]:
    data = colours()
    preset = preset_named("bow-infonce", passes=20, entities=12, dim=32, seed=seed)
    return data, *train_model(data, preset)


def test_it_learns_what_new_names_tell() -> None:
    data, model, report = trained(0)
    vectors = model.encoder.encode(data.texts)
    queries = model.queries(vectors[data.test[:, 0]], data.test[:, 1])
    answers = (queries @ vectors.T).argsort(axis=1)[:, ::-1]
    for row, target in enumerate(data.test[:, 2].tolist()):
        best = [int(id) for id in answers[row] if id != data.test[row, 0]]
        assert target in best[:2]
    assert report.checks[-1].loss < 1.0


def test_the_same_seed_gives_the_same_weights_and_another_one_does_not() -> None:
    first, second, other = (trained(seed)[1] for seed in (1, 1, 2))
    assert first.fingerprint == second.fingerprint
    assert first.encoder.fingerprint != other.encoder.fingerprint


def test_a_pass_sees_every_triple_once_and_progress_counts_its_steps() -> None:
    seen: list[tuple[int, int, str]] = []
    preset = preset_named("bow-infonce", passes=2, entities=12, dim=8)
    _, report = train_model(
        colours(), preset, progress=lambda done, total, label: seen.append((done, total, label))
    )
    steps = len(seen)
    assert seen == [(done, steps, "training") for done in range(1, steps + 1)]
    assert 1.5 < report.coverage["passes"] < 2.5


def test_texts_without_any_feature_do_not_break_training() -> None:
    data = TripleData.of([("!", "r", "?"), ("?", "r", "-")], texts={"!": "!", "?": "?", "-": "-"})
    model, report = train_model(data, preset_named("bow-infonce", dim=8))
    assert not model.encoder.encode(data.texts).any()
    assert np.isfinite(report.checks[-1].loss)


def test_nothing_to_train_on_is_named() -> None:
    data = TripleData.of([], entities=["a", "b"])
    with pytest.raises(NothingToPredict):
        train_model(data, preset_named("bow-infonce", steps=1))
