"""Markdown to readable text: the words of each block without their marks.

A paragraph, heading, list item or table row is one block; blocks are separated by a blank line. A
line end inside a paragraph is a space, as Markdown shows it; a hard one stays. Fenced code and
pictures are left out, since they are not sentences; HTML is read by the HTML reader. YAML front
matter goes into the document's meta.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from harvest.documents.decoding import decode, require_text
from harvest.documents.html import html_text
from harvest.documents.source import Failure, Source
from harvest.errors import DocumentError
from kg.records import Document

if TYPE_CHECKING:
    from markdown_it.token import Token

__all__ = ["read_markdown"]

_FRONT_MATTER: Final = re.compile(
    r"\A---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.M | re.S
)
_LINE_BREAK_TAG: Final = re.compile(r"<br\s*/?>", re.I)


def read_markdown(source: Source) -> Iterator[Document | Failure]:
    """Yield the one document of a Markdown file.

    Its title is the front matter's `title`, else the first heading, else the file's name.

    Raises:
        DocumentError: if the file cannot be read or holds no words.
    """
    from markdown_it import MarkdownIt

    text, meta = decode(source.read())
    front_matter, body = _split_front_matter(text)
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(body)
    blocks = list(_blocks(tokens))
    readable = require_text("\n\n".join(blocks))
    if not readable:
        raise DocumentError("the file holds no words", "fill it or remove it")
    title = str(front_matter.get("title") or "").strip() or _first_heading(tokens)
    yield Document(
        uri=source.uri,
        text=readable,
        title=require_text(title or source.title, what="the title"),
        media_type="text/markdown",
        meta={**meta, **({"front_matter": front_matter} if front_matter else {})},
    )


def _split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Return the front matter and the rest; what is no YAML mapping is ordinary text."""
    import yaml

    match = _FRONT_MATTER.match(text)
    if match is None:
        return {}, text
    try:
        values = yaml.safe_load(match[1])
    except yaml.YAMLError:
        return {}, text
    if not isinstance(values, Mapping):
        return {}, text
    return {str(key): _plain(value) for key, value in values.items()}, text[match.end() :]


def _plain(value: object) -> object:
    """Return a YAML value as JSON can hold it: dates become their text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _blocks(tokens: Sequence[Token]) -> Iterator[str]:
    cells: list[str] | None = None
    for token in tokens:
        block = ""
        if token.type == "tr_open":
            cells = []
        elif token.type == "tr_close":
            block = "\t".join(cells or ())
            cells = None
        elif token.type == "inline":
            words = _words(token.children or ())
            if cells is None:
                block = words
            else:
                cells.append(words)
        elif token.type == "html_block":
            block = html_text(token.content)
        elif token.type == "code_block":
            block = token.content
        if block.strip():
            yield block.strip()


def _words(children: Sequence[Token]) -> str:
    words: list[str] = []
    for token in children:
        if token.type in ("text", "code_inline", "text_special"):
            words.append(token.content)
        elif token.type == "softbreak":
            words.append(" ")
        elif token.type == "hardbreak" or (
            token.type == "html_inline" and _LINE_BREAK_TAG.fullmatch(token.content)
        ):
            words.append("\n")
    return "".join(words).strip()


def _first_heading(tokens: Sequence[Token]) -> str:
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            words = _words(inline.children or ())
            if words:
                return words
    return ""
