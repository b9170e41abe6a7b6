"""Reading RDF: our own records are restored, everybody else's statements become facts."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote

from kg.errors import ExchangeError
from kg.exchange.archive import KINDS, Kind, Row
from kg.exchange.facts import Fact, FactReport, file_hash, phrase_of, write_facts
from kg.exchange.progress import Progress, quiet
from kg.exchange.rdf.terms import (
    DCT,
    OWL,
    PREDICATES,
    RDF,
    RDFS,
    SKOS,
    VOCABULARY,
    kind_of,
    literal_of,
    local_name,
)
from kg.exchange.restoring import RestoreReport, restore
from kg.exchange.scratch import Scratch
from kg.ids import entity_id
from kg.records import Entity, Literal
from kg.store.protocol import GraphStore

__all__ = ["read_rdf"]

_ENTITY_ID: Final = re.compile(r"e_[0-9a-f]{32}")
#: Properties that describe a thing rather than link it to another.
_ATTRIBUTES: Final[Mapping[str, str]] = {
    RDFS + "label": "label",
    SKOS + "prefLabel": "label",
    SKOS + "altLabel": "alias",
    RDF + "type": "type",
    DCT + "identifier": "identifier",
    DCT + "description": "description",
    RDFS + "comment": "description",
    VOCABULARY + "types": "types",
    VOCABULARY + "iri": "iri",
    VOCABULARY + "props": "props",
    RDF + "subject": "subject",
    RDF + "predicate": "predicate",
    RDF + "object": "object",
    VOCABULARY + "predicate": "phrase",
    VOCABULARY + "score": "score",
    VOCABULARY + "support": "support",
}
#: Classes of things that are words of a vocabulary and no entities.
_WORDS: Final = {
    RDF + "Property",
    RDFS + "Class",
    RDFS + "Datatype",
    *(OWL + name for name in ("Class", "ObjectProperty", "DatatypeProperty", "Ontology")),
    *(OWL + name for name in ("AnnotationProperty", "Restriction")),
}
_NO_TYPES: Final = {VOCABULARY + "Entity", OWL + "NamedIndividual", OWL + "Thing"}


def read_rdf(
    graph: GraphStore, path: str | Path, *, format: str = "", progress: Progress = quiet
) -> RestoreReport | FactReport:
    """Import RDF: restore the records in it, or if there are none, read its statements as facts.

    Args:
        graph: an open graph.
        path: the file.
        format: a suffix such as "nq", "trig", "ttl", "nt", "rdf"; by default that of the file.
        progress: told how many records or facts were written.

    Raises:
        ExchangeError: if the file is missing or is no RDF (nothing is written then), or if a
            record in it is damaged (what was begun is taken back).
    """
    path = Path(path)
    sha256 = file_hash(path)
    with _Content() as content:
        content.read(path, format or path.suffix.removeprefix("."), sha256)
        if content.has_records:
            return restore(graph, content.rows(), source=str(path), progress=progress)
        content.describe()
        return write_facts(graph, content, file=path.name, sha256=sha256, progress=progress)


class _Content:
    """What a file says, on disk: fragments of records, descriptions of things, facts."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.records, self.things, self.facts, self.entities, self.words, self.reified = (
            self.stack.enter_context(Scratch()) for _ in range(6)
        )
        self.has_records = self.has_reified = False
        self.subject = self.key = ""
        self.fragments: list[tuple[str, str]] = []
        self.predicates: set[str] = set()
        self.blanks: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def read(self, path: Path, format: str, sha256: str) -> None:
        """Sort the file's statements into records, descriptions and facts."""
        import pyoxigraph

        kind = pyoxigraph.RdfFormat.from_extension(format)
        if kind is None:
            raise ExchangeError(f"{path}: {format!r} is no RDF format; known are nq, trig, ttl, nt")
        try:
            for quad in pyoxigraph.parse(path=str(path), format=kind):
                self._take(path, quad, sha256)
            self._keep()
        except SyntaxError as error:
            raise ExchangeError(f"{path} is not RDF ({error}): check the file") from None
        except ValueError as error:  # UTF-8
            raise ExchangeError(f"{path} cannot be read ({error}): check the file") from None

    def _take(self, path: Path, quad: Any, sha256: str) -> None:
        import pyoxigraph

        subject, predicate, value = quad.subject, quad.predicate.value, quad.object
        if isinstance(value, pyoxigraph.Triple):
            raise ExchangeError(
                f"{path} holds a triple term, which only RDF 1.2 has: write it as rdf:Statement"
            )
        if subject.value == self.subject:  # a record's statements mostly stand together
            self.fragments.append((predicate, value.value))
            return
        name = local_name(subject.value)
        if (record := kind_of(name)) is not None:
            self.has_records = True
            self._keep()
            self.subject, self.key = subject.value, f"{list(KINDS).index(record)}|{name}"
            self.fragments.append((predicate, value.value))
            return
        if self.has_records:
            return  # derived from them
        own = self._key(subject, sha256)
        attribute = _ATTRIBUTES.get(predicate)
        if attribute == "identifier" and not _ENTITY_ID.fullmatch(value.value):
            attribute = None
        literal = isinstance(value, pyoxigraph.Literal)
        end: Any = self._key(value, sha256)
        if literal:
            own_value = literal_of(value)
            end = [own_value.lexical, own_value.datatype, own_value.lang]
        if attribute is None:
            self.predicates.add(predicate)
            self.facts.add("", json.dumps([own, predicate, end]))
        elif attribute in ("subject", "predicate", "object"):
            self.things.add(own, json.dumps([attribute, end, ""]))
        else:
            self.things.add(own, json.dumps([attribute, value.value, literal and value.language]))

    def _keep(self) -> None:
        """Put away what was read of a record; there may be more of it further on."""
        if self.fragments:
            self.records.add(self.key, json.dumps(self.fragments))
            self.fragments.clear()

    def _key(self, term: Any, sha256: str) -> str:
        """Return the IRI of a term; a blank node gets one that is the same for the same file."""
        import pyoxigraph

        if not isinstance(term, pyoxigraph.BlankNode):
            return str(term.value)
        number = self.blanks.setdefault(term.value, str(len(self.blanks)))
        return f"_:{sha256}/{number}"

    # ------------------------------------------------------------------------------- records

    def rows(self) -> Iterator[tuple[Kind, Row]]:
        """Iterate over the records, in the order in which they can be written."""
        for key, fragments in groupby(self.records, key=itemgetter(0)):
            name = key.partition("|")[2]
            kind = kind_of(name)
            assert kind is not None
            found: dict[str, list[str]] = defaultdict(list)
            for _, text in fragments:
                for predicate, value in json.loads(text):
                    found[predicate].append(value)
            yield kind, _row(kind, name, found)

    # --------------------------------------------------------------------------------- facts

    def describe(self) -> None:
        """Tell entities, words of the vocabulary and reified statements apart."""
        for own, fragments in groupby(self.things, key=itemgetter(0)):
            found: dict[str, list[Any]] = defaultdict(list)
            for _, text in fragments:
                attribute, value, lang = json.loads(text)
                found[attribute].append((lang or "", value) if attribute == "label" else value)
            if "subject" in found and "predicate" in found and "object" in found:
                key = json.dumps([found[name][0] for name in ("subject", "predicate", "object")])
                score = float(found["score"][0]) if "score" in found else 1.0
                self.reified.add(key, json.dumps([score, next(iter(found["phrase"]), None)]))
                self.has_reified = True
            elif own in self.predicates or _WORDS & set(found["type"]):
                self.words.add(own, _label(own, found["label"]))
            else:
                self.entities.add(own, json.dumps(_description(own, found)))

    def __iter__(self) -> Iterator[Fact | Entity]:
        """Iterate over all entities, then all facts."""
        for own, text in self.entities:
            yield _entity(own, json.loads(text))
        for _, text in self.facts:
            head, predicate, tail = json.loads(text)
            score, phrase = 1.0, None
            if self.has_reified:
                found = self.reified.get(json.dumps([head, predicate, tail]))
                score, phrase = json.loads(found) if found else (score, phrase)
            value = Literal(*tail) if isinstance(tail, list) else self._end(tail)
            yield Fact(self._end(head), self._phrase(predicate, phrase), value, score)

    def _end(self, iri: str) -> Entity:
        text = self.entities.get(iri)
        return _entity(iri, json.loads(text) if text else _description(iri, {}))

    def _phrase(self, predicate: str, phrase: str | None) -> str:
        name = unquote(local_name(predicate))
        if phrase is not None:
            return phrase_of(name, phrase)
        return self.words.get(predicate) or name or predicate


