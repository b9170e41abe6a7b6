"""Quality of link prediction on a data folder, with its floors in the same answer.

Everything that decides a figure is part of the answer: protocol, filter, candidates, text source,
options, seed, versions, threads, CPU seconds. Published figures that need pretrained weights are
not printed here.
"""

from __future__ import annotations

import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from retrieval.answer_reranker import (
    AnswerReranker,
    RerankerOptions,
    first_answers,
    reranked,
    train_reranker,
)
from retrieval.bootstrap import COVERAGE, bounds, resampled_means
from retrieval.entity_model import EntityModel, answer_ranks, drawn_questions
from retrieval.entity_training.presets import Preset
from retrieval.entity_training.recipe import train_model
from retrieval.errors import QueryShapeError
from retrieval.floors import popularity_ranks, tfidf_ranks
from retrieval.progress import Progress
from retrieval.protocols import (
    PROTOCOL_OF_SPLIT,
    Part,
    Questions,
    questions,
    relation_categories,
)
from retrieval.ranking import TIE_GAP_WARNING, Ranks
from retrieval.threads import threads as use_threads
from retrieval.triple_data import SplitName, TripleData, load_folder

__all__ = ["evaluate", "figures", "link_prediction"]

#: Resamples of the bootstrap interval.
RESAMPLES: Final = 1000


