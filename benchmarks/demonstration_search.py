"""A pool of 100,000 demonstrations: how fast it answers, what it holds, changes while serving.

```
python -m benchmarks.demonstration_search --json
```

Texts are synthetic: words drawn by Zipf's law (the i-th word with weight 1 / i), about twenty a
text, so that common words have the long lists that make lexical search slow. Vectors of the dense
space are random and of MiniLM's length: what is timed is the search, not the encoder. Each way of
search runs in a process of its own, so that its memory is its own.

| figure | meaning |
|---|---|
| `search_ms` | one query at a time: 8 demonstrations, p50 and p95 |
| `serving_ms` | the same while one demonstration is added and one removed between any two queries |
| `add_ms`, `remove_ms` | one demonstration |
| `batch_queries_per_second` | 1,000 queries in one call |
| `megabytes` | highest resident memory while the pool came, less that of before |
| `same_as_rebuilt` | whether it then answers like a pool built anew |

bm25s, whose index cannot change, stands beside BM25: its build, its search, and its build again as
the price of one change. Times are wall clock, of one machine at one moment; beside them stands
processor time, which says more on a machine that others use as well.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from retrieval.demonstrations.lexical import words
from retrieval.demonstrations.retriever import DemonstrationRetriever
from retrieval.demonstrations.task import Demo, Task

__all__ = ["main", "measure"]

WAYS: Final = ("bm25", "tfidf", "dense", "bm25s")
TASK: Final = Task("pool", "Answer:")
VOCABULARY: Final = 30_000
WORDS: Final = 20
DIM: Final = 384
#: Queries timed one by one, and in one call.
SINGLE: Final = 300
BATCH: Final = 1000


def texts(count: int, *, seed: int) -> list[str]:
    """Return synthetic texts, the same for the same seed."""
    random = np.random.default_rng(seed)
    weights = 1 / np.arange(1, VOCABULARY + 1)
    lengths = random.poisson(WORDS - 1, count) + 1
    drawn = random.choice(VOCABULARY, int(lengths.sum()), p=weights / weights.sum())
    ends = np.cumsum(lengths)
    return [" ".join(f"w{word}" for word in part) for part in np.split(drawn, ends[:-1].tolist())]


def vectors(batch: list[str]) -> np.ndarray:
    """Return a random unit vector for each text, the same for the same text."""
    rows = []
    for text in batch:
        seed = hash_of(text)
        rows.append(np.random.default_rng(seed).standard_normal(DIM, np.float32))
    table = np.stack(rows)
    return table / np.linalg.norm(table, axis=1, keepdims=True)


def hash_of(text: str) -> int:
    """Return a number of a text that is the same in every process."""
    import zlib

    return zlib.crc32(text.encode())


def measure(way: str, demonstrations: int) -> dict[str, Any]:
    """Return the figures of one way of search, in this process."""
    pool = texts(demonstrations, seed=0)
    queries = texts(BATCH, seed=1)
    if way == "bm25s":
        return _peer(pool, queries)
    encoder: Any = vectors if way == "dense" else way
    demos = [Demo(str(at), text, "answer") for at, text in enumerate(pool)]
    retriever = DemonstrationRetriever(encoder)
    before, began = _resident(), time.perf_counter()
    retriever.add(demos, task=TASK)
    result: dict[str, Any] = {
        "demonstrations": demonstrations,
        "build_seconds": round(time.perf_counter() - began, 2),
        "megabytes": round(_resident() - before, 1),
    }
    asked = iter(range(SINGLE))
    result["search_ms"] = _percentiles(
        lambda: retriever.retrieve(queries[next(asked)], task=TASK, k=8), SINGLE
    )
    began = time.perf_counter()
    retriever.retrieve(queries, task=TASK, k=8)
    result["batch_queries_per_second"] = round(BATCH / (time.perf_counter() - began))
    result |= _serving(retriever, queries, demonstrations)
    anew = DemonstrationRetriever(encoder)
    anew.add(retriever.pool(TASK), task=TASK)
    result["same_as_rebuilt"] = all(
        [hit.id for hit in mine] == [hit.id for hit in theirs]
        for mine, theirs in zip(
            *(one.retrieve(queries[:50], task=TASK, k=8) for one in (retriever, anew)), strict=True
        )
    )
    return result


def _serving(
    retriever: DemonstrationRetriever, queries: Sequence[str], demonstrations: int
) -> dict[str, Any]:
    """Return the times of single changes, and of searches between them."""
    added, removed, searched = [], [], []
    for at, text in enumerate(texts(SINGLE, seed=2)):
        new = Demo(f"new-{at}", text, "answer")
        added += _times(lambda new=new: retriever.add([new], task=TASK), 1)
        old = str(at * 7 % demonstrations)
        removed += _times(lambda old=old: retriever.remove([old], task=TASK), 1)
        searched += _times(lambda at=at: retriever.retrieve(queries[at], task=TASK, k=8), 1)
    return {
        "add_ms": _summary(added),
        "remove_ms": _summary(removed),
        "serving_ms": _summary(searched),
    }


def _peer(pool: Sequence[str], queries: Sequence[str]) -> dict[str, Any]:
    """Return the figures of bm25s with the same words and parameters."""
    import bm25s

    corpus = [words(text) for text in pool]
    before, began = _resident(), time.perf_counter()
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    index.index(corpus, show_progress=False)
    built = time.perf_counter() - began
    asked: Iterator[list[str]] = iter([sorted(set(words(query))) for query in queries])
    return {
        "demonstrations": len(pool),
        "build_seconds": round(built, 2),
        "megabytes": round(_resident() - before, 1),
        "search_ms": _percentiles(
            lambda: index.retrieve([next(asked)], k=8, show_progress=False), SINGLE
        ),
        "change_ms": round(1000 * built, 1),
    }


def _percentiles(act: Callable[[], object], times: int) -> dict[str, float]:
    return _summary(_times(act, times))


def _times(act: Callable[[], object], times: int) -> list[tuple[float, float]]:
    """Return the milliseconds of each of several calls: wall clock, and processor time."""
    found = []
    for _ in range(times):
        wall, processor = time.perf_counter(), time.process_time()
        act()
        processor, wall = time.process_time() - processor, time.perf_counter() - wall
        found.append((1000 * wall, 1000 * processor))
    return found


def _summary(milliseconds: Sequence[tuple[float, float]]) -> dict[str, float]:
    wall, processor = np.array(milliseconds).T
    return {
        "p50": round(float(np.percentile(wall, 50)), 3),
        "p95": round(float(np.percentile(wall, 95)), 3),
        "max": round(float(wall.max()), 3),
        "processor_p50": round(float(np.percentile(processor, 50)), 3),
        "processor_p95": round(float(np.percentile(processor, 95)), 3),
    }


def _resident() -> float:
    """Return the highest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every way in a process of its own and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--demonstrations", type=int, default=100_000)
    parser.add_argument("--way", choices=WAYS, help="this one only, in this process")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(arguments)
    if given.way:
        result = measure(given.way, given.demonstrations)
    else:
        result = {"machine": platform.machine(), "python": platform.python_version()}
        for way in WAYS:
            done = subprocess.run(
                [
                    sys.executable, "-m", "benchmarks.demonstration_search", "--way", way,
                    "--demonstrations", str(given.demonstrations), "--json",
                ],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            result[way] = json.loads(done.stdout)
    if given.json:
        print(json.dumps(result))
        return
    for way, figures in result.items():
        print(f"{way}: {figures}")


if __name__ == "__main__":
    main()
