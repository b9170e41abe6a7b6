"""Score the pairs of a chunk's sentences and keep what the text asserts.

For every relation of the schema: pairs whose types fit → probability by the trained head, or
zero-shot when there is none → threshold → one reading per place (the better of two directions,
of two overlapping tails) → does the sentence assert it?
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harvest.extraction.assertion import are_listed, judge
from harvest.extraction.countries import country_of, is_country
from harvest.extraction.mentions import NAMED
from harvest.extraction.pairs import SentenceView, dependency_path
from harvest.extraction.reading import Placed, ReadSentence
from harvest.extraction.seeds import SEED_FACTOR, SeedNames

if TYPE_CHECKING:
    from harvest.extraction.encoder import FrozenEncoder
    from harvest.extraction.entity_types import TypeMap
    from harvest.extraction.heads import RelationHeads
    from harvest.extraction.zero_shot import ZeroShotRelation
    from kg.schema import RelationDef

__all__ = ["PlannedRelation", "Scorer", "Statement"]

#: More pairs of one sentence than this are not read (a sentence that lists a hundred names).
MOST_PAIRS = 400
#: Triggers are looked for between the two and this many tokens around.
_TRIGGER_WINDOW = 5


@dataclass(frozen=True, slots=True)
class PlannedRelation:
    """A relation of the schema and how it is scored."""

    relation: RelationDef
    #: Column of the trained head, -1 for none.
    column: int
    #: The head reads the relation from its tail.
    swapped: bool
    threshold: float
    zero_shot: ZeroShotRelation | None


@dataclass(frozen=True, slots=True)
class Statement:
    """A relation between two places of a sentence, as the sentence states it."""

    sentence: ReadSentence
    relation: RelationDef
    head: Placed
    tail: Placed
    score: float
    negated: bool = False
    hedged: bool = False


class Scorer:
    """Finds the statements of sentences; `count` receives what was dropped and why."""

    def __init__(
        self,
        plan: Sequence[PlannedRelation],
        *,
        heads: RelationHeads,
        encoder: FrozenEncoder,
        types: TypeMap,
        seeds: SeedNames,
        count: Counter[str],
    ) -> None:
        self.plan = plan
        self.seeds = seeds
        self.heads = heads
        self.encoder = encoder
        self.types = types
        self.count = count
        self._ends = sorted(
            {(p.relation.head, True) for p in plan} | {(p.relation.tail, False) for p in plan}
        )

    def statements(self, sentences: Sequence[ReadSentence]) -> list[Statement]:
        """Return the statements of a chunk's sentences, in reading order."""
        planned = [(sentence, self._pairs(sentence)) for sentence in sentences]
        planned = [(sentence, pairs) for sentence, pairs in planned if pairs]
        states = self.encoder.words([sentence.words for sentence, _ in planned])
        found: list[Statement] = []
        for (sentence, pairs), matrix in zip(planned, states, strict=True):
            view = SentenceView(sentence.doc, sentence.start, sentence.end, matrix)
            scored = list(self._scored(sentence, view, pairs))
            kept = _best_readings(scored)
            self.count["dropped_overlap"] += len(scored) - len(kept)
            found += [s for item in kept if (s := self._asserted(item)) is not None]
        return found

    def _pairs(self, sentence: ReadSentence) -> dict[tuple[Placed, Placed], list[PlannedRelation]]:
        """Return the relations that each ordered pair (head, tail) may stand in, by types."""
        result: dict[tuple[Placed, Placed], list[PlannedRelation]] = {}
        if len(sentence.placed) < 2:
            return result
        fitting: dict[tuple[str, bool], list[Placed]] = {}
        for type_name, is_head in self._ends:
            fitting[type_name, is_head] = [
                p for p in sentence.placed if self._fits(p, type_name, is_head=is_head)
            ]
        for planned in self.plan:
            heads = fitting[planned.relation.head, True]
            tails = fitting[planned.relation.tail, False]
            for head in heads:
                for tail in tails:
                    if (
                        head is not tail
                        and not head.candidate.overlaps(tail.candidate)
                        and (head.entity is None or head.entity is not tail.entity)
                    ):
                        result.setdefault((head, tail), []).append(planned)
        if len(result) > MOST_PAIRS:
            self.count["dropped_too_many_pairs"] += len(result) - MOST_PAIRS
            nearest = sorted(
                result, key=lambda pair: (_distance(*pair), pair[0].span, pair[1].span)
            )
            result = {pair: result[pair] for pair in nearest[:MOST_PAIRS]}
        self.count["pairs"] += len(result)
        return result

    def _fits(self, placed: Placed, type_name: str, *, is_head: bool) -> bool:
        if is_head and placed.candidate.label == "CONCEPT":
            return False  # what common nouns are said to be is no fact about a thing
        if type_name in placed.candidate.seeded:
            return True
        kind = self.types.kind(type_name)
        label = placed.candidate.label
        if label in NAMED and placed.entity is not None:
            # A name is read as most of the document's mentions of it are.
            if kind == "person" and placed.entity.is_person:
                label = "PERSON"
            elif kind in ("person", "organization", "place"):
                label = placed.entity.label
        if kind == "country":
            if label == "NORP":
                return not is_head and bool(country_of(placed.surface))
            return label in ("GPE", "NAME", "LOC") and (
                is_country(placed.surface) or self.types.schema.root(type_name) == type_name
            )
        candidate = replace(placed.candidate, label=label)
        return self.types.fits(candidate, placed.surface, type_name)

    def _scored(
        self,
        sentence: ReadSentence,
        view: SentenceView,
        pairs: Mapping[tuple[Placed, Placed], list[PlannedRelation]],
    ) -> Iterator[Statement]:
        """Yield the statements whose score reaches the relation's threshold."""
        # Each pair is read once, in the direction that its heads were trained for.
        directed: dict[tuple[Placed, Placed], int] = {}
        for (head, tail), relations in pairs.items():
            for planned in relations:
                if planned.column >= 0:
                    directed.setdefault(
                        (tail, head) if planned.swapped else (head, tail), len(directed)
                    )
        probabilities = np.zeros((0, 0), np.float32)
        if directed:
            ends = [(first.candidate, second.candidate) for first, second in directed]
            probabilities = self.heads.read(view, ends)
        for (head, tail), relations in pairs.items():
            for planned in relations:
                seeded = self.seeds.is_tail(planned.relation.name, tail.name)
                limit = planned.threshold * (SEED_FACTOR if seeded else 1.0)
                if planned.column >= 0:
                    pair = (tail, head) if planned.swapped else (head, tail)
                    score = float(probabilities[directed[pair], planned.column])
                    if round(score, 4) >= limit and not self._has_trigger(
                        sentence, head, tail, planned.column
                    ):
                        self.count["dropped_no_trigger"] += 1
                        continue
                elif planned.zero_shot is not None:
                    score = planned.zero_shot.score(
                        sentence.doc, head.candidate, tail.candidate, self.encoder
                    )
                else:
                    continue
                score = round(score, 4)
                if score >= limit:
                    yield Statement(sentence, planned.relation, head, tail, score)

    def _is_within(self, relation: RelationDef) -> bool:
        """Tell whether a relation places one thing in another of its kind."""
        return self.types.kind(relation.tail) in ("place", "country", "nature")

    def _has_trigger(self, sentence: ReadSentence, head: Placed, tail: Placed, column: int) -> bool:
        triggers = self.heads.heads[column].triggers
        if not triggers:
            return True
        left, right = sorted((head.candidate, tail.candidate))
        start = max(sentence.start, left.start - _TRIGGER_WINDOW)
        end = min(sentence.end, right.end + _TRIGGER_WINDOW)
        inside = {*range(left.start, left.end), *range(right.start, right.end)}
        near = [token for token in sentence.doc[start:end] if token.i not in inside]
        near += [token for token, _ in dependency_path(sentence.doc, left, right)]
        return any(
            token.lemma_.lower() in triggers or token.lower_ in triggers
            for token in near
            if token.i not in inside
        )

    def _asserted(self, statement: Statement) -> Statement | None:
        sentence = statement.sentence
        ends = (statement.head.candidate, statement.tail.candidate)
        if self._is_within(statement.relation) and are_listed(sentence.doc, *ends):
            self.count["dropped_listed"] += 1
            return None
        verdict = judge(
            sentence.doc,
            sentence.doc[sentence.start : sentence.end],
            statement.head.candidate,
            statement.tail.candidate,
        )
        if verdict.dropped:
            self.count[f"dropped_{verdict.dropped}"] += 1
            return None
        return Statement(
            sentence,
            statement.relation,
            statement.head,
            statement.tail,
            statement.score,
            verdict.negated,
            verdict.hedged,
        )


