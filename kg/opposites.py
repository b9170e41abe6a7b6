"""Words that turn a name or a relation into another one, however alike the rest is.

"North Korea" and "South Korea" share eight of eleven letters, "parent of" and "child of" have
nearly the same sentence vector: no measure of likeness may join what these words keep apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from itertools import product
from typing import Final

__all__ = ["differ_in_polarity"]

#: Groups of words of which one must not stand for another; equal words never differ.
GROUPS: Final = """
    north south east west northeast northwest southeast southwest
    northern southern eastern western northeastern northwestern southeastern southwestern
    upper lower middle central | top bottom | left right | inner outer | inside outside
    internal external | front back rear | above below | over under | up down
    old new | ancient modern | young elder older younger | junior senior jr sr
    first second third fourth fifth sixth seventh eighth ninth tenth last final
    one two three four five six seven eight nine ten
    major minor | greater lesser | great little | big small | large small | high low | long short
    male female | man woman | men women | boy girl | boys girls | mens womens | boys mens
    father mother | fathers mothers | son daughter | sons daughters | brother sister
    brothers sisters | husband wife | king queen | prince princess | duke duchess
    parent child | parents children | ancestor descendant | uncle aunt | nephew niece
    grandfather grandmother | grandparent grandchild | teacher student | mentor student
    employer employee | buyer seller | lender borrower | landlord tenant | host guest
    author reader | doctor patient | master servant | leader follower | creditor debtor
    predecessor successor | before after | precede follow | precedes follows | previous next
    earlier later | early late | past future | begin end | begins ends | start end | starts ends
    start finish | open close | opens closes | opened closed | birth death | born died
    increase decrease reduce | increases decreases reduces | increased decreased reduced
    raise lower | raises lowers | rise fall | grow shrink | gain lose | win lose | won lost
    cause prevent | causes prevents | enable prevent disable | enables prevents disables
    allow prevent forbid | allows prevents forbids | help hinder | helps hinders
    promote inhibit | promotes inhibits | activate inhibit | activates inhibits
    support oppose | supports opposes | accept reject | accepts rejects | love hate
    positive negative | maximum minimum | max min | more less fewer | most least
    import export | imports exports | include exclude | includes excludes | attack defend
    create destroy | creates destroys | add remove | adds removes | enter leave | arrive depart
    send receive | sends receives | give take | gives takes | buy sell | buys sells
    source target | source destination | input output | from to | into from | with without
    for against | always never sometimes often rarely | can cannot | good bad | strong weak
    right wrong | public private | acute chronic | primary secondary tertiary | solid liquid gas
    monday tuesday wednesday thursday friday saturday sunday | spring summer autumn winter
    january february march april may june july august september october november december
"""

#: Beginnings of words that oppose each other.
PREFIXES: Final = """
    hyper hypo | macro micro | pro anti | pre post | inter intra | endo exo | mono poly | uni multi
    over under | in out | up down | intro extra | para ortho | alpha beta gamma delta
    homo hetero | syn anti | eu dys | iso aniso
"""

#: Words that deny; a name or phrase has as many of them as the one it equals.
DENIALS: Final = frozenset("not no never non without lack lacks neither nor un anti n't".split())

#: Shortest rest of a word behind a prefix: "inter" and "intra" as words of their own are names.
_REST: Final = 4


def _groups(text: str) -> list[frozenset[str]]:
    parts = (part for line in text.splitlines() for part in line.split("|"))
    return [frozenset(part.split()) for part in parts if part.strip()]


@cache
def _opposites(form: Callable[[str], str] | None) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for group in _groups(GROUPS):
        forms = {form(word) for word in group} if form else group
        for word in forms:
            found.setdefault(word, set()).update(forms - {word})
    return {word: frozenset(others) for word, others in found.items()}


@cache
def _prefix_pairs() -> list[tuple[str, str]]:
    return [
        (one, other)
        for group in _groups(PREFIXES)
        for one, other in product(group, group)
        if one != other
    ]


def differ_in_polarity(
    one: Iterable[str], other: Iterable[str], *, form: Callable[[str], str] | None = None
) -> bool:
    """Say whether two lists of case-folded words differ in a word that turns the meaning.

    Words that both hold are no difference, and neither is their order. Where the lists hold stems,
    `form` (a function of the module level) makes them of words.

    >>> differ_in_polarity(["north", "korea"], ["south", "korea"])
    True
    >>> differ_in_polarity(["hyperthyroidism"], ["hypothyroidism"])
    True
    >>> differ_in_polarity(["part", "of"], ["not", "part", "of"])
    True
    >>> differ_in_polarity(["warsaw"], ["warszawa"])
    False
    """
    left, right = Counter(one), Counter(other)
    only_left, only_right = (left - right).keys(), (right - left).keys()
    if (only_left | only_right) & DENIALS:
        return True
    opposites = _opposites(form)
    if any(opposites.get(word, frozenset()) & only_right for word in only_left):
        return True
    return any(
        word.startswith(prefix)
        and len(rest := word.removeprefix(prefix)) >= _REST
        and opposite + rest in only_right
        for word in only_left
        for prefix, opposite in _prefix_pairs()
    )
