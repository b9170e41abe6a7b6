"""A harvest with a language model, from end to end: evidence, resume, budget, failures, the key."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import kg
from harvest.errors import BudgetReached, EndpointRefused, EndpointUnreachable
from harvest.job import AheadHarvester, harvest_documents
from harvest.llm.budget import Budget
from harvest.llm.harvester import LLMHarvester
from harvest.report import Report
from harvest.responses import ResponseCache
from kg.records import Document, Literal
from tests.harvest.llm import server as servers
from tests.harvest.llm.asking import documents, harvester, many
from tests.harvest.llm.server import KEY, Server

ROOT = Path(__file__).parents[3]


def harvest(graph: kg.GraphStore, texts: list[Document], server: Server, **options: Any) -> Report:
    with harvester(server, **options) as made:
        return harvest_documents(graph, texts, harvester=made)


@pytest.fixture(params=["memory", "embedded", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def graph(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[kg.GraphStore]:
    if request.param == "neo4j":
        store = kg.open_graph(request.getfixturevalue("neo4j_graph"))
    else:
        store = kg.open_graph("memory://" if request.param == "memory" else tmp_path / "my.kg")
    yield store
    store.close()


def names(graph: kg.GraphStore) -> set[tuple[str, str, str]]:
    def name(id: str) -> str:
        record = graph.get(id)
        return record.lexical if isinstance(record, Literal) else record.name  # type: ignore[union-attr]

    return {(name(t.head), t.relation, name(t.tail)) for t in graph.derived("triple")}


TEXTS = [
    "Marie Curie was born in Warsaw. Marie Curie was born on 7 November 1867.\n\n"
    "Marie Curie never was born in Rome. Otto Hahn was perhaps born in Frankfurt.",
    "Sorbonne has 1,200 students. Marie Curie works for Sorbonne. Ada Byron married Max Born.",
]
TRIPLES = {
    ("Marie Curie", "BORN_IN", "Warsaw"),
    ("Marie Curie", "BORN_ON", "1867-11-07"),
    ("Sorbonne", "STUDENTS", "1200"),
    ("Marie Curie", "WORKS_FOR", "Sorbonne"),
}


def test_documents_become_a_graph(graph: kg.GraphStore) -> None:
    with Server() as server:
        report = harvest(graph, documents(TEXTS), server)
    found = names(graph)
    assert found >= TRIPLES
    assert {frozenset((a, b)) for a, r, b in found if r == "MARRIED"} == {
        frozenset(("Ada Byron", "Max Born"))
    }
    assert len(found) == 5  # what is denied or doubted supports nothing
    assert report.failures == () and report.documents == 2
    flags = Counter((e.negated, e.hedged) for e in graph.written("evidence"))
    assert flags == {(False, False): 5, (True, False): 1, (False, True): 1}
    for evidence in graph.written("evidence"):
        (chunk,) = graph.written("chunk", id=evidence.chunk)
        (document,) = graph.written("document", id=chunk.document)
        assert evidence.span and document.text[slice(*evidence.span)] == evidence.quote
        assert evidence.score == 0.7  # the stated constant: the endpoint gives no probabilities
    (config,) = graph.written("config")
    assert (config.harvester, config.model) == ("llm", "m") and config.prompt
    assert report.harvester["calls"] == 2 and report.harvester["prompt_tokens"] > 0


def test_log_probabilities_become_scores() -> None:
    graph = kg.open_graph("memory://")
    with Server() as server:
        server.faults.append("logprobs")
        harvest(graph, documents(TEXTS[1:]), server)
    assert {e.score for e in graph.written("evidence")} == {0.7788}  # exp(-0.25)


def test_a_second_harvest_writes_nothing_and_asks_nothing(graph: kg.GraphStore) -> None:
    cache = ResponseCache(None)
    with Server() as server:
        harvest(graph, documents(TEXTS), server, cache=cache)
        before, stats = kg.graph_hash(graph), graph.stats()
        report = harvest(graph, documents(TEXTS), server, cache=cache)
        assert len(server.requests) == 2
        assert (report.unchanged, report.evidence) == (2, 0)
        assert kg.graph_hash(graph) == before and graph.stats().evidence == stats.evidence


def test_undo_and_harvest_again_costs_nothing(graph: kg.GraphStore) -> None:
    cache = ResponseCache(None)
    with Server() as server:
        report = harvest(graph, documents(TEXTS), server, cache=cache)
        before = kg.graph_hash(graph)
        graph.undo(report.run)
        assert names(graph) == set()
        again = harvest(graph, documents(TEXTS), server, cache=cache)
        assert len(server.requests) == 2 and again.harvester["calls"] == 0
        assert kg.graph_hash(graph) == before


def test_without_cache_and_tasks_the_writer_writes_nothing_twice() -> None:
    graph = kg.open_graph("memory://")
    with Server() as server:
        harvest(graph, documents(TEXTS), server)
        before, stats = kg.graph_hash(graph), graph.stats()
        with graph._record.transaction():  # type: ignore[attr-defined]
            graph._record.execute("DELETE FROM task")  # type: ignore[attr-defined]
        harvest(graph, documents(TEXTS), server)
        assert len(server.requests) == 4
        assert kg.graph_hash(graph) == before and graph.stats().evidence == stats.evidence


def test_a_new_reader_reads_stored_answers_again_and_replaces_the_old_evidence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph, cache = kg.open_graph("memory://"), ResponseCache(None)
    with Server() as server:
        harvest(graph, documents(TEXTS), server, cache=cache)
        before = {(e.head, e.relation, e.tail_id) for e in graph.written("evidence")}
        monkeypatch.setattr("harvest.llm.harvester.VERSION", "2")
        monkeypatch.setattr("harvest.llm.scoring.UNCALIBRATED", 0.6)
        report = harvest(graph, documents(TEXTS), server, cache=cache)
        assert len(server.requests) == 2 and report.harvester["calls"] == 0
    after = {(e.head, e.relation, e.tail_id) for e in graph.written("evidence")}
    assert after == before and {e.score for e in graph.written("evidence")} == {0.6}


@pytest.mark.parametrize("concurrency", [1, 5])
@pytest.mark.parametrize("chunk_tokens", [20, 800])
def test_the_graph_depends_neither_on_order_nor_on_concurrency(
    concurrency: int, chunk_tokens: int
) -> None:
    texts = many(7)
    options = {"chunk_tokens": chunk_tokens}
    expected, shuffled = kg.open_graph("memory://"), kg.open_graph("memory://")
    with Server() as server:
        harvest(expected, texts, server, concurrency=2, **options)
        asked = len(server.requests)
        random.Random(concurrency).shuffle(texts)
        report = harvest(shuffled, texts, server, concurrency=concurrency, **options)
        assert server.most_at_once <= max(2, concurrency)
        assert len(server.requests) == 2 * asked == 2 * report.chunks
    assert kg.graph_hash(shuffled) == kg.graph_hash(expected)


def test_documents_are_asked_about_together() -> None:
    with Server(delay=0.1) as server:
        harvest(kg.open_graph("memory://"), many(12, sentences=1), server, concurrency=6)
        assert server.most_at_once == 6


def test_a_failed_chunk_is_one_row_and_the_others_of_its_document_stay() -> None:
    text = "\n\n".join(
        f"In {year} Marie Curie was born in City{year}." for year in range(1900, 1905)
    )
    graph, cache = kg.open_graph("memory://"), ResponseCache(None)

    def stubborn(request: Any) -> servers.Reaction | None:
        if "City1902" in servers.passage_of(request):
            return servers.FAULTS["prose"](request)
        return None

    with Server(always=stubborn) as server:
        report = harvest(graph, documents([text]), server, cache=cache, chunk_tokens=20)
        assert report.chunks == 4 and report.documents == 0
        (failure,) = report.failures
        assert failure.path == "0.txt" and "City1902" in failure.text
        assert failure.answer.startswith("I am sorry") and "no usable answer" in failure.reason
        assert "this answer is stored" in failure.hint
        assert report.harvester["chunks_failed"] == 1 and report.harvester["chunks_ok"] == 4
        assert len(names(graph)) == 4
        asked = len(server.requests)
        # Another time only the failed chunk is read, from its stored answers.
        again = harvest(graph, documents([text]), server, cache=cache, chunk_tokens=20)
        assert len(server.requests) == asked and len(again.failures) == 1
        assert again.chunks == 0
    with Server() as server:  # with a model that answers, it is made up for
        last = harvest(graph, documents([text]), server, chunk_tokens=20)
        assert (last.documents, last.chunks, len(server.requests)) == (1, 1, 1)
    assert len(names(graph)) == 5


def test_a_chunk_that_is_too_long_is_cut_until_it_fits() -> None:
    def small(request: Any) -> servers.Reaction | None:
        if len(servers.passage_of(request)) > 90:
            return servers.FAULTS["too long"](request)
        return None

    texts = documents(["\n".join(f"Max Born{n} was born in City{n}." for n in range(8))])
    graph = kg.open_graph("memory://")
    with Server(always=small) as server:
        report = harvest(graph, texts, server)
    assert report.failures == () and report.chunks == 1
    assert len(names(graph)) == 8 and report.harvester["cut_context"] == 3


def test_a_chunk_that_never_fits_is_one_failed_row() -> None:
    with Server(always=servers.FAULTS["too long"]) as server:
        report = harvest(kg.open_graph("memory://"), documents(TEXTS[1:]), server)
        assert len(report.failures) == 1 and "maximum context" in report.failures[0].reason
        assert len(server.requests) < 20


def test_an_answer_that_is_cut_off_is_asked_for_in_two_halves() -> None:
    texts = documents(["\n".join(f"Max Born{n} was born in City{n}." for n in range(8))])
    graph = kg.open_graph("memory://")
    with Server() as server:
        server.faults.append("truncated")
        report = harvest(graph, texts, server)
        assert len(server.requests) == 3
    assert len(names(graph)) == 8 and report.harvester["cut_answer"] == 1


def test_an_answer_that_is_cut_off_again_is_kept_and_told() -> None:
    texts = documents(["\n".join(f"Max Born{n} was born in City{n}." for n in range(8))])
    graph = kg.open_graph("memory://")
    with Server(always=servers.FAULTS["truncated"]) as server:
        report = harvest(graph, texts, server)
    assert 0 < len(names(graph)) < 8
    assert report.harvester["dropped_truncated"] == 2
    assert {row.reason for row in report.dropped} >= {"truncated"}
    assert all(row.text for row in report.dropped)


def test_dropped_statements_are_rows_of_the_report() -> None:
    def lie(said: str) -> str:
        rows = json.loads(said)["statements"]
        rows[0]["quote"] = "This stands nowhere."
        return json.dumps({"statements": [*rows, {"head": "x"}]})

    with Server(always=servers.text(lie)) as server:
        report = harvest(kg.open_graph("memory://"), documents(TEXTS[1:]), server)
    assert report.harvester["dropped_quote"] == report.harvester["dropped_schema"] == 1
    rows = report.as_dict()["dropped"]
    assert [(row["path"], row["reason"]) for row in rows] == [
        ("0.txt", "schema"),
        ("0.txt", "quote"),
    ]
    assert "This stands nowhere." in rows[1]["text"]


def test_a_budget_stops_cleanly_and_the_same_harvest_goes_on() -> None:
    texts = many(10, sentences=3)
    graph, cache = kg.open_graph("memory://"), ResponseCache(None)
    with Server() as server:
        alone = kg.open_graph("memory://")
        total = harvest(alone, texts, server, max_tokens=300).harvester["prompt_tokens"]
        server.requests.clear()
        budget = Budget(tokens=total // 2 + 3000)
        reports: list[Report] = []
        while True:
            try:
                harvest(graph, texts, server, cache=cache, budget=budget, max_tokens=300)
            except BudgetReached as stop:
                assert stop.report is not None
                reports.append(stop.report)
                assert len(reports) < 9
            else:
                break
        assert reports and all(report.documents < 10 for report in reports)
        for report in reports:
            used = report.harvester["prompt_tokens"] + report.harvester["output_tokens"]
            assert 0 < used <= (budget.tokens or 0)
        asked = Counter(json.dumps(request["messages"]) for request in server.requests)
        assert set(asked.values()) == {1} and len(asked) == 10
    assert kg.graph_hash(graph) == kg.graph_hash(alone)
    assert all(run.finished for run in graph.written("run"))
    # Leases were given back: nobody had to wait for them.


def test_a_refused_key_stops_at_once_and_says_so() -> None:
    graph = kg.open_graph("memory://")
    with Server(always=servers.FAULTS["401"]) as server:
        with pytest.raises(EndpointRefused, match="check OPENAI_API_KEY") as caught:
            harvest(graph, many(30), server, concurrency=4)
        assert len(server.requests) <= 4
        assert KEY not in str(caught.value) and caught.value.report is not None


def test_an_endpoint_that_fails_every_call_stops_the_harvest() -> None:
    graph = kg.open_graph("memory://")
    with Server(always=servers.FAULTS["500"]) as server:
        with pytest.raises(EndpointUnreachable, match="calls in a row failed") as caught:
            harvest(graph, many(30, sentences=1), server, concurrency=2)
        assert len(server.requests) <= 12 * 4
    assert caught.value.report is not None
    rows = caught.value.report.failures
    assert rows and all("harvest again" in row.hint for row in rows)


def test_half_a_character_in_an_answer_harms_nothing(tmp_path: Path) -> None:
    """JSON may spell one half of a pair, which no file and no request can hold."""

    def halved(request: Any) -> servers.Reaction:
        said = servers.answer_of(request).replace("Sorbonne has", "Sorbonne \ud83d has")
        return servers._json(servers.completion(said, request))

    graph = kg.open_graph("memory://")
    with Server() as server:
        server.faults += [servers.text(lambda _: '{"half": "\ud83d"}'), halved]
        report = harvest(graph, documents(TEXTS[1:]), server)
        assert len(server.requests) == 2
    assert [row.reason for row in report.dropped] == ["quote"] and len(names(graph)) == 2
    (tmp_path / "report.json").write_text(json.dumps(report.as_dict(), ensure_ascii=False))


def test_calls_under_way_bring_their_answers_home_when_a_harvest_is_ended() -> None:
    texts, cache = many(9, sentences=1), ResponseCache(None)
    with Server(delay=0.3) as server:
        made = harvester(server, cache=cache, concurrency=3)
        for document in texts:
            made.start(document, made.chunks(document)[0])
        while len(server.requests) < 3:
            time.sleep(0.01)
        made.close()
        assert len(server.requests) == 3 == cache.size()
        made.close()


def test_it_works_where_a_loop_is_running_already() -> None:
    """As in a notebook."""
    graph = kg.open_graph("memory://")

    async def cell() -> Report:
        with Server() as server:
            return harvest(graph, documents(TEXTS), server)

    assert asyncio.run(cell()).documents == 2


def test_the_harvester_works_ahead() -> None:
    with Server() as server, harvester(server) as made:
        assert isinstance(made, AheadHarvester) and made.ahead > 1
        (document,) = documents(TEXTS[:1])
        for chunk in made.chunks(document):  # also without anybody's starting it
            assert made.ready(chunk, seconds=0.0)
            assert made.extract(document, chunk).evidence


@pytest.mark.parametrize(
    "fault", ["echo key", "echo key 500", "echo key 400", "401", None, "prose"]
)
def test_the_key_is_nowhere_but_in_the_request(
    fault: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    graph = kg.open_graph(tmp_path / "my.kg")
    shown: list[str] = []
    with Server(always=None if fault is None else servers.FAULTS[fault]) as server:
        with harvester(server, cache=ResponseCache.beside(graph.home)) as made:
            try:
                report = harvest_documents(graph, documents(TEXTS), harvester=made)
            except EndpointRefused as stop:
                shown += [str(stop), repr(stop)]
                assert stop.report is not None
                report = stop.report
            shown += [json.dumps(report.as_dict()), repr(report), repr(made.config)]
            shown += [repr(vars(made.model.endpoint)), str(dict(made.report))]
        assert any(KEY in headers["authorization"] for headers in server.headers)
    graph.close()
    shown += [record.getMessage() for record in caplog.records]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "responses.sqlite" for path in files)
    for form in (KEY, json.dumps(KEY)[1:-1], KEY.replace("/", "\\/"), KEY.replace("/", "%2F")):
        assert not [text for text in shown if form in text]
        assert not [path for path in files if form.encode() in path.read_bytes()]


#: Loads everything once; for a line "N CONCURRENCY URL PLACE" it harvests in N processes.
HARVESTS = """
import os, sys, traceback
import jsonschema, json_repair, kg, openai
from harvest.job import harvest_documents
from harvest.llm.chunking import sentence_spans
from harvest.responses import ResponseCache
from tests.harvest.llm.asking import harvester, many

