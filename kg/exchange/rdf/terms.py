"""The names of things in RDF: IRIs of records, relations and types, literals, the vocabulary."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from kg.exchange.archive import KINDS, Kind, Row
from kg.ids import make_id
from kg.records import Literal

if TYPE_CHECKING:
    import pyoxigraph

__all__ = [
    "BASE",
    "CLASSES",
    "DCT",
    "LETTERS",
    "OWL",
    "PREDICATES",
    "PROV",
    "RDF",
    "RDFS",
    "SKOS",
    "VOCABULARY",
    "XSD",
    "kind_of",
    "literal_of",
    "local_name",
    "record_name",
    "relation_iri",
    "run_name",
    "term_of",
    "type_iri",
    "usable",
]

#: What IRIs of a graph begin with unless the caller says otherwise.
BASE: Final = "urn:sheaf:"
#: Our own classes and properties; it does not depend on the base, so that any file can be read.
VOCABULARY: Final = "urn:sheaf:vocabulary#"
RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS: Final = "http://www.w3.org/2000/01/rdf-schema#"
OWL: Final = "http://www.w3.org/2002/07/owl#"
XSD: Final = "http://www.w3.org/2001/XMLSchema#"
SKOS: Final = "http://www.w3.org/2004/02/skos/core#"
DCT: Final = "http://purl.org/dc/terms/"
PROV: Final = "http://www.w3.org/ns/prov#"

#: First letter of a record's name in its IRI → kind, in the order in which records are written.
LETTERS: Final[Mapping[str, Kind]] = {
    "f": "config",
    "r": "run",
    "n": "relation_name",
    "d": "document",
    "c": "chunk",
    "m": "mention",
    "v": "evidence",
    "k": "task",
    "g": "merge",
    "p": "prediction",
}

#: Kind → classes.
CLASSES: Final[Mapping[Kind, tuple[str, ...]]] = {
    "config": (VOCABULARY + "Config", PROV + "SoftwareAgent"),
    "run": (VOCABULARY + "Run", PROV + "Activity"),
    "relation_name": (VOCABULARY + "RelationName",),
    "document": (VOCABULARY + "Document", PROV + "Entity"),
    "chunk": (VOCABULARY + "Chunk", PROV + "Entity"),
    "mention": (VOCABULARY + "Mention",),
    "evidence": (VOCABULARY + "Evidence", RDF + "Statement"),
    "task": (VOCABULARY + "Task",),
    "merge": (VOCABULARY + "Merge",),
    "prediction": (VOCABULARY + "Prediction",),
}

#: Columns that a common vocabulary has a name for; the others are in ours.
_COMMON: Final[Mapping[tuple[Kind, str], str]] = {
    ("document", "title"): DCT + "title",
    ("document", "media_type"): DCT + "format",
    ("chunk", "document"): PROV + "wasDerivedFrom",
    ("mention", "chunk"): PROV + "wasDerivedFrom",
    ("mention", "config"): PROV + "wasAttributedTo",
    ("mention", "runs"): PROV + "wasGeneratedBy",
    ("evidence", "head"): RDF + "subject",
    ("evidence", "tail"): RDF + "object",
    ("evidence", "chunk"): PROV + "wasDerivedFrom",
    ("evidence", "quote"): PROV + "value",
    ("evidence", "config"): PROV + "wasAttributedTo",
    ("evidence", "runs"): PROV + "wasGeneratedBy",
    ("run", "config"): PROV + "wasAssociatedWith",
}

#: Kind → column → IRI of its property.
PREDICATES: Final[Mapping[Kind, Mapping[str, str]]] = {
    kind: {column: _COMMON.get((kind, column), VOCABULARY + column) for column in columns}
    for kind, columns in KINDS.items()
}

_RECORD: Final = re.compile(r"(?:[fncmdvkgp]_[0-9a-f]{32}|r_\S*)")
_SIMPLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_ENCODED: Final = VOCABULARY + "literal/"


def record_name(kind: Kind, row: Row) -> str:
    """Return the last part of a record's IRI, unique in its graph; its first letter is the kind.

    >>> record_name("run", {"id": "r/1"})
    'r_r%2F1'
    """
    if kind == "run":
        return run_name(row["id"])
    if kind in ("task", "relation_name", "merge", "prediction"):
        letter = next(letter for letter, own in LETTERS.items() if own == kind)
        key = {name: value for name, value in row.items() if name != "runs"}
        return make_id(letter, json.dumps(key, sort_keys=True, ensure_ascii=False))
    return str(row["id"])


def run_name(id: str) -> str:
    """Return the last part of a run's IRI."""
    return "r_" + quote(id, safe="")


