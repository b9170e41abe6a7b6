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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from harvest.extraction.corpora import HeadPlan, head_plans, sentence_key, training_sentences
from harvest.extraction.encoder import FrozenEncoder
from harvest.extraction.heads import RelationHead, RelationHeads, shipped_folder
from harvest.extraction.mentions import NAMED, Candidate, find_candidates
from harvest.extraction.pairs import BUCKETS, SentenceView
from harvest.extraction.pipeline import load_pipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harvest.extraction.synthetic import Sentence

__all__ = ["PairSet", "main", "train"]

_log = logging.getLogger(__name__)

HIDDEN = 256
EPOCHS = 14
BATCH = 256
#: Fewer pairs than this teach nothing; the relation is left to the zero-shot scorer.
LEAST_SUPPORT = 20
#: Weight of a pair about which the corpus is silent, against 1 for a pair known to be none.
SILENT_WEIGHT = 0.6
#: Weight of "this pair's other relations are not said" where the corpus names only one.
OTHER_WEIGHT = 0.4
#: Target of a stated relation: the sets are not without errors, and saturated scores rank nothing.
CERTAIN = 0.95
#: Thresholds are the lowest at which held-out precision reaches this.
PRECISION = 0.85


@dataclass(frozen=True)
class PairSet:
    """Training pairs: dense [n, d], words, relations (columns), weight and origin of each."""

    dense: NDArray[np.float16]
    hashed: list[list[int]]
    relations: list[list[int]]
    #: 1 for pairs whose relations are all known, less where the corpus is silent.
    weight: NDArray[np.float32]
    #: Hash of the sentence, which decides fold and held-out part.
    sentence: NDArray[np.int64]
    #: The corpus names other facts of the sentence or pair only by chance.
    silent: NDArray[np.bool_]
    #: From a template of ours: easier than real text, so not used for calibration.
    synthetic: NDArray[np.bool_]

    def part(self, rows: NDArray[np.bool_]) -> PairSet:
        """Return the pairs marked in `rows`."""
        chosen = np.flatnonzero(rows)
        return PairSet(
            self.dense[chosen],
            [self.hashed[i] for i in chosen],
            [self.relations[i] for i in chosen],
            self.weight[chosen],
            self.sentence[chosen],
            self.silent[chosen],
            self.synthetic[chosen],
        )


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
        pairs = _read(cache)
    else:
        pairs = pair_set(training_sentences(data, plans, seed=seed), plans, seed=seed)
        if cache is not None:
            _write(cache, pairs)
    _log.info("%d pairs after %.0f s", len(pairs.hashed), time.monotonic() - started)
    support = np.bincount([r for rs in pairs.relations for r in rs], minlength=len(plans))
    kept = [column for column, count in enumerate(support) if count >= LEAST_SUPPORT]
    pairs = _renumber(pairs, kept)
    heads = [replace(plans[column].head, support=int(support[column])) for column in kept]
    held_out = pairs.sentence % 10 == 0
    learning = _without_likely_facts(pairs.part(~held_out), len(heads), seed)
    tensors = fit(learning, len(heads), epochs=EPOCHS, seed=seed)
    network = RelationHeads(tuple(heads), tensors)
    network, report = _calibrated(network, pairs.part(held_out))
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


def pair_set(sentences: Iterable[Sentence], plans: Sequence[HeadPlan], *, seed: int) -> PairSet:
    """Return the training pairs of sentences, parsed and encoded in batches of 256."""
    columns = {plan.head.name: column for column, plan in enumerate(plans)}
    nlp, encoder, rng = load_pipeline(), FrozenEncoder(), Random(seed)
    collected = _Collected([], [], [], [], [], [], [])
    block: list[Sentence] = []
    done = 0
    for sentence in sentences:
        block.append(sentence)
        if len(block) == 256:
            _add_block(block, columns, nlp, encoder, rng, collected)
            done += len(block)
            block = []
            if done % 2560 == 0:
                _log.info("%d sentences, %d pairs", done, len(collected.hashed))
    if block:
        _add_block(block, columns, nlp, encoder, rng, collected)
    return PairSet(
        np.asarray(collected.dense, np.float16),
        collected.hashed,
        collected.relations,
        np.asarray(collected.weight, np.float32),
        np.asarray(collected.sentence, np.int64),
        np.asarray(collected.silent, np.bool_),
        np.asarray(collected.synthetic, np.bool_),
    )


@dataclass(frozen=True)
class _Collected:
    dense: list[NDArray[np.float16]]
    hashed: list[list[int]]
    relations: list[list[int]]
    weight: list[float]
    sentence: list[int]
    silent: list[bool]
    synthetic: list[bool]


