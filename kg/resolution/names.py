"""What of a name decides whether two names are one: grams, a spelling key, and guards.

Likeness alone merges "… Resolution 1441" with "… Resolution 1442" (Jaccard .949), "Henry VII of
England" with "Henry VIII of England" (.938), and misses "Obama, Barack" (.636), "The Beatles" for
"Beatles" (.625) and accents (.73). So a name has two forms, and guards that stand before any merge:

| form | of "The Łódź Philharmonic, II" | for |
|---|---|---|
| grams: three code points in a row of the normal form without spaces | `the`, `heł` | Jaccard |
| spelling key: words, accents folded, articles gone, sorted | `ii lodz philharmonic` | equality |

| guard | keeps apart |
|---|---|
| equal digit groups, in order | Resolution 1441 / 1442 |
| equal roman numerals, letters and codes | Henry VII / VIII, Vitamin A / B, KG163 / KH163 |
| no opposed words (`kg.opposites`) | North Korea / South Korea, hyper- / hypothyroidism |
| equal signs with a meaning | C / C++ / C# |
| other words are misspellings: one edit, five letters or more | Iran / Iraq, Slovakia / Slovenia |

All works on code points, so 東京 and Москва have forms like any other name. Accents are folded in
the Latin, Greek and Cyrillic scripts only: elsewhere combining marks are letters.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from kg.ids import normal_form
from kg.opposites import differ_in_polarity

__all__ = [
    "Name",
    "are_parts_replaced",
    "jaccard",
    "may_be_misspelt",
    "may_be_one_person",
    "names_conflict",
    "person_key",
]

#: Length of a gram in code points (Graphiti's value, as the next two are).
GRAM: Final = 3
#: Bits of character entropy that a name needs before its likeness means anything.
ENTROPY: Final = 1.5
#: ... and so many code points, unless it has two words.
LENGTH: Final = 6
#: Shortest word in which one wrong letter is a misspelling and not another word.
MISSPELT: Final = 5

_WORD: Final = re.compile(r"[a-z0-9_]+")
_DIGITS: Final = re.compile(r"\d+")
_ROMAN: Final = re.compile(r"(?=[ivx])x{0,3}(?:ix|iv|v?i{0,3})")
_SIGNS: Final = re.compile(r"[+#%$€£@°*=<>^]")
_FOLDED_SCRIPTS: Final = ("LATIN", "GREEK", "CYRILLIC")
#: Letters that Unicode does not decompose.
_PLAIN: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"}
)
#: Words that come and go between two spellings of one name.
_LIGHT: Final = frozenset("the a an of and in de la le der von s".split())
#: Words before and behind a person's name that are no part of it.
_TITLES: Final = frozenset(
    """
    the sir dame lord lady dr doctor mr mrs ms miss prof professor rev reverend father brother
    sister saint st pope bishop archbishop cardinal rabbi imam king queen prince princess emperor
    count countess baron baroness duke duchess general admiral captain capt colonel col lieutenant
    lt major maj sergeant sgt commander marshal president chancellor minister senator governor
    judge justice ambassador
    """.split()
)
_PARTICLES: Final = frozenset("graf freiherr zu van del dos du da di el al bin ibn ben y".split())
_HONOURS: Final = frozenset("obe mbe cbe kbe kcb kcmg gcb frs phd md esq qc kc mp dso mc".split())


@dataclass(frozen=True, slots=True)
class Name:
    """A name with the forms that resolution compares; make it with `Name.of`.

    >>> Name.of("Obama, Barack").key == Name.of("Barack Obama").key
    True
    >>> Name.of("The Beatles").key, Name.of("Ångström").key
    ('beatles', 'angstrom')
    >>> sorted(Name.of("東京タワー").grams)
    ['タワー', '京タワ', '東京タ']
    """

    text: str
    #: `kg.ids.normal_form` of the text.
    normal: str
    #: The normal form without spaces.
    tight: str
    #: Case-folded words with accents folded, in order.
    words: tuple[str, ...]
    #: The words sorted, without articles: equal for two orders and two ways to write one name.
    key: str
    digits: tuple[str, ...]
    #: Roman numerals up to 39, single letters, codes and signs with a meaning, sorted.
    marks: tuple[str, ...]
    #: Whether the name is long and varied enough to be compared by likeness.
    is_telling: bool
    grams: frozenset[str] = field(repr=False)

    @staticmethod
    @lru_cache(maxsize=1 << 18)
    def of(text: str) -> Name:
        """Return the forms of a name."""
        normal = normal_form(text)
        tight = normal.replace(" ", "")
        words = _words(normal)
        heavy = _without_articles(words)
        marks = [word for word in heavy if _is_mark(word)]
        return Name(
            text=text,
            normal=normal,
            tight=tight,
            words=words,
            key=" ".join(sorted(heavy)),
            digits=tuple(str(int(group)) for group in _DIGITS.findall(normal)),
            marks=tuple(sorted([*marks, *_SIGNS.findall(normal)])),
            is_telling=_entropy(tight) >= ENTROPY and (len(tight) >= LENGTH or len(heavy) >= 2),
            grams=frozenset(tight[at : at + GRAM] for at in range(max(1, len(tight) - GRAM + 1))),
        )


def _is_mark(word: str) -> bool:
    """Say whether a word is a numeral, a letter or a code such as "kg163"."""
    coded = any(map(str.isdigit, word)) and not word.isdigit()
    return len(word) == 1 or coded or _ROMAN.fullmatch(word) is not None


def _words(normal: str) -> tuple[str, ...]:
    """Return the words of a normal form with accents folded.

    "women's" and the tokenised "women 's" are the words "women" and "s" both.
    """
    if normal.isascii():
        return tuple(_WORD.findall(normal))
    folded = "".join(map(_folded, unicodedata.normalize("NFC", normal))).translate(_PLAIN)
    return tuple(folded.split())


@lru_cache(maxsize=1 << 16)
def _folded(char: str) -> str:
    """Return a character without its accent, or a space for what stands between words."""
    # Marks belong to words; the word class of `re` leaves out the vowel signs of Indian scripts.
    if unicodedata.category(char)[0] not in "LMN" and char != "_":
        return " "
    parts = unicodedata.normalize("NFD", char)
    foldable = len(parts) > 1 and unicodedata.name(parts[0], "").startswith(_FOLDED_SCRIPTS)
    return parts[0] if foldable else char


def _without_articles(words: tuple[str, ...]) -> list[str]:
    # "Beatles, The" has it at the end; "a" in another place is a letter, as in "Vitamin A".
    heavy = [word for word in words[words[:1] in (("a",), ("an",)) :] if word != "the"]
    return heavy or list(words)


def _entropy(text: str) -> float:
    """Return the bits of entropy of a text's characters."""
    counts = Counter(text)
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in counts.values())


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Return |A ∩ B| / |A ∪ B|, 0 for two empty sets.

    >>> jaccard(Name.of("Resolution 1441").grams, Name.of("Resolution 1442").grams) > 0.8
    True
    """
    shared = len(one & other)
    union = len(one) + len(other) - shared
    return shared / union if union else 0.0


def names_conflict(one: Name, other: Name) -> str:
    """Return why two names cannot name one thing, "" if nothing speaks against it.

    >>> names_conflict(Name.of("Henry VII of England"), Name.of("Henry VIII of England"))
    'numerals'
    >>> names_conflict(Name.of("Beatles"), Name.of("The Beatles"))
    ''
    """
    if one.digits != other.digits:
        return "digits"
    if one.tight == other.tight:  # "Don't" and the tokenised "Do n't"
        return ""
    if one.marks != other.marks:
        return "numerals"
    if differ_in_polarity(one.words, other.words):
        return "polarity"
    return ""


def may_be_misspelt(one: Name, other: Name) -> bool:
    """Say whether the words of two names differ as spellings do.

    Each word that only one of them has must be a light one ("the", "of") or lie one edit from such
    a word of the other. Names that are equal without spaces are one spelling.

    >>> may_be_misspelt(Name.of("Vue. js"), Name.of("Vue.js"))
    True
    >>> may_be_misspelt(Name.of("Philharmonic of Warsaw"), Name.of("Philharmonic of Warshaw"))
    True
    >>> may_be_misspelt(Name.of("Embassy of Iran"), Name.of("Embassy of Iraq"))
    False
    """
    if one.tight == other.tight or "".join(one.words) == "".join(other.words):
        return True
    left, right = Counter(one.words), Counter(other.words)
    only_left = [word for word in (left - right).elements() if word not in _LIGHT]
    only_right = [word for word in (right - left).elements() if word not in _LIGHT]
    if len(only_left) != len(only_right):
        return False
    for word in only_left:
        near = next((w for w in only_right if _is_one_edit(word, w)), None)
        if near is None:
            return False
        only_right.remove(near)
    return True


def are_parts_replaced(one: Name, other: Name) -> bool:
    """Say whether two names share words while one of them has words that the other has not.

    Names of one template or of a part and its whole are neighbours for every encoder: "Prussian
    Army" and "Prussian Navy", "Hoodwinked!" and "Hoodwinked Too!". What is left for an encoder are
    names that share no word, or nothing but words.

    >>> are_parts_replaced(Name.of("Prussian Army"), Name.of("Prussian Navy"))
    True
    >>> are_parts_replaced(Name.of("Warsaw University"), Name.of("University of Warsaw"))
    False
    >>> are_parts_replaced(Name.of("NYC"), Name.of("New York City"))
    False
    """
    left, right = set(one.words) - _LIGHT, set(other.words) - _LIGHT
    return bool(left & right) and not may_be_misspelt(one, other)


def person_key(name: Name) -> str:
    """Return first and last word of a person's name without titles, "" for a name of one word.

    >>> person_key(Name.of("General Sir Douglas David Gracey KCB"))
    'douglas gracey'
    """
    words = _without_titles(name)
    return f"{words[0]} {words[-1]}" if len(words) > 1 else ""


def may_be_one_person(one: Name, other: Name) -> bool:
    """Say whether two names of persons differ in titles, middle names and initials only.

    First and last words are equal, and the words between them begin alike, in full or as initials:
    George W. Bush is not George H. W. Bush.

    >>> shown = [Name.of(text) for text in ("George W. Bush", "Dr. George Walker Bush")]
    >>> may_be_one_person(*shown)
    True
    >>> may_be_one_person(shown[0], Name.of("George H. Bush"))
    False
    """
    key = person_key(one)
    if not key or key != person_key(other) or one.digits != other.digits:
        return False
    return all(
        word == other_word or (min(len(word), len(other_word)) == 1 and word[0] == other_word[0])
        for word, other_word in zip(_middle(one), _middle(other), strict=False)
    )


def _middle(name: Name) -> list[str]:
    return [word for word in _without_titles(name)[1:-1] if word not in _LIGHT | _PARTICLES]


def _without_titles(name: Name) -> tuple[str, ...]:
    words = name.words
    while len(words) > 1 and words[0] in _TITLES:
        words = words[1:]
    while len(words) > 1 and words[-1] in _HONOURS:
        words = words[:-1]
    return words


def _is_one_edit(one: str, other: str) -> bool:
    """Say whether two words are one insertion, deletion, substitution or swap apart."""
    if min(len(one), len(other)) < MISSPELT or abs(len(one) - len(other)) > 1:
        return False
    at = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    if len(one) == len(other):
        swapped = one[at + 1 : at + 2] + one[at : at + 1] + one[at + 2 :]
        return one[at + 1 :] == other[at + 1 :] or swapped == other[at:]
    longer, shorter = (one, other) if len(one) > len(other) else (other, one)
    return longer[at + 1 :] == shorter[at:]
