"""Train the relation heads: `python -m harvest.extraction.training --data FOLDER`.

Three steps, each deterministic for one seed:

1. **Features.** Every training sentence is parsed and encoded once by the frozen encoder; its pairs
   go to a cache outside the repository. Pairs that stand in no relation come from the same
   sentences: pairs with head and tail swapped, pairs of other candidates, and every unnamed pair of
   the synthetic sentences.
2. **Cleaning.** TekGen and FewRel name one fact of a sentence and are silent about the others. Two
   small networks, each trained on one half, judge the silent pairs of the other half; those that
   look like a relation are left out rather than taught as none (learning from positive and
   unlabelled pairs).
3. **Heads.** Binary cross-entropy of every relation against the reject class, Adam, with the name
   vectors dropped at random so that the heads learn how a relation is said and not who stands in
   it. Calibration and thresholds are fitted on a tenth of the sentences, chosen by their hash.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harvest.extraction.calibration import calibrated
from harvest.extraction.corpora import head_plans, training_sentences
from harvest.extraction.heads import RelationHead, RelationHeads, shipped_folder
from harvest.extraction.pairs import BUCKETS
from harvest.extraction.training_pairs import PairSet, pair_set, read_pairs, write_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fit", "main", "train"]

_log = logging.getLogger(__name__)

HIDDEN = 256
EPOCHS = 9
BATCH = 512
#: Fewer pairs than this teach nothing; the relation is left to the zero-shot scorer.
LEAST_SUPPORT = 20
#: Target of a stated relation: the sets are not without errors, and saturated scores rank nothing.
CERTAIN = 0.95


def train(
    data: Path, *, output: Path, cache: Path | None = None, seed: int = 0, threads: int = 1
) -> dict[str, Any]:
    """Train all heads and write them to `output`; return what was measured.

    Args:
        data: the folder that holds `text2kgbench` and `re`.
        output: folder for the weights, by default the package's own.
        cache: file for the features; an existing one is used instead of parsing again.
        seed: of sampling, initial weights and order.
        threads: of PyTorch.
    """
    import torch

    torch.set_num_threads(threads)
    started = time.monotonic()
    plans = head_plans()
    if cache is not None and cache.is_file():
        pairs = read_pairs(cache)
    else:
        pairs = pair_set(
            training_sentences(data, plans, seed=seed), plans, seed=seed, progress=_log_pairs
        )
        if cache is not None:
            write_pairs(cache, pairs)
    _log.info("%d pairs after %.0f s", len(pairs.hashed), time.monotonic() - started)
    support = np.bincount([r for rs in pairs.relations for r in rs], minlength=len(plans))
    kept = [column for column, count in enumerate(support) if count >= LEAST_SUPPORT]
    real = {c for c, plan in enumerate(plans) if any(s[0] != "synthetic" for s in plan.sources)}
    pairs = replace(
        _renumber(pairs, kept),
        unheard=frozenset(new for new, old in enumerate(kept) if old not in real),
    )
    heads = [replace(plans[column].head, support=int(support[column])) for column in kept]
    held_out = pairs.sentence % 10 == 0
    learning = _without_likely_facts(pairs.part(~held_out), len(heads), seed)
    tensors = fit(learning, len(heads), epochs=EPOCHS, seed=seed)
    network = RelationHeads(tuple(heads), tensors)
    network, report = calibrated(network, pairs.part(held_out))
    report |= {
        "pairs": len(pairs.hashed),
        "pairs_learned": len(learning.hashed),
        "relations": len(heads),
        "seconds": round(time.monotonic() - started),
        "seed": seed,
    }
    replace(network, about=report).save(output)
    _log.info("%s", report)
    return report


def _log_pairs(sentences: int, pairs: int) -> None:
    if sentences % 2560 == 0:
        _log.info("%d sentences, %d pairs", sentences, pairs)


def fit(
    pairs: PairSet, relations: int, *, epochs: int, seed: int
) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of a network trained on `pairs` (formula in `heads`)."""
    import torch
    from torch.nn import functional

    torch.manual_seed(seed)
    sample = pairs.dense[:: max(1, len(pairs.dense) // 20_000)].astype(np.float32)
    mu, sigma = sample.mean(axis=0), sample.std(axis=0) + 1e-2
    width = pairs.dense.shape[1]
    part = width // 5
    layer = torch.nn.Linear(width, HIDDEN)
    words = torch.nn.EmbeddingBag(BUCKETS, HIDDEN, mode="sum")
    torch.nn.init.normal_(words.weight, std=0.02)
    output = torch.nn.Linear(HIDDEN, relations + 1)
    parameters = [*layer.parameters(), *words.parameters(), *output.parameters()]
    steps = epochs * (len(pairs.hashed) // BATCH + 1)
    optimiser = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    weights = pairs.weights(relations)
    for _ in range(epochs):
        order = torch.randperm(len(pairs.hashed), generator=generator).tolist()
        for begin in range(0, len(order), BATCH):
            rows = order[begin : begin + BATCH]
            x = torch.from_numpy((pairs.dense[rows].astype(np.float32) - mu) / sigma)
            # Names are dropped in 4 of 10 pairs, the words around them in 1 of 10.
            keep = torch.ones(len(rows), 5)
            keep[:, :2] = (torch.rand(len(rows), 1, generator=generator) > 0.4).float()
            keep[:, 2:] = (torch.rand(len(rows), 3, generator=generator) > 0.1).float()
            x = x * keep.repeat_interleave(part, dim=1)
            flat = [bucket for row in rows for bucket in pairs.hashed[row]]
            offsets = np.cumsum([0] + [len(pairs.hashed[row]) for row in rows[:-1]])
            bag = words(torch.tensor(flat), torch.from_numpy(offsets))
            hidden = functional.dropout(torch.relu(layer(x) + bag), 0.3)
            z = output(hidden)
            margin = z[:, 1:] - z[:, :1]
            target = torch.zeros_like(margin)
            for row, index in enumerate(rows):
                target[row, pairs.relations[index]] = CERTAIN
            weight = torch.from_numpy(weights[rows])
            loss = functional.binary_cross_entropy_with_logits(
                margin, target, weight=weight, reduction="sum"
            ) / len(rows)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return {
        "mu": mu.astype(np.float32),
        "sigma": sigma.astype(np.float32),
        "W": layer.weight.detach().numpy().T.copy(),
        "b": layer.bias.detach().numpy().copy(),
        "E": words.weight.detach().numpy().copy(),
        "V": output.weight.detach().numpy().T.copy(),
        "c": output.bias.detach().numpy().copy(),
    }


def _without_likely_facts(pairs: PairSet, relations: int, seed: int) -> PairSet:
    """Return the pairs without silent ones that a network trained on the other half believes in."""
    unnamed = pairs.silent & np.asarray([not names for names in pairs.relations], np.bool_)
    likely = np.zeros(len(pairs.hashed), np.bool_)
    half = (pairs.sentence // 10) % 2 == 0
    for side in (half, ~half):
        tensors = fit(pairs.part(side), relations, epochs=2, seed=seed)
        network = RelationHeads(tuple(RelationHead(str(i)) for i in range(relations)), tensors)
        rows = np.flatnonzero(unnamed & ~side)
        for begin in range(0, len(rows), 2048):
            part = rows[begin : begin + 2048]
            scores = network.probabilities(
                pairs.dense[part].astype(np.float32), [pairs.hashed[i] for i in part]
            )
            likely[part[scores.max(axis=1) > 0.4]] = True
    _log.info("%d of %d silent pairs left out", int(likely.sum()), int(unnamed.sum()))
    return pairs.part(~likely)


def _renumber(pairs: PairSet, kept: Sequence[int]) -> PairSet:
    new = {old: column for column, old in enumerate(kept)}
    relations = [[new[r] for r in names if r in new] for names in pairs.relations]
    lost = np.asarray(
        [bool(a) and not b for a, b in zip(pairs.relations, relations, strict=True)], np.bool_
    )
    return replace(pairs, relations=relations).part(~lost)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the training from the command line."""
    parser = argparse.ArgumentParser(description="Train the relation heads of the text extractor.")
    parser.add_argument("--data", type=Path, required=True, help="folder with text2kgbench and re")
    parser.add_argument("--output", type=Path, default=shipped_folder(), help="folder for weights")
    parser.add_argument("--cache", type=Path, default=None, help="file for features (.npz)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(
        options.data,
        output=options.output,
        cache=options.cache,
        seed=options.seed,
        threads=options.threads,
    )


if __name__ == "__main__":
    main()
