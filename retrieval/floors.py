r"""What needs no model: floors that every figure of ours stands beside.

| floor | score of a candidate |
|---|---|
| popularity | how often it stands at the asked end of the relation in the training triples |
| TF-IDF | cosine of its text and the asking entity's text; the relation is ignored |

TF-IDF: lower-case `\w+` words of at least two training entities, weight (1 + ln tf) · idf with
idf = 1 + ln((1 + n) / (1 + df)) over the n training entities, length one.
"""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.encoders.bag_of_words import Features
from retrieval.known_links import expand_ranges, with_inverses
from retrieval.protocols import Questions
from retrieval.ranking import Ranks, Vectors, rank_scores
from retrieval.triple_data import IntArray

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["popularity_ranks", "tfidf_ranks"]

#: Training entities that a word must occur in.
MIN_COUNT: Final = 2

_WORD = re.compile(r"\w+")


def popularity_ranks(asked: Questions, train: IntArray, *, relations: int) -> Ranks:
    """Return the ranks under "how often at this end of this relation" [triples n × 3].

    The score does not depend on the asking entity, so counts are sorted once per relation and the
    known answers of each question are taken out afterwards; no score matrix is needed.
    """
    links = with_inverses(train, relations)
    place = np.full(int(max(links[:, 2].max(initial=0), asked.candidates.max())) + 1, -1)
    place[asked.candidates] = np.arange(len(asked.candidates))
    inside = place[links[:, 2]] >= 0
    links = links[inside]
    higher = np.zeros(len(asked.sources), np.int64)
    at_least = np.zeros(len(asked.sources), np.int64)
    among = np.full(len(asked.sources), len(asked.candidates))
    rows, ids = asked.known
    other = ids != asked.targets[rows]
    rows, ids = rows[other], ids[other]
    row_relations = asked.relations[rows]
    for relation in np.unique(asked.relations):
        ends = place[links[links[:, 1] == relation][:, 2]]
        counts = np.bincount(ends, minlength=len(asked.candidates))
        ordered = np.sort(counts)
        mine = np.flatnonzero(asked.relations == relation)
        own = counts[asked.targets[mine]]
        higher[mine] = len(ordered) - np.searchsorted(ordered, own, side="right")
        at_least[mine] = len(ordered) - np.searchsorted(ordered, own, side="left")
        chosen = row_relations == relation
        row, count = rows[chosen], counts[ids[chosen]]
        target_count = counts[asked.targets[row]]
        np.subtract.at(higher, row, count > target_count)
        np.subtract.at(at_least, row, count >= target_count)
    np.subtract.at(among, rows, 1)
    return Ranks(optimistic=higher + 1, pessimistic=at_least, among=among)


def tfidf_ranks(asked: Questions, texts: Sequence[str], trained: IntArray) -> Ranks:
    """Return the ranks under the cosine of TF-IDF vectors of the two entities' texts.

    Args:
        asked: the questions.
        texts: text of every entity.
        trained: rows of the training entities; words and frequencies come from them alone.
    """
    offsets, columns, values, words = _tfidf(texts, trained)
    order = np.argsort(asked.sources, kind="stable")  # neighbours share a source: encode it once
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    sources, targets = asked.sources[order], asked.targets[order]
    rows, ids = asked.known
    rows = back[rows]
    by_row = np.argsort(rows, kind="stable")
    everyone = _csr(offsets, columns, values, asked.candidates, words)

    def scores(asking: IntArray) -> Vectors:
        unique, which = np.unique(sources[asking], return_inverse=True)
        dense = _csr(offsets, columns, values, unique, words).to_dense()
        table: Vectors = (everyone @ dense.T).T.numpy()[which]
        return table

    ranks = rank_scores(
        scores,
        targets=targets,
        candidates=len(asked.candidates),
        known=(rows[by_row], ids[by_row]),
    )
    return ranks.take(back)


def _csr(
    offsets: IntArray, columns: IntArray, values: Vectors, rows: IntArray, width: int
) -> Tensor:
    """Return some rows of a CSR matrix as a sparse tensor [rows, width]."""
    import torch

    taken = Features(columns, offsets).take(rows)
    _, places = expand_ranges(offsets[rows], offsets[rows + 1])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse", category=UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(taken.offsets),
            torch.from_numpy(taken.values),
            torch.from_numpy(values[places]),
            size=(len(rows), width),
            check_invariants=False,
        )


def _tfidf(texts: Sequence[str], trained: IntArray) -> tuple[IntArray, IntArray, Vectors, int]:
    """Return the TF-IDF vectors of all texts as CSR (offsets, columns, values) and their width."""
    counts = [Counter(_WORD.findall(text.lower())) for text in texts]
    found: Counter[str] = Counter()
    for row in trained.tolist():
        found.update(counts[row].keys())
    vocabulary = sorted(word for word, count in found.items() if count >= MIN_COUNT)
    number = {word: position for position, word in enumerate(vocabulary)}
    idf = [1 + math.log((1 + len(trained)) / (1 + found[word])) for word in vocabulary]
    offsets, columns, values = [0], [], []
    for bag in counts:
        known = sorted((number[word], count) for word, count in bag.items() if word in number)
        weights = [(1 + math.log(count)) * idf[column] for column, count in known]
        length = math.sqrt(sum(weight * weight for weight in weights)) or 1.0
        columns += [column for column, _ in known]
        values += [weight / length for weight in weights]
        offsets.append(len(columns))
    return (
        np.array(offsets, np.int64),
        np.array(columns, np.int64),
        np.array(values, np.float32),
        max(1, len(vocabulary)),
    )
