"""Train an encoder and a scorer on triples: in-batch InfoNCE with inverse relations.

One batch is b links drawn from the triples and their inverses. Each entity of the batch is encoded
once; **all** entities of the batch are the candidates of every query, so a batch of 1,024 links
brings about 1,900 negatives for one encoding each. Candidates that are known tails of the query in
the training triples are masked; the head itself stays a negative.

    lr(step) = lr · min(step / warm-up steps, (steps − step) / (steps − warm-up steps))

Same options, same data, same number of threads: the same weights, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from retrieval.encoders.bag_of_words import BagOfWordsEncoder, Features, bag
from retrieval.errors import NonFiniteScores, NothingToPredict, QueryShapeError
from retrieval.known_links import KnownLinks, with_inverses
from retrieval.losses.info_nce import info_nce
from retrieval.row_adam import RowAdam
from retrieval.scoring import RelationScorer, moved_heads
from retrieval.triple_data import IntArray

__all__ = ["Progress", "TrainingOptions", "TrainingResult", "threads", "train", "untrained"]


class Progress(Protocol):
    """Called after each step with steps done, steps in all and what is being done."""

    def __call__(self, done: int, total: int, label: str) -> None:
        """Show the state."""
        ...


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How to train.

    The defaults were chosen on the dev part of the inductive WN18RR split: 5 and 15 epochs are
    equal there, half the learning rate is worse.
    """

    epochs: int = 5
    #: Links of one batch, inverses counted.
    batch: int = 1024
    learning_rate: float = 1e-2
    #: τ of the loss.
    temperature: float = 0.05
    #: Share of the steps in which the learning rate rises.
    warm_up: float = 0.05
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What training did."""

    steps: int
    #: Mean loss of the last epoch.
    loss: float
    cpu_seconds: float


def train(
    encoder: BagOfWordsEncoder,
    scorer: RelationScorer,
    features: Features,
    triples: IntArray,
    *,
    options: TrainingOptions | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train encoder and scorer in place.

    Args:
        encoder: its weights are changed.
        scorer: its vectors are changed.
        features: of the texts of all entities, by `encoder.features`.
        triples: [n, 3] training triples; entities are rows of `features`.
        options: `TrainingOptions()` if not given.
        progress: called after each step.

    Raises:
        NothingToPredict: if there is no triple.
        NonFiniteScores: if the loss is no longer a number.
    """
    import torch

    options = options or TrainingOptions()
    if not len(triples):
        raise NothingToPredict("there is no triple to train on")
    started = time.process_time()
    links = with_inverses(triples, scorer.relations)
    known = KnownLinks.of([triples], relations=scorer.relations)
    steps = options.epochs * -(-len(links) // options.batch)
    # Both share memory with the arrays of encoder and scorer, which are so trained in place.
    words = RowAdam(torch.from_numpy(encoder.weights))
    scale = torch.from_numpy(scorer.scale).requires_grad_()
    offset = torch.from_numpy(scorer.offset).requires_grad_()
    relations = torch.optim.Adam([scale, offset], lr=options.learning_rate)
    batches = _Batches(features, known, len(encoder.vocabulary))
    loss_sum = 0.0
    last_epoch = steps - steps // options.epochs
    for step, chosen in enumerate(_shuffled(links, options)):
        rate = options.learning_rate * _schedule(step, steps, options.warm_up)
        batch = batches.make(chosen)
        rows = torch.from_numpy(batch.rows)
        part = words.gather(rows)
        vectors = bag(part, batch.features)
        queries = moved_heads(
            vectors[batch.heads], scale, offset, torch.from_numpy(chosen[:, 1].copy())
        )
        loss = info_nce(
            queries @ vectors.T,
            torch.from_numpy(batch.tails),
            temperature=options.temperature,
            known=(torch.from_numpy(batch.known_rows), torch.from_numpy(batch.known_columns)),
        )
        relations.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        relations.param_groups[0]["lr"] = rate
        relations.step()
        words.step(rows, part, lr=rate)
        if step >= last_epoch:
            loss_sum += loss.item()
        if progress is not None:
            progress(step + 1, steps, "training")
    loss_mean = loss_sum / max(1, steps - last_epoch)
    if not np.isfinite(loss_mean):
        raise NonFiniteScores(
            f"the loss became {loss_mean} with learning rate {options.learning_rate} and "
            f"temperature {options.temperature}; lower the rate or raise the temperature"
        )
    return TrainingResult(steps, loss_mean, time.process_time() - started)


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """Use this many threads for matrix products inside; None leaves the number as it is.

    Raises:
        QueryShapeError: for a number below 1.
    """
    import torch

    if number is not None and number < 1:
        raise QueryShapeError(f"threads is {number}; give 1 or more")
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, slots=True)
class _Batch:
    #: Rows of the embedding table that the batch touches.
    rows: IntArray
    #: Features of the batch's entities, as positions in `rows`.
    features: Features
    #: [b] positions among the batch's entities.
    heads: IntArray
    tails: IntArray
    known_rows: IntArray
    known_columns: IntArray


class _Batches:
    """Turns links into batches with numbers of their own, by scatter tables kept between calls."""

    def __init__(self, features: Features, known: KnownLinks, vocabulary: int) -> None:
        self._features = features
        self._known = known
        self._entity_place = np.full(len(features), -1, np.int64)
        self._row_place = np.zeros(vocabulary, np.int64)
        self._touched = np.zeros(vocabulary, bool)

    def make(self, links: IntArray) -> _Batch:
        entities = np.unique(links[:, [0, 2]])
        self._entity_place[entities] = np.arange(len(entities))
        rows, targets = self._known.targets(links[:, 0], links[:, 1])
        columns = self._entity_place[targets]
        inside = columns >= 0
        heads, tails = self._entity_place[links[:, 0]], self._entity_place[links[:, 2]]
        self._entity_place[entities] = -1

        features = self._features.take(entities)
        self._touched[features.values] = True
        touched = np.flatnonzero(self._touched)
        self._touched[touched] = False
        self._row_place[touched] = np.arange(len(touched))
        return _Batch(
            rows=touched,
            features=Features(self._row_place[features.values], features.offsets),
            heads=heads,
            tails=tails,
            known_rows=rows[inside],
            known_columns=columns[inside],
        )


def _shuffled(links: IntArray, options: TrainingOptions) -> Iterator[IntArray]:
    random = np.random.default_rng(options.seed)
    for _ in range(options.epochs):
        order = random.permutation(len(links))
        for start in range(0, len(links), options.batch):
            yield links[order[start : start + options.batch]]


def _schedule(step: int, steps: int, warm_up: float) -> float:
    """Return the factor of the learning rate at a step: up from 1 / warm-up, down to above 0."""
    rising = max(1, int(warm_up * steps))
    return min(1.0, (step + 1) / rising, (steps - step) / max(1, steps - rising))


def untrained(
    texts: list[str], *, relations: int, dim: int, min_count: int, seed: int
) -> tuple[BagOfWordsEncoder, RelationScorer]:
    """Return an encoder fitted on the texts of training entities, and a scorer of its size."""
    encoder = BagOfWordsEncoder.fit(texts, dim=dim, min_count=min_count, seed=seed)
    return encoder, RelationScorer.untrained(relations=relations, dim=dim, seed=seed + 1)
