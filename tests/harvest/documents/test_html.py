"""HTML pages: the page's own words, block by block."""

from __future__ import annotations

import gzip
from pathlib import Path

from harvest.documents import Failure, read_documents
from harvest.documents.html import html_text
from kg.records import Document

PAGE = """<!DOCTYPE html>
<html lang="en"><head><title> Marie
 Curie </title><style>p {color: red}</style><script>var x = "Nobel";</script></head>
<body><header><a href="/">Encyclopaedia of Everything</a></header>
<nav><ul><li>Home<li>Contact</ul></nav>
<h1>Marie Curie</h1>
<p>Marie Curie<sup class="reference">[1]</sup> was
  born in <b>War</b>saw.<br>She moved to&nbsp;Paris.</p>
<div>Loose words <span hidden>secret</span><p>A paragraph.</p> and a tail.</div>
<table><tr><th>Born</th><td>7 November 1867</td></tr>
<tr><th>Spouse</th><td>Pierre Curie</td></tr></table>
<ul><li>Radium</li><li>Polonium <!-- a comment --></li></ul>
<pre>two
lines</pre>
<form><button>Subscribe</button></form><aside>Related: Einstein</aside>
<div role="navigation">Next page</div>
<footer>Copyright 2026 Everything Inc.</footer></body></html>"""


def read_one(path: Path) -> Document | Failure:
    (row,) = read_documents([path])
    return row


def read_page(path: Path, data: bytes) -> Document:
    path.write_bytes(data)
    row = read_one(path)
    assert isinstance(row, Document), row
    return row


def test_a_page_becomes_its_blocks(tmp_path: Path) -> None:
    document = read_page(tmp_path / "p.html", PAGE.encode())
    assert document.title == "Marie Curie"
    assert document.media_type == "text/html"
    assert document.text.split("\n\n") == [
        "Marie Curie",
        "Marie Curie was born in Warsaw.\nShe moved to\u00a0Paris.",
        "Loose words",
        "A paragraph.",
        "and a tail.",
        "Born\t7 November 1867",
        "Spouse\tPierre Curie",
        "Radium",
        "Polonium",
        "two\nlines",
    ]


def test_packed_pages_are_the_same(tmp_path: Path) -> None:
    plain = read_page(tmp_path / "p.html", PAGE.encode())
    packed = read_page(tmp_path / "p.html.gz", gzip.compress(PAGE.encode()))
    assert (plain.text, plain.title) == (packed.text, packed.title)


def test_main_is_the_page_when_there_is_one() -> None:
    text = html_text("<body><div>Menu</div><main><header><h1>Radium</h1></header>x</main></body>")
    assert text == "Radium\n\nx"


def test_the_declared_encoding_is_used_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    page = '<meta charset="iso-8859-2"><p>Skłodowska żyła</p>'
    assert read_page(tmp_path / "a.html", page.encode("iso-8859-2")).text == "Skłodowska żyła"
    page = '<meta charset="ascii"><title>Łódź</title><p>Skłodowska'
    document = read_page(tmp_path / "b.html", page.encode())
    assert (document.text, document.title) == ("Skłodowska", "Łódź")


def test_emoji_combining_marks_and_entities(tmp_path: Path) -> None:
    page = "<p>Zoe\u0308 👩‍🔬 &amp; Ren&eacute; &#x1F600; &#xD83D;</p>"
    document = read_page(tmp_path / "a.html", page.encode())
    assert document.text.startswith("Zoe\u0308 👩‍🔬 & René 😀")
    document.text.encode()  # half a surrogate pair never gets this far


def test_deep_and_broken_pages_are_read(tmp_path: Path) -> None:
    deep = "<div>" * 3000 + "Deep words" + "</div>"
    assert "Deep words" in read_page(tmp_path / "a.html", deep.encode()).text
    broken = "<p>One<b>two</p><td>three</i><p>four <3 <"
    assert read_page(tmp_path / "b.html", broken.encode()).text.startswith("Onetwo\n\nthree")


def test_a_page_without_words_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "app.html"
    path.write_text("<html><body><script>render()</script></body></html>")
    row = read_one(path)
    assert isinstance(row, Failure)
    assert "shows no text" in row.reason and "browser" in row.hint
