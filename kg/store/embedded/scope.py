"""Which projection a question needs: the facts alone, or also where they come from.

The facts hold every node `(:Entity)` and `(:Literal)` and every edge between them. A statement
gives the same rows there as on the whole graph if nothing in it can match a chunk, a document, a
model, or an edge from one of them. That is decided from its tokens, and in doubt the answer is
"sources", which is never wrong, only slower:

* none of the names of sources stands in it, in whatever role;
* every relationship names its types, so that no pattern can follow an edge of a source;
* a node pattern without a relationship names a label;
* nothing that a type or label can be but its plain name: no negation, no wildcard, no parameter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from kg.store.embedded.projection import Scope
from kg.store.tokens import Token, tokens

__all__ = ["scope_of"]

#: Labels and relationship types of sources, in upper case.
SOURCES: Final = frozenset({"CHUNK", "DOCUMENT", "MODEL", "STATES", "MENTIONS", "FROM_DOCUMENT"})
#: Words that end the patterns of a MATCH.
_AFTER_PATTERNS: Final = frozenset(
    "WHERE WITH UNWIND RETURN ORDER SKIP OFFSET LIMIT UNION CALL MATCH OPTIONAL USING".split()
)
_SUBQUERY: Final = frozenset({"EXISTS", "COUNT", "COLLECT"})
_OPENERS: Final = {"(": ")", "[": "]", "{": "}"}


def scope_of(cypher: str) -> Scope:
    """Return which projection answers a statement that the guard has passed.

    >>> scope_of("MATCH (p:Person)-[:BORN_IN]->(c) RETURN c.name")
    'facts'
    >>> scope_of("MATCH (p:Person)<-[m]-(c) RETURN count(*)")
    'sources'
    """
    words = list(tokens(cypher))
    plain = (
        not any(_plain_name(word) in SOURCES for word in words)
        and all(_harmless(words, place) for place in range(len(words)))
        and all(_anchored(pattern) for pattern in _patterns(words))
    )
    return "facts" if plain else "sources"


def _plain_name(token: Token) -> str:
    if token.kind == "name":
        return token.text[1:-1].replace("``", "`").upper()
    return token.text.upper() if token.kind == "word" else ""


def _text(words: Sequence[Token], place: int) -> str:
    return words[place].text if 0 <= place < len(words) else ""


def _harmless(words: Sequence[Token], place: int) -> bool:
    """Return False at a token that may open a way to sources."""
    text, before, after = (_text(words, place + step) for step in (0, -1, 1))
    if text in ("!", "&", "$"):
        return False
    if text == "%":
        return before not in (":", "|", "(", "[")
    if text == "-":
        if (before, after) == (")", "("):
            return False  # one engine's short form of any relationship
        # Only `-[`, `]-` and subtraction that cannot be taken for an arrow.
        arrow = after in ("-", ">") or before in ("-", "<")
        return not arrow or before == "]" or after == "["
    if text == "[" and before == "-":
        return _typed(words, place)
    if text == "{" and _text(words, place - 1).upper() in _SUBQUERY:
        return after.upper() in ("MATCH", "OPTIONAL")
    # After an arrow: a quantifier may be zero.
    return not (text in ("{", "+", "*") and before == ">")


def _typed(words: Sequence[Token], place: int) -> bool:
    """Return whether a relationship in brackets names its types and has at least one step."""
    start = place + 1
    if _text(words, start) != ":":
        start += 1
    if _text(words, start) != ":" or words[start + 1].kind not in ("word", "name"):
        return False
    for word in words[start:]:
        if word.text == "]":
            return True
        if word.kind == "number" and not word.text.strip("0_."):
            return False
    return False


def _patterns(words: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Yield each path pattern of each MATCH, at any depth."""
    for place, word in enumerate(words):
        if word.upper == "MATCH" and _text(words, place - 1) not in (".", ":", "|"):
            yield from _split(words, place + 1)


def _split(words: Sequence[Token], place: int) -> Iterator[Sequence[Token]]:
    start, depth = place, 0
    while place < len(words):
        text = words[place].text
        if text in _OPENERS:
            depth += 1
        elif text in _OPENERS.values():
            depth -= 1
            if depth < 0:
                break
        elif depth == 0 and text == ",":
            yield words[start:place]
            start = place + 1
        elif depth == 0 and words[place].upper in _AFTER_PATTERNS:
            break
        place += 1
    yield words[start:place]


def _anchored(pattern: Sequence[Token]) -> bool:
    """Return whether a pattern has a relationship, all of which name types, or names a label."""
    texts = [token.text for token in pattern]
    if ("-", "[") in pairwise(texts):
        return True
    inside = texts.index("(") + 1 if "(" in texts else len(texts)
    return ":" in texts[inside : inside + 2]
