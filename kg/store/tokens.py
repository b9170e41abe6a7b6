r"""Cypher text as tokens, for the read-only guard: comments, strings, names, numbers, operators.

The tokenizer must never see less than an engine does: text that it takes for a string or a comment
but the engine runs would slip past the guard. Where engines could differ it refuses:

* Neo4j decodes `\u0027` *before* it reads the statement, so an escape may end a string, a
  back-ticked name or a comment, or be a letter of a keyword. Such escapes are accepted inside
  strings only, and only for characters that mean nothing to the reader.
* A line comment with a bare carriage return ends there for one engine and not for another.
* Any character that is neither space, word nor operator.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

from kg.errors import QueryRefused

__all__ = ["Token", "place", "tokens"]

type Kind = Literal["word", "name", "string", "number", "parameter", "operator"]


@dataclass(frozen=True, slots=True)
class Token:
    """One token and where it starts (code points from 0). `name` is a back-ticked word."""

    kind: Kind
    text: str
    start: int

    @property
    def upper(self) -> str:
        """Return a bare word or an operator in upper case, "" for everything else."""
        return self.text.upper() if self.kind in ("word", "operator") else ""


#: One pattern per kind, in the order in which they are tried.
_PATTERNS: Final[Mapping[Kind, str]] = {
    "word": r"[^\W\d]\w*",
    "name": r"`(?:[^`]|``)*`",
    "string": r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""",
    "number": r"0[xX][0-9a-fA-F]+|0[oO][0-7]+|[0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?",
    "parameter": r"\$(?:\w+|`(?:[^`]|``)*`)",
    "operator": r"=~|<>|<=|>=|\.\.|\|\||[-+*/%^=<>.,:;|&!$()\[\]{}]",
}
_TOKEN = re.compile("|".join(f"(?P<{kind}>{one})" for kind, one in _PATTERNS.items()), re.DOTALL)
_LINE_COMMENT = re.compile(r"//[^\n]*")
_BLOCK_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile(r"\\[uU]([0-9a-fA-F]{4})?")
#: Everything but \n that some reader takes for the end of a line.
_STRANGE_LINE_END = re.compile("[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
#: Characters that an escape inside a string may not stand for.
_MEANINGFUL: Final = frozenset("'\"`\\\n\r")


def tokens(cypher: str) -> Iterator[Token]:
    """Yield the tokens of a statement, without spaces and comments.

    Raises:
        QueryRefused: for text that engines could read in two ways, and for unknown characters.

    >>> [token.text for token in tokens("MATCH (n) /* DELETE n */ RETURN n.`x y`, 'SET'")]
    ['MATCH', '(', 'n', ')', 'RETURN', 'n', '.', '`x y`', ',', "'SET'"]
    """
    surrogate = _SURROGATE.search(cypher)
    if surrogate:
        raise QueryRefused(_refusal(cypher, surrogate.start(), "half of a surrogate pair"))
    position = 0
    while position < len(cypher):
        if cypher[position].isspace():
            position += 1
            continue
        found = _comment(cypher, position)
        if found:
            position += len(found)
            continue
        token = _token(cypher, position)
        if token.kind == "string":
            _check_escapes(cypher, token)
        elif "\\" in token.text:
            escaped = position + token.text.index("\\")
            raise QueryRefused(_refusal(cypher, escaped, "a backslash outside a string"))
        yield token
        position += len(token.text)


def place(cypher: str, position: int) -> str:
    r"""Return where a character stands, for messages.

    >>> place("MATCH (n)\nDELETE n", 10)
    'line 2, column 1'
    """
    before = cypher[:position]
    return f"line {before.count(chr(10)) + 1}, column {position - (before.rfind(chr(10)) + 1) + 1}"


def _comment(cypher: str, position: int) -> str:
    if cypher.startswith("//", position):
        match = _LINE_COMMENT.match(cypher, position)
        text = match[0] if match else ""
        if _STRANGE_LINE_END.search(text.removesuffix("\r")):
            what = "a comment that holds a line end other than \\n"
            raise QueryRefused(_refusal(cypher, position, what))
    elif cypher.startswith("/*", position):
        match = _BLOCK_COMMENT.match(cypher, position)
        if not match:
            raise QueryRefused(_refusal(cypher, position, "a comment without an end"))
        text = match[0]
    else:
        return ""
    if "\\u" in text.lower():
        raise QueryRefused(_refusal(cypher, position, "a \\u escape in a comment"))
    return text


def _token(cypher: str, position: int) -> Token:
    match = _TOKEN.match(cypher, position)
    if match:
        return Token(cast(Kind, match.lastgroup), match[0], position)
    char = cypher[position]
    if unicodedata.category(char).startswith("M"):
        raise QueryRefused(
            f"the read-only guard refused {char!a} at {place(cypher, position)}: a name with "
            "combining marks needs back-ticks, as in `हिन्दी`"
        )
    what = {
        "'": "a string without an end",
        '"': "a string without an end",
        "`": "a back-ticked name without an end",
        "\\": "a backslash outside a string",
    }.get(char, f"the character {char!a}")
    raise QueryRefused(_refusal(cypher, position, what))


def _check_escapes(cypher: str, token: Token) -> None:
    for match in _ESCAPE.finditer(token.text):
        digits = match[1]
        if digits is None and match[0] == "\\u" and _is_escaped(token.text, match.start()):
            continue  # '\\users' is a backslash and a word
        if digits is None or chr(int(digits, 16)) in _MEANINGFUL:
            what = f"the escape {token.text[match.start() : match.start() + 6]!r}"
            raise QueryRefused(_refusal(cypher, token.start + match.start(), what))


def _is_escaped(text: str, position: int) -> bool:
    start = position
    while start and text[start - 1] == "\\":
        start -= 1
    return (position - start) % 2 == 1


def _refusal(cypher: str, position: int, what: str) -> str:
    return (
        f"the read-only guard refused {what} at {place(cypher, position)}: "
        "engines could read it in more than one way; write the character itself, "
        "or pass the value as a parameter"
    )
