"""Taking the locks of a write, see `kg.store.cypher.locking`."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kg.errors import NotFound, StoreForeign
from kg.store.cypher import locking as cypher
from kg.store.cypher import writing
from kg.store.neo4j.work import Work

__all__ = ["State", "any_lane", "count_change", "hold", "no_run", "state_of", "work_alone"]


@dataclass(frozen=True, slots=True)
class State:
    """What the graph and a run are at the moment when a lock was taken."""

    store: str
    #: Grows with every write that runs alone; the relation map changes only then.
    structure: int
    #: Number and config of the run, None for a run that is not there.
    number: int | None
    config: str | None
    merges: int
    predictions: int


def any_lane() -> str:
    """Return a lane for an ordinary write. Two writers on one lane only wait for each other."""
    return f"lane-{random.randrange(cypher.LANES)}"


def work_alone(work: Work, *, run: str = "") -> State:
    """Wait for all other writers and keep them waiting; say what graph and run are.

    Raises:
        StoreForeign: if somebody has deleted the graph since it was opened.
        NotFound: if a run is named and is not there; the message names the latest runs.
    """
    statement = cypher.ALONE + cypher.STATE + "RETURN state"
    return state_of(work, work.one(statement, lanes=cypher.LANES, run=run), run=run)


def hold(work: Work, name: str) -> None:
    """Wait for whoever holds the lock of this name.

    Raises:
        StoreForeign: if somebody has deleted the graph since it was opened.
    """
    if not work.one(cypher.ONE, name=name):
        raise _deleted()


def count_change(work: Work) -> None:
    """Count a change of the written records."""
    work.put(cypher.COUNT_CHANGE, [["graph"]])
    work.settle()


def state_of(work: Work, answer: tuple[object, ...], *, run: str) -> State:
    """Return the state that a locking statement has answered with, see `work_alone`."""
    if not answer:
        raise _deleted()
    state = State(*answer[0])  # type: ignore[misc]
    if run and state.number is None:
        raise no_run(work, run)
    return state


def no_run(work: Work, run: str) -> NotFound:
    """Return the error that a run is not there; it names the latest runs."""
    known = ", ".join(row[0] for row in work.ask(writing.LATEST_RUNS)) or "none yet"
    return NotFound(f"no run {run!r} in this graph; the latest are: {known}")


def _deleted() -> StoreForeign:
    return StoreForeign("the graph on this server was deleted by another program: open it again")
