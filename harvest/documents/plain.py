"""Plain text: the file's characters, unchanged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from harvest.documents.decoding import decode
from harvest.documents.source import Failure, Source
from harvest.errors import DocumentError
from kg.records import Document

__all__ = ["read_plain"]

#: A short first line without a sentence's end, and an empty line after it.
_HEADING: Final = re.compile(r"\s*(\S[^\r\n]{0,98}[^\s.!?:;,])[ \t]*(?:\r\n?|\n)[ \t]*[\r\n]")


def read_plain(source: Source) -> Iterator[Document | Failure]:
    """Yield the one document of a text file.

    Its title is a first line that stands alone like a heading, else the file's name.

    Raises:
        DocumentError: if the file cannot be read, is binary or holds only blanks.
    """
    text, meta = decode(source.read())
    if not text.strip():
        raise DocumentError("the file holds only blanks", "fill it or remove it")
    yield Document(uri=source.uri, text=text, title=_heading(text) or source.title, meta=meta)


def _heading(text: str) -> str:
    match = _HEADING.match(text)
    return match[1] if match else ""