def _row(kind: Kind, name: str, found: Mapping[str, list[str]]) -> Row:
    row: dict[str, Any] = {}
    for column, type in KINDS[kind].items():
        values = found.get(PREDICATES[kind][column])
        if column == "id" and kind not in ("merge", "prediction"):
            row[column] = unquote(name[2:]) if kind == "run" else name
        elif values is None:
            continue
        elif type == "runs":
            row[column] = sorted({_run(value) for value in values})
        elif type == "run":
            row[column] = _run(values[0])
        elif type == "id" and column != "id":
            row[column] = local_name(values[0])
        elif type == "flag":
            row[column] = values[0] == "true"
        else:
            row[column] = values[0]
    return row


def _run(iri: str) -> str:
    return unquote(local_name(iri).removeprefix("r_"))


def _label(iri: str, labels: list[tuple[str, str]]) -> str:
    """Return the label without a language, else the English, else the smallest."""
    order = {"": 0, "en": 1}
    best = min(labels, key=lambda one: (order.get(one[0], 2), one), default=("", ""))
    if best[1].strip():
        return best[1]
    name = unquote(local_name(iri))
    return f"_:{name}" if iri.startswith("_:") else name if name.strip() else iri


def _description(iri: str, found: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Return the fields of an entity as its statements tell them."""
    own = local_name(iri)
    names = sorted(
        unquote(local_name(type)) for type in found.get("type", ()) if type not in _NO_TYPES
    )
    types = json.loads(found["types"][0]) if "types" in found else names[:1]
    ours = bool(_ENTITY_ID.fullmatch(own))
    external = "" if ours or iri.startswith("_:") else iri
    id = own if ours else next(iter(found.get("identifier", ())), entity_id(iri=iri))
    return {
        "id": id,
        "name": _label(iri, list(map(tuple, found.get("label", ())))),
        "types": types,
        "description": min(found.get("description", ()), default=""),
        "iri": next(iter(found.get("iri", ())), external),
        "props": json.loads(found["props"][0]) if "props" in found else {},
    }


def _entity(iri: str, fields: Mapping[str, Any]) -> Entity:
    return Entity(
        id=fields["id"],
        name=fields["name"],
        types=tuple(fields["types"]),
        description=fields["description"],
        iri=fields["iri"],
        props=fields["props"],
    )
