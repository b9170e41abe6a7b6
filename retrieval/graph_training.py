"""Train link prediction on a graph: choose on a dev split, report on a held-out one, use it all.

```
links ─┬─ 10 % held out ──► MRR beside the popularity floor, calibration
       ├─ 10 % dev ───────► which vocabulary (words of one entity too, or of two and more)
       └─ 80 % ───────────► the models that are compared      then: one model on all links
```

Both splits are small on a small graph and capped on a large one; the last link of a relation is
never held out. Size decides the rest, as tried on graphs of 200 to 1,100 links made from Wikidata
sentences: 20 epochs of small batches there, where a vocabulary of all words beats one of shared
words (MRR .31 against .24, popularity .17); 5 epochs of large batches above 20,000 links.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from retrieval.calibration import Calibration, Calibrations, log_odds
from retrieval.errors import NothingToPredict, QueryShapeError
from retrieval.evaluations import EncoderName, figures
from retrieval.floors import popularity_ranks
from retrieval.graph_model import GraphModel
from retrieval.graph_snapshot import GraphSnapshot, entity_text
from retrieval.protocols import Questions, questions
from retrieval.ranking import Ranks, rank
from retrieval.training import TrainingOptions, threads, train, untrained
from retrieval.triple_data import IntArray, TripleData
from retrieval.vector_index import VectorIndex

if TYPE_CHECKING:
    from kg.store.protocol import GraphStore
    from retrieval.encoders.bag_of_words import BagOfWordsEncoder
    from retrieval.ranking import Vectors
    from retrieval.scoring import RelationScorer
    from retrieval.training import Progress

__all__ = ["TrainReport", "train_graph"]

#: Share of the links in each of the two splits, and the most links of one.
HELD_OUT: Final = 0.1
HELD_OUT_LIMIT: Final = 1000

#: Links below which nothing can be held out and still be learnt from.
FEWEST: Final = 20

#: Links up to which both vocabularies are tried.
SMALL: Final = 20_000

#: Wrong answers of one question that the calibration looks at.
WRONG_ANSWERS: Final = 200


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What `train` did, and how good the answers are on links that it had not seen."""

    #: The trained model; pass it to `predict` and `search` for a graph without a folder.
    model: GraphModel
    entities: int
    relations: int
    triples: int
    #: Links that were held out for the figures below; 0 on a graph too small for it.
    held_out: int
    #: Filtered, realistic, both sides, among all entities; None if nothing was held out.
    mrr: float | None
    hits_at_10: float | None
    #: MRR of "what stands most often at this end of the relation", on the same questions.
    popularity_mrr: float | None
    #: What the dev split decided, in words.
    choice: str
    epochs: int
    seed: int
    seconds: float
    cpu_seconds: float

    def figures(self) -> dict[str, Any]:
        """Return all but the model, ready for JSON."""
        return {
            "mrr": self.mrr,
            "hits_at_10": self.hits_at_10,
            "popularity_mrr": self.popularity_mrr,
            "held_out": self.held_out,
            "entities": self.entities,
            "relations": self.relations,
            "triples": self.triples,
            "choice": self.choice,
            "epochs": self.epochs,
            "dim": self.model.encoder.dim,
            "seed": self.seed,
            "model": self.model.fingerprint,
            "trained_on": self.model.trained_on,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
        }


