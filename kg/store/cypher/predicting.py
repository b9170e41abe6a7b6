"""Statements that draw the links which only predictions support."""

from __future__ import annotations

from typing import Final, LiteralString

from kg.store.cypher.names import Put

__all__ = ["predicted"]

_PREDICTION: Final = (
    "RETURN p.head, p.relation, p.tail, p.score, p.rank, p.weights, p.trained_on, p.run, "
    "p.id, p.drawn"
)
TOUCHED_PREDICTIONS: Final = (
    "MATCH (p:Prediction) WHERE $all OR p.triple IS NULL OR p.triple IN $triples "
    f"OR p.head IN $raws OR p.tail IN $raws {_PREDICTION}"
)
PREDICTIONS_OF_RUN: Final = f"MATCH (p:Prediction {{run: $run}}) {_PREDICTION}"
SUPPORTED: Final = (
    "UNWIND $rows AS r MATCH (:Entity {id: r[1]})-[x]->() "
    "WHERE x.id = r[0] AND x.support IS NOT NULL RETURN x.id"
)
ERASE_PREDICTED: Final = (
    "UNWIND $rows AS r MATCH (:Entity {id: r[1]})-[x:PREDICTED {id: r[0]}]->() DELETE x"
)
FORGET_PLACES: Final = (
    "MATCH (p:Prediction) WHERE p.prediction IN $ids SET p.triple = null, p.drawn = null"
)
PLACE_PREDICTIONS: Final = Put(
    "UNWIND $rows AS r MATCH (p:Prediction {id: r[0]})", "SET p.triple = r[1], p.drawn = r[2]"
)
DELETE_PREDICTIONS_OF_RUN: Final = "MATCH (p:Prediction {run: $run}) DELETE p"


def predicted(tail: LiteralString) -> Put:
    """Return the statement that draws predicted links to one kind of tail."""
    return Put(
        f"UNWIND $rows AS r MATCH (h:Entity {{id: r[1]}}) MATCH (t:{tail} {{id: r[2]}})",
        "MERGE (h)-[x:PREDICTED {id: r[0]}]->(t) SET x += r[3]",
    )
