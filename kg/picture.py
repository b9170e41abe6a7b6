"""A picture of a graph: one HTML file that opens in any browser, without a network.

Nodes are entities, coloured and shaped by the root of their type; an edge is a triple and its label
the relation. A predicted link is dashed and says so. A click on either shows the evidence: the
quotes with head and tail marked, the document and the score. Literals (dates, numbers) are not
drawn; they are listed with their entity, with their evidence.

The file holds the drawing library (cytoscape, MIT, `kg/assets`), the graph as JSON and one script.
A content security policy lets exactly those two scripts run and nothing be fetched, and the script
writes text of the graph as text only, so that a hostile document cannot become code.
"""

from __future__ import annotations

import html
import json
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

from kg.explanation import Source, SourceReader, predicted, quote_parts
from kg.records import Entity, Literal, Triple
from kg.store.protocol import GraphStore

__all__ = ["Link", "Picture", "gather", "render", "show"]

#: Pieces of evidence kept per link; the panel says how many more there are.
EVIDENCE_PER_LINK: Final = 6
#: Fill and shape of the types, commonest first: the colours of Okabe and Ito, which stay apart for
#: colour-blind readers, lightened where needed for a dark outline; shapes tell them apart as well.
MARKS: Final = (
    ("#56b4e9", "ellipse"),
    ("#e69f00", "round-rectangle"),
    ("#2fae85", "diamond"),
    ("#f0e442", "triangle"),
    ("#cc79a7", "hexagon"),
    ("#e8703a", "pentagon"),
    ("#4d8fcc", "vee"),
    ("#b9a37e", "star"),
)
#: Types beyond `MARKS`, and entities without a type.
OTHER: Final = ("#c4cad0", "ellipse")


