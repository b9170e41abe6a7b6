"""Shards on disk against one index in memory, and readers beside a writer."""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval import rows, sharded_index
from retrieval.errors import ModelFileError, QueryShapeError
from retrieval.index_protocol import EntityIndex
from retrieval.index_shards import Shard
from retrieval.sharded_index import ShardedIndex
from retrieval.vector_index import VectorIndex

NAMES = [f"e_{number}" for number in range(12)]


def scattered(count: int, dim: int = 16) -> tuple[list[str], np.ndarray]:
    vectors = np.random.default_rng(0).standard_normal((count, dim)).astype(np.float32)
    return [f"e_{number}" for number in range(count)], vectors


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["add", "remove", "reopen"]), st.sets(st.sampled_from(NAMES))),
        max_size=10,
    ),
    size=st.integers(1, 5),
    k=st.integers(1, 14),
    allowed=st.sets(st.sampled_from([*NAMES, "stranger"])),
    seed=st.integers(0, 99),
)
def test_any_order_of_changes_equals_one_index(steps, size: int, k: int, allowed, seed) -> None:
    # Small whole numbers: products are exact, so that ties are ties in both.
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        one = VectorIndex(dim=3, similarity="dot")
        index = ShardedIndex(Path(name), dim=3, similarity="dot", shard_size=size)
        for step, ids in steps:
            chosen = sorted(ids)
            if step == "add":
                vectors = random.integers(-2, 3, (len(chosen), 3)).astype(np.float32)
                one.add(chosen, vectors)
                index.add(chosen, vectors)
            elif step == "remove":
                assert index.remove(chosen) == one.remove(chosen)
            else:
                index.save()
                index = ShardedIndex.load(Path(name), check=True)
            assert len(index) == len(one)
        assert index.ids == one.ids
        assert [id in index for id in NAMES] == [id in one for id in NAMES]
        queries = random.integers(-2, 3, (4, 3)).astype(np.float32)
        assert index.search_many(queries, k=k) == one.search_many(queries, k=k)
        assert index.search_many(queries, k=k, allowed=allowed) == one.search_many(
            queries, k=k, allowed=allowed
        )
        np.testing.assert_array_equal(index.vectors(list(index.ids)), one.vectors(list(one.ids)))


def test_both_indexes_can_do_the_same(tmp_path: Path) -> None:
    assert isinstance(ShardedIndex(tmp_path, dim=2), EntityIndex)
    assert isinstance(VectorIndex(dim=2), EntityIndex)


@pytest.mark.parametrize("kind", ["ivf-sq8", "hnsw"])
def test_shards_of_an_approximate_kind_are_tuned_and_keep_it(kind: str, tmp_path: Path) -> None:
    ids, vectors = scattered(5000)
    index = ShardedIndex(tmp_path / "index", dim=16, kind=kind, shard_size=2000)
    index.add(ids, vectors)
    queries = np.random.default_rng(1).standard_normal((100, 16)).astype(np.float32)
    tuning = index.tune(queries, recall=0.95)
    assert tuning.recall >= 0.95
    exact = VectorIndex(dim=16, kind="flat")
    exact.add(ids, vectors)

    def recall(one: ShardedIndex) -> float:
        pairs = zip(one.search_many(queries), exact.search_many(queries), strict=True)
        return sum(len({id for id, _ in a} & {id for id, _ in b}) for a, b in pairs) / 1000

    assert recall(index) > 0.93
    assert index.shards == 2
    index.save(about={"encoder": "x"})
    loaded = ShardedIndex.load(tmp_path / "index")
    assert loaded.about == {"encoder": "x"}
    assert loaded.search_many(queries) == index.search_many(queries)
    assert recall(loaded) > 0.93
    # What is sealed later begins where tuning ended.
    more = [f"later_{id}" for id in ids[:2000]]
    loaded.add(more, vectors[:2000])
    assert loaded._shards[-1].engine.kind == kind
    assert loaded._shards[-1].engine.setting == tuning.setting


def test_a_shard_of_which_more_is_gone_than_lives_is_written_again(tmp_path: Path) -> None:
    ids, vectors = scattered(300)
    index = ShardedIndex(tmp_path, dim=16, shard_size=100)
    index.add(ids, vectors)
    index.save()
    before = {path.name for path in tmp_path.glob("shard-*")}
    index.remove(ids[:50])
    assert len(index._shards[0].engine.gone) == 50
    index.remove(ids[50:60])
    assert len(index._shards[0].engine.gone) == 0
    assert len(index._shards[0].ids) == 40
    index.remove(ids[200:])
    index.save()
    assert index.shards == 2
    assert (index.ids, len(index)) == (tuple(ids[60:200]), 140)
    after = {path.name for path in tmp_path.glob("shard-*")}
    assert len(before & after) == 1
    assert len(after) == 2
    assert index.search(vectors[70], k=1)[0][0] == "e_70"


