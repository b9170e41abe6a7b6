"""The text layer of a PDF, page by page, without what a page repeats.

Lines stay lines and keep their hyphens, since a harvester mends names across line ends and every
quote must equal its slice of this text. A wider gap or another size of type begins a new block
(blank line). Running headers and footers are lines at the edge of a page, set apart from its text,
that stand in the same place on most pages (page numbers apart); they and bare page numbers are
left out, so that they cannot end up inside a sentence that goes on over the page.
"""

from __future__ import annotations

import io
import logging
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, inf
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from harvest.documents.source import Failure, Source
from harvest.errors import DocumentError
from kg.records import Document

if TYPE_CHECKING:
    from pypdf import PdfReader

__all__ = ["read_pdf"]

#: How many lines from the top and from the bottom of a page may be running lines.
_EDGE: Final = 3
#: Share of the pages on which a running line stands; below half, since left and right pages differ.
_RUNNING_SHARE: Final = 0.4
#: A gap this much wider than the page's usual one begins a new block.
_WIDE_GAP: Final = 1.35
#: So does type this much larger or smaller.
_OTHER_SIZE: Final = 1.15

_PAGE_NUMBER: Final = re.compile(
    r"\W*(?:page|p\.|seite|página)?\s*(?:\d{1,4}|[ivxlc]{1,7})(?:\s*(?:of|/|von|de)\s*\d{1,4})?\W*",
    re.I,
)
_SENTENCE_END: Final = re.compile(r"[.!?:…][\"'”’»)\]]*\Z")

#: What pypdf raises on damaged files beside its own errors; each ends as one failed row.
_DAMAGED: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    #: Height on the page and size of type, both in points; 0 when the page does not say.
    y: float
    size: float

    @property
    def key(self) -> tuple[str, int]:
        """What makes two running lines the same: the words without numbers, and the height."""
        return re.sub(r"\d+", "#", " ".join(self.text.casefold().split())), round(self.y)


def read_pdf(source: Source) -> Iterator[Document | Failure]:
    """Yield the one document of a PDF.

    Its title is the one in the file's properties, else the file's name.

    Raises:
        DocumentError: if the file is damaged, encrypted, or has no text layer.
    """
    from pypdf.errors import DependencyError, PyPdfError

    data = source.read()
    # Damage is reported by our own rows; pypdf's log lines about it would only repeat them.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = _opened(data)
        pages = [_lines(page) for page in reader.pages]
        title = str((reader.metadata and reader.metadata.title) or "").strip()
    except DependencyError as error:
        raise DocumentError(
            f"its encryption needs another library ({error})", "pip install 'sheaf[harvest]'"
        ) from error
    except (PyPdfError, *_DAMAGED) as error:
        raise DocumentError(
            f"the PDF is broken ({type(error).__name__}: {error})",
            "mend it, for example with: qpdf IN.pdf OUT.pdf",
        ) from error
    text = _joined(_without_running_lines(pages))
    if not text:
        raise DocumentError(
            f"none of its {len(pages)} pages has text (perhaps scanned pictures)",
            "add a text layer first, for example with: ocrmypdf IN.pdf OUT.pdf",
        )
    yield Document(
        uri=source.uri,
        text=text,
        title=_clean(title) or source.title,
        media_type="application/pdf",
        meta={"pages": len(pages)},
    )


def _opened(data: bytes) -> PdfReader:
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(data))
    # Many files are encrypted with an empty password, only to forbid printing.
    if reader.is_encrypted and not reader.decrypt(""):
        raise DocumentError(
            "the PDF is encrypted",
            "decrypt it first: qpdf --password=PASSWORD --decrypt IN.pdf OUT.pdf",
        )
    return reader


def _lines(page: Any) -> list[_Line]:
    """Return the lines of a page in the order in which the page writes them."""
    lines: list[_Line] = []
    words: list[str] = []
    place: tuple[float, float] | None = None

    def finish() -> None:
        nonlocal place
        text = _clean("".join(words)).strip()
        if text:
            y, size = place or (0.0, 0.0)
            lines.append(_Line(text, y, size))
        words.clear()
        place = None

    def visit(text: str, matrix: Any, text_matrix: Any, _font: object, size: float) -> None:
        nonlocal place
        for index, piece in enumerate(text.split("\n")):
            if index:
                finish()
            words.append(piece)
            if piece.strip() and place is None:
                y = text_matrix[4] * matrix[1] + text_matrix[5] * matrix[3] + matrix[5]
                scale = abs(text_matrix[3] * matrix[3]) or 1.0
                place = (float(y), float(size) * float(scale))

    page.extract_text(visitor_text=visit)
    finish()
    return lines


def _clean(text: str) -> str:
    """Return text that UTF-8 can hold: pairs of surrogates joined, halves and NULs replaced."""
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined.replace("\x00", "\ufffd")


def _without_running_lines(pages: Sequence[Sequence[_Line]]) -> list[list[_Line]]:
    counts: Counter[tuple[str, int]] = Counter()
    for page in pages:
        counts.update({line.key for line in (*page[:_EDGE], *page[-_EDGE:])})
    enough = max(2, ceil(_RUNNING_SHARE * len(pages)))

    def is_running(line: _Line) -> bool:
        if _PAGE_NUMBER.fullmatch(line.text):
            return True
        return counts[line.key] >= enough and any(char.isalpha() for char in line.text)

    kept = []
    usual = _usual_gap(pages)
    for page in pages:
        start, end = 0, len(page)
        while start < min(_EDGE, end) and is_running(page[start]):
            start += 1
        while 0 < start < end and not _begins_block(page[start - 1], page[start], usual):
            start -= 1
        while end > max(start, len(page) - _EDGE) and is_running(page[end - 1]):
            end -= 1
        while start < end < len(page) and not _begins_block(page[end - 1], page[end], usual):
            end += 1
        kept.append(list(page[start:end]))
    return kept


def _joined(pages: Sequence[Sequence[_Line]]) -> str:
    text = ""
    usual = _usual_gap(pages)
    for page in pages:
        above: _Line | None = None
        for line in page:
            if not text:
                text = line.text
            elif above is None:
                text += ("\n\n" if _SENTENCE_END.search(text) else "\n") + line.text
            else:
                text += ("\n\n" if _begins_block(above, line, usual) else "\n") + line.text
            above = line
    return text


def _usual_gap(pages: Sequence[Sequence[_Line]]) -> float:
    """Return the distance of two lines of a paragraph, infinite when it cannot be told."""
    gaps = [above.y - below.y for page in pages for above, below in pairwise(page)]
    return median([gap for gap in gaps if gap > 0] or [inf])


def _begins_block(above: _Line, below: _Line, usual: float) -> bool:
    small, large = sorted((above.size, below.size))
    if small > 0 and large / small > _OTHER_SIZE:
        return True
    # A line further up is the next column, in which the paragraph may go on.
    return above.y - below.y > _WIDE_GAP * usual
