"""Links that a graph does not hold but probably should: train and predict.

**Read this first.** A prediction is a guess from names, descriptions and the links there are. Its
probability is calibrated on links that were held out (`retrieval.calibration`), so on a small
graph it is coarse. Predictions that are written back are marked as such everywhere, never count as
triples, never train a model, and go away with `graph.undo(run)`.

```python
report = train(graph)                                             # seconds
predict(graph, head="Marie Curie", relation="educated_at")        # tails
predict(graph, relation="employer", tail="University of Paris")   # heads
propose(graph, k=5)                           # the whole graph: `retrieval.proposals`
```
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from kg.records import Batch, Config, Entity, Prediction, Triple
from retrieval.calibration import log_odds
from retrieval.errors import NothingToPredict, NotTrained, QueryShapeError
from retrieval.graph_model import GraphModel
from retrieval.graph_snapshot import GraphSnapshot, Side
from retrieval.graph_training import TrainReport, train_graph

if TYPE_CHECKING:
    from kg.store.protocol import GraphStore
    from retrieval.ranking import Vectors

__all__ = ["PredictedLink", "Support", "TrainReport", "predict", "train"]

_log = logging.getLogger(__name__)

#: Known links shown beside a prediction.
SUPPORTS: Final = 3

#: Best candidates that share the odds of a question; those behind them hold next to none.
RIVALS: Final = 1000

#: Share of a relation's links below which a type at its end is taken for a reading error.
RARE_TYPE: Final = 0.1

#: Version of the harvester that predictions are written by.
VERSION: Final = "1"

train = train_graph


@dataclass(frozen=True, slots=True)
class Support:
    """A known link of the same relation between entities like the predicted ones."""

    triple: Triple
    head: str
    tail: str
    #: Mean cosine of its two ends and the predicted ends.
    similarity: float


@dataclass(frozen=True, slots=True)
class PredictedLink:
    """A link that the graph does not hold, with what speaks for it."""

    #: None if the head was given as a text of its own.
    head: Entity | None
    relation: str
    tail: Entity
    #: Text of the head if it is no entity of the graph.
    head_text: str
    #: Cosine of the query and the answer, in [−1, 1].
    score: float
    #: Calibrated on held-out links, in [0, 1].
    probability: float
    #: 1 is best, among the answers to the same question.
    rank: int
    support: tuple[Support, ...] = ()
    #: Run that wrote it to the graph, "" if none did.
    run: str = ""

    def __str__(self) -> str:
        head = self.head.name if self.head else self.head_text
        return f"{head} -[{self.relation}]-> {self.tail.name} ({self.probability:.2f})"


def predict(
    graph: GraphStore,
    *,
    relation: str,
    head: str | None = None,
    tail: str | None = None,
    head_text: str | None = None,
    k: int = 10,
    types: Sequence[str] | None = None,
    write_back: bool = False,
    model: GraphModel | None = None,
) -> list[PredictedLink]:
    """Return the `k` best tails of a head, or heads of a tail, that the graph does not hold yet.

    Args:
        graph: the graph.
        relation: its type, a phrase for it, or its inverse (then head and tail change places).
        head: id, name or alias of the head; tails are predicted.
        tail: id, name or alias of the tail; heads are predicted.
        head_text: name and words on a head that the graph does not hold, in place of `head`.
        k: number of answers, fewer if there are not so many candidates.
        types: types of which answers are wanted; those seen at that end of the relation if not
            given; an empty sequence lifts the limit.
        write_back: write the answers to the graph as predictions, under a run of their own.
        model: the model to ask; the one in the graph's home if not given.

    Raises:
        UnknownEntity, AmbiguousEntity, UnknownRelation: for names the graph does not hold, or
            that several entities carry.
        QueryShapeError: unless exactly one of `head`, `tail` and `head_text` is given.
        NothingToPredict: for a relation with literal tails, or a type that no entity has.
        NotTrained: if there is no model, or none that knows the relation.
    """
    if sum(end is not None for end in (head, tail, head_text)) != 1:
        raise QueryShapeError(
            "give exactly one end: head (or head_text) to get tails, tail to get heads"
        )
    if k < 1:
        raise QueryShapeError(f"k is {k}; ask for 1 answer or more")
    if head_text is not None and (write_back or not head_text.strip()):
        raise QueryShapeError(
            "a head given as text must not be empty, and its links cannot be written back: "
            "it is no entity of the graph"
        )
    snapshot = GraphSnapshot.of(graph)
    name, backwards = snapshot.relation(relation)
    asking = None
    if head_text is None:
        asking = snapshot.entity(head if head is not None else str(tail), graph=graph)
    model = ready_model(graph, snapshot, model)
    _check_known(model, name)
    # "birthplace_of Warsaw" asks for the heads of born_in, so a swapped phrase swaps the ends.
    for_tails = (tail is None) != backwards
    if asking is None and not for_tails:
        raise QueryShapeError(
            f"{relation!r} is {name} read backwards; head_text works with {name} itself only"
        )
    wanted: Side = "tail" if for_tails else "head"
    vector = (
        model.encoder.encode([head_text or ""])[0]
        if asking is None
        else model.vectors([asking.id])[0]
    )
    hidden = _known_answers(snapshot, asking, name, wanted)
    candidates = allowed(snapshot, name, wanted, types)
    query = model.query(vector, name, backwards=not for_tails)
    answers = model.index.search(
        query, k=max(k, RIVALS), allowed=[id for id in candidates if id not in hidden]
    )
    cosines = np.array([score for _, score in answers])
    curve = model.calibration.of(backwards=not for_tails)
    probabilities = curve.probability(log_odds(cosines), cosines).tolist()
    links = []
    for place, (id, score) in enumerate(answers[:k], start=1):
        found = snapshot.entities[id]
        links.append(
            PredictedLink(
                head=asking if for_tails else found,
                relation=name,
                tail=found if for_tails or asking is None else asking,
                head_text=head_text or "",
                score=round(score, 6),
                probability=round(probabilities[place - 1], 4),
                rank=place,
            )
        )
    links = with_support(links, snapshot, model, text_vector=vector)
    return written(graph, links, model) if write_back else links


def ready_model(graph: GraphStore, snapshot: GraphSnapshot, model: GraphModel | None) -> GraphModel:
    """Return the given or stored model with its index brought up to date with the graph."""
    stored = model is None
    model = model or GraphModel.load(graph.home, uri=graph.uri)
    if model.refresh(snapshot) and stored and graph.home is not None:
        try:
            model.save_index(graph.home)
        except OSError as error:  # a graph that may only be read is answered from memory
            _log.warning("the entity index of %s was not stored: %s", graph.uri, error)
    return model


def _check_known(model: GraphModel, relation: str) -> None:
    if relation not in model.relations:
        raise NotTrained(
            f"the model was trained before the graph had {relation}; train again to predict it"
        )


def allowed(
    snapshot: GraphSnapshot, relation: str, side: Side, types: Sequence[str] | None
) -> list[str]:
    """Return the ids of candidates: of the asked types, or of those seen at that end."""
    if types is None:
        seen = Counter(
            (snapshot.entities[id].types or ("",))[0] for id in snapshot.ends(relation, side)
        )
        enough = RARE_TYPE * seen.total()
        return snapshot.of_types(name for name, count in seen.items() if count >= enough)
    if not types:
        return list(snapshot.entities)
    found = snapshot.of_types(types)
    if not found:
        known = sorted({name for entity in snapshot.entities.values() for name in entity.types})
        raise NothingToPredict(
            f"no entity has a type of {', '.join(types)}; the graph's types: {', '.join(known)}"
        )
    return found


def _known_answers(
    snapshot: GraphSnapshot, asking: Entity | None, relation: str, wanted: Side
) -> set[str]:
    """Return the answers that the graph holds, and the asking entity unless it links to itself."""
    if asking is None:
        return set()
    given: Side = "head" if wanted == "tail" else "tail"
    own = [triple for triple in snapshot.triples if triple.relation == relation]
    hidden = {getattr(t, wanted) for t in own if getattr(t, given) == asking.id}
    if not any(triple.head == triple.tail for triple in own):
        hidden.add(asking.id)
    return hidden


def with_support(
    links: Sequence[PredictedLink],
    snapshot: GraphSnapshot,
    model: GraphModel,
    *,
    text_vector: Vectors | None = None,
) -> list[PredictedLink]:
    """Return the links with the known links of their relation that are most like them.

    `text_vector` stands for a head that is no entity of the graph.
    """
    by_relation: dict[str, list[Triple]] = defaultdict(list)
    asked = {link.relation for link in links}
    for triple in snapshot.triples:
        if triple.relation in asked:
            by_relation[triple.relation].append(triple)
    ends = {
        relation: (
            model.vectors([triple.head for triple in triples]),
            model.vectors([triple.tail for triple in triples]),
        )
        for relation, triples in by_relation.items()
    }
    supported = []
    for link in links:
        heads, tails = ends[link.relation]
        similarity = tails @ model.vectors([link.tail.id])[0]
        if link.head is not None:
            similarity = (similarity + heads @ model.vectors([link.head.id])[0]) / 2
        elif text_vector is not None:
            similarity = (similarity + heads @ text_vector) / 2
        order = np.argsort(-similarity, kind="stable")[:SUPPORTS].tolist()
        triples = by_relation[link.relation]
        support = tuple(
            Support(
                triple=triples[row],
                head=snapshot.entities[triples[row].head].name,
                tail=snapshot.entities[triples[row].tail].name,
                similarity=round(float(similarity[row]), 4),
            )
            for row in order
        )
        supported.append(replace(link, support=support))
    return supported


def written(
    graph: GraphStore, links: Sequence[PredictedLink], model: GraphModel
) -> list[PredictedLink]:
    """Write links as predictions under a new run and return them with its id."""
    if not links:
        return []
    run = graph.begin_run(
        Config(
            harvester="link-prediction",
            version=VERSION,
            model=model.encoder.name,
            weights=model.fingerprint,
        )
    ).id
    predictions = tuple(
        Prediction(
            head=link.head.id,
            relation=link.relation,
            tail=link.tail.id,
            score=link.probability,
            rank=link.rank,
            weights=model.fingerprint,
            trained_on=model.trained_on,
            run=run,
        )
        for link in links
        if link.head is not None
    )
    graph.write(Batch(predictions=predictions), run=run)
    graph.finish_run(run, {"predictions": len(predictions)})
    return [replace(link, run=run) for link in links]
