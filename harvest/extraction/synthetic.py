"""Make training sentences from templates of our own, with every slot's place known.

The shared training sets lack what encyclopaedias say most: birth, death, marriage, study, work,
prizes, discoveries. `harvest/data/synthetic_sentences.txt` holds templates for those, and for
sentences in which the same kinds of names meet without any relation, which is where extractors
invent links. Slots are filled at random from short lists; a name's parts are combined freely, so
the people do not exist.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from kg.records import Span

__all__ = ["Sentence", "synthetic_sentences"]

_MONTHS = (
    "January February March April May June July August September October November December".split()
)
_SLOT = re.compile(r"\{([A-Za-z])(\d)\}")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A training sentence: its text, the spans known in it and which pairs stand in which relation.

    `triples` are (head span, relation, tail span). With `complete` every pair of known spans that
    is not among them stands in no relation; without, nothing is known about other pairs.
    """

    text: str
    spans: tuple[Span, ...]
    triples: tuple[tuple[Span, str, Span], ...]
    complete: bool
    source: str


@cache
def _slots() -> dict[str, tuple[str, ...]]:
    """Return the values of each slot, from the data file: "key:" lines and values between bars."""
    text = files("harvest").joinpath("data/synthetic_slots.txt").read_text("utf-8")
    values: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if line.endswith(":") and not line.startswith((" ", "#")):
            key = line.removesuffix(":")
        elif not line.startswith("#"):
            values[key] = f"{values.get(key, '')} {line.strip()}"
    return {key: tuple(v.strip() for v in text.split("|")) for key, text in values.items()}


def synthetic_sentences(*, per_template: int = 25, seed: int = 0) -> Iterator[Sentence]:
    """Yield `per_template` fillings of every template, the same ones for one seed.

    >>> sentence = next(synthetic_sentences(per_template=1))
    >>> [(sentence.text[slice(*h)], r) for h, r, _ in sentence.triples]
    [('Ahmed Lindqvist', 'born_in')]
    """
    lines = (
        files("harvest").joinpath("data/synthetic_sentences.txt").read_text("utf-8").splitlines()
    )
    rng = random.Random(seed)
    for line in lines:
        if line and not line.startswith("#"):
            template, _, facts = line.partition("||")
            for _ in range(per_template):
                yield _fill(template.strip(), facts, rng)


def _fill(template: str, facts: str, rng: random.Random) -> Sentence:
    values: dict[str, str] = {}
    female: dict[str, bool] = {}
    spans: dict[str, Span] = {}
    text = ""
    at = 0
    for match in _SLOT.finditer(template):
        text += template[at : match.start()]
        slot, number = match.groups()
        value = _value(slot, number, values, female, rng)
        if not text and value:
            value = value[0].upper() + value[1:]
        begin = len(text)
        if value.startswith(("the ", "The ", "a ")) and slot in "CXT":
            begin += value.index(" ") + 1
        text += value
        spans.setdefault(slot + number, (begin, len(text)))
        at = match.end()
    text += template[at:]
    for plain in ("professor", "footballer", "politician"):
        place = re.search(rf"\b{plain}\b", text)
        if place and plain in facts:
            spans[plain] = place.span()
    triples = tuple(
        (spans[head], relation, spans[tail])
        for fact in facts.split(";")
        if fact.strip()
        for relation, head, tail in (fact.split(),)
    )
    return Sentence(text, tuple(sorted(set(spans.values()))), triples, True, "synthetic")


def _value(
    slot: str, number: str, values: dict[str, str], female: dict[str, bool], rng: random.Random
) -> str:
    key = slot + number
    if key in values:
        return values[key]
    if slot in "PS":
        person = values.get("P" + number)
        if person is None:
            woman = rng.random() < 0.5
            female[number] = woman
            initial = f" {rng.choice('ABEFHJLMRST')}." if rng.random() < 0.12 else ""
            first = rng.choice(_slots()["women" if woman else "men"])
            while any(first in other for other in values.values()):
                first = rng.choice(_slots()["women" if woman else "men"])
            person = f"{first}{initial} {rng.choice(_slots()['surnames'])}"
            if slot == "P":
                values["P" + number] = person
        return person if slot == "P" else person.split()[-1]
    if slot in "Hhm":
        # Pronouns that share a number with nobody get a gender of their own.
        woman = female.setdefault("pronoun" + number, female.get(number, rng.random() < 0.5))
        forms = {"H": ("He", "She"), "h": ("his", "her"), "m": ("him", "her")}[slot]
        word = forms[woman]
        return word if not values and slot == "H" else word.lower()
    if slot == "Y":
        value = str(rng.randint(1780, 2015))
    elif slot == "M":
        value = f"{rng.choice(_MONTHS)} {rng.randint(1780, 2015)}"
    elif slot == "D":
        day, month, year = rng.randint(1, 28), rng.choice(_MONTHS), rng.randint(1780, 2015)
        value = f"{day} {month} {year}" if rng.random() < 0.6 else f"{month} {day}, {year}"
    else:
        choices = [value for value in _slots()[slot] if value not in values.values()]
        value = rng.choice(choices)
    values[key] = value
    return value
