"""Statements that begin and end runs, look up what a batch refers to and write its records."""

from __future__ import annotations

from typing import Final, LiteralString

from kg.store.cypher import locking
from kg.store.cypher.deriving import NAMING
from kg.store.cypher.names import Put

__all__ = ["MENTIONS_PROPERTIES", "STATES_PROPERTIES"]

# --------------------------------------------------------------------------------- runs, configs

LOCK_GRAPH: Final = "MATCH (g:SheafGraph {id: 'graph'}) SET g.locked = true RETURN g.counter"
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
CONFIGS: Final = (
    "UNWIND $rows AS id MATCH (f:Config {id: id}) "
    "RETURN f.harvester, f.version, f.model, f.weights, f.prompt, f.parameters"
)
RELATION_NAMES: Final = (
    "MATCH (n:SheafRelationName) RETURN n.phrase, n.relation, n.swapped, n.symmetric, "
    "coalesce(n.layer, 'schema'), coalesce(n.score, 1.0), coalesce(n.run, '')"
)
KNOWN_RELATION_NAMES: Final = "UNWIND $rows AS id MATCH (n:SheafRelationName {id: id}) RETURN n.id"

# -------------------------------------------------------------------------------------- looking

#: Documents are made here, so that two writers of one document wait for each other from here on.
_PLACES: Final = (
    "CALL { UNWIND $documents AS d MERGE (n:Document {id: d[0]}) "
    "ON CREATE SET n.uri = d[1], n.title = d[2] ON MATCH SET n.locked = null "
    "WITH d OPTIONAL MATCH (t:SheafText {id: d[0]}) WITH d, t WHERE t IS NULL "
    "CREATE (:SheafText {id: d[0], uri_key: d[3], text: d[4], media_type: d[5], meta: d[6]}) "
    "RETURN count(*) AS documents } "
    "CALL { UNWIND $texts AS id MATCH (d:Document {id: id}) SET d.locked = null "
    "RETURN count(*) AS locked } "
    "CALL { UNWIND $own AS id MATCH (c:Chunk {id: id}) "
    "RETURN collect([id, elementId(c)]) AS own } "
    "CALL { UNWIND $chunks AS id MATCH (c:Chunk {id: id})-[:FROM_DOCUMENT]->(d:Document) "
    "USING INDEX SEEK c:Chunk(id) "
    "RETURN collect([id, elementId(c), d.id, c.start, c.end]) AS chunks } "
    "CALL { WITH chunks UNWIND $texts + [c IN chunks | c[2]] AS id WITH DISTINCT id "
    "MATCH (t:SheafText {id: id}) RETURN collect([id, t.text]) AS texts } "
    "CALL { WITH r UNWIND $read AS id MATCH (d:Document {id: id})<-[:FROM_DOCUMENT]-(c:Chunk) "
    "USING INDEX SEEK d:Document(id) MATCH (:Task {id: c.id + '|' + r.config}) "
    "RETURN collect([id, c.start, c.end]) AS read } "
    "CALL { UNWIND $models AS id MATCH (m:Model {id: id}) "
    "RETURN collect([id, elementId(m)]) AS models } "
    "CALL { UNWIND $configs AS id MATCH (f:Config {id: id}) RETURN collect([f.harvester, "
    "f.version, f.model, f.weights, f.prompt, f.parameters]) AS configs } "
)
_OWN_KEYS: Final = (
    "CALL { UNWIND $raws AS raw MATCH (n:SheafNaming {raw: raw}) "
    "USING INDEX SEEK n:SheafNaming(raw) RETURN collect(DISTINCT n.key) AS keys } "
)
_LOCK_NAMES: Final = (
    "CALL { WITH keys UNWIND keys + $keys AS key WITH DISTINCT key ORDER BY key "
    "MERGE (l:SheafLock {id: key}) ON MATCH SET l.locked = null RETURN count(*) AS names } "
)
_NAMINGS: Final = (
    "CALL { WITH keys UNWIND keys + $keys AS key WITH DISTINCT key "
    "MATCH (n:SheafNaming {key: key}) USING INDEX SEEK n:SheafNaming(key) "
    "RETURN collect(DISTINCT n.raw) AS sharing } "
    "CALL { WITH sharing UNWIND sharing + $raws AS raw WITH DISTINCT raw "
    "MATCH (n:SheafNaming {raw: raw}) USING INDEX SEEK n:SheafNaming(raw) "
    f"RETURN collect({NAMING}) AS namings }} "
    "CALL { UNWIND $raws AS id WITH id WHERE NOT "
    "EXISTS { MATCH (n:SheafNaming {raw: id}) USING INDEX SEEK n:SheafNaming(raw) } AND ("
    "EXISTS { MATCH ()-[s:STATES {raw_head: id}]->() USING INDEX SEEK s:STATES(raw_head) } OR "
    "EXISTS { MATCH ()-[s:STATES {raw_tail: id}]->() USING INDEX SEEK s:STATES(raw_tail) }) "
    "RETURN collect(id) AS stated } "
    "RETURN state, documents, own, chunks, texts, read, models, configs, keys, namings, stated"
)


