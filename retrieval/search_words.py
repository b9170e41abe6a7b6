"""The words of a query and of a text as lexical search compares them: stems, without filler.

"Which films were directed by …" and "a film director" share `film` and `direct`. Stems are those of
the Snowball stemmer for English (Porter, 2001). Words that only hold a question together are left
out, unless the query has no other: "The Who" is a band.

| query | words |
|---|---|
| Who composed the music for Harold and Maude? | compos music harold maud |
| The Who | the who |
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from kg.ids import normal_form

__all__ = ["FILLER", "content_words", "plain_words", "stemmed", "without_filler"]

#: Words that say nothing of what is sought.
FILLER: Final = frozenset(
    """
    a an the this that these those it its they them their there here he she his her i me my we us
    our you your of in on at to for from by with as into about and or but not no if than then so
    is are was were be been being am do does did done has have had having can could will would
    shall should may might must who whom whose which what when where why how many much give list
    show tell name all any some every each also
    """.split()
)

_WORD: Final = re.compile(r"\w+")


def plain_words(text: str) -> list[str]:
    """Return the words of a text in lower case, as they stand: what plain BM25 compares.

    >>> plain_words("Films directed")
    ['films', 'directed']
    """
    return _WORD.findall(text.lower())


def stemmed(text: str) -> list[str]:
    """Return the stems of all words of a text, in order.

    >>> stemmed("Films directed by a Director")
    ['film', 'direct', 'by', 'a', 'director']
    """
    return [_stem(word) for word in _WORD.findall(normal_form(text))]


def without_filler(query: str) -> str:
    """Return the words of a query that say what is sought; all, if it has no such word.

    >>> without_filler("Who composed the music?"), without_filler("The Who")
    ('composed music', 'the who')
    """
    found = _WORD.findall(normal_form(query))
    return " ".join([word for word in found if word not in FILLER] or found)


def content_words(query: str) -> list[str]:
    """Return the distinct stems of a query that say what is sought, in order.

    >>> content_words("give me films and more films")
    ['film', 'more']
    """
    return list(dict.fromkeys(stemmed(without_filler(query))))


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer("english")


@lru_cache(maxsize=200_000)
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))
