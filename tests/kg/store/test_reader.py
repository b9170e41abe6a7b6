"""The reader answers like the engine itself, keeps its limits and can open nothing."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from grafeo import GrafeoDB

from kg.errors import KgError, LimitReached, QueryError
from kg.ids import entity_id
from kg.records import Batch, Config, Mention
from kg.store.embedded.reader import Reader, SnapshotGone
from kg.store.embedded.store import EmbeddedStore
from kg.store.limits import within
from kg.store.protocol import Limits
from tests.kg.sample_graph import fill

LIMITS = Limits(seconds=20)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("snapshots") / "some.grafeo"
    engine = GrafeoDB()
    made = engine.batch_create_nodes_with_props(
        "Entity", [{"id": f"e{n}", "name": f"náme {n}"} for n in range(3_000)]
    )
    engine.batch_create_edges([(made[n], made[n // 2], "R", {"id": n}) for n in range(3_000)])
    engine.save(str(path))
    engine.close()
    return path


@pytest.fixture
def reader(snapshot: Path) -> Iterator[Reader]:
    one = Reader(snapshot, memory=1024**3)
    yield one
    one.close()


@pytest.fixture(scope="module")
def kept(snapshot: Path) -> Iterator[Reader]:
    """A reader for questions that do not end it."""
    one = Reader(snapshot)
    yield one
    one.close()


@pytest.mark.parametrize(
    "question",
    [
        "MATCH (n:Entity) RETURN n.id AS id, n.name AS name",
        "MATCH (n)-[r]->(m) RETURN n, r, m LIMIT 5",
        "MATCH p = (n {id: 'e7'})-[*..3]->(m) RETURN p, length(p) AS n",
        "MATCH (n) WHERE n.id = $id RETURN n.name AS name",
        "RETURN date('2020-02-29') AS d, 1.5 AS f, [1, {a: null}] AS l, 'é🙂' AS t, true AS b",
        "MATCH (n) WHERE n.id = 'nobody' RETURN n.id AS id, n.name AS name",
    ],
)
def test_answers_are_those_of_the_engine(snapshot: Path, kept: Reader, question: str) -> None:
    engine = GrafeoDB.open_read_only(str(snapshot))
    result = engine.execute_cypher(question, {"id": "e5"})
    expected = [tuple(row[column] for column in result.columns) for row in result]
    columns, rows = kept.ask(question, {"id": "e5"}, LIMITS)
    assert (columns, list(rows)) == (tuple(result.columns), expected)


def test_what_the_engine_refuses_is_a_query_error_and_the_reader_lives(kept: Reader) -> None:
    for statement in ("MATCH (n RETURN n", "CREATE (n:X)", "RETURN $missing.x.y AS x"):
        with pytest.raises(QueryError, match="cannot be run"):
            list(kept.ask(statement, {}, LIMITS)[1])
    assert kept.alive
    with pytest.raises(QueryError, match="parameters cannot be sent"):
        kept.ask("RETURN $p AS x", {"p": lambda: 1}, LIMITS)
    with pytest.raises(QueryError, match="not a plain value"):
        list(kept.ask("RETURN $p AS x", {"p": Limits()}, LIMITS)[1])
    assert list(kept.ask("RETURN 1 AS x", {}, LIMITS)[1]) == [(1,)]


def test_a_question_without_an_end_is_ended(reader: Reader) -> None:
    """The engine itself has no way to stop: this one would take a processor for good."""
    started = time.monotonic()
    with pytest.raises(LimitReached, match=r"longer than 0\.5 s"):
        list(
            reader.ask("MATCH (a), (b), (c), (d) RETURN count(*) AS n", {}, Limits(seconds=0.5))[1]
        )
    assert time.monotonic() - started < 15
    assert not reader.alive


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is limited on Linux")
def test_a_question_for_all_memory_dies_alone(reader: Reader) -> None:
    with pytest.raises(LimitReached, match="more memory than 1 GB"):
        list(reader.ask("UNWIND range(1, 500000000) AS x RETURN collect(x) AS l", {}, LIMITS)[1])
    assert not reader.alive


@pytest.mark.parametrize(
    "question",
    ["RETURN 1" + " = 1" * 20_000 + " AS x",
     "RETURN reduce(a = [1], i IN range(1, 300000) | [a]) AS x"],
    ids=["chain", "depth"],
)  # fmt: skip
def test_what_kills_the_engine_does_not_kill_us(reader: Reader, question: str) -> None:
    with pytest.raises(LimitReached, match="the engine died"):
        list(reader.ask(question, {}, LIMITS)[1])
    assert not reader.alive


def test_answers_that_are_too_deep_or_too_long_say_so(kept: Reader) -> None:
    with pytest.raises(LimitReached, match="too deep"):
        list(kept.ask("RETURN reduce(a = [1], i IN range(1, 3000) | [a]) AS x", {}, LIMITS)[1])
    long = "RETURN reduce(s = 'x', i IN range(1, 22) | s + s) AS s"
    with pytest.raises(LimitReached, match="more than 1,000 characters"):
        list(kept.ask(long, {}, Limits(characters=1_000))[1])
    assert kept.alive


def test_a_reader_whose_rows_were_not_taken_is_of_no_more_use(reader: Reader) -> None:
    few = Limits(rows=10)
    with pytest.raises(LimitReached, match="more than 10 rows"):
        list(within(reader.ask("MATCH (n) RETURN n.id AS id LIMIT 2900", {}, few)[1], few))
    assert not reader.alive


def test_no_file_and_no_connection_can_be_opened(kept: Reader, tmp_path: Path) -> None:
    """Without the guard: the process has given up what it would need."""
    secret = tmp_path / "secret.csv"
    secret.write_text("secret,1\n")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        port = listener.getsockname()[1]
        for source in (str(secret), f"file://{secret}", f"http://127.0.0.1:{port}/x.csv"):
            with pytest.raises(KgError):
                list(kept.ask(f"LOAD CSV FROM '{source}' AS l RETURN l", {}, LIMITS)[1])
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert kept.alive


def test_nothing_stays_behind(snapshot: Path) -> None:
    reader = Reader(snapshot)
    process = reader._process.pid
    reader.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_reader_ends_with_its_questions(snapshot: Path) -> None:
    """When the parent is killed, stdin ends, and so does the reader."""
    reader = Reader(snapshot)
    assert reader._process.stdin is not None
    reader._process.stdin.close()
    assert reader._process.wait(timeout=20) == 0
    reader.close()


def test_interrupts_are_for_the_parent(snapshot: Path) -> None:
    reader = Reader(snapshot)
    assert os.getpgid(reader._process.pid) != os.getpgid(0)
    os.kill(reader._process.pid, signal.SIGTERM)
    reader._process.wait(timeout=20)
    with pytest.raises((LimitReached, BrokenPipeError)):
        list(reader.ask("RETURN 1 AS x", {}, LIMITS)[1])
    reader.close()


def test_a_snapshot_that_is_gone_or_damaged_says_so(tmp_path: Path) -> None:
    with pytest.raises(SnapshotGone, match=r"gone\.grafeo does not open"):
        Reader(tmp_path / "gone.grafeo")
    (tmp_path / "bad.grafeo").write_bytes(b"no snapshot" * 1000)
    with pytest.raises(SnapshotGone, match=r"bad\.grafeo does not open"):
        Reader(tmp_path / "bad.grafeo")


# ------------------------------------------------------------------------------ through a store


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path / "my.kg")
    fill(store)
    yield store
    store.close()


def test_a_graph_answers_again_after_a_question_that_killed_the_reader(
    graph: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = "MATCH (p:Person) RETURN count(p) AS n"
    before = graph.read(people).rows
    with monkeypatch.context() as patch:
        patch.setattr("kg.store.guard.check", lambda *_: None)
        with pytest.raises(LimitReached, match="the engine died"):
            graph.read("RETURN 1" + " = 1" * 20_000 + " AS x")
    assert graph.read(people).rows == before


def test_a_hole_in_the_guard_would_open_nothing(
    graph: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("secret,1\n")
    monkeypatch.setattr("kg.store.guard.check", lambda *_: None)
    for statement in (f"LOAD CSV FROM '{secret}' AS l RETURN l", "CREATE (n:Evil)",
                      "MATCH (n) SET n.x = 1", "MATCH (n) DETACH DELETE n"):  # fmt: skip
        with pytest.raises(QueryError):
            graph.read(statement)
    assert graph.read("MATCH (n:Evil) RETURN n").rows == ()


def test_each_state_of_a_graph_has_its_reader_and_none_stays(graph: EmbeddedStore) -> None:
    count = "MATCH (e:Entity) RETURN count(e) AS n"
    assert graph._reader is None  # nobody has asked yet
    (before,) = graph.read(count).rows[0]
    first = graph._reader
    assert first is not None
    graph.read("MATCH (p:Person) RETURN p.name AS name")
    assert graph._reader is first
    config = Config("test")
    mention = Mention(entity_id("Zoe"), "Zoe", config.id)
    graph.write(Batch(mentions=(mention,)), run=graph.begin_run(config).id)
    assert graph.read(count).rows == ((before + 1,),)
    assert graph._reader is not first
    assert not first.alive
    last = graph._reader
    graph.close()
    assert last is not None
    assert not last.alive


def test_two_stores_of_one_folder_follow_each_other(tmp_path: Path) -> None:
    """A snapshot that the other one has replaced is not asked for again."""
    one, other = (EmbeddedStore(tmp_path / "my.kg") for _ in range(2))
    fill(one)
    count = "MATCH (e:Entity) RETURN count(e) AS n"
    (before,) = other.read(count).rows[0]
    config = Config("test")
    for number, store in enumerate((one, other, one), start=1):
        mention = Mention(entity_id(f"Z{number}"), f"Z{number}", config.id)
        store.write(Batch(mentions=(mention,)), run=store.begin_run(config).id)
        assert [s.read(count).rows[0][0] for s in (one, other)] == [before + number] * 2
    one.close()
    other.close()


def test_a_graph_in_memory_has_no_reader() -> None:
    store = EmbeddedStore(None)
    assert store.read("RETURN 1 AS x").rows == ((1,),)
    assert store._reader is None
    store.close()
