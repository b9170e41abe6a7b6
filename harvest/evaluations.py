"""Quality of the harvesters on a data folder, with floors and ceilings in the same answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harvest.text2kgbench import (
    FactTriple,
    Ontology,
    TestSentence,
    benchmark_date,
    ceiling,
    first_phrase_floor,
    load_ontologies,
    score,
)
from kg.records import LITERAL_TYPES, Document

__all__ = ["extract_triples", "text2kg"]

#: One threshold for all relations and ontologies, chosen on held-out sentences of the train files
#: (those whose hash left them out of training), by unfiltered micro F1.
TEXT2KG_THRESHOLD = 0.5


def text2kg(
    data: Path | str,
    *,
    threshold: float = TEXT2KG_THRESHOLD,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Run the text extractor on the Wikidata-TekGen half of Text2KGBench and return its scores.

    One output, one threshold. Sentences are read one by one, without title or context, with the
    ontology of each as the schema; literals are written in the benchmark's form.

    Args:
        data: the folder `text2kgbench`.
        threshold: probability from which a triple is written.
        progress: called with sentences done and sentences in all.

    Returns:
        `official_f1` (macro, after the official filter) and `unfiltered_micro_f1` of the extractor;
        `floor` and `ceiling`: official F1 of the reader without a model and of a perfect extractor
        of spans; `ours`, `floor_scores`, `ceiling_scores`: all scores of each; `leak_free`: ours
        without the test sentences that also stand in a train file; zero-shot relations; speed.

    Raises:
        InputError: the folder does not hold the benchmark.
    """
    ontologies = load_ontologies(Path(data))
    started = time.monotonic()
    output, zero_shot = _output(ontologies, threshold, progress)
    seconds = time.monotonic() - started
    floor_output = {
        sentence.id: read(sentence.text)
        for ontology in ontologies
        for read in (first_phrase_floor(ontology),)
        for sentence in ontology.sentences
    }
    ours = score(ontologies, output)
    floor, top = score(ontologies, floor_output), score(ontologies, ceiling(ontologies))
    unseen = _without_train_sentences(ontologies)
    count = sum(len(ontology.sentences) for ontology in ontologies)
    left = sum(len(ontology.sentences) for ontology in unseen)
    return {
        "official_f1": ours.official_f1,
        "unfiltered_micro_f1": ours.unfiltered_micro_f1,
        "floor": floor.official_f1,
        "ceiling": top.official_f1,
        "ours": asdict(ours),
        "floor_scores": asdict(floor),
        "ceiling_scores": asdict(top),
        "leak_free": asdict(score(unseen, output)),
        "leak_free_floor": asdict(score(unseen, floor_output)),
        "sentences": count,
        "sentences_also_in_train": count - left,
        "triples_written": sum(len(triples) for triples in output.values()),
        "threshold": threshold,
        "zero_shot_relations": zero_shot,
        "sentences_per_second": round(count / seconds, 1),
    }


def _output(
    ontologies: Iterable[Ontology],
    threshold: float,
    progress: Callable[[int, int], None] | None,
) -> tuple[dict[str, list[FactTriple]], dict[str, list[str]]]:
    from harvest.extraction.harvester import TextHarvester

    ontologies = list(ontologies)
    total = sum(len(ontology.sentences) for ontology in ontologies)
    output: dict[str, list[FactTriple]] = {}
    zero_shot: dict[str, list[str]] = {}
    for ontology in ontologies:
        harvester = TextHarvester(ontology.schema, threshold=threshold)
        zero_shot[ontology.name] = list(harvester.zero_shot)
        for sentence in ontology.sentences:
            output[sentence.id] = [
                triple for triple, _ in extract_triples(harvester, ontology, sentence)
            ]
            if progress is not None:
                progress(len(output), total)
    return output, zero_shot


def extract_triples(
    harvester: Any, ontology: Ontology, sentence: TestSentence
) -> list[tuple[FactTriple, float]]:
    """Return what a harvester asserts of a sentence, in the benchmark's spelling, with scores."""
    from harvest.extraction.pipeline import NotEnglish
    from harvest.facts import facts_of

    try:
        facts = list(facts_of(harvester, Document(uri=sentence.id, text=sentence.text)))
    except NotEnglish:
        # Lists of foreign names are no English to the extractor; the benchmark counts that as
        # an empty output.
        return []
    triples = []
    for fact in facts:
        if not fact.negated:
            is_date = fact.tail_type == LITERAL_TYPES["date"]
            tail = benchmark_date(fact.tail) if is_date else fact.tail
            relation = ontology.labels[fact.relation].replace(" ", "_")
            triples.append(((fact.head, relation, tail), fact.score))
    return triples


def _without_train_sentences(ontologies: Iterable[Ontology]) -> list[Ontology]:
    ontologies = list(ontologies)
    train = {_words(text) for ontology in ontologies for text, _ in ontology.train}
    return [
        replace(
            ontology,
            sentences=tuple(s for s in ontology.sentences if _words(s.text) not in train),
        )
        for ontology in ontologies
    ]


def _words(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())
