"""Every Cypher statement that the Neo4j store sends, as constants and pure functions.

Values are always parameters. Only labels and relationship types stand in the text, because Cypher
takes no parameter there, and they pass `name` first. A statement that writes many rows is a `Put`:
its first half finds the ends of each row, its second half writes, and it returns how many rows
found their ends, because `UNWIND` with `MATCH` drops the others without a word.

Nodes beside those of `kg.store.shape`, without relationships, so that users' paths never meet them:

```
(:SheafGraph {id: 'graph', format, store, counter, runs})     one per database
(:SheafText {id, uri_key, text, media_type, meta})            the text of a document
(:SheafNaming {id, raw, key, entity, name, …, times})         kg.derivation.Naming, counted
(:SheafRelationName), (:SheafLease), (:Config), (:Run), (:Task), (:Merge), (:Prediction)
```

STATES and MENTIONS carry `config` and `runs` (small numbers of runs) beside their shape. Look-ups
of relationships name their index: a plan made while the graph was small would scan.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, LiteralString

from kg.errors import StoreError

__all__ = ["OUR_LABELS", "Put", "name", "schema"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: Labels whose nodes have a unique `id`.
OUR_LABELS: Final[tuple[LiteralString, ...]] = (
    "Entity", "Literal", "Chunk", "Document", "Model", "Config", "Run", "Task", "Merge",
    "Prediction", "SheafGraph", "SheafText", "SheafNaming", "SheafRelationName", "SheafLease",
)  # fmt: skip
_NODE_INDEXES: Final[tuple[tuple[LiteralString, LiteralString], ...]] = (
    ("Task", "chunk"), ("Merge", "kept"), ("Merge", "dropped"), ("SheafText", "uri_key"),
    ("SheafNaming", "raw"), ("SheafNaming", "key"), ("SheafNaming", "entity"),
)  # fmt: skip
_RELATIONSHIP_INDEXES: Final[tuple[tuple[LiteralString, LiteralString], ...]] = (
    ("MENTIONS", "id"), ("STATES", "id"), ("STATES", "triple_id"), ("STATES", "raw_head"),
    ("STATES", "raw_tail"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Put:
    """A statement that writes rows: `match` finds each row's ends, `write` writes them."""

    match: LiteralString
    write: LiteralString

    @property
    def statement(self) -> LiteralString:
        """Return the whole statement; its answer is the number of rows that were written."""
        return f"{self.match} {self.write} RETURN count(*)"

    @property
    def matched(self) -> LiteralString:
        """Return a statement that only lists the ids of the rows whose ends are there."""
        return f"{self.match} RETURN r.id"


def name(text: str) -> LiteralString:
    r"""Return a label or relationship type that may stand in a statement.

    Raises:
        StoreError: if it is anything but an ASCII word; `kg.ids` makes only such.

    >>> name("BORN_IN")
    '`BORN_IN`'
    >>> name("X`) DELETE (n")
    Traceback (most recent call last):
    kg.errors.StoreError: 'X`) DELETE (n' cannot be a label or relationship type: ...
    """
    if not _NAME.fullmatch(text):
        raise StoreError(
            f"{text!r} cannot be a label or relationship type: these are ASCII words, made by "
            "kg.ids.label and kg.ids.relation_type"
        )
    return f"`{text}`"


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


# --------------------------------------------------------------------------- opening, counting

