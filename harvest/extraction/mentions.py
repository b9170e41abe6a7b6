"""Find what a sentence talks about: names, dates, numbers, and phrases that may be a tail.

A `Candidate` is a range of tokens with a label:

| label | what | from |
|---|---|---|
| PERSON, ORG, GPE, … | a named entity | the pipeline's entity recogniser |
| NAME | a capitalised noun phrase that the recogniser missed, or the document's title | tagger |
| DATE | a date with an ISO value | `dates` |
| CARDINAL, QUANTITY, MONEY, PERCENT | a number or an amount | the recogniser |
| CONCEPT | a common noun phrase ("theoretical physics", "painter") | noun chunks |
| PRONOUN | he, she, his, her, him | tagger |

Names are cleaned by moving their borders ("the", titles such as "Dr.", possessive 's), so that a
span still equals its quote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from harvest.extraction.countries import is_country
from harvest.extraction.dates import find_dates
from harvest.extraction.given_names import gender_of
from harvest.extraction.seeds import SeedNames

__all__ = [
    "INSTITUTION",
    "NAMED",
    "NOT_A_PERSON",
    "VALUES",
    "Candidate",
    "find_candidates",
    "subject_phrase",
]

#: Labels of things with a name.
NAMED = frozenset(
    """PERSON NORP FAC ORG GPE LOC PRODUCT EVENT WORK_OF_ART LAW LANGUAGE NAME""".split()
)
#: Labels of literal values.
VALUES = frozenset({"DATE", "CARDINAL", "QUANTITY", "MONEY", "PERCENT"})
PRONOUNS = frozenset({"he", "she", "his", "her", "him", "hers"})

_LEADING = frozenset("the a an his her its their our my this that these those some".split())
_ENDS_OF_SUBJECT = frozenset("is was are were ( , – /".split())
_HONORIFICS = frozenset("mr mrs ms miss dr prof professor".split())
_EDGES = frozenset("'s ’s ' ’ \" “ ” , . ; : ( ) [ ] - – — / & `` ''".split())
_QUOTES = frozenset("\" “ ” ‘ ’ ' `` '' « »".split())
_PLACES_LIKE_NAMES = frozenset(
    "Virginia Victoria Charlotte Florence Austin Georgia Alice Adelaide Jackson Lincoln San "
    "Santa".split()
)
#: Words of institutions.
INSTITUTION = re.compile(
    r"\b(?:Universit\w+|Colleges?|Institut\w+|Schools?|Academ\w+|Laborator\w+|Labs?|Compan\w+|"
    r"Corporation|Society|Observatory|Hospital|Ministry|Museum|Party|Foundation|Association|Council|"
    r"Inc|Ltd|Records|Pictures|Entertainment|Army|Navy)\b"
)
#: Words that a person's name does not hold.
NOT_A_PERSON = re.compile(
    INSTITUTION.pattern
    + r"|\b(?:Prize|Award|Medal|Order|Street|Station|River|Islands?|Church|Cathedral|"
    r"Park|Bridge|Castle|County|Films?|Festival|Cup|League|Beach|Falls|City|Bay|Lake|Mountains?|"
    r"Centre|Center|Building|Theatre|Theater|House|Hall|War|Battle|Act|Band|Orchestra|Trophy|Day)\b"
)
#: "I", "II.", "XIV": the number of a ruler.
_REGNAL = re.compile(r"[IVX]+\.?$")
_NO_NAME = re.compile(r"^[\W\d_]*$")
#: Longest concept phrase in words; longer ones are descriptions, not names of ideas.
_CONCEPT_WORDS = 3
_MODIFIERS = frozenset({"compound", "amod", "nmod"})


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A range of tokens of a parsed block that may be the head or the tail of a relation."""

    start: int
    end: int
    label: str
    #: ISO value of a date, digits of a number; "" for names.
    value: str = ""
    #: The document's title, the phrase that opens it, or a name in quotation marks.
    prominent: bool = field(default=False, compare=False)
    #: Types of the schema that its seeds give to this name.
    seeded: frozenset[str] = field(default=frozenset(), compare=False)

    def overlaps(self, other: Candidate) -> bool:
        """Tell whether the two share a token."""
        return self.start < other.end and other.start < self.end


