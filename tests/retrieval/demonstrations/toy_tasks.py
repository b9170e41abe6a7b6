"""A task of six words in two kinds, and feedback that counts what it is asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrieval.demonstrations.feedback import LabelFeedback
from retrieval.demonstrations.scorer import Pair
from retrieval.demonstrations.task import Demo, Task

ANIMALS, THINGS = ("cat", "dog", "cow"), ("car", "bus", "van")


def kinds(count: int = 24, name: str = "kinds") -> Task:
    demos = []
    for at in range(count):
        word = (ANIMALS if at % 2 else THINGS)[at % 3]
        demos.append(Demo(f"d{at}", f"the {word} is {at}", "animal" if at % 2 else "thing"))
    return Task(name, "kind :", demos, labels=("animal", "thing"))


class CountingFeedback(LabelFeedback):
    """Labels, with a little order among equals; counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Pair] = []

    def score(
        self, pairs: Sequence[Pair], *, labels: Sequence[str] | None = None
    ) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        self.asked += pairs
        small = [len(pair.demos[0].input) / 1000 for pair in pairs]
        return super().score(pairs) + np.array(small, np.float32)