SCHEMA_NAMES: Final = (
    "SHOW INDEXES YIELD name, state WHERE name STARTS WITH 'sheaf_' RETURN name, state"
)
AWAIT_INDEXES: Final = "CALL db.awaitIndexes(300)"
GRAPH: Final = "MATCH (g:SheafGraph {id: 'graph'}) RETURN g.format, g.store, g.counter"
MAKE_GRAPH: Final = (
    "MERGE (g:SheafGraph {id: 'graph'}) ON CREATE SET g.format = $format, g.store = $store, "
    "g.counter = 0, g.runs = 0 SET g.locked = true "
    "RETURN g.format, g.store, g.counter"
)
FOREIGN: Final = (
    "MATCH (n) WHERE any(label IN labels(n) WHERE label IN $labels) "
    "RETURN labels(n)[0], count(*) LIMIT 1"
)
#: Taken first by every writing transaction: what one batch derives depends on the others.
LOCK: Final = "MATCH (g:SheafGraph {id: 'graph'}) SET g.locked = true RETURN g.counter"
BUMP: Final = "MATCH (g:SheafGraph {id: 'graph'}) SET g.counter = g.counter + 1"
COUNT: Final = (
    "RETURN COUNT { (:Document) } AS documents, COUNT { (:Chunk) } AS chunks, "
    "COUNT { ()-[:MENTIONS]->() } AS mentions, COUNT { ()-[:STATES]->() } AS evidence, "
    "COUNT { (:Literal) } AS literals, COUNT { ()-[:PREDICTED]->() } AS predictions, "
    "COUNT { (:Run) } AS runs, COUNT { (:Merge) } AS merges"
)

# --------------------------------------------------------------------------------- runs, configs

MAKE_CONFIG: Final = "CREATE (f:Config {id: $id}) SET f += $properties"
MAKE_RUN: Final = (
    "MATCH (g:SheafGraph {id: 'graph'}) SET g.runs = g.runs + 1 "
    "CREATE (:Run {id: $id, config: $config, started: $started, finished: '', counts: '', "
    "number: g.runs})"
)
FINISH_RUN: Final = (
    "MATCH (r:Run {id: $id}) SET r.finished = $finished, r.counts = $counts RETURN r.id"
)
RUN: Final = "MATCH (r:Run {id: $id}) RETURN r.number, r.config"
LATEST_RUNS: Final = "MATCH (r:Run) RETURN r.id ORDER BY r.started DESC, r.number DESC LIMIT 3"
DELETE_RUN: Final = "MATCH (r:Run {id: $id}) DELETE r"

# --------------------------------------------------------------------------- looking up, checking

CONFIGS: Final = (
    "UNWIND $rows AS id MATCH (f:Config {id: id}) "
    "RETURN f.harvester, f.version, f.model, f.weights, f.prompt, f.parameters"
)
CHUNKS: Final = (
    "UNWIND $rows AS id MATCH (c:Chunk {id: id})-[:FROM_DOCUMENT]->(d:Document) "
    "USING INDEX SEEK c:Chunk(id) RETURN d.id, c.start, c.end"
)
TEXTS: Final = "UNWIND $rows AS id MATCH (t:SheafText {id: id}) RETURN t.id, t.text"
READ_CHUNKS: Final = (
    "UNWIND $rows AS id MATCH (d:Document {id: id})<-[:FROM_DOCUMENT]-(c:Chunk) "
    "USING INDEX SEEK d:Document(id) "
    "MATCH (:Task {id: c.id + '|' + $config}) RETURN d.id, c.start, c.end"
)
STATED_RAWS: Final = (
    "UNWIND $rows AS id WITH id WHERE "
    "EXISTS { MATCH ()-[s:STATES {raw_head: id}]->() USING INDEX SEEK s:STATES(raw_head) } OR "
    "EXISTS { MATCH ()-[s:STATES {raw_tail: id}]->() USING INDEX SEEK s:STATES(raw_tail) } "
    "RETURN id"
)
KNOWN_RELATION_NAMES: Final = "UNWIND $rows AS id MATCH (n:SheafRelationName {id: id}) RETURN n.id"
RELATION_NAMES: Final = (
    "MATCH (n:SheafRelationName) RETURN n.phrase, n.relation, n.swapped, n.symmetric, "
    "coalesce(n.layer, 'schema'), coalesce(n.score, 1.0), coalesce(n.run, '')"
)

# -------------------------------------------------------------------------------------- writing

