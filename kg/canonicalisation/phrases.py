"""What a relation phrase says, apart from tense, number, articles and the side it is read from.

| phrase | words | read from |
|---|---|---|
| discovered · discovers · has discovered | discov-er | its head |
| was discovered by | discov-er | its tail |
| is the capital of | capit of | its head |
| has capital | capit of | its tail |
| is not part of | not part of | its head |

A verb's passive with "by" and a noun's "has N" are the active and "N of" with ends swapped: one
relation, two directions. Prepositions and denials stay, because "born in" is not "born on". Stems
are those of the Snowball stemmer [Porter, 2001], but an ending that makes a noun of a verb is kept:
the employer does not do to the employee what "employer" would say if it were "employs".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

from kg.ids import normal_form

__all__ = ["PREPOSITIONS", "Phrase", "stem"]

_BE: Final = frozenset("is are was were be been being am s re".split())
_HAVE: Final = frozenset("has have had having ve".split())
#: Participles that say what their own head is called or held to be, also without "is".
_NAMED: Final = frozenset("called named titled entitled dubbed deemed considered termed".split())
_DO: Final = frozenset("do does did".split())
_MODALS: Final = frozenset("can could may might must shall should will would not".split())
_ARTICLES: Final = frozenset("the a an its their his her also".split())
PREPOSITIONS: Final = frozenset(
    """
    of in on at to from for with by as into onto through throughout between among against over
    under before after during about around within without toward towards upon via than like until
    since across along near beyond per inside outside above below behind beside besides off out up
    down
    """.split()
)
#: Nouns that say what something is: "X has type Y" does not mean "Y is a type of X".
_KINDS: Final = frozenset("type kind sort form name title class category status".split())
#: Endings that make a noun of a verb: they are part of the meaning.
_ENDINGS: Final = (
    "er",
    "or",
    "ment",
    "tion",
    "sion",
    "ness",
    "ity",
    "ship",
    "hood",
    "ism",
    "al",
    "tive",
    "ly",
)
_EMPLOYEES: Final = frozenset("employee trainee nominee attendee appointee payee".split())
#: Irregular forms of verbs: form, its infinitive; participles first.
_IRREGULAR: Final = """
    born bear borne bear written write made make given give taken take known know shown show grown
    grow drawn draw driven drive held hold led lead left leave lost lose won win met meet built
    build sent send spent spend kept keep felt feel found find told tell sold sell bought buy
    brought bring thought think taught teach caught catch fought fight sought seek begun begin
    chosen choose broken break spoken speak stolen steal frozen freeze woven weave worn wear torn
    tear sworn swear beaten beat eaten eat fallen fall forgotten forget forgiven forgive hidden hide
    ridden ride risen rise seen see shaken shake done do gone go run run come come become become
    overcome overcome set set put put cut cut spread spread read read laid lay paid pay said say
    understood understand stood stand struck strike stuck stick sung sing swum swim thrown throw
    undergone undergo withdrawn withdraw bound bind fed feed bred breed fled flee hung hang lent
    lend meant mean shot shoot slain slay sown sow wound wind dealt deal dug dig
"""
_IRREGULAR_PAST: Final = """
    wrote write gave give took take knew know showed show grew grow drew draw drove drive began
    begin chose choose broke break spoke speak stole steal froze freeze wove weave wore wear tore
    tear ate eat fell fall forgot forget hid hide rode ride rose rise saw see shook shake went go
    ran run came come became become overcame overcome sang sing swam swim threw throw underwent
    undergo withdrew withdraw flew fly swore swear bore bear
