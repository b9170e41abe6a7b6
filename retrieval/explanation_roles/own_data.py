"""Would explanations help on a task of one's own? A test that costs minutes and no language model.

Every item is classified by a linear model on its own features joined with those of explanations;
the question is which explanations, if any, make it better:

| way | features beside those of the input |
|---|---|
| `none` | none |
| `random` | mean of k explanations of random training items |
| `neighbours` | mean of the *inputs* of the k nearest training items |
| `retrieved` | mean of the *explanations* of the k nearest training items |
| `right` | its own explanation, written by one who knew the label: what no retriever reaches |

`random` shows what further features alone do, `neighbours` what near examples do without anybody
explaining them. Nobody's own explanation is retrieved for him, nor that of an item with the same
text. Folds are drawn once; every way sees the same ones, so ways are compared item by item
(McNemar's exact test).

The model is regularised least squares, one label against the rest (Rifkin and Klautau, 2004); its
ridge is chosen by the leave-one-out error in closed form. It says whether information is there, not
what a large language model would make of it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from retrieval.demonstrations.leakage import SameSource
from retrieval.demonstrations.lexical import words
from retrieval.demonstrations.task import Demo, Task
from retrieval.errors import QueryShapeError
from retrieval.rows import unit
from retrieval.triple_data import IntArray

__all__ = ["WAYS", "Comparison", "Verdict", "explanations_help", "mcnemar"]

type Features = Literal["tfidf", "minilm"]
type Way = Literal["none", "random", "neighbours", "retrieved", "right"]
type Table = NDArray[np.float32]

WAYS: Final[tuple[Way, ...]] = ("none", "random", "neighbours", "retrieved", "right")
#: Items that are looked at; the rest is left out at random, since cost grows with their cube.
MOST: Final = 2000
#: Words of a TF-IDF vector: those in most texts of the training part.
VOCABULARY: Final = 4096
RIDGES: Final = tuple(10.0**exponent for exponent in range(-3, 4))
#: Chance of a difference by luck alone below which it counts.
LEVEL: Final = 0.05


@dataclass(frozen=True, slots=True)
class Comparison:
    """`retrieved` against another way, on the same items."""

    #: Accuracy of `retrieved` minus accuracy of the other.
    difference: float
    #: Items that only one of the two gets right.
    only_retrieved: int
    only_other: int
    #: McNemar's exact test, two-sided.
    p: float

    @property
    def better(self) -> bool:
        """Whether `retrieved` is better, beyond luck."""
        return self.difference > 0 and self.p < LEVEL


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the test found."""

    items: int
    #: Items without an explanation, and items beyond `MOST`.
    left_out: int
    labels: int
    majority: float
    #: Way → share of items that are right, over all folds.
    accuracy: Mapping[Way, float]
    #: The other way → comparison.
    against: Mapping[Way, Comparison]

    @property
    def helps(self) -> bool:
        """Whether retrieved explanations beat none and random ones."""
        return self.against["none"].better and self.against["random"].better

    @property
    def advice(self) -> str:
        """The finding in one sentence."""
        if self.helps and self.against["neighbours"].better:
            return "retrieve explanations: they help, and more than near examples without them"
        if self.helps:
            return (
                "near examples help; no more is shown of their explanations, so demonstrations "
                "without explanations will do"
            )
        if self.accuracy["right"] > self.accuracy["none"] and self.against["right"].p < LEVEL:
            return (
                "explanations hold the answer but retrieved ones do not bring it: they explain "
                "their own item and no other"
            )
        return "no gain from explanations is shown: leave them out"


def explanations_help(
    task: Task,
    *,
    features: Features = "tfidf",
    k: int = 5,
    folds: int = 5,
    seed: int = 0,
) -> Verdict:
    """Return whether retrieving explanations helps on a task.

    Args:
        task: a classification task whose demonstrations carry explanations; those without one are
            left out.
        features: "tfidf", or "minilm" for vectors of the installed sentence encoder.
        k: explanations per item.
        folds: parts that are predicted in turn.
        seed: of folds, of random explanations, and of the choice among more than 2,000 items.

    Raises:
        QueryShapeError: too few explained items, outputs that do not repeat, or an unknown option.
    """
    if features not in ("tfidf", "minilm"):
        raise QueryShapeError(f"unknown features {features!r}; choose tfidf or minilm")
    if k < 1 or folds < 2:
        raise QueryShapeError(f"{k=}, {folds=}: give k of 1 or more, and 2 folds or more")
    random = np.random.default_rng(seed)
    explained = [demo for demo in task.demos if demo.explanation.strip()]
    if len(explained) > MOST:
        chosen = np.sort(random.permutation(len(explained))[:MOST])
        explained = [explained[at] for at in chosen]
    labels = sorted({demo.output for demo in explained})
    least = max(4 * folds, 2 * len(labels))
    if len(explained) < least or len(labels) < 2:
        raise QueryShapeError(
            f"task {task.name!r} has {len(explained)} explained items with {len(labels)} different "
            f"outputs; the test needs 2 outputs or more that repeat, and {least} items or more"
        )
    targets = np.array([labels.index(demo.output) for demo in explained])
    fold_of = np.empty(len(explained), np.int64)
    fold_of[random.permutation(len(explained))] = np.arange(len(explained)) % folds
    said = {way: np.empty(len(explained), np.int64) for way in WAYS}
    vectorise = _vectoriser(features, explained)
    for fold in range(folds):
        test = fold_of == fold
        for way, predicted in _predictions(
            explained, targets, test, vectorise, k=k, random=random
        ).items():
            said[way][test] = predicted
    right = {way: said[way] == targets for way in WAYS}
    return Verdict(
        items=len(explained),
        left_out=len(task.demos) - len(explained),
        labels=len(labels),
        majority=float(np.bincount(targets).max() / len(targets)),
        accuracy={way: float(right[way].mean()) for way in WAYS},
        against={
            way: _compared(right["retrieved"], right[way]) for way in WAYS if way != "retrieved"
        },
    )


