"""LangChain's `GraphDocument`s: one for each document, with its text, entities and relationships.

What is made are plain dictionaries, which LangChain's classes take as they are, so LangChain need
not be installed; what is read may be dictionaries or LangChain's objects.

```python
from langchain_neo4j.graphs.graph_document import GraphDocument
Neo4jGraph().add_graph_documents([GraphDocument(**one) for one in to_langchain(graph)])
```

Nodes have our ids, since names are not unique. A relationship's properties hold the triple's `id`,
the `predicate`, the fused `score` of this document, and for each piece of `evidence` its place in
the text (`starts`, `ends`) and its `scores`: LangChain's databases take lists of plain values, but
no lists of objects. From these an import makes the same triples with the same scores. Documents of
other people, without our ids, get computed ones; their relationships quote the whole text.

As a file: JSON lines, one `GraphDocument` a line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import batched
from pathlib import Path
from typing import Any, Final

from kg.derivation import Statement, derive_triples
from kg.errors import ExchangeError
from kg.exchange.canonical import canonical_ids
from kg.exchange.exporting import exported_file
from kg.exchange.facts import Fact, FactReport, Passage, file_hash, phrase_of, write_facts
from kg.exchange.progress import Progress, counted, quiet
from kg.exchange.scratch import Scratch
from kg.ids import entity_id
from kg.records import Config, Document, Entity, Evidence, Literal
from kg.store.protocol import GraphStore

__all__ = ["from_langchain", "read_langchain", "to_langchain", "write_langchain"]

#: Evidence without a document is spread over graph documents of this many.
PART: Final = 1_000
#: Entities remembered, as a document names the same ones again and again.
CACHED: Final = 20_000

_ID: Final = re.compile(r"[el]_[0-9a-f]{32}")
#: Types that say nothing.
_NO_TYPE: Final = frozenset({"", "Node", "Entity", "entity", "__Entity__"})
#: Source of what no document states.
_NO_SOURCE: Final[Mapping[str, Any]] = {"page_content": "", "metadata": {}}
_OWN: Final = frozenset({"id", "name", "types", "iri", "description", "aliases"})


def to_langchain(graph: GraphStore) -> Iterator[dict[str, Any]]:
    """Iterate over a graph as graph documents in the form of dictionaries.

    What no document states comes last, with an empty text, and so do entities without any triple.

    >>> import kg
    >>> list(to_langchain(kg.open_graph("memory://")))
    []
    """
    maker = _Maker(graph)
    with Scratch() as seen:
        for one in _stating(graph, maker):
            for node in one["nodes"]:
                seen.add(node["id"], "")
            yield one
        entities = seen.join(graph.derived("entity"), lambda entity: entity.id)
        rest = (entity.id for entity, found in entities if not found)
        for part in batched(rest, PART):
            yield maker.graph_document(_NO_SOURCE, (), set(part))


def _stating(graph: GraphStore, maker: _Maker) -> Iterator[dict[str, Any]]:
    for document in graph.written("document"):
        evidence = list(graph.written("evidence", document=document.id))
        mentioned = {m.entity for m in graph.written("mention", document=document.id)}
        about = {
            "id": document.id,
            "uri": document.uri,
            "title": document.title,
            "media_type": document.media_type,
        }
        source = {"page_content": document.text, "metadata": {**document.meta, **about}}
        yield maker.graph_document(source, evidence, mentioned)
    unplaced = (one for one in graph.written("evidence") if one.chunk is None)
    for part in batched(unplaced, PART):
        yield maker.graph_document(_NO_SOURCE, part, set())


class _Maker:
    def __init__(self, graph: GraphStore) -> None:
        self.canonical = canonical_ids(graph)
        self.names = list(graph.written("relation_name"))
        self.configs: Mapping[str, Config] = {c.id: c for c in graph.written("config")}

        def entity(id: str) -> Entity:
            found = graph.get(id)
            assert isinstance(found, Entity)
            return found

        self.entity: Callable[[str], Entity] = lru_cache(CACHED)(entity)

    def graph_document(
        self, source: Mapping[str, Any], evidence: Sequence[Evidence], mentioned: set[str]
    ) -> dict[str, Any]:
        triples, stated = derive_triples(
            map(Statement.of, evidence),
            self.canonical,
            relation_names=self.names,
            configs=self.configs,
        )
        literals = {e.tail.id: e.tail for e in evidence if isinstance(e.tail, Literal)}
        support: dict[str, list[Evidence]] = {id: [] for id in triples}
        for one in evidence:
            states = stated[one.id].triple
            if states in support and not one.negated and self._counts(one):
                support[states].append(one)
        ends = {self.canonical.get(raw, raw) for raw in mentioned}
        relationships = []
        for id in sorted(triples):
            triple = triples[id]
            ends |= {triple.head, triple.tail}
            placed = [one.span or (-1, -1) for one in support[id]]
            relationships.append(
                {
                    "source": self._end(triple.head, literals),
                    "target": self._end(triple.tail, literals),
                    "type": triple.relation,
                    "properties": {
                        "id": id,
                        "predicate": triple.predicate,
                        "score": triple.score,
                        "evidence": [one.id for one in support[id]],
                        "starts": [start for start, _ in placed],
                        "ends": [end for _, end in placed],
                        "scores": [one.score for one in support[id]],
                    },
                }
            )
        nodes = [self._node(id, literals) for id in sorted(ends)]
        return {"nodes": nodes, "relationships": relationships, "source": dict(source)}

    def _counts(self, evidence: Evidence) -> bool:
        config = self.configs.get(evidence.config)
        return not evidence.hedged or bool(config and config.parameters.get("include_hedged"))

    def _end(self, id: str, literals: Mapping[str, Literal]) -> dict[str, Any]:
        return {"id": id, "type": self._node(id, literals)["type"], "properties": {}}

    def _node(self, id: str, literals: Mapping[str, Literal]) -> dict[str, Any]:
        if id in literals:
            value = literals[id]
            own = {"lexical": value.lexical, "datatype": value.datatype, "lang": value.lang}
            return {"id": id, "type": "Literal", "properties": own}
        entity = self.entity(id)
        more = {"iri": entity.iri, "description": entity.description}
        plain = {key: value for key, value in entity.props.items() if key not in _OWN}
        properties = {
            **plain,
            **{key: value for key, value in more.items() if value},
            "name": entity.name,
            "types": list(entity.types),
            "aliases": list(entity.aliases),
        }
        return {
            "id": id,
            "type": entity.types[0] if entity.types else "Entity",
            "properties": properties,
        }


def write_langchain(graph: GraphStore, path: str | Path, *, progress: Progress = quiet) -> int:
    """Write graph documents as JSON lines and return the number of their relationships.

    Raises:
        ExchangeError: if the graph is changed meanwhile.
        OSError: if the file cannot be written.
    """
    relationships = 0
    with exported_file(graph, path) as draft, draft.open("w", encoding="utf-8") as file:
        for one in counted(to_langchain(graph), progress):
            file.write(json.dumps(one) + "\n")
            relationships += len(one["relationships"])
    return relationships


def read_langchain(
    graph: GraphStore, path: str | Path, *, progress: Progress = quiet
) -> FactReport:
    """Import graph documents from JSON lines, or from a file with one JSON list of them.

    Raises:
        ExchangeError: if the file is missing or a line is no graph document; nothing is written.
    """
    path = Path(path)
    sha256 = file_hash(path)
    return from_langchain(graph, _Lines(path), file=path.name, sha256=sha256, progress=progress)


def from_langchain(
    graph: GraphStore,
    documents: Iterable[Any],
    *,
    file: str = "langchain",
    sha256: str = "",
    progress: Progress = quiet,
) -> FactReport:
    """Import graph documents, objects of LangChain or dictionaries of the same form.

    Args:
        graph: an open graph.
        documents: a collection (they are read twice).
        file: what to call the source of relationships without a text.
        sha256: hash of its bytes, if it is a file.
        progress: told how many facts were written.

    Raises:
        ExchangeError: if one is no graph document; nothing is written.
    """
    return write_facts(graph, _Facts(documents, file), file=file, sha256=sha256, progress=progress)


class _Lines:
    """The objects of a file, read anew for each iteration."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[Any]:
        number = 0
        try:
            with self.path.open(encoding="utf-8-sig", newline="\n") as file:
                for number, line in enumerate(file, 1):
                    if number == 1 and line.lstrip().startswith("["):
                        yield from json.loads(line + file.read())
                        return
                    if line.strip():
                        yield json.loads(line)
        except ValueError as error:  # also UnicodeDecodeError
            raise ExchangeError(
                f"{self.path}: line {number} is not JSON ({error}): a line is one graph document"
            ) from None


