"""From phrases and how they are used to the missing rows of the relation map.

The layers are described in `kg.canonicalisation.canonicaliser`. Sides are kept by two rules. A
phrase is `swapped` against its words if it is read from their tail; a row is `swapped` if the
phrase is read from the relation's tail. So with `turned` = whether words and relation are read from
different sides, row.swapped = (phrase.swapped != turned) for every phrase of the same words.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from kg.canonicalisation.phrases import Phrase, stem
from kg.ids import relation_type
from kg.opposites import differ_in_polarity
from kg.records import RelationName
from kg.resolution.clusters import connected, split
from kg.resolution.layers import Vectors
from kg.schema import Schema

if TYPE_CHECKING:
    from kg.resolution.neighbours import Encode

__all__ = ["RELATED", "CanonicalisationOptions", "PhraseUse", "propose_names"]

#: What an encoder reads of a phrase. A sentence with two dummies tells a relation better than the
#: phrase alone: on 1,016 predicates of KGGen it finds three times the synonyms at one precision.
SENTENCE: Final = "One thing {} another thing."
#: Words by which alone a phrase says too little to have a synonym.
_EMPTY: Final = """
    and or but the that this what where which who how as not can could may might must shall should
    will would be become make have do get both one all some more most so our us it
"""

#: The relation of phrases that nothing else joined.
RELATED: Final = "RELATED_TO"


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonicalisationOptions:
    """Thresholds; all of them are part of the run's config."""

    #: Least cosine of two phrases' vectors (read off the merges of the shared KGGen graphs).
    cosine: float = 0.86
    #: How many nearest count as neighbours, on both sides.
    neighbours: int = 3
    #: Give phrases that nothing joins the relation RELATED_TO.
    related_to: bool = False
    #: Number of relation types above which a warning is given.
    many: int = 100


@dataclass(frozen=True, slots=True)
class PhraseUse:
    """A raw phrase with how often it is used and between what."""

    phrase: str
    count: int = 1
    #: (root type of the head, of the tail) → number of uses; "" unknown, "literal" for values.
    signatures: Mapping[tuple[str, str], int] = field(default_factory=dict)


class _Target(NamedTuple):
    """A relation as some words name it."""

    relation: str
    #: Whether the words read from the relation's tail.
    turned: bool
    symmetric: bool


@dataclass(frozen=True, slots=True)
class _Member:
    """A phrase with its use, and what the map gives it so far."""

    phrase: Phrase
    use: PhraseUse
    row: RelationName | None

    @property
    def swapped(self) -> bool:
        """Whether it reads from its relation's tail; a phrase without a row is a name itself."""
        return self.row is not None and self.row.swapped


def propose_names(
    uses: Iterable[PhraseUse],
    *,
    known: Sequence[RelationName] = (),
    schema: Schema | None = None,
    encode: Encode | None = None,
    options: CanonicalisationOptions | None = None,
) -> list[RelationName]:
    """Return the rows that are missing in the relation map, sorted by phrase, without a run.

    Args:
        uses: the raw phrases.
        known: rows that the map has already; they are taken as given.
        schema: declared relations.
        encode: returns one vector for each text.
        options: thresholds.

    >>> uses = [PhraseUse("discovered", 3), PhraseUse("was discovered by", 2), PhraseUse("finds")]
    >>> [(row.phrase, row.relation, row.swapped) for row in propose_names(uses)]
    [('was discovered by', 'discovered', True)]
    """
    options = options or CanonicalisationOptions()
    finder = _Finder(uses, known, schema or Schema())
    finder.by_schema()
    finder.by_words()
    if encode is not None:
        vectors = Vectors(encode)
        while finder.by_neighbour(vectors, options):
            pass  # joined relations have other neighbours
    if options.related_to:
        finder.unrelated()
    return sorted(finder.rows.values(), key=lambda row: row.phrase)