class Model:
    url = ""

def run(concurrency, url, place):
    Model.url = url
    graph = kg.open_graph(place)
    cache = ResponseCache.beside(graph.home)
    with harvester(Model, cache=cache, concurrency=int(concurrency), chunk_tokens=40) as made:
        harvest_documents(graph, many(25), harvester=made)
    graph.close()

list(sentence_spans("Warm up."))
for line in sys.stdin:
    number, *options = line.rstrip().split(" ", 3)
    children = []
    for _ in range(int(number)):
        children.append(os.fork())
        if not children[-1]:
            try:
                run(*options)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
    print(*children, flush=True)
    print(*(os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children), flush=True)
"""


class Harvests:
    """Processes that harvest `many(25)` into a graph and can be killed."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HARVESTS],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT)},
            text=True,
        )

    def start(
        self, place: Path, server: Server, *, number: int = 1, concurrency: int = 3
    ) -> list[int]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{number} {concurrency} {server.url} {place}\n")
        self.process.stdin.flush()
        return self.numbers()

    def numbers(self) -> list[int]:
        """Ids of processes behind a start, exit codes behind their end."""
        assert self.process.stdout is not None
        return [int(word) for word in self.process.stdout.readline().split()]


@pytest.fixture(scope="module")
def harvests() -> Iterator[Harvests]:
    started = Harvests()
    yield started
    started.process.communicate()


