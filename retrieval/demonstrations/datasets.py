r"""The tasks that demonstration retrieval is measured on, read from a data folder.

| name | files below the folder | pool / queries | labels |
|---|---|---|---|
| `sst2` | `demos/sent_cls/stsa.binary.{train,test}` | 6,920 / 1,821 | 2 |
| `sst5` | `demos/sent_cls/stsa.fine.{train,test}` | 8,544 / 2,210 | 5 |
| `trec` | `demos/sent_cls/TREC.{train,test}.all` | 5,452 / 500 | 6 |
| `mr` | `demos/sent_cls/rt-polarity.all` | 8,662 / 2,000 | 2 |
| `cr` | `demos/sent_cls/custrev.all` | 1,772 / 2,003 | 2 |
| `subj` | `demos/sent_cls/subj.all` | 8,000 / 2,000 | 2 |
| `semeval-re` | `demos/semeval_masked_re/semeval_{train,test}_data.json` | 7,016 / 2,715 | 19 |
| `fewrel` | `re/fewrel/val_wiki.json`, masked | 5,600 / 3,000 | 16 |
| `fewrel-nyt` | `re/fewrel/val_nyt.json`, masked | 1,250 / 1,250 | 25 |
| `fewrel-wiki-nyt` | both, the eight relations that they share | 5,600 / 800 | 8 |

Each of the last three also comes with its names unmasked: `fewrel-plain` and so on. They are not in
`NAMES`.

One sentence of FewRel serves several items, masked differently: `provenance["sentence"]` is its
`text_key`, by which a query must be kept from its own sentence.

Traps: `splitlines` breaks MR and Subj (byte 0x85 inside lines); much of the test of SST also stands
in MR and Subj, so what is trained on several tasks first loses every text that any test holds
(`without_tests`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from retrieval.demonstrations.task import Demo, Task
from retrieval.errors import DataFormatError, QueryShapeError

__all__ = ["FEWREL_NAMES", "NAMES", "TaskData", "load_task", "text_key", "without_tests"]

_SENTIMENT: Final = {"0": "terrible", "1": "great"}
_SENTIMENT_5: Final = {"0": "terrible", "1": "bad", "2": "okay", "3": "good", "4": "great"}
_TREC: Final = dict(
    zip("012345", "Description Entity Expression Human Location Number".split(), strict=True)
)
_SUBJ: Final = {"0": "subjective", "1": "objective"}
#: SemEval's relation between e1 and e2 → what SUBJ (e1) is to OBJ (e2), and the other way round.
_SEMEVAL: Final = {
    "Cause-Effect": "causes",
    "Component-Whole": "is part of",
    "Content-Container": "is inside",
    "Entity-Destination": "goes into",
    "Entity-Origin": "comes from",
    "Instrument-Agency": "is used by",
    "Member-Collection": "is a member of",
    "Message-Topic": "is about",
    "Product-Producer": "is made by",
}
_FIRST_POOL: Final = {"mr": 8662, "cr": 1772, "subj": 8000}
_FILES: Final = {"mr": "rt-polarity.all", "cr": "custrev.all", "subj": "subj.all"}
_MOST_QUERIES: Final = 3000


@dataclass(frozen=True)
class TaskData:
    """A task with its pool, and the queries of its test (their outputs are the gold answers)."""

    task: Task
    test: tuple[Demo, ...]


def text_key(text: str) -> str:
    """Return what two spellings of one text share: its letters and digits, in lower case.

    >>> text_key("It 's GOOD .") == text_key("it's good")
    True
    """
    return re.sub(r"[\W_]+", "", text.casefold())


def source_keys(demo: Demo) -> set[str]:
    """Return the keys of a demonstration's text and of the sentence that it was made of.

    Two that share one give each other away, also where the sentence is masked in two ways.

    >>> source = {"sentence": "adaknewbob"}
    >>> sorted(source_keys(Demo("1", "SUBJ knew OBJ", "knows", provenance=source)))
    ['adaknewbob', 'subjknewobj']
    """
    own = text_key(demo.input)
    return {own, demo.provenance.get("sentence", own)}


def load_task(folder: Path | str, name: str) -> TaskData:
    """Return a task of the table above.

    Raises:
        QueryShapeError: an unknown name.
        DataFormatError: a file is missing or not in its format.
    """
    if name not in _READERS:
        raise QueryShapeError(f"unknown task {name!r}; choose {', '.join(_READERS)}")
    try:
        return _READERS[name](Path(folder), name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataFormatError(
            f"{folder} does not hold the task {name} ({type(error).__name__}: {error})"
        ) from error


def without_tests(data: TaskData, others: Iterable[TaskData] = ()) -> TaskData:
    """Return the task without those demonstrations whose text stands in its test or in another's.

    Texts, and the sentences that they were masked in, are compared by `text_key`.
    """
    barred = {key for one in (data, *others) for query in one.test for key in source_keys(query)}
    kept = [demo for demo in data.task.demos if barred.isdisjoint(source_keys(demo))]
    return replace(data, task=replace(data.task, demos=kept))


def _stsa(folder: Path, name: str) -> TaskData:
    kind, words = ("binary", _SENTIMENT) if name == "sst2" else ("fine", _SENTIMENT_5)
    pool, test = (
        _lines(folder / f"demos/sent_cls/stsa.{kind}.{part}", "utf-8", part)
        for part in ("train", "test")
    )
    return _data(Task(name, "Sentiment of the sentence:", pool, words), test)


def _trec(folder: Path, name: str) -> TaskData:
    pool = _lines(folder / "demos/sent_cls/TREC.train.all", "latin-1", "train")
    test = _lines(folder / "demos/sent_cls/TREC.test.all", "latin-1", "test")
    return _data(Task(name, "Topic of the question:", pool, _TREC), test)


def _shuffled(folder: Path, name: str) -> TaskData:
    coding = "utf-8" if name == "cr" else "latin-1"
    rows = _lines(folder / "demos/sent_cls" / _FILES[name], coding, "row")
    order = np.random.RandomState(0).permutation(len(rows)).tolist()
    pool = [rows[at] for at in order[: _FIRST_POOL[name]]]
    test = [rows[at] for at in order[_FIRST_POOL[name] :]]
    words = _SUBJ if name == "subj" else _SENTIMENT
    asked = "Kind of the sentence:" if name == "subj" else "Sentiment of the sentence:"
    return _data(Task(name, asked, pool, words), test)


def _semeval(folder: Path, name: str) -> TaskData:
    words = {"no_relation": "no relation"}
    for relation, phrase in _SEMEVAL.items():
        words[f"{relation}(e1,e2)"] = f"SUBJ {phrase} OBJ"
        words[f"{relation}(e2,e1)"] = f"OBJ {phrase} SUBJ"
    parts = {}
    for part in ("train", "test"):
        file = folder / f"demos/semeval_masked_re/semeval_{part}_data.json"
        rows = json.loads(file.read_text("utf-8"))
        parts[part] = [Demo(f"{part}-{at}", row["sent"], row["rel"]) for at, row in enumerate(rows)]
    task = Task(name, "Relation between SUBJ and OBJ:", parts["train"], words)
    return _data(task, parts["test"])


def _fewrel(folder: Path, name: str) -> TaskData:
    read = _sentence if name.endswith("-plain") else _masked
    kind = name.removeprefix("fewrel").removesuffix("-plain").strip("-")
    labels = json.loads((folder / "re/fewrel/pid2name.json").read_text("utf-8"))
    if kind == "wiki-nyt":
        pool, test = (_fewrel_items(folder, source, read) for source in ("wiki", "nyt"))
        shared = {demo.output for demo in pool} & {demo.output for demo in test}
        items = pool = [one for one in pool if one.output in shared]
        test = [one for one in test if one.output in shared]
    else:
        items = _fewrel_items(folder, kind or "wiki", read)
        order = np.random.RandomState(0).permutation(len(items)).tolist()
        half = len(items) // 2
        pool = [items[at] for at in order[:half]]
        test = [items[at] for at in order[half : half + _MOST_QUERIES]]
    relations = dict.fromkeys(demo.output for demo in items)
    words = {relation: str(labels[relation][0]) for relation in relations}
    return _data(Task(name, "Relation between SUBJ and OBJ:", pool, words), test)


def _fewrel_items(
    folder: Path, source: str, read: Callable[[Mapping[str, Any]], str]
) -> list[Demo]:
    rows = json.loads((folder / f"re/fewrel/val_{source}.json").read_text("utf-8"))
    return [
        Demo(
            f"{relation}-{at}",
            read(row),
            relation,
            provenance={"sentence": text_key(_sentence(row))},
        )
        for relation, of_relation in rows.items()
        for at, row in enumerate(of_relation)
    ]


def _sentence(row: Mapping[str, Any]) -> str:
    return " ".join(token for token in row["tokens"] if token.strip())


def _masked(row: Mapping[str, Any]) -> str:
    """Return the sentence with SUBJ in place of every mention of the head, OBJ of the tail."""
    tokens: list[str | None] = list(row["tokens"])
    for end, mask in (("h", "SUBJ"), ("t", "OBJ")):
        for span in row[end][2]:
            for place, at in enumerate(span):
                tokens[at] = None if place else mask
    return " ".join(token for token in tokens if token and token.strip())


def _lines(file: Path, coding: str, prefix: str) -> list[Demo]:
    """Return "label text" lines; only a line feed ends a line."""
    rows = [line for line in file.read_text(coding).split("\n") if line.strip()]
    demos = []
    for at, line in enumerate(rows):
        label, _, text = line.partition(" ")
        demos.append(Demo(f"{prefix}-{at}", text.strip(), label))
    return demos


def _data(task: Task, test: Iterable[Demo]) -> TaskData:
    return TaskData(task, task.verbalized(test))


_READERS: Final[Mapping[str, Callable[[Path, str], TaskData]]] = {
    "sst2": _stsa,
    "sst5": _stsa,
    "trec": _trec,
    "mr": _shuffled,
    "cr": _shuffled,
    "subj": _shuffled,
    "semeval-re": _semeval,
    "fewrel": _fewrel,
    "fewrel-plain": _fewrel,
    "fewrel-nyt": _fewrel,
    "fewrel-nyt-plain": _fewrel,
    "fewrel-wiki-nyt": _fewrel,
    "fewrel-wiki-nyt-plain": _fewrel,
}
#: The tasks that a unified retriever is measured on, in the order of the tables.
NAMES: Final = ("sst2", "sst5", "trec", "mr", "cr", "subj", "semeval-re", "fewrel")
#: The other pools of FewRel.
FEWREL_NAMES: Final = tuple(name for name in _READERS if name not in NAMES)
