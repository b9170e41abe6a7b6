"""PDF files: the text layer without what every page repeats."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from harvest.documents import Failure, read_documents
from kg.records import Document
from tests.harvest.documents import pdf_files

PARAGRAPHS = [
    f"In paragraph {word}, Marie Curie measured the radiation of uranium salts at the Sor-\n"
    "bonne in Paris, and the laboratory of Henri Becquerel sent her samples by post. She wrote "
    "each value into a notebook that still glows in the dark. "
    for word in "alpha beta gamma delta epsilon zeta eta theta".split()
]


def read_pdf(path: Path, data: bytes) -> Document | Failure:
    path.write_bytes(data)
    (row,) = read_documents([path])
    return row


def read_good(path: Path, data: bytes) -> Document:
    row = read_pdf(path, data)
    assert isinstance(row, Document), row
    return row


def test_running_lines_and_page_numbers_are_gone(tmp_path: Path) -> None:
    data = pdf_files.report(PARAGRAPHS, heading="Radiation")
    document = read_good(tmp_path / "a.pdf", data)
    assert document.meta["pages"] >= 4
    assert "Annals" not in document.text and "Page" not in document.text
    joined = " ".join(document.text.split())
    for paragraph in PARAGRAPHS:  # nothing else is lost, also where a page ends inside
        assert " ".join(paragraph.split()) in joined


def test_blocks_and_hyphens(tmp_path: Path) -> None:
    document = read_good(tmp_path / "a.pdf", pdf_files.report(PARAGRAPHS, heading="Radiation"))
    blocks = document.text.split("\n\n")
    assert blocks[0] == "Radiation"
    assert len(blocks) >= len(PARAGRAPHS)
    assert "Sor-\nbonne" in document.text


def test_numbers_that_differ_do_not_hide_a_running_line(tmp_path: Path) -> None:
    document = read_good(
        tmp_path / "a.pdf", pdf_files.report(PARAGRAPHS, running="Annals, volume 12, 1903")
    )
    assert "Annals" not in document.text


def test_one_page_keeps_its_first_line(tmp_path: Path) -> None:
    document = read_good(tmp_path / "a.pdf", pdf_files.report(["Short text."], running="A title"))
    assert document.text == "A title\n\nShort text."


def test_packed_files_and_titles(tmp_path: Path) -> None:
    data = pdf_files.report(PARAGRAPHS)
    assert (
        read_good(tmp_path / "a.pdf.gz", gzip.compress(data)).text
        == read_good(tmp_path / "a.pdf", data).text
    )
    assert read_good(tmp_path / "a.pdf", data).title == "a"


def test_an_encrypted_file_says_how_to_decrypt_it(tmp_path: Path) -> None:
    row = read_pdf(tmp_path / "a.pdf", pdf_files.encrypted("secret words", user_password="pw"))
    assert isinstance(row, Failure)
    assert row.reason == "the PDF is encrypted" and "qpdf --password" in row.hint


def test_a_file_encrypted_with_an_empty_password_is_read(tmp_path: Path) -> None:
    document = read_good(tmp_path / "a.pdf", pdf_files.encrypted("open words", user_password=""))
    assert document.text == "open words"


def test_pictures_of_text_are_refused(tmp_path: Path) -> None:
    row = read_pdf(tmp_path / "a.pdf", pdf_files.scanned("Marie Curie"))
    assert isinstance(row, Failure)
    assert "none of its 1 pages has text" in row.reason and "ocrmypdf" in row.hint


@pytest.mark.parametrize("data", [b"%PDF-1.7\nnothing", b"no pdf", b"%PDF-1.7\n" + b"\xff" * 500])
def test_broken_files_are_refused(tmp_path: Path, data: bytes) -> None:
    row = read_pdf(tmp_path / "a.pdf", data)
    assert isinstance(row, Failure)
    assert "the PDF is broken" in row.reason and "qpdf" in row.hint
    assert "\n" not in str(row)


def test_damage_anywhere_gives_text_or_one_row(tmp_path: Path) -> None:
    """Flipped, missing and doubled bytes: never a traceback, and never hours."""
    good = pdf_files.report(PARAGRAPHS[:2])
    rng = random.Random(7)
    for _ in range(60):
        data = bytearray(good)
        for _ in range(rng.randint(1, 30)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.4:
            del data[rng.randrange(len(data)) :]
        row = read_pdf(tmp_path / "a.pdf", bytes(data))
        assert isinstance(row, (Document, Failure))
