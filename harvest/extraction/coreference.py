"""Join the names of one entity in one document, and take pronouns to people.

Names: equal normal forms are one entity; "Curie" belongs to the person whose full name ends so,
"Marie Curie" to "Marie Skłodowska Curie" (same first and last word), an acronym to the name it
stands behind in brackets or whose initials it spells. Where two people share a surname, the
document's subject wins, then the one named last. Of several full forms the document's title is the
name, else the first full form.

Pronouns: he or she is the nearest compatible person of this and the last two sentences, where
subjects count before others: "Curie met Becquerel. She …" is about Curie. A person is compatible
unless what is known of their gender (given name, title, an earlier pronoun) speaks against it.
"They" is not resolved: it names a group as often as a person.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from harvest.extraction.given_names import gender_of
from harvest.extraction.mentions import NOT_A_PERSON
from kg.ids import normal_form

__all__ = ["DocumentNames", "NamedEntity"]

#: Pronouns look back over this many sentences.
LOOK_BACK = 2
_SURNAME_LABELS = frozenset({"PERSON", "NAME", "ORG", "WORK_OF_ART", "PRODUCT"})
_PARTICLES = frozenset("von van de der den la le du di da bin al el".split())
_SUFFIXES = frozenset("jr jr. sr sr. ii iii iv".split())


@dataclass(slots=True, eq=False)
class NamedEntity:
    """All mentions of one entity in one document."""

    name: str
    #: Number of mentions by recogniser label.
    labels: dict[str, int] = field(default_factory=dict)
    #: Type by an earlier chunk of the document, which then holds for the whole document.
    known_type: str = ""
    #: "f", "m" or "" if unknown.
    gender: str = ""
    #: Number of the last sentence in which it was named or referred to.
    last_seen: int = -1
    #: Number of the last sentence of which it was the subject.
    last_subject: int = -1

    @property
    def label(self) -> str:
        """Return the commonest label, ties the smallest."""
        return min(self.labels, key=lambda label: (-self.labels[label], label), default="NAME")

    @property
    def is_person(self) -> bool:
        """Tell whether most mentions look like a person, or the name begins with a given name."""
        if NOT_A_PERSON.search(self.name):
            return False
        return self.label == "PERSON" or (
            self.label not in ("GPE", "LOC", "FAC", "NORP")
            and len(self.name.split()) in (2, 3)
            and bool(gender_of(self.name))
        )


class DocumentNames:
    """The entities of one document, filled in reading order."""

    def __init__(self, title: str = "") -> None:
        self.title = re.sub(r"\s*\([^)]*\)$", "", title).strip()
        self.entities: list[NamedEntity] = []
        self._by_key: dict[str, NamedEntity] = {}

    def add_known(self, name: str, type_name: str, label: str) -> None:
        """Take over a mention that an earlier chunk of the document wrote."""
        entity = self._by_key.get(normal_form(name))
        if entity is None:
            entity = self._new(name)
        entity.labels[label] = entity.labels.get(label, 0) + 1
        entity.known_type = entity.known_type or type_name

    def add(self, name: str, label: str, *, sentence: int, subject: bool = False) -> NamedEntity:
        """Return the entity that a name stands for here, a new one if it is not yet known."""
        key = normal_form(name)
        entity = (
            self._by_key.get(key)
            or self._longer_form(name, label)
            or self._same_person(name, label)
        )
        if entity is None:
            entity = self._new(name)
        self._by_key.setdefault(key, entity)
        if key != normal_form(entity.name) and entity.is_person:
            label = "PERSON"  # a bare surname's own label says little
        entity.labels[label] = entity.labels.get(label, 0) + 1
        entity.last_seen = sentence
        if subject:
            entity.last_subject = sentence
        if not entity.gender and label == "PERSON":
            entity.gender = gender_of(name)
        return entity

    def alias(self, short: str, entity: NamedEntity) -> None:
        """Let a short form (an acronym behind the name) stand for an entity from now on."""
        self._by_key.setdefault(normal_form(short), entity)

    def person_for(self, pronoun: str, *, sentence: int) -> NamedEntity | None:
        """Return the person that a pronoun of this sentence refers to, or nothing.

        Looks at people seen so far, so call it in reading order.
        """
        gender = "f" if pronoun.casefold() in ("she", "her", "hers") else "m"
        near = [
            entity
            for entity in self.entities
            if entity.last_seen >= sentence - LOOK_BACK
            and entity.is_person
            and entity.gender in ("", gender)
        ]
        if not near:
            return None
        best = max(
            near,
            key=lambda entity: (
                entity.last_subject >= sentence - LOOK_BACK,
                entity.last_subject,
                entity.name == self.title,
                entity.last_seen,
                self.entities.index(entity),
            ),
        )
        best.gender = best.gender or gender
        best.last_seen = sentence
        return best

    def _new(self, name: str) -> NamedEntity:
        shown = self.title if self.title and _is_form_of(name, self.title) else name
        entity = NamedEntity(shown)
        self.entities.append(entity)
        self._by_key.setdefault(normal_form(shown), entity)
        return entity

    def _longer_form(self, name: str, label: str) -> NamedEntity | None:
        """Return the person whose full name ends (or, for people, begins) with this short name."""
        words = _words(name)
        if not words:
            return None
        surname = words if words[0] in _PARTICLES else words[-1:] if len(words) == 1 else []
        if not surname:
            return None
        owners = [
            entity
            for entity in self.entities
            if entity.is_person
            and (label in _SURNAME_LABELS or entity.name == self.title)
            and len(full := _words(entity.name)) > len(surname)
            and (full[-len(surname) :] == surname or (label == "PERSON" and full[:1] == surname))
        ]
        if not owners:
            return None
        # By surname before by first name; then the document's subject; then the last one named.
        return max(
            owners,
            key=lambda entity: (
                _words(entity.name)[-len(surname) :] == surname,
                entity.name == self.title,
                entity.last_seen,
            ),
        )

    def _same_person(self, name: str, label: str) -> NamedEntity | None:
        if label != "PERSON":
            return None
        for entity in self.entities:
            if entity.is_person and (
                _is_form_of(name, entity.name) or _is_form_of(entity.name, name)
            ):
                return entity
        return None


def _words(name: str) -> list[str]:
    words = normal_form(name).replace(",", " ").split()
    while len(words) > 1 and words[-1] in _SUFFIXES:
        words.pop()
    return words


def _is_form_of(longer: str, shorter: str) -> bool:
    """Tell whether two full names differ by middle names only: first and last word are equal."""
    a, b = _words(longer), _words(shorter)
    if _numbers(a) != _numbers(b):
        return False  # "Alexios III Angelos" and "Alexios IV Angelos" are two men
    if len(a) < len(b) or len(b) < 2:
        return a == b
    middle = {word.rstrip(".")[:1] for word in a[1:-1]}
    same_ends = a[0] == b[0] and _last(a[-1]) == _last(b[-1])
    return same_ends and all(word.rstrip(".")[:1] in middle for word in b[1:-1])


def _numbers(words: list[str]) -> list[str]:
    """Return the figures and the Roman numbers of a name; an initial ("V.") is none."""
    return [word for word in words[1:] if word.isdigit() or re.fullmatch(r"[ivx]+", word)]


def _last(word: str) -> str:
    return word.rpartition("-")[2]


def is_acronym_of(short: str, name: str) -> bool:
    """Tell whether a word in capitals spells the initials of a name.

    >>> is_acronym_of("IBM", "International Business Machines")
    True
    >>> is_acronym_of("MIT", "Massachusetts Institute of Technology")
    True
    """
    if not (2 <= len(short) <= 8 and short.isupper() and short.isalpha()):
        return False
    words = re.findall(r"\w+", name)
    capitals = "".join(word[0] for word in words if word[0].isupper())
    return short in ("".join(word[0] for word in words).upper(), capitals)
