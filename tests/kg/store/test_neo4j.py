"""The contract suite on a real Neo4j, and what only this store has."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from neo4j import Driver
from neo4j.exceptions import Neo4jError

from kg import graph_hash, open_graph
from kg.errors import (
    LimitReached,
    NotFound,
    QueryError,
    QueryRefused,
    RecordError,
    StoreError,
    StoreForeign,
    StoreUnreachable,
    StoreVersion,
)
from kg.ids import entity_id, normal_form
from kg.records import (
    Batch,
    Chunk,
    Config,
    Document,
    Evidence,
    Literal,
    Mention,
    Merge,
    Prediction,
    Task,
)
from kg.store import cypher
from kg.store.neo4j.connection import Address
from kg.store.neo4j.work import Work
from kg.store.protocol import GraphStore, Limits
from tests.kg.store.contract import (
    CONFIG,
    MARIE,
    NAMES,
    NEWER,
    OTHER,
    StoreContract,
    check_equals_twin,
    fill,
    first_batch,
    second_batch,
)
from tests.neo4j_server import empty_database

pytestmark = pytest.mark.neo4j


class TestNeo4j(StoreContract):
    @pytest.fixture
    def new_graph(self, neo4j_graph: str, neo4j_driver: Driver) -> Callable[[], GraphStore]:
        def make() -> GraphStore:
            empty_database(neo4j_driver)
            return open_graph(neo4j_graph)

        return make


# ------------------------------------------------------------------------ only on a server


@pytest.fixture
def graph(neo4j_graph: str) -> Iterator[GraphStore]:
    store = open_graph(neo4j_graph)
    yield store
    store.close()


def _random_batches(seed: int, steps: int = 12) -> list[Batch]:
    """Batches with colliding names, disagreeing types, models, literals and hedges."""
    chance = random.Random(seed)
    names = ["Ada", "ada", "Bob", "Rome", "ROME", "Ｒｏｍｅ"]
    types, root = ["", "Person", "City", "Place"], {"City": "Place"}
    batches = []
    for step in range(steps):
        text = f"Sentence {step % 7} says so."
        document = Document(uri=f"{step}.txt", text=text)
        chunk = Chunk(document.id, 0, len(text))
        mentions, evidence = {}, {}
        for _ in range(3):
            ends = []
            for _ in range(2):
                name, type = chance.choice(names), chance.choice(types)
                raw = entity_id(name, root.get(type, type))
                placed = {"chunk": chunk.id, "span": (0, 8)} if chance.random() < 0.7 else {}
                # Same id, same content: which of two different ones is kept is arrival order.
                surface = name if placed else normal_form(name)
                type = type if placed else root.get(type, type)
                m = Mention(raw, surface, CONFIG.id, type=type, **placed)
                mentions.setdefault(m.id, m)
                ends.append(raw)
            tail = ends[1] if chance.random() < 0.8 else Literal(str(step % 3), "xsd:decimal")
            placed = {"chunk": chunk.id, "span": (0, len(text)), "quote": text}
            row = Evidence(
                head=ends[0],
                relation=chance.choice(["knows", "married", "spouse", "birthplace of"]),
                tail=tail,
                score=chance.choice([0.2, 0.5, 0.9]),
                config=CONFIG.id,
                negated=chance.random() < 0.2,
                hedged=chance.random() < 0.2,
                **(placed if chance.random() < 0.7 else {}),
            )
            evidence.setdefault(row.id, row)
        batches.append(
            Batch(
                documents=(document,),
                chunks=(chunk,),
                mentions=tuple(mentions.values()),
                evidence=tuple(evidence.values()),
                tasks=(Task(chunk.id, CONFIG.id),),
                relation_names=NAMES if step == chance.randrange(steps) else (),
            )
        )
    return batches


def _live(graph: GraphStore, seed: int) -> list[str]:
    """Write, merge, predict, delete and undo; return the hash after each step."""
    chance = random.Random(seed)
    hashes = []
    first, second = graph.begin_run(CONFIG).id, graph.begin_run(CONFIG).id
    for number, batch in enumerate(_random_batches(seed)):
        graph.write(batch, run=first if number % 2 else second)
    hashes.append(graph_hash(graph))
    entities = [entity.id for entity in graph.derived("entity")]
    resolving = graph.begin_run(Config("resolve")).id
    for _ in range(2):
        kept, dropped = chance.sample(entities, 2)
        graph.write(Batch(merges=(Merge(kept, dropped, "test", 1.0, resolving),)), run=resolving)
    hashes.append(graph_hash(graph))
    guessing = graph.begin_run(Config("guess")).id
    guesses = tuple(
        Prediction(*chance.sample(entities, 1), "KNOWS", *chance.sample(entities, 1), 0.5, 1, "w",
                   1, guessing)
        for _ in range(6)
    )  # fmt: skip
    graph.write(Batch(predictions=tuple({p.id: p for p in guesses}.values())), run=guessing)
    for act in (
        lambda: graph.delete_document("3.txt"),
        lambda: graph.undo(first),
        lambda: graph.write(_random_batches(seed + 1)[0], run=second),
        lambda: graph.undo(resolving),
        lambda: graph.delete_document("4.txt"),
    ):
        act()
        drawn = graph.read(
            "MATCH (a:Entity)-[p:PREDICTED]->(b:Entity) RETURN p.id, a.id, b.id ORDER BY p.id"
        )
        hashes.append(f"{graph_hash(graph)} {drawn.rows}")
    check_equals_twin(graph)
    graph.undo(guessing)
    graph.undo(second)
    hashes.append(graph_hash(graph))
    return hashes


@pytest.mark.parametrize("seed", range(2))
def test_every_step_equals_the_store_in_memory(graph: GraphStore, seed: int) -> None:
    memory = open_graph("memory://")
    assert _live(graph, seed) == _live(memory, seed)
    assert graph.stats() == memory.stats()


def test_nothing_is_left_when_all_is_undone(graph: GraphStore, neo4j_driver: Driver) -> None:
    _live(graph, 1)
    for run in list(graph.written("run")):
        graph.undo(run.id)
    for document in list(graph.written("document")):
        graph.delete_document(document.uri)
    labels = neo4j_driver.execute_query(
        "MATCH (n) UNWIND labels(n) AS label RETURN collect(DISTINCT label)"
    ).records[0][0]
    assert set(labels) <= {"SheafGraph", "Config", "SheafRelationName", "SheafLease"}


def test_second_write_makes_no_node_and_no_relationship(
    graph: GraphStore, neo4j_driver: Driver
) -> None:
    def count() -> tuple[object, ...]:
        statement = "MATCH (n) OPTIONAL MATCH (n)-[r]->() RETURN count(DISTINCT n), count(r)"
        return tuple(neo4j_driver.execute_query(statement).records[0].values())

    run = fill(graph, first_batch(), second_batch())
    before = count()
    for batch in (first_batch(), second_batch()):
        assert graph.write(batch, run=run).created == 0
    assert count() == before


def test_records_of_the_store_have_no_relationships(
    graph: GraphStore, neo4j_driver: Driver
) -> None:
    _live(graph, 2)
    fill(graph, first_batch())
    types = neo4j_driver.execute_query(
        "MATCH (a)-[r]->(b) WHERE any(n IN [a, b] WHERE n:Run OR n:Config OR n:Task OR n:Merge "
        "OR n:Prediction OR any(l IN labels(n) WHERE l STARTS WITH 'Sheaf')) RETURN count(r)"
    )
    assert types.records[0][0] == 0


#: Statements that may look at every node of a label or at every relationship of a type: asked once
#: when a database is opened, on the removal of a run, or about kinds of which there are few.
MAY_SCAN = {
    "FOREIGN", "LATEST_RUNS", "RELATION_NAMES", "STATED_WITH", "PHRASES", "TOUCHED_PREDICTIONS",
    "PREDICTIONS_OF_RUN", "FORGET_PLACES", "TASKS_OF_RUN", "MERGES_OF_RUN", "DELETE_MERGES_OF_RUN",
    "DELETE_PREDICTIONS_OF_RUN", "URIS", "OTHER_VERSIONS",
}  # fmt: skip


def _operators(driver: Driver, statement: str) -> list[str]:
    values = {
        "rows": [{"id": "x"}],
        "id": "x",
        "run": 1,
        "config": "f",
        "configs": None,
        "key": "k",
    }
    values |= {"raws": [], "triples": [], "ids": [], "all": False, "labels": []}
    operators, stack = [], [driver.execute_query(f"EXPLAIN {statement}", values).summary.plan]
    while stack:
        step = stack.pop()
        operators.append(step["operatorType"].partition("@")[0])
        stack += step.get("children", [])
    return operators


def test_no_statement_scans_but_the_few_that_may(graph: GraphStore, neo4j_driver: Driver) -> None:
    """On a small graph, where the server would rather scan: its plans are kept while it grows."""
    fill(graph, first_batch(), *_random_batches(3))
    neo4j_driver.execute_query("CALL db.clearQueryCaches()")
    statements = {
        name: value.statement if isinstance(value, cypher.Put) else value
        for name, value in vars(cypher).items()
        if name.isupper() and isinstance(value, str | cypher.Put)
    }
    for type in ("MENTIONS", "STATES"):
        for make in (cypher.link, cypher.unlink, cypher.remove, cypher.adopt, cypher.of_chunks):
            statements[f"{make.__name__} {type}"] = make(type)
        statements[f"sources {type}"] = cypher.sources(type, "Chunk").statement
    statements["triples"] = cypher.triples("BORN_IN", "Entity").statement
    statements["entities"] = cypher.entities(["Entity", "Person"]).statement
    asked = {name: s for name, s in statements.items() if s.startswith(("UNWIND", "MATCH"))}
    assert len(asked) > 50
    scanning = {
        name
        for name, statement in asked.items()
        if any("Scan" in operator for operator in _operators(neo4j_driver, statement))
    }
    assert scanning <= MAY_SCAN


@pytest.mark.parametrize(
    "statement",
    [
        "MATCH ()-[s:STATES {triple_id: $id}]->() RETURN s.quote",
        "MATCH (:Chunk)-[s:STATES]->(h:Entity) WHERE s.triple_id = $id RETURN s.quote, h.name",
        "MATCH (c:Chunk)-[s:STATES {triple_id: $id}]->(:Entity) RETURN c.id",
    ],
)
def test_users_find_evidence_by_the_relationship_index(
    graph: GraphStore, neo4j_driver: Driver, statement: str
) -> None:
    run = graph.begin_run(CONFIG).id
    names = [f"Name {number}" for number in range(400)]
    raws = [entity_id(name) for name in names]
    graph.write(
        Batch(
            mentions=tuple(Mention(r, n, CONFIG.id) for r, n in zip(raws, names, strict=True)),
            evidence=tuple(
                Evidence(a, "knows", b, 0.5, CONFIG.id) for a, b in itertools.pairwise(raws)
            ),
        ),
        run=run,
    )
    neo4j_driver.execute_query("CALL db.prepareForReplanning(30)")
    operators = _operators(neo4j_driver, statement)
    assert any(operator.endswith("RelationshipIndexSeek") for operator in operators), operators


def test_foreign_nodes_under_our_labels_are_refused(neo4j_graph: str, neo4j_driver: Driver) -> None:
    neo4j_driver.execute_query("CREATE (:Document {title: 'of another program'})")
    with pytest.raises(StoreForeign, match="label Document") as caught:
        open_graph(neo4j_graph)
    assert str(caught.value).count("\n") <= 1
    assert neo4j_driver.execute_query("MATCH (n) RETURN count(n)").records[0][0] == 1


def test_foreign_nodes_under_other_labels_are_left_alone(
    neo4j_graph: str, neo4j_driver: Driver
) -> None:
    neo4j_driver.execute_query("CREATE (:Invoice {total: 3})")
    graph = open_graph(neo4j_graph)
    run = fill(graph, first_batch())
    graph.undo(run)
    graph.close()
    assert neo4j_driver.execute_query("MATCH (n:Invoice) RETURN n.total").records[0][0] == 3


def test_what_others_set_on_our_nodes_stays(graph: GraphStore, neo4j_driver: Driver) -> None:
    fill(graph, first_batch())
    neo4j_driver.execute_query("MATCH (e:Entity {id: $id}) SET e.seen = true, e:Mine", id=MARIE)
    fill(graph, second_batch())
    graph.delete_document("pierre.txt")
    node = neo4j_driver.execute_query("MATCH (e:Entity {id: $id}) RETURN e", id=MARIE).records[0][0]
    assert node["seen"] is True
    assert set(node.labels) == {"Entity", "Person", "Mine"}


def test_graph_of_a_newer_version_is_refused(graph: GraphStore, neo4j_driver: Driver) -> None:
    neo4j_driver.execute_query("MATCH (g:SheafGraph) SET g.format = 99")
    with pytest.raises(StoreVersion, match=r"format 99.*upgrade"):
        open_graph(graph.uri)


def test_graph_that_is_not_there_is_not_made(neo4j_graph: str, neo4j_driver: Driver) -> None:
    with pytest.raises(NotFound, match="no graph at bolt"):
        open_graph(neo4j_graph, create=False)
    assert neo4j_driver.execute_query("MATCH (n) RETURN count(n)").records[0][0] == 0


def test_type_that_changes_takes_its_label_along(graph: GraphStore) -> None:
    run = graph.begin_run(CONFIG).id
    raw = entity_id("Warsaw", "Place")
    graph.write(Batch(mentions=(Mention(raw, "Warsaw", CONFIG.id, type="City"),)), run=run)
    assert graph.read("MATCH (e:City) RETURN count(e)").rows == ((1,),)
    other = graph.begin_run(OTHER).id
    places = tuple(Mention(raw, "Warsaw", OTHER.id, type="Place") for _ in range(1))
    newer = graph.begin_run(NEWER).id
    graph.write(Batch(mentions=places), run=other)
    graph.write(Batch(mentions=(Mention(raw, "Warsaw", NEWER.id, type="Place"),)), run=newer)
    rows = graph.read("MATCH (e:Place) RETURN labels(e)")
    assert set(rows.rows[0][0]) == {"Entity", "Place"}


def test_properties_that_a_server_cannot_hold(graph: GraphStore) -> None:
    run = graph.begin_run(CONFIG).id
    props = {"huge": 10**30, "": 1, "a\x00b": 2, "fine": 3, "id": "mine", "`q`": "x"}
    raw = entity_id("Odd", "Thing")
    graph.write(
        Batch(mentions=(Mention(raw, "Odd", CONFIG.id, type="Thing", props=props),)), run=run
    )
    entity = graph.get(raw)
    assert dict(entity.props) == props
    assert graph.read("MATCH (e:Thing) RETURN e.fine, e.huge, e.```q```").rows == ((3, None, "x"),)


def test_long_names(graph: GraphStore) -> None:
    run = graph.begin_run(CONFIG).id
    name = "long " * 4_000
    graph.write(Batch(mentions=(Mention(entity_id(name), name, CONFIG.id),)), run=run)
    assert graph.get(entity_id(name)).name == name
    with pytest.raises(RecordError, match="40,000 bytes"):
        graph.write(
            Batch(mentions=(Mention(entity_id("é" * 20_000), "é" * 20_000, CONFIG.id),)), run=run
        )
    assert graph.stats().entities == 1


def test_a_query_out_of_time_says_so(graph: GraphStore) -> None:
    endless = "UNWIND range(1, 100000000) AS x UNWIND range(1, 100000000) AS y RETURN count(*)"
    with pytest.raises(LimitReached, match=r"longer than 0\.5 s"):
        graph.read(endless, limits=Limits(seconds=0.5))
    assert graph.read("RETURN 1 AS x").rows == ((1,),)


@pytest.mark.parametrize(
    "statement",
    ["LOAD CSV FROM 'file:///x.csv' AS l RETURN l", "CALL db.labels() YIELD label RETURN label",
     "MATCH (n) SET n.x = 1", "CREATE (:X)", "SHOW DATABASES"],
)  # fmt: skip
def test_server_layer_refuses_without_the_guard(
    graph: GraphStore, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """The second lock: what if the guard had a hole?"""
    monkeypatch.setattr("kg.store.guard.check", lambda cypher: None)
    with pytest.raises((QueryRefused, QueryError)) as caught:
        graph.read(statement)
    assert isinstance(caught.value, QueryRefused) or statement.startswith("SHOW")


def test_values_are_plain_python(graph: GraphStore) -> None:
    rows = graph.read(
        "RETURN date('2020-02-29') AS d, duration('P1D') AS p, point({x: 1, y: 2}) AS q, "
        "[1, {a: null}] AS l, 1.5 AS f"
    )
    assert rows.rows == (("2020-02-29", "P1D", (1.0, 2.0), [1, {"a": None}], 1.5),)


def test_four_writers_at_once_give_the_graph_of_one(neo4j_graph: str) -> None:
    batches = [batch for seed in range(2) for batch in _random_batches(seed)]
    graph = open_graph(neo4j_graph)
    run = graph.begin_run(CONFIG).id

    def write(part: int) -> int:
        own = open_graph(neo4j_graph)
        retries = sum(own.write(batch, run=run).retries for batch in batches[part::4])
        own.close()
        return retries

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    check_equals_twin(graph)
    graph.close()


def test_four_at_once_open_an_empty_server(neo4j_graph: str, neo4j_driver: Driver) -> None:
    def names(kind: str) -> set[str]:
        shown = neo4j_driver.execute_query(f"SHOW {kind} YIELD name").records
        return {row[0] for row in shown if row[0].startswith("sheaf_")}

    for name in names("CONSTRAINTS"):
        neo4j_driver.execute_query(f"DROP CONSTRAINT {name}")
    for name in names("INDEXES"):
        neo4j_driver.execute_query(f"DROP INDEX {name}")
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(open_graph, [neo4j_graph] * 4))
    assert len({store.home for store in stores}) == 1
    assert names("INDEXES") == set(cypher.schema())
    for store in stores:
        store.close()


def test_graph_that_is_deleted_while_it_is_open(graph: GraphStore, neo4j_driver: Driver) -> None:
    run = graph.begin_run(CONFIG).id
    empty_database(neo4j_driver)
    with pytest.raises(StoreForeign, match="deleted"):
        graph.write(first_batch(), run=run)
    with pytest.raises(StoreForeign, match="deleted"):
        _ = graph.change_counter


def test_missing_driver_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['neo4j'] = None\n"
        "from kg import open_graph\n"
        "from kg.errors import StoreUnreachable\n"
        "try: open_graph('bolt://localhost')\n"
        "except StoreUnreachable as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "sheaf[neo4j]" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_home_is_a_folder_under_the_id_of_the_graph(
    graph: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    home = graph.home
    assert home is not None
    assert home.is_dir()
    assert home == open_graph(graph.uri).home


# ------------------------------------------------------------------------------- unreachable


def _message(uri: str) -> str:
    with pytest.raises(StoreUnreachable) as caught:
        open_graph(uri)
    text = str(caught.value)
    assert text.count("\n") <= 1
    assert "secret" not in text
    return text


def test_server_that_is_down() -> None:
    for scheme in ("bolt", "neo4j"):
        text = _message(f"{scheme}://me:secret@127.0.0.1:1")
        assert "127.0.0.1:1" in text
        assert "NEO4J_URI" in text


def test_wrong_password(neo4j_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", "secret-but-wrong")
    assert "NEO4J_PASSWORD" in _message(neo4j_uri)
    monkeypatch.delenv("NEO4J_PASSWORD")
    assert "without a password" in _message(neo4j_uri)


def test_unknown_database(neo4j_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEO4J_DATABASE", "nowhere")
    assert "no database 'nowhere'" in _message(neo4j_uri)


def test_encryption_that_the_server_does_not_speak(neo4j_uri: str) -> None:
    assert "Neo4j server" in _message(neo4j_uri.replace("bolt://", "bolt+ssc://"))


@pytest.mark.parametrize("uri", ["bolt://", "bolt://host:port", "neo4j://me:secret@:7687"])
def test_address_that_is_none(uri: str) -> None:
    assert "bolt://localhost:7687" in _message(uri)


def test_address_and_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NEO4J_USERNAME", "NEO4J_USER", "NEO4J_PASSWORD", "NEO4J_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    parse = Address.parse
    assert parse("bolt://h") == Address("bolt://h", "neo4j", "", "")
    monkeypatch.setenv("NEO4J_USER", "old")
    monkeypatch.setenv("NEO4J_PASSWORD", "p")
    monkeypatch.setenv("NEO4J_DATABASE", "d")
    assert parse("neo4j+s://h:1?region=eu") == Address("neo4j+s://h:1?region=eu", "old", "p", "d")
    monkeypatch.setenv("NEO4J_USERNAME", "new")
    assert parse("bolt://[::1]:7") == Address("bolt://[::1]:7", "new", "p", "d")
    assert parse("bolt+ssc://a:b%2F@h/x") == Address("bolt+ssc://h", "a", "b/", "x")


# ------------------------------------------------------------------------------- accidents


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


def test_a_passing_failure_is_tried_again_and_counted(
    graph: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = graph.begin_run(CONFIG).id
    put, failures = Work.put, iter([True, True])

    def deadlock_at_first(work: Work, statement: cypher.Put, rows: list[object], **more: object):
        if statement is cypher.TASKS and next(failures, False):
            raise Neo4jError._hydrate_neo4j(
                code="Neo.TransientError.Transaction.DeadlockDetected", message="a deadlock"
            )
        return put(work, statement, rows, **more)

    monkeypatch.setattr(Work, "put", deadlock_at_first)
    report = graph.write(first_batch(), run=run)
    assert report.retries == 2
    assert report.created == 16  # 1 document, 1 chunk, 5 mentions, 4 evidences, 1 task, 4 names
    check_equals_twin(graph)


_WRITER = """
import sys
from kg import open_graph
from kg.store.lease import new_owner
from tests.kg.store.test_neo4j import _random_batches
graph = open_graph(sys.argv[1])
owner = new_owner()
for batch in _random_batches(5, steps=24):
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
    for batch in _random_batches(5, steps=24):
        memory.write(batch, run=alone)
    assert graph_hash(graph) == graph_hash(memory)
    graph.close()
