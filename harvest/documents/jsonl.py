"""JSONL: one document a line, read as a stream.

Fields: `text` (required), `title`, and a key: `id`, else `url`, else `uri`, else the line's
number. The document's uri is `file.jsonl#key`. A bad line is one failure, the others go on; the
file is never held in memory, packed or not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import blake2b

from harvest.documents.decoding import decode, require_text
from harvest.documents.source import MAX_BYTES, Failure, Source
from harvest.errors import DocumentError
from kg.records import Document

__all__ = ["read_jsonl"]

_KEY_FIELDS = ("id", "url", "uri")


def read_jsonl(source: Source) -> Iterator[Document | Failure]:
    """Yield the document or the failure of each line; blank lines are passed over.

    Raises:
        DocumentError: if the file cannot be read (any more) or has no line.
    """
    seen: set[bytes] = set()  # digests of keys: 8 bytes each instead of a whole address
    number = 0
    empty = True
    with source.open() as stream:
        while line := stream.readline(MAX_BYTES + 1):
            number += 1
            if len(line) > MAX_BYTES:
                raise DocumentError(
                    f"line {number} is longer than {MAX_BYTES // 1024**2} MiB",
                    "write one document a line; earlier lines were read",
                )
            if not line.strip():
                continue
            empty = False
            try:
                yield _document(source, line, number, seen)
            except DocumentError as error:
                yield Failure(f"{source.uri}:{number}", error.reason, error.hint)
    if empty:
        raise DocumentError("the file is empty", "fill it or remove it")


def _document(source: Source, line: bytes, number: int, seen: set[bytes]) -> Document:
    try:
        text, meta = decode(line)
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise DocumentError(
            f"the line is no JSON ({error.msg}, character {error.pos})", "write one object a line"
        ) from error
    except RecursionError as error:
        raise DocumentError("the line nests too deeply", "write one flat object a line") from error
    if not isinstance(record, Mapping):
        raise DocumentError(
            f"the line is a {type(record).__name__}, not an object", 'write {"text": "…"}'
        )
    body = _string(record, "text")
    if not body.strip():
        raise DocumentError("its text is empty or missing", 'give the words in the field "text"')
    key = _key(record) or str(number)
    digest = blake2b(key.encode(), digest_size=8).digest()
    if digest in seen:
        raise DocumentError(
            f"the key {key!r} was used by an earlier line", "give each document its own id"
        )
    seen.add(digest)
    url = record.get("url")
    if isinstance(url, str) and url:
        meta["url"] = require_text(url, what="the url")
    return Document(
        uri=f"{source.uri}#{key}",
        text=body,
        title=_string(record, "title") or f"{source.title} {key}",
        meta=meta,
    )


def _string(record: Mapping[str, object], name: str) -> str:
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DocumentError(
            f'the field "{name}" is a {type(value).__name__}, not a string', "quote it"
        )
    return require_text(value, what=f'the field "{name}"')


def _key(record: Mapping[str, object]) -> str:
    for name in _KEY_FIELDS:
        value = record.get(name)
        if isinstance(value, str) and value:
            return require_text(value, what=f'the field "{name}"')
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if value is not None and value != "":
            raise DocumentError(
                f'the field "{name}" is a {type(value).__name__}, not a string or whole number',
                "give each document its own id",
            )
    return ""