DOCUMENTS: Final = Put(
    "UNWIND $rows AS r", "MERGE (d:Document {id: r.id}) ON CREATE SET d += r.properties"
)
DOCUMENT_TEXTS: Final = Put(
    "UNWIND $rows AS r", "MERGE (t:SheafText {id: r.id}) ON CREATE SET t += r.properties"
)
NEW_CHUNKS: Final = Put(
    "UNWIND $rows AS r MATCH (d:Document {id: r.document})",
    "MERGE (c:Chunk {id: r.id}) ON CREATE SET c += r.properties MERGE (c)-[:FROM_DOCUMENT]->(d)",
)
TASKS: Final = Put(
    "UNWIND $rows AS r",
    "MERGE (t:Task {id: r.id}) ON CREATE SET t.chunk = r.chunk, t.config = r.config, "
    "t.runs = [$run] ON MATCH SET t.runs = "
    "CASE WHEN $run IN t.runs THEN t.runs ELSE t.runs + $run END",
)
DELETE_LEASES: Final = "UNWIND $rows AS id MATCH (l:SheafLease {id: id}) DELETE l"
NEW_RELATION_NAMES: Final = Put(
    "UNWIND $rows AS r", "CREATE (n:SheafRelationName {id: r.id}) SET n += r.properties"
)
MERGES: Final = Put(
    "UNWIND $rows AS r", "MERGE (m:Merge {id: r.id}) ON CREATE SET m += r.properties"
)
PREDICTIONS: Final = Put(
    "UNWIND $rows AS r", "MERGE (p:Prediction {id: r.id}) ON CREATE SET p += r.properties"
)
NAMINGS: Final = Put(
    "UNWIND $rows AS r",
    "MERGE (n:SheafNaming {id: r.id}) ON CREATE SET n += r.properties, n.times = r.times "
    "ON MATCH SET n.times = n.times + r.times",
)
LITERALS: Final = Put(
    "UNWIND $rows AS r", "MERGE (l:Literal {id: r.id}) ON CREATE SET l += r.properties"
)
MODELS: Final = Put(
    "UNWIND $rows AS r", "MERGE (m:Model {id: r.id}) ON CREATE SET m += r.properties"
)


def entities(labels: Iterable[str]) -> Put:
    """Return the statement that writes entities which share their labels.

    >>> entities(["Entity", "Person"]).write
    'MERGE (e:Entity {id: r.id}) SET e += r.properties, e:`Entity`:`Person`'
    """
    text = "".join(f":{name(label)}" for label in labels)
    return Put("UNWIND $rows AS r", f"MERGE (e:Entity {{id: r.id}}) SET e += r.properties, e{text}")


def lose_labels(labels: Iterable[str]) -> Put:
    """Return the statement that takes labels from entities whose types have changed."""
    text = "".join(f":{name(label)}" for label in labels)
    return Put("UNWIND $rows AS r MATCH (e:Entity {id: r.id})", f"REMOVE e{text}")


def triples(relation: str, tail: LiteralString) -> Put:
    """Return the statement that writes triples of one relation and one kind of tail.

    >>> triples("BORN_IN", "Entity").match
    'UNWIND $rows AS r MATCH (h:Entity {id: r.head}) MATCH (t:Entity {id: r.tail})'
    """
    return Put(
        f"UNWIND $rows AS r MATCH (h:Entity {{id: r.head}}) MATCH (t:{tail} {{id: r.tail}})",
        f"MERGE (h)-[x:{name(relation)}]->(t) SET x += r.properties",
    )


def sources(type: LiteralString, source: LiteralString) -> Put:
    """Return the statement that writes STATES or MENTIONS from chunks or models to entities."""
    return Put(
        f"UNWIND $rows AS r MATCH (s:{source} {{id: r.source}}) MATCH (e:Entity {{id: r.entity}})",
        f"CREATE (s)-[x:{type}]->(e) SET x = r.properties",
    )


