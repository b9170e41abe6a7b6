"""The writers of neo4j-graphrag and langchain-neo4j, ready to write what `Data` holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kg.ids import label

if TYPE_CHECKING:
    from langchain_neo4j.graphs.graph_document import GraphDocument
    from neo4j import Driver
    from neo4j_graphrag.components.types import Neo4jGraph as RagGraph

    from benchmarks.write_neo4j import Data, Server

__all__ = ["langchain_neo4j", "neo4j_graphrag"]


def _rag_graph(data: Data) -> RagGraph:
    from neo4j_graphrag.components.types import Neo4jGraph, Neo4jNode, Neo4jRelationship

    nodes = [
        Neo4jNode(id=e.id, label=label(e.types[0]), properties={"name": e.name})
        for e in data.entities.values()
    ]
    links = [
        Neo4jRelationship(
            start_node_id=t.head,
            end_node_id=t.tail,
            type=t.relation,
            properties={"predicate": t.predicate, "score": t.score},
        )
        for t in data.triples
    ]
    return Neo4jGraph(nodes=nodes, relationships=links)


def neo4j_graphrag(driver: Driver, data: Data, **options: Any) -> Callable[[], object]:
    from neo4j_graphrag.components.kg_writer import Neo4jWriter

    writer, graph = Neo4jWriter(driver, **options), _rag_graph(data)

    def write() -> None:
        report = asyncio.run(writer.run(graph))
        if report.status != "SUCCESS":
            raise RuntimeError(f"neo4j-graphrag: {report.metadata}")

    return write


def _langchain_documents(data: Data) -> list[GraphDocument]:
    from langchain_neo4j.graphs.graph_document import GraphDocument, Node, Relationship

    documents = []
    for at in range(0, len(data.triples), 20):
        part = data.triples[at : at + 20]
        ends = dict.fromkeys(end for t in part for end in (t.head, t.tail))
        nodes = {
            id: Node(id=data.entities[id].name, type=data.entities[id].types[0]) for id in ends
        }
        links = [
            Relationship(
                source=nodes[t.head],
                target=nodes[t.tail],
                type=t.relation,
                properties={"predicate": t.predicate, "score": t.score},
            )
            for t in part
        ]
        documents.append(GraphDocument(nodes=list(nodes.values()), relationships=links))
    return documents


def langchain_neo4j(server: Server, data: Data, *, best: bool) -> Callable[[], object]:
    from langchain_neo4j import Neo4jGraph

    graph = Neo4jGraph(server.uri, server.user, server.password, refresh_schema=best)
    documents = _langchain_documents(data)
    if best:  # makes its constraint
        graph.add_graph_documents([], baseEntityLabel=True)
    return lambda: graph.add_graph_documents(documents, baseEntityLabel=best)