def find_candidates(
    doc: Any,
    *,
    title: str = "",
    definition: bool = False,
    concepts: bool = True,
    seeds: SeedNames | None = None,
) -> list[Candidate]:
    """Return the candidates of a parsed block, sorted by place.

    Args:
        doc: the block, parsed by spaCy.
        title: the document's title; where it occurs in the block it is a name.
        definition: the block opens the document, so the phrase before its first "is", "was", "("
            or "," is taken as the name of what the document is about.
        concepts: whether common noun phrases are wanted (some relation's tail may be one).
        seeds: the names in the schema's seeds; where one stands in the block it is a candidate.
    """
    taken = [False] * len(doc)
    found: list[Candidate] = []

    def add(start: int, end: int, label: str, value: str = "", *, prominent: bool = False) -> None:
        if start < end and not any(taken[start:end]):
            taken[start:end] = [True] * (end - start)
            if label in NAMED:
                label = repaired_label(doc, start, end, label)
                prominent = prominent or _is_quoted(doc, start, end)
            types = seeds.types_of(doc[start:end].text) if seeds else frozenset()
            found.append(Candidate(start, end, label, value, prominent, types))

    for span in _title_spans(doc, title):
        add(*span, _label_of(doc, *span), prominent=True)
    if definition:
        phrase = subject_phrase(doc)
        if phrase is not None:
            add(*phrase, _label_of(doc, *phrase), prominent=True)
    for span in seeds.spans(doc) if seeds else ():
        if not _is_inside_name(doc, *span):
            named = any(char.isupper() for char in doc[slice(*span)].text)
            add(*span, _label_of(doc, *span) if named else "CONCEPT")
    for date in find_dates(doc.text):
        covered = doc.char_span(*date.span, alignment_mode="expand")
        if covered is None or _is_part_of_name(covered, date.value):
            continue
        add(covered.start, covered.end, "DATE", date.value)
    for entity in doc.ents:
        if entity.label_ in NAMED:
            start, end = trim(doc, entity.start, entity.end)
            if _is_in_case_name(doc, start, end):
                continue
            if any(token.pos_ == "VERB" and token.text.islower() for token in doc[start:end]):
                continue  # "Bohr married Margrethe" is no name; the runs below find both
            if start < end and any(char.isupper() for char in doc[start:end].text):
                add(start, end, entity.label_)
        elif entity.label_ in VALUES and entity.label_ != "DATE":
            value = _number(entity.text) if entity.label_ == "CARDINAL" else entity.text
            if value:
                add(entity.start, entity.end, entity.label_, value)
    for start, end in _proper_runs(doc, taken):
        add(start, end, "NAME")
    for token in doc:
        if token.lower_ in PRONOUNS and token.pos_ in ("PRON", "DET"):
            add(token.i, token.i + 1, "PRONOUN")
    if concepts:
        found.extend(_concepts(doc, taken))
    return sorted(set(found))


def repaired_label(doc: Any, start: int, end: int, label: str) -> str:
    """Return the label of a name after the commonest errors of a small recogniser.

    A country is a country; "given name + word" without a word of an institution is a person; a
    single word behind "in" or "near" that was taken for a person or an organization is a place.
    """
    text = str(doc[start:end].text)
    if is_country(text):
        return "GPE"
    words = text.split()
    if NOT_A_PERSON.search(text):
        return "ORG" if label in ("PERSON", "GPE") and INSTITUTION.search(text) else label
    if label not in ("PERSON", "NORP", "EVENT", "LAW") and 2 <= len(words) <= 3:
        # "Virginia Beach": places may begin with a given name, so a place needs more to go by.
        unsure = label in ("GPE", "LOC", "FAC") and (
            words[0] in _PLACES_LIKE_NAMES or not words[-1][0].isupper()
        )
        is_plain = all(word[0].isupper() and word.replace("-", "").isalpha() for word in words)
        if gender_of(text) and is_plain and not unsure:
            return "PERSON"
    before = doc[start - 1].lower_ if start else ""
    if (
        label in ("ORG", "PERSON", "PRODUCT", "NAME")
        and len(words) == 1
        and before in ("in", "near")
    ):
        return "GPE" if not text.isupper() else label
    return label