def train_graph(
    graph: GraphStore,
    *,
    encoder: EncoderName = "bow",
    epochs: int | None = None,
    dim: int = 128,
    seed: int = 0,
    progress: Progress | None = None,
) -> TrainReport:
    """Train on a graph's links, write model and index to its home, and report.

    Args:
        graph: the graph; only its derived triples are read, predictions are not.
        encoder: "bow", the bag of words.
        epochs: passes over the links; by size of the graph if not given.
        dim: length of a vector.
        seed: of splits, initial weights and batches.
        progress: called after each training step.

    Raises:
        NothingToPredict: if the graph has no link between two entities.
        QueryShapeError: for an unknown encoder, or less than one epoch or dimension.
    """
    if encoder != "bow":
        raise QueryShapeError(f"unknown encoder {encoder!r}; available: bow")
    if dim < 1 or (epochs is not None and epochs < 1):
        raise QueryShapeError(f"{dim=} and {epochs=} must be 1 or more")
    wall, cpu = time.perf_counter(), time.process_time()
    snapshot = GraphSnapshot.of(graph)
    if not snapshot.triples:
        raise NothingToPredict(
            f"{graph.uri} holds no link between two entities; harvest documents into it first"
        )
    data = TripleData.of(
        [(t.head, t.relation, t.tail) for t in snapshot.triples],
        texts={id: entity_text(entity) for id, entity in snapshot.entities.items()},
        entities=snapshot.entities,
        text_source="graph",
    )
    trial = _Trial(data, _options(len(data.train), epochs, seed), dim, progress)
    fit, dev, held = _split(data.train, seed=seed)
    calibration = Calibrations.unfitted()
    ranks = floor = None
    # The products of a small graph are too small to share between threads.
    with threads(1 if len(data.train) <= SMALL else None):
        min_count, choice = trial.choose(fit, dev)
        if len(held):
            asked = questions(replace(data, train=fit, dev=dev, test=held), "transductive")
            parts = trial.train(fit, min_count)
            ranks = trial.ranks(parts, asked)
            floor = popularity_ranks(asked, fit, relations=len(data.relations))
            calibration = _calibrate(parts, asked, data, snapshot)
        final = trial.train(data.train, min_count)
    model = GraphModel(
        encoder=final.encoder,
        scorer=final.scorer,
        relations=data.relations,
        calibration=calibration,
        trained_on=snapshot.change_counter,
        index=VectorIndex(dim=dim),
    )
    model.refresh(snapshot)
    report = TrainReport(
        model=model,
        entities=len(data.entities),
        relations=len(data.relations),
        triples=len(data.train),
        held_out=len(held),
        mrr=round(ranks.mrr(), 4) if ranks else None,
        hits_at_10=round(ranks.hits(10), 4) if ranks else None,
        popularity_mrr=figures(floor)["mrr"] if floor else None,
        choice=choice,
        epochs=trial.options.epochs,
        seed=seed,
        seconds=round(time.perf_counter() - wall, 2),
        cpu_seconds=round(time.process_time() - cpu, 2),
    )
    if graph.home is not None:
        model.save(graph.home, figures=report.figures())
    return report


@dataclass(frozen=True, slots=True)
class _Parts:
    encoder: BagOfWordsEncoder
    scorer: RelationScorer
    vectors: Vectors


class _Trial:
    """Trains on parts of one graph; trainings with equal arguments are made once."""

    def __init__(
        self, data: TripleData, options: TrainingOptions, dim: int, progress: Progress | None
    ) -> None:
        self.data = data
        self.options = options
        self._dim = dim
        self._progress = progress
        self._made: dict[tuple[int, int], _Parts] = {}

    def train(self, triples: IntArray, min_count: int) -> _Parts:
        key = (len(triples), min_count)  # the parts of one graph differ in size
        if key not in self._made:
            data = self.data
            encoder, scorer = untrained(
                [data.texts[row] for row in data.entities_of(triples)],
                relations=len(data.relations),
                dim=self._dim,
                min_count=min_count,
                seed=self.options.seed,
            )
            features = encoder.features(data.texts)
            train(encoder, scorer, features, triples, options=self.options, progress=self._progress)
            self._made[key] = _Parts(encoder, scorer, encoder.encode_features(features))
        return self._made[key]

    def ranks(self, parts: _Parts, asked: Questions) -> Ranks:
        queries = parts.scorer.queries(parts.vectors[asked.sources], asked.relations)
        return rank(queries, parts.vectors[asked.candidates], asked.targets, asked.known)

    def choose(self, fit: IntArray, dev: IntArray) -> tuple[int, str]:
        """Return the vocabulary's `min_count` and why, by MRR on the dev links."""
        if not len(dev):
            return 1, "all words: the graph is too small to compare"
        if len(self.data.train) > SMALL:
            return 2, f"words of two entities or more: the graph has over {SMALL:,} links"
        asked = questions(replace(self.data, train=fit, test=dev), "transductive")
        found = {count: self.ranks(self.train(fit, count), asked).mrr() for count in (1, 2)}
        best = max(found, key=lambda count: found[count])
        words = "all words" if best == 1 else "words of two entities or more"
        return best, f"{words}: dev MRR {found[best]:.3f} against {found[3 - best]:.3f}"


