"""Folders and paths: what is read, in which order, under which uri."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harvest.documents import Failure, read_documents
from harvest.errors import InputError
from kg.records import Document


def fill(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Text of {name}.")


def uris(*paths: Path | str, root: Path | None = None) -> list[str]:
    return [row.uri for row in read_documents(paths, root=root) if isinstance(row, Document)]


def test_folders_are_read_whole_sorted_and_without_hidden_files(tmp_path: Path) -> None:
    fill(tmp_path, "b.txt", "a/z.md", "a/b/c.TXT", "a.txt", ".hidden.txt", ".git/x.txt", "é.txt")
    assert uris(tmp_path) == ["a.txt", "a/b/c.TXT", "a/z.md", "b.txt", "é.txt"]


def test_uris_are_relative_to_the_root(tmp_path: Path) -> None:
    fill(tmp_path, "one/a.txt", "two/a.txt")
    assert uris(tmp_path / "one" / "a.txt") == ["a.txt"]
    assert uris(tmp_path / "one") == ["a.txt"]
    assert uris(tmp_path / "two", tmp_path / "one") == ["two/a.txt", "one/a.txt"]
    assert uris(tmp_path / "one", root=tmp_path) == ["one/a.txt"]


def test_a_path_outside_the_root_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "one/a.txt", "two/a.txt")
    with pytest.raises(InputError, match="does not lie below the root"):
        list(read_documents([tmp_path / "one"], root=tmp_path / "two"))
    with pytest.raises(InputError, match="nothing to read"):
        list(read_documents([]))


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    fill(tmp_path, "a.txt", "b.txt")
    assert uris(tmp_path / "b.txt", tmp_path, tmp_path / "a.txt") == ["b.txt", "a.txt"]


def test_other_formats_are_said_never_silent(tmp_path: Path) -> None:
    fill(tmp_path, "a.txt", "picture.png", "LICENSE", "notes.docx.gz")
    rows = {row.path: row for row in read_documents([tmp_path]) if isinstance(row, Failure)}
    assert set(rows) == {"picture.png", "LICENSE", "notes.docx.gz"}
    assert all(row.skipped for row in rows.values())
    assert "the format .docx" in rows["notes.docx.gz"].reason
    assert "without an extension" in rows["LICENSE"].reason


def test_named_by_the_user_another_format_is_a_failure(tmp_path: Path) -> None:
    fill(tmp_path, "picture.png")
    (row,) = read_documents([tmp_path / "picture.png"])
    assert isinstance(row, Failure) and not row.skipped and "txt, md, html" in row.hint


def test_a_missing_file_does_not_stop_the_others(tmp_path: Path) -> None:
    fill(tmp_path, "a.txt")
    missing, document = read_documents([tmp_path / "b.txt", tmp_path / "a.txt"])
    assert isinstance(document, Document)
    assert isinstance(missing, Failure)
    assert (missing.path, missing.reason) == (str(tmp_path / "b.txt"), "there is no such file")


def test_links_are_read_or_said(tmp_path: Path) -> None:
    fill(tmp_path, "docs/a.txt", "other/b.txt")
    (tmp_path / "docs" / "link.txt").symlink_to(tmp_path / "other" / "b.txt")
    (tmp_path / "docs" / "circle").symlink_to(tmp_path / "docs")
    (tmp_path / "docs" / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    assert uris(tmp_path / "docs") == ["a.txt", "link.txt"]
    failures = {r.path: r for r in read_documents([tmp_path / "docs"]) if isinstance(r, Failure)}
    assert "link to a folder" in failures["circle"].reason and failures["circle"].skipped
    assert "link to nothing" in failures["gone.txt"].reason


def test_a_pipe_does_not_hang_the_harvest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (row,) = read_documents([tmp_path])
    assert isinstance(row, Failure) and "no ordinary file" in row.reason


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a.txt", "b.txt")
    (tmp_path / "a.txt").chmod(0)
    if os.geteuid() == 0:  # root may read everything, so the refusal must come from us
        real = Path.open

        def refuse(path: Path, *args: object, **options: object) -> object:
            if path.name == "a.txt":
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, *args, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(Path, "open", refuse)
    denied, document = read_documents([tmp_path])
    assert isinstance(document, Document)
    assert isinstance(denied, Failure)
    assert "may not read" in denied.reason and "chmod" in denied.hint
