"""Harvests in several processes: killed, side by side, and read while they write."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import kg
from harvest.documents import read_documents
from harvest.job import harvest
from kg.records import Document, Task
from kg.store.lease import is_dead
from tests.harvest import killing
from tests.harvest.linking import LinkingHarvester, write_folder


def alone(folder: Path) -> tuple[str, int]:
    """Hash and number of chunks of one uninterrupted harvest."""
    graph = kg.open_graph("memory://")
    report = harvest(graph, [folder], harvester=LinkingHarvester())
    return kg.graph_hash(graph), report.chunks


def hash_of(uri: str) -> str:
    graph = kg.open_graph(uri)
    try:
        return kg.graph_hash(graph)
    finally:
        graph.close()


def endure(uri: str, tmp_path: Path, *, kills: int, seed: int, documents: int) -> None:
    folder = write_folder(tmp_path / "docs", documents=documents, paragraphs=6)
    ordeal = killing.kill_and_resume(uri, folder, tmp_path / "log", kills=kills, seed=seed)
    expected, chunks = alone(folder)
    assert ordeal.kills == kills
    assert hash_of(uri) == expected
    assert ordeal.read_again == []
    assert len(ordeal.extractions) == ordeal.counts[-1] == chunks
    assert ordeal.counts == sorted(ordeal.counts) and 0 < ordeal.counts[-2] < chunks
    # The kills did lose work, or this test would show nothing.
    assert ordeal.extractions.total() > chunks


@pytest.mark.slow
def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    endure(str(tmp_path / "my.kg"), tmp_path, kills=20, seed=20, documents=120)


@pytest.mark.parametrize("milliseconds", [0, 4, 9, 15, 25])
def test_a_kill_while_the_graph_is_created_leaves_a_usable_place(
    tmp_path: Path, milliseconds: int
) -> None:
    folder = write_folder(tmp_path / "docs", documents=3)
    place, log = tmp_path / "my.kg", tmp_path / "log"
    process = killing.start(str(place), folder, log)
    deadline = time.monotonic() + 60
    while not place.exists():
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    time.sleep(milliseconds / 1000)
    process.kill()
    process.communicate()
    killing.finish(killing.start(str(place), folder, log))
    assert hash_of(str(place)) == alone(folder)[0]


@pytest.mark.slow
@pytest.mark.neo4j
def test_five_kills_change_nothing_on_neo4j(neo4j_graph: str, tmp_path: Path) -> None:
    endure(neo4j_graph, tmp_path, kills=5, seed=5, documents=40)


@pytest.mark.slow
def test_two_kills_of_the_real_extractor_change_nothing(tmp_path: Path) -> None:
    people = "Marie Curie|Lise Meitner|Niels Bohr|Enrico Fermi|Otto Hahn".split("|")
    places = "Warsaw|Vienna|Copenhagen|Rome|Frankfurt|Paris|Berlin|Stockholm".split("|")
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(24):
        person, place = people[number % 5], places[number % 8]
        (folder / f"{number:02}.txt").write_text(
            f"{person} was born in {place} in 18{50 + number}. {person.split()[1]} married "
            f"{people[(number + 1) % 5]} and never worked for the University of {place}.",
        )
    uri, other = str(tmp_path / "my.kg"), str(tmp_path / "other.kg")
    ordeal = killing.kill_and_resume(
        uri, folder, tmp_path / "log", kills=2, seed=2, harvester="text", step=5
    )
    whole = killing.finish(killing.start(other, folder, tmp_path / "other", harvester="text"))
    assert whole["triples"] > 10
    assert hash_of(uri) == hash_of(other)
    assert ordeal.kills == 2 and ordeal.read_again == []
    assert len(ordeal.extractions) == ordeal.counts[-1] == 24


def share(uri: str, tmp_path: Path, *, documents: int) -> None:
    folder = write_folder(tmp_path / "docs", documents=documents, paragraphs=6)
    log = tmp_path / "log"
    processes = [killing.start(uri, folder, log, delay=0.005) for _ in range(2)]
    reports = [killing.finish(process) for process in processes]
    expected, chunks = alone(folder)
    assert hash_of(uri) == expected
    extractions = killing.read_log(log)
    assert Counter(Counter(chunk for _, chunk in extractions).values()) == {1: chunks}
    assert len({process for process, _ in extractions}) == 2, "one process did everything"
    for report in reports:  # each ends with the whole folder in the graph
        assert report["documents"]["ok"] == documents
        assert report["failures"] == []
    assert sum(report["chunks"] for report in reports) == chunks


def test_two_harvests_share_a_folder(tmp_path: Path) -> None:
    share(str(tmp_path / "my.kg"), tmp_path, documents=40)


@pytest.mark.neo4j
def test_two_harvests_share_a_folder_on_neo4j(neo4j_graph: str, tmp_path: Path) -> None:
    share(neo4j_graph, tmp_path, documents=20)


def test_a_killed_harvests_tasks_are_taken_over_at_once(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "docs", documents=2, paragraphs=6)
    uri, log = str(tmp_path / "my.kg"), tmp_path / "log"
    process = killing.start(uri, folder, log, delay=60)
    deadline = time.monotonic() + 60
    while not killing.read_log(log):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    harvester = LinkingHarvester()
    graph = kg.open_graph(uri)
    first = next(row for row in read_documents([folder]) if isinstance(row, Document))
    tasks = [Task(chunk.id, harvester.config.id) for chunk in harvester.chunks(first)]
    assert len(graph.claim(tasks, owner="somebody", ttl=0.0).busy) == 6
    process.kill()
    process.communicate()
    report = harvest(graph, [folder], harvester=harvester)
    graph.close()
    assert report.chunks == 12 and report.seconds < 20
    assert hash_of(uri) == alone(folder)[0]


def test_a_killed_process_is_dead_before_its_parent_looks() -> None:
    script = "from kg.store.lease import new_owner; import time; print(new_owner(), flush=True); "
    process = subprocess.Popen(
        [sys.executable, "-c", script + "time.sleep(60)"],
        cwd=killing.ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    owner = process.stdout.readline().strip()
    assert not is_dead(owner)
    process.kill()
    deadline = time.monotonic() + 30
    while not is_dead(owner):  # a zombie until the next line
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.communicate()
    assert is_dead(owner)


def test_a_reader_sees_whole_documents_while_another_process_harvests(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "docs", documents=40, paragraphs=6)
    uri, log = str(tmp_path / "my.kg"), tmp_path / "log"
    process = killing.start(uri, folder, log, delay=0.01)
    deadline = time.monotonic() + 60
    while not Path(uri, "record.sqlite").exists() or not killing.read_log(log):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    counts = []
    while process.poll() is None:
        reader = kg.open_graph(uri)
        ((mentioned, dangling),) = reader.read(
            "MATCH (c:Chunk) OPTIONAL MATCH (c)-[m:MENTIONS]->(:Entity) "
            "WITH c, count(m) AS mentions "
            "RETURN count(c) AS chunks, sum(CASE WHEN mentions = 0 THEN 1 ELSE 0 END) AS empty"
        )
        reader.close()
        assert not dangling  # a chunk and what is in it become visible together
        counts.append(mentioned)
    killing.finish(process)
    assert counts == sorted(counts) and len(set(counts)) > 2
    assert hash_of(uri) == alone(folder)[0]