def asked_of(server: Server) -> Counter[str]:
    """How often each question was asked."""
    return Counter(json.dumps(request["messages"]) for request in server.requests)


@pytest.fixture(scope="module")
def uninterrupted() -> tuple[str, int]:
    """Hash of the graph of `many(25)` and the number of questions that it takes."""
    graph = kg.open_graph("memory://")
    with Server() as server:
        harvest(graph, many(25), server, chunk_tokens=40)
        return kg.graph_hash(graph), len(server.requests)


def test_killed_at_any_moment_it_asks_no_stored_question_again(
    tmp_path: Path, harvests: Harvests, uninterrupted: tuple[str, int]
) -> None:
    """At most as many calls are repeated as were under way."""
    concurrency, kills = 3, 6
    rng = random.Random(1)
    with Server(delay=0.02) as server:
        place = tmp_path / "my.kg"
        for _ in range(kills):
            before = len(server.requests)
            (child,) = harvests.start(place, server, concurrency=concurrency)
            more = rng.randint(1, 15)
            while len(server.requests) < before + more:
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.03))
            os.kill(child, signal.SIGKILL)
            assert harvests.numbers() == [-signal.SIGKILL], "it ended before it could be killed"
        harvests.start(place, server, concurrency=concurrency)
        assert harvests.numbers() == [0]
        asked = asked_of(server)
    assert sum(count - 1 for count in asked.values()) <= kills * concurrency
    with closing(kg.open_graph(tmp_path / "my.kg")) as graph:
        assert (kg.graph_hash(graph), len(asked)) == uninterrupted


