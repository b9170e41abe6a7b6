"""Paths to documents: folders walked in order, each file given to the reader of its format.

| extension | reader |
|---|---|
| `.txt` `.text` | text, unchanged |
| `.md` `.markdown` | Markdown |
| `.html` `.htm` `.xhtml` | HTML |
| `.pdf` | the text layer of a PDF |
| `.jsonl` `.ndjson` | one document a line |

and each of them packed as `.gz`. A folder is read with all its folders, sorted by path, hidden
files left out. A file of another format inside a folder is one skipped row; named by the user
itself, it is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harvest.documents.html import read_html
from harvest.documents.jsonl import read_jsonl
from harvest.documents.markdown import read_markdown
from harvest.documents.pdf import read_pdf
from harvest.documents.plain import read_plain
from harvest.documents.source import Failure, Source
from harvest.errors import DocumentError, InputError
from kg.records import Document

__all__ = ["READERS", "Reading", "read_documents"]

#: Extension → reader.
READERS: Final[Mapping[str, Callable[[Source], Iterator[Document | Failure]]]] = {
    ".txt": read_plain,
    ".text": read_plain,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
    ".pdf": read_pdf,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
}

_FORMATS: Final = "txt, md, html, pdf, jsonl, or one of them as .gz"


def read_documents(
    paths: Sequence[str | os.PathLike[str]], *, root: str | os.PathLike[str] | None = None
) -> Iterator[Document | Failure]:
    """Yield the documents of files and folders, and a row for each that could not be read.

    Args:
        paths: files and folders, in the order to read them.
        root: folder that uris are relative to. By default the folder itself for one folder, the
            file's folder for one file, the common folder for several: the same call gives the
            same uris on every machine.

    Raises:
        InputError: if there are no paths, or a path does not lie below `root`.

    >>> [str(row) for row in read_documents(["no/such.txt"])]
    ['no/such.txt: there is no such file; check the spelling']
    """
    return iter(Reading(paths, root=root))


@dataclass(slots=True)
class Reading:
    """The documents of some paths, with how far the reading has come (for a progress bar).

    Iterating again reads again. Arguments as for `read_documents`.
    """

    paths: Sequence[str | os.PathLike[str]]
    root: str | os.PathLike[str] | None = None
    #: Bytes on disk of all files that will be read, and of those read so far.
    bytes_total: int = field(default=0, init=False)
    _bytes_finished: int = field(default=0, init=False)
    _current: Source | None = field(default=None, init=False)
    _inputs: list[Source | Failure] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Look at the folders once, so that mistakes of the call show at once."""
        if not self.paths:
            raise InputError("there is nothing to read: give at least one file or folder")
        root = _absolute(self.root) if self.root is not None else _common_root(self.paths)
        seen: set[Path] = set()
        for given in self.paths:
            for found in _found(given, root):
                if isinstance(found, Source):
                    if found.path in seen:  # named twice, or below a folder that is named too
                        continue
                    seen.add(found.path)
                    self.bytes_total += _size(found.path)
                self._inputs.append(found)

    @property
    def files(self) -> int:
        """Number of files that will be read."""
        return sum(isinstance(found, Source) for found in self._inputs)

    @property
    def bytes_read(self) -> int:
        """Bytes on disk that have been read so far."""
        return self._bytes_finished + (self._current.position if self._current else 0)

    def __iter__(self) -> Iterator[Document | Failure]:
        self._bytes_finished = 0
        for found in self._inputs:
            if isinstance(found, Failure):
                yield found
                continue
            self._current = found
            try:
                yield from READERS[found.suffix](found)
            except DocumentError as error:
                yield Failure(found.uri, error.reason, error.hint)
            self._bytes_finished += _size(found.path)
            self._current = None


def _found(given: str | os.PathLike[str], root: Path) -> Iterator[Source | Failure]:
    path = _absolute(given)
    if path.is_dir():
        yield from _walked(path, root)
    elif not path.exists():
        yield Failure(os.fspath(given), "there is no such file", "check the spelling")
    elif not path.is_file():
        yield Failure(os.fspath(given), "it is no ordinary file", f"give a file: {_FORMATS}")
    else:
        source = Source(path, _uri(path, root))
        if source.suffix in READERS:
            yield source
        else:
            yield Failure(
                source.uri,
                f"nothing here reads the format {source.suffix or 'without an extension'}",
                f"give it one of these formats: {_FORMATS}",
            )


def _walked(folder: Path, root: Path) -> Iterator[Source | Failure]:
    refused: list[OSError] = []
    files: list[Path] = []
    for where, folders, names in folder.walk(on_error=refused.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [where / name for name in names if not name.startswith(".")]
        # Folders behind a link are not walked (they may lead in circles), and that is said.
        files += [where / name for name in folders if (where / name).is_symlink()]
    rows: list[tuple[str, Source | Failure]] = []
    for path in files:
        source = Source(path, _uri(path, root))
        rows.append((source.uri, _input_of_folder(source)))
    for error in refused:
        uri = _uri(Path(str(error.filename)), root)
        rows.append((uri, Failure(uri, "this user may not look into it", "allow it: chmod u+rx")))
    yield from (row for _, row in sorted(rows, key=lambda row: row[0]))


def _input_of_folder(source: Source) -> Source | Failure:
    if source.path.is_dir():
        return Failure(source.uri, "it is a link to a folder", "name it yourself", skipped=True)
    if not source.path.is_file():
        if source.path.is_symlink():
            return Failure(source.uri, "it is a link to nothing", "mend or remove it")
        return Failure(source.uri, "it is no ordinary file", "move it away", skipped=True)
    if source.suffix not in READERS:
        return Failure(
            source.uri,
            f"nothing here reads the format {source.suffix or 'without an extension'}",
            f"readable are {_FORMATS}",
            skipped=True,
        )
    return source


def _absolute(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - keeps links, which Path.resolve follows


def _common_root(paths: Sequence[str | os.PathLike[str]]) -> Path:
    absolute = [_absolute(path) for path in paths]
    folders = [path if path.is_dir() else path.parent for path in absolute]
    try:
        return Path(os.path.commonpath(folders))
    except ValueError as error:  # different drives
        raise InputError(
            "the paths lie on different drives and have no common folder; harvest each drive by "
            "itself, or copy the files into one folder"
        ) from error


def _uri(path: Path, root: Path) -> str:
    try:
        return path.relative_to(root).as_posix()
    except ValueError as error:
        raise InputError(
            f"{path} does not lie below the root {root}; give a root that holds every path"
        ) from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # gone or unreadable: opening it will say so
        return 0
