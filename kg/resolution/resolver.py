"""Entity resolution: which entities of a graph are one thing, decided by layers, cheap first.

| layer | joins | guarded by |
|---|---|---|
| `iri` | the same IRI | – |
| `name` | the same normal form, compatible types | values |
| `mistyped` | the same normal form, another type by a slip (`type_conflicts`) | values |
| `spelling` | the same words in another order or spelling, or Jaccard ≥ `jaccard` | all |
| `person` | a person's name with and without titles, middle names, initials | types, values |
| `neighbour` | each other's nearest by an encoder, cosine ≥ `cosine`, no template | all |
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
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from kg.records import Batch, Config, Merge
from kg.resolution.entries import Source, Statements, entries_of
from kg.resolution.layers import Layers, Proposal, ResolutionOptions, Vectors
from kg.resolution.questions import Judge, Questions
from kg.schema import Schema
from kg.store.protocol import GraphStore

if TYPE_CHECKING:
    from kg.resolution.neighbours import Encode

__all__ = ["ResolutionReport", "propose_merges", "resolve"]

#: Version of the layers: a change of what they merge makes another config.
VERSION: Final = "1"


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
    judged_by: str = "",
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
        judged_by: name or fingerprint of `judge`, for the config.
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
        if judge is not None:
            parameters["judge"] = judged_by
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
    layers = ["iri", "name", "mistyped", "spelling", "person"]
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
    vectors = Vectors(encode) if encode is not None else None
    proposals: list[Proposal] = []
    before = rounds = 0
    while True:
        # Runs are not compared: the rows only have to join what they will join once written.
        merges = [Merge(p.kept, p.dropped, p.layer, p.score, "") for p in proposals]
        entries, canonical = entries_of(source, merges)
        before = before or len(entries)
        statements = Statements(source, canonical, entries, schema or Schema())
        step = Layers(entries, statements, vectors, questions, options)
        groups, too_large = step.groups()
        rounds += 1
        new = [step.proposal(group[0], dropped) for group in groups for dropped in group[1:]]
        if not new:
            return _Found(tuple(proposals), too_large, before, len(entries), rounds)
        proposals += new
