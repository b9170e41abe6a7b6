"""Filtered ranks per CPU second: PyKEEN's evaluator and ours, side by side on one thread.

```
python -m benchmarks.ranking --data FOLDER --json
```

Both rank the same triples from both sides, filtered by train + dev + test, with the same random
weights of the same model. What ranking costs does not depend on the weights. Without `--data` a
random graph of WN18RR's size stands in. Entities that no training triple has are left out, as
PyKEEN does. Each side is measured in turn, several times; the printed ratio is the median of the
ratios of single turns, so that a machine that others use as well slows both.

| key | what is compared |
|---|---|
| `ratio.distmult`, `ratio.complex` | both: dot product |
| `ratio.transe_l2` | both: Euclidean distance; ours by a matrix product |
| `ratio.transe_l1` | both: L1 distance |
| `ratio.rotate` | ours: sum of moduli; PyKEEN: Euclidean norm of all coordinates, less work |

**What is counted on our side**: queries, the look-up of known answers, ranking with exact ties. Not
counted: the index of known answers, built once for a graph (`filter_cpu_seconds`); of PyKEEN, a
first batch that warms up. `mrr_difference` is ours less `pykeen_mrr`, the realistic MRR of random
weights on the same triples, which is small; the tests compare trained models. For RotatE, which the
two score differently, ours is taken under PyKEEN's norm.

**What it should cost**: a query is compared with n candidates of d dimensions, 2nd operations for a
product and 3nd for a distance. `gflops` is that over the time of all of ranking; `gemm_gflops` is
what the bare product of the same tiles reaches on this machine at this moment, which no ranking by
products can beat. `gbytes_per_second` is what ranking moves if each tile of candidates is read once
for each tile of queries: far below what memory gives, so arithmetic is the limit.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from retrieval.heads.protocol import HEADS, RelationHead
from retrieval.kernels import Kernel
from retrieval.known_links import KnownLinks, with_inverses
from retrieval.ranking import CANDIDATE_TILE, QUERY_TILE, Ranks, rank
from retrieval.triple_data import IntArray, load_folder

__all__ = ["MODELS", "Graph", "head_of", "main", "ours", "theirs"]

#: Key of the answer → PyKEEN's model, its options by dimension, and our head.
MODELS: Final[dict[str, tuple[str, Callable[[int], dict[str, Any]], str]]] = {
    "distmult": ("DistMult", lambda d: {"embedding_dim": d}, "distmult"),
    "complex": ("ComplEx", lambda d: {"embedding_dim": d // 2}, "complex"),
    "transe_l2": ("TransE", lambda d: {"embedding_dim": d, "scoring_fct_norm": 2}, "transe-l2"),
    "transe_l1": ("TransE", lambda d: {"embedding_dim": d, "scoring_fct_norm": 1}, "transe-l1"),
    "rotate": ("RotatE", lambda d: {"embedding_dim": d // 2}, "rotate"),
}

#: PyKEEN's batch; larger ones are slower.
BATCH: Final = 32

#: Seconds that one of our turns lasts at least, by repeating it.
TURN: Final = 0.3


class Graph:
    """Triples of entities that occur in training, numbered for both sides.

    Args:
        train, dev, test: [n, 3] triples; entities are 0..entities − 1.
        entities: number of entities.
        relations: number of relations.
    """

    def __init__(
        self, train: IntArray, dev: IntArray, test: IntArray, *, entities: int, relations: int
    ) -> None:
        self.train, self.dev, self.test = train, dev, test
        self.entities, self.relations = entities, relations
        started = time.process_time()
        self.known = KnownLinks.of([train, dev, test], relations=relations)
        self.filter_cpu_seconds = time.process_time() - started

    @classmethod
    def read(cls, folder: Path) -> Graph:
        """Return the original split of a data folder without entities that training lacks."""
        data = load_folder(folder, split="transductive")
        kept = data.entities_of(data.train)
        parts = []
        for part in (data.train, data.dev, data.test):
            inside = np.isin(part[:, 0], kept) & np.isin(part[:, 2], kept)
            heads, tails = (np.searchsorted(kept, part[inside][:, side]) for side in (0, 2))
            parts.append(np.stack([heads, part[inside][:, 1], tails], axis=1))
        return cls(*parts, entities=len(kept), relations=len(data.relations))

    @classmethod
    def random(
        cls, *, entities: int = 40_559, relations: int = 11, triples: int = 86_835, seed: int = 0
    ) -> Graph:
        """Return a random graph of WN18RR's size; a thirtieth of its triples is dev, one test."""
        random = np.random.default_rng(seed)
        ends = random.integers(0, entities, (2, triples))
        numbers = random.integers(0, relations, triples)
        links = np.unique(np.stack([ends[0], numbers, ends[1]], axis=1), axis=0)
        random.shuffle(links)
        held = len(links) // 30
        return cls(
            links[2 * held :],
            links[:held],
            links[held : 2 * held],
            entities=entities,
            relations=relations,
        )

    def factory(self, triples: IntArray) -> Any:
        """Return triples as PyKEEN takes them."""
        import torch
        from pykeen.triples import CoreTriplesFactory

        return CoreTriplesFactory(
            torch.from_numpy(triples), num_entities=self.entities, num_relations=self.relations
        )


