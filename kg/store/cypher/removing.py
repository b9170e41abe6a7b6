"""Statements that lease and adopt tasks, and those that take things away."""

from __future__ import annotations

from typing import Final, LiteralString

from kg.store.cypher.names import Put

__all__ = ["adopt", "found_in_chunk", "found_in_model", "of_chunks", "remove", "unlink"]

# ----------------------------------------------------------------------------- leases, adopting

#: Leases first: a writer ends a lease and finishes its task at the same moment.
CLAIMED: Final = (
    "CALL { UNWIND $rows AS id MATCH (l:SheafLease {id: id}) "
    "RETURN collect([id, l.owner, l.expires]) AS leases } "
    "CALL { UNWIND $rows AS id MATCH (t:Task {id: id}) RETURN collect(id) AS done } "
    "RETURN leases, done"
)
LEASE: Final = Put(
    "UNWIND $rows AS r",
    "MERGE (l:SheafLease {id: r[0]}) SET l.owner = $owner, l.expires = $expires",
)
ADOPT_TASKS: Final = (
    "UNWIND $rows AS r MATCH (t:Task {id: r.id}) "
    "MERGE (:SheafLink {id: toString($run) + '|' + r.chunk}) WITH t WHERE NOT $run IN t.runs "
    "SET t.runs = t.runs + $run RETURN count(*)"
)


def adopt(type: LiteralString) -> LiteralString:
    """Return the statement that links what tasks have found to a run; answers with how many."""
    return (
        f"UNWIND $rows AS r MATCH (c:Chunk {{id: r.chunk}})-[x:{type}]->() "
        "USING INDEX SEEK c:Chunk(id) WHERE x.config = r.config AND NOT $run IN x.runs "
        "SET x.runs = x.runs + $run RETURN count(*)"
    )


# -------------------------------------------------------------------------------------- of a run

#: Where a run has found something: chunks and models.
SOURCES_OF_RUN: Final = (
    "MATCH (l:SheafLink) USING INDEX SEEK l:SheafLink(id) WHERE l.id STARTS WITH $prefix "
    "RETURN substring(l.id, size($prefix))"
)
DELETE_LINKS_OF_RUN: Final = (
    "MATCH (l:SheafLink) USING INDEX SEEK l:SheafLink(id) WHERE l.id STARTS WITH $prefix DELETE l"
)
TASKS_OF_RUN: Final = (
    "UNWIND $rows AS id MATCH (t:Task {chunk: id}) USING INDEX SEEK t:Task(chunk) "
    "WHERE $run IN t.runs RETURN t.id, t.chunk, size(t.runs) = 1"
)


def found_in_chunk(type: LiteralString) -> LiteralString:
    """Return the statement that lists what a run has found in chunks, and whether only it has."""
    return (
        f"UNWIND $rows AS id MATCH (s:Chunk {{id: id}})-[x:{type}]->() "
        "USING INDEX SEEK s:Chunk(id) WHERE $run IN x.runs RETURN x.id, s.id, size(x.runs) = 1"
    )


def found_in_model(type: LiteralString) -> LiteralString:
    """Return the statement that lists what a run has from models, and whether only it has."""
    return (
        f"UNWIND $rows AS id MATCH (s:Model {{id: id}})-[x:{type}]->() "
        "USING INDEX SEEK s:Model(id) WHERE $run IN x.runs RETURN x.id, null, size(x.runs) = 1"
    )


def of_chunks(type: LiteralString) -> LiteralString:
    """Return the statement that lists what stands in chunks, of some configs or of all."""
    return (
        f"UNWIND $rows AS id MATCH (c:Chunk {{id: id}})-[x:{type}]->() "
        "USING INDEX SEEK c:Chunk(id) WHERE $configs IS NULL OR x.config IN $configs RETURN x.id"
    )


def _found(type: LiteralString) -> LiteralString:
    return f"UNWIND $rows AS id MATCH (s)-[x:{type} {{id: id}}]->(e) USING INDEX SEEK x:{type}(id)"


def unlink(type: LiteralString) -> LiteralString:
    """Return the statement that takes a run from what other runs have found as well."""
    return f"{_found(type)} SET x.runs = [run IN x.runs WHERE run <> $run]"


def remove(type: LiteralString) -> LiteralString:
    """Return the statement that removes relationships and answers with what they were."""
    return f"{_found(type)} WITH s, e, x, properties(x) AS p DELETE x RETURN p, s.id, s:Model, e.id"


