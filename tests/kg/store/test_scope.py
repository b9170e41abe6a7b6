"""Which questions the facts answer: a wrong "facts" would be a wrong answer, without a word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kg import open_graph
from kg.errors import QueryError
from kg.store.embedded.scope import scope_of
from kg.store.embedded.store import EmbeddedStore
from tests.kg.store.contract import fill, first_batch, second_batch
from tests.kg.store.statements import READS
from tests.kg.store.test_portable_cypher import QUERIES

#: Each could match a node or an edge of a source.
ABOUT_SOURCES = [
    "MATCH (n) RETURN count(n)",
    "MATCH (n {id: 'x'}) RETURN n",
    "MATCH (n WHERE n.id = 'x') RETURN n",
    "MATCH (c:Chunk) RETURN c",
    "MATCH (c:`Chunk`) RETURN c",
    "MATCH (c:chunk) RETURN c",
    "MATCH (c IS Chunk) RETURN c",
    "MATCH (a:Person|Chunk) RETURN a",
    "MATCH (a:Entity) WITH a AS Chunk MATCH (Chunk) RETURN 1",
    "MATCH (c) WHERE c:Document RETURN c",
    "MATCH (:Entity)<-[m:MENTIONS]-(c) RETURN count(*)",
    "MATCH (a:Entity)-[r]-(b) RETURN count(*)",
    "MATCH (a:Entity)<-[]-(b) RETURN count(*)",
    "MATCH (a:Entity)--(b) RETURN count(*)",
    "MATCH (a:Entity)<--(b) RETURN count(*)",
    "MATCH (a:Entity)-(b) RETURN count(*)",
    "MATCH (a:Entity)->(b) RETURN count(*)",
    "MATCH (a:Entity)<-(b) RETURN count(*)",
    "MATCH (a)-[*1..2]-(b:Entity) RETURN count(*)",
    "MATCH (a)-[:KNOWS*0..1]-(b) RETURN count(*)",
    "MATCH (a)-[:KNOWS*0]-(b) RETURN count(*)",
    "MATCH (a)-[:KNOWS]->*(b) RETURN count(*)",
    "MATCH (a)-[:KNOWS]->{0,2}(b) RETURN count(*)",
    "MATCH (a)-[:!KNOWS]->(b) RETURN count(*)",
    "MATCH (a)-[:%]->(b) RETURN count(*)",
    "MATCH (a:%) RETURN count(*)",
    "MATCH (a:!Entity) RETURN count(*)",
    "MATCH (a:$($name)) RETURN count(*)",
    "MATCH (a)-[r:BORN_IN|STATES]->(b) RETURN count(*)",
    "MATCH (a:Entity), (n) RETURN count(*)",
    "MATCH (a:Entity) OPTIONAL MATCH (n) RETURN count(*)",
    "MATCH (a:Entity) RETURN COUNT { (n) }",
    "MATCH (a:Entity) RETURN COUNT { MATCH (n) }",
    "MATCH (a:Entity) WHERE EXISTS { (a)--() } RETURN a",
    "MATCH (a:Entity) RETURN size([(a)<-[m]-(c) | c])",
    "CALL { MATCH (n) RETURN n } RETURN count(n)",
    "UNWIND [1] AS x MATCH (n) RETURN n",
    "MATCH p = (n) RETURN p",
    "MATCH p = shortestPath((a:Entity)-[*]-(b:Entity)) RETURN p",
    "MATCH p = shortestPath((a:Entity)-[*]->(b:Entity)) RETURN p",
    "MATCH (a:Entity)<-[r]-(b) RETURN b",
    "MATCH (a)-[r]->(b:Entity) RETURN a",
    "MATCH (a:Entity)-[r]->(b)<-[q]-(c) RETURN c",
    "MATCH (a:Entity)<-[r]->(b) RETURN b",
    "MATCH (a:Entity)-[*0..1]->(b) RETURN b",
    "MATCH (a:Person) WITH count(*) AS n MATCH (a)-[r]->(b) RETURN b",
    "MATCH (a:Person) CALL { MATCH (a) RETURN a AS b } RETURN b",
    "MATCH (a:Person) RETURN a UNION MATCH (a) RETURN a",
    "MATCH (a:Person) WHERE (a)--() RETURN a",
    "MATCH (a:Person WHERE EXISTS { (a)--() })-[:KNOWS]->(b) RETURN a",
    "MATCH (a:Person WHERE (a)--())-[:KNOWS]->(b) RETURN a",
    "MATCH (a:Person)-[r:KNOWS WHERE size([(a)--() | 1]) > 0]->(b) RETURN a",
    "MATCH (a:Person) WHERE (a)<-[]-() RETURN a",
    "MATCH ((a:Person)-[r]->(b)){0,2} RETURN a",
    "MATCH (a:Person) OPTIONAL MATCH (b)-[r]->(a) RETURN b",
]
ABOUT_FACTS = [
    "MATCH (e:Entity) RETURN count(*)",
    "MATCH (e:Person {name: 'x'}) WHERE e.score - 1 > 2 RETURN e.id",
    "MATCH (p:Person)-[b:BORN_IN {support: 1}]->(c) RETURN p.name, b.score % 2",
    "MATCH (a)-[:KNOWS|SPOUSE]-(b)<-[r:WORK]-(c) RETURN a",
    "MATCH (a:Person)-[:KNOWS*1..3]->(b) RETURN b",
    "MATCH (a:Person), (b:City) RETURN a, b",
    "MATCH (a:Person) OPTIONAL MATCH (a)-[:BORN_IN]->(c) RETURN a, c",
    "MATCH (a:Person) WHERE EXISTS { MATCH (a)-[:BORN_IN]->() } RETURN a",
    "MATCH p = shortestPath((a:Entity)-[:KNOWS*]-(b:Entity)) RETURN p",
    "MATCH (l:Literal) RETURN l.lexical",
    "MATCH (a:Entity)-[p:PREDICTED]->(b:Entity) RETURN p.model AS model, b.`states`",
    "MATCH (a:Entity)-->(b) RETURN count(*)",
    "MATCH (a:Entity)-[r]->(b)-[q]->(c) RETURN a, r, c",
    "MATCH (c)<-[q]-(b)<--(a:Entity) RETURN c",
    "MATCH (a:Person) MATCH (a)-[r]->(b) RETURN type(r), b",
    "MATCH (a:Person) OPTIONAL MATCH (a)-[r]->(b), (b)-[q]->(c) RETURN c",
    "MATCH (a)-[:BORN_IN]->(b), (a) RETURN a",
    "RETURN 1 - 2",
]


@pytest.mark.parametrize("cypher", ABOUT_SOURCES)
def test_what_can_see_a_source_gets_the_sources(cypher: str) -> None:
    assert scope_of(cypher) == "sources"


@pytest.mark.parametrize("cypher", ABOUT_FACTS)
def test_what_names_its_types_gets_the_facts(cypher: str) -> None:
    assert scope_of(cypher) == "facts"


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedStore, ...]]:
    """Two stores of one graph; one is held on the facts, the other on the sources."""
    place: Path = tmp_path_factory.mktemp("scope") / "my.kg"
    graph = open_graph(place)
    fill(graph, first_batch(), second_batch())
    graph.close()
    stores = EmbeddedStore(place), EmbeddedStore(place)
    yield stores
    for store in stores:
        store.close()


@pytest.mark.parametrize("cypher", [*ABOUT_FACTS, *QUERIES.values(), *READS.values()])
def test_the_facts_answer_as_the_whole_graph_does(
    graphs: tuple[EmbeddedStore, ...], cypher: str
) -> None:
    if scope_of(cypher) == "sources":
        return
    answers: list[Any] = []
    for store, scope in zip(graphs, ("facts", "sources"), strict=True):
        projection = store._caught_up(scope)  # type: ignore[arg-type]
        assert projection.scope == scope
        try:
            rows = projection.engine.execute_cypher(cypher, {"name": "Warsaw", "ids": []})
            answers.append(Counter(str(_without_ids(dict(row))) for row in rows))
        except (RuntimeError, QueryError, TypeError, ValueError) as error:
            answers.append(type(error))
    assert answers[0] == answers[1]


def _without_ids(value: Any) -> Any:
    """The engine's own numbers differ between two of its files."""
    if isinstance(value, dict):
        return {
            key: _without_ids(item)
            for key, item in sorted(value.items())
            if key not in ("_id", "_source", "_target")
        }
    return [_without_ids(item) for item in value] if isinstance(value, list) else value
