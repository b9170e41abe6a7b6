"""Hard negatives: for a triple, wrong ones that look right, to train and to test encoders with.

| kind | the wrong triple | it asks for more than |
|---|---|---|
| `near_name` | an end becomes one of the same type whose name is near | a glance at the name |
| `same_relation` | an end becomes one that the relation has elsewhere | fitting the relation |
| `same_type` | an end becomes any entity of the same type | fitting the type |
| `relation` | it becomes another that links ends of these types | the two ends |
| `ends` | head and tail change places, where the types allow it | no direction |
| `random` | an end becomes any entity | nothing: the control |

None of them is a known fact, and none is the triple read backwards by a symmetric relation. That a
graph does not hold a triple does not make it false: graphs are incomplete, and the nearer a
negative, the likelier it is true after all. Measure before you trust them.

Names are near when they stand side by side in one of two sorted lists of their type: of the names,
and of the names with their words reversed ("Henry VII" and "Henry VIII"; "Ann Curie" and "Bob
Curie"). That costs n log n, and no pair of names is compared.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, get_args

from kg.errors import KgError
from kg.ids import normal_form
from kg.records import LITERAL_TYPES
from kg.store.protocol import GraphStore

__all__ = ["KINDS", "HardNegatives", "Kind", "Negative"]

type Kind = Literal["near_name", "same_relation", "same_type", "relation", "ends", "random"]
type Key = tuple[str, str, str]

#: Every kind but the control.
KINDS: Final[tuple[Kind, ...]] = ("near_name", "same_relation", "same_type", "relation", "ends")
#: Proposals of one kind for one triple that are looked at.
_TRIED: Final = 30


class Negative(NamedTuple):
    """A triple that nothing states."""

    head: str
    relation: str
    tail: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class _Neighbours:
    """Entities of one type in sorted lists, and where each stands in them."""

    lists: tuple[Sequence[str], ...]
    places: tuple[Mapping[str, int], ...]

    def of(self, id: str) -> Iterator[str]:
        """Yield the nearest first: one step away in each list, then two, and so on."""
        longest = max(map(len, self.lists))
        for step in range(1, longest):
            for list, places in zip(self.lists, self.places, strict=True):
                for place in (places[id] - step, places[id] + step):
                    if 0 <= place < len(list):
                        yield list[place]


class HardNegatives:
    """Proposes negatives for the triples of one graph.

    Args:
        triples: (head, relation, tail) of everything that is known, also of what is held out.
        names: entity → its name; without names there is no `near_name`.
        types: entity → its types, finest first; entities without one form a type of their own.
        symmetric: relations that say the same with their ends swapped.

    >>> negatives = HardNegatives(
    ...     [("e1", "born in", "c1"), ("e2", "born in", "c2")],
    ...     names={"e1": "Henry VII", "e2": "Henry VIII", "c1": "Rome", "c2": "Oslo"},
    ...     types={"e1": ["Person"], "e2": ["Person"], "c1": ["City"], "c2": ["City"]},
    ... )
    >>> for negative in negatives.of(("e1", "born in", "c1"), 3):
    ...     print(*negative)
    e1 born in c2 near_name
    e2 born in c1 same_relation
    """

    def __init__(
        self,
        triples: Iterable[Key],
        *,
        names: Mapping[str, str] | None = None,
        types: Mapping[str, Sequence[str]] | None = None,
        symmetric: Collection[str] = (),
    ) -> None:
        self._triples = sorted(set(triples))
        self._facts = frozenset(self._triples)
        self._symmetric = frozenset(symmetric)
        self._names = names or {}
        kinds = types or {}
        ends = {end for head, _, tail in self._triples for end in (head, tail)}
        self._entities = sorted({*ends, *self._names, *kinds})
        self._type = {id: next(iter(kinds.get(id, ())), "") for id in self._entities}
        self._of_type: dict[str, list[str]] = defaultdict(list)
        for id in self._entities:
            self._of_type[self._type[id]].append(id)
        self._neighbours: dict[str, _Neighbours] = {}
        heads: dict[str, set[str]] = defaultdict(set)
        tails: dict[str, set[str]] = defaultdict(set)
        signatures: dict[tuple[str, str], set[str]] = defaultdict(set)
        for head, relation, tail in self._triples:
            heads[relation].add(head)
            tails[relation].add(tail)
            signatures[self._type[head], self._type[tail]].add(relation)
        self._heads = {relation: sorted(ids) for relation, ids in heads.items()}
        self._tails = {relation: sorted(ids) for relation, ids in tails.items()}
        self._signatures = {pair: sorted(names) for pair, names in signatures.items()}

    @classmethod
    def from_graph(cls, graph: GraphStore) -> HardNegatives:
        """Read the triples, names and types of a graph; which relations are symmetric, too."""
        from kg.ids import relation_type

        names, types = {}, {}
        for entity in graph.derived("entity"):
            names[entity.id], types[entity.id] = entity.name, entity.types
        for literal in graph.derived("literal"):
            names[literal.id], types[literal.id] = literal.lexical, (literal.datatype,)
        triples = ((one.head, one.relation, one.tail) for one in graph.derived("triple"))
        symmetric = {
            relation_type(row.relation) for row in graph.written("relation_name") if row.symmetric
        }
        return cls(triples, names=names, types=types, symmetric=symmetric)

    def of(
        self, triple: Key, k: int, *, seed: int = 0, kinds: Sequence[Kind] = KINDS
    ) -> list[Negative]:
        """Return up to `k` different negatives of a triple, the kinds by turns.

        The seed and the triple decide; what was asked before does not matter.

        Raises:
            KgError: for a kind that does not exist.
        """
        for kind in kinds:
            if kind not in get_args(Kind.__value__):
                known = ", ".join(get_args(Kind.__value__))
                raise KgError(f"no kind of negative {kind!r}; there are {known}")
        chance = random.Random(f"{seed} {triple}")
        found: dict[Key, Kind] = {}
        proposals = [(kind, self._accepted(kind, triple, chance)) for kind in kinds]
        while proposals and len(found) < k:
            kind, keys = proposals.pop(0)
            new = next((key for key in keys if key not in found), None)
            if new is not None:
                found[new] = kind
                proposals.append((kind, keys))
        return [Negative(*key, kind) for key, kind in found.items()]

    def stream(
        self, k: int, *, seed: int = 0, kinds: Sequence[Kind] = KINDS
    ) -> Iterator[tuple[Key, list[Negative]]]:
        """Iterate over the graph's triples, each with up to `k` negatives."""
        for triple in self._triples:
            yield triple, self.of(triple, k, seed=seed, kinds=kinds)

    def is_fact(self, key: Key) -> bool:
        """Say whether a triple is known, also read backwards by a symmetric relation."""
        head, relation, tail = key
        backwards = relation in self._symmetric and (tail, relation, head) in self._facts
        return key in self._facts or backwards

    def _accepted(self, kind: Kind, triple: Key, chance: random.Random) -> Iterator[Key]:
        for key in itertools.islice(self._proposed(kind, triple, chance), _TRIED):
            fits = key[0] != key[2] and not self._is_literal(key[0])
            if fits and key != triple and not self.is_fact(key):
                yield key

    def _proposed(self, kind: Kind, triple: Key, chance: random.Random) -> Iterator[Key]:
        head, relation, tail = triple
        if kind == "ends":
            if relation in self._signatures.get((self._kind(tail), self._kind(head)), ()):
                yield tail, relation, head
        elif kind == "relation":
            fitting = self._signatures.get((self._kind(head), self._kind(tail)), [])
            for other in chance.sample(fitting, len(fitting)):
                yield head, other, tail
        else:
            for other_head, other_tail in itertools.zip_longest(
                self._others(kind, relation, head, self._heads, chance),
                self._others(kind, relation, tail, self._tails, chance),
            ):
                if other_tail is not None:
                    yield head, relation, other_tail
                if other_head is not None:
                    yield other_head, relation, tail

    def _others(
        self,
        kind: Kind,
        relation: str,
        end: str,
        of_relation: Mapping[str, Sequence[str]],
        chance: random.Random,
    ) -> Iterator[str]:
        """Return entities that may take the place of an end."""
        if kind == "near_name":
            return self._near(end)
        pool: Sequence[str] = self._entities
        if kind == "same_relation":
            pool = of_relation.get(relation, [])
        elif kind == "same_type":
            pool = self._of_type.get(self._kind(end), [])
        return iter(chance.sample(pool, min(len(pool), _TRIED)))

    def _near(self, end: str) -> Iterator[str]:
        if end not in self._names:
            return iter(())
        type = self._kind(end)
        if type not in self._neighbours:
            self._neighbours[type] = self._sorted(type)
        return self._neighbours[type].of(end)

    def _sorted(self, type: str) -> _Neighbours:
        words = {
            id: normal_form(self._names[id]).split()
            for id in self._of_type[type]
            if id in self._names
        }
        by_first = sorted(words, key=lambda id: (words[id], id))
        by_last = sorted(words, key=lambda id: (words[id][::-1], id))
        lists = (by_first, by_last)
        return _Neighbours(
            lists, tuple({id: place for place, id in enumerate(ids)} for ids in lists)
        )

    def _kind(self, end: str) -> str:
        return self._type.get(end, "")

    def _is_literal(self, end: str) -> bool:
        return self._kind(end) in LITERAL_TYPES.values()