# ------------------------------------------- MENTIONS and STATES, which are handled alike


def _found(type: LiteralString) -> LiteralString:
    return f"UNWIND $rows AS id MATCH (s)-[x:{type} {{id: id}}]->(e) USING INDEX SEEK x:{type}(id)"


def link(type: LiteralString) -> LiteralString:
    """Return the statement that links what is there already to a run; says what was linked."""
    return (
        f"{_found(type)} WITH x, id, $run IN x.runs AS linked "
        "SET x.runs = CASE WHEN linked THEN x.runs ELSE x.runs + $run END RETURN id, linked"
    )


def unlink(type: LiteralString) -> LiteralString:
    """Return the statement that takes a run from what other runs have found as well."""
    return f"{_found(type)} SET x.runs = [run IN x.runs WHERE run <> $run]"


def remove(type: LiteralString) -> LiteralString:
    """Return the statement that removes relationships and answers with what they were."""
    return f"{_found(type)} WITH s, e, x, properties(x) AS p DELETE x RETURN p, s.id, s:Model, e.id"


def adopt(type: LiteralString) -> LiteralString:
    """Return the statement that links what tasks have found to a run; answers with how many."""
    return (
        f"UNWIND $rows AS r MATCH (c:Chunk {{id: r.chunk}})-[x:{type}]->() "
        "USING INDEX SEEK c:Chunk(id) WHERE x.config = r.config AND NOT $run IN x.runs "
        "SET x.runs = x.runs + $run RETURN count(*)"
    )


def of_run(type: LiteralString) -> LiteralString:
    """Return the statement that lists what a run has found, and whether only it has."""
    return (
        f"MATCH (s)-[x:{type}]->() WHERE $run IN x.runs "
        "RETURN x.id, CASE WHEN s:Chunk THEN s.id END, size(x.runs) = 1"
    )


def of_chunks(type: LiteralString) -> LiteralString:
    """Return the statement that lists what stands in chunks, of some configs or of all."""
    return (
        f"UNWIND $rows AS id MATCH (c:Chunk {{id: id}})-[x:{type}]->() "
        "USING INDEX SEEK c:Chunk(id) WHERE $configs IS NULL OR x.config IN $configs RETURN x.id"
    )


# ---------------------------------------------------------------------------- deriving again


def _namings(key: LiteralString) -> LiteralString:
    return (
        f"UNWIND $rows AS id MATCH (n:SheafNaming {{{key}: id}}) "
        f"USING INDEX SEEK n:SheafNaming({key}) RETURN n.id, n.raw, n.name, n.surface, n.type, "
        "n.iri, n.description, n.props, n.config, n.times, n.key, n.entity"
    )


def _merges(key: LiteralString) -> LiteralString:
    return (
        f"UNWIND $rows AS id MATCH (m:Merge {{{key}: id}}) USING INDEX SEEK m:Merge({key}) "
        "RETURN m.kept, m.dropped, m.layer, m.score, m.run"
    )


_STATEMENT: Final = (
    "RETURN s.id, s.raw_head, s.raw_relation, s.raw_tail, s.score, s.quote, s.negated, s.hedged, "
    "s.config, s.triple_id, h.id"
)


def _stated(key: LiteralString) -> LiteralString:
    return (
        f"UNWIND $rows AS id MATCH ()-[s:STATES {{{key}: id}}]->(h) "
        f"USING INDEX SEEK s:STATES({key}) {_STATEMENT}"
    )


