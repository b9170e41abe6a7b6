"""First loads of millions of rows: any graph as files for `neo4j-admin database import full`.

```
cd FOLDER
neo4j-admin database import full @import.args neo4j
```

The server must be stopped and the database empty. The files hold everything that the Neo4j store
holds, written records included, so that the imported database is a graph of this library: open it
(`open_graph`, which makes constraints and indexes) and go on. Fields are quoted, so that no text
can break a row; lists are joined by a character that no list of the graph holds; what is absent
is an empty field, and an empty text is `""`.

Records are streamed: memory grows with the number of names, chunks and tasks, not with texts,
mentions, evidence or triples.
"""

from __future__ import annotations

import csv
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO, Any, Final

from kg.derivation import Naming, RelationMap, resolve
from kg.errors import ExchangeError
from kg.ids import triple_id
from kg.records import Evidence, Link, Mention
from kg.store import shape
from kg.store.cypher.writing import MENTIONS_PROPERTIES, STATES_PROPERTIES
from kg.store.neo4j import rows
from kg.store.neo4j.drawing import more_properties
from kg.store.neo4j.schema import FORMAT
from kg.store.protocol import GraphStore

__all__ = ["AdminFiles", "write_admin_csv"]

#: Characters that join lists, tried in this order: controls made for it, then private ones.
_JOINERS: Final = ("\x1f", "\x1e", "\x1d", "\x1c", *map(chr, range(0xE000, 0xE100)))
#: Types of columns that are not text.
_TYPES: Final[Mapping[str, str]] = {
    "start": "long", "end": "long", "head_start": "long", "head_end": "long",
    "tail_start": "long", "tail_end": "long", "score": "double", "negated": "boolean",
    "hedged": "boolean", "swapped": "boolean", "symmetric": "boolean", "runs": "long[]",
    "times": "long", "number": "long", "rank": "long", "trained_on": "long", "support": "long",
    "imported": "boolean", "format": "long", "counter": "long", "structure": "long",
    "locked": "boolean", "aliases": "string[]", "types": "string[]",
}  # fmt: skip
#: Python types of an entity's own properties, and what the columns of them are called.
_OWN_TYPES: Final[Mapping[type, str]] = {
    str: "string", bool: "boolean", int: "long", float: "double",
}  # fmt: skip
#: The importer's own default; a longer field needs a larger buffer.
_BUFFER: Final = 4_194_304


@dataclass(frozen=True, slots=True)
class AdminFiles:
    """What was written."""

    folder: Path
    nodes: int
    relationships: int
    #: Properties of entities whose name cannot head a column; `props` holds them all the same.
    properties_left_out: int
    #: To be run in `folder` while the server is stopped.
    command: tuple[str, ...] = (
        "neo4j-admin", "database", "import", "full", "@import.args", "neo4j",
    )  # fmt: skip


