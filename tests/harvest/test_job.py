"""The harvest job on every store: what is written, shared, undone and redone."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kg
from harvest.documents import Failure, read_documents
from harvest.job import harvest, harvest_documents
from harvest.report import Progress, Report
from kg.records import Document, Literal, Task
from kg.store.embedded import EmbeddedStore
from kg.store.lease import new_owner
from tests.harvest.killing import Logged
from tests.harvest.linking import LinkingHarvester, write_folder


@pytest.fixture(params=["memory", "embedded", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def graph(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[kg.GraphStore]:
    if request.param == "neo4j":
        store = kg.open_graph(request.getfixturevalue("neo4j_graph"))
    else:
        store = kg.open_graph("memory://" if request.param == "memory" else tmp_path / "my.kg")
    yield store
    store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "docs")


def texts(**files: str) -> list[Document]:
    return [Document(uri=f"{name}.txt", text=text) for name, text in files.items()]


def names(graph: kg.GraphStore) -> set[tuple[str, str, str]]:
    """The graph's triples by name."""
    name = {entity.id: entity.name for entity in graph.derived("entity")}
    value = {literal.id: literal.lexical for literal in graph.derived("literal")}
    return {
        (name[t.head], t.relation, name.get(t.tail) or value[t.tail])
        for t in graph.derived("triple")
    }


def test_a_folder_becomes_a_graph_and_its_account(graph: kg.GraphStore, folder: Path) -> None:
    (folder / "empty.txt").write_bytes(b"")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    report = harvest(graph, [folder], harvester=LinkingHarvester())
    assert (report.documents, report.failed, report.skipped) == (6, 1, 1)
    assert (report.chunks, report.sentences) == (30, 150)
    assert report.unchanged == report.replaced == 0
    assert {failure.path for failure in report.failures} == {"empty.txt", "picture.png"}
    assert report.triples == sum(report.relations.values()) == len(names(graph))
    assert set(report.relations) == {"links", "joins", "began on"}
    assert report.seconds > 0 and report.sentences_per_second > 0
    (run,) = graph.written("run")
    assert run.finished and run.counts["triples"] == report.triples
    assert report.as_dict()["documents"]["failed"] == 1
    for evidence in graph.written("evidence"):
        assert evidence.span is not None
        (chunk,) = graph.written("chunk", id=evidence.chunk)
        (document,) = graph.written("document", id=chunk.document)
        assert document.text[slice(*evidence.span)] == evidence.quote


def test_names_join_over_chunks_and_negation_asserts_nothing(graph: kg.GraphStore) -> None:
    text = "Marie Curie links Paris.\n\nCurie joins Lise Meitner.\n\nMeitner never links Rome."
    harvest_documents(graph, texts(a=text), harvester=LinkingHarvester())
    assert names(graph) == {
        ("Marie Curie", "LINKS", "Paris"),
        ("Marie Curie", "JOINS", "Lise Meitner"),
    }


def test_a_second_harvest_writes_nothing_but_its_run(graph: kg.GraphStore, folder: Path) -> None:
    first = harvest(graph, [folder], harvester=LinkingHarvester())
    before, stats = kg.graph_hash(graph), graph.stats()
    second = harvest(graph, [folder], harvester=LinkingHarvester())
    assert kg.graph_hash(graph) == before
    assert (second.documents, second.unchanged) == (6, 6)
    assert second.chunks == second.evidence == second.sentences == 0
    after = graph.stats()
    assert after.runs == stats.runs + 1
    assert (after.documents, after.chunks, after.mentions, after.evidence) == (
        stats.documents,
        stats.chunks,
        stats.mentions,
        stats.evidence,
    )
    assert list(graph.written("evidence", run=first.run)) == list(
        graph.written("evidence", run=second.run)
    )


