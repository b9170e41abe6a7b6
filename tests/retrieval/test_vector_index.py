"""The index against a brute force, through any order of adding and removing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval import rows, vector_index
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


@pytest.mark.parametrize("kind", ["ivf-sq8", "hnsw"])
@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.tuples(st.booleans(), st.sets(st.sampled_from(NAMES))), max_size=8),
    k=st.integers(1, 15),
)
def test_an_approximate_kind_is_exact_in_ids(kind, steps, k) -> None:
    random = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vector_index, "LEAST_TRAINED", 4)
        index, held = VectorIndex(dim=5, kind=kind), {}
        for adding, ids in steps:
            chosen = sorted(ids)
            if adding:
                vectors = random.standard_normal((len(chosen), 5)).astype(np.float32)
                index.add(chosen, vectors)
                held.update(zip(chosen, vectors, strict=True))
            else:
                assert index.remove(chosen) == len(held.keys() & ids)
                held = {id: vector for id, vector in held.items() if id not in ids}
            assert set(index.ids) == set(held)
            found = index.search(np.ones(5, np.float32), k=k)
            assert len({id for id, _ in found}) == min(k, len(held))
            assert {id for id, _ in found} <= set(held)
    if kind == "hnsw" and steps:  # rounding to 8 bits by the range of five vectors is coarse
        for id, score in found:
            cosine = held[id].sum() / np.linalg.norm(held[id]) / np.sqrt(5)
            assert score == pytest.approx(cosine, abs=1e-5)


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


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-1, 2), min_size=1, max_size=30),
    st.integers(1, 12),
    st.sets(st.integers(0, 29)),
)
def test_of_equal_ones_those_that_came_first_are_taken(values, k: int, chosen) -> None:
    index = VectorIndex(dim=1, similarity="dot")
    ids = [f"e_{99 - at}" for at in range(len(values))]  # the order of ids is another one
    index.add(ids, np.array(values, np.float32)[:, None])
    allowed = [ids[at] for at in sorted(chosen) if at < len(ids)]
    for among in (None, allowed):
        left = [at for at, id in enumerate(ids) if among is None or id in among]
        best = sorted(left, key=lambda at: (-values[at], at))[:k]
        expected = sorted(
            ((ids[at], float(values[at])) for at in best), key=lambda a: (-a[1], a[0])
        )
        assert index.search(np.ones(1, np.float32), k=k, allowed=among) == expected


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
    assert (index.kind, exact.kind) == ("ivf-sq8", "flat")
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


def recall(index: VectorIndex, vectors: np.ndarray, ids: list[str]) -> float:
    """Share of each of 100 queries' 10 nearest in `ids`, by brute force, that an index finds."""
    among = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = np.random.default_rng(1).standard_normal((100, vectors.shape[1]))
    best = np.argsort(-(queries @ among.T), axis=1)[:, :10]
    found = index.search_many(queries.astype(np.float32), k=10)
    return sum(
        len({ids[at] for at in row} & {id for id, _ in answers})
        for row, answers in zip(best.tolist(), found, strict=True)
    ) / (10 * len(queries))


def scattered(count: int) -> tuple[list[str], np.ndarray]:
    """Vectors without any group, which is the hardest for an approximate index."""
    vectors = np.random.default_rng(0).standard_normal((count, 16)).astype(np.float32)
    return [f"e_{number}" for number in range(count)], vectors


@pytest.mark.parametrize("kind", ["flat", "ivf-sq8", "hnsw"])
def test_one_by_one_or_in_bulk_the_index_answers_equally_well(kind: str) -> None:
    ids, vectors = scattered(3000)
    bulk, single = VectorIndex(dim=16, kind=kind), VectorIndex(dim=16, kind=kind)
    bulk.add(ids, vectors)
    for at, id in enumerate(ids):
        single.add([id], vectors[at : at + 1])
    assert (bulk.ids, bulk.kind) == (single.ids, single.kind) == (tuple(ids), kind)
    for index in (bulk, single):
        index.tune(recall=0.95)
        assert recall(index, vectors, ids) >= (1.0 if kind == "flat" else 0.92)
    np.testing.assert_allclose(
        bulk.vectors(ids), single.vectors(ids), atol=0.02 if kind == "ivf-sq8" else 0
    )
    if kind == "flat":
        assert bulk.search_many(vectors[:50]) == single.search_many(vectors[:50])


def test_while_no_cells_are_learned_one_by_one_equals_bulk_to_the_bit() -> None:
    ids, vectors = scattered(3000)
    bulk, single = (VectorIndex(dim=16, kind="ivf-sq8") for _ in range(2))
    for index in (bulk, single):
        index.add(ids[:2000], vectors[:2000])
    bulk.add(ids[2000:], vectors[2000:])
    for at in range(2000, 3000):
        single.add([ids[at]], vectors[at : at + 1])
    np.testing.assert_array_equal(bulk.vectors(ids), single.vectors(ids))
    assert bulk.search_many(vectors[:50]) == single.search_many(vectors[:50])