class _Facts:
    def __init__(self, documents: Iterable[Any], file: str) -> None:
        self.documents = documents
        self.file = file

    def __iter__(self) -> Iterator[Fact | Entity]:
        for number, one in enumerate(self.documents, 1):
            try:
                yield from self._facts(number, one)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise ExchangeError(
                    f"{self.file}: graph document {number} is not of LangChain's form ({error!r}): "
                    "it has nodes, relationships and a source"
                ) from None

    def _facts(self, number: int, one: Any) -> Iterator[Fact | Entity]:
        document = self._document(number, _field(one, "source", None))
        nodes = {}
        for node in _field(one, "nodes"):
            value = nodes[str(_field(node, "id"))] = _value(node)
            if isinstance(value, Entity):
                yield value
        for link in _field(one, "relationships"):
            ends = (_field(link, "source"), _field(link, "target"))
            head, tail = (nodes.get(str(_field(end, "id"))) or _value(end) for end in ends)
            if isinstance(head, Literal):
                raise ValueError(f"the literal {head.lexical!r} is the source of a relationship")
            own = _field(link, "properties", {})
            phrase = phrase_of(str(_field(link, "type")), own.get("predicate"))
            for passage, score in _places(document, own):
                yield Fact(head, phrase, tail, score, passage)

    def _document(self, number: int, source: Any) -> Document | None:
        text = _field(source, "page_content", "") if source is not None else ""
        if not text:
            return None
        meta = dict(_field(source, "metadata", {}))
        meta.pop("id", None)
        uri = str(meta.pop("uri", "") or meta.get("source", "") or f"{self.file}#{number}")
        return Document(
            uri=uri,
            text=text,
            title=str(meta.pop("title", "")),
            media_type=str(meta.pop("media_type", "text/plain")),
            meta=json.loads(json.dumps(meta, default=str)),  # what is no JSON, as text
        )


