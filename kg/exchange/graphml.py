"""GraphML, for Gephi, yEd, igraph, networkx and others.

GraphML holds neither lists nor control characters. Each node and edge therefore carries what a
program shows (`label`, `type`, `score`, `support`) and, in `record`, everything as JSON, from which
`read_graphml` makes the same ids again. The id of an edge is the id of its triple, which networkx
takes as the edge's key. Predictions are not exported, as they are no facts.

Written and read element by element, so memory does not grow with the graph.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TextIO
from xml.sax.saxutils import escape, quoteattr

from kg.errors import ExchangeError
from kg.exchange.exporting import exported_file
from kg.exchange.facts import Fact, FactReport, file_hash, named, phrase_of, write_facts
from kg.exchange.progress import Progress, counted, quiet
from kg.exchange.scratch import Scratch
from kg.records import Entity, Literal
from kg.store.protocol import GraphStore

__all__ = ["read_graphml", "write_graphml"]

_NAMESPACE: Final = "http://graphml.graphdrawing.org/xmlns"
_HEAD: Final = f"""<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="{_NAMESPACE}">
<key id="label" for="all" attr.name="label" attr.type="string"/>
<key id="kind" for="node" attr.name="kind" attr.type="string"/>
<key id="type" for="node" attr.name="type" attr.type="string"/>
<key id="score" for="edge" attr.name="score" attr.type="double"/>
<key id="support" for="edge" attr.name="support" attr.type="long"/>
<key id="record" for="all" attr.name="record" attr.type="string"/>
<graph edgedefault="directed">
"""


def write_graphml(graph: GraphStore, path: str | Path, *, progress: Progress = quiet) -> int:
    """Write a graph as GraphML and return the number of its triples.

    Raises:
        ExchangeError: if the graph is changed meanwhile.
        OSError: if the file cannot be written.
    """
    triples = 0
    with (
        exported_file(graph, path) as draft,
        draft.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.write(_HEAD)
        for entity in counted(graph.derived("entity"), progress):
            record: dict[str, Any] = {
                "kind": "entity", "name": entity.name, "types": entity.types,
                "aliases": entity.aliases, "description": entity.description,
                "iri": entity.iri, "props": dict(entity.props),
            }  # fmt: skip
            shown = {"label": entity.name, "kind": "entity", "type": ", ".join(entity.types)}
            _element(file, "node", {"id": entity.id}, {**shown, "record": json.dumps(record)})
        for value in counted(graph.derived("literal"), progress):
            record = {
                "kind": "literal", "lexical": value.lexical, "datatype": value.datatype,
                "lang": value.lang,
            }  # fmt: skip
            shown = {"label": value.lexical, "kind": "literal", "type": value.datatype}
            _element(file, "node", {"id": value.id}, {**shown, "record": json.dumps(record)})
        for triple in counted(graph.derived("triple"), progress):
            record = {
                "relation": triple.relation, "predicate": triple.predicate,
                "score": triple.score, "support": triple.support,
            }  # fmt: skip
            ends = {"id": triple.id, "source": triple.head, "target": triple.tail}
            numbers = {"score": str(triple.score), "support": str(triple.support)}
            data = {"label": triple.relation, **numbers, "record": json.dumps(record)}
            _element(file, "edge", ends, data)
            triples += 1
        file.write("</graph>\n</graphml>\n")
    return triples


def _element(
    file: TextIO, tag: str, attributes: Mapping[str, str], data: Mapping[str, str]
) -> None:
    own = "".join(f" {name}={quoteattr(value)}" for name, value in attributes.items())
    inner = "".join(f'<data key="{key}">{escape(_xml(text))}</data>' for key, text in data.items())
    file.write(f"<{tag}{own}>{inner}</{tag}>\n")


def _xml(text: str) -> str:
    """Return text without the characters that XML cannot hold or does not keep."""
    if text.isprintable():
        return text
    return "".join(
        char if char in "\t\n" or (ord(char) >= 32 and ord(char) not in (0xFFFE, 0xFFFF)) else "�"
        for char in text
    )


def read_graphml(graph: GraphStore, path: str | Path, *, progress: Progress = quiet) -> FactReport:
    """Import GraphML, of ours with the same ids, of other tools by the labels of its nodes.

    A foreign node is an entity named by its `label` or `name`, else by its id; a foreign edge is a
    relation named by its `label`, `relation` or `type`, else `RELATED_TO`.

    Raises:
        ExchangeError: if the file is missing or is no GraphML; nothing is written.
    """
    path = Path(path)
    sha256 = file_hash(path)
    with Scratch() as nodes:
        file = _File(path, nodes)
        file.read_nodes()
        return write_facts(graph, file, file=path.name, sha256=sha256, progress=progress)


class _File:
    """The nodes of a file on disk, its edges read anew for each iteration."""

    def __init__(self, path: Path, nodes: Scratch) -> None:
        self.path = path
        self.nodes = nodes

    def read_nodes(self) -> None:
        """Keep the data of every node."""
        for tag, attributes, data in self._elements():
            if tag == "node":
                id = self._attribute(attributes, "id", tag)
                self._value(id, data)
                self.nodes.add(id, json.dumps(data))

    def __iter__(self) -> Iterator[Fact | Entity]:
        for id, text in self.nodes:
            value = self._value(id, json.loads(text))
            if isinstance(value, Entity):
                yield value
        for tag, attributes, data in self._elements():
            if tag == "edge":
                yield self._fact(
                    self._attribute(attributes, "source", tag),
                    self._attribute(attributes, "target", tag),
                    data,
                )

    def _fact(self, source: str, target: str, data: Mapping[str, str]) -> Fact:
        record = self._record(f"{source} → {target}", data)
        relation = record.get("relation") or next(
            (data[key] for key in ("label", "relation", "type") if data.get(key, "").strip()),
            "RELATED_TO",
        )
        head = self._end(source)
        if isinstance(head, Literal):
            raise ExchangeError(f"{self.path}: the literal {source} is the head of an edge")
        phrase = phrase_of(relation, record.get("predicate"))
        return Fact(head, phrase, self._end(target), float(record.get("score", 1.0)))

    def _end(self, id: str) -> Entity | Literal:
        text = self.nodes.get(id)
        return self._value(id, json.loads(text) if text else {})

    def _value(self, id: str, data: Mapping[str, str]) -> Entity | Literal:
        record = self._record(id, data)
        try:
            if record.get("kind") == "literal":
                return Literal(record["lexical"], record["datatype"], record["lang"])
            if record.get("kind") == "entity":
                return Entity(
                    id=id,
                    name=record["name"],
                    types=tuple(record["types"]),
                    description=record["description"],
                    iri=record["iri"],
                    props=record["props"],
                )
        except KeyError as error:
            raise ExchangeError(
                f"{self.path}: the record of {id} lacks {error}: export the file again"
            ) from None
        return named(next((data[key] for key in ("label", "name") if data.get(key)), id))

    def _record(self, id: str, data: Mapping[str, str]) -> dict[str, Any]:
        if "record" not in data:
            return {}
        try:
            record = json.loads(data["record"])
        except ValueError as error:
            raise ExchangeError(f"{self.path}: the record of {id} is not JSON ({error})") from None
        if not isinstance(record, dict):
            raise ExchangeError(f"{self.path}: the record of {id} is not a JSON object")
        return record

    def _attribute(self, attributes: Mapping[str, str], name: str, tag: str) -> str:
        if name not in attributes:
            raise ExchangeError(f"{self.path}: a {tag} has no {name}: check the file")
        return attributes[name]

    def _elements(self) -> Iterator[tuple[str, Mapping[str, str], dict[str, str]]]:
        """Iterate over (tag, attributes, data by name) of nodes and edges."""
        # The parser under it (Expat since 2.4.1) limits what entities may expand to.
        from xml.etree.ElementTree import ParseError, iterparse

        names: dict[str, str] = {}
        open_elements: list[Any] = []
        graphs = 0
        try:
            for event, element in iterparse(self.path, events=("start", "end")):  # noqa: S314
                tag = element.tag.rpartition("}")[2]
                if event == "start":
                    if not open_elements and tag != "graphml":
                        raise ExchangeError(f"{self.path} is not GraphML: it begins with <{tag}>")
                    open_elements.append(element)
                    graphs += tag == "graph"
                    continue
                open_elements.pop()
                if tag == "key":
                    names[element.get("id", "")] = element.get("attr.name", "label")
                elif tag in ("node", "edge"):
                    yield tag, element.attrib, _data(element, names)
                    open_elements[-1].clear()  # or the tree would grow with the file
        except ParseError as error:
            raise ExchangeError(f"{self.path} is not GraphML ({error}): check the file") from None
        if not graphs:
            raise ExchangeError(f"{self.path} is not GraphML: it holds no graph")


def _data(element: Any, names: Mapping[str, str]) -> dict[str, str]:
    """Return the texts of an element by name; yEd's stand in a label deeper down."""
    found: dict[str, str] = {}
    for child in element:
        if child.tag.rpartition("}")[2] != "data":
            continue
        key = child.get("key", "")
        labels = (own for own in child.iter() if own.tag.endswith(("NodeLabel", "EdgeLabel")))
        drawn = next(labels, None)
        text = child.text if drawn is None else drawn.text
        name = "label" if drawn is not None else names.get(key, key)
        if text and name not in found:
            found[name] = text.strip() if drawn is not None else text
    return found