def local_name(iri: str) -> str:
    """Return what follows the last `/`, `#` or `:` of an IRI.

    >>> local_name("urn:sheaf:v_1"), local_name("http://example.org/a#b")
    ('v_1', 'b')
    """
    return re.split(r"[/#:]", iri)[-1]


def kind_of(name: str) -> Kind | None:
    """Return the kind of record that a local name stands for, None if for none.

    >>> kind_of("v_" + "0" * 32), kind_of("e_" + "0" * 32), kind_of("vocabulary")
    ('evidence', None, None)
    """
    return LETTERS[name[0]] if _RECORD.fullmatch(name) else None


def relation_iri(base: str, relation: str) -> str:
    """Return the IRI of a relation type.

    >>> relation_iri(BASE, "BORN_IN")
    'urn:sheaf:relation/BORN_IN'
    """
    return f"{base}relation/{quote(relation, safe='')}"


def type_iri(base: str, type: str) -> str:
    """Return the IRI of an entity type, which may be any text.

    >>> type_iri(BASE, "City <big>")
    'urn:sheaf:type/City%20%3Cbig%3E'
    """
    return f"{base}type/{quote(type, safe='')}"


def usable(iri: str, base: str) -> bool:
    """Say whether an external IRI can be an entity's IRI in RDF.

    Not with a space, `<`, `{` or `"`, and not one that would pass for one of ours.

    >>> usable("http://www.wikidata.org/entity/Q7186", BASE), usable("http://x/a b", BASE)
    (True, False)
    >>> usable("Q7186", BASE), usable("urn:sheaf:e_1", BASE)
    (False, False)
    """
    from pyoxigraph import NamedNode

    if iri.startswith((base, BASE)):
        return False
    try:
        NamedNode(iri)
    except ValueError:
        return False
    # An IRI that ends like our own ids could not be told from them when it is read.
    return not re.fullmatch(r"[a-z]_[0-9a-f]{32}", local_name(iri))


@lru_cache(maxsize=10_000)
def term_of(value: Literal) -> pyoxigraph.Literal:
    """Return the RDF literal of a value; `literal_of` is the inverse.

    A datatype or language tag that RDF cannot hold goes into a datatype IRI of our own.
    """
    import pyoxigraph

    try:
        if value.lang:
            term = pyoxigraph.Literal(value.lexical, language=value.lang)
        else:
            datatype = pyoxigraph.NamedNode(_datatype_iri(value.datatype))
            term = pyoxigraph.Literal(value.lexical, datatype=datatype)
        if literal_of(term) == value:
            return term
    except ValueError:
        pass  # no language tag, or no IRI
    encoded = _ENCODED + "/".join(quote(part, safe="") for part in (value.datatype, value.lang))
    return pyoxigraph.Literal(value.lexical, datatype=pyoxigraph.NamedNode(encoded))


def literal_of(term: Any) -> Literal:
    """Return the value of an RDF literal.

    >>> import pyoxigraph
    >>> value = literal_of(pyoxigraph.Literal("Warschau", language="de"))
    >>> value.lexical, value.datatype, value.lang
    ('Warschau', 'rdf:langString', 'de')
    """
    if term.language:
        return Literal(term.value, "rdf:langString", term.language)
    datatype = term.datatype.value
    if datatype.startswith(_ENCODED):
        own, _, lang = datatype.removeprefix(_ENCODED).partition("/")
        return Literal(term.value, unquote(own), unquote(lang))
    for prefix, start in (("xsd:", XSD), ("kg:", VOCABULARY)):
        if datatype.startswith(start):
            return Literal(term.value, prefix + datatype.removeprefix(start))
    return Literal(term.value, datatype)


def _datatype_iri(datatype: str) -> str:
    prefix, _, name = datatype.partition(":")
    if prefix in ("xsd", "kg") and _SIMPLE.fullmatch(name):
        return (XSD if prefix == "xsd" else VOCABULARY) + name
    return datatype
