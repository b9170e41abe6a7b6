"""LlamaIndex's property graph: the form in which its `SimplePropertyGraphStore` keeps a graph.

```python
store = SimplePropertyGraphStore.from_persist_path("graph.llamaindex.json")
index = PropertyGraphIndex.from_existing(property_graph_store=store)
other.upsert_nodes(store.graph.get_all_nodes())           # any other property-graph store
other.upsert_relations(store.graph.get_all_relations())
```

Entities and literals are `EntityNode`s, chunks `ChunkNode`s, triples `Relation`s. LlamaIndex finds
a node by its name, so names are made unique (`kg.exchange.titles`), and it takes `"` for a space,
so we do too. Our id, name, types, predicate, score, support, ids of evidence and, in LlamaIndex's
own `triplet_source_id`, a chunk that states the triple are in `properties`. An import makes the
same ids of them; nodes of others become entities by name and label.

The file is written node by node. It is one JSON object, which LlamaIndex and we read as a whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from kg.errors import ExchangeError
from kg.exchange.exporting import exported_file
from kg.exchange.facts import Fact, FactReport, file_hash, phrase_of, write_facts
from kg.exchange.progress import Progress, counted, quiet
from kg.exchange.scratch import Scratch
from kg.exchange.stated import stated_triples
from kg.exchange.titles import nodes_of, unique_titles
from kg.ids import entity_id
from kg.records import Entity, Literal
from kg.store.protocol import GraphStore

__all__ = ["from_llamaindex", "read_llamaindex", "to_llamaindex", "write_llamaindex"]

#: LlamaIndex's name of the property that says which chunk a node or relation is from.
SOURCE: Final = "triplet_source_id"

_ID: Final = re.compile(r"[el]_[0-9a-f]{32}")
_NO_TYPE: Final = frozenset({"", "node", "entity", "__Node__", "__Entity__"})
_OWN: Final = frozenset({"id", "name", "types", "iri", "description", "aliases", SOURCE})


def to_llamaindex(graph: GraphStore) -> dict[str, Any]:
    """Return a graph in the form that `SimplePropertyGraphStore.from_dict` takes.

    >>> import kg
    >>> to_llamaindex(kg.open_graph("memory://"))
    {'nodes': {}, 'relations': {}, 'triplets': []}
    """
    result: dict[str, Any] = {"nodes": {}, "relations": {}, "triplets": []}
    with _Parts(graph) as parts:
        result["nodes"].update(parts.nodes())
        for key, relation in parts.relations():
            result["relations"][key] = relation
            result["triplets"].append(_triplet(relation))
    return result


def write_llamaindex(graph: GraphStore, path: str | Path, *, progress: Progress = quiet) -> int:
    """Write a graph as `SimplePropertyGraphStore.persist` does; return the number of triples.

    Raises:
        ExchangeError: if the graph is changed meanwhile.
        OSError: if the file cannot be written.
    """
    triples = 0
    with (
        exported_file(graph, path) as draft,
        draft.open("w", encoding="utf-8") as file,
        _Parts(graph) as parts,
        Scratch() as triplets,
    ):
        comma = ""
        file.write('{"nodes": {')
        for key, node in counted(parts.nodes(), progress):
            file.write(f"{comma}\n{json.dumps(key)}: {json.dumps(node)}")
            comma = ","
        file.write('},\n"relations": {')
        comma = ""
        for key, relation in counted(parts.relations(), progress):
            file.write(f"{comma}\n{json.dumps(key)}: {json.dumps(relation)}")
            triplets.add("", json.dumps(_triplet(relation)))
            comma = ","
            triples += 1
        file.write('},\n"triplets": [')
        comma = ""
        for _, triplet in triplets:
            file.write(f"{comma}\n{triplet}")
            comma = ","
        file.write("]}\n")
    return triples


def _triplet(relation: Mapping[str, Any]) -> list[str]:
    return [relation["source_id"], relation["label"], relation["target_id"]]


class _Parts(ExitStack):
    """Nodes and relations of a graph; titles and evidence wait on disk."""

    def __init__(self, graph: GraphStore) -> None:
        super().__init__()
        self.graph = graph
        self.titles = self.enter_context(Scratch())
        self.evidence = self.enter_context(Scratch())
        # As LlamaIndex does: what it makes a space must not make two names one.
        nodes = (
            (id, name.replace('"', " "), type.replace('"', " "))
            for id, name, type in nodes_of(graph, literals=True)
        )
        unique_titles(nodes, self.titles)

    def nodes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for entity in self.graph.derived("entity"):
            plain = {key: value for key, value in entity.props.items() if key not in _OWN}
            own = {"id": entity.id, "name": entity.name, "types": list(entity.types)}
            more = {"iri": entity.iri, "description": entity.description}
            present = {key: value for key, value in more.items() if value}
            label = entity.types[0] if entity.types else "entity"
            yield self._entity(entity.id, label, {**plain, **own, **present})
        for value in self.graph.derived("literal"):
            own = {"id": value.id, "lexical": value.lexical, "datatype": value.datatype}
            yield self._entity(value.id, "Literal", {**own, "lang": value.lang})
        for document in self.graph.written("document"):
            about = {"document": document.id, "uri": document.uri, "title": document.title}
            for chunk in self.graph.written("chunk", document=document.id):
                text = document.text[chunk.start : chunk.end]
                place = {**about, "start": chunk.start, "end": chunk.end}
                node = {"label": "text_chunk", "text": text, "id_": chunk.id, "properties": place}
                yield chunk.id, node

    def relations(self) -> Iterator[tuple[str, dict[str, Any]]]:
        self._gather()
        triples = self.graph.derived("triple")
        for triple, evidence in self.evidence.join(triples, lambda triple: triple.id):
            found = [json.loads(text) for text in evidence]
            source, target = self._title(triple.head), self._title(triple.tail)
            properties = {
                "id": triple.id,
                "predicate": triple.predicate,
                "score": triple.score,
                "support": triple.support,
                "evidence": [id for id, _ in found],
            }
            chunk = next((chunk for _, chunk in found if chunk), None)
            relation = {
                "label": triple.relation,
                "source_id": source,
                "target_id": target,
                "properties": {**properties, **({SOURCE: chunk} if chunk else {})},
            }
            yield f"{source}_{triple.relation}_{target}", relation

    def _entity(
        self, id: str, label: str, properties: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        title = self._title(id)
        return title, {"label": label, "name": title, "properties": properties}

    def _title(self, id: str) -> str:
        title = self.titles.get(id)
        assert title is not None
        return title

    def _gather(self) -> None:
        for one, triple in stated_triples(self.graph):
            if not one.negated:
                self.evidence.add(triple, json.dumps([one.id, one.chunk]))


def read_llamaindex(
    graph: GraphStore, path: str | Path, *, progress: Progress = quiet
) -> FactReport:
    """Import a file that LlamaIndex's `SimplePropertyGraphStore.persist` or we wrote.

    Raises:
        ExchangeError: if the file is missing or of another form; nothing is written.
    """
    path = Path(path)
    sha256 = file_hash(path)
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ExchangeError(f"{path} is not JSON ({error}): check the file") from None
    return from_llamaindex(graph, content, file=path.name, sha256=sha256, progress=progress)


def from_llamaindex(
    graph: GraphStore,
    content: Any,
    *,
    file: str = "llama-index",
    sha256: str = "",
    progress: Progress = quiet,
) -> FactReport:
    """Import a property graph of LlamaIndex.

    Args:
        graph: an open graph.
        content: a `SimplePropertyGraphStore`, its `graph`, or what its `to_dict` gives.
        file: what to call the source.
        sha256: hash of its bytes, if it is a file.
        progress: told how many facts were written.

    Raises:
        ExchangeError: if it is none of these; nothing is written.
    """
    content = getattr(content, "graph", content)
    if hasattr(content, "model_dump"):
        content = content.model_dump()
    facts = _Facts(content, file)
    return write_facts(graph, facts, file=file, sha256=sha256, progress=progress)


class _Facts:
    def __init__(self, content: Any, file: str) -> None:
        self.content = content
        self.file = file

    def __iter__(self) -> Iterator[Fact | Entity]:
        try:
            nodes = {id: _value(id, node) for id, node in self.content["nodes"].items()}
            yield from (value for value in nodes.values() if isinstance(value, Entity))
            for relation in self.content["relations"].values():
                ends = (str(relation["source_id"]), str(relation["target_id"]))
                head, tail = (nodes[end] if end in nodes else _value(end, {}) for end in ends)
                if head is None or tail is None:
                    continue  # a chunk's own relation, such as MENTIONS
                if isinstance(head, Literal):
                    raise ValueError(f"the literal {head.lexical!r} is the source of a relation")
                own = relation.get("properties") or {}
                phrase = phrase_of(str(relation["label"]), own.get("predicate"))
                yield Fact(head, phrase, tail, float(own.get("score", 1.0)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ExchangeError(
                f"{self.file} is not a property graph of LlamaIndex ({error!r}): it has nodes and "
                "relations, as SimplePropertyGraphStore.persist writes them"
            ) from None


def _value(id: str, node: Mapping[str, Any]) -> Entity | Literal | None:
    """Return the entity or literal of a node; None for a chunk."""
    if "text" in node and "name" not in node:
        return None
    own = dict(node.get("properties") or {})
    label = str(node.get("label", ""))
    if label == "Literal" and "lexical" in own:
        return Literal(own["lexical"], own.get("datatype", ""), own.get("lang", ""))
    types = tuple(own.get("types") or ((label,) if label not in _NO_TYPE else ()))
    name = str(own.get("name") or node.get("name") or id)
    known = str(own.get("id", ""))
    return Entity(
        id=known if _ID.fullmatch(known) else entity_id(name, types[-1] if types else ""),
        name=name,
        types=types,
        description=str(own.get("description", "")),
        iri=str(own.get("iri", "")),
        props={key: value for key, value in own.items() if key not in _OWN},
    )
