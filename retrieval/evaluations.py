"""Quality of link prediction on a data folder, with its floors in the same answer.

Everything that decides a figure is part of the answer: protocol, filter, candidates, text source,
options, seed, versions, threads, CPU seconds. Published figures that need pretrained weights are
not printed here.
"""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from retrieval.bootstrap import COVERAGE, bounds, resampled_means
from retrieval.errors import QueryShapeError
from retrieval.floors import popularity_ranks, tfidf_ranks
from retrieval.protocols import (
    PROTOCOL_OF_SPLIT,
    Part,
    Questions,
    questions,
    relation_categories,
)
from retrieval.ranking import TIE_GAP_WARNING, Ranks, rank
from retrieval.training import Progress, TrainingOptions, train, untrained
from retrieval.training import threads as use_threads
from retrieval.triple_data import SplitName, TripleData, load_folder

__all__ = ["EncoderName", "evaluate", "figures", "link_prediction"]

#: What training does if nothing is said.
DEFAULTS: Final = TrainingOptions()

type EncoderName = Literal["bow"]

#: Resamples of the bootstrap interval.
RESAMPLES: Final = 1000


def link_prediction(
    folder: Path | str,
    *,
    split: SplitName = "inductive",
    encoder: EncoderName = "bow",
    text: str | None = None,
    part: Part = "test",
    epochs: int = DEFAULTS.epochs,
    dim: int = 256,
    learning_rate: float = DEFAULTS.learning_rate,
    temperature: float = DEFAULTS.temperature,
    min_count: int = 2,
    seed: int = 0,
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train on a data folder, rank its test triples and return the figures beside the floors.

    Args:
        folder: TSV triples and texts; layout in `retrieval.triple_data`.
        split: "inductive" (new entities in the test) or "transductive".
        encoder: "bow", the bag of words.
        text: name of the text file; the preferred one that exists if not given.
        part: "test", or "dev" to choose options without looking at the test.
        epochs: passes over the training triples.
        dim: length of a vector.
        learning_rate: highest rate of the schedule.
        temperature: τ of the loss.
        min_count: training entities that a feature must occur in.
        seed: of initial weights, batches and bootstrap.
        threads: of the matrix products; figures are reproducible for a fixed number.
        progress: called after each step.

    Returns:
        `mrr`, `hits_at_1`, `hits_at_3`, `hits_at_10` over both sides, the same by side, by new and
        seen targets and by kind of relation, a bootstrap interval over triples, the floors, and
        all that decides them.

    Raises:
        DataFormatError: if the folder is not what the split needs.
        QueryShapeError: for an unknown encoder.
    """
    if encoder != "bow":
        raise QueryShapeError(f"unknown encoder {encoder!r}; available: bow")
    started = time.process_time()
    options = TrainingOptions(
        epochs=epochs, learning_rate=learning_rate, temperature=temperature, seed=seed
    )
    data = load_folder(folder, split=split, text=text)
    asked = questions(data, PROTOCOL_OF_SPLIT[split], part)
    with use_threads(threads):
        return evaluate(
            data, asked, options=options, dim=dim, min_count=min_count, progress=progress
        ) | {
            "split": split,
            "threads": threads,
            "process_cpu_seconds": round(time.process_time() - started, 1),
        }


def evaluate(
    data: TripleData,
    asked: Questions,
    *,
    options: TrainingOptions,
    dim: int = 256,
    min_count: int = 2,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train on `data.train`, answer the questions, and return figures and floors."""
    trained = data.entities_of(data.train)
    relations = len(data.relations)
    clock = time.process_time()
    encoder, scorer = untrained(
        [data.texts[row] for row in trained],
        relations=relations,
        dim=dim,
        min_count=min_count,
        seed=options.seed,
    )
    features = encoder.features(data.texts)
    result = train(encoder, scorer, features, data.train, options=options, progress=progress)
    training_seconds, clock = time.process_time() - clock, time.process_time()
    vectors = encoder.encode_features(features)
    queries = scorer.queries(vectors[asked.sources], asked.relations)
    ranks = rank(queries, vectors[asked.candidates], asked.targets, asked.known)
    ranking_seconds, clock = time.process_time() - clock, time.process_time()
    floors = {
        "popularity": figures(popularity_ranks(asked, data.train, relations=relations)),
        "tfidf": figures(tfidf_ranks(asked, data.texts, trained)),
    }
    floor_seconds = time.process_time() - clock
    every = np.concatenate([data.train, data.dev, data.test])
    answer: dict[str, Any] = {
        **figures(ranks),
        "confidence_interval": _bootstrap(ranks, seed=options.seed),
        "by_side": {
            "tail": figures(ranks.take(np.arange(asked.triples))),
            "head": figures(ranks.take(np.arange(asked.triples, 2 * asked.triples))),
        },
        "by_target": {
            name: figures(ranks.take(mask))
            for name, mask in (("new", asked.target_is_new), ("seen", ~asked.target_is_new))
            if mask.any()
        },
        "by_relation_category": _by_category(ranks, asked, relation_categories(every, relations)),
        "floors": floors,
        "protocol": asked.protocol,
        "part": asked.part,
        "filter": "train + dev + test",
        "ties": "realistic",
        "candidates": len(asked.candidates),
        "questions": len(asked.sources),
        "triples_with_new_entity": asked.with_new_end,
        "entities_without_known_feature": int((np.diff(features.offsets) == 0).sum()),
        "data": {
            "name": data.origin,
            "train": len(data.train),
            "entities": len(data.entities),
            "relations": relations,
            "text": data.text_source,
            "entities_without_text": data.without_text,
        },
        "encoder": {
            "name": encoder.name,
            "dim": dim,
            "vocabulary": len(encoder.vocabulary),
            "min_count": min_count,
            "fingerprint": encoder.fingerprint,
        },
        "training": {
            "epochs": options.epochs,
            "batch": options.batch,
            "learning_rate": options.learning_rate,
            "temperature": options.temperature,
            "steps": result.steps,
            "loss": round(result.loss, 4),
        },
        "seed": options.seed,
        "versions": {name: version(name) for name in ("sheaf", "torch", "numpy")},
        "cpu_seconds": {
            "training": round(training_seconds, 1),
            "encoding_and_ranking": round(ranking_seconds, 1),
            "floors": round(floor_seconds, 1),
        },
    }
    if abs(answer["tie_gap"]) > TIE_GAP_WARNING:
        answer["warning"] = (
            f"optimistic and pessimistic MRR differ by {answer['tie_gap']:.4f}: many candidates "
            "have equal scores; the realistic figure is the fair one"
        )
    return answer


def figures(ranks: Ranks) -> dict[str, float]:
    """Return the metrics of ranks under the names that every answer uses."""
    return {
        "mrr": round(ranks.mrr(), 6),
        "hits_at_1": round(ranks.hits(1), 6),
        "hits_at_3": round(ranks.hits(3), 6),
        "hits_at_10": round(ranks.hits(10), 6),
        "adjusted_mean_rank_index": round(ranks.adjusted_mean_rank_index(), 6),
        "tie_gap": round(ranks.tie_gap(), 6),
        "questions": len(ranks.optimistic),
    }


def _by_category(
    ranks: Ranks, asked: Questions, categories: list[str]
) -> dict[str, dict[str, float]]:
    own = np.array(categories)[asked.relations % len(categories)]
    return {str(name): figures(ranks.take(own == name)) for name in np.unique(own)}


def _bootstrap(ranks: Ranks, *, seed: int) -> dict[str, Any]:
    """Return the interval of the MRR over resampled triples, both sides drawn together."""
    half = len(ranks.optimistic) // 2
    of_triple = (1 / ranks.realistic).reshape(2, half).mean(axis=0)
    low, high = bounds(resampled_means(of_triple, resamples=RESAMPLES, seed=seed))
    return {
        "of": "mrr",
        "coverage": COVERAGE,
        "low": low,
        "high": high,
        "resamples": RESAMPLES,
    }
