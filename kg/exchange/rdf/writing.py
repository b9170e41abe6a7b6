"""Writing RDF: the derived graph, and around it every written record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import batched, chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from kg.derivation import Statement, derive_triples
from kg.exchange.archive import KINDS, Kind, Row, rows
from kg.exchange.canonical import canonical_ids
from kg.exchange.exporting import exported_file
from kg.exchange.progress import Progress, quiet
from kg.exchange.rdf.terms import (
    BASE,
    CLASSES,
    DCT,
    LETTERS,
    OWL,
    PREDICATES,
    RDF,
    RDFS,
    SKOS,
    VOCABULARY,
    XSD,
    record_name,
    relation_iri,
    run_name,
    term_of,
    type_iri,
    usable,
)
from kg.exchange.scratch import Scratch
from kg.exchange.stated import PART
from kg.ids import relation_type
from kg.records import Entity, Literal, Triple
from kg.store.protocol import GraphStore

if TYPE_CHECKING:
    import pyoxigraph
    import rdflib

__all__ = ["LOSSLESS", "to_rdflib", "write_rdf"]

#: Suffix → does the format have named graphs, so that it carries the written records too?
LOSSLESS: Final = {"nq": True, "trig": True, "ttl": False, "nt": False}

#: IRIs remembered.
CACHED: Final = 20_000

_IN_DOCUMENT: Final = ("document", "chunk", "mention", "evidence")


def write_rdf(
    graph: GraphStore,
    path: str | Path,
    *,
    format: str = "",
    base: str = BASE,
    progress: Progress = quiet,
) -> int:
    """Write a graph as RDF and return the number of its triples.

    Args:
        graph: an open graph.
        path: the file.
        format: "nq", "trig", "ttl" or "nt"; by default the suffix of the file.
        base: what the IRIs of entities and records begin with; it ends with `/`, `#` or `:`.
        progress: told how many records were written.

    Raises:
        ValueError: for an unknown format or a base that is no beginning of an IRI.
        ExchangeError: if the graph is changed meanwhile.
        OSError: if the file cannot be written.
    """
    import pyoxigraph

    path = Path(path)
    kind = format or path.suffix.lower().removeprefix(".")
    if kind not in LOSSLESS:
        raise ValueError(f"RDF format {kind!r}: choose one of {', '.join(LOSSLESS)}")
    found = pyoxigraph.RdfFormat.from_extension(kind)
    prefixes = {"rdf": RDF, "rdfs": RDFS, "owl": OWL, "xsd": XSD, "skos": SKOS, "dct": DCT}
    prefixes |= {"prov": "http://www.w3.org/ns/prov#", "sheaf": VOCABULARY}
    with (
        exported_file(graph, path) as draft,
        # Opened here, as an error of Python's names the file.
        draft.open("wb") as file,
        _Quads(graph, base, progress) as quads,
    ):
        parts: Iterable[Any] = quads.derived()
        if kind == "nq":
            # An import that has seen records need not look at what is derived from them.
            parts = chain(quads.written(grouped=False), parts)
        elif kind == "trig":
            parts = chain(parts, quads.written(grouped=True))
        else:
            parts = (quad.triple for quad in parts)
        pyoxigraph.serialize(
            parts, file, format=found, prefixes=prefixes if kind in ("trig", "ttl") else None
        )
        return quads.triples


def to_rdflib(graph: GraphStore, *, base: str = BASE) -> rdflib.Dataset:
    """Return a graph as an rdflib dataset: all that N-Quads would hold, in memory.

    >>> import kg
    >>> len(to_rdflib(kg.open_graph("memory://")))
    0
    """
    import pyoxigraph
    import rdflib

    def term(value: Any) -> Any:
        if isinstance(value, pyoxigraph.NamedNode):
            return rdflib.URIRef(value.value)
        if value.language:
            return rdflib.Literal(value.value, lang=value.language)
        # Left as it is written: rdflib would make "01" of a number "1", which is another literal.
        datatype = rdflib.URIRef(value.datatype.value)
        return rdflib.Literal(value.value, datatype=datatype, normalize=False)

    dataset = rdflib.Dataset()
    with _Quads(graph, base, quiet) as quads:
        for quad in chain(quads.derived(), quads.written(grouped=False)):
            own = quad.graph_name
            named = isinstance(own, pyoxigraph.NamedNode)
            target = dataset.graph(term(own)) if named else dataset.default_graph
            target.add((term(quad.subject), term(quad.predicate), term(quad.object)))
    return dataset


class _Quads:
    """Makes the quads of one graph; holds on disk which entities have IRIs of their own."""

    def __init__(self, graph: GraphStore, base: str, progress: Progress) -> None:
        import pyoxigraph

        if base[-1:] not in ("/", "#", ":"):
            raise ValueError(f"base {base!r} must end with /, # or :, as ids follow it directly")
        self.rdf = pyoxigraph
        self.graph = graph
        self.base = base
        self.progress = progress
        self.triples = 0
        self.external = Scratch()
        self.any_external = False
        self.known = Scratch()
        self.node: Callable[[str], pyoxigraph.NamedNode] = lru_cache(CACHED)(pyoxigraph.NamedNode)
        self.node(base + "check")
        self.done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.external.__exit__(None, None, None)
        self.known.__exit__(None, None, None)

    # ------------------------------------------------------------------------------- derived

    def derived(self) -> Iterator[pyoxigraph.Quad]:
        """Iterate over entities and triples, in the default graph."""
        self._find_external()
        types: set[str] = set()
        for entity in self.graph.derived("entity"):
            yield from self._entity(entity, types)
            self._count()
        predicates: set[tuple[str, str]] = set()
        literal = None
        literals = self._literals_by_id()
        for triple in self.graph.derived("triple"):
            if triple.tail.startswith("l_"):
                literal = literals(triple.tail)
            tail = literal if triple.tail.startswith("l_") else self._end(triple.tail)
            yield from self._triple(triple, tail, predicates)
            self.triples += 1
            self._count()
        self._flush()

    def _literals_by_id(self) -> Callable[[str], Any]:
        by_id = self.known
        for literal in self.graph.derived("literal"):
            by_id.add(literal.id, json.dumps([literal.lexical, literal.datatype, literal.lang]))
        return lambda id: term_of(Literal(*json.loads(by_id.get(id) or "")))

    def _find_external(self) -> None:
        """Give an external IRI to the entity that has it; of several, to the smallest id."""
        with Scratch() as owners:
            for entity in self.graph.derived("entity"):
                if entity.iri and usable(entity.iri, self.base):
                    owners.add(entity.iri, entity.id)
            last = None
            for iri, id in owners:
                if iri != last:
                    self.external.add(id, iri)
                    self.any_external = True
                last = iri

    def _end(self, id: str) -> pyoxigraph.NamedNode:
        iri = self.external.get(id) if self.any_external else None
        return self.node(iri or self.base + id)

    def _entity(self, entity: Entity, types: set[str]) -> Iterator[pyoxigraph.Quad]:
        for type in entity.types:
            if type not in types:
                types.add(type)
                name = self.node(type_iri(self.base, type))
                yield self._quad(name, RDF + "type", self.node(OWL + "Class"))
                yield self._quad(name, RDFS + "label", self._text(type))
        own = self._end(entity.id)
        yield self._quad(own, RDF + "type", self.node(VOCABULARY + "Entity"))
        for type in entity.types:
            yield self._quad(own, RDF + "type", self.node(type_iri(self.base, type)))
        yield self._quad(own, RDFS + "label", self._text(entity.name))
        if entity.types:
            yield self._quad(own, VOCABULARY + "types", self._text(json.dumps(entity.types)))
        for alias in entity.aliases:
            yield self._quad(own, SKOS + "altLabel", self._text(alias))
        if entity.description:
            yield self._quad(own, DCT + "description", self._text(entity.description))
        if entity.iri:
            yield self._quad(own, VOCABULARY + "iri", self._text(entity.iri))
        if entity.props:
            props = json.dumps(dict(entity.props), sort_keys=True)
            yield self._quad(own, VOCABULARY + "props", self._text(props))
        if own.value != self.base + entity.id:
            yield self._quad(own, DCT + "identifier", self._text(entity.id))

    def _triple(
        self, triple: Triple, tail: Any, predicates: set[tuple[str, str]]
    ) -> Iterator[pyoxigraph.Quad]:
        head, own = self._end(triple.head), self.rdf.NamedNode(self.base + triple.id)
        relation = self.node(relation_iri(self.base, triple.relation))
        if (triple.relation, triple.predicate) not in predicates:
            predicates.add((triple.relation, triple.predicate))
            yield self._quad(relation, RDFS + "label", self._text(triple.predicate))
        yield self._quad(head, relation.value, tail)
        yield self._quad(own, RDF + "type", self.node(RDF + "Statement"))
        yield self._quad(own, RDF + "subject", head)
        yield self._quad(own, RDF + "predicate", relation)
        yield self._quad(own, RDF + "object", tail)
        yield self._quad(own, VOCABULARY + "predicate", self._text(triple.predicate))
        yield self._quad(own, VOCABULARY + "score", self._number(triple.score, "decimal"))
        yield self._quad(own, VOCABULARY + "support", self._number(triple.support, "integer"))

    # ------------------------------------------------------------------------------- written

    def written(self, *, grouped: bool) -> Iterator[pyoxigraph.Quad]:
        """Iterate over the written records, in named graphs.

        Args:
            grouped: one named graph after the other, as a reader of TriG wants it.
        """
        if grouped:
            with Scratch() as sorted_rows:
                for place, kind, row in self._placed():
                    key = f"{place}|{list(LETTERS.values()).index(kind)}"
                    sorted_rows.add(key, json.dumps([place, kind, row]))
                for _, text in sorted_rows:
                    yield from self._record(*json.loads(text))
            return
        for place, kind, row in self._placed():
            yield from self._record(place, kind, row)

    def _placed(self) -> Iterator[tuple[str, Kind, Row]]:
        """Iterate over (name of the named graph, kind, row)."""
        for kind in KINDS:
            found = rows(self.graph, kind)
            if kind == "evidence":
                found = self._with_triples(found)
            for row in found:
                place = "records"
                if kind == "document":
                    place = row["id"]
                elif kind == "chunk":
                    place = row["document"]
                    self.known.add(row["id"], place)
                elif kind in _IN_DOCUMENT and row["chunk"]:
                    place = self.known.get(row["chunk"]) or place
                yield place, kind, row
                self._count()
        self._flush()

    def _with_triples(self, found: Iterator[Row]) -> Iterator[Row]:
        """Add to rows of evidence the derived triple that each states."""
        canonical = canonical_ids(self.graph)
        names = list(self.graph.written("relation_name"))
        for part in batched(found, PART):
            statements = [
                Statement(
                    id=row["id"],
                    head=row["head"],
                    relation=row["relation"],
                    tail=row["tail"],
                    score=row["score"],
                    source=0,  # what it states does not depend on it
                    negated=row["negated"],
                    hedged=row["hedged"],
                    config=row["config"],
                )
                for row in part
            ]
            _, stated = derive_triples(statements, canonical, relation_names=names)
            yield from ({**row, "states": stated[row["id"]].triple} for row in part)

    def _record(self, place: str, kind: Kind, row: Row) -> Iterator[pyoxigraph.Quad]:
        within = self.node(self.base + place)
        own = self.rdf.NamedNode(self.base + record_name(kind, row))
        for name in CLASSES[kind]:
            yield self._quad(own, RDF + "type", self.node(name), within)
        predicates = PREDICATES[kind]
        literal = row.get("lexical") is not None
        for column, type in KINDS[kind].items():
            value = row[column]
            number = type in ("integer", "decimal")
            # An empty text is the same as none, but for the lexical form of a literal.
            if value is None or (not value and not number and column != "lexical"):
                continue
            if column == "id" and kind not in ("merge", "prediction", "run"):
                continue  # it is in the IRI
            terms: list[Any]
            if type == "runs":
                terms = [self.node(self.base + run_name(run)) for run in value]
            elif type == "run" and column != "id":
                terms = [self.node(self.base + run_name(value))]
            elif column == "tail" and literal:
                lexical, datatype, lang = row["lexical"], row["datatype"], row["lang"]
                terms = [term_of(Literal(lexical, datatype or "", lang or ""))]
            elif type == "id" and column != "id":
                terms = [self.rdf.NamedNode(self.base + value)]
            elif number:
                terms = [self._number(value, type)]
            else:
                terms = [self._text("true" if value is True else value)]
            for term in terms:
                yield self._quad(own, predicates[column], term, within)
        if kind == "evidence":
            relation = self.node(relation_iri(self.base, relation_type(row["relation"])))
            yield self._quad(own, RDF + "predicate", relation, within)
            triple = self.rdf.NamedNode(self.base + row["states"])
            yield self._quad(own, VOCABULARY + "states", triple, within)

    # --------------------------------------------------------------------------------- terms

    def _quad(
        self, own: pyoxigraph.NamedNode, property: str, value: Any, within: Any = None
    ) -> pyoxigraph.Quad:
        return self.rdf.Quad(own, self.node(property), value, within)

    def _text(self, value: str) -> pyoxigraph.Literal:
        return self.rdf.Literal(value)

    def _number(self, value: float, type: str) -> pyoxigraph.Literal:
        text = f"{value:.6f}".rstrip("0") if type == "decimal" else str(value)
        text += "0" if text.endswith(".") else ""
        return self.rdf.Literal(text, datatype=self.node(XSD + type))

    def _count(self) -> None:
        self.done += 1
        if self.done == 1_000:
            self._flush()

    def _flush(self) -> None:
        self.progress(self.done)
        self.done = 0