class _Finder:
    """The state of one search: rows found so far, by key of their phrase."""

    def __init__(
        self, uses: Iterable[PhraseUse], known: Sequence[RelationName], schema: Schema
    ) -> None:
        self.schema = schema
        self.rows: dict[str, RelationName] = {}
        self.uses: dict[str, tuple[Phrase, PhraseUse]] = {}
        for use in sorted(uses, key=lambda use: (-use.count, use.phrase)):
            phrase = Phrase.of(use.phrase)
            # Spellings with one key are one phrase already.
            self.uses.setdefault(phrase.key, (phrase, use))
        #: Of contradicting rows the one that derivation obeys.
        self.known: dict[str, RelationName] = {}
        for row in sorted(known, key=lambda r: (bool(r.run), r.relation, r.swapped, r.symmetric)):
            self.known.setdefault(Phrase.of(row.phrase).key, row)

    def _members(self) -> list[_Member]:
        return [
            _Member(phrase, use, self.known.get(key) or self.rows.get(key))
            for key, (phrase, use) in self.uses.items()
        ]

    def _add(
        self, phrase: Phrase, target: _Target, swapped: bool, layer: str, score: float
    ) -> None:
        same_name = relation_type(phrase.text) == relation_type(target.relation)
        if same_name and not swapped and not target.symmetric:
            self.rows.pop(phrase.key, None)  # it is called so already
            return
        swapped = swapped and not target.symmetric
        self.rows[phrase.key] = RelationName(
            phrase.text, target.relation, swapped, target.symmetric, layer, score
        )

    # ------------------------------------------------------------------------ schema and words

    def by_schema(self) -> None:
        """Give phrases the declared relation of their form, or of their words."""
        targets: dict[tuple[str, ...], _Target] = {}
        for relation in self.schema.relations.values():
            for text in (relation.name, *relation.aliases, relation.inverse):
                if text:
                    declared = Phrase.of(text)
                    turned = (text == relation.inverse) != declared.swapped
                    target = _Target(relation.name, turned, relation.symmetric)
                    targets.setdefault(declared.words, target)
        for member in self._members():
            phrase = member.phrase
            if member.row is not None:
                continue
            if exact := self.schema.find(phrase.text):
                relation, swapped = exact
                target = _Target(relation.name, swapped, relation.symmetric)
                self._add(phrase, target, swapped, "schema", 1.0)
            elif found := targets.get(phrase.words):
                self._add(phrase, found, phrase.swapped != found.turned, "declared", 1.0)

    def by_words(self) -> None:
        """Give phrases of the same words one relation: one that some have, else the commonest."""
        groups: dict[tuple[str, ...], list[_Member]] = defaultdict(list)
        for member in self._members():
            groups[member.phrase.words].append(member)
        for members in groups.values():
            first = _first(members).phrase
            target = _target(members) or _Target(first.text, first.swapped, False)
            for member in members:
                if member.row is None:
                    swapped = member.phrase.swapped != target.turned
                    self._add(member.phrase, target, swapped, "words", 1.0)

    # ------------------------------------------------------------------------------- neighbours

    def by_neighbour(self, vectors: Vectors, options: CanonicalisationOptions) -> int:
        """Join relations whose commonest phrases are nearest; return how many were joined."""
        from kg.resolution.neighbours import mutual_neighbours

        relations = self._relations()
        if len(relations) < 2:
            return 0
        phrases = (relation.first.phrase.text.replace("_", " ") for relation in relations)
        matrix = vectors.of([SENTENCE.format(phrase) for phrase in phrases])
        near = mutual_neighbours(matrix, least=options.cosine, k=options.neighbours)
        pairs = {
            (one, other): cosine
            for one, other, cosine in near
            if _may_be_one(relations[one], relations[other])
        }
        joined = 0
        for group in connected(sorted(pairs)):
            for first, *others in split(
                group,
                order=lambda at: relations[at].order,
                matches=lambda one, other: (min(one, other), max(one, other)) in pairs,
                agrees=lambda one, other: _may_be_one(relations[one], relations[other]),
            ):
                for other in others:
                    score = pairs[min(first, other), max(first, other)]
                    joined += self._join(relations[first], relations[other], score)
        return joined

    def _relations(self) -> list[_Relation]:
        """Return the phrases by the relation that they have so far."""
        groups: dict[str, list[_Member]] = defaultdict(list)
        for member in self._members():
            name = member.row.relation if member.row else member.phrase.text
            groups[relation_type(name)].append(member)
        return [_Relation(groups[name], self.known) for name in sorted(groups)]

    def _join(self, kept: _Relation, dropped: _Relation, score: float) -> bool:
        """Give the phrases of one relation the name of another, whose first phrases are equal."""
        if dropped.is_known or RELATED in (kept.name, dropped.name):
            return False  # rows of other runs and of schemas stay as they are
        # The two first phrases read from one side, their relations perhaps from different ones.
        turned = kept.first.swapped != dropped.first.swapped
        target = _Target(kept.name, turned, kept.symmetric)
        for member in dropped.members:
            self._add(member.phrase, target, member.swapped != turned, "neighbour", score)
        return True

    def unrelated(self) -> None:
        """Give every phrase that nothing joined to another one the relation RELATED_TO."""
        for relation in self._relations():
            if len(relation.members) == 1 and not relation.is_known and not relation.is_named:
                target = _Target(RELATED, False, False)
                self._add(relation.first.phrase, target, False, "unrelated", 0.0)


