"""The most plausible new links of a whole graph.

Asking for everything at once needs more care than one question: the best scores of a graph belong
to what it says already in other words. So a proposal joins two entities of types seen at the ends
of the relation that no link joins yet in either direction: it is no self-loop, no inverse and no
second name of a link there is. A relation whose heads have one tail each (or tails one head) gets
no second one. It is judged from both ends: its probability is the geometric mean of "tail given
head" and "head given tail". Each end stands in one proposal of a relation, so that one hub does
not fill the list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.errors import NothingToPredict, QueryShapeError
from retrieval.graph_model import GraphModel
from retrieval.graph_snapshot import GraphSnapshot, Side
from retrieval.link_prediction import PredictedLink, allowed, ready_model, with_support, written

if TYPE_CHECKING:
    from kg.store.protocol import GraphStore

__all__ = ["propose"]

#: Share of a relation's heads with one tail only from which it counts as functional, and the
#: fewest heads to tell from.
FUNCTIONAL_SHARE: Final = 0.95
FUNCTIONAL_HEADS: Final = 5

#: Questions that `propose` asks of a graph, those of the best linked entities first.
PROPOSAL_QUESTIONS: Final = 20_000


def propose(
    graph: GraphStore,
    k: int = 5,
    *,
    model: GraphModel | None = None,
    write_back: bool = False,
) -> list[PredictedLink]:
    """Return the `k` most plausible new links of the whole graph, best first.

    What is left out, and why, stands in the module's docstring.

    Args:
        graph: the graph.
        k: number of proposals.
        model: as in `predict`.
        write_back: as in `predict`.

    Raises:
        QueryShapeError: if `k` is below 1.
        NothingToPredict: if the graph has no link.
        NotTrained: if there is no model.
    """
    if k < 1:
        raise QueryShapeError(f"k is {k}; ask for 1 proposal or more")
    snapshot = GraphSnapshot.of(graph)
    if not snapshot.triples:
        raise NothingToPredict(f"{graph.uri} holds no link to learn from")
    model = ready_model(graph, snapshot, model)
    degree: Counter[str] = Counter()
    joined: set[tuple[str, str]] = set()
    for triple in snapshot.triples:
        degree.update((triple.head, triple.tail))
        joined.update(((triple.head, triple.tail), (triple.tail, triple.head)))
    relations = [name for name in snapshot.relations() if name in model.relations]
    found: list[tuple[float, float, str, str, str]] = []
    share = max(1, PROPOSAL_QUESTIONS // max(1, len(relations)))
    for relation in relations:
        heads, tails = snapshot.ends(relation, "head"), snapshot.ends(relation, "tail")
        taken_heads = set(heads) if _functional(heads) else set()
        taken_tails = set(tails) if _functional(tails) else set()
        asking = [id for id in allowed(snapshot, relation, "head", None) if id not in taken_heads]
        asking = sorted(asking, key=lambda id: (-degree[id], id))[:share]
        answers = [id for id in allowed(snapshot, relation, "tail", None) if id not in taken_tails]
        found += _best_pairs(model, relation, asking, answers, joined, keep=4 * k)
    found.sort(key=lambda pair: (-pair[0], pair[2:]))
    used: set[tuple[str, str, Side]] = set()
    pairs: set[frozenset[str]] = set()
    links: list[PredictedLink] = []
    for probability, score, head, relation, tail in found:
        places: tuple[tuple[str, str, Side], ...] = (
            (relation, head, "head"),
            (relation, tail, "tail"),
        )
        if used.intersection(places) or frozenset((head, tail)) in pairs:
            continue
        used.update(places)
        pairs.add(frozenset((head, tail)))
        links.append(
            PredictedLink(
                head=snapshot.entities[head],
                relation=relation,
                tail=snapshot.entities[tail],
                head_text="",
                score=round(score, 6),
                probability=round(probability, 4),
                rank=len(links) + 1,
            )
        )
        if len(links) == k:
            break
    links = with_support(links, snapshot, model)
    return written(graph, links, model) if write_back else links


def _functional(ends: Iterable[str]) -> bool:
    """Return whether (nearly) every entity stands at this end once."""
    counts = Counter(ends)
    single = sum(1 for count in counts.values() if count == 1)
    return len(counts) >= FUNCTIONAL_HEADS and single >= FUNCTIONAL_SHARE * len(counts)


def _best_pairs(
    model: GraphModel,
    relation: str,
    heads: Sequence[str],
    tails: Sequence[str],
    joined: set[tuple[str, str]],
    *,
    keep: int,
) -> list[tuple[float, float, str, str, str]]:
    """Return (probability, score, head, relation, tail) of the most plausible unjoined pairs."""
    if not heads or not tails:
        return []
    number = model.relations.index(relation)
    head_vectors = model.vectors(list(heads))
    forward = model.scorer.queries(head_vectors, np.full(len(heads), number))
    # The nearest few tails of each head are enough: each end is used once in a relation.
    width = min(len(tails), keep)
    answers = model.index.search_many(forward, k=width, allowed=tails)
    pairs = [
        (row, tail, score)
        for row, found in enumerate(answers)
        for tail, score in found
        if tail != heads[row] and (heads[row], tail) not in joined
    ]
    if not pairs:
        return []
    tail_ids = sorted({tail for _, tail, _ in pairs})
    place = {id: row for row, id in enumerate(tail_ids)}
    backward = model.scorer.queries(
        model.vectors(tail_ids), np.full(len(tail_ids), number + len(model.relations))
    )
    rows = np.array([row for row, _, _ in pairs])
    columns = np.array([place[tail] for _, tail, _ in pairs])
    reverse = np.einsum("ij,ij->i", head_vectors[rows], backward[columns])
    probability = model.calibration.probability
    scored = [
        (
            (probability(score) * probability(other, backwards=True)) ** 0.5,
            score,
            heads[row],
            relation,
            tail,
        )
        for (row, tail, score), other in zip(pairs, reverse.tolist(), strict=True)
    ]
    scored.sort(key=lambda pair: (-pair[0], pair[2:]))
    return scored[: 4 * keep]