def _is_in_case_name(doc: Any, start: int, end: int) -> bool:
    """Tell whether a name is a party of a law case: "New York Times v. United States"."""
    beside = [doc[i].lower_ for i in (start - 1, end) if 0 <= i < len(doc)]
    return any(word in ("v.", "v", "vs.", "vs") for word in beside)


def _is_quoted(doc: Any, start: int, end: int) -> bool:
    before = doc[start - 1].text if start else ""
    after = doc[end].text if end < len(doc) else ""
    return before in _QUOTES and after[:1] in _QUOTES


def trim(doc: Any, start: int, end: int) -> tuple[int, int]:
    """Return the token range without articles, titles of address, quotes and possessive 's.

    "The" stays where it is part of a name: capitalised inside a sentence.
    """
    while start < end:
        token = doc[start]
        word = token.lower_.rstrip(".")
        article = word in _LEADING and (token.is_sent_start or token.text.islower())
        if article or word in _HONORIFICS or token.text in _EDGES or token.is_space:
            start += 1
        else:
            break
    for index in range(start + 1, end):
        if _ends_name(doc[index]):
            end = index
            break
        if _REGNAL.match(doc[index].text) and doc[index].text.endswith("."):
            end = index + 1  # "Justinian I. Anthemius was …": the sentence ends there
            break
    while end > start and (doc[end - 1].text in _EDGES or doc[end - 1].is_space):
        end -= 1
    # "Acme (" without its closing bracket.
    text = doc[start:end].text
    if text.count("(") != text.count(")"):
        for index in range(start, end):
            if doc[index].text in "()":
                return (start, index) if index > start else (index + 1, end)
    return start, end


def _ends_name(token: Any) -> bool:
    """Tell whether no name goes on here: "Weil (; ]; 6 May 1906", "Henry V. She"."""
    return any(sign in token.text for sign in ";[]") or token.lower_ in PRONOUNS


def subject_phrase(doc: Any) -> tuple[int, int] | None:
    """Return the token range of the capitalised phrase that opens a block, or nothing.

    It ends before the first "is", "was", "are", "were", "(", "," or "–", has at most ten words
    and is not a pronoun, a determiner alone or a clause with a verb.
    """
    for end, token in enumerate(doc):
        if end > 10 or (token.is_sent_start and end > 0):
            return None
        if (
            token.lower_ in ("is", "was", "are", "were")
            or token.text in ("(", ",", "–", "/")
            or _ends_name(token)
            or token.is_space
        ):
            break
    else:
        return None
    start, end = trim(doc, 0, end)
    if (
        start == 1
        and doc[0].text in ("The", "A", "An")
        and not NOT_A_PERSON.search(doc[1:end].text)
        and all(token.text[0].isupper() or token.pos_ != "NOUN" for token in doc[1:end])
    ):
        start = 0  # "The Graduate is a film", but "Radium Institute"
    words = [word for word in doc[start:end] if not word.is_punct]
    if (
        not words
        or not (words[0].text[0].isupper() or words[0].text[0].isdigit())
        or words[0].pos_ in ("PRON", "ADP", "SCONJ", "ADV", "CCONJ")
        or any(word.pos_ in ("VERB", "AUX") and not word.text[0].isupper() for word in words)
        or all(word.ent_type_ == "DATE" or word.like_num for word in words)
    ):
        return None
    return start, end


def _title_spans(doc: Any, title: str) -> Iterator[tuple[int, int]]:
    name = re.sub(r"\s*\([^)]*\)$", "", title).strip()
    if len(name) < 3:
        return
    first = f"[{re.escape(name[0].upper())}{re.escape(name[0].lower())}]"
    pattern = re.compile(rf"(?<!\w){first}{re.escape(name[1:])}(?!\w)")
    for match in pattern.finditer(doc.text):
        span = doc.char_span(*match.span(), alignment_mode="contract")
        if span is not None and len(span) and not _is_inside_name(doc, span.start, span.end):
            yield span.start, span.end


