"""The copy on a GPU, with FAISS's two calls for it replaced: what is copied, when, and what is not.

No machine of the tests has a GPU, so the "copy" is the index itself, counted.
"""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from retrieval.errors import QueryShapeError
from retrieval.index_devices import LIMIT, PATIENCE
from retrieval.vector_index import VectorIndex

IDS = [f"e_{number}" for number in range(1500)]
VECTORS = np.random.default_rng(0).standard_normal((1500, 8)).astype(np.float32)


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One GPU, and the kinds of the indexes that were copied to it."""
    names: list[str] = []

    def copy(index):
        names.append(type(index).__name__)
        return index

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", copy, raising=False)
    return names


@pytest.mark.parametrize(
    ("kind", "name"), [("flat", "IndexFlatIP"), ("ivf-sq8", "IndexIVFScalarQuantizer")]
)
def test_the_copy_answers_equally_until_the_index_changes(kind, name: str, copied) -> None:
    index, plain = (VectorIndex(dim=8, kind=kind, device=device) for device in ("gpu", "cpu"))
    for one in (index, plain):
        one.add(IDS, VECTORS)
        one.remove(IDS[:3])  # so that rows and numbers differ
    assert index.search_many(VECTORS[:9]) == plain.search_many(VECTORS[:9])
    index.search_many(VECTORS[:9])
    assert copied == [name]
    for one in (index, plain):
        one.add(["new"], VECTORS[:1])
    assert index.search_many(VECTORS[:9]) == plain.search_many(VECTORS[:9])
    assert copied == [name, name]


def test_what_a_gpu_cannot_do_is_done_in_memory(copied) -> None:
    index = VectorIndex(dim=8, kind="hnsw", device="gpu")
    index.add(IDS, VECTORS)
    assert index.search(VECTORS[4], k=1)[0][0] == "e_4"
    flat = VectorIndex(dim=8, device="gpu")
    flat.add([f"e_{number}" for number in range(LIMIT + 1)], np.ones((LIMIT + 1, 8), np.float32))
    assert len(flat.search(VECTORS[0], k=LIMIT + 1)) == LIMIT + 1
    assert flat.search(VECTORS[0], k=1, allowed=["e_7"])[0][0] == "e_7"
    assert copied == []


def test_auto_copies_once_searches_outnumber_changes(copied) -> None:
    index = VectorIndex(dim=8, device="auto")
    index.add(IDS, VECTORS)
    index.search_many(VECTORS[: PATIENCE - 1])
    assert copied == []
    index.search_many(VECTORS[:1])
    assert copied == ["IndexFlatIP"]
    index.remove(IDS[:1])
    index.search_many(VECTORS[:1])
    assert copied == ["IndexFlatIP"]


def test_without_a_gpu_auto_searches_in_memory_and_gpu_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0, raising=False)
    index = VectorIndex(dim=8, device="auto")
    index.add(IDS, VECTORS)
    assert index.search_many(VECTORS[:200], k=1)[199][0][0] == "e_199"
    with pytest.raises(QueryShapeError, match="install faiss-gpu in place of faiss-cpu"):
        VectorIndex(dim=8, device="gpu")
    with pytest.raises(QueryShapeError, match="unknown device 'tpu'"):
        VectorIndex(dim=8, device="tpu")  # type: ignore[arg-type]