@dataclass(frozen=True, slots=True)
class Link:
    """An edge of the picture, or a value listed with its entity."""

    id: str
    head: str
    tail: str
    #: Relation type as in Cypher, and as a person reads it.
    relation: str
    label: str
    score: float
    support: int = 0
    #: The text of a literal tail, None for an entity.
    value: str | None = None
    #: Name of the model that predicts the link, None if evidence supports it.
    model: str | None = None
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn: the entities with most links, and the links among them."""

    title: str
    entities: tuple[Entity, ...]
    links: tuple[Link, ...]
    values: tuple[Link, ...] = ()
    #: Of the whole graph: entities, linked (those in any triple), triples, predictions, documents.
    counts: Mapping[str, int] = field(default_factory=dict)


def show(graph: GraphStore, output: str | Path, *, limit: int = 300) -> Path:
    """Write the picture of a graph to `output` and return its path.

    Raises:
        OSError: if the file cannot be written.
    """
    path = Path(output)
    path.write_text(render(gather(graph, limit=limit)), encoding="utf-8", newline="\n")
    return path


def gather(graph: GraphStore, *, limit: int = 300) -> Picture:
    """Return the `limit` entities with most links to other entities, and what holds among them.

    Ties go to the smaller name, then id. An entity without any triple or predicted link is not
    drawn. Evidence that is only hedged or negated makes no triple, so it makes no edge either; it
    is listed under the edge that other evidence supports.
    """
    stats = graph.stats()
    guesses = [link for link in predicted(graph) if link.head != link.tail]
    degree: Counter[str] = Counter()
    for triple in graph.derived("triple"):
        degree[triple.head] += 1
        if triple.tail.startswith("e_"):
            degree[triple.tail] += 1
    for guess in guesses:
        degree.update((guess.head, guess.tail))
    linked = [entity for entity in graph.derived("entity") if degree[entity.id]]
    linked.sort(key=lambda entity: (-degree[entity.id], entity.name, entity.id))
    drawn = {entity.id: entity for entity in linked[:limit]}
    shown = [
        triple
        for triple in graph.derived("triple")
        if triple.head in drawn and (triple.tail in drawn or triple.tail.startswith("l_"))
    ]
    reader = SourceReader(graph)
    sources: dict[str, tuple[Source, ...]] = {}
    for head in sorted({triple.head for triple in shown}):
        sources.update(reader.of_head(head))
    links, values = [], []
    for triple in shown:
        value = graph.get(triple.tail) if triple.tail.startswith("l_") else None
        if isinstance(value, Literal):
            values.append(_link(triple, sources.get(triple.id, ()), value.lexical))
        else:
            links.append(_link(triple, sources.get(triple.id, ())))
    links += [
        Link(
            id=guess.id,
            head=guess.head,
            tail=guess.tail,
            relation=guess.relation,
            label=_words(guess.relation.lower()),
            score=guess.score,
            model=guess.model,
        )
        for guess in guesses
        if guess.head in drawn and guess.tail in drawn
    ]
    counts = {
        "entities": stats.entities,
        "linked": len(linked),
        "triples": stats.triples,
        "predictions": len(guesses),
        "documents": stats.documents,
    }
    title = Path(graph.uri).name or graph.uri
    return Picture(title, tuple(drawn.values()), tuple(links), tuple(values), counts)


def render(picture: Picture) -> str:
    """Return the picture as HTML that needs nothing else.

    >>> curie, warsaw = Entity("e_1", "Curie", ("Person",)), Entity("e_2", "Warsaw", ("City",))
    >>> born = Link("t_1", "e_1", "e_2", "BORN_IN", "born in", 0.9, 1)
    >>> page = render(Picture("</title><script>", (curie, warsaw), (born,)))
    >>> page.count("<script"), "&lt;script&gt;" in page
    (3, True)
    """
    assets = files("kg") / "assets"
    cytoscape, script, style, page = (
        (assets / name).read_text(encoding="utf-8")
        for name in ("cytoscape.min.js", "picture.js", "picture.css", "picture.html")
    )
    policy = (
        f"default-src 'none'; script-src {_hash(cytoscape)} {_hash(script)}; "
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return Template(page).substitute(
        policy=policy,
        title=html.escape(picture.title),
        style=style,
        data=_json(_payload(picture)),
        cytoscape=cytoscape,
        script=script,
    )


def _link(triple: Triple, sources: tuple[Source, ...], value: str | None = None) -> Link:
    return Link(
        id=triple.id,
        head=triple.head,
        tail=triple.tail,
        relation=triple.relation,
        label=_words(triple.relation.lower()),
        score=triple.score,
        support=triple.support,
        value=value,
        sources=sources,
    )


def _words(relation: str) -> str:
    return relation.replace("_", " ").strip()


def _hash(script: str) -> str:
    """Return the source expression that lets an inline script of this text run."""
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"


def _json(value: object) -> str:
    """Return JSON that cannot end the element it stands in, nor open a comment in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _payload(picture: Picture) -> dict[str, Any]:
    """Return what `picture.js` reads."""
    roots = Counter(_root(entity) for entity in picture.entities)
    # The untyped come last and take the mark of "other", whatever their number.
    order = sorted(roots, key=lambda name: (name == "", -roots[name], name))
    marks = {name: _mark(rank, name) for rank, name in enumerate(order)}
    degree = Counter(end for link in picture.links for end in (link.head, link.tail))
    facts: dict[str, list[dict[str, Any]]] = {entity.id: [] for entity in picture.entities}
    for value in picture.values:
        facts[value.head].append(_link_payload(value))
    return {
        "counts": {
            "entities": len(picture.entities),
            "linked": len(picture.entities),
            "triples": len(picture.links) + len(picture.values),
            "predictions": 0,
            "documents": 0,
            **picture.counts,
        },
        "types": [
            {"name": name, "count": roots[name], "color": marks[name][0], "shape": marks[name][1]}
            for name in order
        ],
        "nodes": [
            {
                "id": entity.id,
                "name": entity.name,
                "type": _root(entity),
                "types": list(entity.types),
                "aliases": list(entity.aliases),
                "description": entity.description,
                "degree": degree[entity.id],
                "facts": facts[entity.id],
            }
            for entity in picture.entities
        ],
        "links": [_link_payload(link) for link in picture.links],
    }


def _root(entity: Entity) -> str:
    return entity.types[-1] if entity.types else ""


def _mark(rank: int, name: str) -> tuple[str, str]:
    return MARKS[rank] if name and rank < len(MARKS) else OTHER


def _link_payload(link: Link) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "id": link.id,
        "head": link.head,
        "tail": link.tail,
        "relation": link.relation,
        "label": link.label,
        "score": link.score,
        "support": link.support,
        "predicted": link.model is not None,
        "model": link.model or "",
        "sources": [_source_payload(source) for source in link.sources[:EVIDENCE_PER_LINK]],
        "more": max(0, len(link.sources) - EVIDENCE_PER_LINK),
    }
    if link.value is not None:
        payload["value"] = link.value
    return payload


def _source_payload(source: Source) -> dict[str, Any]:
    marks = [("head", source.head_span), ("tail", source.tail_span)]
    return {
        "parts": list(quote_parts(source.quote, marks)),
        "title": source.title,
        "uri": source.uri,
        "score": source.score,
        "harvester": source.harvester,
        "model": source.model,
        "negated": source.negated,
        "hedged": source.hedged,
    }
