"""Triples as a table of ids: three columns head, relation, tail, with the names in a sidecar.

This is the form that PyKEEN and other trainers of encoders read. Ids hold no quote, tab or line
break, so any reader of tables gets them right; names do, and a table reader with quoting would
lose rows at an unbalanced quote. So names stand in `FILE.labels.jsonl`, one JSON object a line:
`{"id", "label"}`, with `types`, `iri` and `description` for entities, `datatype` and `lang` for
literals.

Scores, support and evidence are not in the table. A table of another tool, without a sidecar, has
names in its columns: they become entities of unknown type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from kg.errors import ExchangeError
from kg.exchange.exporting import exported_file
from kg.exchange.facts import Fact, FactReport, file_hash, named, phrase_of, write_facts
from kg.exchange.progress import Progress, counted, quiet
from kg.exchange.scratch import Scratch
from kg.records import Entity, Literal
from kg.store.protocol import GraphStore

__all__ = ["TableReport", "labels_path", "read_table", "write_table"]

_ID: Final = re.compile(r"[elt]_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class TableReport:
    """What an export wrote."""

    triples: int
    entities: int
    #: Triples left out because their tail is a literal.
    literals_left_out: int


def labels_path(table: Path) -> Path:
    """Return the path of a table's sidecar.

    >>> labels_path(Path("graph.tsv")).name
    'graph.labels.jsonl'
    """
    return table.with_suffix(".labels.jsonl")


def write_table(
    graph: GraphStore, path: str | Path, *, literals: bool = False, progress: Progress = quiet
) -> TableReport:
    """Write the triples of a graph, by id, and the sidecar; the same graph, the same bytes.

    Args:
        graph: an open graph.
        path: the table; the sidecar stands beside it.
        literals: also triples whose tail is a date, a number or a text. Trainers would take each
            value for an entity of its own, so they are left out by default.
        progress: told how many triples and names were written.

    Raises:
        ExchangeError: if the graph is changed meanwhile.
        OSError: if a file cannot be written.
    """
    path = Path(path)
    triples = entities = left_out = 0
    phrases: dict[str, str] = {}
    with (
        exported_file(graph, path) as draft,
        exported_file(graph, labels_path(path)) as names,
        draft.open("w", encoding="utf-8", newline="\n") as table,
        names.open("w", encoding="utf-8", newline="\n") as sidecar,
    ):
        for triple in counted(graph.derived("triple"), progress):
            if triple.tail.startswith("l_") and not literals:
                left_out += 1
                continue
            table.write(f"{triple.head}\t{triple.relation}\t{triple.tail}\n")
            triples += 1
            held = phrases.get(triple.relation, triple.predicate)
            phrases[triple.relation] = min(held, triple.predicate)
        for entity in counted(graph.derived("entity"), progress):
            more = {"types": entity.types, "iri": entity.iri, "description": entity.description}
            _label(sidecar, entity.id, entity.name, **more)
            entities += 1
        for value in counted(graph.derived("literal") if literals else (), progress):
            _label(sidecar, value.id, value.lexical, datatype=value.datatype, lang=value.lang)
        for relation in sorted(phrases):
            _label(sidecar, relation, phrases[relation])
    return TableReport(triples, entities, left_out)


def _label(sidecar: TextIO, id: str, label: str, **more: Any) -> None:
    sidecar.write(json.dumps({"id": id, "label": label, **more}) + "\n")


def read_table(graph: GraphStore, path: str | Path, *, progress: Progress = quiet) -> FactReport:
    """Import a table of triples, with the names of its sidecar where there is one.

    Raises:
        ExchangeError: if the file is missing or a line is not three columns; nothing is written.
    """
    path = Path(path)
    sidecar = labels_path(path)
    files = [path, sidecar] if sidecar.exists() else [path]
    sha256 = file_hash(*files)
    with Scratch() as labels:
        for number, line in _lines(sidecar) if len(files) > 1 else ():
            labels.add(*_named(sidecar, number, line))
        table = _Table(path, labels)
        return write_facts(graph, table, file=path.name, sha256=sha256, progress=progress)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield numbered lines; only a line feed ends one, with a carriage return before it or not."""
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                text = line.removesuffix("\n").removesuffix("\r")
                if text.strip():
                    yield number, text
    except UnicodeDecodeError as error:
        raise ExchangeError(f"{path} is not UTF-8 ({error.reason}): save it as UTF-8") from None


def _named(path: Path, number: int, line: str) -> tuple[str, str]:
    """Return the id and the line itself, if it is one of a sidecar."""
    try:
        row = json.loads(line)
        id, _ = str(row["id"]), row["label"]
        _value(line)
    except (ValueError, KeyError, TypeError) as error:
        raise ExchangeError(
            f"{path}: line {number} is not a JSON object with id and label ({error}): "
            "export the table again, or delete the sidecar to import ids as names"
        ) from None
    return id, line


def _value(line: str) -> Entity | Literal | str:
    """Return the entity, the literal or (for a relation) the phrase that a line names."""
    row = json.loads(line)
    label = str(row["label"])
    if "datatype" in row:
        return Literal(label, str(row["datatype"]), str(row.get("lang", "")))
    if "types" not in row:
        return label
    return Entity(
        id=str(row["id"]),
        name=label,
        types=tuple(str(type) for type in row["types"]),
        iri=str(row.get("iri", "")),
        description=str(row.get("description", "")),
    )


class _Table:
    """The entities of a sidecar and the facts of a table, read anew for each iteration."""

    def __init__(self, path: Path, labels: Scratch) -> None:
        self.path = path
        self.labels = labels

    def __iter__(self) -> Iterator[Fact | Entity]:
        for _, line in self.labels:
            value = _value(line)
            if isinstance(value, Entity):
                yield value
        for number, line in _lines(self.path):
            yield self._fact(number, line)

    def _fact(self, number: int, line: str) -> Fact:
        columns = line.split("\t")
        if len(columns) != 3 or not all(column.strip() for column in columns):
            raise ExchangeError(
                f"{self.path}: line {number} has {len(columns)} columns, some perhaps empty: a "
                "line is head, relation and tail, separated by tabs"
            )
        head, tail = self._end(number, columns[0]), self._end(number, columns[2])
        if isinstance(head, Literal):
            raise ExchangeError(
                f"{self.path}: line {number} has a literal as its head: {columns[0]}"
            )
        phrase = self._named(columns[1])
        return Fact(head, phrase_of(columns[1], phrase), tail)

    def _end(self, number: int, column: str) -> Entity | Literal:
        value = self._named(column)
        if value is not None and not isinstance(value, str):
            return value
        # A relation's phrase does not count: an entity may bear the same name.
        if value is None and _ID.fullmatch(column):
            raise ExchangeError(
                f"{self.path}: line {number} has the id {column}, and "
                f"{labels_path(self.path).name} does not name it: keep the sidecar beside the table"
            )
        return named(column)

    def _named(self, key: str) -> Entity | Literal | str | None:
        line = self.labels.get(key)
        return None if line is None else _value(line)