def _places(
    document: Document | None, own: Mapping[str, Any]
) -> list[tuple[Passage | None, float]]:
    """Return where the document states a relationship, with scores; the whole text if unsaid."""
    score = float(own.get("score", 1.0))
    if document is None:
        return [(None, score)]
    length = len(document.text)
    places = zip(own.get("starts", ()), own.get("ends", ()), own.get("scores", ()), strict=True)
    found = [
        (Passage(document, (start, end)), float(value))
        for start, end, value in places
        if 0 <= start < end <= length
    ]
    return [*found] or [(Passage(document, (0, length)), score)]


def _value(node: Any) -> Entity | Literal:
    id, type = str(_field(node, "id")), str(_field(node, "type", ""))
    own = dict(_field(node, "properties", {}))
    if type == "Literal" and "lexical" in own:
        return Literal(own["lexical"], own.get("datatype", ""), own.get("lang", ""))
    types = tuple(own.get("types") or ((type,) if type not in _NO_TYPE else ()))
    return Entity(
        id=id if _ID.fullmatch(id) else entity_id(id, types[-1] if types else ""),
        name=str(own.get("name") or id),
        types=types,
        description=str(own.get("description", "")),
        iri=str(own.get("iri", "")),
        props={key: value for key, value in own.items() if key not in _OWN},
    )


_REQUIRED: Final = object()


def _field(one: Any, name: str, default: Any = _REQUIRED) -> Any:
    """Return a field of a dictionary or an attribute of an object."""
    if isinstance(one, Mapping):
        return one[name] if default is _REQUIRED else one.get(name, default)
    return getattr(one, name) if default is _REQUIRED else getattr(one, name, default)
