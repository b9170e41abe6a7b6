"""Writers side by side, writers that are killed, rows that find no ends, passing failures."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from neo4j import Driver
from neo4j.exceptions import Neo4jError

from kg import graph_hash, open_graph
from kg.errors import StoreError
from kg.ids import entity_id
from kg.records import (
    Batch,
    Chunk,
    Mention,
)
from kg.store.cypher import removing, writing
from kg.store.cypher.names import Put
from kg.store.neo4j.work import Work
from kg.store.protocol import GraphStore
from tests.kg.store.contract import (
    CONFIG,
    check_equals_twin,
    fill,
    first_batch,
)
from tests.kg.store.random_graph import random_batches
from tests.neo4j_server import restart, start

pytestmark = pytest.mark.neo4j


def test_four_writers_at_once_give_the_graph_of_one(neo4j_graph: str) -> None:
    """On overlapping entities: no deadlock surfaces, and everything is there once."""
    batches = [batch for seed in range(2) for batch in random_batches(seed)]
    graph = open_graph(neo4j_graph)
    run = graph.begin_run(CONFIG).id
    before = graph.change_counter

    def write(part: int) -> int:
        own = open_graph(neo4j_graph)
        created = sum(own.write(batch, run=run).created for batch in batches[part::4])
        own.close()
        return created

    with ThreadPoolExecutor(4) as pool:
        created = sum(pool.map(write, range(4)))
    check_equals_twin(graph)
    memory = open_graph("memory://")
    alone = memory.begin_run(CONFIG).id
    assert created == sum(memory.write(batch, run=alone).created for batch in batches)
    assert graph_hash(graph) == graph_hash(memory)
    assert graph.stats() == memory.stats()
    assert graph.change_counter - before <= len(batches)
    for made in list(graph.written("run")):
        graph.undo(made.id)
    assert graph.stats().evidence == graph.stats().mentions == graph.stats().triples == 0
    graph.close()


def test_writers_that_share_nothing_do_not_wait_for_each_other(neo4j_graph: str) -> None:
    """One writer keeps its transaction open; another comes and goes."""
    graph, other = open_graph(neo4j_graph), open_graph(neo4j_graph)
    run = graph.begin_run(CONFIG).id
    graph.write(Batch(relation_names=first_batch().relation_names), run=run)
    held, go_on = threading.Event(), threading.Event()
    settle = Work.settle

    def wait(work: Work) -> int:
        if threading.current_thread() is slow and not held.is_set():
            held.set()
            go_on.wait(60)
        return settle(work)

    def name(store: GraphStore, text: str) -> None:
        store.write(Batch(mentions=(Mention(entity_id(text), text, CONFIG.id),)), run=run)

    name(graph, "Zero")  # makes the node of the config, which both would make
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Work, "settle", wait)
        patch.setattr(
            "kg.store.neo4j.writing.any_lane", lambda: f"lane-{threading.get_ident() % 7}"
        )
        slow = threading.Thread(target=name, args=(graph, "One"))
        slow.start()
        assert held.wait(60)
        name(other, "Two")
        assert [e.name for e in other.derived("entity")] != []
        go_on.set()
        slow.join(60)
    assert sorted(e.name for e in graph.derived("entity")) == ["One", "Two", "Zero"]
    graph.close()
    other.close()


def test_rows_whose_ends_are_gone_are_an_error_with_their_ids(
    graph: GraphStore, neo4j_driver: Driver
) -> None:
    """`UNWIND … MATCH` drops such rows in silence."""
    run = fill(graph, first_batch())
    neo4j_driver.execute_query("MATCH (d:Document) DETACH DELETE d")
    chunk = Chunk(first_batch().documents[0].id, 0, 5)
    batch = Batch(chunks=(chunk,), mentions=(Mention(entity_id("New"), "New", CONFIG.id),))
    with pytest.raises(StoreError, match=chunk.id):
        graph.write(batch, run=run)
    assert not list(graph.written("mention", id=batch.mentions[0].id))


@pytest.mark.parametrize("left", ["[id, null, null]", "[id, 'other', null]"])
def test_a_lease_that_ends_while_it_is_read_is_free(
    graph: GraphStore, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    """A node that another transaction deletes is still found, but its properties are null."""
    graph.begin_run(CONFIG)
    tasks = first_batch().tasks
    statement = f"UNWIND $rows AS id RETURN collect({left}) AS leases, [] AS done"
    monkeypatch.setattr(removing, "CLAIMED", statement)
    assert graph.claim(tasks, owner="me").granted == tasks


def test_a_passing_failure_is_tried_again_and_counted(
    graph: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = graph.begin_run(CONFIG).id
    put, failures = Work.put_page, iter([True, True])

    def deadlock_at_first(work: Work, puts: list[Put], rows: list[object], **more: object) -> None:
        if writing.NEW_STATES in puts and next(failures, False):
            raise Neo4jError._hydrate_neo4j(
                code="Neo.TransientError.Transaction.DeadlockDetected", message="a deadlock"
            )
        put(work, puts, rows, **more)

    monkeypatch.setattr(Work, "put_page", deadlock_at_first)
    report = graph.write(first_batch(), run=run)
    assert report.retries == 2
    assert report.created == 16  # 1 document, 1 chunk, 5 mentions, 4 evidences, 1 task, 4 names
    check_equals_twin(graph)


_WRITER = """
import sys
from kg import open_graph
from kg.store.lease import new_owner
from tests.kg.store.random_graph import random_batches
graph = open_graph(sys.argv[1])
owner = new_owner()
for batch in random_batches(5, steps=24):
    if graph.claim(batch.tasks, owner=owner).granted:
        graph.write(batch, run=sys.argv[2])
        print("wrote", flush=True)