def _add_block(
    block: Sequence[Sentence],
    columns: dict[str, int],
    nlp: Any,
    encoder: FrozenEncoder,
    rng: Random,
    out: _Collected,
) -> None:
    docs = list(nlp.pipe([sentence.text for sentence in block], batch_size=64))
    states = encoder.words([[token.text for token in doc] for doc in docs])
    for sentence, doc, matrix in zip(block, docs, states, strict=True):
        view = SentenceView(doc, 0, len(doc), matrix)
        key = crc32(sentence_key(sentence.text).encode())
        for head, tail, relations, weight, silent in _labelled(sentence, doc, columns, rng):
            out.dense.append(view.dense(head, tail).astype(np.float16))
            out.hashed.append(view.hashed(head, tail))
            out.relations.append(sorted(relations))
            out.weight.append(weight)
            out.sentence.append(key)
            out.silent.append(silent)
            out.synthetic.append(sentence.complete)


def _labelled(
    sentence: Sentence, doc: Any, columns: dict[str, int], rng: Random
) -> list[tuple[Candidate, Candidate, set[int], float, bool]]:
    """Return the pairs of a sentence: those with relations, and a sample of those without."""
    found = find_candidates(doc, definition=sentence.source == "tekgen")
    known: dict[tuple[int, int], Candidate] = {}
    for span in sentence.spans:
        covered = doc.char_span(*span, alignment_mode="expand")
        if covered is not None:
            known[span] = _candidate(doc, covered.start, covered.end, found)
    others = [c for c in found if not any(c.overlaps(k) for k in known.values())]
    if sentence.complete:
        # "scientist" is no occupation where "computer scientist" stands.
        others += [
            c
            for c in found
            if c.label == "CONCEPT"
            and c not in known.values()
            and any(c.overlaps(k) and k.label == "CONCEPT" for k in known.values())
        ]
    facts: dict[tuple[Candidate, Candidate], set[int]] = {}
    for head, relation, tail in sentence.triples:
        if head in known and tail in known and relation in columns:
            pair = known[head], known[tail]
            if not pair[0].overlaps(pair[1]):
                facts.setdefault(pair, set()).add(columns[relation])
    silent = not sentence.complete
    rows = [(head, tail, names, 1.0, silent) for (head, tail), names in facts.items()]
    none: list[tuple[Candidate, Candidate, set[int], float, bool]] = []
    mine = sorted(set(known.values()))
    heads = [c for c in (*mine, *others) if c.label in NAMED or c.label == "PRONOUN" or c in mine]
    for head in heads:
        for tail in (*mine, *others):
            if head.overlaps(tail) or (head, tail) in facts:
                continue
            swapped = (tail, head) in facts
            sure = swapped or (sentence.complete and head in mine and tail in mine)
            if sure or tail.label not in ("CARDINAL", "QUANTITY", "MONEY", "PERCENT"):
                none.append((head, tail, set(), 1.0 if sure else SILENT_WEIGHT, silent and not sure))
    limit = 12 if sentence.complete else 9
    if len(none) > limit:
        none = rng.sample(none, limit)
    return rows + none