def write_admin_csv(store: GraphStore, folder: Path | str) -> AdminFiles:
    """Write a graph as CSV files and `import.args` into a new or empty folder.

    Args:
        store: any graph.
        folder: where to; it is made.

    Raises:
        ExchangeError: if the folder is not empty, or if lists of the graph hold every character
            that could join them.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise ExchangeError(f"{target} is not empty: name a new folder for the import files")
    with ExitStack() as stack:
        return _Writing(store, target, stack).write()


class _Writing:
    """The state of one export."""

    def __init__(self, store: GraphStore, folder: Path, stack: ExitStack) -> None:
        self.store = store
        self.folder = folder
        self.joiner = _joiner(store)
        self._stack = stack
        self._writers: dict[str, Any] = {}
        self._arguments: list[str] = []
        self.counts: Counter[str] = Counter()
        self.longest = 0
        self.runs = {run.id: at for at, run in enumerate(store.written("run"), start=1)}
        self.configs = {config.id: config for config in store.written("config")}
        self.relation_map = RelationMap(store.written("relation_name"))
        #: (number of a run, chunk or model in which it found something)
        self.links: set[tuple[int, str]] = set()

    def write(self) -> AdminFiles:
        """Write all files."""
        namings, models = self._namings()
        self.canonical = resolve(namings, self.store.written("merge"))
        self._graph()
        self._places(models)
        self._entities()
        self._namings_of(namings)
        for mention, runs in self._linked(
            self.store.written("mention"), self.store.written("mention_link")
        ):
            self._mention(mention, runs)
        for evidence, runs in self._linked(
            self.store.written("evidence"), self.store.written("evidence_link")
        ):
            self._evidence(evidence, runs)
        self._triples()
        self._tasks()
        self._decisions()
        for number, source in sorted(self.links):
            self._node("SheafLink", {"id": rows.link_id(number, source)})
        self._write_arguments()
        return AdminFiles(
            self.folder, self.counts["nodes"], self.counts["relationships"], self.counts["left"]
        )

    # --------------------------------------------------------------------------------- nodes

    def _graph(self) -> None:
        graph = {
            "id": "graph", "format": FORMAT, "store": uuid.uuid4().hex,
            "counter": self.store.change_counter, "structure": 0, "locked": True,
            "imported": True,
        }  # fmt: skip
        # As a number, not as the list of a record.
        self._node("SheafGraph", {**graph, "runs": len(self.runs)}, types={"runs": "long"})
        for run in self.store.written("run"):
            values = {
                "id": run.id, "config": run.config, "started": run.started,
                "finished": run.finished, "counts": rows.json_text(run.counts),
                "number": self.runs[run.id],
            }  # fmt: skip
            self._node("Run", values)
        for config in self.configs.values():
            self._node("Config", {"id": config.id, **rows.config_properties(config)})

    def _places(self, models: Iterable[str]) -> None:
        for document in self.store.written("document"):
            id, uri, title, key, text, media_type, meta = rows.document_row(document)
            self._node("Document", {"id": id, "uri": uri, "title": title}, key=True)
            values = {"id": id, "uri_key": key, "text": text, "media_type": media_type}
            self._node("SheafText", {**values, "meta": meta})
        for chunk in self.store.written("chunk"):
            self._node("Chunk", shape.chunk_properties(chunk), key=True)
            self._relationship("FROM_DOCUMENT", chunk.id, chunk.document, {})
        columns = ("id", "harvester", "version", "model", "weights")
        for id in sorted(models):
            properties = shape.model_properties(self.configs[id])
            self._node("Model", {name: properties.get(name) for name in columns}, key=True)

    def _entities(self) -> None:
        for literal in self.store.derived("literal"):
            id, lexical, datatype, lang = rows.literal_row(literal)
            values = {"id": id, "lexical": lexical, "datatype": datatype, "lang": lang}
            self._node("Literal", values, key=True)
        for entity in self.store.derived("entity"):
            more = more_properties(entity)
            own = {name: more.pop(name, None) for name in ("description", "iri", "props")}
            fits = {name: value for name, value in more.items() if name.isidentifier()}
            self.counts["left"] += len(more) - len(fits)
            # Columns have one type, so entities with other properties need other files.
            types = {name: _OWN_TYPES[type(fits[name])] for name in sorted(fits)}
            values = {
                "id": entity.id, "name": entity.name, "aliases": entity.aliases,
                "types": entity.types, **own, **{name: fits[name] for name in types},
                ":LABEL": shape.entity_labels(entity),
            }  # fmt: skip
            self._node("Entity", values, key=True, types=types)

    def _namings(self) -> tuple[list[Naming], set[str]]:
        """Return all ways of naming, counted, and the configs that speak without a text."""
        counts: Counter[Naming] = Counter()
        models: set[str] = set()
        for mention in self.store.written("mention"):
            counts[Naming.of(mention)] += 1
            if mention.chunk is None:
                models.add(mention.config)
        for evidence in self.store.written("evidence"):
            if evidence.chunk is None:
                models.add(evidence.config)
        return [naming._replace(times=times) for naming, times in counts.items()], models

    def _namings_of(self, namings: Iterable[Naming]) -> None:
        names = (
            "id", "raw", "name", "surface", "type", "iri", "description", "props", "config",
            "times", "key", "entity",
        )  # fmt: skip
        for naming in namings:
            row = rows.naming_row(naming, self.canonical[naming.raw])
            self._node("SheafNaming", dict(zip(names, row, strict=True)))

    # -------------------------------------------------------------------------- relationships

    def _linked[R: (Mention, Evidence)](
        self, records: Iterator[R], links: Iterator[Link]
    ) -> Iterator[tuple[R, list[int]]]:
        """Iterate over records with the numbers of their runs; both come sorted by id."""
        groups = groupby(links, key=lambda link: link.record)
        for record in records:
            id, group = next(groups)
            if id != record.id:
                raise ExchangeError(f"record {record.id} has no link to a run: repair the graph")
            yield record, sorted(self.runs[link.run] for link in group)

    def _mention(self, mention: Mention, runs: list[int]) -> None:
        source = mention.chunk or mention.config
        entity = self.canonical[mention.entity]
        row = rows.mention_row(mention, runs[0], source, entity)[: len(MENTIONS_PROPERTIES)]
        values = dict(zip(MENTIONS_PROPERTIES, row, strict=True)) | {"runs": runs}
        self.links.update((number, source) for number in runs)
        self._relationship("MENTIONS", source, entity, values)

    def _evidence(self, evidence: Evidence, runs: list[int]) -> None:
        source = evidence.chunk or evidence.config
        canonical = self.canonical
        head = canonical.get(evidence.head, evidence.head)
        tail = canonical.get(evidence.tail_id, evidence.tail_id)
        key = self.relation_map.ends(head, evidence.relation, tail)
        config = self.configs[evidence.config]
        row = rows.evidence_row(evidence, triple_id(*key), config, runs[0], source, key[0])
        values = dict(zip(STATES_PROPERTIES, row, strict=False)) | {"runs": runs}
        self.links.update((number, source) for number in runs)
        self._relationship("STATES", source, key[0], values)

    def _triples(self) -> None:
        for triple in self.store.derived("triple"):
            values = {**shape.triple_properties(triple), ":TYPE": triple.relation}
            self._relationship("", triple.head, triple.tail, values)

    # ----------------------------------------------------------------------- tasks, decisions

    def _tasks(self) -> None:
        found: dict[tuple[str, str], list[int]] = defaultdict(list)
        for run, number in self.runs.items():
            for task in self.store.written("task", run=run):
                found[task.chunk, task.config].append(number)
        for task in self.store.written("task"):
            id, chunk, config = rows.task_row(task)
            runs = found[chunk, config]
            self.links.update((number, chunk) for number in runs)
            self._node("Task", {"id": id, "chunk": chunk, "config": config, "runs": runs})

    def _decisions(self) -> None:
        store = self.store
        for name in store.written("relation_name"):
            id, properties = rows.relation_name_row(name, name.run)
            self._node("SheafRelationName", {"id": id, **properties})
        for merge in store.written("merge"):
            id, properties = rows.merge_row(merge, merge.run)
            self._node("Merge", {"id": id, **properties})
        drawn: dict[str, str] = {}
        cypher = "MATCH (h:Entity)-[p:PREDICTED]->(t) RETURN p.id, h.id, t.id, p"
        for id, head, tail, link in store.read(cypher):
            drawn[id] = head
            names = ("id", "predicate", "score", "model")
            values = {name: link.properties.get(name) for name in names}
            self._relationship("PREDICTED", head, tail, values)
        for prediction in store.written("prediction"):
            head, tail = (
                self.canonical.get(end, end) for end in (prediction.head, prediction.tail)
            )
            triple = triple_id(*self.relation_map.ends(head, prediction.relation, tail))
            id, properties = rows.prediction_row(prediction, prediction.run)
            values = {"id": id, **properties, "triple": triple, "drawn": drawn.get(prediction.id)}
            self._node("Prediction", values)

    # ---------------------------------------------------------------------------------- files

    def _node(
        self,
        label: str,
        values: Mapping[str, Any],
        *,
        key: bool = False,
        types: Mapping[str, str] | None = None,
    ) -> None:
        """Write a node; `key` lets relationships refer to it by its id."""
        self.counts["nodes"] += 1
        header = [
            "id:ID" if name == "id" and key else _column(name, types or {}) for name in values
        ]
        # A file of entities says the labels of each; of others all nodes have one label.
        argument = "--nodes" if ":LABEL" in values else f"--nodes={label}"
        self._row(label, argument, header, values.values())

    def _relationship(self, type: str, start: str, end: str, values: Mapping[str, Any]) -> None:
        self.counts["relationships"] += 1
        header = [":START_ID", ":END_ID", *(_column(name, {}) for name in values)]
        argument = f"--relationships={type}" if type else "--relationships"
        self._row(type or "triples", argument, header, (start, end, *values.values()))

    def _row(self, name: str, argument: str, header: list[str], values: Iterable[Any]) -> None:
        key = f"{name} {header}"
        writer = self._writers.get(key)
        if writer is None:
            file = self._new_file(name)
            self._arguments.append(f"{argument}={Path(file.name).name}")
            writer = csv.writer(file, quoting=csv.QUOTE_NOTNULL, lineterminator="\n")
            writer.writerow(header)
            self._writers[key] = writer
        fields = [self._field(value) for value in values]
        self.longest = max(self.longest, *(len(field or "") for field in fields))
        writer.writerow(fields)

    def _new_file(self, name: str) -> IO[str]:
        path = self.folder / f"{name.lower()}-{len(self._writers):04}.csv"
        return self._stack.enter_context(path.open("w", encoding="utf-8", newline=""))

    def _field(self, value: Any) -> str | None:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (list, tuple)):
            return self.joiner.join(map(str, value)) if value else ""
        return None if value is None else str(value)

    def _write_arguments(self) -> None:
        lines = [
            *self._arguments,
            f"--array-delimiter=U+{ord(self.joiner):04X}",
            "--multiline-fields=true",
            "--bad-tolerance=0",
            # In bytes; a field may take four for each character, and its quotes twice that.
            f"--read-buffer-size={max(_BUFFER, 8 * self.longest)}",
        ]
        (self.folder / "import.args").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _column(name: str, types: Mapping[str, str]) -> str:
    if name.startswith(":"):
        return name
    return f"{name}:{types.get(name) or _TYPES.get(name, 'string')}"


def _joiner(store: GraphStore) -> str:
    """Return a character that no name, surface or type holds, so that it can join them."""
    free = dict.fromkeys(_JOINERS)
    for mention in store.written("mention"):
        for text in (mention.name, mention.surface, mention.type):
            for character in [one for one in free if one in text]:
                del free[character]
    if not free:
        raise ExchangeError(
            f"the names of this graph hold all of {len(_JOINERS)} characters that could join a "
            "list: remove control and private characters from them"
        )
    return next(iter(free))