def _best_readings(statements: Sequence[Statement]) -> list[Statement]:
    """Return the statements of a sentence without weaker readings of the same words.

    Of two tails of one head and relation that overlap ("film", "comedy film") the better stays, of
    (a, r, b) and (b, r, a) the better, of several tails of a functional relation the best, and a
    statement that two mentions of one entity make is kept once.
    """
    kept: list[Statement] = []
    for item in sorted(statements, key=_best_first):
        if not any(_is_weaker_reading(item, better) for better in kept):
            kept.append(item)
    return sorted(kept, key=lambda s: (s.head.span, s.tail.span, s.relation.name))


def _best_first(statement: Statement) -> tuple[Any, ...]:
    return (
        -statement.score,
        statement.head.candidate.label == "PRONOUN",
        -(statement.tail.candidate.end - statement.tail.candidate.start),
        statement.head.span,
        statement.tail.span,
        statement.relation.name,
    )


def _is_weaker_reading(item: Statement, better: Statement) -> bool:
    if item.relation.name != better.relation.name:
        return False
    same_head = _same(item.head, better.head)
    same_tail = _same(item.tail, better.tail)
    if same_head and (
        same_tail or item.tail.candidate.overlaps(better.tail.candidate) or item.relation.functional
    ):
        return True
    return _same(item.head, better.tail) and _same(item.tail, better.head)


def _same(a: Placed, b: Placed) -> bool:
    return a is b or (a.entity is not None and a.entity is b.entity)


def _distance(head: Placed, tail: Placed) -> int:
    left, right = sorted((head.candidate, tail.candidate))
    return right.start - left.end
