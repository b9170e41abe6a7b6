"""JSONL files: one document a line, read as a stream."""

from __future__ import annotations

import gzip
import itertools
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from harvest.documents import Failure, Reading, read_documents
from kg.records import Document


def rows_of(path: Path, *lines: Any) -> list[Document | Failure]:
    path.write_bytes(
        b"\n".join(
            line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode()
            for line in lines
        )
    )
    return list(read_documents([path]))


def test_fields_and_keys(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path / "a.jsonl",
        {"id": 12, "title": "Radium", "text": "Radium glows.\r\n"},
        {"url": "https://example.org/x", "text": "Zoe\u0308 👩‍🔬"},
        b"  ",
        {"uri": "third", "text": "c"},
        {"text": "no key", "other": [1]},
    )
    assert [row.uri for row in rows if isinstance(row, Document)] == [
        "a.jsonl#12",
        "a.jsonl#https://example.org/x",
        "a.jsonl#third",
        "a.jsonl#5",
    ]
    first, second, *_ = rows
    assert isinstance(first, Document) and isinstance(second, Document)
    assert (first.title, first.text) == ("Radium", "Radium glows.\r\n")
    assert second.text == "Zoe\u0308 👩‍🔬"
    assert second.meta == {"url": "https://example.org/x"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "a"', "the line is no JSON"),
        (b"\x00\x01", "binary"),
        (b"[1, 2]", "the line is a list, not an object"),
        (b'{"title": "a"}', "its text is empty or missing"),
        (b'{"text": "  "}', "its text is empty or missing"),
        (b'{"text": 7}', 'the field "text" is a int, not a string'),
        (b'{"text": "a", "id": [1]}', 'the field "id" is a list'),
        (b'{"text": "a", "id": true}', 'the field "id" is a bool'),
        (b'{"text": "a \\ud83d b"}', "holds half a character (U+D83D at character 2)"),
        (b'{"text": "a", "id": "\\udc00"}', 'the field "id" holds half a character'),
        (b'{"text": "a", "title": "\\udc00"}', 'the field "title" holds half a character'),
        (b'{"id": "first", "text": "again"}', "the key 'first' was used by an earlier line"),
        (b"[" * 100_000, "the line nests too deeply"),
    ],
)
def test_a_bad_line_is_one_row_and_the_others_go_on(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    good = {"text": "fine"}
    before, bad, after = rows_of(tmp_path / "a.jsonl", {**good, "id": "first"}, line, good)
    assert isinstance(before, Document) and isinstance(after, Document)
    assert isinstance(bad, Failure)
    assert bad.path == "a.jsonl:2"
    assert reason in bad.reason and bad.hint


def test_whole_surrogate_pairs_are_characters(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path / "a.jsonl", b'{"text": "\\ud83d\\ude00"}')
    assert isinstance(row, Document) and row.text == "😀"


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path / "a.jsonl", b"\n", b"")
    assert isinstance(row, Failure) and row.reason == "the file is empty"


def test_a_gzip_that_breaks_off_gives_what_came_before(tmp_path: Path) -> None:
    lines = b"".join(b'{"text": "line %d %s"}\n' % (i, b"x" * (i % 97)) for i in range(20_000))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines)[:-5000])
    *documents, last = read_documents([tmp_path])
    assert len(documents) > 1000 and all(isinstance(row, Document) for row in documents)
    assert isinstance(last, Failure) and "gzip file is broken" in last.reason


@pytest.mark.parametrize("name", ["big.jsonl", "big.jsonl.gz"])
def test_a_large_file_is_streamed(tmp_path: Path, name: str) -> None:
    line = json.dumps({"text": "word " * 2000}).encode() + b"\n"
    lines = line * 2000  # 20 MB
    (tmp_path / name).write_bytes(gzip.compress(lines, 1) if name.endswith("gz") else lines)
    del lines
    reading = Reading([tmp_path / name])
    tracemalloc.start()
    count = sum(isinstance(row, Document) for row in reading)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 2000
    assert peak < 4_000_000
    assert reading.bytes_read == reading.bytes_total > 0


def test_reading_stops_where_the_reader_stops(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "x"}\n' * 5 + b"\xff")
    reading = Reading([path])
    assert len(list(itertools.islice(reading, 3))) == 3
    assert 0 < reading.bytes_read < reading.bytes_total
