"""One graph on two engines: each query of the portable subset gives equal multisets of rows.

The graph is the one of the contract, with a model's word, a merge of names and a prediction. Every
query names labels or relationship types: the records that Neo4j also keeps as nodes (runs, tasks,
…) have no relationships and are out of the way of patterns, not of `MATCH (n)`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from kg import graph_hash, open_graph
from kg.ids import entity_id
from kg.records import Batch, Config, Evidence, Literal, Mention, Prediction
from kg.store.protocol import GraphPath, GraphStore, Node, Relationship
from tests.kg.store.contract import MARIE, PIERRE, WARSAW, fill, first_batch, second_batch
from tests.kg.store.statements import READS

pytestmark = pytest.mark.neo4j

QUERIES = {
    "labels of a node": "MATCH (e:Entity {name: 'Warsaw'}) UNWIND labels(e) AS l RETURN l",
    "keys of an edge": "MATCH ()-[b:BORN_IN]->() UNWIND keys(b) AS k RETURN k",
    "whole entity": "MATCH (e:Entity) RETURN e",
    "whole document": "MATCH (d:Document) RETURN d",
    "whole chunk": "MATCH (c:Chunk) RETURN c",
    "whole literal": "MATCH (l:Literal) RETURN l",
    "whole model": "MATCH (m:Model) RETURN m",
    "whole triple": "MATCH (a:Entity)-[r:BORN_IN|SPOUSE|DATE_OF_BIRTH]->(b) RETURN a, r, b",
    "whole path": "MATCH p = (:Person)-[:BORN_IN]->(:City) RETURN p",
    "by property": "MATCH (e:Entity) WHERE e.name = 'Marie Curie' RETURN e.id",
    "by parameter": "MATCH (e:Entity {name: $name}) RETURN e.id, e.aliases",
    "inline property": "MATCH (e:Person {name: 'Pierre Curie'}) RETURN e.id",
    "types of edges": "MATCH (:Entity)-[r]->() RETURN type(r), count(*)",
    "either direction": "MATCH (a:Person)-[:SPOUSE]-(b:Person) RETURN a.name, b.name",
    "edges from anywhere": "MATCH ()-[r]->() RETURN type(r) AS t, count(r) AS n",
    "sources of a triple": "MATCH (d:Document)<-[:FROM_DOCUMENT]-(c:Chunk)-[s:STATES]->(h:Entity) "
    "RETURN d.uri, s.quote, s.score, s.negated, s.hedged, h.name",
    "word of a model": "MATCH (m:Model)-[s:STATES]->(h:Entity) RETURN m.model, s.harvester, h.name",
    "evidence by triple": "MATCH (h:Entity)-[t:SPOUSE]->(:Entity) MATCH ()-[s:STATES]->(h) "
    "WHERE s.triple_id = t.id RETURN s.quote ORDER BY s.quote",
    "raw ids": "MATCH ()-[s:STATES]->() RETURN s.raw_head, s.raw_relation, s.raw_tail",
    "mentions": "MATCH (c:Chunk)-[m:MENTIONS]->(e:Entity) "
    "RETURN m.surface, m.start, m.end, m.type, m.raw_entity, e.name",
    "predicted": "MATCH (a:Entity)-[p:PREDICTED]->(b:Entity) "
    "RETURN a.name, p.predicate, b.name, p.score, p.model",
    "literal tails": "MATCH (p:Person)-[r]->(l:Literal) "
    "RETURN p.name, type(r), l.lexical, l.datatype",
    "optional": "MATCH (e:Entity) OPTIONAL MATCH (e)-[:BORN_IN]->(c) RETURN e.name, c.name",
    "optional count": "MATCH (e:Entity) OPTIONAL MATCH (e)<-[s:STATES]-() RETURN e.name, count(s)",
    "group and order": "MATCH (:Entity)-[r]->(b) WITH b, count(r) AS n ORDER BY n DESC, b.id "
    "RETURN b.id, n LIMIT 2",
    "having": "MATCH (c:Chunk)-[m:MENTIONS]->(e) WITH e, count(m) AS n WHERE n > 1 "
    "RETURN e.name, n",
    "sum, min, max, avg": "MATCH ()-[s:STATES]->() "
    "RETURN count(s), min(s.score), max(s.score), round(avg(s.score) * 1000)",
    "distinct": "MATCH (c:Chunk)-[:MENTIONS]->(e:Entity) RETURN DISTINCT e.name",
    "count distinct": "MATCH (c:Chunk)-[:MENTIONS]->(e:Entity) RETURN count(DISTINCT e)",
    "collect sorted": "MATCH (e:Entity) WITH e.name AS name ORDER BY name RETURN collect(name)",
    "unwind list": "UNWIND $names AS name MATCH (e:Entity {name: name}) RETURN name, e.id",
    "unwind aliases": "MATCH (e:Entity) UNWIND e.aliases AS a RETURN e.name, a",
    "in aliases": "MATCH (e:Entity) WHERE 'Curie' IN e.aliases RETURN e.name",
    "union": "MATCH (p:Person) RETURN p.name AS x UNION MATCH (p:Place) RETURN p.name AS x",
    "union all": "MATCH (p:Person) RETURN 1 AS x UNION ALL MATCH (p:Place) RETURN 1 AS x",
    "case": "MATCH (e:Entity) RETURN e.name, CASE WHEN e:Person THEN 'who' ELSE 'where' END",
    "exists": "MATCH (e:Entity) WHERE EXISTS { MATCH (e)-[:BORN_IN]->() } RETURN e.name",
    "not exists": "MATCH (e:Entity) WHERE NOT EXISTS { (e)-[:SPOUSE]-() } RETURN e.name",
    "count of a pattern": "MATCH (e:Entity) RETURN e.name, COUNT { (e)-[:SPOUSE]-() } AS n",
    "sub-query": "MATCH (e:Person) CALL { WITH e MATCH (e)-[r]->() RETURN count(r) AS n } "
    "RETURN e.name, n",
    "list comprehension": "MATCH (e:Entity) RETURN e.name, [t IN e.types WHERE t <> 'City' | t]",
    "pattern comprehension": "MATCH (e:Person) RETURN e.name, size([(e)-[r]->(x:Entity) | x.name])",
    "reduce": "RETURN reduce(sum = 0, x IN [1, 2, 3] | sum + x) AS s",
    "variable length": "MATCH (a:Person {name: 'Pierre Curie'})-[:SPOUSE|BORN_IN*1..2]-(b) "
    "RETURN DISTINCT b.name",
    "shortest path": "MATCH p = shortestPath((a:Person {name: 'Pierre Curie'})-[*..3]-(b:City)) "
    "RETURN length(p)",
    "nodes of a path": "MATCH p = (a:Person)-[:BORN_IN]->(b) RETURN [n IN nodes(p) | n.name]",
    "text functions": "MATCH (e:Entity) RETURN toUpper(e.name), size(e.name), "
    "substring(e.name, 0, 3), split(e.name, ' '), replace(e.name, 'Curie', 'C')",
    "text predicates": "MATCH (e:Entity) WHERE e.name STARTS WITH 'M' OR e.name ENDS WITH 'w' "
    "OR e.name CONTAINS 'Å' RETURN e.name",
    "regular expression": "MATCH (e:Entity) WHERE e.name =~ '.*Curie' RETURN e.name",
    "null and coalesce": "MATCH (e:Entity) WHERE e.iri IS NULL RETURN coalesce(e.description, '-')",
    "skip and limit": "MATCH (e:Entity) RETURN e.name ORDER BY e.name SKIP 1 LIMIT 2",
    "null order": "MATCH (e:Entity) OPTIONAL MATCH (e)-[b:BORN_IN]->() "
    "RETURN e.name, b.score ORDER BY b.score, e.name",
    "arithmetic": "MATCH ()-[b:BORN_IN]->() RETURN b.score * 10 + 1, b.support % 2, -b.support",
    "quantifiers": "MATCH (e:Entity) WHERE any(a IN e.aliases WHERE a = 'Curie') "
    "AND none(t IN e.types WHERE t = 'City') RETURN e.name",
    "map": "MATCH (e:Person) RETURN {name: e.name, types: e.types, none: null}",
    "two matches": "MATCH (a:Person) MATCH (a)-[:BORN_IN]->(c) RETURN a.name, c.name",
    "two patterns": "MATCH (a:Person)-[:SPOUSE]->(b), (b)-[:BORN_IN]->(c) RETURN a.name, c.name",
    "same source": "MATCH (c:Chunk)-[:MENTIONS]->(a:Person), (c)-[:MENTIONS]->(b:Place) "
    "RETURN DISTINCT a.name, b.name",
    "head, last, range": "RETURN head([1, 2]), last([1, 2]), range(1, 7, 3), [1, 2, 3][0..2]",
}
PARAMETERS = {"name": "Marie Curie", "names": ["Warsaw", "Nobody", "Pierre Curie"]}

MODEL = Config("asked", model="a-model", parameters={"types": {"Person": "", "Place": ""}})


def fill_both(graph: GraphStore) -> None:
    fill(graph, first_batch(), second_batch())
    run = graph.begin_run(MODEL).id
    bare = entity_id("Warsaw", "")
    graph.write(
        Batch(
            mentions=(
                Mention(MARIE, "Marie Curie", MODEL.id, type="Person"),
                Mention(bare, "WARSAW", MODEL.id, props={"population": 1_860_000}),
            ),
            evidence=(
                Evidence(MARIE, "born_in", bare, 0.6, MODEL.id),
                Evidence(MARIE, "field", Literal("physics", "xsd:string", "en"), 0.9, MODEL.id),
            ),
            predictions=(Prediction(PIERRE, "BORN_IN", WARSAW, 0.7, 1, "weights", 3, run),),
        ),
        run=run,
    )


@pytest.fixture(scope="module")
def both(neo4j_uri: str, neo4j_driver: Any) -> Iterator[tuple[GraphStore, GraphStore]]:
    from tests.neo4j_server import empty_database

    empty_database(neo4j_driver)
    stores = open_graph("memory://"), open_graph(neo4j_uri)
    for store in stores:
        fill_both(store)
    yield stores
    for store in stores:
        store.close()
    empty_database(neo4j_driver)


def _comparable(value: Any) -> Any:
    """A form that can be counted; labels and keys have no order, numbers one kind."""
    match value:
        case Node():
            return ("node", frozenset(value.labels), _comparable(dict(value.properties)))
        case Relationship():
            return ("edge", value.type, _comparable(dict(value.properties)))
        case GraphPath():
            return ("path", _comparable(list(value.nodes)), _comparable(list(value.relationships)))
        case dict():
            return frozenset((key, _comparable(item)) for key, item in value.items())
        case list() | tuple():
            return tuple(map(_comparable, value))
        case bool() | None | str():
            return value
        case float() | int():
            return round(float(value), 9)
    raise AssertionError(f"unexpected value {value!r}")


def test_both_hold_the_same_graph(both: tuple[GraphStore, GraphStore]) -> None:
    memory, server = both
    assert graph_hash(memory) == graph_hash(server)
    assert memory.stats() == server.stats()


@pytest.mark.parametrize("query", (QUERIES | READS).values(), ids=QUERIES | READS)
def test_equal_rows(both: tuple[GraphStore, GraphStore], query: str) -> None:
    query = query.replace("MATCH (n)", "MATCH (n:Entity)")  # see the module's docstring
    memory, server = (store.read(query, PARAMETERS) for store in both)
    assert memory.columns == server.columns
    assert Counter(map(_comparable, memory)) == Counter(map(_comparable, server))


def test_there_are_enough_queries_and_all_return_rows(
    both: tuple[GraphStore, GraphStore],
) -> None:
    assert len(QUERIES) >= 40
    assert all(len(both[0].read(query, PARAMETERS)) for query in QUERIES.values())
