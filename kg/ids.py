"""Content-hash ids and the normal form of names.

An id is `kind + "_" + hex(blake2b-128(utf8(json)))` of the JSON array `["kg1", kind, ...]`
without spaces and with non-ASCII characters kept. It is an array, not a joined string, because
("ab", "c") and ("a", "bc") must differ. Equal content therefore has equal ids on every machine,
which is what makes a second run write nothing.

| kind | record | key |
|---|---|---|
| `d` | document | uri, sha256 of the text |
| `c` | chunk | document, start, end |
| `e` | entity | ns, "iri", iri · or ns, "name", nf(name), nf(root type) |
| `l` | literal | lexical, datatype, language |
| `m` | mention | raw entity, chunk, start, end, config |
| `v` | evidence | raw head, raw relation, raw tail, chunk, start, end, config |
| `t` | triple | canonical head, relation, tail |
| `f` | config | harvester, version, model, weights, prompt, parameters |
| `g` | merge | kept, dropped |
| `p` | prediction | head, relation, tail, weights, change counter |
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import blake2b
from json.encoder import encode_basestring
from typing import Final

__all__ = ["entity_id", "literal_id", "make_id", "normal_form", "relation_type", "triple_id"]

#: Words that may not be a relation type or label as they are: Cypher's keywords (Grafeo refuses
#: types such as IN, SET, CASE) and the labels and types that the property graph uses itself.
RESERVED: Final = frozenset(
    """
    ALL AND AS ASC ASCENDING BY CALL CASE CONTAINS COUNT CREATE DELETE DESC DESCENDING DETACH
    DISTINCT DROP ELSE END ENDS EXISTS FALSE FOR FOREACH FROM_DOCUMENT IN IS LIMIT LOAD MATCH
    MENTIONS MERGE NOT NULL ON OPTIONAL OR ORDER PREDICTED REMOVE RETURN SET SKIP STARTS STATES
    THEN TRUE UNION UNIQUE UNWIND USING WHEN WHERE WITH XOR YIELD
    ENTITY LITERAL CHUNK DOCUMENT MODEL RUN CONFIG TASK MERGE PREDICTION
    """.split()
)

_WHITESPACE = re.compile(r"\s+")
_NOT_WORD = re.compile(r"[^A-Za-z0-9]+")


def make_id(kind: str, *key: str | int | None) -> str:
    """Return the content-hash id of `key` under `kind`.

    Raises:
        UnicodeEncodeError: if a part holds a lone surrogate, which no UTF-8 text can hold.

    >>> make_id("l", "1867-11-07", "xsd:date", "")
    'l_e38aa34ee5575b221e02884144dd6424'
    """
    # The array is put together from its parts: `json.dumps` of it costs twice as much as the hash.
    parts = [
        encode_basestring(part) if isinstance(part, str) else "null" if part is None else str(part)
        for part in ("kg1", kind, *key)
    ]
    text = f"[{','.join(parts)}]"
    return f"{kind}_{blake2b(text.encode(), digest_size=16).hexdigest()}"


def normal_form(text: str) -> str:
    r"""Return the key form of a name: NFKC, case-folded, controls to space, formats removed.

    It joins case and width variants and keeps diacritics and scripts apart. It is a key and never
    shown to a person. Applying it twice changes nothing.

    >>> normal_form("  ＭＡＲＩＥ\tCurie ")
    'marie curie'
    >>> normal_form("Müller") == normal_form("Muller")
    False
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = unicodedata.normalize("NFKC", text)
    if not text.isascii() or not text.isprintable():
        text = "".join(
            " " if category == "Cc" else "" if category == "Cf" else char
            for char in text
            for category in (unicodedata.category(char),)
        )
    return unicodedata.normalize("NFKC", _WHITESPACE.sub(" ", text).strip())


def entity_id(name: str = "", root_type: str = "", *, iri: str = "", ns: str = "") -> str:
    """Return the id of an entity, by its IRI when it has one, else by name and root type.

    Args:
        name: the entity's name as a reader writes it.
        root_type: the *root* of the schema's type tree (`City` → `Place`), "" when unknown, so
            that a finer or corrected type does not make a second node.
        iri: an external identifier; it alone is the key when given.
        ns: name space, "" for the user's own.

    >>> entity_id("Marie  Curie", "Person")
    'e_f8ff17a17c5e126fbf904372f3051a9c'
    >>> entity_id("ＭＡＲＩＥ CURIE", "person") == entity_id("Marie Curie", "Person")
    True
    """
    if iri:
        return make_id("e", ns, "iri", iri)
    return make_id("e", ns, "name", normal_form(name), normal_form(root_type))


def literal_id(lexical: str, datatype: str, lang: str = "") -> str:
    """Return the id of a literal value.

    >>> literal_id("1867-11-07", "xsd:date")
    'l_e38aa34ee5575b221e02884144dd6424'
    """
    return make_id("l", lexical, datatype, lang)


def triple_id(head: str, relation: str, tail: str) -> str:
    """Return the id of a triple from the ids of its canonical ends and its relation type.

    >>> triple_id(entity_id("Marie Curie", "Person"), "BORN_IN", entity_id("Warsaw", "City"))
    't_bf4fdd4a342953902c26aaa3858c9f52'
    """
    return make_id("t", head, relation, tail)


def relation_type(phrase: str) -> str:
    """Return the relationship type for a relation phrase: ASCII UPPER_SNAKE, never reserved.

    >>> relation_type("born in"), relation_type("in"), relation_type("élève de")
    ('BORN_IN', 'IN_', 'ELEVE_DE')
    >>> relation_type("出生地")
    'REL_DEBC1DA9'
    """
    slug = _slug(phrase).upper()
    if not slug:
        return "REL_" + _fingerprint(phrase)
    if slug[0].isdigit():
        slug = "R_" + slug
    return slug + "_" if slug in RESERVED else slug


def label(type_name: str) -> str:
    """Return the node label for a schema type: CamelCase kept, other characters to underscore.

    >>> label("Person"), label("Chemical element"), label("Model")
    ('Person', 'Chemical_element', 'Model_')
    """
    slug = _slug(type_name)
    if not slug:
        return "TYPE_" + _fingerprint(type_name)
    if slug[0].isdigit():
        slug = "T_" + slug
    return slug + "_" if slug.upper() in RESERVED else slug


def _slug(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    ascii_only = "".join(char for char in decomposed if not unicodedata.combining(char))
    return _NOT_WORD.sub("_", ascii_only).strip("_")


def _fingerprint(text: str) -> str:
    return blake2b(normal_form(text).encode(), digest_size=4).hexdigest().upper()
