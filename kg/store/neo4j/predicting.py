"""Links that only predictions support: drawn as PREDICTED, never mistaken for a fact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from kg.derivation import predicted_only, statement_key
from kg.ids import triple_id
from kg.records import Prediction, RelationName
from kg.store import shape
from kg.store.cypher import deriving
from kg.store.cypher import predicting as cypher
from kg.store.neo4j.deriving import Derived
from kg.store.neo4j.resolving import entities_of
from kg.store.neo4j.rows import Row
from kg.store.neo4j.work import Work

__all__ = ["place_predictions"]


def place_predictions(
    work: Work, derived: Derived, relation_names: Collection[RelationName], *, all: bool
) -> None:
    """Draw again the predicted links that a change has touched; new predictions always are.

    Args:
        work: the transaction, after everything else was derived again.
        derived: what was derived again.
        relation_names: the whole relation map.
        all: look at every prediction, because the relation map has changed.
    """
    found = work.ask(
        cypher.TOUCHED_PREDICTIONS,
        all=all,
        triples=sorted({*derived.before, *derived.triples}),
        raws=sorted({*derived.resolution.canonical, *derived.entities, *derived.gone}),
    )
    if not found:
        return
    predictions = {row[8]: Prediction(*row[:8]) for row in found}
    work.each(
        cypher.ERASE_PREDICTED,
        [[predictions[id].id, drawn] for *_, id, drawn in found if drawn],
    )
    ends = {end for p in predictions.values() for end in (p.head, p.tail)}
    canonical = entities_of(work, ends, derived.resolution)
    keys = {
        id: statement_key(
            canonical.get(p.head, p.head), p.relation, canonical.get(p.tail, p.tail), relation_names
        )
        for id, p in predictions.items()
    }
    rows = [[triple_id(*key), key[0]] for key in keys.values()]
    supported = {row[0] for row in work.each(cypher.SUPPORTED, rows)}
    there = {row[0] for row in work.gather(deriving.PLACES, ends | set(canonical.values()))}
    shown = predicted_only(predictions.values(), canonical, there, supported, relation_names)
    drawn = _draw(work, shown, canonical, there)
    work.put(
        cypher.PLACE_PREDICTIONS,
        [[id, triple_id(*keys[id]), drawn.get(p.id)] for id, p in predictions.items()],
    )
    work.settle()


def _draw(
    work: Work, shown: Collection[Prediction], canonical: dict[str, str], there: Collection[str]
) -> dict[str, str]:
    """Draw links and return, by prediction, the entity that each begins at."""
    groups: dict[str, list[Row]] = defaultdict(list)
    drawn: dict[str, str] = {}
    for prediction in shown:
        head = canonical.get(prediction.head, prediction.head)
        tail = canonical.get(prediction.tail, prediction.tail)
        if tail not in there:
            continue
        drawn[prediction.id] = head
        groups["Entity" if tail.startswith("e_") else "Literal"].append(
            [prediction.id, head, tail, shape.predicted_properties(prediction)]
        )
    for kind in sorted(groups):
        work.put(cypher.predicted(kind), groups[kind])
    return drawn
