"""Read the sentences that the relation heads learn from.

Only train parts are read: the Wikidata-TekGen half of Text2KGBench
(`text2kgbench/wikidata_tekgen/train`, CC BY-SA 4.0), the FewRel training relations
(`re/fewrel/train64_from_cfrl.json`, MIT) and our own synthetic sentences. A sentence that is equal
to a test sentence of Text2KGBench (after `sentence_key`) is left out, wherever it comes from, so
the benchmark's figure is not a memory test.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import yaml

from harvest.errors import InputError
from harvest.extraction.heads import RelationHead
from harvest.extraction.synthetic import Sentence, synthetic_sentences
from kg.records import Span
from kg.schema import Schema

__all__ = ["HeadPlan", "head_plans", "sentence_key", "training_sentences"]

TEKGEN = Path("text2kgbench/wikidata_tekgen")
FEWREL = Path("re/fewrel/train64_from_cfrl.json")


@dataclass(frozen=True, slots=True)
class HeadPlan:
    """One head to train: what is known of it, and its rows of the training sets."""

    head: RelationHead
    #: (corpus, label in that corpus, swapped).
    sources: tuple[tuple[str, str, bool], ...]


def head_plans() -> tuple[HeadPlan, ...]:
    """Return the heads of `harvest/data/trained_heads.yaml`, named as in the shipped schema."""
    data = files("harvest").joinpath("data")
    schema = Schema.parse(data.joinpath("relations.yaml").read_text("utf-8"))
    plans = []
    rows = yaml.safe_load(data.joinpath("trained_heads.yaml").read_text("utf-8"))
    for name, row in rows.items():
        shipped = schema.relations.get(name)
        aliases = [*row.get("aliases", ()), *(shipped.aliases if shipped else ())]
        sources = [("synthetic", name, False)] if row.get("synthetic") else []
        for corpus in ("fewrel", "tekgen"):
            for label in row.get(corpus, ()):
                swapped = label.startswith("~")
                sources.append((corpus, label.lstrip("~"), swapped))
                if corpus == "tekgen" and not swapped:
                    aliases.append(label.strip())
        head = RelationHead(
            name=name,
            aliases=tuple(dict.fromkeys(aliases)),
            inverse=row.get("inverse", shipped.inverse if shipped else ""),
            triggers=frozenset(row.get("triggers", ())),
        )
        plans.append(HeadPlan(head, tuple(sources)))
    return tuple(plans)


def sentence_key(text: str) -> str:
    """Return the letters and digits of a sentence in lower case: equal for equal wording.

    >>> sentence_key("He was born in Bern .") == sentence_key("He was born in Bern.")
    True
    """
    return "".join(char for char in text.casefold() if char.isalnum())


def training_sentences(
    data: Path, plans: tuple[HeadPlan, ...], *, seed: int = 0
) -> Iterator[Sentence]:
    """Yield the training sentences; the relations of their triples are names of heads.

    Raises:
        InputError: the folder lacks one of the training sets.
    """
    for part in (TEKGEN / "train", TEKGEN / "test", FEWREL):
        if not (data / part).exists():
            raise InputError(f"{data} holds no {part}: give the folder that does with --data")
    forbidden = {
        sentence_key(json.loads(line)["sent"])
        for file in sorted((data / TEKGEN / "test").glob("*.jsonl"))
        for line in file.read_text("utf-8").splitlines()
    }
    wanted: dict[tuple[str, str], list[tuple[str, bool]]] = defaultdict(list)
    for plan in plans:
        for corpus, label, swapped in plan.sources:
            wanted[corpus, label].append((plan.head.name, swapped))
    tekgen = list(_tekgen(data / TEKGEN / "train", wanted))
    casing = Casing(sentence.text for sentence in tekgen)
    for sentence in (*tekgen, *_fewrel(data / FEWREL, wanted, casing)):
        if sentence_key(sentence.text) not in forbidden:
            yield sentence
    yield from synthetic_sentences(seed=seed)


def _tekgen(
    folder: Path, wanted: Mapping[tuple[str, str], list[tuple[str, bool]]]
) -> Iterator[Sentence]:
    """Join the rows (one triple each) of equal sentences."""
    rows: dict[str, set[tuple[Span, str, Span]]] = defaultdict(set)
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            row = json.loads(line)
            text = row["sent"]
            head = _place(text, row["sub_label"]) or _last_name(text, row["sub_label"])
            tail = _place(text, row["obj_label"])
            if head is None or tail is None or (head[0] < tail[1] and tail[0] < head[1]):
                continue
            for name, swapped in wanted.get(("tekgen", row["rel_label"]), ()):
                rows[text].add((tail, name, head) if swapped else (head, name, tail))
    for text, triples in rows.items():
        spans = sorted({span for head, _, tail in triples for span in (head, tail)})
        yield Sentence(text, tuple(spans), tuple(sorted(triples)), False, "tekgen")


def _place(text: str, label: str) -> Span | None:
    """Return where a label stands in a sentence; dates are looked for in the forms of prose."""
    forms = [label]
    date = re.fullmatch(r"(\d\d) ([A-Z][a-z]+) (\d{4})", label)
    if date:
        day, month, year = date.groups()
        forms = [f"{int(day)} {month} {year}", f"{month} {int(day)}, {year}"]
        forms += [f"{month} {year}", year] if day == "01" else []
        forms += [year] if (day, month) == ("01", "January") else []
    for form in forms:
        pattern = _loose(form)
        match = re.search(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE)
        if match:
            return match.span()
    return None


def _last_name(text: str, label: str) -> Span | None:
    """Return where the last word of a name of several words stands, as a text's second mention."""
    words = label.split()
    if len(words) < 2 or len(words[-1]) < 4 or not words[-1][0].isupper():
        return None
    match = re.search(rf"(?<!\w){re.escape(words[-1])}(?!\w)", text)
    return match.span() if match else None