def _is_inside_name(doc: Any, start: int, end: int) -> bool:
    """Tell whether a range is only a part of a longer name: "Chrysler" in "Walter Chrysler"."""
    longer = any(
        entity.label_ in NAMED
        and entity.start <= start
        and end <= entity.end
        and trim(doc, entity.start, entity.end) != trim(doc, start, end)
        for entity in doc.ents
    )
    beside = [doc[i] for i in (start - 1, end) if 0 <= i < len(doc)]
    compound = any(
        token.pos_ == "PROPN" and start <= token.head.i < end and token.dep_ == "compound"
        for token in beside
    )
    return (
        longer
        or compound
        or (doc[end - 1].dep_ == "compound" and doc[end - 1].head.pos_ == "PROPN")
    )


def _label_of(doc: Any, start: int, end: int) -> str:
    """Return the recogniser's label of most of the range, or NAME."""
    labels = [str(token.ent_type_) for token in doc[start:end] if token.ent_type_ in NAMED]
    if not labels or 2 * len(labels) < end - start:
        return "NAME"
    return max(sorted(set(labels)), key=labels.count)


def _is_part_of_name(span: Any, value: str) -> bool:
    """Tell whether a bare year stands inside a name ("Windows 2000", "the 1936 Olympics")."""
    if len(value) != 4:
        return False
    token = span[0]
    if token.ent_type_ in NAMED:
        return True
    return bool(token.i and token.nbor(-1).pos_ == "PROPN" and token.dep_ == "nummod")


def _number(text: str) -> str:
    digits = text.replace(",", "")
    return digits if re.fullmatch(r"[-+]?\d+(?:\.\d+)?", digits) else ""


def _proper_runs(doc: Any, taken: list[bool]) -> Iterator[tuple[int, int]]:
    """Yield runs of proper nouns outside the entities that were found."""
    index = 0
    while index < len(doc):
        if taken[index] or doc[index].pos_ != "PROPN" or not doc[index].text[0].isupper():
            index += 1
            continue
        end = index + 1
        while end < len(doc) and not taken[end]:
            token = doc[end]
            if token.pos_ == "PROPN" and not token.is_sent_start:
                end += 1
            elif (
                token.lower_ in ("of", "the", "de", "von", "van", "for")
                and end + 1 < len(doc)
                and not taken[end + 1]
                and doc[end + 1].pos_ == "PROPN"
            ):
                end += 2
            else:
                break
        start, stop = trim(doc, index, end)
        text = doc[start:stop].text
        if len(text) > 1 and text[0].isupper() and not _NO_NAME.match(text):
            yield start, stop
        index = max(end, index + 1)


def _is_noun_modifier(token: Any) -> bool:
    return bool(token.pos_ == "NOUN" and token.dep_ == "compound")


def _concepts(doc: Any, taken: list[bool]) -> Iterator[Candidate]:
    """Yield the common noun phrases: each head noun with zero to two of its left modifiers."""
    for chunk in doc.noun_chunks:
        head = chunk.root
        if head.pos_ != "NOUN" or taken[head.i] or not head.text[0].isalpha():
            continue
        start = head.i
        yield Candidate(start, head.i + 1, "CONCEPT")
        # "punk rock" of "a punk rock band".
        first = head.i
        while first > chunk.start and _is_noun_modifier(doc[first - 1]) and not taken[first - 1]:
            first -= 1
        if first < head.i:
            yield Candidate(first, head.i, "CONCEPT")
        while start > chunk.start and head.i - start + 1 < _CONCEPT_WORDS:
            token = doc[start - 1]
            if taken[token.i] or token.dep_ not in _MODIFIERS or token.pos_ in ("NUM", "DET"):
                break
            start -= 1
            yield Candidate(start, head.i + 1, "CONCEPT")
