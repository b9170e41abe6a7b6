"""Markdown files: the words of each block without their marks."""

from __future__ import annotations

import gzip
from pathlib import Path

from harvest.documents import Failure, read_documents
from kg.records import Document

FILE = """---
title: The Curies
date: 1903-12-10
tags: [physics, radium]
---

# Marie *Curie*

Marie Curie was [born](https://example.org/w) in
**Warsaw**. She `measured` radiation.\\
Then &amp; there. ![portrait](marie.png) <span>inline</span><br>end

- Radium
- Polonium

  with a second paragraph

| Born | Died |
|------|------|
| 1867 | 1934 |

```python
Marie = "not a sentence"
```

> Quoted words.

<div><p>HTML words</p><script>no</script></div>
<!-- a comment -->
"""


def read_file(path: Path, data: bytes) -> Document:
    path.write_bytes(data)
    (row,) = read_documents([path])
    assert isinstance(row, Document), row
    return row


def test_a_file_becomes_its_blocks(tmp_path: Path) -> None:
    document = read_file(tmp_path / "a.md", FILE.encode())
    assert document.text.split("\n\n") == [
        "Marie Curie",
        "Marie Curie was born in Warsaw. She measured radiation.\nThen & there.  inline\nend",
        "Radium",
        "Polonium",
        "with a second paragraph",
        "Born\tDied",
        "1867\t1934",
        "Quoted words.",
        "HTML words",
    ]
    assert document.title == "The Curies"
    assert document.media_type == "text/markdown"
    assert document.meta["front_matter"] == {
        "title": "The Curies",
        "date": "1903-12-10",
        "tags": ["physics", "radium"],
    }


def test_line_ends_and_packing_change_nothing(tmp_path: Path) -> None:
    plain = read_file(tmp_path / "a.md", FILE.encode())
    windows = read_file(tmp_path / "b.markdown", FILE.replace("\n", "\r\n").encode())
    packed = read_file(tmp_path / "c.md.gz", gzip.compress(FILE.encode()))
    assert plain.text == windows.text == packed.text
    assert plain.title == windows.title == packed.title


def test_the_title_is_the_first_heading_then_the_file_name(tmp_path: Path) -> None:
    assert read_file(tmp_path / "a.md", b"words\n\n## Lise *Meitner*\n").title == "Lise Meitner"
    assert read_file(tmp_path / "b_c.md", b"words").title == "b_c"


def test_what_only_looks_like_front_matter_is_text(tmp_path: Path) -> None:
    for name, text in {
        "rule.md": "---\nJust a sentence.\n---\nMore words.",
        "bad.md": "---\n: : [\n---\nMore words.",
        "open.md": "---\ntitle: never closed\n\nMore words.",
    }.items():
        document = read_file(tmp_path / name, text.encode())
        assert "More words." in document.text
        assert "front_matter" not in document.meta


def test_emoji_and_combining_marks_stay(tmp_path: Path) -> None:
    text = "Zoe\u0308 👩‍🔬 *met* Ståle"
    assert read_file(tmp_path / "a.md", text.encode()).text == "Zoe\u0308 👩‍🔬 met Ståle"


def test_a_file_without_words_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("```\ncode\n```\n![picture](x.png)\n")
    (row,) = read_documents([path])
    assert isinstance(row, Failure) and "no words" in row.reason
