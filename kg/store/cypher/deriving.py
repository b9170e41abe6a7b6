"""Statements that read what derivation needs and change what is derived."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, LiteralString

from kg.store.cypher.names import Put, name

__all__ = ["entities", "lose_labels", "triples"]

#: A way of naming as a list; what is empty is not stored.
NAMING: Final = (
    "[n.id, n.raw, n.name, n.surface, coalesce(n.type, ''), coalesce(n.iri, ''), "
    "coalesce(n.description, ''), coalesce(n.props, ''), n.config, n.times, n.key, n.entity]"
)
_STATEMENT: Final = (
    "[s.id, s.raw_head, s.raw_relation, s.raw_tail, s.score, s.quote, s.negated, s.hedged, "
    "s.config, s.triple_id, h.id]"
)


def _namings(rows: LiteralString, key: LiteralString) -> LiteralString:
    return (
        f"UNWIND {rows} AS id MATCH (n:SheafNaming {{{key}: id}}) "
        f"USING INDEX SEEK n:SheafNaming({key}) RETURN collect({NAMING})"
    )


def _merges(key: LiteralString) -> LiteralString:
    return (
        f"UNWIND $rows AS id MATCH (m:Merge {{{key}: id}}) USING INDEX SEEK m:Merge({key}) "
        "RETURN m.kept, m.dropped, m.layer, m.score, m.run"
    )


def _stated(rows: LiteralString, key: LiteralString) -> LiteralString:
    return (
        f"UNWIND {rows} AS id MATCH ()-[s:STATES {{{key}: id}}]->(h) "
        f"USING INDEX SEEK s:STATES({key}) RETURN collect({_STATEMENT})"
    )


NAMINGS_OF_RAWS: Final = _namings("$rows", "raw")
NAMINGS_OF_KEYS: Final = _namings("$rows", "key")
MERGES_KEEPING: Final = _merges("kept")
MERGES_DROPPING: Final = _merges("dropped")
STATING: Final = _stated("$rows", "triple_id")
#: What the database has of entities, their namings, what moves with them and what states triples.
STORED: Final = (
    "CALL { UNWIND $entities AS id MATCH (e:Entity {id: id}) "
    "RETURN collect([id, elementId(e), properties(e)]) AS entities } "
    f"CALL {{ {_namings('$entities', 'entity')} AS members }} "
    f"CALL {{ {_stated('$moved', 'raw_head')} AS from }} "
    f"CALL {{ {_stated('$moved', 'raw_tail')} AS to }} "
    f"CALL {{ {_stated('$triples', 'triple_id')} AS stating }} "
    "RETURN entities, members, from, to, stating"
)
PLACES: Final = (
    "UNWIND $rows AS id OPTIONAL MATCH (e:Entity {id: id}) OPTIONAL MATCH (l:Literal {id: id}) "
    "WITH id, coalesce(e, l) AS n WHERE n IS NOT NULL RETURN collect([id, elementId(n)])"
)
ENTITY_OF_RAWS: Final = (
    "UNWIND $rows AS id MATCH (n:SheafNaming {raw: id}) "
    "USING INDEX SEEK n:SheafNaming(raw) WHERE n.entity IS NOT NULL "
    "RETURN DISTINCT n.raw, n.entity"
)
STATED_RAWS: Final = (
    "UNWIND $rows AS id WITH id WHERE "
    "EXISTS { MATCH ()-[s:STATES {raw_head: id}]->() USING INDEX SEEK s:STATES(raw_head) } OR "
    "EXISTS { MATCH ()-[s:STATES {raw_tail: id}]->() USING INDEX SEEK s:STATES(raw_tail) } "
    "RETURN id"
)
STATED_WITH: Final = (
    f"MATCH ()-[s:STATES]->(h) WHERE s.raw_relation IN $rows RETURN collect({_STATEMENT})"
)
PHRASES: Final = "MATCH ()-[s:STATES]->() RETURN DISTINCT s.raw_relation"
MOVE_MENTIONS: Final = Put(
    "UNWIND $rows AS r MATCH (new:Entity {id: r[2]})",
    "CALL { WITH r, new MATCH (old:Entity {id: r[1]})<-[m:MENTIONS]-(s) "
    "USING INDEX SEEK old:Entity(id) WHERE m.raw_entity = r[0] "
    "CREATE (s)-[x:MENTIONS]->(new) SET x = properties(m) DELETE m }",
)
SET_NAMING_ENTITY: Final = (
    "UNWIND $rows AS r MATCH (n:SheafNaming {raw: r[0]}) USING INDEX SEEK n:SheafNaming(raw) "
    "SET n.entity = r[1]"
)
MOVE_EVIDENCE: Final = Put(
    "UNWIND $rows AS r MATCH (new:Entity {id: r[1]}) "
    "MATCH (s)-[e:STATES {id: r[0]}]->() USING INDEX SEEK e:STATES(id)",
    "CREATE (s)-[x:STATES]->(new) SET x = properties(e), x.triple_id = r[2] DELETE e",
)
RENAME_EVIDENCE: Final = Put(
    "UNWIND $rows AS r MATCH ()-[e:STATES {id: r[0]}]->() USING INDEX SEEK e:STATES(id)",
    "SET e.triple_id = r[2]",
)
#: Rows are a head and the triples that it loses, so that its links are looked through once.
DELETE_TRIPLES: Final = (
    "UNWIND $rows AS r MATCH (h:Entity {id: r[0]})-[x]->() "
    "WHERE x.support IS NOT NULL AND x.id IN r[1] DELETE x"
)
DELETE_ENTITIES: Final = "UNWIND $rows AS id MATCH (e:Entity {id: id}) DETACH DELETE e"

# ------------------------------------------------------------------------- get, where ids help

TRIPLE: Final = (
    "MATCH ()-[s:STATES {triple_id: $id}]->(h:Entity) USING INDEX SEEK s:STATES(triple_id) "
    "WITH h LIMIT 1 MATCH (h)-[r]->(t) "
    "WHERE r.id = $id AND r.support IS NOT NULL "
    "RETURN h.id, type(r), t.id, r.predicate, r.score, r.support"
)
ENTITY_OF_RAW: Final = (
    "MATCH (n:SheafNaming {raw: $id}) USING INDEX SEEK n:SheafNaming(raw) "
    "WHERE n.entity IS NOT NULL WITH n LIMIT 1 "
    "MATCH (e:Entity {id: n.entity}) RETURN e"
)


#: Entities with their labels, and triples that are not there yet with their relation, as values.
#: Only `CREATE` and `SET` take a name as a value without losing an index; from Neo4j 5.26 on.
ANY_ENTITIES: Final = Put(
    "UNWIND $rows AS r",
    "MERGE (n:Entity {id: r[0]}) "
    "SET n.name = r[1], n.aliases = r[2], n.types = r[3], n += r[4], n:$(r[5])",
)
NEW_TRIPLES: Final = Put(
    "UNWIND $rows AS r MATCH (h) WHERE elementId(h) = r[1] MATCH (t) WHERE elementId(t) = r[2]",
    "CREATE (h)-[:$(r[6]) {id: r[0], predicate: r[3], score: r[4], support: r[5]}]->(t)",
)


def entities(labels: Iterable[str]) -> Put:
    """Return the statement that writes entities which share their labels.

    Rows are id, name, aliases, types and a map of the other properties (null removes one).

    >>> entities(["Entity", "Person"]).write.partition(" SET ")[0]
    'MERGE (n:Entity {id: r[0]})'
    """
    text = "".join(f":{name(label)}" for label in labels)
    return Put(
        "UNWIND $rows AS r",
        "MERGE (n:Entity {id: r[0]}) "
        f"SET n.name = r[1], n.aliases = r[2], n.types = r[3], n += r[4], n{text}",
    )


def lose_labels(labels: Iterable[str]) -> Put:
    """Return the statement that takes labels from entities whose types have changed."""
    text = "".join(f":{name(label)}" for label in labels)
    return Put("UNWIND $rows AS r MATCH (e:Entity {id: r[0]})", f"REMOVE e{text}")


def triples(relation: str) -> Put:
    """Return the statement that writes triples of one relation.

    Rows are id, where head and tail are in the database, predicate, score and support. The places
    were learnt in the same transaction: to look both ends up by their ids costs as much as all
    the rest.

    >>> triples("BORN_IN").write.partition(" SET ")[0]
    'MERGE (h)-[x:`BORN_IN`]->(t)'
    """
    return Put(
        "UNWIND $rows AS r MATCH (h) WHERE elementId(h) = r[1] MATCH (t) WHERE elementId(t) = r[2]",
        f"MERGE (h)-[x:{name(relation)}]->(t) "
        "SET x.id = r[0], x.predicate = r[3], x.score = r[4], x.support = r[5]",
    )