def link_prediction(
    folder: Path | str,
    *,
    preset: Preset | None = None,
    model: Path | None = None,
    out: Path | None = None,
    split: SplitName = "inductive",
    text: str | None = None,
    part: Part = "test",
    min_count: int = 2,
    rerank: RerankerOptions | None = None,
    reranked_questions: int = 2000,
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Rank the test triples of a data folder by a trained model, and return figures and floors.

    Args:
        folder: TSV triples and texts; layout in `retrieval.triple_data`.
        preset: recipe of a model that is trained here.
        model: folder of a model trained before, instead.
        out: folder that a model trained here is written to, with what resumes it.
        split: "inductive" (new entities in the test) or "transductive".
        text: name of the text file; the preferred one that exists if not given.
        part: "test", or "dev" to choose options without looking at the test.
        min_count: training entities that a feature of the bag must occur in.
        rerank: also put the first answers into a new order, by the reranker that stands beside the
            model, or by one that is trained here (and written there).
        reranked_questions: how many questions, drawn with seed 0, the reranker is asked.
        threads: of the matrix products; figures are reproducible for a fixed number.
        progress: called after each step.

    Returns:
        `mrr`, `hits_at_1`, `hits_at_3`, `hits_at_10` over both sides, the same by side, by new and
        seen targets, by relation and by kind of relation, a bootstrap interval over triples, the
        floors, and all that decides them.

    Raises:
        DataFormatError: if the folder is not what the split needs.
        QueryShapeError: unless exactly one of `preset` and `model` is given, or the model lacks a
            relation of the data.
        ModelFileError: if the model cannot be read.
    """
    if (preset is None) == (model is None):
        raise QueryShapeError("give either a preset to train by, or the folder of a trained model")
    started = time.process_time()
    data = load_folder(folder, split=split, text=text)
    asked = questions(data, PROTOCOL_OF_SPLIT[split], part)
    with use_threads(threads):
        if preset is None:
            used = EntityModel.load(Path(str(model)))
        else:
            used, _ = train_model(
                data,
                preset,
                protocol=PROTOCOL_OF_SPLIT[split],
                folder=out / "work" if out else None,
                min_count=min_count,
                progress=progress,
            )
            if out is not None:
                used.save(out)
        trained = time.process_time()
        answer = evaluate(used, data, asked)
        if rerank is not None:
            answer["reranked"] = _reranked(
                used,
                data,
                asked,
                options=rerank,
                count=reranked_questions,
                folder=(model or out),
                progress=progress,
            )
    seconds = {"training": round(trained - started, 1), **answer.pop("cpu_seconds")}
    return answer | {
        "split": split,
        "threads": threads,
        "cpu_seconds": seconds,
        "process_cpu_seconds": round(time.process_time() - started, 1),
    }


def evaluate(model: EntityModel, data: TripleData, asked: Questions) -> dict[str, Any]:
    """Return figures and floors of a model's answers to the questions."""
    relations = len(data.relations)
    clock = time.process_time()
    vectors = model.encoder.encode(data.texts)
    encoding_seconds, clock = time.process_time() - clock, time.process_time()
    ranks = answer_ranks(model.head, vectors, asked, rows=model.rows_of(data))
    ranking_seconds, clock = time.process_time() - clock, time.process_time()
    floors = {
        "popularity": figures(popularity_ranks(asked, data.train, relations=relations)),
        "tfidf": figures(tfidf_ranks(asked, data.texts, data.entities_of(data.train))),
    }
    floor_seconds = time.process_time() - clock
    every = np.concatenate([data.train, data.dev, data.test])
    answer: dict[str, Any] = {
        **figures(ranks),
        "confidence_interval": _bootstrap(ranks, seed=0),
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
        "by_relation": _by_category(ranks, asked, list(data.relations)),
        "floors": floors,
        "protocol": asked.protocol,
        "part": asked.part,
        "filter": "train + dev + test",
        "ties": "realistic",
        "candidates": len(asked.candidates),
        "questions": len(asked.sources),
        "triples_with_new_entity": asked.with_new_end,
        "entities_without_vector": int((~vectors.any(axis=1)).sum()),
        "data": {
            "name": data.origin,
            "train": len(data.train),
            "entities": len(data.entities),
            "relations": relations,
            "text": data.text_source,
            "entities_without_text": data.without_text,
        },
        "model": {"fingerprint": model.fingerprint, "dim": model.encoder.dim, **model.about},
        "versions": {name: version(name) for name in ("sheaf", "torch", "numpy")},
        "cpu_seconds": {
            "encoding": round(encoding_seconds, 1),
            "ranking": round(ranking_seconds, 1),
            "floors": round(floor_seconds, 1),
        },
    }
    if abs(answer["tie_gap"]) > TIE_GAP_WARNING:
        answer["warning"] = (
            f"optimistic and pessimistic MRR differ by {answer['tie_gap']:.4f}: many candidates "
            "have equal scores; the realistic figure is the fair one"
        )
    return answer


def _reranked(
    model: EntityModel,
    data: TripleData,
    asked: Questions,
    *,
    options: RerankerOptions,
    count: int,
    folder: Path | None,
    progress: Progress | None,
) -> dict[str, Any]:
    """Return the figures of drawn questions before and after, and how the reranker was trained."""
    if tuple(data.relations) != tuple(model.relations):
        raise QueryShapeError("a reranker needs the data that its model was trained on")
    about: dict[str, Any] = {}
    if folder is not None and (folder / "reranker.safetensors").is_file():
        reranker = AnswerReranker.load(folder)
    else:
        # Training triples are asked among the entities of training, filtered by training alone.
        nothing = np.empty((0, 3), np.int64)
        training = questions(replace(data, dev=nothing, test=data.train), "transductive")
        reranker, about = train_reranker(
            model,
            data,
            training=training,
            dev=questions(data, asked.protocol, "dev"),
            options=options,
            progress=progress,
        )
        if folder is not None:
            reranker.save(folder)
    vectors = model.encoder.encode(data.texts)
    chosen = drawn_questions(asked, count)
    before = answer_ranks(model.head, vectors, asked, chosen=chosen)
    answers, scores = first_answers(model, vectors, asked, chosen, depth=reranker.depth)
    after = reranked(reranker, data, asked, chosen, before, answers, scores)
    return {
        **figures(after),
        "confidence_interval": _bootstrap(after, seed=0),
        "before": figures(before),
        "depth": reranker.depth,
        "first": reranker.first,
        "training": about,
    }


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
    """Return the figures of each category that a relation belongs to."""
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
