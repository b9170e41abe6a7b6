"""Links held out of a graph: to choose by, to report on, to calibrate with.

```
links ─┬─ a tenth: dev ─────────► which vocabulary (all words, or words of two entities and more)
       └─ the rest, in folds ───► each asked of a model that was trained on all other links
```

A graph of up to a thousand links is asked whole, in five folds: a tenth of it would be twenty
links, and the figure mostly chance. A larger one is asked in one fold of a tenth, capped. Links
are dealt out relation by relation, so a relation with two links or more is never held out whole,
and the only link of a relation never at all. Dev links are never asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from retrieval.calibration import Calibration, Calibrations, log_odds
from retrieval.entity_training.recipe import train_model
from retrieval.errors import QueryShapeError
from retrieval.floors import popularity_ranks
from retrieval.heads.affine import Affine
from retrieval.protocols import Questions, questions
from retrieval.ranking import Ranks, rank
from retrieval.scoring import RelationScorer
from retrieval.triple_data import IntArray, TripleData

if TYPE_CHECKING:
    from pathlib import Path

    from retrieval.encoders.protocol import EntityEncoder
    from retrieval.entity_training.presets import Preset
    from retrieval.progress import Progress
    from retrieval.ranking import FloatArray, Vectors

__all__ = ["HeldOut", "Parts", "Split", "Trial", "hold_out", "split_links"]

type Mask = npt.NDArray[np.bool_]

#: Links below which nothing can be held out and still be learnt from.
FEWEST: Final = 20

#: Links up to which all of them are asked, in folds.
FOLDED: Final = 1000

#: Bins that the links are dealt into: the first is dev, the others are joined to folds so that
#: neighbours in the deal, links of one relation, come into different folds.
BINS: Final = 10
FOLDS: Final = ((1, 6), (2, 7), (3, 8), (4, 9), (5,))

#: Most links of the dev part, and of the one fold of a large graph.
LIMIT: Final = 1000

#: Links up to which both vocabularies are tried.
SMALL: Final = 20_000

#: Wrong answers of one question that the calibration looks at.
WRONG_ANSWERS: Final = 200


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of the links that are held out."""

    dev: IntArray
    folds: tuple[IntArray, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """A trained encoder and scorer with the vectors of all entities."""

    encoder: EntityEncoder
    scorer: RelationScorer
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How well held-out links were found, beside the floor, and the curves fitted on them."""

    links: int
    ranks: Ranks
    popularity: Ranks
    calibrations: Calibrations


def split_links(triples: IntArray, *, seed: int) -> Split:
    """Return which links [n, 3] are held out; nothing of fewer than twenty.

    >>> links = np.stack([np.arange(40), np.arange(40) // 20, np.arange(40)], axis=1)
    >>> split = split_links(links, seed=0)
    >>> len(split.dev), [len(fold) for fold in split.folds]
    (4, [8, 8, 8, 8, 4])
    """
    if len(triples) < FEWEST:
        return Split(np.empty(0, np.int64), ())
    random = np.random.default_rng(seed)
    shuffled = random.permutation(len(triples))
    dealt = shuffled[np.argsort(triples[shuffled, 1], kind="stable")]
    counts = np.bincount(triples[:, 1])
    bins = np.empty(len(triples), np.int64)
    bins[dealt] = np.arange(len(triples)) % BINS
    bins[counts[triples[:, 1]] == 1] = -1
    # In shuffled order, so that a cap takes links of all relations.
    members = [shuffled[bins[shuffled] == number] for number in range(BINS)]
    if len(triples) <= FOLDED:
        folds = tuple(np.concatenate([members[number] for number in fold]) for fold in FOLDS)
    else:
        folds = (members[1][:LIMIT],)
    return Split(members[0][:LIMIT], tuple(fold for fold in folds if len(fold)))


class Trial:
    """Trains on parts of one graph with the same options."""

    def __init__(
        self,
        data: TripleData,
        preset: Preset,
        *,
        cache: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.data = data
        self.preset = preset
        self._cache = cache
        self._progress = progress

    def train(self, triples: IntArray, min_count: int) -> Parts:
        """Return a model of some of the links; its vocabulary is that of their ends."""
        nothing = np.empty((0, 3), np.int64)
        data = replace(self.data, train=triples, dev=nothing)
        model, _ = train_model(
            data, self.preset, cache=self._cache, min_count=min_count, progress=self._progress
        )
        if not isinstance(model.head, Affine):
            raise QueryShapeError(f"a graph's model has an affine head, not {model.head.name}")
        return Parts(model.encoder, RelationScorer.of(model.head), model.encoder.encode(data.texts))

    def asked(self, held: IntArray) -> tuple[IntArray, Questions]:
        """Return the links that are left without the `held` rows, and the questions on those."""
        kept = np.ones(len(self.data.train), bool)
        kept[held] = False
        left = self.data.train[kept]
        data = replace(self.data, train=left, test=self.data.train[held])
        return left, questions(data, "transductive")

    def ranks(self, parts: Parts, asked: Questions) -> Ranks:
        """Return the filtered ranks of the answers among all entities."""
        queries = parts.scorer.queries(parts.vectors[asked.sources], asked.relations)
        return rank(queries, parts.vectors[asked.candidates], asked.targets, asked.known)

    def choose(self, dev: IntArray) -> tuple[int, str]:
        """Return the vocabulary's `min_count` and why, by MRR on the dev links."""
        if not len(dev):
            return 1, "all words: the graph is too small to compare"
        if len(self.data.train) > SMALL:
            return 2, f"words of two entities or more: the graph has over {SMALL:,} links"
        left, asked = self.asked(dev)
        found = {count: self.ranks(self.train(left, count), asked).mrr() for count in (1, 2)}
        best = max(found, key=lambda count: found[count])
        words = "all words" if best == 1 else "words of two entities or more"
        return best, f"{words}: dev MRR {found[best]:.3f} against {found[3 - best]:.3f}"


def hold_out(
    trial: Trial, folds: Iterable[IntArray], min_count: int, types: list[tuple[str, ...]]
) -> HeldOut | None:
    """Return how well the links of each fold are found by a model of the others, None of no fold.

    Args:
        trial: trains the models.
        folds: rows of the links of each fold.
        min_count: of the vocabulary.
        types: types of each entity, ("",) for none.
    """
    links = 0
    ranks, floors, answers = [], [], []
    for fold in folds:
        left, asked = trial.asked(fold)
        parts = trial.train(left, min_count)
        ranks.append(trial.ranks(parts, asked))
        floors.append(popularity_ranks(asked, left, relations=len(trial.data.relations)))
        answers.append(_answers(parts, asked, types, relations=len(trial.data.relations)))
        links += len(fold)
    if not links:
        return None
    odds, cosines, true, times, heads = (
        np.concatenate(columns) for columns in zip(*answers, strict=True)
    )
    tails_curve, heads_curve = (
        Calibration.fit(odds[side], cosines[side], true[side], times=times[side])
        for side in (~heads, heads)
    )
    return HeldOut(
        links, Ranks.of(ranks), Ranks.of(floors), Calibrations(tails=tails_curve, heads=heads_curve)
    )


def _answers(
    parts: Parts, asked: Questions, types: list[tuple[str, ...]], *, relations: int
) -> tuple[FloatArray, FloatArray, Mask, FloatArray, Mask]:
    """Return log-odds, cosine, rightness, weight and side of the answers `predict` would consider.

    Wrong answers are entities of the target's own type, because `predict` offers no others. If
    there are many, a sample stands for all by its weight.
    """
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
        backwards.append(np.full(len(chosen), asked.relations[question] >= relations))
    return (
        np.concatenate(odds),
        np.concatenate(cosines),
        np.concatenate(true),
        np.concatenate(times),
        np.concatenate(backwards),
    )