def test_rounding_again_at_each_doubling_stays_small() -> None:
    ids, vectors = scattered(7000)
    index = VectorIndex(dim=16, flat_limit=200)
    for start in range(0, 7000, 100):  # cells are learned at 300, 700, 1500, 3100 and 6300
        index.add(ids[start : start + 100], vectors[start : start + 100])
    assert index._built_with == 6300
    exact = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    # The range of a dimension is about 2: a step of 8 bits is .008, half of it one rounding.
    wrong = np.abs(index.vectors(ids) - exact)
    assert (wrong.mean() < 0.005, wrong.max() < 0.1) == (True, True)
    index.tune(recall=1.0)
    assert recall(index, vectors, ids) > 0.93


def test_a_graph_of_neighbours_never_answers_what_was_removed_and_is_built_again() -> None:
    ids, vectors = scattered(2000)
    index = VectorIndex(dim=16, kind="hnsw")
    index.add(ids, vectors)
    index.tune(recall=0.95)
    assert index.remove(ids[:900]) == 900
    marked = len(index._engine.gone)
    assert (marked, len(index)) == (900, 1100)
    assert recall(index, vectors[900:], ids[900:]) > 0.93
    assert {id for id, _ in index.search(vectors[0], k=1100)} == set(ids[900:])
    assert index.remove(ids[900:1100]) == 200
    assert (len(index._engine.gone), len(index)) == (0, 900)  # more were gone than lived
    assert recall(index, vectors[1100:], ids[1100:]) > 0.93
    index.add(ids[:1], vectors[:1])
    assert index.search(vectors[0], k=1)[0][0] == "e_0"
    assert index.remove(ids) == 901
    assert index.search(vectors[0]) == []


def test_equal_vectors_are_all_found_in_a_graph_of_neighbours() -> None:
    # A walk that has met enough equal ones stops before it has met them all.
    ids = [f"e_{number:03}" for number in range(500)]
    index = VectorIndex(dim=4, kind="hnsw")
    index.add(ids, np.ones((500, 4), np.float32))
    assert [id for id, _ in index.search(np.ones(4, np.float32), k=500)] == ids


@pytest.mark.parametrize("kind", ["flat", "ivf-sq8", "hnsw"])
def test_only_allowed_ids_are_answered_be_they_few_or_many(kind: str) -> None:
    ids, vectors = scattered(3000)
    index = VectorIndex(dim=16, kind=kind)
    index.add(ids, vectors)
    for allowed in (ids[5:8], ids[:2900:2], ids[:2900]):
        found = index.search(-vectors[2950], k=len(allowed), allowed=[*allowed, "stranger"])
        assert {id for id, _ in found} == set(allowed)


@pytest.mark.parametrize("kind", ["flat", "ivf-sq8", "hnsw"])
def test_a_memory_map_is_read_in_blocks_and_equals_one_array(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, vectors = scattered(3000)
    np.save(tmp_path / "vectors.npy", vectors.astype(np.float16))
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    index, whole = (VectorIndex(dim=16, kind=kind) for _ in range(2))
    whole.add(ids, np.array(mapped))
    monkeypatch.setattr(rows, "BLOCK", 700)
    index.add(ids, mapped)
    np.testing.assert_allclose(index.vectors(ids), whole.vectors(ids), atol=1e-6)
    if kind != "hnsw":  # its graph depends on what is added at once
        assert index.ids == whole.ids
        found = (one.search_many(vectors[:20]) for one in (index, whole))
        for row, other in zip(*found, strict=True):
            assert [id for id, _ in row] == [id for id, _ in other]
    broken = np.array(mapped)
    broken[2500, 3] = np.inf
    with pytest.raises(QueryShapeError, match="infinity"):
        index.add([f"new_{id}" for id in ids], broken)
    assert index.ids == tuple(ids)


@pytest.mark.parametrize("kind", ["ivf-sq8", "hnsw"])
def test_the_tuned_width_and_the_removed_survive_saving(kind: str, tmp_path: Path) -> None:
    ids, vectors = scattered(2000)
    index = VectorIndex(dim=16, kind=kind)
    index.add(ids, vectors)
    chosen = index.tune(recall=0.99)
    assert chosen.setting == index.setting != vector_index.Engine(dim=16, kind=kind).setting
    index.remove(ids[:50])
    index.save(tmp_path / "index", about={"encoder": "x"})
    loaded = VectorIndex.load(tmp_path / "index")
    assert (loaded.setting, loaded.kind, loaded.option) == (chosen.setting, kind, kind)
    assert loaded.about == {"encoder": "x"}
    assert loaded.ids == index.ids
    assert loaded.search_many(vectors[:60], k=20) == index.search_many(vectors[:60], k=20)
    assert loaded.remove(ids) == 1950


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
    with pytest.raises(QueryShapeError, match="unknown kind of index 'pq'; choose auto, flat"):
        VectorIndex(dim=2, kind="pq")  # type: ignore[arg-type]
    with pytest.raises(QueryShapeError, match="unknown similarity"):
        VectorIndex(dim=2, similarity="l2")  # type: ignore[arg-type]
    with pytest.raises(QueryShapeError, match="'a' is not in the index"):
        index.vectors(["a"])
    assert len(index) == 0
