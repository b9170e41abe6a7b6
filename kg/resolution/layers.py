"""One look at the entities of a graph: what each layer accepts, and the groups that come of it.

The layers, their order and their guards are described in `kg.resolution.resolver`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from kg.resolution.clusters import connected, split
from kg.resolution.entries import (
    Entry,
    Statements,
    compatible_types,
    grouped_by_name,
)
from kg.resolution.names import (
    are_parts_replaced,
    jaccard,
    may_be_misspelt,
    may_be_one_person,
    names_conflict,
    person_key,
)
from kg.resolution.questions import Described, Question, Questions
from kg.resolution.type_conflicts import mistyped_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kg.resolution.neighbours import Encode

__all__ = ["Layers", "Proposal", "ResolutionOptions", "Vectors"]

#: Names of neighbours that a judge is shown.
SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolutionOptions:
    """Thresholds of the layers; all of them are part of the run's config."""

    #: Least Jaccard similarity of two spellings (Graphiti's value).
    jaccard: float = 0.9
    #: Least cosine of two names' vectors.
    cosine: float = 0.95
    #: How many nearest count as neighbours, on both sides.
    neighbours: int = 3
    #: From here on pairs are doubtful, and a judge is asked.
    doubtful_jaccard: float = 0.6
    doubtful_cosine: float = 0.75
    #: Largest group that is merged; larger ones are reported.
    largest: int = 50
    #: Questions that the judge is asked at most.
    questions: int = 200


@dataclass(frozen=True, slots=True)
class Proposal:
    """One merge with what a reader needs to judge it."""

    kept: str
    dropped: str
    kept_name: str
    dropped_name: str
    kept_types: tuple[str, ...]
    dropped_types: tuple[str, ...]
    layer: str
    score: float


