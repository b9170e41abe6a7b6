"""Writing triples into a Neo4j server: this library beside neo4j-graphrag and langchain-neo4j.

```
python -m benchmarks.write_neo4j --json
```

One server, one run, the same triples (`benchmarks.synthetic`), an emptied database for every
measurement, contenders in turn, after a warm-up of each. What is timed, with ready-made objects of
each library in memory and constraints and indexes in place before:

`ours`: derived entities and triples, no evidence. `draw_entities`, `find_places` and
  `draw_triples` of `kg.store.neo4j.drawing`, which `write` itself uses, 5,000 triples in a
  transaction.
`ours_with_evidence`: `GraphStore.write` of 250 documents at a time: text, chunk, mentions and, for
  each triple, one piece of evidence with quote and spans; checked, linked to the run, derived.
`ours_one_document`: the same, one document of 20 triples in a transaction, as a harvest writes.
`neo4j_graphrag`: `Neo4jWriter(driver).run(graph)`; `…_best` in batches of 5,000.
`langchain_neo4j`: `Neo4jGraph.add_graph_documents(documents)`, 20 triples a document, as
  documented; `…_best` with `baseEntityLabel=True`.

As documented, the peers run on the driver that their installation brings, which packs messages in
Python; their best modes run on neo4j-rust-ext, the driver's accelerator, which ours depends on.

The peers write names and types of entities and predicate and score of triples, and no evidence.
langchain-neo4j as documented looks entities up without an index and gets slower with every one, so
it writes the first triples only, which is in its favour. The server is the tests' own with APOC
core, which only the peers call; `SHEAF_TEST_NEO4J_URI` names another one, whose database must be
empty. Times are wall clock of one machine at one moment: read the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.neo4j_peers import langchain_neo4j, neo4j_graphrag
from benchmarks.synthetic import CONFIG, TYPES, batches
from kg import open_graph
from kg.derivation import Naming, Statement, derive
from kg.records import Batch, Entity, Mention, Triple
from tests.neo4j_server import USER, empty_database, start

if TYPE_CHECKING:
    from neo4j import Driver

    from kg.store.cypher.names import Put
    from kg.store.neo4j.work import Work

__all__ = ["main", "measure"]

#: Triples in a transaction of ours.
ROWS: Final = 5_000
DOCUMENTS: Final = 250
#: Triples that langchain-neo4j writes as documented, and everybody one document at a time.
FEW: Final = 1_000


@dataclass(frozen=True)
class Server:
    """Where the server is, and what can be seen of it from outside."""

    uri: str
    user: str
    password: str
    apoc: bool
    pid: int | None = None
    home: Path | None = None

    def cpu_seconds(self) -> float:
        """Return the processor time that the server has used, 0.0 if it is not ours."""
        if self.pid is None:
            return 0.0
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log_bytes(self) -> int:
        """Return how far the transaction log has been written, 0 if the server is not ours."""
        if self.home is None:
            return 0
        files = (self.home / "data" / "transactions" / "neo4j").glob("neostore.transaction.db.*")
        # A log file is made with its full size: what is not written yet takes no blocks.
        return sum(file.stat().st_blocks * 512 for file in files)


@dataclass(frozen=True)
class Data:
    """The same triples as each contender wants them."""

    batches: Sequence[Batch]
    entities: dict[str, Entity]
    triples: list[Triple]

    @classmethod
    def of(cls, made: Sequence[Batch]) -> Data:
        """Return what batches derive to, triples in the order in which they are stated."""
        evidence = [row for batch in made for row in batch.evidence]
        graph = derive(
            [Naming.of(mention) for batch in made for mention in batch.mentions],
            map(Statement.of, evidence),
            configs={CONFIG.id: CONFIG},
        )
        order = dict.fromkeys(graph.stated[row.id].triple for row in evidence)
        return cls(made, dict(graph.entities), [graph.triples[id] for id in order])


@contextmanager
def _server() -> Iterator[Server]:
    chosen = os.environ.get("SHEAF_TEST_NEO4J_URI")
    if chosen:
        user = os.environ.get("SHEAF_TEST_NEO4J_USERNAME", USER)
        yield Server(chosen, user, os.environ.get("SHEAF_TEST_NEO4J_PASSWORD", ""), apoc=False)
        return
    own = start(apoc=True)
    yield Server(own.uri, own.user, own.password, apoc=True, pid=own.pid, home=own.home)
    own.stop()


# ------------------------------------------------------------------------------------ contenders


def _ours(server: Server, data: Data) -> Callable[[], object]:
    from kg.store.neo4j.connection import Address, Connection
    from kg.store.neo4j.drawing import draw_entities, draw_triples, find_places

    open_graph(server.uri).close()
    connection = Connection(Address.parse(server.uri))

    def draw(work: Work, *, triples: Sequence[Triple], seen: frozenset[str]) -> set[str]:
        ends = {end for triple in triples for end in (triple.head, triple.tail)}
        places = draw_entities(work, (data.entities[id] for id in sorted(ends - seen)))
        find_places(work, ends, places)
        draw_triples(work, triples, places)
        work.settle()
        return ends

    def write() -> None:
        seen: set[str] = set()
        for at in range(0, len(data.triples), ROWS):
            part = data.triples[at : at + ROWS]
            seen |= connection.write(partial(draw, triples=part, seen=frozenset(seen)))[0]

    return write


def _ours_with_evidence(server: Server, data: Data) -> Callable[[], object]:
    graph = open_graph(server.uri)
    run = graph.begin_run(CONFIG).id
    return lambda: [graph.write(batch, run=run) for batch in data.batches]


# ------------------------------------------------------------------------------------- measuring


def measure(triples: int, *, rounds: int, writers: int) -> dict[str, Any]:
    """Return everything that is measured.

    Args:
        triples: pieces of evidence that are written; nearly all state a triple of their own.
        rounds: how often each contender writes; its median counts.
        writers: processes of the parallel measurement, 1 for none.
    """
    from neo4j import GraphDatabase

    with _server() as server:
        os.environ.update(NEO4J_USERNAME=server.user, NEO4J_PASSWORD=server.password)
        os.environ.pop("NEO4J_DATABASE", None)
        auth = (server.user, server.password)
        with GraphDatabase.driver(
            server.uri, auth=auth, notifications_min_severity="OFF"
        ) as driver:
            if driver.execute_query("MATCH (n) RETURN count(n)").records[0][0]:
                raise SystemExit(f"error: the database at {server.uri} is not empty")
            try:
                return _measure(server, driver, triples, rounds=rounds, writers=writers)
            finally:
                empty_database(driver)


def _measure(
    server: Server, driver: Driver, triples: int, *, rounds: int, writers: int
) -> dict[str, Any]:
    whole, few = _data(triples, DOCUMENTS), _data(FEW, 1)
    contenders: dict[str, tuple[Data, Callable[[Data], Callable[[], object]]]] = {
        "ours": (whole, lambda data: _ours(server, data)),
        "ours_with_evidence": (whole, lambda data: _ours_with_evidence(server, data)),
        "ours_one_document": (few, lambda data: _ours_with_evidence(server, data)),
        "neo4j_graphrag_best": (whole, lambda data: neo4j_graphrag(driver, data, batch_size=ROWS)),
    }
    documented = {"neo4j_graphrag": (triples, DOCUMENTS)}
    if server.apoc:
        documented["langchain_neo4j"] = (FEW, 1)
        contenders["langchain_neo4j_best"] = (
            whole,
            lambda data: langchain_neo4j(server, data, best=True),
        )
    found: dict[str, list[dict[str, float]]] = {name: [] for name in (*contenders, *documented)}

    def note(turn: int, name: str, figures: dict[str, float]) -> None:
        print(f"{turn} {name}: {figures['rate']:,.0f}/s", file=sys.stderr, flush=True)
        if turn >= 0:  # the first turn warms the server up
            found[name].append(figures)

    spawn = get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=_drop_accelerator) as plain:
        for turn in range(-1, rounds):
            for name, (data, prepare) in contenders.items():
                if turn < 0 and data is whole:
                    data = _data(triples // 4, DOCUMENTS)
                note(turn, name, _timed(server, driver, prepare, data))
            for name, size in documented.items():
                note(turn, name, plain.submit(_documented, server, name, *size).result())
    rates = {name: statistics.median(one["rate"] for one in own) for name, own in found.items()}
    result: dict[str, Any] = {
        "triples": len(whole.triples),
        "entities": len(whole.entities),
        "server": driver.execute_query("CALL dbms.components() YIELD versions").records[0][0][0],
        "triples_per_second": round(rates["ours"]),
        "triples_per_second_with_evidence": round(rates["ours_with_evidence"]),
        "triples_per_second_one_document": round(rates["ours_one_document"]),
        "ratio": _ratios(rates),
        "rates": {name: [round(one["rate"]) for one in own] for name, own in found.items()},
        "profile": {name: _profile(found[name]) for name in found if name.startswith("ours")},
        "db_hits_per_row": _db_hits(server, driver, few),
        **_rerun(server, driver, few),
    }
    if writers > 1:
        result["parallel"] = _parallel(server, driver, triples, writers)
    return result


@cache
def _data(triples: int, documents: int) -> Data:
    return Data.of(list(batches(triples, documents=documents)))


def _drop_accelerator() -> None:
    """Let the driver of this process pack its messages in Python."""
    sys.modules["neo4j._rust"] = None  # type: ignore[assignment]


def _documented(server: Server, name: str, triples: int, documents: int) -> dict[str, float]:
    """Time a peer as its documentation uses it, in a process of its own."""
    from neo4j import GraphDatabase

    data = _data(triples, documents)
    auth = (server.user, server.password)
    with GraphDatabase.driver(server.uri, auth=auth, notifications_min_severity="OFF") as driver:
        if name == "neo4j_graphrag":
            return _timed(server, driver, partial(neo4j_graphrag, driver), data)
        return _timed(server, driver, partial(langchain_neo4j, server, best=False), data)


def _ratios(rates: dict[str, float]) -> dict[str, float]:
    ours, with_evidence = rates["ours"], rates["ours_with_evidence"]
    rag = max(rates["neo4j_graphrag"], rates["neo4j_graphrag_best"])
    ratios = {
        "neo4j_graphrag": ours / rates["neo4j_graphrag"],
        "neo4j_graphrag_best": ours / rag,
        "with_evidence.neo4j_graphrag": with_evidence / rates["neo4j_graphrag"],
        "with_evidence.neo4j_graphrag_best": with_evidence / rag,
    }
    if "langchain_neo4j" in rates:
        ratios |= {
            "langchain_neo4j": ours / rates["langchain_neo4j"],
            "langchain_neo4j_best": ours / rates["langchain_neo4j_best"],
        }
    return {name: round(value, 2) for name, value in ratios.items()}


def _timed(
    server: Server, driver: Driver, prepare: Callable[[Data], Callable[[], object]], data: Data
) -> dict[str, float]:
    empty_database(driver)
    write = prepare(data)
    log, cpu, own, began = (
        server.log_bytes(), server.cpu_seconds(), time.process_time(), time.perf_counter(),
    )  # fmt: skip
    write()
    seconds = time.perf_counter() - began
    return {
        "rate": len(data.triples) / seconds,
        "seconds": seconds,
        "client": time.process_time() - own,
        "server": server.cpu_seconds() - cpu,
        "log": (server.log_bytes() - log) / len(data.triples),
        "triples": len(data.triples),
    }


def _profile(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return where the time of the median turn went, per triple."""
    turn = sorted(found, key=lambda one: one["rate"])[len(found) // 2]
    per = 1e6 / turn["triples"]
    return {
        "microseconds": round(turn["seconds"] * per, 1),
        "client_cpu_microseconds": round(turn["client"] * per, 1),
        # Of all its threads: compiling and collecting garbage as well.
        "server_cpu_microseconds": round(turn["server"] * per, 1),
        "log_bytes": round(turn["log"]),
    }


def _db_hits(server: Server, driver: Driver, data: Data) -> dict[str, float]:
    """Return what one row of each statement of `write` makes the server touch."""
    from kg.store.cypher import deriving, writing

    empty_database(driver)
    _ours_with_evidence(server, data)()
    count = 100
    with driver.session() as session:
        places = session.run(
            "MATCH (c:Chunk) WITH c LIMIT 1 MATCH (e:Entity) WITH c, e LIMIT 100 "
            "RETURN elementId(c), collect(elementId(e))"
        ).single(strict=True)
    chunk, entities = places[0], places[1][:count]
    to = entities[0]
    rows: dict[str, tuple[Put, list[list[Any]]]] = {
        "entity": (
            deriving.ANY_ENTITIES,
            [[f"e_{at}", "n", [], [], {}, ["Entity", "X"]] for at in range(count)],
        ),
        "triple": (deriving.triples("IS_1"), [["t", end, to, "is 1", 0.5, 1] for end in entities]),
        "new triple": (
            deriving.NEW_TRIPLES,
            [["t", end, to, "is 1", 0.5, 1, "IS_1"] for end in entities],
        ),
        "mention": (writing.NEW_MENTIONS, [["m"] * 11 + [[1], chunk, end] for end in entities]),
        "evidence": (writing.NEW_STATES, [["v"] * 19 + [[1], chunk, end] for end in entities]),
    }
    hits = {}
    for name, (put, values) in rows.items():
        with driver.session() as session, session.begin_transaction() as tx:
            result = tx.run(f"PROFILE {put.statement}", rows=values)
            profile = result.consume().profile
            tx.rollback()
        hits[name] = round(_hits(profile) / len(values), 1)
    return hits


def _hits(step: dict[str, Any]) -> int:
    return int(step.get("dbHits", 0)) + sum(_hits(child) for child in step.get("children", ()))


def _rerun(server: Server, driver: Driver, data: Data) -> dict[str, int]:
    """Return what a second identical write creates, without and with evidence."""

    def count() -> int:
        text = "RETURN COUNT { (n) } + COUNT { ()-->() }"
        return int(driver.execute_query(text).records[0][0])

    created = 0
    for prepare in (_ours, _ours_with_evidence):
        empty_database(driver)
        write = prepare(server, data)
        write()
        before = count()
        write()
        created += count() - before
    return {"created_on_rerun": created}


# -------------------------------------------------------------------------------------- parallel


def _parallel(server: Server, driver: Driver, triples: int, writers: int) -> dict[str, float]:
    """Return rates of one and of several processes on batches that overlap in their entities."""
    made = [_closed(batch) for batch in batches(triples, documents=DOCUMENTS // 5)]
    rates = {}
    for number in (1, writers):
        empty_database(driver)
        graph = open_graph(server.uri)
        run = graph.begin_run(CONFIG).id
        with ProcessPoolExecutor(number, get_context("spawn")) as pool:
            list(pool.map(_open, [server.uri] * number * 4))  # imports and connections
            began = time.perf_counter()
            list(pool.map(_write, [server.uri] * len(made), made, [run] * len(made)))
            rates[number] = triples / (time.perf_counter() - began)
        graph.close()
    return {
        "writers": writers,
        "triples_per_second_one_writer": round(rates[1]),
        "triples_per_second": round(rates[writers]),
    }


def _closed(batch: Batch) -> Batch:
    """Return the batch with mentions of every end, so that batches may come in any order."""
    text = {
        chunk.id: document.text
        for chunk, document in zip(batch.chunks, batch.documents, strict=True)
    }
    mentions = list(batch.mentions)
    for row in batch.evidence:
        surface = text[row.chunk or ""][slice(*row.tail_span)] if row.tail_span else ""
        type = TYPES[int(surface.split()[1]) % len(TYPES)]
        tail = row.tail_id
        mentions.append(
            Mention(tail, surface, CONFIG.id, type=type, chunk=row.chunk, span=row.tail_span)
        )
    return replace(batch, mentions=tuple({mention.id: mention for mention in mentions}.values()))


_graphs: dict[str, Any] = {}


def _open(uri: str) -> None:
    if uri not in _graphs:
        _graphs[uri] = open_graph(uri)
    time.sleep(0.2)


def _write(uri: str, batch: Batch, run: str) -> None:
    _graphs[uri].write(batch, run=run)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--triples", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--writers", type=int, default=4, help="processes of the parallel part")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    result = measure(options.triples, rounds=options.rounds, writers=options.writers)
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
