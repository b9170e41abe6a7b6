"""The store on a Neo4j server, over Bolt with the official driver and without APOC."""

from kg.store.neo4j.store import Neo4jStore

__all__ = ["Neo4jStore"]
