"""Which projection a question needs: the facts alone, or also where they come from.

The facts hold every node `(:Entity)` and `(:Literal)` and every edge between them. A statement
gives the same rows there as on the whole graph if nothing in it can match a chunk, a document, a
model, or an edge from one of them. That is decided from its tokens, and in doubt the answer is
"sources", which is never wrong, only slower:

* no name of a source stands in it, except as that of a property or a column;
* every node of a pattern is a fact: it names a label, or a relationship of the pattern says so;
* a relationship says so if it names its types, or if it leaves a fact, since facts lead to facts;
* outside the patterns of MATCH, where a name may be of any node, every relationship names its
  types;
* nothing stands for a type or label but its plain name: no negation, no wildcard, no parameter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
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
#: Words after which a name may stand for another node than before.
_NEW_NAMES: Final = frozenset({"WITH", "UNION", "CALL", "COLLECT", "COUNT", "EXISTS", "AS"})
_PATH_FUNCTIONS: Final = frozenset({"SHORTESTPATH", "ALLSHORTESTPATHS"})
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
    if any(_names_source(words, place) for place in range(len(words))):
        return "sources"
    # A name keeps its node as long as no part of the statement begins with names of its own.
    keeps_names = not any(word.upper in _NEW_NAMES for word in words)
    facts: set[str] = set()
    read: set[int] = set()
    for start, end in _patterns(words):
        path = _path(words[start:end])
        if path is None or not path.is_of_facts(facts):
            return "sources"
        if keeps_names:
            facts |= path.names()
        read |= set(range(start, end))
    plain = all(_harmless(words, place, place in read) for place in range(len(words)))
    return "facts" if plain else "sources"


def _names_source(words: Sequence[Token], place: int) -> bool:
    """Return whether a word is the name of a source and not of a property or a column."""
    role = _text(words, place - 1).upper()
    return _plain_name(words[place]) in SOURCES and role not in (".", "AS")


def _plain_name(token: Token) -> str:
    if token.kind == "name":
        return token.text[1:-1].replace("``", "`").upper()
    return token.text.upper() if token.kind == "word" else ""


def _text(words: Sequence[Token], place: int) -> str:
    return words[place].text if 0 <= place < len(words) else ""


def _harmless(words: Sequence[Token], place: int, read: bool) -> bool:
    """Return False at a token that may open a way to sources; `read` in a path that is known."""
    text, before, after = (_text(words, place + step) for step in (0, -1, 1))
    if text in ("!", "&", "$"):
        return False
    if text == "%":
        return before not in (":", "|", "(", "[")
    if read:
        return True
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


def _patterns(words: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """Yield where each path pattern of each MATCH begins and ends, at any depth."""
    for place, word in enumerate(words):
        if word.upper == "MATCH" and _text(words, place - 1) not in (".", ":", "|"):
            yield from _split(words, place + 1)


def _split(words: Sequence[Token], place: int) -> Iterator[tuple[int, int]]:
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
            yield start, place
            start = place + 1
        elif depth == 0 and words[place].upper in _AFTER_PATTERNS:
            break
        place += 1
    yield start, place


@dataclass(frozen=True, slots=True)
class _Path:
    """A path pattern: nodes, and between them relationships as (leftwards, typed, rightwards)."""

    nodes: Sequence[Sequence[Token]]
    links: Sequence[tuple[bool, bool, bool]]

    def names(self) -> set[str]:
        """Return the variables of the nodes."""
        return {node[0].text for node in self.nodes if node and node[0].kind in ("word", "name")}

    def is_of_facts(self, known: Collection[str]) -> bool:
        """Return whether every node must be a fact, given the names of those that are."""
        facts = [_is_labelled(node) or _text(node, 0) in known for node in self.nodes]
        for _ in self.nodes:
            for place, (left, typed, right) in enumerate(self.links):
                facts[place] |= typed or (left and not right and facts[place + 1])
                facts[place + 1] |= typed or (right and not left and facts[place])
        return all(facts) and all(
            typed or (left != right and facts[place + left])
            for place, (left, typed, right) in enumerate(self.links)
        )


def _is_labelled(node: Sequence[Token]) -> bool:
    return ":" in (_text(node, 0), _text(node, 1))


def _path(pattern: Sequence[Token]) -> _Path | None:
    """Return what a path pattern says; None if it is of another form than is known here."""
    place = 0
    if _text(pattern, 1) == "=":
        place = 2
    if _text(pattern, place).upper() in _PATH_FUNCTIONS and _text(pattern, place + 1) == "(":
        if _closing(pattern, place + 1) != len(pattern) - 1:
            return None
        pattern, place = pattern[place + 2 : -1], 0
    nodes: list[Sequence[Token]] = []
    links: list[tuple[bool, bool, bool]] = []
    while _text(pattern, place) == "(":
        end = _closing(pattern, place)
        inside = pattern[place + 1 : end]
        if not _is_plain(inside) or end >= len(pattern):
            return None
        nodes.append(inside)
        place = end + 1
        if place == len(pattern):
            return _Path(nodes, links)
        left = _text(pattern, place) == "<"
        place += left
        if _text(pattern, place) != "-":
            return None
        place += 1
        typed = False
        if _text(pattern, place) == "[":
            typed = _typed(pattern, place)
            inside = pattern[place + 1 : _closing(pattern, place)]
            if not _is_plain(inside) or (not typed and not _is_any(inside)):
                return None
            place = _closing(pattern, place) + 1
        if _text(pattern, place) != "-":
            return None
        right = _text(pattern, place + 1) == ">"
        place += 1 + right
        links.append((left, typed, right))
    return None


def _is_plain(inside: Sequence[Token]) -> bool:
    """Return whether a node or relationship holds no condition that could match for itself."""
    return not any(token.text in ("(", "[") or token.upper == "WHERE" for token in inside)


def _is_any(inside: Sequence[Token]) -> bool:
    """Return whether an untyped relationship is just one step, whatever its type."""
    return not any(token.text in (":", "*") for token in inside)


def _closing(words: Sequence[Token], place: int) -> int:
    """Return where the bracket that opens at `place` is closed."""
    depth = 0
    for end in range(place, len(words)):
        if words[end].text in _OPENERS:
            depth += 1
        elif words[end].text in _OPENERS.values():
            depth -= 1
            if depth == 0:
                return end
    return len(words)