def _candidate(doc: Any, start: int, end: int, found: Sequence[Candidate]) -> Candidate:
    for candidate in found:
        if (candidate.start, candidate.end) == (start, end):
            return candidate
    labels = [token.ent_type_ for token in doc[start:end] if token.ent_type_]
    if labels and 2 * len(labels) >= end - start:
        label = max(sorted(set(labels)), key=labels.count)
        return Candidate(start, end, label)
    capital = any(token.text[0].isupper() for token in doc[start:end])
    return Candidate(start, end, "NAME" if capital else "CONCEPT")


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
    optimiser = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
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
            weight = torch.from_numpy(pairs.weight[rows])[:, None].expand_as(margin).clone()
            for row, index in enumerate(rows):
                if pairs.relations[index]:
                    if pairs.silent[index]:
                        weight[row] = OTHER_WEIGHT
                    target[row, pairs.relations[index]] = CERTAIN
                    weight[row, pairs.relations[index]] = 1.0
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
    unnamed = pairs.silent & np.asarray([not names for names in pairs.relations])
    likely = np.zeros(len(pairs.hashed), np.bool_)
    half = (pairs.sentence // 10) % 2 == 0
    for side in (half, ~half):
        tensors = fit(pairs.part(side), relations, epochs=4, seed=seed)
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


def _calibrated(
    network: RelationHeads, pairs: PairSet
) -> tuple[RelationHeads, dict[str, Any]]:
    """Fit slope, offset and thresholds on held-out pairs; return also the figures on them."""
    logits = network.logits(pairs.dense.astype(np.float32), pairs.hashed)
    margin = logits[:, 1:] - logits[:, :1]
    truth = np.zeros(margin.shape, np.bool_)
    for row, names in enumerate(pairs.relations):
        truth[row, names] = True
    weight = np.repeat(pairs.weight[:, None], margin.shape[1], axis=1)
    named = np.asarray([bool(names) and silent for names, silent in zip(pairs.relations, pairs.silent, strict=True)])
    weight[named] = OTHER_WEIGHT
    weight[truth] = 1.0
    real = ~pairs.synthetic
    slope, offset = _platt(margin[real], truth[real], weight[real])
    network = replace(network, calibration=(slope, offset))
    p = np.round(1 / (1 + np.exp(-np.clip(slope * margin + offset, -30, 30))), 4)
    heads = tuple(
        replace(head, threshold=_threshold(p[:, column], truth[:, column], weight[:, column]))
        for column, head in enumerate(network.heads)
    )
    said = p >= np.asarray([head.threshold for head in heads])
    hits = float((said & truth).sum())
    bins = np.minimum((p * 10).astype(int), 9)
    error = sum(
        weight[bins == b].sum()
        * abs(np.average(p[bins == b], weights=weight[bins == b])
              - np.average(truth[bins == b], weights=weight[bins == b]))
        for b in range(10)
        if (bins == b).any()
    ) / weight.sum()
    report = {
        "held_out_pairs": len(p),
        "held_out_precision": round(hits / max(1.0, float((said * weight).sum())), 4),
        "held_out_recall": round(hits / max(1.0, float(truth.sum())), 4),
        "held_out_calibration_error": round(float(error), 5),
    }
    return replace(network, heads=heads), report


def _platt(
    margin: NDArray[np.float32], truth: NDArray[np.bool_], weight: NDArray[np.float32]
) -> tuple[float, float]:
    """Return slope and offset of the logistic fit of truth on margin, by Newton's method."""
    x, y, w = margin.ravel().astype(float), truth.ravel().astype(float), weight.ravel()
    theta = np.array([1.0, 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(theta[0] * x + theta[1], -30, 30)))
        gradient = np.array([(w * (p - y) * x).sum(), (w * (p - y)).sum()])
        curve = w * p * (1 - p)
        mixed = (curve * x).sum()
        hessian = np.array([[(curve * x * x).sum(), mixed], [mixed, curve.sum()]])
        step = np.linalg.solve(hessian + 1e-6 * np.eye(2), gradient)
        theta -= step
        if np.abs(step).max() < 1e-6:
            break
    return round(float(theta[0]), 4), round(float(theta[1]), 4)


def _threshold(
    scores: NDArray[np.float32], truth: NDArray[np.bool_], weight: NDArray[np.float32]
) -> float:
    """Return the lowest score in [.5, .95] from which precision is at least `PRECISION`."""
    for threshold in np.arange(0.5, 0.96, 0.05):
        said = scores >= threshold
        if said.any() and (truth & said).sum() >= PRECISION * weight[said].sum():
            return round(float(threshold), 2)
    return 0.95 if (scores >= 0.5).any() else 0.7


def _renumber(pairs: PairSet, kept: Sequence[int]) -> PairSet:
    new = {old: column for column, old in enumerate(kept)}
    relations = [[new[r] for r in names if r in new] for names in pairs.relations]
    lost = np.asarray([bool(a) and not b for a, b in zip(pairs.relations, relations, strict=True)])
    return replace(pairs, relations=relations).part(~lost)


def _write(file: Path, pairs: PairSet) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        file,
        dense=pairs.dense,
        weight=pairs.weight,
        sentence=pairs.sentence,
        silent=pairs.silent,
        synthetic=pairs.synthetic,
        hashed=np.asarray([b for row in pairs.hashed for b in row], np.int32),
        hashed_ends=np.cumsum([len(row) for row in pairs.hashed]),
        relations=np.asarray([r for row in pairs.relations for r in row], np.int32),
        relations_ends=np.cumsum([len(row) for row in pairs.relations]),
    )


def _read(file: Path) -> PairSet:
    with np.load(file) as arrays:
        return PairSet(
            arrays["dense"],
            [part.tolist() for part in np.split(arrays["hashed"], arrays["hashed_ends"][:-1])],
            [part.tolist() for part in np.split(arrays["relations"], arrays["relations_ends"][:-1])],
            arrays["weight"],
            arrays["sentence"],
            arrays["silent"],
            arrays["synthetic"],
        )


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
