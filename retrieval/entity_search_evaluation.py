"""How well are entities found by words? Each step of the search as a row, beside plain BM25.

| row | what ranks | learned on the training queries of each fold |
|---|---|---|
| `bm25` | BM25 over name and sentence as one text, words as they are | nothing |
| `words` | the same over stems, without filler words in the query | nothing |
| `encoder` | cosine of the query's and the entity's one vector | nothing |
| `raw_hybrid` | α·vector + (1 − α)·words on raw scales, as BLP mixes | α by NDCG@100 |
| `hybrid` | the same on one scale a query | α by NDCG@100 |
| `fielded` | name, description and both by BM25, and the vector | a weight each |
| `named` | `fielded`, and the same or a near name goes up: the rule of the live search | the same |
| `fusion` | `fielded`, and a second vector of the name alone | a weight each |
| `linked` | `fielded`, and the names of the entity's neighbours; only with links | a weight each |

Candidates are what BM25 or FAISS puts among its first 300, for `linked` also what BM25 of the links
does; `bm25`, `words` and `encoder` rank all entities. `linked` knows more than text: the other rows
are the same with links as without.

The figure of a row is the mean over all queries, each ranked by what was learned without it. Each
row is compared with `bm25` and with `encoder` query by query: mean difference of NDCG@10, bootstrap
interval, two-sided p.

Source: Daza, Cochez, Groth, WWW 2021, section 5.4.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.bootstrap import bounds, resampled_means
from retrieval.ranking import FloatArray, Vectors
from retrieval.search_data import Fold, SearchData, group_of
from retrieval.search_fields import POOL, EntityFields, TextField, candidates, link_text
from retrieval.search_fusion import best_alpha, fit_weights, standardised
from retrieval.search_measures import judged, ndcg, recall
from retrieval.search_names import NameTable, with_names
from retrieval.search_words import plain_words
from retrieval.top_k import best
from retrieval.triple_data import IntArray, load_folder

if TYPE_CHECKING:
    from retrieval.encoders.protocol import EntityEncoder

__all__ = ["compared", "evaluate_search", "neighbours"]

RESAMPLES: Final = 10_000
#: The deepest place that a measure looks at.
DEPTH: Final = 100

FIELDED: Final = ("name", "description", "words", "vector")
LEARNED: Final = {
    "fielded": FIELDED,
    "fusion": (*FIELDED, "vector_name"),
    "linked": (*FIELDED, "links"),
}


@dataclass(slots=True)
class _Asked:
    """One query with its candidates."""

    id: str
    rows: IntArray
    #: Part → raw score of each candidate.
    parts: dict[str, Vectors]
    gains: FloatArray
    #: Row → candidates in order, of rows that learn nothing.
    plain: dict[str, IntArray]
    near: FloatArray
    #: The same query with the candidates that links bring in; its text rows stay as they are.
    linked: _Asked | None = None
    _scaled: dict[tuple[str, ...], FloatArray] = field(default_factory=dict)

    def raw(self, names: Sequence[str]) -> FloatArray:
        return np.stack([self.parts[name] for name in names], axis=1).astype(np.float64)

    def scaled(self, names: tuple[str, ...]) -> FloatArray:
        if names not in self._scaled:
            self._scaled[names] = standardised(self.raw(names))
        return self._scaled[names]

    def order(self, scores: FloatArray) -> IntArray:
        """Return the entities of the highest scores of candidates, best first."""
        return self.rows[best(scores, DEPTH)]


def neighbours(data: SearchData, folder: Path | str) -> list[str]:
    """Return the text of each entity's links, read from the training triples of a data folder."""
    triples = load_folder(folder)
    row = {id: place for place, id in enumerate(data.entities)}
    texts: list[list[str]] = [[] for _ in data.entities]
    for head, relation, tail in triples.train.tolist():
        ends = row.get(triples.entities[head]), row.get(triples.entities[tail])
        for own, other in (ends, ends[::-1]):
            if own is not None and other is not None:
                texts[own].append(link_text(triples.relations[relation], data.names[other]))
    return ["; ".join(dict.fromkeys(own)) for own in texts]