def mcnemar(only_one: int, only_other: int) -> float:
    """Return the chance of so uneven a split by luck: the exact two-sided binomial test.

    >>> mcnemar(8, 1), mcnemar(3, 3)
    (0.0390625, 1.0)
    """
    n, least = only_one + only_other, min(only_one, only_other)
    tail = sum(math.comb(n, at) for at in range(least + 1))
    return min(1.0, float(2 * tail / 2**n)) if n < 1000 else _by_normal(only_one, only_other)


def _by_normal(only_one: int, only_other: int) -> float:
    """Return the same by the normal approximation with continuity correction, for large counts."""
    n = only_one + only_other
    return math.erfc(max(0.0, abs(only_one - only_other) - 1) / math.sqrt(2 * n))


def _compared(ours: NDArray[np.bool_], other: NDArray[np.bool_]) -> Comparison:
    only_ours, only_other = int((ours & ~other).sum()), int((other & ~ours).sum())
    return Comparison(
        difference=float(ours.mean() - other.mean()),
        only_retrieved=only_ours,
        only_other=only_other,
        p=mcnemar(only_ours, only_other),
    )


#: From rows of the training part to unit vectors of (inputs, explanations) of all rows.
type Vectorise = Callable[[IntArray], tuple[Table, Table]]


def _vectoriser(features: Features, demos: Sequence[Demo]) -> Vectorise:
    inputs = [demo.input for demo in demos]
    explanations = [demo.explanation for demo in demos]
    if features == "minilm":
        from retrieval.encoders.sentence import SentenceEncoder

        encode = SentenceEncoder().encode
        both = encode(inputs), encode(explanations)
        return lambda _: both
    counted = [[Counter(words(text)) for text in texts] for texts in (inputs, explanations)]

    def tfidf(train: IntArray) -> tuple[Table, Table]:
        held = Counter(word for texts in counted for at in train for word in texts[at])
        chosen = sorted(held, key=lambda word: (-held[word], word))[:VOCABULARY]
        column = {word: at for at, word in enumerate(chosen)}
        idf = np.array([1 + math.log((1 + 2 * len(train)) / (1 + held[word])) for word in chosen])
        return _weighted(counted[0], column, idf), _weighted(counted[1], column, idf)

    return tfidf


def _weighted(
    texts: Sequence[Counter[str]], column: Mapping[str, int], idf: NDArray[np.float64]
) -> Table:
    table = np.zeros((len(texts), len(column)), np.float32)
    for row, counts in enumerate(texts):
        for word, count in counts.items():
            if word in column:
                at = column[word]
                table[row, at] = (1 + math.log(count)) * idf[at]
    return unit(table)


def _predictions(
    demos: Sequence[Demo],
    targets: IntArray,
    test: NDArray[np.bool_],
    vectorise: Vectorise,
    *,
    k: int,
    random: np.random.Generator,
) -> dict[Way, IntArray]:
    """Return the predicted labels of the test part by each way."""
    train = np.flatnonzero(~test)
    inputs, explanations = vectorise(train)
    cosines = inputs @ inputs[train].T
    same = SameSource(demos[at] for at in train.tolist())
    for row, demo in enumerate(demos):  # itself, and what has its text
        cosines[row, list(same.places(demo))] = -np.inf
    lots = random.random(cosines.shape)
    near, drawn = (
        train[np.argsort(-table, axis=1, kind="stable")[:, : min(k, len(train) - 1)]]
        for table in (cosines, np.where(np.isfinite(cosines), lots, -1))
    )
    beside: dict[Way, Table] = {
        "none": np.zeros((len(demos), 0), np.float32),
        "random": unit(explanations[drawn].mean(1)),
        "neighbours": unit(inputs[near].mean(1)),
        "retrieved": unit(explanations[near].mean(1)),
        "right": explanations,
    }
    return {
        way: _classified(np.hstack([inputs, part]), targets, test) for way, part in beside.items()
    }


def _classified(table: Table, targets: IntArray, test: NDArray[np.bool_]) -> IntArray:
    """Return the labels of the test rows by regularised least squares on the others.

    With K the centred Gram matrix of the training rows, K = Q L Qᵀ, the fitted values of a ridge λ
    are H Y with H = Q L/(L + λ) Qᵀ + 1/n, and a left-out row's error is (y − ŷ) / (1 − H_ii).
    """
    train = table[~test].astype(np.float64)
    mean = train.mean(0)
    train -= mean
    wanted = np.where(targets[~test, None] == np.arange(targets.max() + 1), 1.0, -1.0)
    centre = wanted.mean(0)
    values, vectors = np.linalg.eigh(train @ train.T)
    values = np.maximum(values, 0)
    turned = vectors.T @ (wanted - centre)
    errors = []
    for ridge in RIDGES:
        kept = values / (values + ridge)
        fitted = vectors @ (kept[:, None] * turned) + centre
        own = (vectors**2) @ kept + 1 / len(train)
        left_out = (wanted - fitted) / np.maximum(1 - own, 1e-9)[:, None]
        errors.append(float((left_out**2).mean()))
    ridge = RIDGES[int(np.argmin(errors))]
    weights = train.T @ (vectors @ (turned / (values + ridge)[:, None]))
    scores = (table[test] - mean) @ weights + centre
    return np.asarray(scores.argmax(1), np.int64)
