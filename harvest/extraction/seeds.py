"""Names that the schema's seeds know: what a user already has is found again in the text.

A seed pair [Marie Curie, Warsaw] of `born_in` says that "Marie Curie" is a name of the relation's
head type and "Warsaw" one of its tail type. Wherever such a name stands in a text it is a
candidate of that type, whatever the recogniser makes of it; and a tail that a seed of the very
relation names needs less evidence there (`SEED_FACTOR`): most relations have few tails, again and
again (genres, countries, languages).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from kg.ids import normal_form
from kg.schema import Schema

__all__ = ["SEED_FACTOR", "SeedNames"]

#: The threshold of a statement whose tail a seed of its relation names is this part of the usual.
SEED_FACTOR: Final = 0.3
#: Shorter names ("IT", "Up") stand for too much else.
_SHORTEST: Final = 3


class SeedNames:
    """The names in a schema's seeds, by normal form, with the types they have there.

    >>> schema = Schema.parse('''
    ... types: {Person: {}, Place: {}}
    ... relations: {born_in: {head: Person, tail: Place, seeds: [[Marie Curie, Warsaw]]}}
    ... ''')
    >>> names = SeedNames(schema)
    >>> names.types_of("WARSAW"), names.is_tail("born_in", "Warsaw")
    (frozenset({'Place'}), True)
    """

    def __init__(self, schema: Schema) -> None:
        types: defaultdict[str, set[str]] = defaultdict(set)
        self._tails: set[tuple[str, str]] = set()
        for relation in schema.relations.values():
            for pair in relation.seeds:
                if relation.roles or len(pair) != 2:
                    continue
                head, tail = map(normal_form, pair)
                if len(head) >= _SHORTEST:
                    types[head].add(relation.head)
                if len(tail) >= _SHORTEST and not schema.is_literal(relation.tail):
                    types[tail].add(relation.tail)
                    self._tails.add((relation.name, tail))
        self._types = {name: frozenset(known) for name, known in types.items()}
        self._longest = max((name.count(" ") + 1 for name in self._types), default=0)

    def types_of(self, name: str) -> frozenset[str]:
        """Return the types that seeds give to a name."""
        return self._types.get(normal_form(name), frozenset())

    def is_tail(self, relation: str, name: str) -> bool:
        """Tell whether a seed of the relation has this tail."""
        return (relation, normal_form(name)) in self._tails

    def spans(self, doc: Any) -> Iterator[tuple[int, int]]:
        """Yield the token ranges of a parsed block that are seed names, longest first."""
        if not self._types:
            return
        found = []
        for start in range(len(doc)):
            # A name of n words has more tokens than words where it holds signs.
            for end in range(start + 1, min(len(doc), start + 2 * self._longest + 1) + 1):
                if normal_form(doc[start:end].text) in self._types:
                    found.append((start, end))
        yield from sorted(found, key=lambda span: (span[0] - span[1], span))
