"""The structures below an index: what is read at a time, and exact answers block by block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrieval import index_engines, rows
from retrieval.index_engines import SAMPLE, Engine, cells_for, exact_top


def vectors(count: int, dim: int = 8) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, dim)).astype(np.float32)


@pytest.mark.parametrize("block", [1, 3, 7, 100])
def test_the_best_of_blocks_are_the_best_of_all(block: int, monkeypatch) -> None:
    monkeypatch.setattr(rows, "BLOCK", block)
    random = np.random.default_rng(0)
    held = random.integers(-2, 3, (20, 3)).astype(np.float32)  # small numbers: many ties
    queries = random.integers(-2, 3, (5, 3)).astype(np.float32)
    numbers = np.arange(100, 120)
    scores, found = exact_top(queries, numbers, lambda some: held[some - 100], 6)
    for row, query in enumerate(queries):
        products = held @ query
        order = sorted(range(20), key=lambda at: (-products[at], at))[:6]
        assert found[row].tolist() == [100 + at for at in order]
        assert scores[row].tolist() == [products[at] for at in order]


def test_fewer_than_asked_are_filled_up() -> None:
    scores, found = exact_top(np.ones((1, 2), np.float32), np.array([4]), lambda _: np.eye(1, 2), 3)
    assert found.tolist() == [[4, -1, -1]]
    assert scores.tolist() == [[1.0, -np.inf, -np.inf]]


@pytest.mark.parametrize("kind", ["flat", "ivf-sq8", "hnsw"])
def test_building_reads_a_block_at_a_time(kind, monkeypatch) -> None:
    monkeypatch.setattr(rows, "BLOCK", 50)
    held, taken = vectors(400), []

    def take(places: np.ndarray) -> np.ndarray:
        taken.append(len(places))
        return held[places]

    engine = Engine.built(kind, np.arange(400), take, dim=8)
    assert max(taken) == 50
    assert len(engine) == 400


def test_cells_are_learned_from_a_sample(monkeypatch) -> None:
    monkeypatch.setattr(index_engines, "SAMPLE", 4)
    held, taken = vectors(400), []

    def take(places: np.ndarray) -> np.ndarray:
        taken.append(len(places))
        return held[places]

    Engine.built("ivf-sq8", np.arange(400), take, dim=8)
    assert taken == [4 * 10, 400]
    assert (cells_for(5), cells_for(400), cells_for(1_000_000)) == (1, 10, 4000)
    assert SAMPLE >= index_engines.LEAST_A_CELL


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("kind", ["flat", "ivf-sq8", "hnsw"])
def test_counted_rows_are_searched_from_the_file(kind, mapped: bool, tmp_path: Path) -> None:
    held = vectors(600)
    engine = Engine.built(kind, np.arange(600), lambda rows: held[rows], dim=8, numbered=False)
    engine.remove([3, 4])
    engine.write(tmp_path / "engine")
    read = Engine.read(
        tmp_path / "engine", dim=8, kind=kind, numbered=False, gone=[3, 4], mapped=mapped
    )
    assert len(read) == len(engine) == 598
    numbers = [number for number in range(600) if number not in (3, 4)]
    assert read.numbers().tolist() == engine.numbers().tolist() == numbers
    for one, other in zip(read.search(held[:9], k=5), engine.search(held[:9], k=5), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(read.take(np.array([599, 7])), held[[599, 7]], atol=0.05)
    read.remove([7])
    assert 7 not in read.search(held[7:8], k=597)[1]
    assert read.search(held[7:8], k=2, allowed=np.array([1, 2]))[1].tolist()[0] in ([1, 2], [2, 1])


@pytest.mark.parametrize("kind", ["flat", "ivf-sq8", "hnsw"])
def test_the_numbers_that_are_there_are_known(kind) -> None:
    held = vectors(300)
    numbers = np.arange(300) * 7
    engine = Engine.built(kind, numbers, lambda rows: held[rows], dim=8)
    engine.remove([14, 21])
    assert engine.numbers().tolist() == [n for n in numbers.tolist() if n not in (14, 21)]


def test_a_file_of_another_dimension_or_none_of_ours_is_refused(tmp_path: Path) -> None:
    engine = Engine(dim=8)
    engine.add(np.arange(3), vectors(3))
    engine.write(tmp_path / "engine")
    with pytest.raises(ValueError, match="8 dimensions in place of 9"):
        Engine.read(tmp_path / "engine", dim=9, kind="flat")
    (tmp_path / "engine").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="FAISS cannot read it"):
        Engine.read(tmp_path / "engine", dim=8, kind="flat")