def _loose(form: str) -> str:
    """Return a pattern for a name; the sets put blanks around signs ("Bleach : Hell Verse")."""
    pieces = re.findall(r"\w+|[^\w\s]", form)
    pattern = re.escape(pieces[0]) if pieces else "(?!)"
    for before, piece in pairwise(pieces):
        both_words = before[-1].isalnum() and piece[0].isalnum()
        pattern += (r"\s+" if both_words else r"\s*") + re.escape(piece)
    return pattern


class Casing:
    """Which words are written with a capital, learned from cased sentences.

    The FewRel file is all lower case. Word states do not see case, but the entity recogniser does,
    and the other names of a sentence are what its unrelated pairs are made of.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._capital: Counter[str] = Counter()
        self._lower: Counter[str] = Counter()
        for text in texts:
            for word in re.findall(r"(?<=[\w,] )[^\W\d_]+", text):
                (self._capital if word[0].isupper() else self._lower)[word.lower()] += 1

    def is_name(self, word: str, *, count: int) -> bool:
        """Tell whether a lower-cased word that occurs `count` times is a name's."""
        if self._capital[word] or self._lower[word]:
            return self._capital[word] > self._lower[word]
        # Words that neither set knows well are names, unless they end as English words do.
        return count <= 4 and word.isalpha() and len(word) > 2 and not _ENDING.search(word)


def _fewrel(
    file: Path, wanted: Mapping[tuple[str, str], list[tuple[str, bool]]], casing: Casing
) -> Iterator[Sentence]:
    data = json.loads(file.read_text("utf-8"))
    counts = Counter(token for rows in data.values() for row in rows for token in row["tokens"])
    for label, rows in data.items():
        for row in rows:
            names = {
                index
                for index, token in enumerate(row["tokens"])
                if casing.is_name(token, count=counts[token])
            }
            text, head, tail = _restored(row["tokens"], row["h"][2][0], row["t"][2][0], names)
            triples = tuple(
                (tail, name, head) if swapped else (head, name, tail)
                for name, swapped in wanted.get(("fewrel", label), ())
            )
            if triples:
                yield Sentence(text, (head, tail), triples, False, "fewrel")


_ENDING = re.compile(
    r"(?:ing|ed|ly|er|est|ion|ions|ment|ments|ness|ity|ies|ous|ive|able|ible|al|ic|ism|ist|ists|"
    r"ant|ent|ate|ates|ise|ize|ful|less|ship|ers|ors|ives|ings|ways|like|ance|ence|ures?)$"
)
_LOWER = frozenset("of the and in de la le du des von van der a an for on at to".split())


def _restored(
    tokens: list[str], head: list[int], tail: list[int], names: set[int]
) -> tuple[str, Span, Span]:
    """Return the sentence with capitals at its start and on the words of names."""
    named = {*head, *tail, *names}
    text = ""
    places: list[Span] = []
    for index, token in enumerate(tokens):
        word = token
        if index == 0 or (index in named and token not in _LOWER):
            word = token[:1].upper() + token[1:]
        glued = word in (",", ".", ";", ":", ")", "'s", "!", "?") or text.endswith("(")
        text += word if not text or glued else " " + word
        places.append((len(text) - len(word), len(text)))
    spans = [(places[where[0]][0], places[where[-1]][1]) for where in (head, tail)]
    return text, spans[0], spans[1]
