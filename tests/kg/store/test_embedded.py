"""What only the embedded store promises: a sound projection, foreign places, several processes."""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from kg import graph_hash, open_graph
from kg.errors import LimitReached, NotFound, StoreError, StoreForeign, StoreVersion
from kg.records import Batch, Chunk, Document, Mention, Task
from kg.store.embedded.record import FORMAT
from kg.store.lease import is_dead, new_owner
from kg.store.protocol import Limits
from tests.kg.store.contract import CONFIG, fill, first_batch, second_batch

ALL_NAMES = "MATCH (e:Entity) RETURN e.name ORDER BY e.name"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    graph = open_graph(tmp_path / "my.kg")
    fill(graph, first_batch(), second_batch())
    graph.read(ALL_NAMES)
    graph.close()
    return tmp_path / "my.kg"


def snapshots(folder: Path) -> list[Path]:
    return sorted(folder.glob("projection-*.grafeo"))


def answers(folder: Path) -> list[tuple[object, ...]]:
    graph = open_graph(folder)
    rows = list(graph.read(ALL_NAMES))
    graph.close()
    return rows


def test_a_snapshot_is_shared_and_not_written_again(folder: Path) -> None:
    (path,) = snapshots(folder)
    before = path.stat()
    assert len(answers(folder)) == 4
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_only_the_newest_snapshot_is_kept(folder: Path) -> None:
    graph = open_graph(folder)
    graph.delete_document("pierre.txt")
    graph.read(ALL_NAMES)
    graph.close()
    assert len(snapshots(folder)) == 1
    assert not list(folder.glob(".projection*"))


