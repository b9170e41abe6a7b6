"""Do retrieved demonstrations help a small language model to extract? Measured on TekGen.

A seeded sample of the test sentences of each ontology is read by one local model whose answers are
held to the ontology's relations (`harvest.llm.constrained`). What differs is only where the
demonstrations in front of the sentence come from: the train rows of its ontology, without any text
that also stands in a test file.

| row | demonstrations |
|---|---|
| `none` | none; the form of the answer alone |
| `random` | drawn anew for each sentence |
| `bm25`, `minilm`, a folder | the nearest ones by that retriever |

Beside each row stands what the same demonstrations give without any model (`copied`): the first
phrase of the sentence as head, and every tail of a demonstration that stands in the sentence. The
floor and the ceiling of the benchmark and our text extractor read the same sample.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harvest.errors import InputError
from harvest.extraction.dates import parse_date
from harvest.llm.constrained import ConstrainedExtractor, written
from harvest.text2kgbench import (
    FactTriple,
    Ontology,
    benchmark_date,
    ceiling,
    first_phrase_floor,
    load_ontologies,
    score,
    triple_key,
)
from retrieval.demonstrations.datasets import text_key
from retrieval.demonstrations.task import Demo, Task

if TYPE_CHECKING:
    from retrieval.causal_lm import CausalLM

__all__ = ["ROWS", "pool_of", "sampled", "tekgen_demos"]

ROWS: Final = ("none", "random", "bm25", "minilm")
INSTRUCTION: Final = "Statements of the sentence:"
RESAMPLES: Final = 1000

type Output = dict[str, list[FactTriple]]


@dataclass(frozen=True, slots=True)
class _Sample:
    """The sampled ontologies, and what their demonstrations say."""

    ontologies: Sequence[Ontology]
    pools: Mapping[str, Task]
    #: Demonstration of any pool → its triples.
    facts: Mapping[str, Sequence[FactTriple]]


def tekgen_demos(
    data: Path | str,
    *,
    rows: Sequence[str] = ROWS,
    per_ontology: int = 10,
    k: int = 4,
    most: int = 4,
    seed: int = 0,
    lm: CausalLM | None = None,
    extractor: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Extract the sample with each kind of demonstrations and return the scores.

    Args:
        data: the folder `text2kgbench`.
        rows: kinds of demonstrations; folders of trained retrievers are allowed.
        per_ontology: sentences of each of the ten ontologies.
        k: demonstrations per sentence.
        most: triples per sentence at most.
        seed: of the sample and of random demonstrations.
        lm: the model; the installed SmolLM2 if not given.
        extractor: also run our text extractor on the sample.
        progress: called with the row, sentences done and in all.

    Returns:
        `rows`: row → `unfiltered_micro_f1`, `official_f1`, `copied` (the same scores without the
        model), `relations_shown` (share of gold triples whose relation a demonstration has),
        seconds; `against_random`: row → difference of the unfiltered micro F1 with its 95 %
        interval (paired bootstrap over sentences); `floor`, `ceiling`, `text_extractor`; and all
        that decides the figures.

    Raises:
        InputError: the folder does not hold the benchmark, or a number makes no sense.
    """
    if per_ontology < 1 or k < 1 or most < 1:
        raise InputError(f"{per_ontology=}, {k=}, {most=}: give 1 or more")
    if lm is None:
        from retrieval.causal_lm import CausalLM

        lm = CausalLM.load()
    ontologies = load_ontologies(Path(data))
    tests = {text_key(one.text) for ontology in ontologies for one in ontology.sentences}
    pools, facts = {}, {}
    for ontology in ontologies:
        pools[ontology.name], own = pool_of(ontology, without=tests)
        facts.update(own)
    sample = _Sample([sampled(one, per_ontology, seed=seed) for one in ontologies], pools, facts)
    figures: dict[str, Any] = {}
    outputs: dict[str, Output] = {}
    for row in rows:
        started = time.monotonic()
        demos = _demonstrations(sample, row, k=k, seed=seed)
        shown = None if progress is None else _named(progress, row)
        outputs[row] = _extracted(sample.ontologies, demos, lm, most=most, progress=shown)
        figures[row] = {
            **_scores(sample.ontologies, outputs[row]),
            "copied": _scores(sample.ontologies, _copied(sample, demos)),
            "relations_shown": _relations_shown(sample, demos),
            "triples_written": sum(map(len, outputs[row].values())),
            "seconds": round(time.monotonic() - started, 1),
        }
    floor = {
        sentence.id: read(sentence.text)
        for ontology in sample.ontologies
        for read in (first_phrase_floor(ontology),)
        for sentence in ontology.sentences
    }
    return {
        "rows": figures,
        "against_random": {
            row: _difference(sample.ontologies, outputs[row], outputs["random"], seed=seed)
            for row in outputs
            if row != "random" and "random" in outputs
        },
        "floor": _scores(sample.ontologies, floor),
        "ceiling": _scores(sample.ontologies, ceiling(sample.ontologies)),
        "text_extractor": _text_extractor(sample.ontologies) if extractor else None,
        "sentences": sum(len(one.sentences) for one in sample.ontologies),
        "demonstrations": {name: len(task.demos) for name, task in pools.items()},
        "model": lm.fingerprint,
        "per_ontology": per_ontology,
        "k": k,
        "most": most,
        "seed": seed,
    }


