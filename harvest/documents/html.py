"""HTML to readable text: the page's own words, block by block.

Blocks (paragraphs, headings, list items, table rows) are separated by a blank line, `<br>` is a
line end, cells of a row are separated by a tab, and other white space is one space, as a browser
shows it. What surrounds the page's own words is left out: scripts, navigation, page headers and
footers, forms, hidden parts, and the footnote marks and edit links of MediaWiki, which would
otherwise stand inside sentences.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from harvest.documents.decoding import decode, require_text
from harvest.documents.source import Failure, Source
from harvest.errors import DocumentError
from kg.records import Document

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

__all__ = ["html_text", "read_html"]

_DROPPED: Final = frozenset(
    "aside audio button canvas dialog embed footer form head iframe input link math meta nav "
    "noscript object script select style svg template textarea video".split()
)
_DROPPED_ROLES: Final = frozenset(
    "alert banner complementary contentinfo dialog menu navigation search".split()
)
#: Classes of MediaWiki pages: footnote marks, edit links, navigation boxes, print-only hints.
_DROPPED_CLASSES: Final = frozenset(("reference", "mw-editsection", "navbox", "noprint", "toc"))

_BLOCKS: Final = frozenset(
    "address article blockquote body caption center dd details div dl dt fieldset figcaption "
    "figure h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main ol p pre section summary table "
    "tbody tfoot thead tr ul".split()
)

_BLANKS: Final = re.compile(r"[ \t\n\r\f\v]+")
#: Stands for `<br>` until white space has been joined; no text of ours begins with it.
_BREAK: Final = "\x00"
_AROUND_BREAK: Final = re.compile(f" *({_BREAK}|\t) *")


def read_html(source: Source) -> Iterator[Document | Failure]:
    """Yield the one document of an HTML page.

    Its title is the page's `<title>`, else its first heading, else the file's name.

    Raises:
        DocumentError: if the file cannot be read, or shows no words of its own.
    """
    from bs4.dammit import EncodingDetector

    data = source.read()
    declared = EncodingDetector.find_declared_encoding(data, is_html=True) or ""
    page, meta = decode(data, declared=declared)
    soup = _parse(page)
    title = _title(soup)
    text = require_text(_body_text(soup))
    if not text:
        raise DocumentError(
            "the page shows no text (perhaps a script writes it)",
            "save the page from a browser after it has loaded",
        )
    yield Document(
        uri=source.uri, text=text, title=title or source.title, media_type="text/html", meta=meta
    )


def html_text(fragment: str) -> str:
    r"""Return the readable text of a piece of HTML.

    >>> html_text("<p>Marie <b>Curie</b><script>x</script></p><ul><li>a<li>b</ul>")
    'Marie Curie\n\na\n\nb'
    """
    return _body_text(_parse(fragment))


def _parse(page: str) -> BeautifulSoup:
    from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning

    with warnings.catch_warnings():
        # XHTML read as HTML is what we want here: its words are the same.
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        return BeautifulSoup(page, "lxml")


def _title(soup: BeautifulSoup) -> str:
    for name in ("title", "h1", "h2"):
        tag = soup.find(name)
        words = _BLANKS.sub(" ", tag.get_text()).strip() if tag else ""
        if words:
            return require_text(words, what="the title")
    return ""


def _body_text(soup: BeautifulSoup) -> str:
    root = soup.find("main") or soup.body or soup
    return "\n\n".join(_blocks(root))


def _blocks(root: Tag) -> Iterator[str]:
    """Yield the text of each block, in reading order, without recursion (pages nest deeply)."""
    from bs4.element import NavigableString, PreformattedString, Tag

    words: list[str] = []
    preformatted = 0
    stack: list[Tag | NavigableString | str] = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, Tag):
            if _is_dropped(node):
                continue
            if node.name == "br":
                words.append(_BREAK)
                continue
            if node.name in ("td", "th"):
                stack.append("cell")
            if node.name in _BLOCKS:
                yield from _finished(words)
                stack.append(f"end {node.name}")
                preformatted += node.name == "pre"
            stack.extend(reversed(node.contents))  # type: ignore[arg-type]
        elif isinstance(node, PreformattedString):
            continue  # comments, declarations, CDATA
        elif isinstance(node, NavigableString):
            text = str(node).replace(_BREAK, "")
            if preformatted:
                words.append(text.replace("\r\n", "\n").replace("\n", _BREAK))
            else:
                words.append(_BLANKS.sub(" ", text))
        elif node == "cell":
            words.append("\t")
        else:
            preformatted -= node == "end pre"
            yield from _finished(words)
    yield from _finished(words)


def _finished(words: list[str]) -> Iterator[str]:
    block = _AROUND_BREAK.sub(r"\1", re.sub(" {2,}", " ", "".join(words)))
    words.clear()
    block = block.replace(_BREAK, "\n").strip()
    if block:
        yield re.sub(r"\n{2,}", "\n", block)


def _is_dropped(tag: Tag) -> bool:
    if tag.name in _DROPPED or (tag.name == "header" and not tag.find_parent(["article", "main"])):
        return True
    attributes = tag.attrs
    if not attributes:
        return False
    classes = attributes.get("class") or ()
    return (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or attributes.get("role") in _DROPPED_ROLES
        or not _DROPPED_CLASSES.isdisjoint([classes] if isinstance(classes, str) else classes)
    )