@pytest.mark.parametrize("damage", ["deleted", "truncated", "flipped", "no seal", "garbled seal"])
def test_a_damaged_snapshot_is_derived_again(
    folder: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = snapshots(folder)
    seal = path.with_name(path.name + ".sum")
    whole = answers(folder)
    content = path.read_bytes()
    if damage == "deleted":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif damage == "no seal":
        seal.unlink()
    else:
        seal.write_bytes(b"\xff\xfe")
    caplog.clear()
    assert answers(folder) == whole
    (fresh,) = snapshots(folder)
    assert len(caplog.records) == (0 if damage == "deleted" else 1)
    caplog.clear()
    assert answers(folder) == whole  # and the new one is sound
    assert not caplog.records
    assert fresh.stat().st_size > 0


def test_every_flipped_byte_is_noticed(folder: Path) -> None:
    """The engine opens most damaged files silently; our checksum may not."""
    (path,) = snapshots(folder)
    content = bytearray(path.read_bytes())
    whole = answers(folder)
    for place in range(0, len(content), max(1, len(content) // 7)):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        assert answers(folder) == whole


def test_the_engine_itself_refuses_writes(folder: Path) -> None:
    graph = open_graph(folder)
    assert graph.capabilities.enforced_read_only
    with pytest.raises(Exception, match="read-only"):
        graph._caught_up("facts").engine.execute_cypher("CREATE (:Entity {id: 'e_1'})")  # type: ignore[attr-defined]
    graph.close()


def test_a_graph_of_a_newer_version_is_refused(folder: Path) -> None:
    database = sqlite3.connect(folder / "record.sqlite")
    database.execute(f"PRAGMA user_version = {FORMAT + 1}")
    database.close()
    with pytest.raises(StoreVersion, match="upgrade"):
        open_graph(folder)


def test_a_graph_of_an_older_format_says_what_to_do(folder: Path) -> None:
    database = sqlite3.connect(folder / "record.sqlite")
    database.execute("PRAGMA user_version = 1")
    database.close()
    with pytest.raises(StoreVersion, match="harvest the documents into a new graph"):
        open_graph(folder)


def test_a_snapshot_of_another_version_is_derived_again(folder: Path) -> None:
    (path,) = snapshots(folder)
    seal = path.with_name(path.name + ".sum")
    seal.write_text(seal.read_text().replace("shape 2", "shape 999"))
    assert len(answers(folder)) == 4
    assert "shape 999" not in seal.read_text()


def test_places_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    with pytest.raises(StoreForeign, match="is a file"):
        open_graph(file)
    with pytest.raises(StoreForeign, match="other files"):
        open_graph(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    database = sqlite3.connect(other / "record.sqlite")
    database.execute("CREATE TABLE theirs (x)")
    database.close()
    with pytest.raises(StoreForeign, match="another program"):
        open_graph(other)
    (other / "record.sqlite").write_text("not a database at all, but long enough to look at" * 40)
    with pytest.raises(StoreForeign):
        open_graph(other)
    assert file.read_text() == "mine"


def test_reading_does_not_make_a_graph(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="sheaf harvest"):
        open_graph(tmp_path / "typo.kg", create=False)
    assert not (tmp_path / "typo.kg").exists()


@pytest.mark.parametrize("uri", ["", "  ", "http://host", "ftp://host/graph"])
def test_wrong_addresses(uri: str) -> None:
    with pytest.raises(StoreError, match=r"neo4j://"):
        open_graph(uri)


def test_a_folder_without_permission_to_write_is_read(folder: Path) -> None:
    """Another user reads; as root the test first becomes nobody, since root may write anywhere."""
    for path in snapshots(folder):
        path.unlink()
    script = (
        "import os, sys; from kg import open_graph;"
        # What is imported late is imported before: nobody may not read our interpreter.
        f"list(open_graph(sys.argv[2]).read({ALL_NAMES!r}));"
        "os.setuid(65534) if os.getuid() == 0 else None;"
        "g = open_graph(sys.argv[1], create=False);"
        f"print(len(list(g.read({ALL_NAMES!r}))))"
    )
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        copy = Path(place) / "my.kg"
        shutil.copytree(folder, copy)
        for path in copy.iterdir():
            path.chmod(0o444)
        copy.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", script, str(copy), str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        left = snapshots(copy)
        copy.chmod(0o755)
    assert done.stdout.strip() == "4", done.stderr[-2000:]
    assert left == []


def test_a_query_without_end_is_stopped(tmp_path: Path) -> None:
    graph = open_graph(tmp_path / "big.kg")
    run = graph.begin_run(CONFIG).id
    mentions = tuple(
        Mention(f"e_{number:032x}", f"Name {number}", CONFIG.id, type="Person")
        for number in range(1500)
    )
    graph.write(Batch(mentions=mentions), run=run)
    began = time.perf_counter()
    with pytest.raises(LimitReached, match="longer than"):
        graph.read(
            "MATCH (a:Entity), (b:Entity), (c:Entity) WHERE a.name + b.name < c.name "
            "RETURN count(*)",
            limits=Limits(seconds=0.5),
        )
    assert time.perf_counter() - began < 5.0
    assert list(graph.read("MATCH (e:Entity) RETURN count(*)")) == [(1500,)]


def _write_many(folder: str, documents: int, started: object) -> None:
    graph = open_graph(folder)
    run = graph.begin_run(CONFIG).id
    for number in range(documents):
        text = f"Person {number} walked."
        document = Document(uri=f"{number}.txt", text=text)
        chunk = Chunk(document.id, 0, len(text))
        name = f"Person {number}"
        person = Mention(
            *(f"e_{number:032x}", name, CONFIG.id),
            type="Person",
            chunk=chunk.id,
            span=(0, len(name)),
        )
        graph.write(
            Batch((document,), (chunk,), (person,), tasks=(Task(chunk.id, CONFIG.id),)), run=run
        )
        started.set()  # type: ignore[attr-defined]
    graph.close()


def test_a_reader_sees_whole_states_while_another_process_writes(tmp_path: Path) -> None:
    folder = tmp_path / "shared.kg"
    open_graph(folder).close()
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    writer = context.Process(target=_write_many, args=(str(folder), 60, started))
    writer.start()
    assert started.wait(60)
    graph = open_graph(folder, create=False)
    counts = []
    while writer.is_alive():
        ((entities,),) = graph.read("MATCH (e:Entity) RETURN count(*)")
        ((placed,),) = graph.read("MATCH (:Chunk)-[m:MENTIONS]->() RETURN count(*)")
        assert placed >= entities
        counts.append(entities)
    writer.join()
    assert writer.exitcode == 0
    assert counts == sorted(counts)
    assert list(graph.read("MATCH (e:Entity) RETURN count(*)")) == [(60,)]
    graph.close()


def test_two_writers_at_once_give_the_graph_of_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    folder = tmp_path / "two.kg"
    open_graph(folder).close()
    writers = [
        context.Process(target=_write_many, args=(str(folder), 40, started)) for _ in range(2)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    alone = tmp_path / "one.kg"
    _write_many(str(alone), 40, started)
    assert graph_hash(open_graph(folder)) == graph_hash(open_graph(alone))


def test_an_owner_in_a_dead_process_is_dead() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from kg.store.lease import new_owner; print(new_owner())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert is_dead(done.stdout.strip())
    assert not is_dead(new_owner())


def test_closing_twice_is_allowed(tmp_path: Path) -> None:
    graph = open_graph(tmp_path / "x.kg")
    graph.close()
    graph.close()