class Vectors:
    """Unit vectors of texts, each encoded once."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._known: dict[str, NDArray[Any]] = {}

    def of(self, texts: Sequence[str]) -> NDArray[Any]:
        """Return one vector for each text, [texts, dim]."""
        import numpy as np

        from kg.resolution.neighbours import unit_vectors

        new = sorted(set(texts) - self._known.keys())
        if new:
            self._known.update(zip(new, unit_vectors(self._encode, new), strict=True))
        return np.stack([self._known[text] for text in texts])


class Layers:
    """One look at the entities: accepted pairs by position, and the groups that they make."""

    def __init__(
        self,
        entries: Sequence[Entry],
        statements: Statements,
        vectors: Vectors | None,
        questions: Questions | None,
        options: ResolutionOptions,
    ) -> None:
        self.entries = entries
        self.statements = statements
        self.options = options
        self.place = {entry.id: at for at, entry in enumerate(entries)}
        #: (smaller, larger position) → layer and score.
        self.pairs: dict[tuple[int, int], tuple[str, float]] = {}
        #: The same for pairs that are alike, but not enough.
        self.doubtful: dict[tuple[int, int], float] = {}
        self._matrix: NDArray[Any] | None = None
        self._by_iri()
        self._by_name()
        self._by_spelling(questions)
        self._by_person()
        if vectors is not None and len(entries) > 1:
            self._by_neighbour(vectors)
        if questions is not None:
            self._by_judge(questions)
        self._drop_ambiguous()

    # ---------------------------------------------------------------------------------- layers

    def _accept(self, one: int, other: int, layer: str, score: float) -> None:
        self.pairs.setdefault((min(one, other), max(one, other)), (layer, score))

    def _by_iri(self) -> None:
        holders: dict[str, list[int]] = {}
        for at, entry in enumerate(self.entries):
            for iri in entry.iris:
                holders.setdefault(iri, []).append(at)
        for group in holders.values():
            for one, other in combinations(group, 2):
                self._accept(one, other, "iri", 1.0)

    def _by_name(self) -> None:
        groups = list(grouped_by_name(self.entries))
        for group in groups:
            for one, other in combinations(group, 2):
                if compatible_types(one, other) and not self._contradict(one, other):
                    self._accept(self.place[one.id], self.place[other.id], "name", 1.0)
        for rare, common in mistyped_pairs(groups, self.statements):
            if not self._contradict(rare, common):
                self._accept(self.place[rare.id], self.place[common.id], "mistyped", 1.0)

    def _by_spelling(self, questions: Questions | None) -> None:
        from kg.resolution.blocking import alike_pairs, same_key_pairs

        names = [entry.name for entry in self.entries]
        for one, other in same_key_pairs(names):
            if self._may_be_one(one, other):
                self._accept(one, other, "spelling", 1.0)
        # Without a judge nobody looks at doubtful pairs.
        least = self.options.jaccard if questions is None else self.options.doubtful_jaccard
        for one, other in alike_pairs(names, least=least):
            likeness = round(jaccard(names[one].grams, names[other].grams), 4)
            if likeness < least or not self._may_be_one(one, other):
                continue
            if likeness >= self.options.jaccard and may_be_misspelt(names[one], names[other]):
                self._accept(one, other, "spelling", likeness)
            else:
                self.doubtful[one, other] = likeness

    def _by_person(self) -> None:
        groups: dict[str, list[int]] = {}
        for at, entry in enumerate(self.entries):
            if entry.is_person and (key := person_key(entry.name)):
                groups.setdefault(key, []).append(at)
        for group in groups.values():
            names = {at: self.entries[at].name for at in group}
            for one, other in combinations(group, 2):
                if not self._may_be_one_person(one, other):
                    continue
                # "George Bush" could be George W. or George H. W.: whoever fits two that are not
                # one fits neither.
                thirds = [at for at in group if at not in (one, other)]
                if any(
                    may_be_one_person(names[third], names[one])
                    != may_be_one_person(names[third], names[other])
                    for third in thirds
                ):
                    continue
                self._accept(one, other, "person", 1.0)

    def _may_be_one_person(self, one: int, other: int) -> bool:
        a, b = self.entries[one], self.entries[other]
        return (
            a.is_person
            and b.is_person
            and may_be_one_person(a.name, b.name)
            and not self._contradict(a, b)
        )

    def _by_neighbour(self, vectors: Vectors) -> None:
        from kg.resolution.neighbours import mutual_neighbours

        self._matrix = vectors.of([entry.text for entry in self.entries])
        least, k = self.options.doubtful_cosine, self.options.neighbours
        for one, other, cosine in mutual_neighbours(self._matrix, least=least, k=k):
            if not self._may_be_one(one, other):
                continue
            if cosine >= self.options.cosine and self._may_be_neighbours(one, other):
                self._accept(one, other, "neighbour", cosine)
            else:
                self.doubtful[one, other] = max(cosine, self.doubtful.get((one, other), 0.0))

    def _by_judge(self, questions: Questions) -> None:
        asked = (
            Question(self._described(one), self._described(other), likeness)
            for (one, other), likeness in self.doubtful.items()
            if (one, other) not in self.pairs
        )
        for yes in questions.accepted(asked):
            pair = self.place[yes.first.id], self.place[yes.second.id]
            self._accept(*pair, "judge", yes.likeness)

    def _drop_ambiguous(self) -> None:
        """Leave alone what has no type and could be either of two things of different types."""
        partners: dict[int, list[int]] = {}
        for one, other in self.pairs:
            partners.setdefault(one, []).append(other)
            partners.setdefault(other, []).append(one)
        unsure = {
            at
            for at, others in partners.items()
            if not self.entries[at].types
            and any(
                not compatible_types(self.entries[a], self.entries[b])
                and (min(a, b), max(a, b)) not in self.pairs
                for a, b in combinations(others, 2)
            )
        }
        self.pairs = {
            pair: found
            for pair, found in self.pairs.items()
            if found[0] == "iri" or not unsure & set(pair)
        }

    # ---------------------------------------------------------------------------------- guards

    def _may_be_one(self, one: int, other: int) -> bool:
        """Say whether nothing speaks against two entities of different names being one."""
        a, b = self.entries[one], self.entries[other]
        return (
            compatible_types(a, b)
            and not names_conflict(a.name, b.name)
            and not self._contradict(a, b)
        )

    def _contradict(self, one: Entry, other: Entry) -> bool:
        """Say whether two entities have values that one thing cannot have."""
        return _other_iris(one.iris, other.iris) or self.statements.contradict(one.id, other.id)

    def _matches(self, one: int, other: int) -> bool:
        """Say whether a pair is accepted, or would be if a layer had come across it."""
        if (min(one, other), max(one, other)) in self.pairs:
            return True
        a, b = self.entries[one].name, self.entries[other].name
        if self._may_be_one_person(one, other):
            return True
        if not self._may_be_one(one, other):
            return False
        if a.is_telling and b.is_telling:
            if a.key and a.key == b.key:
                return True
            likeness = jaccard(a.grams, b.grams)
            if likeness >= self.options.jaccard and may_be_misspelt(a, b):
                return True
        matrix = self._matrix
        return (
            matrix is not None
            and float(matrix[one] @ matrix[other]) >= self.options.cosine
            and self._may_be_neighbours(one, other)
        )

    def _may_be_neighbours(self, one: int, other: int) -> bool:
        """Say whether a cosine means anything for two names: of words, and of no template."""
        a, b = self.entries[one].name, self.entries[other].name
        return bool(a.words and b.words) and not are_parts_replaced(a, b)

    def _agrees(self, one: int, other: int) -> bool:
        """Say whether two entities may be members of one group."""
        a, b = self.entries[one], self.entries[other]
        if (min(one, other), max(one, other)) in self.pairs:
            return True
        return compatible_types(a, b) and not self._contradict(a, b)

    # ---------------------------------------------------------------------------------- groups

    def groups(self) -> tuple[list[list[int]], tuple[tuple[str, ...], ...]]:
        """Return the groups to merge, representative first, and the names of those too large."""
        groups: list[list[int]] = []
        too_large: list[tuple[str, ...]] = []
        for group in connected(sorted(self.pairs)):
            for part in split(group, order=self._order, matches=self._matches, agrees=self._agrees):
                if len(part) > self.options.largest:
                    too_large.append(tuple(self.entries[at].name.text for at in part))
                else:
                    groups.append(part)
        return groups, tuple(too_large)

    def _order(self, at: int) -> tuple[int, str]:
        return (-self.entries[at].support, self.entries[at].id)

    def proposal(self, kept: int, dropped: int) -> Proposal:
        """Return the merge of two members of a group."""
        layer, score = self.pairs.get((min(kept, dropped), max(kept, dropped)), ("", 0.0))
        if not layer:  # a chain led here, and the two match
            layer, score = next(self.pairs[pair] for pair in sorted(self.pairs) if dropped in pair)
        one, other = self.entries[kept], self.entries[dropped]
        return Proposal(
            *(one.id, other.id, one.name.text, other.name.text, one.types, other.types),
            layer,
            score,
        )

    def _described(self, at: int) -> Described:
        entry = self.entries[at]
        names = sorted(
            self.entries[self.place[id]].name.text
            for id in self.statements.neighbours(entry.id)
            if id in self.place
        )
        return Described(
            entry.id, entry.name.text, entry.types, entry.description, tuple(names[:SHOWN])
        )


def _other_iris(one: Iterable[str], other: Iterable[str]) -> bool:
    """Say whether two entities have different IRIs of one authority, which names a thing once."""
    left: dict[str, set[str]] = {}
    for iri in one:
        left.setdefault(urlsplit(iri).netloc, set()).add(iri)
    right: dict[str, set[str]] = {}
    for iri in other:
        right.setdefault(urlsplit(iri).netloc, set()).add(iri)
    return any(not left[place] & right[place] for place in left.keys() & right.keys())
