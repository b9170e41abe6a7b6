"""Do hard negatives train a better encoder than random ones? Dev parts only; three seeds.

```
python benchmarks/hard_negatives.py --data FOLDER --json
```

Training asks each link for its tail among all entities of the batch. Here each link brings `each`
further candidates: none, random entities, or those that `kg.perturbation.HardNegatives` proposes in
place of the tail (inverse links: of the head). All candidates serve all links of the batch, known
tails are masked, everything else is as in `retrieval.training`.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from kg.perturbation import HardNegatives
from kg.perturbation.hard_negatives import Kind
from retrieval import training
from retrieval.evaluations import figures
from retrieval.known_links import with_inverses
from retrieval.protocols import PROTOCOL_OF_SPLIT, questions
from retrieval.ranking import rank
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


class WithMore(training._Batches):
    """Batches with further candidates: as if links that nobody asks about were in them."""

    more: dict[bytes, IntArray]

    def make(self, links: IntArray) -> training._Batch:
        """Return the batch of the links, with more candidates."""
        extra = np.concatenate([self.more[link.tobytes()] for link in np.ascontiguousarray(links)])
        asked = len(links)
        # A link of an entity to itself brings the entity in, and is cut off again below.
        loops = np.stack([extra, np.zeros_like(extra), extra], axis=1)
        batch = super().make(np.concatenate([links, loops]))
        inside = batch.known_rows < asked
        return training._Batch(
            rows=batch.rows,
            features=batch.features,
            heads=batch.heads[:asked],
            tails=batch.tails[:asked],
            known_rows=batch.known_rows[inside],
            known_columns=batch.known_columns[inside],
        )


def mrr(
    data: TripleData, split: Any, kind: str, each: int, seed: int, epochs: int
) -> dict[str, Any]:
    """Train with one kind of further candidates and return figures on dev."""
    asked = questions(data, PROTOCOL_OF_SPLIT[split], "dev")
    trained = data.entities_of(data.train)
    encoder, scorer = training.untrained(
        [data.texts[row] for row in trained],
        relations=len(data.relations), dim=256, min_count=2, seed=seed,
    )  # fmt: skip
    features = encoder.features(data.texts)
    before = training._Batches
    if kind != "none":
        WithMore.more = proposals(data, kind, each, seed)  # type: ignore[arg-type]
        keys = {link.tobytes() for link in with_inverses(data.train, len(data.relations))}
        assert keys <= WithMore.more.keys()
        training._Batches = WithMore
    try:
        options = training.TrainingOptions(epochs=epochs, seed=seed)
        result = training.train(encoder, scorer, features, data.train, options=options)
    finally:
        training._Batches = before
    vectors = encoder.encode_features(features)
    queries = scorer.queries(vectors[asked.sources], asked.relations)
    ranks = rank(queries, vectors[asked.candidates], asked.targets, asked.known)
    return {**figures(ranks), "training_cpu_seconds": round(result.cpu_seconds, 1)}


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
        with training.threads(1):
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
