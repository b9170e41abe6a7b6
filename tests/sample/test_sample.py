"""The sample that ships: readable, connected, with a schema that fits, and PDFs as made here."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from harvest.documents import Failure, read_documents
from kg.records import Document
from kg.schema import Schema
from tests.sample.make_pdfs import ARTICLES, HEADER

FOLDER = Path(str(files("harvest") / "sample"))


@pytest.fixture(scope="module")
def documents() -> dict[str, Document]:
    rows = list(read_documents([FOLDER]))
    failures = [row for row in rows if isinstance(row, Failure)]
    assert all(failure.skipped for failure in failures)
    assert [failure.path for failure in failures] == ["schema.yaml"]  # the one that is no document
    return {row.uri: row for row in rows if isinstance(row, Document)}


def test_the_mix_of_formats(documents: dict[str, Document]) -> None:
    kinds = Counter(Path(uri.partition("#")[0]).suffix for uri in documents)
    assert kinds == {".txt": 6, ".md": 3, ".html": 3, ".pdf": 2, ".jsonl": 5}


def test_every_article_is_a_short_one_with_a_title(documents: dict[str, Document]) -> None:
    for document in documents.values():
        assert document.title.strip(), document.uri
        assert 120 <= len(document.text.split()) <= 310, document.uri
        assert document.title.split()[-1] in document.text


def test_pages_lose_what_stands_around_the_text(documents: dict[str, Document]) -> None:
    for uri in ("marie-curie.html", "ernest-rutherford.html", "wilhelm-roentgen.html"):
        text = documents[uri].text
        assert "Home" not in text
        assert "Sheaf sample" not in text
        assert "counter of this page" not in text


@pytest.mark.parametrize("name", ARTICLES)
def test_a_pdf_reads_as_its_article(name: str, documents: dict[str, Document]) -> None:
    text = documents[f"{name}.pdf"].text
    written = ARTICLES[name][1].replace("|", "")
    # A hyphen at the end of a line may stay in the text, which is as it was read.
    squeezed = "".join(text.split()).replace("-", "")
    for sentence in written.replace("\n", " ").split(". "):
        assert "".join(sentence.split()).replace("-", "").strip(".") in squeezed
    assert HEADER not in text
    assert "Page 1 of 2" not in text


def test_the_pdf_files_are_what_the_script_makes(tmp_path: Path) -> None:
    script = Path(__file__).with_name("make_pdfs.py")
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, timeout=120)
    for name in ARTICLES:
        assert (tmp_path / f"{name}.pdf").read_bytes() == (FOLDER / f"{name}.pdf").read_bytes()


def test_articles_name_each_other(documents: dict[str, Document]) -> None:
    """So that links run across documents."""
    texts = {document.title: " ".join(document.text.split()) for document in documents.values()}
    named_in = {
        title: sum(title.split()[-1] in text for other, text in texts.items() if other != title)
        for title in texts
    }
    assert min(named_in.values()) >= 1, named_in
    assert sorted(named_in.values())[len(named_in) // 2] >= 4, named_in


def test_the_schema_loads_and_its_seeds_leave_the_answers_to_the_text() -> None:
    schema = Schema.load(FOLDER / "schema.yaml")
    assert schema.root("City") == "Place"
    assert schema.root("Element") == "Discovery"
    assert schema.is_literal(schema.relations["date_of_birth"].tail)
    for relation in schema.relations.values():
        assert relation.description
        assert relation.seeds
        for template in relation.templates:
            assert "{head}" in template
            assert "{tail}" in template
    articles = {path.stem for path in FOLDER.iterdir()}
    for relation in schema.relations.values():
        for head, _ in relation.seeds:
            assert head.lower().replace(" ", "-") not in articles
