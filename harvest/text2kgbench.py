"""Text2KGBench: its files, its official score, and what that score hides.

The official score (Mihindukulasooriya et al., ISWC 2023) strips blanks and "_" and case from
head + relation + tail, compares sets per sentence, takes the mean over sentences of an ontology and
then over ontologies. **Before that it deletes every output triple whose relation is not among the
gold relations of that very sentence**, so a system that says everything is not punished, and it
compares relation names with "_" for blanks, so output written with blanks loses all relations of
several words. A sentence without gold (142 of 4,062) always scores 0: a copy of the gold gets .946.

So the unfiltered scores stand beside the official ones here, and both without the test sentences
that also stand in a train file.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harvest.errors import InputError
from kg.schema import RelationDef, Schema, TypeDef

__all__ = [
    "FactTriple",
    "Ontology",
    "Scores",
    "TestSentence",
    "benchmark_date",
    "ceiling",
    "first_phrase_floor",
    "load_ontologies",
    "score",
    "triple_key",
]

#: Head, relation and tail as the benchmark writes them.
type FactTriple = tuple[str, str, str]

#: Relations whose range names the people ("athlete") though the values are words for what they do.
_VALUE_TYPES = {"occupation": "occupation", "position held": "position"}
_MONTHS = (
    "January February March April May June July August September October November December"
).split()


@dataclass(frozen=True, slots=True)
class TestSentence:
    """A test sentence with its gold triples (possibly none)."""

    #: Not a test class, whatever its name starts with.
    __test__ = False

    id: str
    text: str
    gold: tuple[FactTriple, ...]


@dataclass(frozen=True)
class Ontology:
    """One of the ten ontologies: its schema, its test sentences and its train rows."""

    name: str
    schema: Schema
    #: Relation name of the schema → label of the benchmark (some end in a blank).
    labels: Mapping[str, str]
    sentences: tuple[TestSentence, ...]
    #: (sentence, triple); one row of the train file is one triple.
    train: tuple[tuple[str, FactTriple], ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over ontologies (macro) and over all triples (micro), between 0 and 1."""

    official_precision: float
    official_recall: float
    official_f1: float
    unfiltered_macro_f1: float
    unfiltered_micro_precision: float
    unfiltered_micro_recall: float
    unfiltered_micro_f1: float
    #: Official F1 of each ontology.
    by_ontology: Mapping[str, float]


def load_ontologies(folder: Path) -> list[Ontology]:
    """Return the ontologies of `text2kgbench` (or of its folder `wikidata_tekgen`) by number.

    Raises:
        InputError: the folder does not hold the benchmark.
    """
    base = folder if (folder / "ontologies").is_dir() else folder / "wikidata_tekgen"
    files = sorted((base / "ontologies").glob("*_ontology.json"), key=_number)
    if not files:
        raise InputError(
            f"{folder} holds no ontologies/*_ontology.json: give the folder of Text2KGBench's "
            "Wikidata-TekGen half with --data"
        )
    return [_ontology(base, file) for file in files]


def _number(file: Path) -> int:
    return int(file.name.partition("_")[0])


def _ontology(base: Path, file: Path) -> Ontology:
    data = json.loads(file.read_text("utf-8"))
    stem = f"ont_{file.name.removesuffix('_ontology.json')}"
    gold = {
        row["id"]: tuple((t["sub"], t["rel"], t["obj"]) for t in row["triples"])
        for row in _rows(base / "ground_truth" / f"{stem}_ground_truth.jsonl")
    }
    sentences = tuple(
        TestSentence(row["id"], row["sent"], gold.get(row["id"], ()))
        for row in _rows(base / "test" / f"{stem}_test.jsonl")
    )
    train = tuple(
        (row["sent"], (row["sub_label"], row["rel_label"], row["obj_label"]))
        for row in _rows(base / "train" / f"{stem}_train.jsonl")
    )
    schema, labels = schema_of(data, train=[triple for _, triple in train])
    return Ontology(stem, schema, labels, sentences, train)


def _rows(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        raise InputError(f"{file} is missing: the benchmark's folder is not complete")
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]


def schema_of(
    ontology: Mapping[str, Any], *, train: Sequence[FactTriple] = ()
) -> tuple[Schema, dict[str, str]]:
    """Return an ontology file as a schema, and the benchmark's label of each of its relations.

    The ends of train triples are the seeds of their relations. Domains and ranges that name no
    concept, or several, become "any"; relations whose values are dates or sums of money by their
    name become literals.
    """
    concepts = {c["qid"]: c["label"].strip() for c in ontology["concepts"]}
    ends: dict[str, tuple[set[str], set[str]]] = {}
    labels: dict[str, str] = {}
    for row in ontology["relations"]:
        name = row["label"].strip()
        labels.setdefault(name, row["label"])
        heads, tails = ends.setdefault(name, (set(), set()))
        heads.add(concepts.get(row["domain"], ""))
        tails.add(_VALUE_TYPES.get(name) or concepts.get(row["range"], "") or _literal_type(name))
    seeds: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for head, relation, tail in train:
        seeds[relation.strip()].add((head, tail))
    relations = {
        name: RelationDef(
            name=name,
            head=next(iter(heads)) if len(heads) == 1 else "",
            tail=next(iter(tails)) if len(tails) == 1 else "",
            seeds=tuple(sorted(seeds[name])),
        )
        for name, (heads, tails) in ends.items()
    }
    labels_of_types = {*concepts.values(), *(_VALUE_TYPES[n] for n in ends if n in _VALUE_TYPES)}
    types = {label: TypeDef(label) for label in sorted(labels_of_types)}
    return Schema(types=types, relations=relations, source=str(ontology.get("id", ""))), labels


