"""Entity resolution: which entities of a graph are one thing, decided by layers, cheap first.

| layer | joins | guarded by |
|---|---|---|
| `iri` | the same IRI | – |
| `name` | the same normal form, compatible types | values |
| `mistyped` | the same normal form, another type by a slip (`type_conflicts`) | values |
| `spelling` | the same words in another order or spelling, or Jaccard ≥ `jaccard` | all |
| `neighbour` | each other's nearest by an encoder, cosine ≥ `cosine` | all |
| `judge` | what is alike but not enough, and a judge says yes | all |

"All": types, names (`kg.resolution.names`) and values. "Values": two IRIs of one authority, or two
values of a relation that the schema calls functional, are never of one thing.
An entity without a type that could be either of two typed ones stays alone in every layer.

Accepted pairs are joined by union-find, and every member must still match the representative, the
one with most mentions. Then the graph is looked at as if the merges were written, until nothing
more is found: hence a second call writes nothing. Merges belong to a run, and `undo` takes them
back.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from kg.records import Batch, Config, Merge
from kg.resolution.clusters import connected, split
from kg.resolution.entries import (
    Entry,
    Source,
    Statements,
    compatible_types,
    entries_of,
    grouped_by_name,
)
from kg.resolution.names import jaccard, may_be_misspelt, names_conflict
from kg.resolution.questions import Described, Judge, Question, Questions
from kg.resolution.type_conflicts import mistyped_pairs
from kg.schema import Schema
from kg.store.protocol import GraphStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kg.resolution.neighbours import Encode

__all__ = ["Proposal", "ResolutionOptions", "ResolutionReport", "propose_merges", "resolve"]

#: Version of the layers: a change of what they merge makes another config.
VERSION: Final = "1"
#: Names of neighbours that a judge is shown.
SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolutionOptions:
    """Thresholds of the layers; all of them are part of the run's config."""

    #: Least Jaccard similarity of two spellings (Graphiti's value).
    jaccard: float = 0.9
    #: Least cosine of two names' vectors.
    cosine: float = 0.92
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


@dataclass(frozen=True, slots=True)
class ResolutionReport:
    """What a resolution found, and wrote unless it was a dry run."""

    #: The run that the merges belong to; "" for a dry run.
    run: str
    merges: tuple[Proposal, ...]
    #: Layer → number of merges.
    layers: Mapping[str, int]
    #: Names of groups above the size limit, which were left alone.
    too_large: tuple[tuple[str, ...], ...]
    entities_before: int
    entities_after: int
    #: Questions to the judge, and those for which the budget did not suffice.
    asked: int
    unasked: int
    rounds: int
    seconds: float


def resolve(
    graph: GraphStore,
    *,
    schema: Schema | None = None,
    encode: Encode | None = None,
    encoder: str = "",
    judge: Judge | None = None,
    options: ResolutionOptions | None = None,
    dry_run: bool = False,
) -> ResolutionReport:
    """Find entities that are one thing and write their merges under a run of their own.

    Args:
        graph: the graph to resolve.
        schema: its functional relations and the types of its ends guard merges.
        encode: returns one vector for each text; without it the `neighbour` layer is left out.
        encoder: name or fingerprint of `encode`, for the config.
        judge: answers the doubtful pairs; without it the `judge` layer is left out.
        options: thresholds and limits.
        dry_run: write nothing, only report.

    Returns:
        The merges and counts. A second call finds none.

    >>> import kg
    >>> resolve(kg.open_graph("memory://"), dry_run=True).merges
    ()
    """
    began = time.perf_counter()
    options = options or ResolutionOptions()
    source = Source.read(graph)
    questions = Questions(judge, budget=options.questions) if judge is not None else None
    found = propose_merges(
        source, schema=schema, encode=encode, questions=questions, options=options
    )
    run = ""
    if not dry_run:
        parameters = {**asdict(options), "layers": _layers(encode, judge)}
        config = Config("resolution", version=VERSION, model=encoder, parameters=parameters)
        run = graph.begin_run(config).id
        merges = [Merge(p.kept, p.dropped, p.layer, p.score, run) for p in found.merges]
        if merges:
            graph.write(Batch(merges=tuple(merges)), run=run)
        graph.finish_run(run, {"merges": len(merges)})
    return ResolutionReport(
        run=run,
        merges=found.merges,
        layers=dict(Counter(merge.layer for merge in found.merges)),
        too_large=found.too_large,
        entities_before=found.before,
        entities_after=found.after,
        asked=questions.asked if questions else 0,
        unasked=questions.unasked if questions else 0,
        rounds=found.rounds,
        seconds=round(time.perf_counter() - began, 3),
    )


def _layers(encode: Encode | None, judge: Judge | None) -> list[str]:
    layers = ["iri", "name", "mistyped", "spelling"]
    return layers + ["neighbour"] * (encode is not None) + ["judge"] * (judge is not None)


@dataclass(frozen=True, slots=True)
class _Found:
    merges: tuple[Proposal, ...]
    too_large: tuple[tuple[str, ...], ...]
    before: int
    after: int
    rounds: int


def propose_merges(
    source: Source,
    *,
    schema: Schema | None = None,
    encode: Encode | None = None,
    questions: Questions | None = None,
    options: ResolutionOptions | None = None,
) -> _Found:
    """Return the merges of a graph's records, round by round until nothing more is found."""
    options = options or ResolutionOptions()
    vectors = _Vectors(encode) if encode is not None else None
    proposals: list[Proposal] = []
    before = rounds = 0
    while True:
        # Runs are not compared: the rows only have to join what they will join once written.
        merges = [Merge(p.kept, p.dropped, p.layer, p.score, "") for p in proposals]
        entries, canonical = entries_of(source, merges)
        before = before or len(entries)
        statements = Statements(source, canonical, entries, schema or Schema())
        step = _Round(entries, statements, vectors, questions, options)
        groups, too_large = step.groups()
        rounds += 1
        new = [step.proposal(group[0], dropped) for group in groups for dropped in group[1:]]
        if not new:
            return _Found(tuple(proposals), too_large, before, len(entries), rounds)
        proposals += new


class _Vectors:
    """Unit vectors of texts, each encoded once."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._known: dict[str, NDArray[Any]] = {}

    def of(self, texts: Sequence[str]) -> NDArray[Any]:
        import numpy as np

        from kg.resolution.neighbours import unit_vectors

        new = sorted(set(texts) - self._known.keys())
        if new:
            self._known.update(zip(new, unit_vectors(self._encode, new), strict=True))
        return np.stack([self._known[text] for text in texts])


class _Round:
    """One look at the entities: accepted pairs by position, and the groups that they make."""

    def __init__(
        self,
        entries: Sequence[Entry],
        statements: Statements,
        vectors: _Vectors | None,
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

    def _by_neighbour(self, vectors: _Vectors) -> None:
        from kg.resolution.neighbours import mutual_neighbours

        self._matrix = vectors.of([entry.text for entry in self.entries])
        least, k = self.options.doubtful_cosine, self.options.neighbours
        for one, other, cosine in mutual_neighbours(self._matrix, least=least, k=k):
            if not self._may_be_one(one, other):
                continue
            if cosine >= self.options.cosine:
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
        if not self._may_be_one(one, other):
            return False
        if a.is_telling and b.is_telling:
            if a.key and a.key == b.key:
                return True
            likeness = jaccard(a.grams, b.grams)
            if likeness >= self.options.jaccard and may_be_misspelt(a, b):
                return True
        matrix = self._matrix
        return matrix is not None and float(matrix[one] @ matrix[other]) >= self.options.cosine

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