def sampled(ontology: Ontology, count: int, *, seed: int) -> Ontology:
    """Return an ontology with so many of its test sentences, drawn evenly, in file order."""
    lot = random.Random(f"{seed} {ontology.name}")
    chosen = sorted(lot.sample(range(len(ontology.sentences)), min(count, len(ontology.sentences))))
    return replace(ontology, sentences=tuple(ontology.sentences[at] for at in chosen))


def pool_of(
    ontology: Ontology, *, without: frozenset[str] | set[str] = frozenset()
) -> tuple[Task, dict[str, list[FactTriple]]]:
    """Return the train rows as a task, one demonstration a sentence, and their triples by id.

    Args:
        ontology: whose rows.
        without: texts (`text_key`) that must not be demonstrations.
    """
    by_text: defaultdict[str, list[FactTriple]] = defaultdict(list)
    for text, (head, relation, tail) in ontology.train:
        triple = head, relation.strip(), tail
        if triple not in by_text[text]:
            by_text[text].append(triple)
    facts = {
        f"{ontology.name}-{at}": triples
        for at, (text, triples) in enumerate(by_text.items())
        if text_key(text) not in without
    }
    texts = list(by_text)
    demos = [
        Demo(id, " ".join(texts[int(id.rpartition("-")[2])].split()), written(triples))
        for id, triples in facts.items()
    ]
    return Task(ontology.name, INSTRUCTION, demos), facts


def _demonstrations(sample: _Sample, row: str, *, k: int, seed: int) -> dict[str, Sequence[Demo]]:
    """Return sentence id → its demonstrations, best first."""
    found: dict[str, Sequence[Demo]] = {}
    retriever = None
    if row not in ("none", "random"):
        from retrieval.demonstrations.retriever import DemonstrationRetriever

        retriever = DemonstrationRetriever(row)
    for ontology in sample.ontologies:
        pool = sample.pools[ontology.name]
        ids = [sentence.id for sentence in ontology.sentences]
        if retriever is not None:
            retriever.add(pool.demos, task=pool)
            texts = [sentence.text for sentence in ontology.sentences]
            hits = retriever.retrieve(texts, task=pool, k=k, exclude_text=True)
            found |= dict(zip(ids, hits, strict=True))
        else:
            for id in ids:
                lot = random.Random(f"{seed} {id}")
                found[id] = lot.sample(list(pool.demos), k) if row == "random" else []
    return found


