"""Bytes to text: exactly what was written, or a clear refusal.

Order: byte-order mark → refuse what has NUL bytes (binary) → UTF-8 → a guess by
charset-normalizer, which is marked in the document's meta. Nothing is replaced, dropped or
normalised, and line ends stay as they are, because offsets and quotes count on it.
"""

from __future__ import annotations

import codecs
from typing import Any, Final

from harvest.errors import DocumentError

__all__ = ["decode", "require_text"]

#: Marks and their codecs; UTF-32 first, because its little-endian mark begins like UTF-16's.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_BINARY_HINT: Final = "harvest reads text; convert it to one of its formats first"
_ENCODING_HINT: Final = "save it as UTF-8, for example: iconv -f ENCODING -t UTF-8 FILE"

#: Control characters that text files hold: tab, line ends, vertical tab, form feed, escape.
_TEXT_CONTROLS: Final = frozenset("\t\n\x0b\x0c\r\x1b")


def decode(data: bytes, *, declared: str = "") -> tuple[str, dict[str, Any]]:
    r"""Return the text of `data` and what its document's meta should say about the encoding.

    Args:
        data: the bytes of one text.
        declared: the encoding that the file itself names (HTML); tried after a byte-order mark.

    Raises:
        DocumentError: if the bytes are no text or their encoding cannot be told.

    >>> decode("Zürich\r\n".encode())
    ('Zürich\r\n', {})
    >>> decode(b"\xff\xfeA\x00")
    ('A', {'encoding': 'utf-16-le'})
    """
    for mark, codec in _MARKS:
        if data.startswith(mark):
            try:
                text = data[len(mark) :].decode(codec)
            except UnicodeDecodeError as error:
                raise DocumentError(
                    f"its mark says {codec}, but byte {error.start} is not", _ENCODING_HINT
                ) from error
            return text, {} if codec == "utf-8" else {"encoding": codec}
    if b"\x00" in data:
        raise DocumentError("it is a binary file (it holds NUL bytes)", _BINARY_HINT)
    if declared:
        try:
            return data.decode(declared), {"encoding": declared.lower()}
        except (UnicodeDecodeError, LookupError):
            pass  # a page that names the wrong encoding is common: go on as if it named none
    try:
        return data.decode("utf-8"), {}
    except UnicodeDecodeError as error:
        return _guess(data, error.start)


def require_text(text: str, *, what: str = "the text") -> str:
    r"""Return `text` if it can be stored as UTF-8.

    Raises:
        DocumentError: if it holds half of a surrogate pair, as JSON escapes can.

    >>> require_text("\ud83d")
    Traceback (most recent call last):
    harvest.errors.DocumentError: the text holds half a character (U+D83D at character 0); write ...
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DocumentError(
            f"{what} holds half a character (U+{ord(text[error.start]):04X} at character "
            f"{error.start})",
            "write the whole surrogate pair, or the character itself in UTF-8",
        ) from error
    return text


def _guess(data: bytes, bad_byte: int) -> tuple[str, dict[str, Any]]:
    from charset_normalizer import from_bytes

    best = from_bytes(data).best()
    try:
        # Decoded here and strictly, so that not one character differs from the bytes.
        text = "" if best is None else data.decode(best.encoding)
    except UnicodeDecodeError:
        text = ""
    controls = sum(char < " " and char not in _TEXT_CONTROLS for char in text)
    if best is None or not text or controls * 100 > len(text):
        raise DocumentError(
            f"it is neither UTF-8 (byte {bad_byte} is not) nor text in an encoding that can be "
            "told: perhaps a binary file",
            _ENCODING_HINT,
        )
    return text, {
        "encoding": best.encoding,
        "warning": f"not UTF-8 (byte {bad_byte}); read as {best.encoding}, which is a guess",
    }