def test_a_second_harvest_without_task_rows_reads_again_and_writes_nothing(
    graph: kg.GraphStore, folder: Path, tmp_path: Path
) -> None:
    """The writer itself writes nothing twice; it is not the tasks that keep it from doing so."""
    harvest(graph, [folder], harvester=LinkingHarvester())
    before, counts = kg.graph_hash(graph), written_counts(graph)
    if graph.home is not None:
        (graph.home / "responses.sqlite").unlink(missing_ok=True)
    forget_tasks(graph)
    assert not list(graph.written("task"))
    log = tmp_path / "log"
    report = harvest(graph, [folder], harvester=Logged(LinkingHarvester(), log))
    assert len(log.read_text().splitlines()) == report.chunks == 30
    assert kg.graph_hash(graph) == before
    assert written_counts(graph) == counts


def forget_tasks(graph: kg.GraphStore) -> None:
    """Delete the rows of finished tasks behind the store's back."""
    if isinstance(graph, EmbeddedStore):
        with graph._record.transaction():
            graph._record.execute("DELETE FROM task")
        return
    from neo4j import GraphDatabase

    credentials = os.environ["NEO4J_USERNAME"], os.environ["NEO4J_PASSWORD"]
    with GraphDatabase.driver(graph.uri, auth=credentials) as driver:
        driver.execute_query("MATCH (t:Task) DETACH DELETE t")


def written_counts(graph: kg.GraphStore) -> list[int]:
    kinds = ("document", "chunk", "mention", "evidence", "config", "task", "relation_name")
    return [sum(1 for _ in graph.written(kind)) for kind in kinds]  # type: ignore[call-overload]


def test_undo_and_harvest_again_gives_the_same_graph(graph: kg.GraphStore, folder: Path) -> None:
    empty = kg.graph_hash(graph)
    report = harvest(graph, [folder], harvester=LinkingHarvester())
    before = kg.graph_hash(graph)
    graph.undo(report.run)
    assert kg.graph_hash(graph) == empty
    assert not list(graph.written("task"))
    again = harvest(graph, [folder], harvester=LinkingHarvester())
    assert again.chunks == 30
    assert kg.graph_hash(graph) == before


def test_undoing_one_of_two_overlapping_runs_keeps_what_the_other_found(
    graph: kg.GraphStore,
) -> None:
    documents = texts(
        a="Marie Curie links Paris.", b="Niels Bohr links Rome.", c="Otto Hahn links X."
    )
    first = harvest_documents(graph, documents[:2], harvester=LinkingHarvester())
    second = harvest_documents(graph, documents[1:], harvester=LinkingHarvester())
    graph.undo(first.run)
    assert names(graph) == {("Niels Bohr", "LINKS", "Rome"), ("Otto Hahn", "LINKS", "X")}
    alone = kg.open_graph("memory://")
    harvest_documents(alone, documents[1:], harvester=LinkingHarvester())
    assert kg.graph_hash(graph) == kg.graph_hash(alone)
    graph.undo(second.run)
    assert names(graph) == set()


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_documents_gives_the_same_graph(folder: Path, seed: int) -> None:
    rows = [row for row in read_documents([folder]) if isinstance(row, Document)]
    expected = kg.open_graph("memory://")
    harvest_documents(expected, rows, harvester=LinkingHarvester())
    random.Random(seed).shuffle(rows)
    shuffled = kg.open_graph("memory://")
    for part in (rows[:2], rows[2:]):
        harvest_documents(shuffled, part, harvester=LinkingHarvester())
    assert kg.graph_hash(shuffled) == kg.graph_hash(expected)