def test_processes_share_one_folder_and_pay_once(
    tmp_path: Path, harvests: Harvests, uninterrupted: tuple[str, int]
) -> None:
    with Server(delay=0.02) as server:
        harvests.start(tmp_path / "my.kg", server, number=3, concurrency=2)
        assert harvests.numbers() == [0, 0, 0]
        asked = asked_of(server)
        assert set(asked.values()) == {1} and server.most_at_once > 2
    with closing(kg.open_graph(tmp_path / "my.kg")) as graph:
        assert (kg.graph_hash(graph), len(asked)) == uninterrupted


def test_a_waiting_harvest_keeps_its_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harvest.job.RENEW", 0.02)
    graph = kg.open_graph("memory://")
    claims: list[int] = []
    real = graph.claim

    def claim(tasks: Any, *, owner: str, ttl: float = 120.0) -> Any:
        claims.append(len(tasks))
        return real(tasks, owner=owner, ttl=ttl)

    monkeypatch.setattr(graph, "claim", claim)
    with Server(delay=0.3) as server:
        harvest(graph, documents(TEXTS[1:]), server)
    assert len(claims) > 4


def test_what_makes_no_sense_is_refused() -> None:
    from harvest.errors import InputError
    from kg.schema import Schema

    roles = Schema.parse("relations: {gave: {roles: [who, what, whom]}}")
    with Server() as server:
        for options in ({"threshold": 2.0}, {"chunk_tokens": 3}, {"schema": roles}):
            with pytest.raises(InputError):
                harvester(server, **options)


def test_everything_that_can_change_the_output_is_in_the_config() -> None:
    with Server() as server:
        made: list[LLMHarvester] = [
            harvester(server),
            harvester(server, chunk_tokens=100),
            harvester(server, threshold=0.5),
            harvester(server, include_hedged=True),
            harvester(server, unknown_relations="keep"),
            harvester(server, max_tokens=50),
            harvester(server, temperature=1.0),
        ]
        assert len({one.config.id for one in made}) == len(made)
        assert harvester(server, concurrency=1).config.id == made[0].config.id
        for one in made:
            one.close()
