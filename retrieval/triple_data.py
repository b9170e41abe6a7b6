"""Triples with texts as arrays: from a plain data folder, or from the records of a graph.

A data folder holds tab-separated triples (head, relation, tail; no header) and texts:

| file | content |
|---|---|
| `train`, `dev` or `valid`, `test` `.tsv` or `.txt` | the original, *transductive* split |
| `ind-train.tsv`, `ind-dev.tsv`, `ind-test.tsv` | the *inductive* split: new entities |
| `entities.txt` | optional: one id a line, all candidates of the transductive split |
| `entity2text.txt` | id, text |
| `entity2wikidata.json` | optional: {id: {"label", "description"}}, preferred where it exists |

Each file may be stored as `name` or `name.xz`. UTF-8; LF or CRLF; the last line may lack its
newline. **Candidates come from the triples or `entities.txt`, never from the text file**: text
files often describe ids that belong to no triple of the data set.
"""

from __future__ import annotations

import json
import lzma
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from retrieval.errors import DataFormatError, near_matches

__all__ = ["IntArray", "SplitName", "TripleData", "load_folder"]

type IntArray = npt.NDArray[np.int64]
type SplitName = Literal["transductive", "inductive"]

#: Texts by preference, and what stands in for an entity that the first one lacks.
TEXT_FILES: Final = ("entity2wikidata.json", "entity2text.txt")

#: How a file of triples may end, plain or with `.xz` behind it.
ENDINGS: Final = (".tsv", ".txt")

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_PLAIN: Final = {"n": " ", "t": " ", "r": " ", '"': '"', "'": "'", "\\": "\\", "/": "/"}


@dataclass(frozen=True, slots=True)
class TripleData:
    """Triples as integer rows, with the ids and texts that the integers stand for.

    >>> data = TripleData.of([("a", "likes", "b")], texts={"a": "Ann", "b": "Bob"})
    >>> data.entities, data.relations, data.texts, data.train.tolist()
    (('a', 'b'), ('likes',), ('Ann', 'Bob'), [[0, 0, 1]])
    """

    #: Ids of all candidates, sorted; row numbers below are positions in it.
    entities: tuple[str, ...]
    relations: tuple[str, ...]
    #: Text of each entity, aligned with `entities`.
    texts: tuple[str, ...]
    #: [n, 3] head, relation, tail.
    train: IntArray
    dev: IntArray
    test: IntArray
    #: Where the texts come from, written into every result.
    text_source: str = ""
    #: Entities without a text of their own, which got their id instead.
    without_text: int = 0
    origin: str = ""
    _rows: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        train: Iterable[tuple[str, str, str]],
        *,
        dev: Iterable[tuple[str, str, str]] = (),
        test: Iterable[tuple[str, str, str]] = (),
        texts: Mapping[str, str] | None = None,
        entities: Iterable[str] = (),
        text_source: str = "ids",
        origin: str = "",
    ) -> TripleData:
        """Return the data of triples given as strings; `entities` adds candidates without triple.

        An entity that `texts` lacks gets its id, underscores as spaces.
        """
        parts = [list(train), list(dev), list(test)]
        names = set(entities)
        for part in parts:
            names.update(head for head, _, _ in part)
            names.update(tail for _, _, tail in part)
        ordered = tuple(sorted(names))
        relations = tuple(sorted({relation for part in parts for _, relation, _ in part}))
        row = {name: position for position, name in enumerate(ordered)}
        number = {name: position for position, name in enumerate(relations)}
        arrays = [
            np.array([(row[h], number[r], row[t]) for h, r, t in part], np.int64).reshape(-1, 3)
            for part in parts
        ]
        known = texts or {}
        return cls(
            entities=ordered,
            relations=relations,
            texts=tuple(known.get(name) or name.replace("_", " ") for name in ordered),
            train=arrays[0],
            dev=arrays[1],
            test=arrays[2],
            text_source=text_source,
            without_text=sum(1 for name in ordered if not known.get(name)),
            origin=origin,
        )

    def entities_of(self, *splits: Sequence[Sequence[int]] | IntArray) -> IntArray:
        """Return the sorted rows of all entities that occur in the given triples."""
        ends = [np.asarray(split, dtype=np.int64).reshape(-1, 3)[:, [0, 2]] for split in splits]
        return np.unique(np.concatenate(ends)) if ends else np.empty(0, np.int64)


