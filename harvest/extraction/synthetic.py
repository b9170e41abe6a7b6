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
from importlib.resources import files

from kg.records import Span

__all__ = ["Sentence", "synthetic_sentences"]

_FIRST_F = (
    "Anna Clara Ingrid Sofia Helen Margaret Ruth Emma Julia Katarzyna Yuki Mei Priya Fatima Rosalind Ada Irène Lise Grace Maria"
).split()
_FIRST_M = (
    "Karl Johann Pierre Henri Thomas William Edward Niels Erwin Paolo Ivan Hiroshi Wei Ahmed Carlos Jan Otto James Robert John"
).split()
_LAST = (
    "Keller Novak Lindqvist Moreau Harrington Okafor Tanaka Petrov Rossi Fischer Almeida Whitfield Dupont Kowalski Bergmann Nakamura "
    "Sørensen García Li Chandra O'Neill Meyer Lefebvre Halloran Svensson Weiss Bauer Castellano Abernathy Turner Hughes Stein Morgan"
).split()
_SLOTS: dict[str, tuple[str, ...]] = {
    "L": tuple(
        "Vienna|Prague|Kraków|Lyon|Geneva|Turin|Leipzig|Glasgow|Boston|Kyoto|Cape Town|Uppsala|Ghent|Zurich|Manchester|New Haven|"
        "San Diego|Saint Petersburg|Göttingen|Budapest|Lisbon|Chicago|Baltimore|Oslo|Montreal|Berlin|London|Paris|Warsaw".split("|")
    ),
    "C": tuple("Austria|Poland|France|Italy|Japan|Brazil|Canada|Sweden|Germany|Denmark|India|Hungary|Portugal|Kenya|the United States".split("|")),
    "N": tuple("Austrian|Polish|French|Italian|Japanese|Brazilian|Canadian|Swedish|German|Danish|Indian|Hungarian|American|British|Russian".split("|")),
    "U": tuple(
        "University of Vienna|University of Leipzig|University of Glasgow|Kyoto University|Uppsala University|Yale University|University of Geneva|"
        "Technical University of Munich|Charles University|Princeton University|University of Chicago|Trinity College, Dublin|"
        "Massachusetts Institute of Technology|École Polytechnique|University of Toronto|King's College London".split("|")
    ),
    "O": tuple(
        "Halden Instruments|Marwick Steel|Northern Electric|Siemens|General Electric|Bell Labs|Ferranti|Olivetti|Remington Rand|Corvus Systems|"
        "Bergmann & Sons|Digital Equipment Corporation|Philips|Xerox|Texas Instruments|Kodak|Westinghouse".split("|")
    ),
    "I": tuple(
        "Institute for Nuclear Research|Cavendish Laboratory|Radium Institute|Institute of Physical Chemistry|National Physical Laboratory|"
        "Kaiser Wilhelm Institute for Chemistry|Institute for Theoretical Physics|Computer Laboratory|Royal Observatory|"
        "Mathematical Centre|Institute for Advanced Study|Biological Station".split("|")
    ),
    "A": tuple(
        "Nobel Prize in Physics|Nobel Prize in Chemistry|Copley Medal|Turing Award|Davy Medal|Royal Medal|Pulitzer Prize|Fields Medal|Wolf Prize|"
        "Booker Prize|Legion of Honour|Max Planck Medal|National Medal of Science|Hughes Medal|Matteucci Medal|Academy Award for Best Picture".split("|")
    ),
    "F": tuple(
        "theoretical physics|organic chemistry|number theory|botany|computer science|philosophy|radioactivity|nuclear physics|astronomy|geology|"
        "mathematics|crystallography|genetics|electrical engineering|logic|medicine|economics|linguistics|physics|chemistry|spectroscopy".split("|")
    ),
    "J": tuple(
        "physicist|chemist|mathematician|painter|novelist|poet|composer|engineer|politician|architect|actor|singer|historian|philosopher|biologist|"
        "computer scientist|film director|journalist|lawyer|nurse|theologian|astronomer|photographer|sculptor|physician|businessman".split("|")
    ),
    "K": tuple(
        "Royal Society|French Academy of Sciences|National Academy of Sciences|Royal Irish Academy|American Philosophical Society|"
        "Leopoldina|Solvay Committee|Royal Swedish Academy of Sciences|European Union|League of Nations|Chemical Society".split("|")
    ),
    "W": tuple(
        "The Silent Valley|A House in Winter|The Glass Harbour|On Growth|Letters from the North|The Last Ferry|Night Train to Lisbon|Principles of Heat|"
        "The Weavers|Red Orchard|The Art of Programming".split("|")
    ),
    "X": tuple(
        "radium|polonium|the neutron|the electron|nuclear fission|X-rays|argon|penicillin|protactinium|cosmic rays|the positron|"
        "superconductivity|artificial radioactivity|insulin|helium|oxygen|piezoelectricity|natural radioactivity|the photoelectric effect|a new comet".split("|")
    ),
    "T": tuple(
        "the transistor|a calculating machine|the cyclotron|the cloud chamber|the compiler|the telegraph|the steam turbine|a programming language|"
        "the mercury lamp|the electron microscope|the analytical engine|the stored-program computer|the mouse".split("|")
    ),
    "B": tuple("The Paper Lanterns|Night Harbour|Velvet Engine|The Quiet Ones|Iron Meadow".split("|")),
    "E": tuple("Halden United|FC Bergstadt|Rivermouth Rovers|Boston Red Sox|Juventus|Ajax|Celtic|Chicago Bulls|Real Sociedad".split("|")),
    "Q": tuple("Prime Minister|Minister of Finance|Foreign Secretary|President|Vice President|Governor|Secretary of State".split("|")),
    "Z": tuple("Social Democratic Party|Liberal Party|Conservative Party|Green Party|Labour Party|Democratic Party".split("|")),
}
_MONTHS = "January February March April May June July August September October November December".split()
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


def synthetic_sentences(*, per_template: int = 25, seed: int = 0) -> Iterator[Sentence]:
    """Yield `per_template` fillings of every template, the same ones for one seed.

    >>> sentence = next(synthetic_sentences(per_template=1))
    >>> [(sentence.text[slice(*h)], r) for h, r, _ in sentence.triples]
    [('Anna Keller', 'born_in')]
    """
    lines = files("harvest").joinpath("data/synthetic_sentences.txt").read_text("utf-8").splitlines()
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
            first = rng.choice(_FIRST_F if woman else _FIRST_M)
            while any(first in other for other in values.values()):
                first = rng.choice(_FIRST_F if woman else _FIRST_M)
            person = f"{first}{initial} {rng.choice(_LAST)}"
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
        choices = [value for value in _SLOTS[slot] if value not in values.values()]
        value = rng.choice(choices)
    values[key] = value
    return value