def test_both_stores_and_every_write_size_give_the_same_graph(
    graph: kg.GraphStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harvest(graph, [folder], harvester=LinkingHarvester())
    monkeypatch.setattr("harvest.job.WRITE_CHUNKS", 2)
    other = kg.open_graph("memory://")
    harvest(other, [folder], harvester=LinkingHarvester())
    assert kg.graph_hash(other) == kg.graph_hash(graph)


def test_new_text_of_a_uri_takes_the_place_of_the_old(graph: kg.GraphStore) -> None:
    harvest_documents(graph, texts(a="Marie Curie links Paris."), harvester=LinkingHarvester())
    report = harvest_documents(
        graph, texts(a="Marie Curie links Rome."), harvester=LinkingHarvester()
    )
    assert report.replaced == 1
    assert names(graph) == {("Marie Curie", "LINKS", "Rome")}
    assert [document.text for document in graph.written("document")] == ["Marie Curie links Rome."]


def test_keep_old_keeps_both_texts(graph: kg.GraphStore) -> None:
    for text in ("Marie Curie links Paris.", "Marie Curie links Rome."):
        harvest_documents(graph, texts(a=text), harvester=LinkingHarvester(), keep_old=True)
    assert {tail for _, _, tail in names(graph)} == {"Paris", "Rome"}
    # A later harvest without the option makes up for it.
    harvest_documents(graph, texts(a=text), harvester=LinkingHarvester())
    assert names(graph) == {("Marie Curie", "LINKS", "Rome")}


def test_text_without_a_chunk_still_replaces(graph: kg.GraphStore) -> None:
    harvest_documents(graph, texts(a="Marie Curie links Paris."), harvester=LinkingHarvester())
    report = harvest_documents(graph, texts(a="\n\n"), harvester=LinkingHarvester())
    assert (report.documents, report.replaced, report.unchanged) == (1, 1, 0)
    assert names(graph) == set()


def test_a_text_that_fails_keeps_the_old_one(graph: kg.GraphStore) -> None:
    harvest_documents(graph, texts(a="Marie Curie links Paris."), harvester=LinkingHarvester())
    report = harvest_documents(
        graph,
        texts(a="Marie Curie links Rome.\n\nMarie Curie fails."),
        harvester=LinkingHarvester(),
    )
    assert report.replaced == 0
    assert ("Marie Curie", "LINKS", "Paris") in names(graph)


@pytest.mark.parametrize("keep_old", [False, True])
def test_a_newer_version_takes_the_place_of_the_older(
    graph: kg.GraphStore, folder: Path, keep_old: bool
) -> None:
    harvest(graph, [folder], harvester=LinkingHarvester(version="1"))
    evidence = graph.stats().evidence
    harvest(graph, [folder], harvester=LinkingHarvester(version="2"), keep_old=keep_old)
    assert graph.stats().evidence == (2 * evidence if keep_old else evidence)
    if not keep_old:
        assert {e.config for e in graph.written("evidence")} == {
            LinkingHarvester(version="2").config.id
        }


def test_a_chunk_that_cannot_be_read_is_one_row_and_is_tried_again(graph: kg.GraphStore) -> None:
    documents = texts(
        a="Marie Curie links Paris.\n\nMarie Curie fails.\n\nCurie joins Rome.",
        b="Niels Bohr links Rome.",
    )
    report = harvest_documents(graph, documents, harvester=LinkingHarvester())
    (failure,) = report.failures
    assert (failure.path, failure.text) == ("a.txt", "Marie Curie fails.")
    assert "cannot read 'Marie Curie fails.'" in failure.reason and failure.hint
    assert (report.documents, report.failed) == (1, 1)
    assert names(graph) == {("Marie Curie", "LINKS", "Paris"), ("Niels Bohr", "LINKS", "Rome")}

    later = harvest_documents(graph, documents, harvester=LinkingHarvester(failing=False))
    assert (later.documents, later.failed, later.chunks) == (2, 0, 2)
    # The name of the first chunk was known although another run had found it.
    assert ("Marie Curie", "JOINS", "Rome") in names(graph)


class Lying(LinkingHarvester):
    """Makes a quote that is not in the text."""

    def extract(self, document, chunk, *, known=()):  # type: ignore[no-untyped-def]
        from dataclasses import replace

        batch = super().extract(document, chunk, known=known)
        lies = tuple(replace(e, quote="?" * len(e.quote)) for e in batch.evidence)
        return replace(batch, evidence=lies)


def test_a_record_that_breaks_its_contract_fails_its_document_only(graph: kg.GraphStore) -> None:
    documents = texts(a="Marie Curie links Paris.", b="No statements here.")
    report = harvest_documents(graph, documents, harvester=Lying())
    assert (report.documents, report.failed) == (1, 1)
    assert report.failures[0].path == "a.txt"
    assert names(graph) == set()


HOSTILE_PIECES = [
    "Zoe\u0308 Ståle links X👩‍🔬.",
    "Otto 👩‍🔬 Hahn links Köln.",
    "Hahn joins Zoe\u0308 Ståle.",
    "Ａda Ｌ links Ｒom.",
    *("\r\n", "\n\n", "\r\n\r\n", "\u2028", "\ufeff", "\u202e", " 😀 ", "\t"),
]


@settings(max_examples=30, deadline=None)
@given(pieces=st.lists(st.sampled_from(HOSTILE_PIECES), min_size=1, max_size=12))
def test_every_span_is_its_quote(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str]
) -> None:
    """Through files, with emoji, combining marks, marks of direction and both line ends."""
    text = "x " + " ".join(pieces)
    place = tmp_path_factory.mktemp("docs") / "a.txt"
    place.write_bytes(text.encode())
    graph = kg.open_graph("memory://")
    report = harvest(graph, [place], harvester=LinkingHarvester())
    assert report.failures == ()
    for evidence in graph.written("evidence"):
        assert evidence.span is not None and text[slice(*evidence.span)] == evidence.quote
        assert evidence.head_span is not None and evidence.tail_span is not None
        assert evidence.quote.startswith(text[slice(*evidence.head_span)])
        assert evidence.quote.removesuffix(".").endswith(text[slice(*evidence.tail_span)])
    for mention in graph.written("mention"):
        assert mention.span is not None and text[slice(*mention.span)] == mention.surface
    stated = sum("links" in piece or "joins" in piece for piece in pieces)
    assert sum(1 for _ in graph.written("evidence")) == stated


