"""What stands beside a retriever: chance, balanced chance, a perfect choice, a plain classifier.

| baseline | demonstrations |
|---|---|
| `random_hits` | k of the pool by chance, others for each query |
| `balanced_hits` | by chance, labels in turn |
| `oracle_hits` | the nearest by BM25 among those with the gold answer: a retriever's upper bound |
| `majority` | none: the most frequent answer of the pool |
| `classifier` | none: TF-IDF of one to three words, and logistic regression, on the same pool |

The classifier says what the labels of the pool are worth; a vote below it adds nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from retrieval.demonstrations.datasets import TaskData
from retrieval.demonstrations.lexical import LexicalIndex, words
from retrieval.demonstrations.task import Demo

__all__ = ["balanced_hits", "classifier", "majority", "oracle_hits", "random_hits"]

#: Inverse strength of the classifier's penalty, chosen on a fifth of the pool of SemEval RE.
PENALTY: Final = 10.0

type Hits = list[list[Demo]]
type Barred = Sequence[Collection[str]]


def random_hits(data: TaskData, barred: Barred, *, k: int, seed: int) -> Hits:
    """Return `k` demonstrations for each query by chance; fewer if the pool is smaller."""
    random = np.random.default_rng(seed)
    pool = data.task.demos
    answer = []
    for own in barred:
        wanted = min(k + len(own), len(pool))
        drawn = [pool[at] for at in random.choice(len(pool), wanted, replace=False)]
        answer.append(_ranked([demo for demo in drawn if demo.id not in own][:k]))
    return answer


def balanced_hits(data: TaskData, barred: Barred, *, k: int, seed: int) -> Hits:
    """Return `k` demonstrations for each query by chance, labels in turn in a random order."""
    random = np.random.default_rng(seed)
    groups: defaultdict[str, list[Demo]] = defaultdict(list)
    for demo in data.task.demos:
        groups[demo.output].append(demo)
    pools = list(groups.values())
    answer = []
    for own in barred:
        turns = [pools[at] for at in random.permutation(len(pools))]
        each = -(-k // len(turns)) + len(own)
        drawn = [
            [
                pool[at]
                for at in random.choice(len(pool), min(each, len(pool)), replace=False)
                if pool[at].id not in own
            ]
            for pool in turns
        ]
        rounds = (pool[turn] for turn in range(each) for pool in drawn if turn < len(pool))
        answer.append(_ranked([demo for demo, _ in zip(rounds, range(k), strict=False)]))
    return answer


def oracle_hits(data: TaskData, barred: Barred, *, k: int) -> Hits:
    """Return the nearest `k` with the gold answer for each query; none if the pool has none."""
    pools: defaultdict[str, list[Demo]] = defaultdict(list)
    for demo in data.task.demos:
        pools[demo.output].append(demo)
    asked: defaultdict[str, list[int]] = defaultdict(list)
    for row, query in enumerate(data.test):
        asked[query.output].append(row)
    answer: Hits = [[] for _ in data.test]
    most = max(map(len, barred), default=0)
    for output, rows in asked.items():
        pool = pools[output]
        index = LexicalIndex()
        index.add(range(len(pool)), [demo.input for demo in pool])
        texts = [data.test[row].input for row in rows]
        for row, (keys, _) in zip(rows, index.search_many(texts, k=k + most), strict=True):
            near = [pool[key] for key in keys.tolist() if pool[key].id not in barred[row]]
            answer[row] = _ranked(near[:k])
    return answer


def majority(data: TaskData) -> list[str]:
    """Return the pool's most frequent answer for each query."""
    ((most, _),) = Counter(demo.output for demo in data.task.demos).most_common(1)
    return [most for _ in data.test]


def classifier(data: TaskData) -> list[str]:
    """Return the answers of TF-IDF and logistic regression; needs scikit-learn."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    features = TfidfVectorizer(
        ngram_range=(1, 3), sublinear_tf=True, tokenizer=words, token_pattern=None
    )
    known = features.fit_transform([demo.input for demo in data.task.demos])
    model = LogisticRegression(C=PENALTY, max_iter=1000, tol=1e-3)
    model.fit(known, [demo.output for demo in data.task.demos])
    asked = features.transform([query.input for query in data.test])
    return [str(answer) for answer in model.predict(asked)]


def _ranked(demos: Sequence[Demo]) -> list[Demo]:
    return [replace(demo, rank=rank) for rank, demo in enumerate(demos, start=1)]
