"""Text files: every character as it was written, or one clear row."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvest.documents import Failure, read_documents
from kg.records import Document


def read_one(path: Path) -> Document | Failure:
    rows = list(read_documents([path]))
    assert len(rows) == 1
    return rows[0]


def read_text(path: Path, data: bytes) -> Document:
    path.write_bytes(data)
    row = read_one(path)
    assert isinstance(row, Document), row
    return row


def refused(path: Path, data: bytes) -> Failure:
    path.write_bytes(data)
    row = read_one(path)
    assert isinstance(row, Failure), row
    assert row.hint and row.path == path.name and not row.skipped
    return row


HOSTILE = (
    "Zoe\u0308 👩‍🔬 met Ståle.\r\nOld Mac\rline\x0b and\u2028separators \ufeff\u202eabc\ttab  "
)


def test_characters_and_line_ends_stay_as_written(tmp_path: Path) -> None:
    document = read_text(tmp_path / "a b.txt", HOSTILE.encode())
    assert document.text == HOSTILE
    assert (document.uri, document.title, document.meta) == ("a b.txt", "a b", {})


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_is_read_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    text = "x" + text  # a leading byte-order mark is dropped on purpose; blanks are refused
    folder = tmp_path_factory.mktemp("text")
    assert read_text(folder / "t.txt", text.encode()).text == text
    assert read_text(folder / "t.txt.gz", gzip.compress(text.encode())).text == text


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32", "utf-16-be", "utf-16-le"])
def test_a_byte_order_mark_decides_and_is_dropped(tmp_path: Path, codec: str) -> None:
    mark = "\ufeff" if codec.endswith("e") else ""
    document = read_text(tmp_path / "a.txt", (mark + HOSTILE).encode(codec))
    assert document.text == HOSTILE


def test_a_wrong_mark_is_refused(tmp_path: Path) -> None:
    row = refused(tmp_path / "a.txt", b"\xef\xbb\xbfM\xfcller")
    assert "its mark says utf-8, but byte 1 is not" in row.reason and "iconv" in row.hint


def test_another_encoding_is_guessed_and_the_guess_is_told(tmp_path: Path) -> None:
    text = "Lise Meitner ging nach Köln. Später lehrte sie in München über Größenordnungen.\r\n"
    document = read_text(tmp_path / "latin.txt", text.encode("latin-1"))
    assert document.text == text
    assert "which is a guess" in document.meta["warning"]
    assert document.meta["encoding"] in document.meta["warning"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b" \r\n\t ", "the file holds only blanks"),
        (b"GIF89a\x00\x01\x00", "it is a binary file (it holds NUL bytes)"),
        (bytes(range(1, 32)) * 9 + b"\x81\x8d\x8f\xff\xfe", "neither UTF-8"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    assert reason in refused(tmp_path / "a.txt", data).reason


@pytest.mark.parametrize(
    "data",
    [b"not gzip at all", gzip.compress(b"Marie Curie " * 999)[:-20], gzip.compress(b"x" * 99)[:-1]],
)
def test_a_broken_gzip_is_refused(tmp_path: Path, data: bytes) -> None:
    row = refused(tmp_path / "a.txt.gz", data)
    assert "the gzip file is broken" in row.reason and "gunzip" in row.hint


def test_a_gzip_with_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(b"Marie Curie was born in Warsaw. " * 50))
    data[-6] ^= 1  # the checksum
    assert "broken" in refused(tmp_path / "a.txt.gz", bytes(data)).reason


def test_reading_again_gives_the_same_ids(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Marie Curie")
    assert read_one(tmp_path / "a.txt") == read_one(tmp_path / "a.txt")


def test_a_heading_is_the_title_and_a_sentence_is_not(tmp_path: Path) -> None:
    assert read_text(tmp_path / "a.txt", b"Lise Meitner\r\n\r\nShe fled.").title == "Lise Meitner"
    assert read_text(tmp_path / "b.txt", b"She fled.\n\nTo Sweden.").title == "b"
    assert read_text(tmp_path / "c.txt", b"Lise Meitner\nfled.").title == "c"
