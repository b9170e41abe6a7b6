"""Where the facts come from, as nodes and edges: documents, chunks, models, STATES and MENTIONS.

It is filled on top of the facts. Rows come as plain values in the order of the chunks, so that each
text is read once for its quotes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from kg.records import Config
from kg.store import shape
from kg.store.embedded import reading
from kg.store.embedded.deriving import Ends, Sight, triple_digest
from kg.store.embedded.filling import Filler
from kg.store.embedded.record import hex_id

__all__ = ["fill_sources"]

MENTIONS = (
    'SELECT m.id, n.raw, c.id, f.id, m.start, m."end", n.surface, n.type FROM mention m '
    "JOIN naming n ON n.key = m.naming JOIN config f ON f.key = m.config "
    "LEFT JOIN chunk c ON c.key = m.chunk ORDER BY m.chunk"
)
STATES = (
    "SELECT e.id, e.head, e.tail, e.literal, e.relation, e.score, e.negated, e.hedged, e.time, "
    'f.id, c.id, c.document, e.start, e."end", e.head_start, e.head_end, e.tail_start, e.tail_end '
    "FROM evidence e JOIN config f ON f.key = e.config LEFT JOIN chunk c ON c.key = e.chunk "
    "ORDER BY e.chunk"
)


def fill_sources(filler: Filler, sight: Sight) -> None:
    """Fill an engine that holds the facts of a record with where they come from."""
    record = sight.record
    filler.nodes(
        "Document", map(shape.document_properties, reading.written(record, "document", {}))
    )
    _models(filler, sight)
    filler.nodes("Chunk", map(shape.chunk_properties, reading.written(record, "chunk", {})))
    for chunk in reading.written(record, "chunk", {}):
        filler.edge(chunk.id, chunk.document, "FROM_DOCUMENT", {})
    _mentions(filler, sight)
    _states(filler, sight)


def _models(filler: Filler, sight: Sight) -> None:
    """Make a node of each config that says something without a text."""
    rows = sight.record.execute(
        "SELECT id FROM config WHERE key IN (SELECT config FROM mention WHERE chunk IS NULL "
        "UNION SELECT config FROM evidence WHERE chunk IS NULL) ORDER BY id"
    )
    models = (sight.configs[hex_id("f", id)] for (id,) in rows.fetchall())
    filler.nodes("Model", map(shape.model_properties, models))


def _source(chunk: bytes | None, config: str) -> str:
    """Return the node that says something: a chunk, or the model or file itself."""
    return config if chunk is None else hex_id("c", chunk)


def _mentions(filler: Filler, sight: Sight) -> None:
    raws, canonical = sight.raws, sight.canonical
    for id, raw, chunk, config, start, end, surface, type in sight.record.execute(MENTIONS):
        entity = raws[raw]
        properties = {
            "id": hex_id("m", id),
            "start": start,
            "end": end,
            "surface": surface,
            "type": type,
            "raw_entity": entity,
        }
        filler.edge(
            _source(chunk, hex_id("f", config)),
            canonical.get(entity, entity),
            "MENTIONS",
            _present(properties),
        )


def _states(filler: Filler, sight: Sight) -> None:
    raws, literals, canonical = sight.raws, sight.literals, sight.canonical
    relations, record = sight.relations, sight.record
    triples: dict[Ends, str] = {}

    @lru_cache(maxsize=64)
    def text_of(document: int) -> str:
        return str(record.one("SELECT text FROM document WHERE key = ?", (document,))[0])

    for row in record.execute(STATES):
        id, head, tail, literal, relation, score, negated, hedged, time, config_id, *place = row
        chunk, document, start, end, head_start, head_end, tail_start, tail_end = place
        raw_head, raw_tail = raws[head], literals[literal] if tail is None else raws[tail]
        ends = relations.ends(
            canonical.get(raw_head, raw_head), relation, canonical.get(raw_tail, raw_tail)
        )
        triple = triples.get(ends) or triples.setdefault(ends, f"t_{triple_digest(ends).hex()}")
        config: Config = sight.configs[hex_id("f", config_id)]
        properties = {
            "id": hex_id("v", id),
            "triple_id": triple,
            "quote": text_of(document)[start:end] if document else "",
            "start": start,
            "end": end,
            "score": score,
            "harvester": config.harvester,
            "model": config.model,
            "negated": bool(negated),
            "hedged": bool(hedged),
            "time": time,
            "raw_head": raw_head,
            "raw_relation": relation,
            "raw_tail": raw_tail,
            "head_start": head_start,
            "head_end": head_end,
            "tail_start": tail_start,
            "tail_end": tail_end,
        }
        filler.edge(_source(chunk, config.id), ends[0], "STATES", _present(properties))


def _present(properties: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is absent, as `kg.store.shape` does."""
    return {key: value for key, value in properties.items() if value is not None and value != ""}