def head_of(model: Any, name: str) -> tuple[RelationHead, Any]:
    """Return our head, and entity vectors [n, d], with the weights of a model of PyKEEN.

    PyKEEN has no rows for inverses here, and keeps complex numbers as such: they become
    [real half; imaginary half], and turns of RotatE become their angles.
    """
    import torch

    entities, relations = (
        part[0](indices=None).detach()
        for part in (model.entity_representations, model.relation_representations)
    )
    if name == "rotate":
        relations = torch.angle(relations)
    entities, relations = (
        torch.cat([part.real, part.imag], dim=-1) if part.is_complex() else part
        for part in (entities, relations)
    )
    return HEADS[name]({"vectors": relations.clone()}, inverses=False), entities.clone()


def ours(
    graph: Graph,
    head: RelationHead,
    entities: Any,
    triples: IntArray,
    *,
    kernel: Kernel | None = None,
) -> Ranks:
    """Return the ranks of both ends of triples [n, 3]: first all tails, then all heads."""
    import torch

    asked = with_inverses(triples, graph.relations)
    with torch.inference_mode():
        sources, relations = (torch.from_numpy(asked[:, column]) for column in (0, 1))
        queries = head.queries(entities[sources], relations).numpy()
        candidates = head.candidates(entities).numpy()
    known = graph.known.targets(asked[:, 0], asked[:, 1])
    return rank(queries, candidates, asked[:, 2], known, kernel=kernel or head.kernel, threads=1)


def theirs(graph: Graph, model: Any, triples: IntArray) -> float:
    """Return PyKEEN's filtered realistic MRR of both sides."""
    import torch
    from pykeen.evaluation import RankBasedEvaluator

    known = [torch.from_numpy(part) for part in (graph.train, graph.dev, graph.test)]
    found = RankBasedEvaluator(filtered=True).evaluate(
        model,
        torch.from_numpy(triples),
        batch_size=BATCH,
        additional_filter_triples=known,
        use_tqdm=False,
    )
    return float(found.get_metric("both.realistic.inverse_harmonic_mean_rank"))


def cpu_seconds(work: Callable[[], object], *, at_least: float = 0.0) -> float:
    """Return CPU seconds of one call, the mean of as many as last long enough."""
    started, calls = time.process_time(), 0
    while True:
        work()
        calls += 1
        spent = time.process_time() - started
        if spent >= at_least:
            return spent / calls


def bare_product(entities: int, dim: int) -> float:
    """Return GFLOP/s of the matrix product of ranking's tiles, without anything else."""
    import torch

    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(QUERY_TILE, dim, generator=generator)
    candidates = torch.randn(entities, dim, generator=generator)
    out = torch.empty(QUERY_TILE, CANDIDATE_TILE)

    def product() -> None:
        for start in range(0, entities - CANDIDATE_TILE + 1, CANDIDATE_TILE):
            torch.mm(queries, candidates[start : start + CANDIDATE_TILE].T, out=out)

    product()
    seconds = cpu_seconds(product, at_least=TURN)
    columns = entities // CANDIDATE_TILE * CANDIDATE_TILE
    return 2 * QUERY_TILE * columns * dim / seconds / 1e9 if columns else 0.0


