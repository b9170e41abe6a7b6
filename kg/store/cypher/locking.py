"""Statements that let writers work side by side.

Ordinary writes run beside each other. Each holds one *lane* and, for all names that it touches, a
lock of that name: two of them wait for each other only where they name or state something of the
same entity. What changes more than single entities (merges, relation names, predictions, removals)
runs alone: it holds every lane. Lanes are taken first and the graph's node last, so that these
never wait in a circle; names are taken in order.

`SET x.locked = null` takes a node's write lock and stores nothing.
"""

from __future__ import annotations

from typing import Final

from kg.store.cypher.names import Put

__all__ = ["LANES"]

#: How many ordinary writes may run at the same time.
LANES: Final = 16

#: Take a lane.
SHARED: Final = (
    "MATCH (g:SheafGraph {id: 'graph'}) "
    "MERGE (l:SheafLock {id: $lane}) ON MATCH SET l.locked = null "
)
#: Take all lanes.
ALONE: Final = (
    "MATCH (g:SheafGraph {id: 'graph'}) CALL { UNWIND range(0, $lanes - 1) AS n "
    "MERGE (l:SheafLock {id: 'lane-' + n}) ON MATCH SET l.locked = null RETURN count(*) AS taken } "
    "SET g.structure = coalesce(g.structure, 0) + 1 "
)
#: Say what the graph and the run are, once the lock is taken.
STATE: Final = (
    "WITH g OPTIONAL MATCH (r:Run {id: $run}) WITH r, [g.store, coalesce(g.structure, 0), "
    "r.number, r.config, COUNT { (:Merge) }, COUNT { (:Prediction) }] AS state "
)
#: Take one lock and nothing else.
ONE: Final = (
    "MATCH (g:SheafGraph {id: 'graph'}) "
    "MERGE (l:SheafLock {id: $name}) ON MATCH SET l.locked = null RETURN g.counter"
)
#: Locks of names that nothing has any more.
DELETE_NAMES: Final = (
    "UNWIND $rows AS id MATCH (l:SheafLock {id: id}) WHERE NOT "
    "EXISTS { MATCH (n:SheafNaming {key: id}) USING INDEX SEEK n:SheafNaming(key) } DELETE l"
)
#: The last that a write does: until it ends, other writers wait here.
COUNT_CHANGE: Final = Put(
    "UNWIND $rows AS r MATCH (g:SheafGraph {id: r[0]})",
    "SET g.locked = true WITH g SET g.counter = g.counter + 1",
)
