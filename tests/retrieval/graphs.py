"""Small graphs for the tests of retrieval."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import kg
from kg.ids import entity_id
from kg.records import Batch, Config, Evidence, Mention
from kg.records import Literal as LiteralValue
from kg.store.protocol import GraphStore

CONFIG = Config(harvester="by-hand", parameters={"types": {"City": "Place", "Place": ""}})
ROOTS = {"City": "Place"}

CITIES = ("Warsaw", "Paris", "Vienna", "Berlin", "Rome", "Oslo")
COUNTRIES = ("Poland", "France", "Austria", "Germany", "Italy", "Norway")
FAMILIES = ("Curie", "Meitner", "Fermi", "Hahn", "Bohr", "Planck", "Noether", "Perrin")


def id_of(name: str, type: str) -> str:
    """Return the id of an entity as the graph makes it."""
    return entity_id(name, ROOTS.get(type, type))


def write(
    graph: GraphStore,
    triples: Iterable[tuple[tuple[str, str], str, tuple[str, str] | LiteralValue]],
    *,
    descriptions: dict[str, str] | None = None,
    aliases: dict[str, str] | None = None,
) -> str:
    """Write ((name, type), relation, (name, type) or literal) rows; return the run."""
    run = graph.begin_run(CONFIG).id
    mentions: dict[str, Mention] = {}
    evidence = []

    def seen(end: tuple[str, str]) -> str:
        name, type = end
        entity = id_of(name, type)
        mentions[entity] = Mention(
            entity=entity,
            surface=(aliases or {}).get(name, name),
            name=name,
            type=type,
            config=CONFIG.id,
            description=(descriptions or {}).get(name, ""),
        )
        return entity

    for head, relation, tail in triples:
        end = tail if isinstance(tail, LiteralValue) else seen(tail)
        evidence.append(Evidence(seen(head), relation, end, 0.9, CONFIG.id))
    graph.write(Batch(mentions=tuple(mentions.values()), evidence=tuple(evidence)), run=run)
    graph.finish_run(run, {"evidence": len(evidence)})
    return run


def families(graph: GraphStore) -> str:
    """Write 48 people of eight families, each born in the city of the family, and countries.

    Members of a family share their last name and their city, so that a held-out birthplace can be
    told from the name. The last member of each family has no birthplace.
    """
    rows: list[tuple[tuple[str, str], str, tuple[str, str] | LiteralValue]] = []
    for place, country in zip(CITIES, COUNTRIES, strict=True):
        rows.append(((place, "City"), "located in", (country, "Country")))
    for number, family in enumerate(FAMILIES):
        city = CITIES[number % len(CITIES)]
        names = [f"{first} {family}" for first in ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn")]
        for one, other in pairwise(names):
            rows.append(((one, "Person"), "born in", (city, "City")))
            rows.append(((one, "Person"), "sibling", (other, "Person")))
        rows.append(((names[0], "Person"), "born on", LiteralValue("1867", "xsd:date")))
    return write(graph, rows)


def family_graph() -> GraphStore:
    """Return a new graph in memory with `families` in it."""
    graph = kg.open_graph("memory://")
    families(graph)
    return graph
