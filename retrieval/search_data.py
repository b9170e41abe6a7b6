"""A collection for entity search: entities with texts, queries, graded judgements, folds.

| file | a line, tab-separated |
|---|---|
| `corpus.tsv` | id, identifier elsewhere (may be empty), name, sentence (may be empty) |
| `queries.tsv` | id, text |
| `qrels.tsv` | query, anything, entity, gain (0 or more) |
| `folds.json` | {fold: {"training": [query, …], "testing": [query, …]}} |

Each may be stored as `name` or `name.xz`. The second column of the corpus is **not** a field to
search: only entities that have one could be judged, so that having one is half of an answer.

Query groups are those of DBpedia-Entity v2 (Hasibi et al., SIGIR 2017), which are not the prefixes
of the ids: `SemSearch_LS` asks for lists and belongs to ListSearch. With it among the entity look-
ups, BM25's SemSearch-ES falls from .805 to .634.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from retrieval.errors import DataFormatError
from retrieval.triple_data import read_lines, unescape

__all__ = ["Fold", "SearchData", "group_of", "load_search"]

#: Prefix of a query id → group.
GROUPS: Final = {
    "SemSearch_ES": "SemSearch-ES",
    "INEX_LD": "INEX-LD",
    "INEX_XER": "ListSearch",
    "SemSearch_LS": "ListSearch",
    "TREC_Entity": "ListSearch",
    "QALD2_tr": "QALD-2",
    "QALD2_te": "QALD-2",
}


@dataclass(frozen=True, slots=True)
class Fold:
    """Queries to learn from, and others to be measured on."""

    training: tuple[str, ...]
    testing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SearchData:
    """A collection in memory; `names` and `sentences` are aligned with `entities`."""

    entities: tuple[str, ...]
    names: tuple[str, ...]
    sentences: tuple[str, ...]
    queries: dict[str, str]
    #: Query → entity → gain.
    gains: dict[str, dict[str, int]]
    folds: tuple[Fold, ...]
    origin: str

    def texts(self) -> list[str]:
        """Return name and sentence as one text, what an encoder reads."""
        return [
            f"{name}: {sentence}" if sentence else name
            for name, sentence in zip(self.names, self.sentences, strict=True)
        ]


def group_of(query: str) -> str:
    """Return the official group of a query id, "other" for ids of other collections.

    >>> group_of("SemSearch_LS-20"), group_of("SemSearch_ES-20"), group_of("q7")
    ('ListSearch', 'SemSearch-ES', 'other')
    """
    return GROUPS.get(query.partition("-")[0], "other")


def load_search(folder: Path | str) -> SearchData:
    """Return the collection of a folder; the module's docstring shows its files.

    Queries without a relevant entity are left out: nothing could be found for them.

    Raises:
        DataFormatError: a file is missing or a line wrong; a fold measures on a query that it
            learns from; or the folds do not measure each query once.
    """
    root = Path(folder)
    ids, names, sentences = [], [], []
    for cells in _rows(root, "corpus.tsv", 4):
        ids.append(cells[0])
        names.append(unescape(cells[2]))
        sentences.append(unescape(cells[3]))
    known = set(ids)
    if len(known) != len(ids):
        raise DataFormatError(f"{root}/corpus.tsv names an entity twice; give each one line")
    asked = {row[0]: row[1] for row in _rows(root, "queries.tsv", 2)}
    gains: dict[str, dict[str, int]] = {query: {} for query in asked}
    for query, _, entity, gain in _rows(root, "qrels.tsv", 4):
        if query not in asked or entity not in known or not gain.isdecimal():
            raise DataFormatError(
                f"{root}/qrels.tsv judges {entity!r} for {query!r} with {gain!r}: give a query of "
                "queries.tsv, an entity of corpus.tsv and a gain of 0 or more"
            )
        gains[query][entity] = int(gain)
    answered = {query: text for query, text in asked.items() if any(gains[query].values())}
    return SearchData(
        tuple(ids),
        tuple(names),
        tuple(sentences),
        answered,
        {query: gains[query] for query in answered},
        _folds(root, asked, set(answered)),
        root.name,
    )


def _file(root: Path, name: str) -> Path:
    for path in (root / name, root / f"{name}.xz"):
        if path.is_file():
            return path
    raise DataFormatError(f"{root} has no {name} (plain or .xz); see retrieval.search_data")


def _rows(root: Path, name: str, cells: int) -> list[list[str]]:
    path = _file(root, name)
    rows = []
    for number, line in enumerate(read_lines(path), start=1):
        row = line.split("\t")
        if len(row) != cells or not row[0]:
            raise DataFormatError(
                f"{path} line {number}: {line[:80]!r} is not {cells} tab-separated cells"
            )
        rows.append(row)
    return rows


def _folds(root: Path, asked: dict[str, str], answered: set[str]) -> tuple[Fold, ...]:
    path = _file(root, "folds.json")
    try:
        read = json.loads("\n".join(read_lines(path)))
        listed = [(one["training"], one["testing"]) for _, one in sorted(read.items())]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataFormatError(f"{path} is not folds of training and testing ({error})") from error
    folds = []
    for training, testing in listed:
        both = set(training) & set(testing)
        if both:
            raise DataFormatError(f"{path}: {min(both)!r} is learned from and measured on at once")
        folds.append(
            Fold(
                tuple(query for query in training if query in answered),
                tuple(query for query in testing if query in answered),
            )
        )
    tested = [query for fold in folds for query in fold.testing]
    if sorted(tested) != sorted(answered) or not set(tested) <= set(asked):
        raise DataFormatError(
            f"{path} measures {len(tested)} times on {len(set(tested))} of {len(answered)} queries;"
            " each query belongs to the testing part of one fold"
        )
    return tuple(folds)
