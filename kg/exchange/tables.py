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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from kg.errors import ExchangeError
from kg.exchange.facts import Fact, FactReport, named, phrase_of, write_facts
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


def write_table(graph: GraphStore, path: str | Path, *, literals: bool = False) -> TableReport:
    """Write the triples of a graph and the sidecar with the names; the same graph, the same bytes.

    Args:
        graph: an open graph.
        path: the table; the sidecar stands beside it.
        literals: also triples whose tail is a date, a number or a text. Trainers would take each
            value for an entity of its own, so they are left out by default.

    Raises:
        OSError: if a file cannot be written.
    """
    path = Path(path)
    rows: list[tuple[str, str, str]] = []
    phrases: dict[str, str] = {}
    left_out = 0
    for triple in graph.derived("triple"):
        if triple.tail.startswith("l_") and not literals:
            left_out += 1
            continue
        rows.append((triple.head, triple.relation, triple.tail))
        phrases[triple.relation] = min(
            phrases.get(triple.relation, triple.predicate), triple.predicate
        )
    path.write_text(
        "".join("\t".join(row) + "\n" for row in sorted(rows)), encoding="utf-8", newline="\n"
    )
    labels: list[dict[str, Any]] = [
        {
            "id": entity.id,
            "label": entity.name,
            "types": list(entity.types),
            "iri": entity.iri,
            "description": entity.description,
        }
        for entity in graph.derived("entity")
    ]
    entities = len(labels)
    if literals:
        labels += [
            {"id": v.id, "label": v.lexical, "datatype": v.datatype, "lang": v.lang}
            for v in graph.derived("literal")
        ]
    labels += [{"id": relation, "label": phrases[relation]} for relation in sorted(phrases)]
    labels_path(path).write_text(
        "".join(json.dumps(row) + "\n" for row in labels), encoding="utf-8", newline="\n"
    )
    return TableReport(len(rows), entities, left_out)


def read_table(graph: GraphStore, path: str | Path) -> FactReport:
    """Import a table of triples, with the names of its sidecar where there is one.

    Raises:
        ExchangeError: if the file is missing or a line is not three columns; nothing is written.
    """
    path = Path(path)
    content = _read(path)
    sidecar = labels_path(path)
    labels = _labels(sidecar) if sidecar.exists() else {}
    facts = list(_facts(path, content.decode("utf-8-sig"), labels))
    extra = [value for value in labels.values() if isinstance(value, Entity)]
    return write_facts(
        graph,
        facts,
        file=path.name,
        sha256=sha256(content + (sidecar.read_bytes() if labels else b"")).hexdigest(),
        entities=extra,
    )


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        content.decode("utf-8-sig")
    except FileNotFoundError:
        raise ExchangeError(f"{path} does not exist: check the path") from None
    except UnicodeDecodeError as error:
        raise ExchangeError(f"{path} is not UTF-8 ({error.reason}): save it as UTF-8") from None
    return content


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield numbered lines; only a line feed ends one, with a carriage return before it or not."""
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if line.strip():
            yield number, line


def _labels(path: Path) -> dict[str, Entity | Literal | str]:
    """Return id → entity, literal or (for a relation) its phrase."""
    found: dict[str, Entity | Literal | str] = {}
    for number, line in _lines(_read(path).decode("utf-8-sig")):
        try:
            row = json.loads(line)
            id, label = str(row["id"]), str(row["label"])
            if "datatype" in row:
                found[id] = Literal(label, str(row["datatype"]), str(row.get("lang", "")))
            elif "types" in row:
                types = tuple(str(type) for type in row["types"])
                found[id] = Entity(
                    id=id,
                    name=label,
                    types=types,
                    iri=str(row.get("iri", "")),
                    description=str(row.get("description", "")),
                )
            else:
                found[id] = label
        except (ValueError, KeyError, TypeError) as error:
            raise ExchangeError(
                f"{path}: line {number} is not a JSON object with id and label ({error}): "
                "export the table again, or delete the sidecar to import ids as names"
            ) from None
    return found


def _facts(path: Path, text: str, labels: Mapping[str, Entity | Literal | str]) -> Iterator[Fact]:
    for number, line in _lines(text):
        columns = line.split("\t")
        if len(columns) != 3 or not all(column.strip() for column in columns):
            raise ExchangeError(
                f"{path}: line {number} has {len(columns)} columns, some perhaps empty: a line is "
                "head, relation and tail, separated by tabs"
            )
        head, relation, tail = columns
        ends = []
        for end in (head, tail):
            value = labels.get(end)
            if isinstance(value, str):
                value = None  # a relation's phrase; an entity may bear the same name
            if value is None and _ID.fullmatch(end):
                raise ExchangeError(
                    f"{path}: line {number} has the id {end}, and {labels_path(path).name} does "
                    "not name it: keep the sidecar beside the table"
                )
            ends.append(value or named(end))
        if isinstance(ends[0], Literal):
            raise ExchangeError(f"{path}: line {number} has a literal as its head: {head}")
        yield Fact(ends[0], phrase_of(relation, labels.get(relation)), ends[1])