def test_nothing_is_seen_before_it_is_saved_and_old_readers_keep_theirs(tmp_path: Path) -> None:
    ids, vectors = scattered(50)
    index = ShardedIndex(tmp_path, dim=16, shard_size=10)
    index.add(ids[:25], vectors[:25])
    index.save()
    reader = ShardedIndex.load(tmp_path)
    answers = reader.search_many(vectors, k=30)
    index.add(ids[25:], vectors[25:])
    index.remove(ids[:15])
    assert len(ShardedIndex.load(tmp_path)) == 25
    index.save()
    assert (len(ShardedIndex.load(tmp_path)), len(reader)) == (35, 25)
    assert reader.search_many(vectors, k=30) == answers  # though its files are swept away
    assert (index.generation, reader.generation) == (2, 1)


def test_a_second_writer_is_refused_and_can_repeat(tmp_path: Path) -> None:
    ids, vectors = scattered(4)
    ShardedIndex(tmp_path, dim=16).save()
    first, second = ShardedIndex.load(tmp_path), ShardedIndex.load(tmp_path)
    first.add(ids[:2], vectors[:2])
    first.save()
    second.add(ids[2:], vectors[2:])
    with pytest.raises(ModelFileError, match="another writer has saved since"):
        second.save()
    assert ShardedIndex.load(tmp_path).ids == ("e_0", "e_1")
    second = ShardedIndex.load(tmp_path)
    second.add(ids[2:], vectors[2:])
    second.save()
    assert ShardedIndex.load(tmp_path).ids == tuple(ids)


