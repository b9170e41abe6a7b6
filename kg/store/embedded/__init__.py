"""The embedded store: SQLite as the durable record, Grafeo as the Cypher projection."""

from kg.store.embedded.store import EmbeddedStore

__all__ = ["EmbeddedStore"]