def test_hedged_statements_count_when_asked_for(graph: kg.GraphStore) -> None:
    documents = texts(a="Marie Curie perhaps links Rome.\n\nNiels Bohr began on 1903-12-10.")
    report = harvest_documents(graph, documents, harvester=LinkingHarvester())
    assert report.triples == 1 and names(graph) == {("Niels Bohr", "BEGAN_ON", "1903-12-10")}
    assert next(iter(graph.derived("literal"))) == Literal("1903-12-10", "xsd:date")
    asked = harvest_documents(graph, documents, harvester=LinkingHarvester(include_hedged=True))
    assert asked.triples == 2 and len(names(graph)) == 2


def test_limit_counts_documents_and_progress_is_told(graph: kg.GraphStore, folder: Path) -> None:
    (folder / "part-0" / "000.txt").write_bytes(b"")
    seen: list[Progress] = []
    report = harvest(graph, [folder], harvester=LinkingHarvester(), limit=2, progress=seen.append)
    assert (report.documents, report.failed) == (2, 1)
    assert [p.documents for p in seen] == [0, 1, 2]
    assert [p.failed for p in seen] == [1, 1, 1]
    assert 0 < seen[-1].bytes_read < seen[-1].bytes_total
    assert seen[-1].sentences == report.sentences and seen[-1].triples == report.triples


def test_a_dead_owners_lease_is_taken_over_at_once(graph: kg.GraphStore, folder: Path) -> None:
    harvester = LinkingHarvester()
    host, _, _, _ = new_owner().split(":")
    tasks = tasks_of(folder, harvester)
    granted = graph.claim(tasks, owner=f"{host}:999999999:1:abcdef01", ttl=3600).granted
    assert len(granted) == 30
    report = harvest(graph, [folder], harvester=harvester)
    assert report.chunks == 30 and report.seconds < 20