def _literal_type(relation: str) -> str:
    if re.search(r"\bdate\b|\btime\b|inception", relation):
        return "date"
    return "quantity" if relation == "cost" else ""


def benchmark_date(value: str) -> str:
    """Return an ISO date as the benchmark writes dates: missing day and month are 01 January.

    >>> benchmark_date("2010"), benchmark_date("1867-11-07")
    ('01 January 2010', '07 November 1867')
    """
    year, month, day = [*value.split("-"), "01", "01"][:3]
    return f"{day} {_MONTHS[int(month) - 1]} {year}"


def score(ontologies: Sequence[Ontology], output: Mapping[str, Sequence[FactTriple]]) -> Scores:
    """Return the scores of an output: sentence id → triples; a missing id is an empty output."""
    official: list[tuple[float, float, float]] = []
    macro: list[float] = []
    by_ontology: dict[str, float] = {}
    hits = said = wanted = 0
    for ontology in ontologies:
        filtered, plain = [], []
        for sentence in ontology.sentences:
            triples = output.get(sentence.id, ())
            relations = {_label(relation) for _, relation, _ in sentence.gold}
            gold = {triple_key(triple) for triple in sentence.gold}
            ours = {triple_key(triple) for triple in triples}
            kept = {triple_key(triple) for triple in triples if _label(triple[1]) in relations}
            filtered.append(_prf(kept, gold))
            plain.append(_prf(ours, gold)[2])
            hits += len(ours & gold)
            said += len(ours)
            wanted += len(gold)
        if filtered:
            means = tuple(sum(column) / len(filtered) for column in zip(*filtered, strict=True))
            official.append((means[0], means[1], means[2]))
            macro.append(sum(plain) / len(plain))
            by_ontology[ontology.name] = means[2]
    precision, recall = hits / said if said else 0.0, hits / wanted if wanted else 0.0
    count = max(1, len(official))
    return Scores(
        official_precision=sum(row[0] for row in official) / count,
        official_recall=sum(row[1] for row in official) / count,
        official_f1=sum(row[2] for row in official) / count,
        unfiltered_macro_f1=sum(macro) / count,
        unfiltered_micro_precision=precision,
        unfiltered_micro_recall=recall,
        unfiltered_micro_f1=2 * precision * recall / (precision + recall) if hits else 0.0,
        by_ontology=by_ontology,
    )


def _prf(ours: set[str], gold: set[str]) -> tuple[float, float, float]:
    if not ours or not gold:
        return 0.0, 0.0, 0.0
    hits = len(ours & gold)
    precision, recall = hits / len(ours), hits / len(gold)
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return precision, recall, f1


def triple_key(triple: FactTriple) -> str:
    """Return what the benchmark compares: head, relation and tail without blanks, "_" and case."""
    return _squashed("".join(triple))


def _squashed(text: str) -> str:
    return re.sub(r"[\s_]+", "", text).lower()


def _label(relation: str) -> str:
    return relation.replace(" ", "_")


def first_phrase_floor(ontology: Ontology) -> Callable[[str], list[FactTriple]]:
    """Return a reader without any model: the floor under every system.

    The text before the first " is ", " was ", " (" or "," is the head; a tail is any object of the
    train file that occurs in the sentence (case aside), with the relation it had there.
    """
    pairs = sorted({(relation, tail) for _, (_, relation, tail) in ontology.train})

    def read(text: str) -> list[FactTriple]:
        ends = [at for sign in (" is ", " was ", " (", ",") if (at := text.find(sign)) > 0]
        head, lower = text[: min(ends)] if ends else text, text.lower()
        return [(head, _label(relation), tail) for relation, tail in pairs if tail.lower() in lower]

    return read


def ceiling(ontologies: Sequence[Ontology]) -> dict[str, list[FactTriple]]:
    """Return the gold triples whose two ends stand in their sentence, blanks and case aside.

    An extractor of spans can write no other, but for dates and demonyms that it puts into the
    benchmark's form.
    """
    return {
        sentence.id: [
            (head, _label(relation), tail)
            for head, relation, tail in sentence.gold
            if _squashed(head) in _squashed(sentence.text)
            and _squashed(tail) in _squashed(sentence.text)
        ]
        for ontology in ontologies
        for sentence in ontology.sentences
    }
