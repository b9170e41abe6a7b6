"""The diagnostic task: which of two numbers occurs more often, if one knows which two.

An item is a row of 20 numbers. The first names an index, the second (1 or 2) a question, and 18
numbers in 1..100 follow. Every index has a hidden rule of four different numbers (m, n, r, d):

    label = 1[#m > #n] if the question is 1, 1[#r > #d] if it is 2

Both pairs always differ in number; which side is larger is balanced, and the pair that is not asked
about agrees with the label in half of the items, so that neither pair gives the other away. The
remaining numbers are drawn outside the rule. The explanation of an item is its index and the rule:

| kind | explanation | what retrieving is good for |
|---|---|---|
| `missing` | the rule | it is known nowhere else |
| `evidential` | each of its numbers ± noise | many together tell it better than one |
| `recomposable` | half of it, (m, r) or (n, d) | two halves that were never seen together |

0 stands for a number that an explanation leaves out. (m, r) and (n, d) are our halves: alone,
neither decides any item. Source: Hase and Bansal, 2021; the sizes are theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from retrieval.errors import QueryShapeError
from retrieval.triple_data import IntArray

__all__ = ["BODY", "HIGHEST", "Data", "Items", "Kind", "Sizes", "draw"]

type Kind = Literal["missing", "evidential", "recomposable"]

#: Largest number of a body, and how many there are.
HIGHEST: Final = 100
BODY: Final = 18
#: Most occurrences of the more frequent number of a pair; two pairs take 14 places at most.
MOST: Final = 4
#: Largest noise of evidential explanations.
NOISE: Final = 2


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many items there are; the defaults are those of the source.

    Raises:
        QueryShapeError: a number below 1.
    """

    indices: int = 500
    #: Training items of each index: an index is seen so often, each time with its explanation.
    per_index: int = 10
    dev: int = 10_000
    test: int = 50_000
    #: Dev and test have indices that training does not have: nothing retrievable helps them.
    disjoint: bool = False

    def __post_init__(self) -> None:
        for name in ("indices", "per_index", "dev", "test"):
            if getattr(self, name) < 1:
                raise QueryShapeError(f"{name} is {getattr(self, name)}; give 1 or more")

    @property
    def train(self) -> int:
        """Number of training items."""
        return self.indices * self.per_index


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """Rows of the task, n of them."""

    #: [n] from 1 on.
    index: IntArray
    #: [n] 1 or 2.
    question: IntArray
    #: [n, 18] numbers in 1..100.
    body: IntArray
    #: [n] 0 or 1.
    labels: IntArray
    #: [n, 4] (m, n, r, d), exact.
    rules: IntArray
    #: [n, 4] what the item's explanation says of its rule; 0 for a number that it leaves out.
    explanations: IntArray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def inputs(self) -> IntArray:
        """Return the items as they are read, [n, 20]."""
        return np.column_stack([self.index, self.question, self.body])

    @property
    def explained(self) -> IntArray:
        """Return the explanations as they are retrieved, [n, 5]: index and rule."""
        return np.column_stack([self.index, self.explanations])


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """The three parts. Only explanations of `train` may be retrieved."""

    train: Items
    dev: Items
    test: Items


def draw(kind: Kind = "missing", *, sizes: Sizes | None = None, seed: int = 0) -> Data:
    """Return a data set of one kind; the same seed draws the same items.

    Raises:
        QueryShapeError: an unknown kind.

    >>> data = draw(sizes=Sizes(indices=3, per_index=2, dev=3, test=4))
    >>> len(data.train), data.train.inputs.shape, data.train.explained.shape
    (6, (6, 20), (6, 5))
    >>> bool((data.test.explanations == data.test.rules).all())
    True
    """
    if kind not in get_args(Kind.__value__):
        raise QueryShapeError(
            f"unknown kind {kind!r}; choose {', '.join(get_args(Kind.__value__))}"
        )
    sizes = sizes or Sizes()
    random = np.random.default_rng(seed)
    rules = np.array([random.permutation(HIGHEST)[:4] + 1 for _ in range(2 * sizes.indices)])
    seen = np.arange(sizes.indices)
    asked = seen + sizes.indices if sizes.disjoint else seen
    return Data(
        train=_items(np.repeat(seen, sizes.per_index), rules, kind, random),
        dev=_items(np.resize(asked, sizes.dev), rules, kind, random),
        test=_items(np.resize(asked, sizes.test), rules, kind, random),
    )


def _items(index: IntArray, rules: IntArray, kind: Kind, random: np.random.Generator) -> Items:
    n = len(index)
    own = rules[index]
    question = random.integers(1, 3, n)
    labels = random.integers(0, 2, n)
    other = np.where(random.integers(0, 2, n) == 1, labels, 1 - labels)
    # [n, 2] whether the first number of each pair is the more frequent one.
    first = np.where(question[:, None] == [1, 2], labels[:, None], other[:, None])
    many = random.integers(1, MOST + 1, (n, 2))
    few = random.integers(0, many)
    counts = np.where(first[..., None] == 1, np.stack([many, few], 2), np.stack([few, many], 2))
    ends = counts.reshape(n, 4).cumsum(1)
    body = _outside(own, random)
    places = np.arange(BODY)
    for slot in reversed(range(4)):
        body = np.where(places < ends[:, slot, None], own[:, slot, None], body)
    body = random.permuted(body, axis=1)
    return Items(index + 1, question, body, labels, own, _explained(own, kind, random))


def _outside(rules: IntArray, random: np.random.Generator) -> IntArray:
    """Return numbers [n, 18] in 1..100 without the four of each row's rule, evenly drawn."""
    drawn = random.integers(1, HIGHEST - 3, (len(rules), BODY))
    for bar in np.sort(rules, axis=1).T:
        drawn += drawn >= bar[:, None]
    return drawn


def _explained(rules: IntArray, kind: Kind, random: np.random.Generator) -> IntArray:
    if kind == "evidential":
        noise = random.integers(-NOISE, NOISE + 1, rules.shape)
        return np.clip(rules + noise, 1, HIGHEST)
    if kind == "recomposable":
        half = random.integers(0, 2, (len(rules), 1))
        return np.where(np.arange(4) % 2 == half, rules, 0)
    return rules
