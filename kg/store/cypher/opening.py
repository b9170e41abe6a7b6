"""Statements that make constraints and indexes, open a graph and count what it holds."""

from __future__ import annotations

from typing import Final, LiteralString

__all__ = ["OUR_LABELS", "schema"]

#: Labels whose nodes have a unique `id`.
OUR_LABELS: Final[tuple[LiteralString, ...]] = (
    "Entity", "Literal", "Chunk", "Document", "Model", "Config", "Run", "Task", "Merge",
    "Prediction", "SheafGraph", "SheafText", "SheafNaming", "SheafLink", "SheafLock",
    "SheafRelationName", "SheafLease",
)  # fmt: skip
_NODE_INDEXES: Final[tuple[tuple[LiteralString, LiteralString], ...]] = (
    ("Task", "chunk"), ("Merge", "kept"), ("Merge", "dropped"), ("SheafText", "uri_key"),
    ("SheafNaming", "raw"), ("SheafNaming", "key"), ("SheafNaming", "entity"),
)  # fmt: skip
_RELATIONSHIP_INDEXES: Final[tuple[tuple[LiteralString, LiteralString], ...]] = (
    ("MENTIONS", "id"), ("STATES", "id"), ("STATES", "triple_id"), ("STATES", "raw_head"),
    ("STATES", "raw_tail"),
)  # fmt: skip


def schema() -> dict[str, LiteralString]:
    """Return the statements that make constraints and indexes, by the name of what they make.

    >>> schema()["sheaf_states_triple_id"]
    'CREATE INDEX sheaf_states_triple_id IF NOT EXISTS FOR ()-[n:STATES]-() ON (n.triple_id)'
    """
    made: dict[str, LiteralString] = {}
    for label in OUR_LABELS:
        title = f"sheaf_{label.lower()}_id"
        made[title] = (
            f"CREATE CONSTRAINT {title} IF NOT EXISTS FOR (n:{label}) REQUIRE n.id IS UNIQUE"
        )
    for label, key in _NODE_INDEXES:
        title = f"sheaf_{label.lower()}_{key}"
        made[title] = f"CREATE INDEX {title} IF NOT EXISTS FOR (n:{label}) ON (n.{key})"
    # A text index serves equality as well and holds names four times as long as a range index.
    made["sheaf_entity_name"] = (
        "CREATE TEXT INDEX sheaf_entity_name IF NOT EXISTS FOR (n:Entity) ON (n.name)"
    )
    for type, key in _RELATIONSHIP_INDEXES:
        title = f"sheaf_{type.lower()}_{key}"
        made[title] = f"CREATE INDEX {title} IF NOT EXISTS FOR ()-[n:{type}]-() ON (n.{key})"
    return made


SCHEMA_NAMES: Final = (
    "SHOW INDEXES YIELD name, state WHERE name STARTS WITH 'sheaf_' RETURN name, state"
)
AWAIT_INDEXES: Final = "CALL db.awaitIndexes(300)"
_GRAPH: Final = "RETURN g.format, g.store, g.counter, coalesce(g.imported, false)"
GRAPH: Final = f"MATCH (g:SheafGraph {{id: 'graph'}}) {_GRAPH}"
MAKE_GRAPH: Final = (
    "MERGE (g:SheafGraph {id: 'graph'}) ON CREATE SET g.format = $format, g.store = $store, "
    "g.counter = 0, g.structure = 0, g.runs = 0 SET g.locked = true "
    f"{_GRAPH}"
)
#: What the files of neo4j-admin cannot say: that a list is there and empty.
COMPLETE: Final = (
    "MATCH (e:Entity) USING INDEX SEEK e:Entity(id) WHERE e.id > $after "
    "WITH e ORDER BY e.id LIMIT 10000 "
    "SET e.aliases = coalesce(e.aliases, []), e.types = coalesce(e.types, []) RETURN max(e.id)"
)
SET_COMPLETE: Final = "MATCH (g:SheafGraph {id: 'graph'}) REMOVE g.imported"
FOREIGN: Final = (
    "MATCH (n) WHERE any(label IN labels(n) WHERE label IN $labels) "
    "RETURN labels(n)[0], count(*) LIMIT 1"
)
COUNT: Final = (
    "RETURN COUNT { (:Document) } AS documents, COUNT { (:Chunk) } AS chunks, "
    "COUNT { ()-[:MENTIONS]->() } AS mentions, COUNT { ()-[:STATES]->() } AS evidence, "
    "COUNT { (:Literal) } AS literals, COUNT { ()-[:PREDICTED]->() } AS predictions, "
    "COUNT { (:Run) } AS runs, COUNT { (:Merge) } AS merges"
)
