"""One input file on its way to becoming documents, and the row that says why it could not.

Every reader is a function `read(source) -> Iterator[Document | Failure]`. It gets the bytes from
the source, which unpacks `.gz` and turns what the operating system says into `DocumentError`.
"""

from __future__ import annotations

import errno
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from harvest.errors import DocumentError

__all__ = ["MAX_BYTES", "Failure", "Source"]

#: Largest file (unpacked) that is read as one document, and longest line of a JSONL file, in
#: bytes: above it a damaged or hostile file would fill the memory. A longer JSONL file is fine.
MAX_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Failure:
    """One input that gave no document, as a row of the report.

    >>> str(Failure("a.pdf", "the file is empty", "remove it"))
    'a.pdf: the file is empty; remove it'
    """

    #: The file as the user knows it; `file.jsonl:7` is a line, a document's uri a document.
    path: str
    #: What was found and why it is refused.
    reason: str
    #: What the user can do about it.
    hint: str
    #: The file was passed over (nothing reads its format), which is no fault of the file.
    skipped: bool = False
    #: The text that a harvester could not read, "" if no text was reached.
    text: str = ""
    #: What a language model said of it instead of an answer.
    answer: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}; {self.hint}"


@dataclass(slots=True)
class Source:
    """A file to read.

    Args:
        path: where it lies.
        uri: its path relative to the harvest root, with forward slashes.
    """

    path: Path
    uri: str
    #: Bytes of the file (packed, if it is packed) that have been read so far: for progress.
    position: int = field(default=0, init=False)

    @property
    def suffix(self) -> str:
        """The extension that decides the format, lower case, without `.gz`.

        >>> Source(Path("x/A.TXT.gz"), "A.TXT.gz").suffix
        '.txt'
        """
        return PurePosixPath(self._unpacked_name).suffix.lower()

    @property
    def title(self) -> str:
        """The file's name without its extensions: the title of last resort.

        >>> Source(Path("x/marie_curie.md.gz"), "marie_curie.md.gz").title
        'marie_curie'
        """
        return PurePosixPath(self._unpacked_name).stem

    @property
    def _unpacked_name(self) -> str:
        name = self.path.name
        return name[:-3] if name.lower().endswith(".gz") else name

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the file for reading bytes, unpacked if it is a `.gz`.

        Raises:
            DocumentError: whatever the operating system or gzip says, in the user's words.
        """
        try:
            with self.path.open("rb") as raw:
                counted = _Counted(raw, self)
                if self.path.name.lower().endswith(".gz"):
                    with gzip.GzipFile(fileobj=counted, mode="rb") as unpacked:
                        yield unpacked  # type: ignore[misc]  # GzipFile is a BinaryIO in all we use
                else:
                    yield counted
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DocumentError(
                f"the gzip file is broken ({error})", "copy it again or unpack it with gunzip"
            ) from error
        except FileNotFoundError as error:
            raise DocumentError("there is no such file", "check the spelling") from error
        except PermissionError as error:
            raise DocumentError(
                "this user may not read it", f"allow it with: chmod u+r '{self.path}'"
            ) from error
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, "unknown error")
            raise DocumentError(
                f"the file cannot be read ({error.strerror or error}, {name})",
                "check the disk or copy the file again",
            ) from error

    def read(self) -> bytes:
        """Return the whole (unpacked) content.

        Raises:
            DocumentError: if it cannot be read, is empty, or is longer than `MAX_BYTES`.
        """
        with self.open() as stream:
            data = stream.read(MAX_BYTES + 1)
        if not data:
            raise DocumentError("the file is empty", "fill it or remove it")
        if len(data) > MAX_BYTES:
            raise DocumentError(
                f"it holds more than {MAX_BYTES // 1024**2} MiB, too much for one document",
                "split it, or make it JSONL with one document a line",
            )
        return data


class _Counted(io.BufferedIOBase, BinaryIO):
    """A stream that tells its source how far it has been read."""

    def __init__(self, stream: BinaryIO, source: Source) -> None:
        self._stream = stream
        self._source = source
        source.position = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._stream.read(-1 if size is None else size)
        self._source.position += len(data)
        return data

    def readline(self, size: int | None = -1, /) -> bytes:
        data = self._stream.readline(-1 if size is None else size)
        self._source.position += len(data)
        return data