def _extracted(
    ontologies: Sequence[Ontology],
    demos: Mapping[str, Sequence[Demo]],
    lm: CausalLM,
    *,
    most: int,
    progress: Callable[[int, int], None] | None,
) -> Output:
    output: Output = {}
    total = sum(len(ontology.sentences) for ontology in ontologies)
    for ontology in ontologies:
        reader = ConstrainedExtractor(lm, list(ontology.labels), most=most)
        found = reader.extract(
            [sentence.text for sentence in ontology.sentences],
            [demos[sentence.id] for sentence in ontology.sentences],
        )
        for sentence, triples in zip(ontology.sentences, found, strict=True):
            output[sentence.id] = [_benchmark(ontology, triple) for triple in triples]
        if progress is not None:
            progress(len(output), total)
    return output


def _benchmark(ontology: Ontology, triple: FactTriple) -> FactTriple:
    """Return a triple in the benchmark's spelling of relations and dates."""
    head, relation, tail = triple
    if ontology.schema.relations[relation].tail == "date" and (date := parse_date(tail)):
        tail = benchmark_date(date)
    return head, ontology.labels[relation].replace(" ", "_"), tail


def _copied(sample: _Sample, demos: Mapping[str, Sequence[Demo]]) -> Output:
    """Return what the demonstrations give by copying: a floor for each row of its own."""
    return {
        sentence.id: first_phrase_floor(
            replace(
                ontology,
                train=tuple(("", t) for hit in demos[sentence.id] for t in sample.facts[hit.id]),
            )
        )(sentence.text)
        for ontology in sample.ontologies
        for sentence in ontology.sentences
    }


def _relations_shown(sample: _Sample, demos: Mapping[str, Sequence[Demo]]) -> float:
    shown = wanted = 0
    for ontology in sample.ontologies:
        for sentence in ontology.sentences:
            known = {t[1] for hit in demos[sentence.id] for t in sample.facts[hit.id]}
            wanted += len(sentence.gold)
            shown += sum(relation.strip() in known for _, relation, _ in sentence.gold)
    return shown / max(1, wanted)


def _text_extractor(ontologies: Sequence[Ontology]) -> dict[str, float]:
    from harvest.evaluations import TEXT2KG_THRESHOLD, extract_triples
    from harvest.extraction.harvester import TextHarvester

    output: Output = {}
    for ontology in ontologies:
        harvester = TextHarvester(ontology.schema, threshold=TEXT2KG_THRESHOLD)
        for sentence in ontology.sentences:
            output[sentence.id] = [t for t, _ in extract_triples(harvester, ontology, sentence)]
    return _scores(ontologies, output)


def _scores(ontologies: Sequence[Ontology], output: Output) -> dict[str, float]:
    found = asdict(score(ontologies, output))
    names = ("unfiltered_micro_f1", "unfiltered_micro_precision", "unfiltered_micro_recall")
    return {name: round(found[name], 4) for name in (*names, "official_f1")}


def _difference(
    ontologies: Sequence[Ontology], ours: Output, other: Output, *, seed: int
) -> dict[str, float]:
    """Return the difference of the unfiltered micro F1, and where 95 % of resamples lie."""
    counts = [
        _counts(sentence.gold, output[sentence.id])
        for ontology in ontologies
        for sentence in ontology.sentences
        for output in (ours, other)
    ]
    table = np.array(counts, float).reshape(-1, 2, 3)
    lot = np.random.default_rng(seed)
    drawn = lot.integers(0, len(table), (RESAMPLES, len(table)))
    f1 = _f1(table[drawn].sum(1))
    low, high = np.quantile(f1[:, 0] - f1[:, 1], [0.025, 0.975])
    whole = _f1(table.sum(0))
    return {
        "difference": round(float(whole[0] - whole[1]), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def _counts(gold: Sequence[FactTriple], said: Sequence[FactTriple]) -> tuple[int, int, int]:
    """Return how many triples are right, said and wanted."""
    wanted, ours = {triple_key(t) for t in gold}, {triple_key(t) for t in said}
    return len(wanted & ours), len(ours), len(wanted)


def _f1(counts: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return 2 · right / (said + wanted) of [..., 3] counts."""
    right, said, wanted = np.moveaxis(counts, -1, 0)
    total: np.ndarray[Any, np.dtype[np.float64]] = 2 * right / np.maximum(said + wanted, 1)
    return total


def _named(progress: Callable[[str, int, int], None], row: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(row, done, total)
