"""The most plausible new links of a whole graph.

Asking for everything at once needs more care than one question: the best scores of a graph belong
to what it says already in other words. So a proposal joins two entities of types seen at the ends
of the relation that no link joins yet in either direction: it is no self-loop, no inverse and no
second name of a link there is; nor does it join two entities of one name, which are rather one
thing read twice. A relation whose heads have one tail each (or tails one head) gets
no second one. It is judged from both ends: its probability is the geometric mean of "tail given
head" and "head given tail", each times about the share of right answers that had a lower cosine,
since most questions that can be asked of a graph have no missing answer. Each end stands in one
proposal of a relation, so that one hub does not fill the list. Relations with one or two links are
left out.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.calibration import Calibration, log_odds
from retrieval.errors import NothingToPredict, QueryShapeError
from retrieval.graph_model import GraphModel
from retrieval.graph_snapshot import GraphSnapshot, Side
from retrieval.link_prediction import PredictedLink, allowed, ready_model, with_support, written

if TYPE_CHECKING:
    from kg.store.protocol import GraphStore
    from retrieval.ranking import FloatArray, Vectors

__all__ = ["propose"]

#: Questions whose table of scores is in memory at a time.
BLOCK: Final = 256

#: Share of a relation's heads with one tail only from which it counts as functional, and the
#: fewest heads to tell from.
FUNCTIONAL_SHARE: Final = 0.95
FUNCTIONAL_HEADS: Final = 5

#: Links of a relation below which there is no pattern to follow.
FEWEST_LINKS: Final = 3

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
    joined: dict[str, set[str]] = defaultdict(set)
    for triple in snapshot.triples:
        degree.update((triple.head, triple.tail))
        joined[triple.head].add(triple.tail)
        joined[triple.tail].add(triple.head)
    for ids in snapshot.namesakes():
        for id in ids:
            joined[id].update(ids)
    links_of = Counter(triple.relation for triple in snapshot.triples)
    relations = [name for name in model.relations if links_of[name] >= FEWEST_LINKS]
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
    joined: Mapping[str, set[str]],
    *,
    keep: int,
) -> list[tuple[float, float, str, str, str]]:
    """Return (probability, score, head, relation, tail) of the most plausible unjoined pairs."""
    if not heads or not tails:
        return []
    number = model.relations.index(relation)
    head_vectors, tail_vectors = model.vectors(list(heads)), model.vectors(list(tails))
    forward = model.scorer.queries(head_vectors, np.full(len(heads), number))
    inverse = np.full(len(tails), number + len(model.relations))
    backward = model.scorer.queries(tail_vectors, inverse)
    # Each end is used once in a relation, so the best few tails of each head are enough.
    width = min(len(tails), keep)
    pairs: dict[tuple[int, int], tuple[float, float]] = {}
    for first, scores, chances in _tables(
        forward, tail_vectors, heads, tails, joined, model.calibration.tails
    ):
        best = np.argsort(-chances, axis=1, kind="stable")[:, :width]
        for row, columns in enumerate(best.tolist()):
            for column in columns:
                if np.isfinite(scores[row, column]):
                    found = float(chances[row, column]), float(scores[row, column])
                    pairs[first + row, column] = found
    asked = sorted({column for _, column in pairs})
    place = {column: row for row, column in enumerate(asked)}
    back = np.empty((len(asked), len(heads)), np.float32)
    for first, _, chances in _tables(
        backward[asked],
        head_vectors,
        [tails[column] for column in asked],
        heads,
        joined,
        model.calibration.heads,
    ):
        back[first : first + len(chances)] = chances
    scored = [
        (
            math.sqrt(chance * float(back[place[column], row])),
            score,
            heads[row],
            relation,
            tails[column],
        )
        for (row, column), (chance, score) in pairs.items()
    ]
    scored.sort(key=lambda pair: (-pair[0], pair[2:]))
    return scored[: 4 * keep]


def _tables(
    queries: Vectors,
    candidates: Vectors,
    asking: Sequence[str],
    answers: Sequence[str],
    joined: Mapping[str, set[str]],
    curve: Calibration,
) -> Iterator[tuple[int, Vectors, FloatArray]]:
    """Yield first row, cosines and probabilities [rows, candidates] of blocks of questions.

    Pairs that are joined already, and an entity with itself, are no candidates: cosine −∞, p 0.
    """
    place = {id: column for column, id in enumerate(answers)}
    for first in range(0, len(queries), BLOCK):
        scores = queries[first : first + BLOCK] @ candidates.T
        for row, id in enumerate(asking[first : first + BLOCK]):
            for other in (id, *joined.get(id, ())):
                if other in place:
                    scores[row, place[other]] = -np.inf
        open_ = np.isfinite(scores)
        cosines = np.where(open_, scores, 0.0)
        chances = curve.probability(log_odds(scores), cosines) * curve.typicality(cosines)
        yield first, scores, np.where(open_, chances, 0.0)