def measure(
    graph: Graph, name: str, *, dim: int, triples: int, pykeen_triples: int, repeats: int, seed: int
) -> dict[str, Any]:
    """Return ranks per CPU second of both, their ratio, and how both agree."""
    import pykeen.models

    kind, options, own = MODELS[name]
    model = getattr(pykeen.models, kind)(
        triples_factory=graph.factory(graph.train), random_seed=seed, **options(dim)
    ).eval()
    head, entities = head_of(model, own)
    asked, few = graph.test[:triples], graph.test[:pykeen_triples]
    norm: Kernel | None = "l2" if name == "rotate" else None
    theirs(graph, model, few[: 2 * BATCH])
    ours(graph, head, entities, asked[:BATCH])
    turns = []
    for _ in range(repeats):
        mrr: list[float] = []
        slow = cpu_seconds(lambda into=mrr: into.append(theirs(graph, model, few)))
        fast = cpu_seconds(lambda: ours(graph, head, entities, asked), at_least=TURN)
        turns.append((2 * len(few) / slow, 2 * len(asked) / fast, mrr[0]))
    speed = statistics.median(fast for _, fast, _ in turns)
    operations = (2 if head.kernel in ("dot", "l2") else 3) * graph.entities * dim
    ratios = [fast / slow for slow, fast, _ in turns]
    return {
        "ratio": round(statistics.median(ratios), 1),
        "ratios": [round(ratio, 1) for ratio in ratios],
        "pykeen_ranks_per_second": round(statistics.median(slow for slow, _, _ in turns), 1),
        "ranks_per_second": round(speed, 1),
        "pykeen_ranks": 2 * len(few),
        "ranks": 2 * len(asked),
        "pykeen_mrr": turns[0][2],
        "mrr_difference": ours(graph, head, entities, few, kernel=norm).mrr() - turns[0][2],
        "gflops": round(operations * speed / 1e9, 1),
        "gbytes_per_second": round(graph.entities * dim * 4 * speed / QUERY_TILE / 1e9, 2),
    }


def run(
    graph: Graph,
    *,
    dim: int = 128,
    triples: int = 500,
    pykeen_triples: int = 500,
    repeats: int = 3,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the measured parts of all models."""
    import torch

    torch.set_num_threads(1)
    parts = {
        name: measure(
            graph,
            name,
            dim=dim,
            triples=triples,
            # The slowest of PyKEEN's models by far: a quarter says as much.
            pykeen_triples=max(1, pykeen_triples // 4) if name == "rotate" else pykeen_triples,
            repeats=repeats,
            seed=seed,
        )
        for name in MODELS
    }
    return {
        "ratio": {name: part["ratio"] for name, part in parts.items()},
        "parts": parts,
        "gemm_gflops": round(bare_product(graph.entities, dim), 1),
        "filter_cpu_seconds": round(graph.filter_cpu_seconds, 3),
        "entities": graph.entities,
        "relations": graph.relations,
        "filter_triples": len(graph.train) + len(graph.dev) + len(graph.test),
        "dim": dim,
        "threads": 1,
        "ties": "exact",
        "pykeen_batch": BATCH,
        "repeats": repeats,
        "seed": seed,
    }


def main() -> None:
    """Run the benchmark and print a table, or one JSON object on the last line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="folder of the original split, such as WN18RR's")
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--triples", type=int, default=500, help="test triples, from both sides")
    parser.add_argument("--pykeen-triples", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    logging.getLogger("pykeen").setLevel(logging.ERROR)  # its advice about graphics cards
    warnings.filterwarnings("ignore", module="pykeen")
    graph = Graph.read(options.data) if options.data else Graph.random(seed=options.seed)
    answer = run(
        graph,
        dim=options.dim,
        triples=options.triples,
        pykeen_triples=options.pykeen_triples,
        repeats=options.repeats,
        seed=options.seed,
    ) | {
        "data": options.data.name if options.data else "random graph",
        "processor": platform.processor() or platform.machine(),
        "versions": {name: version(name) for name in ("pykeen", "torch", "numba", "numpy")},
    }
    if options.json:
        sys.stdout.write(json.dumps(answer) + "\n")
        return
    for name, part in answer["parts"].items():
        sys.stdout.write(
            f"{name:10} PyKEEN {part['pykeen_ranks_per_second']:8.1f} ranks/s  "
            f"ours {part['ranks_per_second']:8.1f} ranks/s  {part['ratio']:6.1f}x  "
            f"{part['gflops']:6.1f} GFLOP/s  MRR {part['mrr_difference']:+.1e}\n"
        )
    sys.stdout.write(f"bare product {answer['gemm_gflops']} GFLOP/s\n")


if __name__ == "__main__":
    main()
