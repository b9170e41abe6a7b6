"""Do hard negatives train a better encoder than random ones? Dev parts only; three seeds.

```
python benchmarks/hard_negatives.py --data FOLDER --json
```

Training asks each link for its tail among all entities of the batch. Here each link brings `each`
further candidates: none, random entities, or those that `kg.perturbation.HardNegatives` proposes in
place of the tail (inverse links: of the head). All candidates serve all links of the batch, known
tails are masked, everything else is as in the recipe `bow-infonce`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kg.perturbation import HardNegatives
from kg.perturbation.hard_negatives import Kind
from retrieval.entity_model import answer_ranks
from retrieval.entity_training.batches import Batches, EntityBatch, batches_of
from retrieval.entity_training.recipe import preset_named, train_model
from retrieval.evaluations import figures
from retrieval.known_links import with_inverses
from retrieval.protocols import PROTOCOL_OF_SPLIT, questions
from retrieval.threads import threads
from retrieval.triple_data import IntArray, TripleData, load_folder

KINDS: tuple[Kind, ...] = ("random", "near_name", "same_relation")


def proposals(data: TripleData, kind: Kind, each: int, seed: int) -> dict[bytes, IntArray]:
    """Return link, as bytes → rows of entities that may stand in place of its tail and do not."""
    relations = len(data.relations)
    named = range(len(data.texts)) if kind == "near_name" else ()
    negatives = HardNegatives(
        ((str(h), str(r), str(t)) for h, r, t in data.train.tolist()),
        names={str(row): data.texts[row].split(";")[0].split(",")[0] for row in named},
        types={str(row): ["entity"] for row in data.entities_of(data.train).tolist()},
    )
    found: dict[bytes, IntArray] = {}
    for (head, relation, tail), some in negatives.stream(2 * each, seed=seed, kinds=[kind]):
        h, r, t = int(head), int(relation), int(tail)
        tails = [int(one.tail) for one in some if one.head == head][:each]
        heads = [int(one.head) for one in some if one.tail == tail][:each]
        found[np.array([h, r, t]).tobytes()] = np.array(tails, np.int64)
        found[np.array([t, r + relations, h]).tobytes()] = np.array(heads, np.int64)
    return found


class WithMore:
    """Batches with further entities, which are candidates of all questions."""

    def __init__(self, batches: Batches, triples: IntArray, more: Mapping[bytes, IntArray]) -> None:
        self._batches, self._triples, self._more = batches, triples, more
        self._relations = int(triples[:, 1].max()) + 1

    def draw(self) -> EntityBatch:
        """Return the next batch, with more entities."""
        batch = self._batches.draw()
        own = with_inverses(self._triples[batch.rows], self._relations)
        extra = [self._more[link.tobytes()] for link in np.ascontiguousarray(own)]
        entities = np.union1d(batch.entities, np.concatenate(extra))
        ends = np.searchsorted(entities, batch.entities)
        triples = batch.triples.copy()
        triples[:, 0], triples[:, 2] = ends[triples[:, 0]], ends[triples[:, 2]]
        return EntityBatch(entities, triples, batch.rows)

    def state(self) -> dict[str, Any]:
        """Return the state of the batches."""
        return self._batches.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on at a state."""
        self._batches.restore(state)


def mrr(
    data: TripleData, split: Any, kind: str, each: int, seed: int, epochs: int
) -> dict[str, Any]:
    """Train with one kind of further candidates and return figures on dev."""
    asked = questions(data, PROTOCOL_OF_SPLIT[split], "dev")
    preset = preset_named("bow-infonce", passes=epochs, seed=seed)
    batches = None
    if kind != "none":
        more = proposals(data, kind, each, seed)  # type: ignore[arg-type]
        plain = batches_of("random", data.train, entities=preset.options.entities, seed=seed)
        batches = WithMore(plain, data.train, more)
    untested = replace(data, dev=data.dev[:0])
    model, report = train_model(untested, preset, batches=batches)
    ranks = answer_ranks(model.head, model.encoder.encode(data.texts), asked)
    return {**figures(ranks), "training_cpu_seconds": round(report.cpu_seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=["inductive", "transductive"], default="inductive")
    parser.add_argument("--each", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--kinds", nargs="*", default=["none", *KINDS])
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    data = load_folder(asked.data, split=asked.split, text=None)
    rows: dict[str, Any] = {}
    for kind in asked.kinds:
        started = time.time()
        with threads(1):
            runs = [
                mrr(data, asked.split, kind, asked.each, seed, asked.epochs) for seed in asked.seeds
            ]
        found = [run["mrr"] for run in runs]
        rows[kind] = {
            "mrr": [round(value, 4) for value in found],
            "mean": round(float(np.mean(found)), 4),
            "deviation": round(float(np.std(found, ddof=1)), 4) if len(found) > 1 else None,
            "hits_at_10": round(float(np.mean([run["hits_at_10"] for run in runs])), 4),
            "training_cpu_seconds": runs[0]["training_cpu_seconds"],
            "seconds": round(time.time() - started, 1),
        }
        if not asked.json:
            print(kind, rows[kind], flush=True)
    if asked.json:
        options = {"data": data.origin, "split": asked.split, "part": "dev", "each": asked.each}
        print(json.dumps({**options, "epochs": asked.epochs, "kinds": rows}))


if __name__ == "__main__":
    main()