"""


@pytest.mark.slow
def test_killed_writers_leave_no_half_of_a_batch(neo4j_graph: str) -> None:
    """Five writers are killed at random moments; the sixth ends with the graph of one alone."""
    chance = random.Random(11)
    graph = open_graph(neo4j_graph)
    run = graph.begin_run(CONFIG).id

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", _WRITER, neo4j_graph, run]
        root = Path(__file__).parents[3]
        return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE)

    for _ in range(5):
        writer = start()
        assert writer.stdout is not None
        for _ in range(chance.randrange(1, 4)):
            writer.stdout.readline()
        time.sleep(chance.random() * 0.1)
        writer.kill()
        writer.wait()
        writer.stdout.close()
        check_equals_twin(graph)
    last = start()
    out, _ = last.communicate(timeout=120)
    assert last.returncode == 0
    written = len(out.splitlines())
    assert written < 24  # what was written before was not written again
    memory = open_graph("memory://")
    alone = memory.begin_run(CONFIG).id
    for batch in random_batches(5, steps=24):
        memory.write(batch, run=alone)
    assert graph_hash(graph) == graph_hash(memory)
    graph.close()


_INGEST = """
import sys, time
from kg import open_graph
from kg.errors import StoreError
from kg.store.lease import new_owner
from tests.kg.store.random_graph import random_batches
owner = new_owner()
graph = None
for batch in random_batches(9, steps=24):
    while True:
        try:
            graph = graph or open_graph(sys.argv[1])
            if graph.claim(batch.tasks, owner=owner).granted:
                graph.write(batch, run=sys.argv[2])
            break
        except StoreError as error:  # the server is down: what was not confirmed is done again
            assert error.retryable, error
            time.sleep(0.2)
    print("done", flush=True)
"""


@pytest.mark.slow
def test_server_killed_in_the_middle_of_an_ingest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ingest goes on when the server is back; nothing is lost and nothing doubled."""
    server = start(short_lived=True)
    monkeypatch.setenv("NEO4J_USERNAME", server.user)
    monkeypatch.setenv("NEO4J_PASSWORD", server.password)
    graph = open_graph(server.uri)
    run = graph.begin_run(CONFIG).id
    graph.close()
    command = [sys.executable, "-c", _INGEST, server.uri, run]
    root = Path(__file__).parents[3]
    writer = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE)
    assert writer.stdout is not None
    for _ in range(8):
        writer.stdout.readline()
    server = restart(server)
    assert writer.poll() is None  # it waits, and has work left
    out, _ = writer.communicate(timeout=180)
    assert writer.returncode == 0
    assert len(out.splitlines()) == 16
    memory = open_graph("memory://")
    alone = memory.begin_run(CONFIG).id
    for batch in random_batches(9, steps=24):
        memory.write(batch, run=alone)
    graph = open_graph(server.uri)
    assert graph_hash(graph) == graph_hash(memory)
    assert graph.stats() == memory.stats()
    check_equals_twin(graph)
    graph.close()
    server.stop()