def tasks_of(folder: Path, harvester: LinkingHarvester) -> list[Task]:
    return [
        Task(chunk.id, harvester.config.id)
        for row in read_documents([folder])
        if not isinstance(row, Failure)
        for chunk in harvester.chunks(row)
    ]


def test_busy_documents_are_waited_for_and_not_read_twice(
    graph: kg.GraphStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another owner holds a document in the middle, writes it, and only then we finish."""
    harvester, other = LinkingHarvester(), LinkingHarvester()
    documents = [row for row in read_documents([folder]) if isinstance(row, Document)]
    held = [Task(chunk.id, harvester.config.id) for chunk in other.chunks(documents[2])]
    owner = new_owner()
    assert len(graph.claim(held, owner=owner, ttl=3600).granted) == 5

    def finish_the_other(seconds: float) -> None:
        monkeypatch.undo()
        report = harvest_documents(graph, [documents[2]], harvester=other, owner=owner)
        assert report.chunks == 5

    monkeypatch.setattr("harvest.job.time.sleep", finish_the_other)
    seen: list[Progress] = []
    report = harvest_documents(graph, documents, harvester=harvester, progress=seen.append)
    assert (report.documents, report.unchanged, report.chunks) == (6, 1, 25)
    assert max(p.waiting for p in seen) == 1 and seen[-1].waiting == 0
    alone = kg.open_graph("memory://")
    harvest_documents(alone, documents, harvester=LinkingHarvester())
    assert kg.graph_hash(graph) == kg.graph_hash(alone)
    # It would have found that document too, so it keeps it when the other is undone.
    runs = [run.id for run in graph.written("run") if run.id != report.run]
    graph.undo(runs[0])
    assert kg.graph_hash(graph) == kg.graph_hash(alone)


def test_a_long_document_is_written_in_parts_and_its_lease_renewed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "\n\n".join(f"Marie Curie links Place{number}." for number in range(10))
    for limits, parts in (((4, 99.0), 3), ((64, -1.0), 10), ((64, 99.0), 1)):
        monkeypatch.setattr("harvest.job.WRITE_CHUNKS", limits[0])
        monkeypatch.setattr("harvest.job.WRITE_SECONDS", limits[1])
        graph = kg.open_graph("memory://")
        calls = {"claim": 0, "write": 0}

        def counted(name: str, graph: kg.GraphStore = graph, calls: dict[str, int] = calls) -> None:
            real = getattr(graph, name)

            def call(*arguments: object, **options: object) -> object:
                calls[name] += 1
                return real(*arguments, **options)

            monkeypatch.setattr(graph, name, call)

        counted("claim")
        counted("write")
        report = harvest_documents(graph, texts(a=text), harvester=LinkingHarvester())
        assert report.chunks == 10
        assert calls == {"claim": parts, "write": parts}


class Interrupted(LinkingHarvester):
    """A user presses Ctrl-C while the ninth chunk is read."""

    count = 0

    def extract(self, document, chunk, *, known=()):  # type: ignore[no-untyped-def]
        self.count += 1
        if self.count == 9:
            raise KeyboardInterrupt
        return super().extract(document, chunk, known=known)


def test_an_interrupt_keeps_what_was_read_and_the_next_harvest_goes_on(
    graph: kg.GraphStore, folder: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        harvest(graph, [folder], harvester=Interrupted())
    assert len(list(graph.written("task"))) == 8
    (run,) = graph.written("run")
    assert run.finished and run.counts["chunks"] == 8
    report: Report = harvest(graph, [folder], harvester=LinkingHarvester())
    assert report.chunks == 22
    assert report.seconds < 20  # its leases were given back, nobody waits for them
    alone = kg.open_graph("memory://")
    harvest(alone, [folder], harvester=LinkingHarvester())
    assert kg.graph_hash(graph) == kg.graph_hash(alone)
