"""The index against a brute force, through any order of adding and removing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import ModelFileError, QueryShapeError
from retrieval.vector_index import VectorIndex

NAMES = [f"e_{number}" for number in range(12)]


def brute_force(vectors: dict[str, np.ndarray], query: np.ndarray, k: int) -> list[str]:
    scores = {id: float(vector @ query) for id, vector in vectors.items()}
    return sorted(scores, key=lambda id: (-round(scores[id], 5), id))[:k]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sets(st.sampled_from(NAMES))), max_size=8), st.data())
def test_any_order_of_adding_and_removing_equals_a_dictionary(steps, data) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    index, held = VectorIndex(dim=5), {}
    for adding, ids in steps:
        chosen = sorted(ids)
        if adding:
            vectors = random.standard_normal((len(chosen), 5)).astype(np.float32)
            index.add(chosen, vectors)
            for id, vector in zip(chosen, vectors, strict=True):
                held[id] = vector / np.linalg.norm(vector)
        else:
            assert index.remove(chosen) == sum(id in held for id in chosen)
            held = {id: vector for id, vector in held.items() if id not in ids}
    assert set(index.ids) == set(held)
    assert len(index) == len(held)
    query = random.standard_normal(5).astype(np.float32)
    k = data.draw(st.integers(1, 15))
    assert [id for id, _ in index.search(query, k=k)] == brute_force(held, query, k)
    allowed = data.draw(st.sets(st.sampled_from([*NAMES, "stranger"])))
    among = {id: vector for id, vector in held.items() if id in allowed}
    found = index.search(query, k=k, allowed=allowed)
    assert [id for id, _ in found] == brute_force(among, query, k)
    for id, score in found:
        expected = held[id] @ query / np.linalg.norm(query)
        assert score == pytest.approx(expected, abs=1e-5)
    if held:
        np.testing.assert_allclose(index.vectors(list(held)), list(held.values()), atol=1e-6)


def test_a_new_vector_replaces_the_old_one_of_an_id() -> None:
    index = VectorIndex(dim=2)
    index.add(["a", "b"], np.array([[1, 0], [0, 1]], np.float32))
    index.add(["a"], np.array([[0, -1]], np.float32))
    assert len(index) == 2
    assert index.search(np.array([0, 1], np.float32), k=2) == [("b", 1.0), ("a", -1.0)]


def test_the_zero_vector_is_near_to_nothing() -> None:
    index = VectorIndex(dim=2)
    index.add(["none", "some"], np.array([[0, 0], [-1, 0]], np.float32))
    assert index.search(np.array([1, 0], np.float32), k=2) == [("none", 0.0), ("some", -1.0)]


def test_an_empty_index_and_an_empty_choice_answer_nothing() -> None:
    index = VectorIndex(dim=2)
    assert index.search(np.ones(2, np.float32)) == []
    index.add(["a"], np.ones((1, 2), np.float32))
    assert index.search(np.ones(2, np.float32), allowed=[]) == []
    assert index.search_many(np.ones((3, 2), np.float32), k=1)[2][0][0] == "a"


def clustered(count: int) -> tuple[list[str], np.ndarray]:
    """Vectors in forty groups: what an inverted file is made for."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((40, 16))
    vectors = centres[random.integers(0, 40, count)] + 0.2 * random.standard_normal((count, 16))
    return [f"e_{number}" for number in range(count)], vectors.astype(np.float32)


def test_above_the_limit_it_is_approximate_but_keeps_ids_and_changes() -> None:
    ids, vectors = clustered(6000)
    index, exact = VectorIndex(dim=16, flat_limit=2000), VectorIndex(dim=16)
    for start in range(0, 6000, 1500):
        index.add(ids[start : start + 1500], vectors[start : start + 1500])
        exact.add(ids[start : start + 1500], vectors[start : start + 1500])
    assert (index.kind, exact.kind) == ("ivf", "flat")
    for one in (index, exact):
        assert one.remove(ids[:100]) == 100
        one.add(["new"], vectors[:1])
    shared = 0
    for row in range(0, 6000, 60):
        best = {id for id, _ in exact.search(vectors[row], k=10)}
        shared += len(best & {id for id, _ in index.search(vectors[row], k=10)})
    assert shared / 1000 > 0.9
    assert index.search(vectors[0], k=1)[0][0] == "new"
    assert "e_0" not in {id for id, _ in index.search(vectors[0], k=500)}
    # Few allowed ids lie in few cells: it looks further until it has found them all.
    few = ["e_100", "e_2000", "e_5999"]
    assert {id for id, _ in index.search(vectors[0], k=3, allowed=few)} == set(few)


@pytest.mark.parametrize("limit", [100_000, 200])
def test_saved_and_loaded_it_answers_the_same_and_goes_on(tmp_path: Path, limit: int) -> None:
    ids, vectors = clustered(400)
    index = VectorIndex(dim=16, flat_limit=limit)
    index.add(ids, vectors)
    index.remove(ids[:7])
    index.save(tmp_path / "deep" / "index")
    loaded = VectorIndex.load(tmp_path / "deep" / "index")
    assert (loaded.kind, loaded.ids) == (index.kind, index.ids)
    assert loaded.search(vectors[50], k=20) == index.search(vectors[50], k=20)
    loaded.add(["later"], vectors[:1])
    assert loaded.search(vectors[0], k=1)[0][0] == "later"
    assert loaded.remove(ids[7:9]) == 2


@pytest.mark.parametrize("name", ["index", "index.json"])
@pytest.mark.parametrize("damage", [None, b"", b"{}", b"nonsense"])
def test_damaged_files_are_refused(tmp_path: Path, name: str, damage: bytes | None) -> None:
    index = VectorIndex(dim=2)
    index.add(["a"], np.ones((1, 2), np.float32))
    index.save(tmp_path / "index")
    if damage is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(damage)
    with pytest.raises(ModelFileError, match="build it again"):
        VectorIndex.load(tmp_path / "index")


def test_files_of_two_generations_are_refused(tmp_path: Path) -> None:
    index = VectorIndex(dim=2)
    index.add(["a"], np.ones((1, 2), np.float32))
    index.save(tmp_path / "index")
    old = (tmp_path / "index.json").read_bytes()
    index.add(["b"], np.ones((1, 2), np.float32))
    index.save(tmp_path / "index")
    (tmp_path / "index.json").write_bytes(old)
    with pytest.raises(ModelFileError, match="not of one generation"):
        VectorIndex.load(tmp_path / "index")


def test_what_does_not_fit_is_refused() -> None:
    index = VectorIndex(dim=2)
    with pytest.raises(QueryShapeError, match="dim"):
        index.add(["a"], np.ones((1, 3), np.float32))
    with pytest.raises(QueryShapeError, match="id"):
        index.add(["a", "a"], np.ones((2, 2), np.float32))
    with pytest.raises(QueryShapeError, match="id"):
        index.add(["a"], np.ones((2, 2), np.float32))
    with pytest.raises(QueryShapeError, match="NaN"):
        index.add(["a"], np.full((1, 2), np.nan, np.float32))
    with pytest.raises(QueryShapeError, match="k is 0"):
        index.search(np.ones(2, np.float32), k=0)
    with pytest.raises(QueryShapeError, match="'a' is not in the index"):
        index.vectors(["a"])
    assert len(index) == 0
