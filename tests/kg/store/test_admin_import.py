"""Files for neo4j-admin, loaded by the real importer into a server of their own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from kg import graph_hash, open_graph
from kg.errors import ExchangeError
from kg.ids import entity_id
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
    RelationName,
    Task,
)
from kg.store.neo4j.admin_import import write_admin_csv
from kg.store.protocol import GraphStore
from tests.kg.store.contract import (
    CONFIG,
    NAMES,
    check_equals_twin,
    fill,
    first_batch,
    second_batch,
)
from tests.kg.store.random_graph import random_batches
from tests.neo4j_server import start

HOSTILE = [
    'say "hi"', "a;b|c,d", "line\nbreak", "cr\rlf\r\n", "back\\slash\\", "'", "\t tab ", "\x1f",
    "💍", "שלום", '""', "{curly}", ":LABEL", "null", "NaN", "\\N", "=1+1",
]  # fmt: skip


def _hostile_batch(config: Config) -> Batch:
    text = " ".join(HOSTILE)
    document = Document(uri='odd ",;\n.txt', text=text, title='"', meta={"k": "\n"})
    chunk = Chunk(document.id, 0, len(text))
    mentions, evidence = [], []
    at = 0
    for number, name in enumerate(HOSTILE):
        span = (at, at + len(name))
        at = span[1] + 1
        raw = entity_id(name, "Odd")
        props = {"n": number, "x": name, "list": [name], "odd:key": 1, "big": 10**30}
        placed = {"chunk": chunk.id, "span": span}
        surface = name if name.strip() else "x"
        mentions.append(
            Mention(raw, surface, config.id, name=name if name.strip() else "", type="Odd",
                    description=name, props=props if number % 2 else {}, **placed)
        )  # fmt: skip
        evidence.append(
            Evidence(raw, name if name.strip() else "x", Literal(name, "xsd:string"), 0.5,
                     config.id, chunk=chunk.id, span=span, quote=name, time=name)
        )  # fmt: skip
    return Batch(
        (document,), (chunk,), tuple(mentions), tuple(evidence), (Task(chunk.id, config.id),)
    )


def _rich_graph() -> GraphStore:
    """Every kind of record, found by several runs, with hostile texts."""
    chance = random.Random(3)
    graph = open_graph("memory://")
    fill(graph, first_batch(), second_batch())
    fill(graph, *random_batches(4), first_batch())
    fill(graph, _hostile_batch(CONFIG))
    entities = [entity.id for entity in graph.derived("entity")]
    resolving = graph.begin_run(Config("resolve")).id
    kept, dropped = chance.sample(entities, 2)
    name = RelationName("knows", "acquainted", layer="embedding", score=0.9, run=resolving)
    graph.write(
        Batch(
            merges=(Merge(kept, dropped, "test", 1.0, resolving),), relation_names=(*NAMES, name)
        ),
        run=resolving,
    )
    guessing = graph.begin_run(Config("guess")).id
    guesses = {
        Prediction(*chance.sample(entities, 1), "KNOWS", *chance.sample(entities, 1), 0.5, 1, "w",
                   1, guessing)
        for _ in range(6)
    }  # fmt: skip
    graph.write(Batch(predictions=tuple(guesses)), run=guessing)
    return graph


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GraphStore, GraphStore]]:
    """A graph in memory, and the same in a server that neo4j-admin has filled."""
    memory = _rich_graph()
    folder = tmp_path_factory.mktemp("import") / "files"
    report = write_admin_csv(memory, folder)
    server = start(short_lived=True, imported=report.folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEO4J_USERNAME", server.user)
        patch.setenv("NEO4J_PASSWORD", server.password)
        graph = open_graph(server.uri, create=False)
        yield memory, graph
        graph.close()
    server.stop()


KINDS = (
    "document", "chunk", "mention", "evidence", "mention_link", "evidence_link", "config", "run",
    "task", "merge", "relation_name", "prediction",
)  # fmt: skip


@pytest.mark.neo4j
def test_imported_graph_is_the_graph(loaded: tuple[GraphStore, GraphStore]) -> None:
    memory, graph = loaded
    assert graph_hash(graph) == graph_hash(memory)
    for kind in KINDS:
        assert list(graph.written(kind)) == list(memory.written(kind)), kind
    assert graph.stats() == memory.stats()
    check_equals_twin(graph)


@pytest.mark.neo4j
@pytest.mark.parametrize(
    "cypher",
    [
        "MATCH (n:Entity) RETURN n.id, labels(n), n.aliases, n.x, n.n ORDER BY n.id",
        "MATCH (c)-[s:STATES]->(h) RETURN c.id, s.id, s.triple_id, s.quote, h.id, s.start, s.score "
        "ORDER BY s.id",
        "MATCH (c)-[m:MENTIONS]->(e) RETURN c.id, m.id, m.surface, m.end, e.id ORDER BY m.id",
        "MATCH (h)-[p:PREDICTED]->(t) RETURN p.id, h.id, t.id, p.score ORDER BY p.id",
        "MATCH (m:Model) RETURN m.id, m.harvester ORDER BY m.id",
        "MATCH (c:Chunk)-[:FROM_DOCUMENT]->(d:Document) RETURN c.id, d.title, d.uri ORDER BY c.id",
    ],
)
def test_imported_shape_is_the_shape(loaded: tuple[GraphStore, GraphStore], cypher: str) -> None:
    memory, graph = loaded
    assert _plain(graph, cypher) == _plain(memory, cypher)


@pytest.mark.neo4j
def test_imported_graph_goes_on(loaded: tuple[GraphStore, GraphStore]) -> None:
    """Written again nothing is new, and undo and delete find what the files said."""
    memory, graph = loaded
    for store in loaded:
        run = store.begin_run(CONFIG).id
        assert store.write(_hostile_batch(CONFIG), run=run).created == 0
        store.undo(run)
        for made in list(store.written("run"))[:2]:
            store.undo(made.id)
        store.delete_document("pierre.txt") if list(
            store.written("document", uri="pierre.txt")
        ) else 0
    assert graph_hash(graph) == graph_hash(memory)
    check_equals_twin(graph)


def _plain(graph: GraphStore, cypher: str) -> list[list[object]]:
    return [
        [sorted(v) if isinstance(v, list) else v for v in row] for row in graph.read(cypher).rows
    ]


def test_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("x")
    with pytest.raises(ExchangeError, match="not empty"):
        write_admin_csv(open_graph("memory://"), tmp_path)
