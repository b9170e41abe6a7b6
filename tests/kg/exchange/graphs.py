"""Graphs for round trips: everything that can be written at once, and hostile names."""

from __future__ import annotations

from typing import Final

import kg
from kg.ids import entity_id
from kg.records import (
    Batch,
    Chunk,
    Config,
    Document,
    Evidence,
    Literal,
    Mention,
    Merge,
    Prediction,
    RelationName,
    Task,
)
from kg.store.protocol import GraphStore
from tests.kg.sample_graph import MARIE, PIERRE, WARSAW, fill
from tests.kg.store.contract import CONFIG
from tests.kg.store.random_graph import random_batches

#: Names that break somebody's file format.
HOSTILE: Final = (
    'a "quoted" name',
    'unbalanced "',
    '"',
    "it's \\ back\\slash \\n",
    "tab\there",
    "line\nbreak",
    "carriage\rreturn",
    "crlf\r\nend",
    "<b>&amp;</b> ]]>",
    "NA",
    "null",
    "None",
    "nan",
    "\u200b.",
    "{{curly}} {0} %s $x",
    "\u202eright to left\u202c",
    "שלום עולם",
    "مرحبا",
    "東京 🗼 👩‍👩‍👧",
    "e\u0301 and é",
    "\x00nul\x01\x1f\x7f\x85",
    "\u2028\u2029 separators",
    "\ufeffbom",
    "\ufffe\uffff",
    "a,b;c|d",
    "http://example.org/a b<c>{d}",
    "_:b1",
    "-- x",
    "#comment",
)


def hostile_graph() -> GraphStore:
    """Every hostile name as entity, type, relation, literal, IRI, text and title."""
    graph = kg.open_graph("memory://")
    types = dict.fromkeys(HOSTILE, "")
    config = Config("test", model='m\t"', parameters={"types": types, "note": HOSTILE[0]})
    run = graph.begin_run(config, run='run/1 "<é>').id
    text = "\n".join(HOSTILE) + "."
    document = Document(
        uri='file:a b/"<c>.txt#{1}',
        text=text,
        title=HOSTILE[1],
        media_type='text/"x',
        meta={"key\t": HOSTILE[0]},
    )
    chunk = Chunk(document.id, 0, len(text))
    mentions, evidence = [], []
    for number, name in enumerate(HOSTILE):
        start = text.index(name)
        iri = (name, f"http://example.org/{number}", "http://example.org/same", "")[number % 4]
        mentions.append(
            Mention(
                entity=entity_id(name, name),
                surface=name,
                config=config.id,
                type=name,
                chunk=chunk.id,
                span=(start, start + len(name)),
                iri=iri,
                description=name,
                props={"note": name, "list": [1, None, name]},
            )
        )
        other = HOSTILE[(number + 1) % len(HOSTILE)]
        for tail in (entity_id(other, other), Literal(name, name, ("", "en", name)[number % 3])):
            evidence.append(
                Evidence(
                    head=entity_id(name, name),
                    relation=name,
                    tail=tail,
                    score=0.3,
                    config=config.id,
                    chunk=chunk.id,
                    span=(0, len(text)),
                    quote=text,
                    time=name,
                )
            )
    graph.write(
        Batch(
            documents=(document,),
            chunks=(chunk,),
            mentions=tuple(mentions),
            evidence=tuple(evidence),
            tasks=(Task(chunk.id, config.id),),
            relation_names=(RelationName(HOSTILE[0], "is\ta"),),
        ),
        run=run,
    )
    graph.finish_run(run, {"documents\t": 1})
    return graph


def full_graph(seed: int = 1) -> GraphStore:
    """The sample, random batches by two runs, merges, predictions, literals of all kinds."""
    graph = kg.open_graph("memory://")
    fill(graph)
    run = graph.begin_run(CONFIG).id
    again = graph.begin_run(CONFIG, started="2026-01-01T00:00:00+00:00").id
    batches = random_batches(seed)
    for batch in batches:
        graph.write(batch, run=run)
    for batch in batches[::2]:
        graph.write(batch, run=again)
    graph.finish_run(run, {"sentences": 12})
    model = Config("llm", model="m", parameters={"include_hedged": True})
    third = graph.begin_run(model).id
    values = [
        Literal("1.50", "xsd:decimal"),
        Literal("about 1867", "xsd:date"),
        Literal("", "xsd:string"),
        Literal("colour", "rdf:langString", "en-GB"),
        Literal("Farbe", "", "de"),
        Literal("01", "xsd:integer"),
        Literal("5 kg", "kg:quantity"),
        Literal("x", "http://example.org/type"),
    ]
    graph.write(
        Batch(
            mentions=(Mention(MARIE, "Marie Curie", model.id, type="Person", iri="http://x/m"),),
            evidence=tuple(
                Evidence(MARIE, "value", value, 0.8, model.id, hedged=number % 2 == 0)
                for number, value in enumerate(values)
            ),
        ),
        run=third,
    )
    merged = graph.begin_run(Config("resolution")).id
    people = [e.id for e in graph.derived("entity") if e.name.casefold() in ("ada", "bob")][:2]
    graph.write(
        Batch(
            merges=(Merge(people[0], people[1], "by hand", 0.9, merged),),
            relation_names=(RelationName("married", "spouse", False, True, "stem", 0.7, merged),),
            predictions=(Prediction(PIERRE, "born_in", WARSAW, 0.4, 2, "w2", 7, merged),),
        ),
        run=merged,
    )
    return graph


def triples(graph: GraphStore) -> dict[str, tuple[str, str, str]]:
    """Id → head, relation, tail."""
    return {t.id: (t.head, t.relation, t.tail) for t in graph.derived("triple")}


def scores(graph: GraphStore) -> dict[str, float]:
    """Id → score to the four decimals that evidence keeps."""
    return {t.id: round(t.score, 4) for t in graph.derived("triple")}


def names(graph: GraphStore) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Id → name and types."""
    return {e.id: (e.name, e.types) for e in graph.derived("entity")}


def linked(graph: GraphStore) -> set[str]:
    """Entities that a triple links."""
    return {end for head, _, tail in triples(graph).values() for end in (head, tail)} & set(
        names(graph)
    )
