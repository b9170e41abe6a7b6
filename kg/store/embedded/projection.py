"""The projection: an immutable Grafeo snapshot, derived from the record, that answers Cypher.

A snapshot is named by the change counter that it was derived from and lies beside its checksum:

```
my.kg/projection-42.grafeo
my.kg/projection-42.grafeo.sum      hex blake2b of the file, format, engine version
```

Writers never touch it. A reader takes the newest snapshot if its counter is the record's and its
checksum holds; otherwise it derives a new one, in a file of its own that is renamed into place,
so that other readers keep theirs. Whatever is damaged, missing or of another version is derived
again: the record is the truth.
"""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any, Final

from grafeo import GrafeoDB, GrafeoError
from grafeo import __version__ as ENGINE_VERSION  # noqa: N812 - a constant

from kg.derivation import Derivation, derive
from kg.records import Config
from kg.store import shape
from kg.store.embedded import reading
from kg.store.embedded.record import Record

__all__ = ["ENGINE_VERSION", "open_projection"]

log = logging.getLogger(__name__)

#: Changes when the derived graph or its shape changes, so that old snapshots are derived again.
SHAPE: Final = 1
_NAME: Final = re.compile(r"projection-(\d+)\.grafeo(\.sum)?$")


def open_projection(record: Record, folder: Path | None) -> tuple[GrafeoDB, int]:
    """Return an engine that holds the record's present state, and the counter of that state.

    The engine is read-only when it comes from a snapshot. Without a folder, or where the folder
    may not be written, the projection lives in memory.
    """
    if folder is None:
        return _build(record)
    counter = record.counter
    found = _open_snapshot(folder, counter)
    if found is not None:
        return found, counter
    engine, counter = _build(record)
    if not os.access(folder, os.W_OK):
        return engine, counter
    _save(engine, folder, counter)
    engine.close()
    saved = _open_snapshot(folder, counter)
    # Only a disk that loses what was just written leaves nothing here.
    return (saved, counter) if saved is not None else _build(record)


def _path(folder: Path, counter: int) -> Path:
    return folder / f"projection-{counter}.grafeo"


def _open_snapshot(folder: Path, counter: int) -> GrafeoDB | None:
    path = _path(folder, counter)
    seal = path.with_name(path.name + ".sum")
    try:
        expected = seal.read_text(encoding="utf-8")
        sound = expected == _seal(path)
    except FileNotFoundError:
        if path.exists():
            log.warning("%s has no checksum: derived again from the record", path.name)
        return None
    except (OSError, UnicodeDecodeError):
        sound = False
    if sound:
        try:
            return GrafeoDB.open_read_only(str(path))
        except (GrafeoError, RuntimeError, OSError) as error:
            log.warning("%s does not open (%s): derived again from the record", path.name, error)
            return None
    log.warning("%s is damaged or of another version: derived again from the record", path.name)
    return None


def _seal(path: Path) -> str:
    with path.open("rb") as file:
        digest = file_digest(file, lambda: blake2b(digest_size=20)).hexdigest()
    return f"{digest} shape {SHAPE} grafeo {ENGINE_VERSION}\n"


def _save(engine: GrafeoDB, folder: Path, counter: int) -> None:
    """Write a snapshot beside its place, seal it, rename both; then drop older snapshots."""
    path = _path(folder, counter)
    draft = folder / f".projection-{counter}-{os.getpid()}.grafeo"
    draft.unlink(missing_ok=True)
    engine.save(str(draft))
    seal = draft.with_suffix(".sum")
    seal.write_text(_seal(draft), encoding="utf-8")
    # A reader between the two renames sees a checksum that does not hold, and derives again.
    draft.replace(path)
    seal.replace(path.with_name(path.name + ".sum"))
    for other in folder.iterdir():
        match = _NAME.fullmatch(other.name)
        if match and int(match[1]) < counter:
            other.unlink(missing_ok=True)


def _build(record: Record) -> tuple[GrafeoDB, int]:
    """Derive the whole graph in memory, from one consistent state of the record."""
    engine = GrafeoDB()
    with record.snapshot():
        counter = record.counter
        configs = {config.id: config for config in reading.written(record, "config", {})}
        graph = derive(
            reading.namings(record),
            reading.statements(record),
            merges=reading.written(record, "merge", {}),
            relation_names=reading.written(record, "relation_name", {}),
            configs=configs,
            predictions=reading.written(record, "prediction", {}),
        )
        builder = _Builder(engine)
        builder.entities(graph)
        builder.nodes("Literal", map(shape.literal_properties, reading.literals(record)))
        builder.nodes(
            "Document", map(shape.document_properties, reading.written(record, "document", {}))
        )
        builder.chunks(record)
        builder.sources(record, graph, configs)
        builder.links(graph)
    builder.finish()
    return engine, counter


class _Builder:
    """Collects nodes and edges; the engine takes them in large batches."""

    def __init__(self, engine: GrafeoDB) -> None:
        self.engine = engine
        self.node: dict[str, int] = {}
        self.edges: list[tuple[int, int, str, dict[str, Any]]] = []

    def nodes(self, labels: str | list[str], rows: Iterable[Mapping[str, Any]]) -> None:
        properties = [dict(row) for row in rows]
        if properties:
            made = self.engine.batch_create_nodes_with_props(labels, properties)
            self.node.update(zip((row["id"] for row in properties), made, strict=True))

    def entities(self, graph: Derivation) -> None:
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
        for id in sorted(graph.entities):
            entity = graph.entities[id]
            groups[shape.entity_labels(entity)].append(shape.entity_properties(entity))
        for labels, rows in groups.items():
            self.nodes(list(labels), rows)

    def chunks(self, record: Record) -> None:
        chunks = list(reading.written(record, "chunk", {}))
        self.nodes("Chunk", map(shape.chunk_properties, chunks))
        for chunk in chunks:
            self.edge(chunk.id, chunk.document, "FROM_DOCUMENT", {})

    def sources(self, record: Record, graph: Derivation, configs: Mapping[str, Config]) -> None:
        """Add what chunks and models state and mention."""

        def source(chunk: str | None, config: str) -> str:
            if chunk is None and config not in self.node:
                self.nodes("Model", [shape.model_properties(configs[config])])
            return chunk or config

        for mention in reading.written(record, "mention", {}):
            origin = source(mention.chunk, mention.config)
            entity = graph.canonical[mention.entity]
            self.edge(origin, entity, "MENTIONS", shape.mentions_properties(mention))
        for evidence in reading.written(record, "evidence", {}):
            origin = source(evidence.chunk, evidence.config)
            stated = graph.stated[evidence.id]
            config = configs[evidence.config]
            properties = shape.states_properties(evidence, stated.triple, config)
            self.edge(origin, stated.head, "STATES", properties)

    def links(self, graph: Derivation) -> None:
        for triple in graph.triples.values():
            self.edge(triple.head, triple.tail, triple.relation, shape.triple_properties(triple))
        for prediction in graph.predicted:
            head = graph.canonical.get(prediction.head, prediction.head)
            tail = graph.canonical.get(prediction.tail, prediction.tail)
            if tail in self.node:
                self.edge(head, tail, "PREDICTED", shape.predicted_properties(prediction))

    def edge(self, source: str, target: str, type: str, properties: dict[str, Any]) -> None:
        self.edges.append((self.node[source], self.node[target], type, properties))

    def finish(self) -> None:
        if self.edges:
            self.engine.batch_create_edges(self.edges)
        for property in ("id", "name"):
            self.engine.create_property_index(property)