NAMINGS_OF_RAWS: Final = _namings("raw")
NAMINGS_OF_KEYS: Final = _namings("key")
NAMINGS_OF_ENTITIES: Final = _namings("entity")
MERGES_KEEPING: Final = _merges("kept")
MERGES_DROPPING: Final = _merges("dropped")
STATED_FROM: Final = _stated("raw_head")
STATED_TO: Final = _stated("raw_tail")
STATING: Final = _stated("triple_id")
ENTITY_OF_RAWS: Final = (
    "UNWIND $rows AS id MATCH (n:SheafNaming {raw: id}) "
    "USING INDEX SEEK n:SheafNaming(raw) WHERE n.entity IS NOT NULL "
    "RETURN DISTINCT n.raw, n.entity"
)
ANY_MERGE: Final = "MATCH (m:Merge) RETURN count(m)"
STATED_WITH: Final = f"MATCH ()-[s:STATES]->(h) WHERE s.raw_relation IN $rows {_STATEMENT}"
PHRASES: Final = "MATCH ()-[s:STATES]->() RETURN DISTINCT s.raw_relation"
STORED_ENTITIES: Final = "UNWIND $rows AS id MATCH (e:Entity {id: id}) RETURN e.id, properties(e)"
MOVE_MENTIONS: Final = Put(
    "UNWIND $rows AS r MATCH (new:Entity {id: r.new})",
    "CALL { WITH r, new MATCH (old:Entity {id: r.old})<-[m:MENTIONS]-(s) "
    "USING INDEX SEEK old:Entity(id) WHERE m.raw_entity = r.id "
    "CREATE (s)-[x:MENTIONS]->(new) SET x = properties(m) DELETE m }",
)
SET_NAMING_ENTITY: Final = (
    "UNWIND $rows AS r MATCH (n:SheafNaming {raw: r.id}) SET n.entity = r.entity"
)
MOVE_EVIDENCE: Final = Put(
    "UNWIND $rows AS r MATCH (new:Entity {id: r.head}) "
    "MATCH (s)-[e:STATES {id: r.id}]->() USING INDEX SEEK e:STATES(id)",
    "CREATE (s)-[x:STATES]->(new) SET x = properties(e), x.triple_id = r.triple DELETE e",
)
RENAME_EVIDENCE: Final = Put(
    "UNWIND $rows AS r MATCH ()-[e:STATES {id: r.id}]->() USING INDEX SEEK e:STATES(id)",
    "SET e.triple_id = r.triple",
)
DELETE_TRIPLES: Final = (
    "UNWIND $rows AS r MATCH (h:Entity {id: r.head})-[x]->() "
    "WHERE x.id = r.id AND x.support IS NOT NULL DELETE x"
)
DELETE_ENTITIES: Final = "UNWIND $rows AS id MATCH (e:Entity {id: id}) DETACH DELETE e"
DELETE_IDLE_LITERALS: Final = (
    "UNWIND $rows AS id MATCH (l:Literal {id: id}) WHERE NOT "
    "EXISTS { MATCH ()-[s:STATES {raw_tail: id}]->() USING INDEX SEEK s:STATES(raw_tail) } "
    "DETACH DELETE l"
)
DELETE_IDLE_MODELS: Final = (
    "UNWIND $rows AS id MATCH (m:Model {id: id}) WHERE NOT EXISTS { (m)--() } DELETE m"
)

# -------------------------------------------------------------------------------- predictions

ANY_PREDICTION: Final = "MATCH (p:Prediction) RETURN count(p)"
_PREDICTION: Final = (
    "RETURN p.head, p.relation, p.tail, p.score, p.rank, p.weights, p.trained_on, p.run, "
    "p.id, p.drawn"
)
TOUCHED_PREDICTIONS: Final = (
    "MATCH (p:Prediction) WHERE $all OR p.triple IS NULL OR p.triple IN $triples "
    f"OR p.head IN $raws OR p.tail IN $raws {_PREDICTION}"
)
PREDICTIONS_OF_RUN: Final = f"MATCH (p:Prediction {{run: $run}}) {_PREDICTION}"
EXISTING_NODES: Final = (
    "UNWIND $rows AS id OPTIONAL MATCH (e:Entity {id: id}) OPTIONAL MATCH (l:Literal {id: id}) "
    "WITH id, coalesce(e, l) AS node WHERE node IS NOT NULL RETURN id"
)
SUPPORTED: Final = (
    "UNWIND $rows AS r MATCH (:Entity {id: r.head})-[x]->() "
    "WHERE x.id = r.id AND x.support IS NOT NULL RETURN x.id"
)
ERASE_PREDICTED: Final = (
    "UNWIND $rows AS r MATCH (:Entity {id: r.head})-[x:PREDICTED {id: r.id}]->() DELETE x"
)
FORGET_PLACES: Final = (
    "MATCH (p:Prediction) WHERE p.prediction IN $ids SET p.triple = null, p.drawn = null"
)
PLACE_PREDICTIONS: Final = Put(
    "UNWIND $rows AS r MATCH (p:Prediction {id: r.id})",
    "SET p.triple = r.triple, p.drawn = r.drawn",
)


