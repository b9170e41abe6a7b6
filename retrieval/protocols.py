"""Evaluation protocols: which triples are asked, among which candidates, filtered by what.

| name | triples asked | candidates |
|---|---|---|
| `dynamic` | each has an end that no training triple has | test: all; dev: of train and dev |
| `transductive` | the original split, ends absent from train kept | all entities |

Both filter by train + dev + test, ask every triple from both sides, keep the asking entity itself
as a candidate (self-loops exist) and use realistic ranks. Numbers of different protocols do not
compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from retrieval.errors import DataFormatError, NothingToPredict
from retrieval.known_links import KnownLinks, Pairs, with_inverses
from retrieval.ranking import restrict
from retrieval.triple_data import IntArray, SplitName, TripleData

__all__ = ["PROTOCOL_OF_SPLIT", "Part", "ProtocolName", "Questions", "questions"]

type ProtocolName = Literal["dynamic", "transductive"]
type Part = Literal["dev", "test"]
type Mask = npt.NDArray[np.bool_]

PROTOCOL_OF_SPLIT: Final[dict[SplitName, ProtocolName]] = {
    "inductive": "dynamic",
    "transductive": "transductive",
}

#: A relation has "many" at an end if a query has more than this many answers on average
#: (Bordes et al., "Translating embeddings for modeling multi-relational data", 2013).
MANY: Final = 1.5


@dataclass(frozen=True, slots=True)
class Questions:
    """Every asked triple twice: first all tails, then all heads (as tails of the inverse).

    Entities are rows of the data; `targets` and `known` are positions among `candidates`.
    """

    protocol: ProtocolName
    part: Part
    #: [2n]
    sources: IntArray
    #: [2n], r or r + R
    relations: IntArray
    #: [2n]
    targets: IntArray
    #: Sorted entity rows.
    candidates: IntArray
    known: Pairs
    #: [2n] the target occurs in no training triple.
    target_is_new: Mask
    #: Asked triples with an end that occurs in no training triple.
    with_new_end: int

    @property
    def triples(self) -> int:
        """Number of asked triples, half the number of questions."""
        return len(self.sources) // 2


def questions(data: TripleData, protocol: ProtocolName, part: Part = "test") -> Questions:
    """Return the questions that a protocol asks of one part of the data.

    Raises:
        DataFormatError: if the data breaks the protocol (an inductive triple without new entity).
        NothingToPredict: if the part is empty.
    """
    asked = data.dev if part == "dev" else data.test
    if not len(asked):
        raise NothingToPredict(f"the {part} part of {data.origin or 'the data'} holds no triple")
    relations = len(data.relations)
    trained = np.zeros(len(data.entities), bool)
    trained[data.entities_of(data.train)] = True
    new_end = ~(trained[asked[:, 0]] & trained[asked[:, 2]])
    if protocol == "dynamic" and not new_end.all():
        first = asked[np.flatnonzero(~new_end)[0]]
        names = (data.entities[first[0]], data.relations[first[1]], data.entities[first[2]])
        raise DataFormatError(
            f"{int((~new_end).sum())} of {len(asked)} {part} triples have no new entity, the first "
            f"is {names}; that is not an inductive split, use --split transductive"
        )
    everyone = np.arange(len(data.entities))
    inductive_dev = protocol == "dynamic" and part == "dev"
    candidates = data.entities_of(data.train, data.dev) if inductive_dev else everyone
    both = with_inverses(asked, relations)
    filtered = KnownLinks.of([data.train, data.dev, data.test], relations=relations)
    targets, known = restrict(candidates, both[:, 2], filtered.targets(both[:, 0], both[:, 1]))
    return Questions(
        protocol=protocol,
        part=part,
        sources=both[:, 0],
        relations=both[:, 1],
        targets=targets,
        candidates=candidates,
        known=known,
        target_is_new=~trained[both[:, 2]],
        with_new_end=int(new_end.sum()),
    )


def relation_categories(triples: IntArray, relations: int) -> list[str]:
    """Return "1-1", "1-n", "n-1" or "n-n" for each relation, by the mean answers of a query.

    >>> relation_categories(np.array([[0, 0, 1], [0, 0, 2], [0, 0, 3]]), 1)
    ['1-n']
    """
    categories = []
    for relation in range(relations):
        ends = np.unique(triples[triples[:, 1] == relation][:, [0, 2]], axis=0)
        heads, tails = (max(1, len(np.unique(ends[:, side]))) for side in (0, 1))
        left = "n" if len(ends) / tails > MANY else "1"
        right = "n" if len(ends) / heads > MANY else "1"
        categories.append(f"{left}-{right}")
    return categories
