"""Names with known identity: the Wikidata ids of Text2KGBench's TekGen train files as clusters.

Every train row names its two ends and gives their Wikidata ids, so a cluster is what one id is
called. A name comes from four places:

| place | what differs | example |
|---|---|---|
| label | the type, which each ontology gives by the relation | Toronto: city / territory |
| subject of the sentence | spelling, titles, middle names | General Sir Douglas David Gracey KCB |
| alias in Wikidata (from FB15k-237's entity file) | anything | The Windy City |
| label of another id | the id: 25 names stand for several things | Don Quixote |

The subject of a sentence is the text before its first " is ", " was ", " (" or ",". It counts as a
name of the row's head if it is no label of another id, is a name (a capital or a digit beyond the
first word), is at most three words longer than the label and shares a word with it. That is decided
without any measure of likeness that resolution uses; some are wrong all the same, and lower
the recall of every method alike.
"""

from __future__ import annotations

import json
import lzma
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Literal

from kg.derivation import Naming
from kg.ids import entity_id, normal_form, relation_type
from kg.records import Config
from kg.resolution.entries import Source
from retrieval.errors import DataFormatError

__all__ = ["GoldNames", "Part", "load_gold_names"]

type Part = Literal["dev", "test"]

#: Share of the ids on which thresholds are chosen.
DEV_SHARE: Final = 0.3
#: Words that a sentence's subject may have beyond the label's.
LONGER: Final = 3

_SUBJECT_END: Final = re.compile(r" is | was | are | were | \(|, ")
_ID: Final = re.compile(r"Q\d+")
_WORD: Final = re.compile(r"\w{3,}")


@dataclass(frozen=True, slots=True)
class GoldNames:
    """A graph's records with the Wikidata ids behind each raw entity."""

    source: Source
    #: Raw entity → Wikidata ids that its name and type stand for (nearly always one).
    ids: Mapping[str, frozenset[str]]
    #: Raw entity → its name.
    names: Mapping[str, str]
    #: Place of a name → number of raw entities from it only.
    places: Mapping[str, int]

    def part(self, part: Part) -> frozenset[str]:
        """Return the raw entities of one part; ids are split, so no cluster is in two."""
        return frozenset(
            raw
            for raw, ids in self.ids.items()
            if ("dev" if _share(min(ids)) < DEV_SHARE else "test") == part
        )


def _share(id: str) -> float:
    digest = blake2b(id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def load_gold_names(data: Path, *, aliases: Path | None = None) -> GoldNames:
    """Read the names of the folder `text2kgbench`.

    Args:
        data: the folder that holds `wikidata_tekgen`.
        aliases: `entity2wikidata.json`, plain or as `.xz`; without it there are no aliases.

    Raises:
        DataFormatError: if a folder or file is not what it should be.
    """
    folder = data / "wikidata_tekgen"
    if not folder.is_dir():
        raise DataFormatError(f"{data} holds no folder wikidata_tekgen: give Text2KGBench's folder")
    builder = _Builder()
    rows = list(_rows(folder))
    for row, head_type, tail_type in rows:
        builder.add_row(row, head_type, tail_type)
    for row, head_type, _ in rows:
        builder.add_subject(row, head_type)
    if aliases is not None:
        builder.add_aliases(aliases)
    return builder.gold()


def _rows(folder: Path) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Yield the train rows with the types of their ends."""
    for file in sorted((folder / "train").glob("*_train.jsonl")):
        name = file.name.removeprefix("ont_").removesuffix("_train.jsonl")
        ontology = json.loads((folder / "ontologies" / f"{name}_ontology.json").read_text())
        concepts = {concept["qid"]: concept["label"] for concept in ontology["concepts"]}
        ends = {
            relation["label"]: (
                concepts.get(relation["domain"], ""),
                concepts.get(relation["range"], ""),
            )
            for relation in ontology["relations"]
        }
        with file.open() as lines:
            for line in lines:
                row = json.loads(line)
                yield row, *ends.get(row["rel_label"], ("", ""))


class _Builder:
    def __init__(self) -> None:
        self._counts: Counter[Naming] = Counter()
        self._ids: dict[str, set[str]] = defaultdict(set)
        self._names: dict[str, str] = {}
        self._place: dict[str, str] = {}
        self._triples: set[tuple[str, str, str]] = set()
        self._documents: dict[str, set[str]] = defaultdict(set)
        self._labels: dict[str, Counter[str]] = defaultdict(Counter)
        self._types: dict[str, Counter[str]] = defaultdict(Counter)
        self._owners: dict[str, set[str]] = defaultdict(set)
        self._config = Config("gold")

    def _mention(self, name: str, type: str, id: str, place: str, document: str) -> str:
        raw = entity_id(name, type)
        self._counts[Naming(raw, name, name, type, "", "", "", self._config.id)] += 1
        self._ids[raw].add(id)
        self._names.setdefault(raw, name)
        self._place.setdefault(raw, place)
        if document:
            self._documents[raw].add(document)
        return raw

    def add_row(self, row: Mapping[str, Any], head_type: str, tail_type: str) -> None:
        """Add a row's labels and its triple."""
        id, document = row["sub"], row["sent"]
        self._labels[id][row["sub_label"]] += 1
        self._types[id][head_type] += 1
        self._owners[normal_form(row["sub_label"])].add(id)
        head = self._mention(row["sub_label"], head_type, id, "label", document)
        if _ID.fullmatch(str(row["obj"])):
            self._types[row["obj"]][tail_type] += 1
            self._labels[row["obj"]][row["obj_label"]] += 1
            self._owners[normal_form(row["obj_label"])].add(row["obj"])
            tail = self._mention(row["obj_label"], tail_type, row["obj"], "label", document)
            self._triples.add((head, relation_type(row["rel_label"]), tail))

    def add_subject(self, row: Mapping[str, Any], head_type: str) -> None:
        """Add what a row's sentence calls its head, where that is another name."""
        subject = _SUBJECT_END.split(row["sent"], maxsplit=1)[0].strip(" .\"'")
        words = subject.split()
        label = row["sub_label"]
        if normal_form(subject) == normal_form(label) or normal_form(subject) in self._owners:
            return
        if not 0 < len(words) <= len(label.split()) + LONGER:
            return
        if not any(char.isupper() or char.isdigit() for word in words[1:] for char in word[:1]):
            return
        if not set(_WORD.findall(normal_form(subject))) & set(_WORD.findall(normal_form(label))):
            return
        self._mention(subject, head_type, row["sub"], "sentence", row["sent"])

    def add_aliases(self, file: Path) -> None:
        """Add what Wikidata calls the same ids otherwise."""
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            raise DataFormatError(f"{file} does not exist: give entity2wikidata.json") from None
        entries = json.loads(lzma.decompress(data) if file.suffix == ".xz" else data)
        known = {entry["wikidata_id"]: entry for entry in entries.values()}
        for id in sorted(self._labels.keys() & known.keys()):
            type = self._types[id].most_common(1)[0][0]
            for alias in known[id]["alternatives"]:
                if alias.strip():
                    self._mention(alias, type, id, "alias", "")

    def gold(self) -> GoldNames:
        return GoldNames(
            source=Source(
                namings=[naming._replace(times=times) for naming, times in self._counts.items()],
                merges=(),
                configs={self._config.id: self._config},
                triples=sorted(self._triples),
                documents=self._documents,
            ),
            ids={raw: frozenset(ids) for raw, ids in self._ids.items()},
            names=self._names,
            places=Counter(self._place.values()),
        )