# ------------------------------------------------------------------------------- taking it away

UNLINK_TASKS: Final = (
    "UNWIND $rows AS id MATCH (t:Task {id: id}) SET t.runs = [run IN t.runs WHERE run <> $run]"
)
DELETE_TASKS: Final = "UNWIND $rows AS id MATCH (t:Task {id: id}) DELETE t"
MERGES_OF_RUN: Final = "MATCH (m:Merge {run: $run}) RETURN m.kept, m.dropped"
DELETE_MERGES_OF_RUN: Final = "MATCH (m:Merge {run: $run}) DELETE m"
DELETE_NAMES_OF_RUN: Final = "MATCH (n:SheafRelationName {run: $run}) DELETE n"
DELETE_RUN: Final = "MATCH (r:Run {id: $id}) DELETE r"
FEWER_NAMINGS: Final = Put(
    "UNWIND $rows AS r MATCH (n:SheafNaming {id: r[0]})", "SET n.times = n.times - r[1]"
)
DELETE_UNUSED_NAMINGS: Final = (
    "UNWIND $rows AS id MATCH (n:SheafNaming {id: id}) WHERE n.times <= 0 DELETE n"
)
DELETE_IDLE_CHUNKS: Final = (
    "UNWIND $rows AS id MATCH (c:Chunk {id: id})-[:FROM_DOCUMENT]->(d:Document) "
    "USING INDEX SEEK c:Chunk(id) WHERE NOT EXISTS { (c)-[:MENTIONS|STATES]->() } "
    "AND NOT EXISTS { (:Task {chunk: id}) } DETACH DELETE c RETURN d.id"
)
DELETE_IDLE_DOCUMENTS: Final = (
    "UNWIND $rows AS id MATCH (d:Document {id: id}) "
    "WHERE NOT EXISTS { (d)<-[:FROM_DOCUMENT]-() } DELETE d RETURN id"
)
DELETE_IDLE_LITERALS: Final = (
    "UNWIND $rows AS id MATCH (l:Literal {id: id}) WHERE NOT "
    "EXISTS { MATCH ()-[s:STATES {raw_tail: id}]->() USING INDEX SEEK s:STATES(raw_tail) } "
    "DETACH DELETE l"
)
DELETE_IDLE_MODELS: Final = (
    "UNWIND $rows AS id MATCH (m:Model {id: id}) WHERE NOT EXISTS { (m)--() } DELETE m"
)
DELETE_TEXTS: Final = "UNWIND $rows AS id MATCH (t:SheafText {id: id}) DELETE t"
DOCUMENTS_OF_URI: Final = (
    "MATCH (t:SheafText {uri_key: $key}) MATCH (d:Document {id: t.id}) RETURN d.id"
)
URIS: Final = "MATCH (d:Document) RETURN d.uri ORDER BY d.uri"
CHUNKS_OF_DOCUMENTS: Final = (
    "UNWIND $rows AS id MATCH (d:Document {id: id})<-[:FROM_DOCUMENT]-(c:Chunk) "
    "USING INDEX SEEK d:Document(id) RETURN c.id"
)
TASKS_OF_CHUNKS: Final = (
    "UNWIND $rows AS id MATCH (t:Task {chunk: id}) "
    "WHERE $configs IS NULL OR t.config IN $configs RETURN t.id"
)
LEASES_OF_CHUNKS: Final = (
    "UNWIND $rows AS id MATCH (l:SheafLease) WHERE l.id STARTS WITH id DELETE l"
)
DELETE_CHUNKS: Final = "UNWIND $rows AS id MATCH (c:Chunk {id: id}) DETACH DELETE c"
DELETE_DOCUMENTS: Final = "UNWIND $rows AS id MATCH (d:Document {id: id}) DELETE d"
#: Documents that a document replaces, and configs that another config replaces.
OLDER_DOCUMENTS: Final = (
    "MATCH (t:SheafText {id: $id}) MATCH (o:SheafText {uri_key: t.uri_key}) "
    "WHERE o.id <> $id RETURN o.id"
)
OTHER_VERSIONS: Final = (
    "MATCH (f:Config {id: $id}) MATCH (o:Config {harvester: f.harvester}) "
    "WHERE o.parameters = f.parameters AND o.id <> f.id RETURN o.id"
)
