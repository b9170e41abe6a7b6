"""The diagnostic: every way of choosing explanations on one kind of them, side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

from retrieval.errors import QueryShapeError
from retrieval.explanation_roles.items import Kind, Sizes, draw
from retrieval.explanation_roles.training import EPOCHS, WAYS, Way, train

__all__ = ["PUBLISHED", "diagnose"]

#: Test accuracy in the released result sheets of the source, with RoBERTa and averaged vectors.
PUBLISHED: Final[dict[str, dict[str, float]]] = {
    "missing": {"none": 0.6219, "fixed": 0.9090, "learned": 0.9897, "optimal": 0.9836},
}


def diagnose(
    kind: Kind = "missing",
    *,
    ways: Sequence[Way] = WAYS,
    sizes: Sizes | None = None,
    seed: int = 0,
    epochs: int = EPOCHS,
    threads: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Train each way of choosing explanations and return its test accuracy.

    Args:
        kind: "missing", "evidential" or "recomposable" information (see `items`).
        ways: which ways (see `training`).
        sizes: number of items; those of the source if not given.
        seed: of the items and of everything that is trained.
        epochs: passes over the training items; the best one on dev counts.
        threads: of the matrix products.
        progress: called with the way, epochs done and epochs in all.

    Returns:
        `accuracy`: way → share of test items that are right; `found`: way → share of test items
        whose first explanation is one of their own index; `outcomes` with dev and epoch;
        `published` for comparison; and all that decides the figures.

    Raises:
        QueryShapeError: an unknown way or kind.
    """
    unknown = [way for way in ways if way not in WAYS]
    if unknown or not ways:
        raise QueryShapeError(f"unknown way {unknown[:1]}; choose of {', '.join(WAYS)}")
    sizes = sizes or Sizes()
    started = time.monotonic()
    data = draw(kind, sizes=sizes, seed=seed)
    outcomes = []
    for way in ways:
        begun = time.monotonic()
        shown = None if progress is None else _named(progress, way)
        outcome = train(data, way, seed=seed, epochs=epochs, threads=threads, progress=shown)
        outcomes.append(asdict(outcome) | {"seconds": round(time.monotonic() - begun, 1)})
    return {
        "kind": kind,
        "accuracy": {row["way"]: row["test"] for row in outcomes},
        "found": {row["way"]: row["found"] for row in outcomes},
        "outcomes": outcomes,
        "published": PUBLISHED.get(kind, {}),
        "train": sizes.train,
        **asdict(sizes),
        "seed": seed,
        "epochs": epochs,
        "threads": threads,
        "seconds": round(time.monotonic() - started, 1),
    }


def _named(progress: Callable[[str, int, int], None], way: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(way, done, total)