def test_a_reader_that_comes_while_files_are_swept_reads_the_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, vectors = scattered(30)
    index = ShardedIndex(tmp_path, dim=16, shard_size=100)
    index.add(ids[:20], vectors[:20])
    index.save()
    read, calls = Shard.read, []

    def late(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 1:  # between the reading of the manifest and the opening of a shard
            index.add(ids[20:], vectors[20:])
            index.save()
        return read(*arguments, **options)

    monkeypatch.setattr(Shard, "read", late)
    assert len(ShardedIndex.load(tmp_path)) == 30


def write_many(folder: Path, generations: int) -> None:
    """Save generation after generation: g · 7 vectors, all those of one id range removed."""
    index = ShardedIndex.load(folder)
    for generation in range(1, generations):
        ids, vectors = scattered(7 * (generation + 1), 4)
        index.add(ids, vectors)
        index.remove(["e_0"])
        index.save(about={"count": len(ids) - 1})


def test_readers_see_whole_generations_while_another_process_writes(tmp_path: Path) -> None:
    index = ShardedIndex(tmp_path, dim=4, shard_size=20)
    index.add(*scattered(7, 4))
    index.remove(["e_0"])
    index.save(about={"count": 6})
    writer = multiprocessing.get_context("spawn").Process(target=write_many, args=(tmp_path, 60))
    writer.start()
    seen = set()
    while writer.is_alive() or len(seen) < 2:
        reader = ShardedIndex.load(tmp_path)
        seen.add(reader.generation)
        found = reader.search(np.ones(4, np.float32), k=1000)
        assert len(found) == len(reader) == reader.about["count"]
        assert len({id for id, _ in found}) == len(found)
    writer.join()
    assert writer.exitcode == 0
    assert ShardedIndex.load(tmp_path).about == {"count": 7 * 60 - 1}


def test_a_copy_in_another_folder_is_an_index_of_its_own(tmp_path: Path) -> None:
    ids, vectors = scattered(25)
    index = ShardedIndex(tmp_path / "one", dim=16, shard_size=10)
    index.add(ids, vectors)
    index.remove(ids[:3])
    index.save(tmp_path / "two")
    assert not (tmp_path / "one" / "index.json").exists()
    shutil.rmtree(tmp_path / "one")
    copy = ShardedIndex.load(tmp_path / "two", check=True)
    assert copy.ids == tuple(ids[3:])
    with pytest.raises(ModelFileError, match="is at generation 1, this index began with 0"):
        index.save(tmp_path / "two")


def test_what_a_killed_writer_left_is_swept_away(tmp_path: Path) -> None:
    ids, vectors = scattered(25)
    index = ShardedIndex(tmp_path, dim=16, shard_size=10)
    index.add(ids, vectors)  # two shards on disk, never saved
    (tmp_path / "new-12345").mkdir()
    other = ShardedIndex(tmp_path, dim=16, shard_size=10)
    other.add(ids[:5], vectors[:5])
    other.save()
    assert len(list(tmp_path.iterdir())) == 2
    assert ShardedIndex.load(tmp_path).ids == tuple(ids[:5])


def test_a_memory_map_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, vectors = scattered(500)
    np.save(tmp_path / "vectors.npy", vectors.astype(np.float16))
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    one = VectorIndex(dim=16)
    one.add(ids, np.array(mapped))
    monkeypatch.setattr(rows, "BLOCK", 70)
    index = ShardedIndex(tmp_path / "index", dim=16, shard_size=200)
    index.add(ids, mapped)
    assert (index.shards, index.ids) == (2, tuple(ids))
    np.testing.assert_array_equal(index.vectors(ids), one.vectors(ids))


def test_vectors_stay_in_their_file(tmp_path: Path) -> None:
    ids, vectors = scattered(20_000, 64)
    index = ShardedIndex(tmp_path, dim=64, shard_size=20_000)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    if not Path("/proc/self/statm").exists():
        pytest.skip("only Linux tells how much of a process is resident")
    index.add(ids, vectors)
    index.save()
    del index
    before = resident()
    readers = [ShardedIndex.load(tmp_path) for _ in range(8)]
    assert resident() - before < 20_000 * 64 * 4
    assert all(reader.search(vectors[7], k=1)[0][0] == "e_7" for reader in readers)


@pytest.mark.parametrize("damage", [None, b"", b"{}", b"nonsense", b'{"format": 99}'])
def test_a_damaged_manifest_is_refused(tmp_path: Path, damage: bytes | None) -> None:
    ShardedIndex(tmp_path, dim=2).save()
    if damage is None:
        (tmp_path / "index.json").unlink()
    else:
        (tmp_path / "index.json").write_bytes(damage)
    with pytest.raises(ModelFileError, match="build it again"):
        ShardedIndex.load(tmp_path)


@pytest.mark.parametrize("name", ["vectors.faiss", "ids.bin", "offsets.npy", "rows.npy"])
def test_a_cut_or_changed_shard_is_refused(tmp_path: Path, name: str) -> None:
    ids, vectors = scattered(30)
    index = ShardedIndex(tmp_path, dim=16, shard_size=30)
    index.add(ids, vectors)
    index.save()
    path = next(tmp_path.glob("shard-*")) / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(ModelFileError, match="bytes long"):
        ShardedIndex.load(tmp_path)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ModelFileError, match=r"what its name says|mmap length"):
        ShardedIndex.load(tmp_path, check=True)
    path.unlink()
    with pytest.raises(ModelFileError, match="cannot be read"):
        ShardedIndex.load(tmp_path)


def test_the_kind_of_a_shard_goes_by_its_size(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sharded_index, "FLAT_LIMIT", 50)
    ids, vectors = scattered(120)
    small = ShardedIndex(tmp_path / "small", dim=16, shard_size=50)
    large = ShardedIndex(tmp_path / "large", dim=16, shard_size=60)
    for index in (small, large):
        index.add(ids, vectors)
    assert [shard.engine.kind for shard in small._shards] == ["flat", "flat"]
    assert [shard.engine.kind for shard in large._shards] == ["ivf-sq8", "ivf-sq8"]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    index = ShardedIndex(tmp_path, dim=2)
    with pytest.raises(QueryShapeError, match="dim"):
        index.add(["a"], np.ones((1, 3), np.float32))
    with pytest.raises(QueryShapeError, match="id"):
        index.add(["a", "a"], np.ones((2, 2), np.float32))
    with pytest.raises(QueryShapeError, match="k is 0"):
        index.search(np.ones(2, np.float32), k=0)
    with pytest.raises(QueryShapeError, match="'a' is not in the index"):
        index.vectors(["a"])
    with pytest.raises(QueryShapeError, match="the index is empty"):
        index.tune()
    assert index.search(np.ones(2, np.float32)) == []
    index.save()
    with pytest.raises(QueryShapeError, match="holds an index already"):
        ShardedIndex(tmp_path, dim=2)
    with pytest.raises(QueryShapeError, match="shard_size is 0"):
        ShardedIndex(tmp_path / "other", dim=2, shard_size=0)
    with pytest.raises(QueryShapeError, match="unknown kind"):
        ShardedIndex(tmp_path / "other", dim=2, kind="pq")  # type: ignore[arg-type]