class _Relation:
    """The phrases that have one relation so far."""

    def __init__(self, members: Sequence[_Member], known: Mapping[str, RelationName]) -> None:
        self.members = members
        self.first = _first(members)
        rows = [member.row for member in members if member.row is not None]
        #: Whether the map holds a row of it already.
        self.is_known = any(member.phrase.key in known for member in members)
        #: Whether a row names it, and not only its own phrase.
        self.is_named = bool(rows)
        self.name = min(row.relation for row in rows) if rows else self.first.phrase.text
        self.symmetric = any(row.symmetric for row in rows)
        self.count = sum(member.use.count for member in members)
        #: Sort key: what the map holds keeps its name, then the commonest does.
        self.order = (not self.is_known, -self.count, self.name)

    @property
    def ends(self) -> tuple[str, str]:
        """The commonest root types at the ends, seen from the first phrase; "" unknown."""
        votes: Counter[tuple[str, str]] = Counter()
        for member in self.members:
            for (head, tail), number in member.use.signatures.items():
                same_side = member.swapped == self.first.swapped
                votes[(head, tail) if same_side else (tail, head)] += number
        return min(votes, key=lambda ends: (-votes[ends], ends)) if votes else ("", "")


def _first(members: Iterable[_Member]) -> _Member:
    """Return the commonest phrase, ties first what is read from the head, then the smallest."""
    return min(members, key=lambda m: (-m.use.count, m.phrase.swapped, m.phrase.text))


def _target(members: Iterable[_Member]) -> _Target | None:
    """Return the relation that most uses of some words have already, None if none has one."""
    votes: Counter[_Target] = Counter()
    for member in members:
        if (row := member.row) is not None:
            turned = row.swapped != member.phrase.swapped
            votes[_Target(row.relation, turned, row.symmetric)] += member.use.count
    return min(votes, key=lambda target: (-votes[target], target)) if votes else None


@cache
def _empty() -> frozenset[str]:
    return frozenset(map(stem, _EMPTY.split()))


def _roots(phrase: Phrase) -> set[str]:
    # "creation" is not "creates": an ending that makes a noun was kept on purpose.
    return {word.partition("-")[0] for word in phrase.content}


def _may_be_one(one: _Relation, other: _Relation) -> bool:
    """Say whether nothing but their words keeps two relations apart."""
    a, b = one.first.phrase, other.first.phrase
    return (
        a.swapped == b.swapped
        and a.prepositions == b.prepositions
        and bool(a.content - _empty() and b.content - _empty())
        and not _roots(a) & _roots(b)
        and not differ_in_polarity(a.words, b.words, form=stem)
        and all(not x or not y or x == y for x, y in zip(one.ends, other.ends, strict=True))
    )
