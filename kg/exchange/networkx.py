"""A graph as a networkx `MultiDiGraph`, and as GraphML for Gephi, yEd, igraph and others.

The key of an edge is the id of its triple: with the relation's name as key, a second edge of that
relation would overwrite the first, and a plain `DiGraph` loses parallel edges. Predictions are not
exported, as they are no facts.

GraphML holds neither lists nor control characters. Each node and edge therefore carries what a
program shows (`label`, `type`, `score`, `support`) and, in `record`, everything as JSON, from which
`read_graphml` makes the same ids again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kg.errors import ExchangeError
from kg.exchange.facts import Fact, FactReport, named, phrase_of, write_facts
from kg.records import Entity, Literal
from kg.store.protocol import GraphStore

if TYPE_CHECKING:
    import networkx

__all__ = ["read_graphml", "to_networkx", "write_graphml"]


def to_networkx(graph: GraphStore) -> networkx.MultiDiGraph[str]:
    """Return the entities, literals and triples of a graph.

    A node is an id with `kind` ("entity" or "literal") and the fields of the record; an edge has
    the triple's id as key, and `relation`, `predicate`, `score` and `support`.

    >>> import kg
    >>> to_networkx(kg.open_graph("memory://")).number_of_nodes()
    0
    """
    import networkx

    result: networkx.MultiDiGraph[str] = networkx.MultiDiGraph()
    for entity in graph.derived("entity"):
        result.add_node(
            entity.id,
            kind="entity",
            name=entity.name,
            types=entity.types,
            aliases=entity.aliases,
            description=entity.description,
            iri=entity.iri,
            props=dict(entity.props),
        )
    for literal in graph.derived("literal"):
        result.add_node(
            literal.id,
            kind="literal",
            lexical=literal.lexical,
            datatype=literal.datatype,
            lang=literal.lang,
        )
    for triple in graph.derived("triple"):
        result.add_edge(
            triple.head,
            triple.tail,
            key=triple.id,
            relation=triple.relation,
            predicate=triple.predicate,
            score=triple.score,
            support=triple.support,
        )
    return result


def write_graphml(graph: GraphStore, path: str | Path) -> int:
    """Write a graph as GraphML and return the number of its triples.

    Raises:
        OSError: if the file cannot be written.
    """
    import networkx

    full = to_networkx(graph)
    plain: networkx.MultiDiGraph[str] = networkx.MultiDiGraph()
    for id, node in full.nodes(data=True):
        shown = node["name"] if node["kind"] == "entity" else node["lexical"]
        type = ", ".join(node["types"]) if node["kind"] == "entity" else node["datatype"]
        plain.add_node(
            id, label=_xml(shown), kind=node["kind"], type=_xml(type), record=json.dumps(node)
        )
    for head, tail, id, edge in full.edges(keys=True, data=True):
        plain.add_edge(
            head,
            tail,
            key=id,
            label=edge["relation"],
            score=edge["score"],
            support=edge["support"],
            record=json.dumps(edge),
        )
    networkx.write_graphml_xml(plain, str(path))
    return full.number_of_edges()


def read_graphml(graph: GraphStore, path: str | Path) -> FactReport:
    """Import GraphML, of ours with the same ids, of other tools by the labels of its nodes.

    A foreign node is an entity named by its `label` or `name`, else by its id; a foreign edge is a
    relation named by its `label`, `relation` or `type`, else `RELATED_TO`.

    Raises:
        ExchangeError: if the file is missing or is no GraphML; nothing is written.
    """
    from xml.etree.ElementTree import ParseError

    import networkx

    path = Path(path)
    try:
        content = path.read_bytes()
        # One edge would come back as a DiGraph without keys, hence the force.
        loaded = networkx.read_graphml(path, force_multigraph=True)
    except FileNotFoundError:
        raise ExchangeError(f"{path} does not exist: check the path") from None
    except (ParseError, networkx.NetworkXError, ValueError, KeyError) as error:
        raise ExchangeError(f"{path} is not GraphML ({error}): check the file") from None
    nodes = {id: _value(path, id, data) for id, data in loaded.nodes(data=True)}
    facts = []
    for head, tail, data in loaded.edges(data=True):
        record = _record(path, f"{head} → {tail}", data)
        relation = record.get("relation") or next(
            (str(data[key]) for key in ("label", "relation", "type") if data.get(key)), "RELATED_TO"
        )
        subject = nodes[head]
        if isinstance(subject, Literal):
            raise ExchangeError(f"{path}: the literal {head} is the head of an edge")
        facts.append(
            Fact(
                subject,
                phrase_of(relation, record.get("predicate")),
                nodes[tail],
                float(record.get("score", 1.0)),
            )
        )
    return write_facts(
        graph,
        facts,
        file=path.name,
        sha256=sha256(content).hexdigest(),
        entities=[value for value in nodes.values() if isinstance(value, Entity)],
    )


def _value(path: Path, id: str, data: Mapping[str, Any]) -> Entity | Literal:
    record = _record(path, id, data)
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
            f"{path}: the record of {id} lacks {error}: export the file again"
        ) from None
    return named(next((str(data[key]) for key in ("label", "name") if data.get(key)), str(id)))


def _record(path: Path, id: str, data: Mapping[str, Any]) -> dict[str, Any]:
    if "record" not in data:
        return {}
    try:
        record = json.loads(data["record"])
    except (TypeError, ValueError) as error:
        raise ExchangeError(f"{path}: the record of {id} is not JSON ({error})") from None
    if not isinstance(record, dict):
        raise ExchangeError(f"{path}: the record of {id} is not a JSON object")
    return record


def _xml(text: str) -> str:
    """Return text without the characters that XML cannot hold."""
    return "".join(
        char if char in "\t\n" or (ord(char) >= 32 and not 0xD800 <= ord(char) <= 0xDFFF) else "�"
        for char in text
        if ord(char) not in (0xFFFE, 0xFFFF)
    )
