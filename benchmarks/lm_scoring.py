"""How fast answers are scored by a language model: one plain pass each, against `LMScorer`.

```
python benchmarks/lm_scoring.py --json
python benchmarks/lm_scoring.py --data FOLDER --json     # SemEval RE instead of made-up sentences
```

| task | asked |
|---|---|
| generation | queries × demonstrations, the mean log-probability of one answer each |
| generation unshared | the same, with a demonstration of its own for each pair |
| classification | each of eighteen labels, a demonstration of its own for each query |

The naive way is the one of released scorers: pairs in file order, batches of 20 padded to the
longest, logits of the whole vocabulary at every token, one pass for each label. Both run on the
same loaded model in one process, in turn, and their values are compared (`worst_difference`).
In `generation` every demonstration is scored for all queries, as when few candidates are tried on
many; unshared is what is left when no two pairs have one in common.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from retrieval.causal_lm import CausalLM
from retrieval.demonstrations.scorer import LMScorer, Pair
from retrieval.demonstrations.task import Demo

#: Batch of the naive way.
BATCH: Final = 20

RELATIONS: Final = (
    "causes",
    "is part of",
    "is inside",
    "goes into",
    "comes from",
    "is used by",
    "is a member of",
    "is about",
    "is made by",
)
LABELS: Final = tuple(
    text for phrase in RELATIONS for text in (f"SUBJ {phrase} OBJ", f"OBJ {phrase} SUBJ")
)
WORDS: Final = (
    "the a of in with that which was were has old new small large red wooden early local first "
    "river house engine letter picture village factory student garden report window winter music "
    "machine story kitchen island forest captain market bottle paper water metal light morning "
    "carried opened showed described placed found built filled moved covered during across under "
    "after before slowly often never again together quickly near far into through gearbox sawdust "
    "topsoil overcoat bookbinder shipwright haystack windowsill footbridge clockmaker embroidered "
    "whitewashed lighthouse-keeper inkwell candlestick weatherproof half-timbered cobblestone"
).split()


def made_up(n: int, seed: int) -> list[Demo]:
    """Return sentences with a label each, as long as those of SemEval RE.

    SmolLM2 reads 28.8 ± 10.0 tokens in those of SemEval, 28.1 ± 9.9 in these; their words are
    log-normal in number there too.
    """
    chance = random.Random(seed)
    demos = []
    for at in range(n):
        words = chance.choices(WORDS, k=max(4, round(chance.lognormvariate(2.97, 0.35))))
        first, second = sorted(chance.sample(range(len(words)), 2))
        words[first], words[second] = "SUBJ", "OBJ"
        text = " ".join(words).capitalize() + " ."
        demos.append(Demo(f"{seed}-{at}", text, chance.choice(LABELS)))
    return demos


def naive(scorer: LMScorer, jobs: Sequence[tuple[Pair, str]]) -> list[float]:
    """Return mean log-probabilities of (pair, answer), one row of a padded batch for each."""
    import torch

    found = []
    for start in range(0, len(jobs), BATCH):
        batch = [
            (scorer.prompt_ids(pair.input, pair.demos), scorer.answer_ids(answer))
            for pair, answer in jobs[start : start + BATCH]
        ]
        longest = max(len(prompt) + len(answer) for prompt, answer in batch)
        ids = torch.zeros(len(batch), longest, dtype=torch.long, device=scorer.lm.device)
        mask = torch.zeros_like(ids)
        for row, (prompt, answer) in enumerate(batch):
            size = len(prompt) + len(answer)
            ids[row, :size] = torch.tensor(prompt + answer)
            mask[row, :size] = 1
        with torch.inference_mode():
            logits = scorer.lm.model(input_ids=ids, attention_mask=mask).logits
            log_probs = torch.log_softmax(logits[:, :-1].float(), -1)
            picked = log_probs.gather(2, ids[:, 1:, None])[..., 0]
        for row, (prompt, answer) in enumerate(batch):
            own = picked[row, len(prompt) - 1 : len(prompt) + len(answer) - 1]
            found.append(float(own.mean()))
    return found


def timed[T](work: Callable[[], T]) -> tuple[float, T]:
    """Return seconds and result."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def measure(
    scorer: LMScorer, pairs: Sequence[Pair], labels: Sequence[str] | None
) -> dict[str, Any]:
    """Return seconds of both ways, their ratio, pairs per second and the worst difference."""
    prompts = [(pair.input, pair.demos) for pair in pairs]
    jobs = [(pair, label) for pair in pairs for label in labels or (pair.answer,)]
    slow, theirs = timed(lambda: naive(scorer, jobs))
    fast, ours = timed(
        lambda: scorer.label_log_probs(prompts, labels) if labels else scorer.score(pairs)
    )
    return {
        "pairs": len(pairs),
        "labels": len(labels or ()),
        "naive_seconds": round(slow, 2),
        "seconds": round(fast, 2),
        "pairs_per_second": round(len(pairs) / fast, 2),
        "ratio": round(slow / fast, 2),
        "worst_difference": float(np.abs(np.ravel(ours) - theirs).max()),
    }


def run(
    lm: CausalLM, demos: Sequence[Demo], labels: Sequence[str], *, queries: int, shown: int
) -> dict[str, Any]:
    """Return the measured parts; `demos` are at least queries · (shown + 1)."""
    scorer = LMScorer(lm)
    asked, pool = demos[:queries], demos[queries:]
    shared = [Pair(one.input, one.output, (demo,)) for one in asked for demo in pool[:shown]]
    own = [Pair(pair.input, pair.answer, (demo,)) for pair, demo in zip(shared, pool, strict=False)]
    few = own[:queries]
    naive(scorer, [(pair, pair.answer) for pair in shared[:BATCH]])  # the first pass warms up
    parts = {
        "generation": measure(scorer, shared, None),
        "classification": measure(scorer, few, labels),
        "generation_unshared": measure(scorer, own, None),
    }
    return {"ratio": {name: part["ratio"] for name, part in parts.items()}, "parts": parts}


def main() -> None:
    """Run the benchmark and print a table, or one JSON object on the last line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="the data folder: SemEval RE is read from it")
    parser.add_argument("--model", help="folder, GGUF file or id; SmolLM2 if not given")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--queries", type=int, default=12)
    parser.add_argument("--shown", type=int, default=12, help="demonstrations of each query")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    import torch
    import transformers

    needed = options.queries * (options.shown + 1)
    demos, labels = made_up(needed, options.seed), list(LABELS)
    if options.data:
        from retrieval.demonstrations.datasets import load_task

        task = load_task(options.data, "semeval-re").task
        demos = random.Random(options.seed).sample(list(task.demos), needed)
        labels = [label for label in task.labels if label != "no relation"]
    lm = CausalLM.load(options.model, device=options.device)
    answer = {
        **run(lm, demos, labels, queries=options.queries, shown=options.shown),
        "texts": "SemEval RE" if options.data else "made up",
        "queries": options.queries,
        "seed": options.seed,
        "device": options.device,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    if options.json:
        sys.stdout.write(json.dumps(answer) + "\n")
        return
    for name, part in answer["parts"].items():
        sys.stdout.write(
            f"{name:20} {part['pairs']:5} pairs  naive {part['naive_seconds']:8.2f} s  "
            f"ours {part['seconds']:7.2f} s  {part['ratio']:5.1f}x  "
            f"difference {part['worst_difference']:.1e}\n"
        )


if __name__ == "__main__":
    main()