def look(*, alone: bool) -> LiteralString:
    """Return the statement that takes the locks of a write and answers with all it must know."""
    begin = locking.ALONE if alone else locking.SHARED
    return begin + locking.STATE + _PLACES + _OWN_KEYS + _LOCK_NAMES + _NAMINGS


def link(type: LiteralString) -> LiteralString:
    """Return the statement that links what is there already to a run; says what was linked."""
    return (
        f"UNWIND $rows AS id MATCH ()-[x:{type} {{id: id}}]->() USING INDEX SEEK x:{type}(id) "
        "WITH x, id, $run IN x.runs AS linked "
        "SET x.runs = CASE WHEN linked THEN x.runs ELSE x.runs + $run END RETURN id, linked"
    )


# -------------------------------------------------------------------------------------- writing

#: Everything of a batch that is a node, but for entities.
RECORDS: Final = (
    "CALL { UNWIND $chunks AS r MATCH (d:Document {id: r[1]}) "
    "CREATE (c:Chunk {id: r[0], start: r[2], end: r[3]})-[:FROM_DOCUMENT]->(d) "
    "RETURN collect([r[0], elementId(c)]) AS chunks } "
    "CALL { UNWIND $models AS r MERGE (m:Model {id: r[0]}) ON CREATE SET m += r[1] "
    "RETURN collect([r[0], elementId(m)]) AS models } "
    "CALL { UNWIND $literals AS r MERGE (l:Literal {id: r[0]}) "
    "ON CREATE SET l.lexical = r[1], l.datatype = r[2], l.lang = r[3] "
    "RETURN collect([r[0], elementId(l)]) AS literals } "
    "CALL { UNWIND $namings AS r MERGE (n:SheafNaming {id: r[0]}) "
    "ON CREATE SET n.raw = r[1], n.name = r[2], n.surface = r[3], n.type = r[4], n.iri = r[5], "
    "n.description = r[6], n.props = r[7], n.config = r[8], n.times = r[9], n.key = r[10], "
    "n.entity = r[11] ON MATCH SET n.times = n.times + r[9] RETURN count(*) AS namings } "
    "CALL { UNWIND $links AS id MERGE (l:SheafLink {id: id}) RETURN count(*) AS links } "
    "CALL { UNWIND $tasks AS r MERGE (t:Task {id: r[0]}) "
    "ON CREATE SET t.chunk = r[1], t.config = r[2], t.runs = [] ON MATCH SET t.locked = null "
    "WITH t, size(t.runs) AS before "
    "SET t.runs = CASE WHEN $run IN t.runs THEN t.runs ELSE t.runs + $run END "
    "RETURN sum(CASE before WHEN 0 THEN 1 ELSE 0 END) AS tasks } "
    "CALL { UNWIND $tasks AS r MATCH (l:SheafLease {id: r[0]}) DELETE l "
    "RETURN count(*) AS leases } "
    "RETURN chunks, models, literals, tasks"
)
NEW_RELATION_NAMES: Final = Put(
    "UNWIND $rows AS r", "CREATE (n:SheafRelationName {id: r[0]}) SET n += r[1]"
)
MERGES: Final = Put("UNWIND $rows AS r", "MERGE (n:Merge {id: r[0]}) ON CREATE SET n += r[1]")
PREDICTIONS: Final = Put(
    "UNWIND $rows AS r", "MERGE (n:Prediction {id: r[0]}) ON CREATE SET n += r[1]"
)

#: Properties of MENTIONS and STATES in the order in which rows hold them; what is null is none.
MENTIONS_PROPERTIES: Final[tuple[LiteralString, ...]] = (
    "id", "start", "end", "surface", "type", "raw_entity", "name", "iri", "description", "props",
    "config", "runs",
)  # fmt: skip
STATES_PROPERTIES: Final[tuple[LiteralString, ...]] = (
    "id", "triple_id", "quote", "start", "end", "score", "harvester", "model", "negated", "hedged",
    "time", "raw_head", "raw_relation", "raw_tail", "head_start", "head_end", "tail_start",
    "tail_end", "config", "runs",
)  # fmt: skip


def _from_sources(type: LiteralString, properties: tuple[LiteralString, ...]) -> Put:
    """Return the statement that draws MENTIONS or STATES: source, entity and then properties."""
    text = ", ".join(f"{key}: r[{at}]" for at, key in enumerate(properties))
    at = len(properties)
    return Put(
        f"UNWIND $rows AS r MATCH (s) WHERE elementId(s) = r[{at}] "
        f"MATCH (e) WHERE elementId(e) = r[{at + 1}]",
        f"CREATE (s)-[:{type} {{{text}}}]->(e)",
    )


NEW_MENTIONS: Final = _from_sources("MENTIONS", MENTIONS_PROPERTIES)
NEW_STATES: Final = _from_sources("STATES", STATES_PROPERTIES)