def evaluate_search(
    data: SearchData,
    encoder: EntityEncoder,
    *,
    links: Sequence[str] | None = None,
    vectors: Callable[[Sequence[str]], Vectors] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the figures of every row of the module's table; `ndcg_at_10` is that of `fusion`.

    Args:
        data: of `retrieval.search_data.load_search`.
        encoder: of queries, names and texts.
        links: of `neighbours`; without, there is no row `linked`.
        vectors: what encodes the corpus in place of the encoder, which has kept its vectors.
        seed: of the intervals.
    """
    started = time.process_time()
    asked = _ask(data, encoder, links, vectors or encoder.encode)
    rankings: dict[str, dict[str, IntArray]] = {
        name: {one.id: one.plain[name] for one in asked.values()}
        for name in ("bm25", "words", "encoder")
    }
    learned: dict[str, list[Any]] = {}
    for fold in data.folds:
        for name, found, ranked in _fold(data, asked, fold):
            learned.setdefault(name, []).append(found)
            rankings.setdefault(name, {}).update(ranked)
    figures = {
        name: {query: _figures(data, query, own[query]) for query in data.queries}
        for name, own in rankings.items()
    }
    rows = {
        name: _row(
            own,
            {other: figures[other] for other in ("bm25", "encoder") if other != name},
            learned.get(name),
            seed,
        )
        for name, own in figures.items()
    }
    final = "linked" if links is not None else "fielded"
    everything = _of_row(final, list(asked.values()))
    weights = fit_weights(
        [one.scaled(LEARNED[final]) for one in everything], [one.gains for one in everything]
    )
    return {
        "ndcg_at_10": rows["fusion"]["all"]["ndcg_at_10"],
        "rows": rows,
        "pool_recall": round(
            float(
                np.mean([one.gains.sum() / sum(data.gains[one.id].values()) for one in everything])
            ),
            4,
        ),
        "weights_of_all_queries": _named(LEARNED[final], weights),
        "queries": len(data.queries),
        "entities": len(data.entities),
        "folds": len(data.folds),
        "data": data.origin,
        "encoder": encoder.fingerprint,
        "seed": seed,
        "cpu_seconds": round(time.process_time() - started, 1),
    }


def _ask(
    data: SearchData,
    encoder: EntityEncoder,
    links: Sequence[str] | None,
    encode: Callable[[Sequence[str]], Vectors],
) -> dict[str, _Asked]:
    """Return each query with its candidates and their parts; nothing here knows a judgement."""
    from retrieval.vector_index import VectorIndex

    row = {id: place for place, id in enumerate(data.entities)}
    fields = EntityFields(names=data.names, descriptions=data.sentences, links=links)
    plain = TextField(
        [
            plain_words(f"{name} {said}")
            for name, said in zip(data.names, data.sentences, strict=True)
        ]
    )
    names = NameTable([[name] for name in data.names])
    texts, called = encode(data.texts()), encode(list(data.names))
    index = VectorIndex(dim=encoder.dim)
    index.add(list(data.entities), texts)
    queries = encoder.encode(list(data.queries.values()))
    asked = {}
    for (id, query), vector in zip(data.queries.items(), queries, strict=True):
        lexical = fields.scores(query)
        nearest = index.search(vector, k=max(POOL, DEPTH))
        first = np.zeros(len(row), np.float32)
        for entity, cosine in nearest[:POOL]:
            first[row[entity]] = cosine
        plainly = {
            "bm25": best(plain.scores(list(dict.fromkeys(plain_words(query)))), DEPTH),
            "words": best(lexical["words"], DEPTH),
            "encoder": np.array([row[entity] for entity, _ in nearest[:DEPTH]], np.int64),
        }
        near, gains = names.scores(query), data.gains[id]

        def among(
            rows: IntArray,
            id: str = id,
            lexical: Any = lexical,
            vector: Any = vector,
            plainly: Any = plainly,
            near: Any = near,
            gains: Any = gains,
        ) -> _Asked:
            parts = {part: scores[rows] for part, scores in lexical.items()}
            parts |= {"vector": texts[rows] @ vector, "vector_name": called[rows] @ vector}
            known = [gains.get(data.entities[at], 0) for at in rows.tolist()]
            return _Asked(id, rows, parts, np.array(known, float), plainly, near[rows])

        stages = [lexical["words"], first]
        asked[id] = among(candidates(stages))
        if links is not None:
            asked[id].linked = among(candidates([*stages, lexical["links"]]))
    return asked


def _fold(
    data: SearchData, asked: dict[str, _Asked], fold: Fold
) -> list[tuple[str, Any, dict[str, IntArray]]]:
    """Return (row, what was learned, ranking of each test query); test judgements are not read."""
    training = [asked[query] for query in fold.training]
    testing = [asked[query] for query in fold.testing]
    answer: list[tuple[str, Any, dict[str, IntArray]]] = []
    pair = ("words", "vector")
    for name, scores in (
        ("raw_hybrid", lambda one: one.raw(pair)),
        ("hybrid", lambda one: one.scaled(pair)),
    ):

        def mixed(one: _Asked, alpha: float, scores: Any = scores) -> IntArray:
            return one.order(scores(one) @ np.array([1 - alpha, alpha]))

        def quality(alpha: float, mixed: Any = mixed) -> float:
            return float(
                np.mean(
                    [
                        ndcg(_ids(data, mixed(one, alpha)), data.gains[one.id], k=DEPTH)
                        for one in training
                    ]
                )
            )

        alpha = best_alpha(quality)
        answer.append((name, round(alpha, 2), {one.id: mixed(one, alpha) for one in testing}))
    for name, parts in LEARNED.items():
        learnt, measured = (_of_row(name, asks) for asks in (training, testing))
        if not learnt:
            continue
        weights = fit_weights([one.scaled(parts) for one in learnt], [one.gains for one in learnt])
        scores_of = {one.id: one.scaled(parts) @ weights for one in measured}
        found = _named(parts, weights)
        answer.append((name, found, {one.id: one.order(scores_of[one.id]) for one in measured}))
        if name == "fielded":
            answer.append(
                (
                    "named",
                    found,
                    {one.id: one.order(with_names(scores_of[one.id], one.near)) for one in testing},
                )
            )
    return answer


def _of_row(name: str, asked: Sequence[_Asked]) -> list[_Asked]:
    """Return the queries with the candidates of a row; none if the row needs missing links."""
    if name != "linked":
        return list(asked)
    return [one.linked for one in asked if one.linked is not None]


def _ids(data: SearchData, rows: IntArray) -> list[str]:
    return [data.entities[at] for at in rows.tolist()]


def _named(parts: Sequence[str], weights: FloatArray) -> dict[str, float]:
    return {part: round(float(weight), 3) for part, weight in zip(parts, weights, strict=True)}


def _figures(data: SearchData, query: str, ranked: IntArray) -> dict[str, float]:
    found, gains = _ids(data, ranked), data.gains[query]
    return {
        "ndcg_at_10": ndcg(found, gains, k=10),
        "ndcg_at_100": ndcg(found, gains, k=100),
        "recall_at_100": recall(found, gains, k=100),
        "judged_at_10": judged(found, gains, k=10),
    }


def _row(
    own: dict[str, dict[str, float]],
    others: dict[str, dict[str, dict[str, float]]],
    learned: list[Any] | None,
    seed: int,
) -> dict[str, Any]:
    """Return means over all queries and over each group, each compared with the others."""
    groups: dict[str, list[str]] = {"all": list(own)}
    for query in own:
        groups.setdefault(group_of(query), []).append(query)
    row: dict[str, Any] = {}
    for group, queries in groups.items():
        means = {
            measure: round(float(np.mean([own[query][measure] for query in queries])), 4)
            for measure in own[queries[0]]
        }
        row[group] = {"queries": len(queries), **means}
        for name, other in others.items():
            row[group][f"over_{name}"] = compared(
                [own[query]["ndcg_at_10"] for query in queries],
                [other[query]["ndcg_at_10"] for query in queries],
                seed=seed,
            )
    if learned is not None:
        row["learned_by_fold"] = learned
    return row


def compared(own: Sequence[float], other: Sequence[float], *, seed: int) -> dict[str, float]:
    """Return the mean difference of paired figures, its interval and its two-sided p.

    p is twice the share of resampled means on the other side of 0, and not below 1/resamples.

    >>> found = compared([0.4, 0.5, 0.6], [0.1, 0.2, 0.3], seed=0)
    >>> found["difference"], found["p"]
    (0.3, 0.0001)
    """
    differences = np.asarray(own, float) - np.asarray(other, float)
    means = resampled_means(differences, resamples=RESAMPLES, seed=seed)
    low, high = bounds(means)
    side = min(float((means <= 0).mean()), float((means >= 0).mean()))
    return {
        "difference": round(float(differences.mean()), 4),
        "low": low,
        "high": high,
        "p": round(min(1.0, max(2 * side, 1 / RESAMPLES)), 4),
    }