"""

_TOKEN: Final = re.compile(r"\w+")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A relation phrase taken apart; make it with `Phrase.of`.

    >>> one, other = Phrase.of("was discovered by"), Phrase.of("discovers")
    >>> one.words == other.words, one.swapped, other.swapped
    (True, True, False)
    >>> Phrase.of("has part").words == Phrase.of("is part of").words
    True
    >>> Phrase.of("employer").words == Phrase.of("employs").words
    False
    """

    text: str
    #: What the relation map compares: the normal form, with `_` as space.
    key: str
    #: Stems in order, without auxiliaries and articles.
    words: tuple[str, ...]
    #: Whether it is read from the tail of `words`: a passive with "by", or "has N".
    swapped: bool

    @staticmethod
    @lru_cache(maxsize=1 << 16)
    def of(text: str) -> Phrase:
        """Return a phrase taken apart."""
        spaced = text if " " in text.strip() else _CAMEL.sub(" ", text)
        tokens = _tokens(normal_form(spaced.replace("_", " ")))
        words, swapped = _core(tokens)
        key = normal_form(text.replace("_", " "))
        return Phrase(text, key, tuple(map(stem, words)) or (key,), swapped)

    @property
    def content(self) -> frozenset[str]:
        """Return the words that are no prepositions."""
        return frozenset(self.words) - PREPOSITIONS

    @property
    def prepositions(self) -> tuple[str, ...]:
        """Return the prepositions, sorted."""
        return tuple(sorted(word for word in self.words if word in PREPOSITIONS))


def _tokens(normal: str) -> list[str]:
    text = normal.replace("’", "'").replace("can't", "can not").replace("cannot", "can not")
    text = text.replace("won't", "will not").replace("n't", " not")
    return _TOKEN.findall(text.replace("-", " "))


def _core(tokens: list[str]) -> tuple[list[str], bool]:
    """Return the words that matter and whether they are read from the tail."""
    words = [token for token in tokens if token not in _ARTICLES] or tokens
    has_be = any(word in _BE for word in words)
    rest = [word for word in words if word not in _BE]
    if rest and rest[0] in _HAVE | _DO and len(rest) > 1:
        if rest[0] in _DO or has_be or _is_past(rest[1]):
            rest = rest[1:]  # "has written", "does not have", "has been capital of"
        elif (
            rest[-1] not in PREPOSITIONS
            and not _KINDS & set(rest)
            and not any(word in PREPOSITIONS or word == "to" for word in rest)
            and "not" not in rest
            and "no" not in rest
        ):
            return [*rest[1:], "of"], True
    if not rest or (has_be and len(rest) == 1 and rest[0] in _HAVE):
        return ["be"], False
    if has_be and all(word in _MODALS for word in rest):
        return [*rest, "be"], False
    if len(rest) > 1 and rest[-1] == "by" and _is_participle(rest[-2]):
        return rest[:-1], True
    if len(rest) == 1 and (rest[0] in _NAMED or (has_be and _is_participle(rest[0]))):
        return ["be", *rest], False  # "is called" is not "calls", and neither is "called"
    return rest, False


@cache
def _irregular() -> dict[str, str]:
    words = [*_IRREGULAR.split(), *_IRREGULAR_PAST.split()]
    return dict(zip(words[::2], words[1::2], strict=True))


def _is_participle(word: str) -> bool:
    return (word.endswith("ed") and len(word) > 3) or word in _IRREGULAR.split()[::2]


def _is_past(word: str) -> bool:
    return _is_participle(word) or word in _irregular()


@cache
def _stemmer() -> Any:
    try:
        import snowballstemmer
    except ModuleNotFoundError as error:
        error.add_note("stems need snowballstemmer: pip install 'sheaf[resolution]'")
        raise
    return snowballstemmer.stemmer("english")


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Return the stem of a case-folded word; endings that make a noun of a verb are kept.

    >>> stem("wrote"), stem("writes"), stem("discovered"), stem("discovers")
    ('write', 'write', 'discov-er', 'discov-er')
    >>> stem("employs"), stem("employer"), stem("employment")
    ('employ', 'employ-er', 'employ-ment')
    """
    if word in PREPOSITIONS or word.removesuffix("s") in _EMPLOYEES:
        return word
    if word in _HAVE:
        return "have"
    word = _irregular().get(word, word)
    root = str(_stemmer().stemWord(word))
    if root in PREPOSITIONS:  # "underlying" is not "under"
        return word
    base = _uninflected(word)
    for ending in _ENDINGS:
        if base.endswith(ending) and len(base) > len(ending) + 2 and not root.endswith(ending):
            return f"{root}-{ending}"
    return root


def _uninflected(word: str) -> str:
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word.removesuffix(ending)
    return word