def _options(links: int, epochs: int | None, seed: int) -> TrainingOptions:
    """Return options by the size of the graph; the module's docstring says why."""
    if links > SMALL:
        return TrainingOptions(seed=seed, epochs=epochs or 5)
    return TrainingOptions(seed=seed, epochs=epochs or 20, batch=128 if links <= 5000 else 512)


def _split(triples: IntArray, *, seed: int) -> tuple[IntArray, IntArray, IntArray]:
    """Return the links to fit on, the dev links and the held-out links, in a seeded order."""
    empty = triples[:0]
    if len(triples) < FEWEST:
        return triples, empty, empty
    size = min(HELD_OUT_LIMIT, max(2, round(HELD_OUT * len(triples))))
    left = Counter(triples[:, 1].tolist())
    chosen: list[int] = []
    for row in np.random.default_rng(seed).permutation(len(triples)).tolist():
        relation = int(triples[row, 1])
        if left[relation] > 1 and len(chosen) < 2 * size:
            left[relation] -= 1
            chosen.append(row)
    kept = np.ones(len(triples), bool)
    kept[chosen] = False
    return triples[kept], triples[chosen[::2]], triples[chosen[1::2]]


def _calibrate(
    parts: _Parts, asked: Questions, data: TripleData, snapshot: GraphSnapshot
) -> Calibrations:
    """Fit the curves on held-out links, against the wrong answers that `predict` would consider.

    Wrong answers are entities of the target's own types, because `predict` offers no others. If
    there are many, a sample stands for all by its weight.
    """
    types = [snapshot.entities[id].types or ("",) for id in data.entities]
    of_type: dict[str, IntArray] = {}
    random = np.random.default_rng(0)
    queries = parts.scorer.queries(parts.vectors[asked.sources], asked.relations)
    known_rows, known_ids = asked.known
    odds, cosines, true, times, backwards = [], [], [], [], []
    for question, target in enumerate(asked.targets.tolist()):
        own = types[target][0]
        if own not in of_type:
            fitting = [row for row, found in enumerate(types) if own in found]
            of_type[own] = np.array(fitting, np.int64)
        first, last = np.searchsorted(known_rows, [question, question + 1])
        hidden = np.concatenate([known_ids[first:last], [target, asked.sources[question]]])
        candidates = np.concatenate([[target], np.setdiff1d(of_type[own], hidden)])
        scores = parts.vectors[candidates] @ queries[question]
        wrong = len(candidates) - 1
        seen = np.arange(1, wrong + 1)
        if wrong > WRONG_ANSWERS:
            seen = random.choice(seen, WRONG_ANSWERS, replace=False)
        chosen = np.concatenate([[0], seen])
        odds.append(log_odds(scores)[chosen])
        cosines.append(scores[chosen].astype(np.float64))
        true.append(chosen == 0)
        times.append(np.where(chosen == 0, 1.0, wrong / max(1, len(seen))))
        backwards.append(np.full(len(chosen), asked.relations[question] >= len(data.relations)))
    heads = np.concatenate(backwards)
    columns = [np.concatenate(parts) for parts in (odds, cosines, true, times)]

    def curve(chosen: npt.NDArray[np.bool_]) -> Calibration:
        z, s, right, weight = (column[chosen] for column in columns)
        return Calibration.fit(z, s, right, times=weight)

    return Calibrations(tails=curve(~heads), heads=curve(heads))