def load_folder(
    folder: Path | str, *, split: SplitName = "transductive", text: str | None = None
) -> TripleData:
    """Return the data of a folder (layout in the module's docstring).

    Args:
        folder: the data folder.
        split: "inductive" reads the `ind-*` files.
        text: name of the text file to use instead of the preferred one that exists.

    Raises:
        DataFormatError: if the folder, the split or the text file is missing or a line is wrong;
            the message names file and line.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataFormatError(f"{root} is not a folder; --data takes a folder of TSV files")
    prefix = "ind-" if split == "inductive" else ""
    parts = {
        part: _triples(_find(root, [f"{prefix}{stem}{end}" for stem in stems for end in ENDINGS]))
        for part, stems in (("train", ("train",)), ("dev", ("dev", "valid")), ("test", ("test",)))
    }
    listed = [] if prefix else _optional_lines(root, "entities.txt")
    texts, source = _texts(root, text)
    return TripleData.of(
        parts["train"],
        dev=parts["dev"],
        test=parts["test"],
        texts=texts,
        entities=listed,
        text_source=source,
        origin=root.name,
    )


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, plain or `.xz`, without their ends (LF or CRLF).

    Only LF ends a line: other Unicode line breaks may be part of a text.
    """
    try:
        stored = path.read_bytes()
        content = (lzma.decompress(stored) if path.suffix == ".xz" else stored).decode("utf-8")
    except (lzma.LZMAError, EOFError) as error:
        raise DataFormatError(f"{path} is a damaged .xz file ({error}); fetch it again") from error
    except UnicodeDecodeError as error:
        raise DataFormatError(f"{path} is not UTF-8 ({error}); convert it first") from error
    lines = content.removeprefix("\ufeff").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def unescape(text: str) -> str:
    r"""Return the text with literal backslash escapes resolved.

    Dumps of older knowledge bases hold `\"` and `\n` as two characters; left alone, the n would
    be glued to the next word.

    >>> unescape(r'the \"best\"\nof caf\u00e9')
    'the "best" of café'
    """
    if "\\" not in text:
        return text
    return _ESCAPE.sub(
        lambda found: (
            chr(int(found[1][1:], 16)) if len(found[1]) == 5 else _PLAIN.get(found[1], found[0])
        ),
        text,
    )


def _find(root: Path, names: Sequence[str]) -> Path:
    for name in names:
        for path in (root / name, root / f"{name}.xz"):
            if path.is_file():
                return path
    raise DataFormatError(
        f"{root} has none of {', '.join(names)} (plain or .xz); "
        "a split needs a train, a dev (or valid) and a test file"
    )


def _triples(path: Path) -> list[tuple[str, str, str]]:
    triples = []
    for number, line in enumerate(read_lines(path), start=1):
        if not line:
            continue
        cells = line.split("\t")
        if len(cells) != 3 or not all(cells):
            raise DataFormatError(
                f"{path} line {number}: {line[:80]!r} is not three tab-separated cells "
                "(head, relation, tail)"
            )
        triples.append((cells[0], cells[1], cells[2]))
    if not triples:
        raise DataFormatError(f"{path} holds no triple")
    return triples


def _optional_lines(root: Path, name: str) -> list[str]:
    for path in (root / name, root / f"{name}.xz"):
        if path.is_file():
            return [line for line in read_lines(path) if line]
    return []


def _texts(root: Path, asked: str | None) -> tuple[dict[str, str], str]:
    """Return id → text and the names of the files used, the preferred one first."""
    wanted = (asked,) if asked else TEXT_FILES
    texts: dict[str, str] = {}
    used = []
    for name in wanted:
        for path in (root / name, root / f"{name}.xz"):
            if path.is_file():
                read = _json_texts(path) if ".json" in name else _tsv_texts(path)
                texts = {**read, **{key: value for key, value in texts.items() if value}}
                used.append(name)
                break
    if asked and not used:
        present = [path.name.removesuffix(".xz") for path in root.iterdir()]
        near = near_matches(asked, present)
        raise DataFormatError(
            f"{root} has no text file {asked!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        )
    return texts, " + ".join(used) or "ids"


def _tsv_texts(path: Path) -> dict[str, str]:
    texts = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line:
            continue
        name, tab, value = line.partition("\t")
        if not tab:
            raise DataFormatError(f"{path} line {number}: {line[:80]!r} has no tab after the id")
        texts[name] = unescape(value)
    return texts


def _json_texts(path: Path) -> dict[str, str]:
    try:
        entries = json.loads("\n".join(read_lines(path)))
    except json.JSONDecodeError as error:
        raise DataFormatError(f"{path} is not JSON: {error}") from error
    if not isinstance(entries, dict):
        raise DataFormatError(f"{path} must hold an object {{id: {{label, description}}}}")
    return {
        str(name): f"{entry.get('label') or ''} {entry.get('description') or ''}".strip()
        for name, entry in entries.items()
        if isinstance(entry, dict)
    }