def predicted(tail: LiteralString) -> Put:
    """Return the statement that draws predicted links to one kind of tail."""
    return Put(
        f"UNWIND $rows AS r MATCH (h:Entity {{id: r.head}}) MATCH (t:{tail} {{id: r.tail}})",
        "MERGE (h)-[x:PREDICTED {id: r.id}]->(t) SET x += r.properties",
    )


# --------------------------------------------------------------------- leases, adopting, removing

DONE_TASKS: Final = "UNWIND $rows AS id MATCH (t:Task {id: id}) RETURN t.id"
LEASES: Final = "UNWIND $rows AS id MATCH (l:SheafLease {id: id}) RETURN l.id, l.owner, l.expires"
LEASE: Final = Put(
    "UNWIND $rows AS r",
    "MERGE (l:SheafLease {id: r.id}) SET l.owner = $owner, l.expires = $expires",
)
ADOPT_TASKS: Final = (
    "UNWIND $rows AS r MATCH (t:Task {id: r.id}) WHERE NOT $run IN t.runs "
    "SET t.runs = t.runs + $run RETURN count(*)"
)
TASKS_OF_RUN: Final = "MATCH (t:Task) WHERE $run IN t.runs RETURN t.id, t.chunk, size(t.runs) = 1"
UNLINK_TASKS: Final = (
    "UNWIND $rows AS id MATCH (t:Task {id: id}) SET t.runs = [run IN t.runs WHERE run <> $run]"
)
DELETE_TASKS: Final = "UNWIND $rows AS id MATCH (t:Task {id: id}) DELETE t"
MERGES_OF_RUN: Final = "MATCH (m:Merge {run: $run}) RETURN m.kept, m.dropped"
DELETE_MERGES_OF_RUN: Final = "MATCH (m:Merge {run: $run}) DELETE m"
DELETE_NAMES_OF_RUN: Final = "MATCH (n:SheafRelationName {run: $run}) DELETE n"
DELETE_PREDICTIONS_OF_RUN: Final = "MATCH (p:Prediction {run: $run}) DELETE p"
FEWER_NAMINGS: Final = Put(
    "UNWIND $rows AS r MATCH (n:SheafNaming {id: r.id})", "SET n.times = n.times - r.times"
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
DELETE_TEXTS: Final = "UNWIND $rows AS id MATCH (t:SheafText {id: id}) DELETE t"
DOCUMENTS_OF_URI: Final = (
    "MATCH (t:SheafText {uri_key: $key}) MATCH (d:Document {id: t.id}) RETURN d.id"
)
URIS: Final = "MATCH (d:Document) RETURN d.uri ORDER BY d.uri"
URI_KEY: Final = "MATCH (t:SheafText {id: $id}) RETURN t.uri_key"
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
OTHER_VERSIONS: Final = (
    "MATCH (f:Config {id: $id}) MATCH (o:Config {harvester: f.harvester}) "
    "WHERE o.parameters = f.parameters AND o.id <> f.id RETURN o.id"
)

# ------------------------------------------------------------------- derived, where ids help

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
