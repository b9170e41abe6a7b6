"""Bring the recogniser's labels and the types of a schema together.

A schema's types have the user's names ("Scientist", "film production company"), the recogniser has
eighteen labels of its own. Between them stand a few *kinds*: a type belongs to the kind that its
name, or the name of one of its ancestors, speaks of; a kind accepts certain labels. A small
recogniser errs often (titles of films become persons, prizes become works), so kinds accept the
labels that are confused with theirs, and only pairs that no reading allows are dropped before
scoring.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from harvest.extraction.given_names import gender_of
from harvest.extraction.mentions import INSTITUTION, NAMED, Candidate
from kg.schema import Schema

__all__ = ["TypeMap", "kind_of_name"]

#: Words of type names, by kind; the last word of a name that is known decides.
_WORDS: dict[str, str] = {
    "nature": "river mountain range watercourse lake reservoir dam basin peak",
    "person": """
        person human people scientist author writer artist actor musician politician athlete
        sportsperson player director composer character astronaut president man woman
        physicist producer engineer personnel employee founder""",
    "organization": """
        organization organisation company university institution institute school college
        party team club agency publisher band label studio unit corporation group government
        league academy society laboratory museum observatory newspaper network business
        startup firm association branch army ministry""",
    "country": "country state nation",
    "place": """
        place location city town village region territory building venue area
        geographical island continent body site address""",
    "work": """
        work film movie book novel song album software publication journal magazine game
        series article paper literature art painting application program programme website
        dataset magazine literary musical music play poem database""",
    "event": """
        event election war battle competition season flight spaceflight mission festival race
        conference tournament""",
    "award": "award prize medal honour honor",
    "language": "language",
    "peoples": "ethnic nationality religion tribe peoples ethnicity",
    "product": """
        product device vehicle computer hardware model console weapon equipment drug
        spacecraft machine system aircraft car""",
    "find": """
        discovery element particle phenomenon invention substance compound chemical gene
        protein disease theorem theory""",
    "idea": """
        occupation profession position role field discipline topic subject concept genre
        movement instrument sport rank ideology alignment style voice status type class
        classification technology idea method skill tradition custom""",
    "taxon": "taxon species genus family organism animal plant synonym habitat",
    "celestial": "planet star galaxy asteroid constellation celestial comet moon",
}
_KIND_OF_WORD = {word: kind for kind, words in _WORDS.items() for word in words.split()}

_ANY_NAME = NAMED
#: Kinds that the subject of a document may have under any label.
_LOOSE = frozenset({"organization", "place", "nature", "work", "product", "event", "celestial"})
#: Labels of works wherever they stand.
_WORKS = frozenset({"WORK_OF_ART", "LAW", "PRODUCT", "NAME"})
_ACCEPTS: dict[str, frozenset[str]] = {
    "": _ANY_NAME,
    "person": frozenset({"PERSON", "NAME", "PRONOUN"}),
    "organization": frozenset({"ORG", "NAME", "FAC", "PRODUCT"}),
    "place": frozenset({"GPE", "LOC", "FAC", "NAME"}),
    "nature": _ANY_NAME - {"NORP", "LANGUAGE", "LAW"},
    "country": frozenset({"GPE", "NORP", "NAME"}),
    "work": _ANY_NAME - {"NORP", "LANGUAGE", "LOC"},
    "event": frozenset({"EVENT", "NAME", "ORG", "WORK_OF_ART", "FAC", "PRODUCT", "LAW"}),
    "award": frozenset({"WORK_OF_ART", "ORG", "NAME", "EVENT", "PRODUCT", "LAW"}),
    "language": frozenset({"LANGUAGE", "NORP", "NAME"}),
    "peoples": frozenset({"NORP", "NAME", "ORG"}),
    "product": frozenset({"PRODUCT", "ORG", "NAME", "WORK_OF_ART"}),
    "find": frozenset({"CONCEPT", "NAME", "PRODUCT", "ORG", "LOC", "GPE", "WORK_OF_ART"}),
    "idea": frozenset({"CONCEPT", "NAME", "ORG", "PRODUCT", "WORK_OF_ART"}),
    "taxon": (_ANY_NAME | {"CONCEPT"}) - {"EVENT", "LAW", "LANGUAGE"},
    "celestial": _ANY_NAME - {"NORP", "LANGUAGE", "LAW"},
    "date": frozenset({"DATE"}),
    "number": frozenset({"CARDINAL"}),
    "quantity": frozenset({"QUANTITY", "MONEY", "PERCENT", "CARDINAL"}),
    "text": frozenset(),
}
#: Kind of each label, best first.
_KIND_OF_LABEL: dict[str, tuple[str, ...]] = {
    "PERSON": ("person",),
    "PRONOUN": ("person",),
    "ORG": ("organization",),
    "GPE": ("place", "country"),
    "LOC": ("place", "nature"),
    "FAC": ("place",),
    "NORP": ("peoples",),
    "WORK_OF_ART": ("work",),
    "LAW": ("work",),
    "EVENT": ("event",),
    "PRODUCT": ("product",),
    "LANGUAGE": ("language",),
}
_AWARD = re.compile(
    r"\b(?:Prize|Award|Medal|Medaille|Order of|Honou?r|Legion|Fellowship|Trophy|Cross|Grammy|Oscar|"
    r"Emmy|Lecture|Hall of Fame)",
    re.IGNORECASE,
)
_EVENT = re.compile(
    r"\b(?:War|Battle|Siege|Championships?|Cup|Olympics?|Games|Election|Race|Festival|Grand Prix|"
    r"Open|Conference|Congress|Convention|Revolution|Crisis|Tournament|Expedition|Mission|Apollo|Soyuz|"
    r"STS|Expo|Exposition|Derby|Season|Series|Final|Finals|Tour|Rally|Contest|[12]\d{3})\b"
)
#: What a thing is, not which one: "was given an Award".
_BARE = frozenset("award awards prize medal order battle war party university college".split())
#: Names that are forms of address, not offices or ideas.
_ADDRESS = frozenset(
    "Sir Lord Lady Dame Dr Mr Mrs Ms Saint St St. Father Mother Brother Sister".split()
)


def kind_of_name(name: str) -> str:
    """Return the kind that a type's name speaks of, or "".

    >>> kind_of_name("film production company"), kind_of_name("PoliticalParty"), kind_of_name("Foo")
    ('organization', 'organization', '')
    """
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ")
    for word in reversed(split.casefold().split()):
        for form in (word, word.removesuffix("s"), word.removesuffix("ies") + "y"):
            if form in _KIND_OF_WORD:
                return _KIND_OF_WORD[form]
    return ""


@dataclass(frozen=True)
class TypeMap:
    """Answers what a schema's types mean for the recogniser's labels, and the other way round."""

    schema: Schema
    _kinds: dict[str, str] = field(default_factory=dict, repr=False)

    def kind(self, type_name: str) -> str:
        """Return the kind of a schema type: by its own name, else by its nearest ancestor's."""
        if type_name not in self._kinds:
            if self.schema.is_literal(type_name):
                kind = type_name
            else:
                chain = self.schema.ancestors(type_name) if type_name else ()
                kind = next((kind for name in chain if (kind := kind_of_name(name))), "")
            self._kinds[type_name] = kind
        return self._kinds[type_name]

    def fits(self, candidate: Candidate, text: str, type_name: str) -> bool:
        """Tell whether a candidate can be of a type, by its label and by telling words."""
        kind = self.kind(type_name)
        if text.casefold() in _BARE:
            return False
        if kind == "award":
            if _AWARD.search(text):
                return candidate.label in NAMED
            return candidate.label in ("WORK_OF_ART", "EVENT", "NAME")
        if candidate.prominent and kind in _LOOSE and not gender_of(text):
            # What a document is about is what its relations say, whatever the recogniser thinks.
            return candidate.label in NAMED - {"NORP"}
        if kind == "work" and candidate.label not in _WORKS and candidate.label in NAMED:
            # Titles are often taken for people or places; only where they stand out.
            return candidate.prominent and candidate.label != "NORP"
        if kind == "event" and candidate.label != "EVENT":
            return candidate.label in _ACCEPTS[kind] and bool(_EVENT.search(text))
        if kind == "nature" and gender_of(text):
            return False
        if kind == "idea" and text in _ADDRESS:
            return False
        if kind == "organization":
            if candidate.label in NAMED and INSTITUTION.search(text):
                return True
            if _AWARD.search(text):
                return False
        elif kind in ("person", "place", "country") and (
            INSTITUTION.search(text) or _AWARD.search(text)
        ):
            return kind == "place" and candidate.label == "FAC"
        return candidate.label in _ACCEPTS[kind]

    def type_of(self, label: str, text: str = "") -> str:
        """Return the schema's root-most type for a label, or "" when the schema has none."""
        kinds = _KIND_OF_LABEL.get(label, ())
        if label in NAMED and text:
            if _AWARD.search(text):
                kinds = ("award",)
            elif INSTITUTION.search(text) and label != "FAC":
                kinds = ("organization",)
        for kind in kinds:
            found = _types_by_kind(self.schema).get(kind)
            if found:
                return found
        return ""

    def label_of(self, type_name: str) -> str:
        """Return the label that a name of this schema type would have, NAME if none is typical."""
        kind = self.kind(type_name) if type_name else ""
        return next((label for label, kinds in _KIND_OF_LABEL.items() if kind in kinds), "NAME")


@lru_cache(maxsize=32)
def _by_kind(types: tuple[tuple[str, str], ...]) -> dict[str, str]:
    result: dict[str, str] = {}
    # Roots speak for their kind first; a deeper type only where no root does.
    for name, _ in sorted(types, key=lambda item: bool(item[1])):
        kind = kind_of_name(name)
        if kind:
            result.setdefault(kind, name)
    return result


def _types_by_kind(schema: Schema) -> dict[str, str]:
    return _by_kind(tuple((name, item.parent) for name, item in schema.types.items()))
