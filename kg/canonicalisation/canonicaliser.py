"""Relation canonicalisation: which phrases name one relation, and from which side.

| layer | a phrase names a relation if | ends swapped |
|---|---|---|
| `schema` | it is, in normal form, a declared relation's name, alias or inverse | inverse |
| `declared` | its words are those of a declared name, alias or inverse | as the words tell |
| `words` | its words are those of another phrase (`phrases`) | as the words tell |
| `neighbour` | an encoder finds it nearest to another one that is read from the same side | no |
| `unrelated` | nothing else joined it, and the caller asked for RELATED_TO | no |

What a `neighbour` must have in common besides its vector: the prepositions, no opposed words
(parent / child have a cosine like synonyms), no shared word beside different ones ("creates jobs" /
"creates risks"), the side it is read from, and the types that stand at its ends, where they are
known.

Every phrase stays in its evidence, and as the predicate of the triple. The rows belong to a run and
`undo` takes them back; what a schema declares holds before them. The name of a relation that no
schema declares is its commonest phrase.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from kg.canonicalisation.phrases import Phrase
from kg.canonicalisation.relations import CanonicalisationOptions, PhraseUse, propose_names
from kg.ids import normal_form, relation_type
from kg.records import Batch, Config, Literal, RelationName
from kg.schema import Schema
from kg.store.protocol import GraphStore

if TYPE_CHECKING:
    from kg.resolution.neighbours import Encode

__all__ = [
    "CanonicalisationReport",
    "canonicalise",
    "phrase_uses",
]

#: Version of the layers: a change of what they join makes another config.
VERSION: Final = "1"


@dataclass(frozen=True, slots=True)
class CanonicalisationReport:
    """What a canonicalisation found, and wrote unless it was a dry run."""

    #: The run that the rows belong to; "" for a dry run.
    run: str
    rows: tuple[RelationName, ...]
    #: Layer → number of rows.
    layers: Mapping[str, int]
    #: Different raw phrases, and relation types before and after.
    phrases: int
    types_before: int
    types_after: int
    #: "" or that there are too many relation types still.
    warning: str
    seconds: float


def canonicalise(
    graph: GraphStore,
    *,
    schema: Schema | None = None,
    encode: Encode | None = None,
    encoder: str = "",
    options: CanonicalisationOptions | None = None,
    dry_run: bool = False,
) -> CanonicalisationReport:
    """Find phrases that name one relation and write them into the relation map under a run.

    Args:
        graph: the graph whose evidence holds the phrases.
        schema: declared relations; phrases are joined to them first.
        encode: returns one vector for each text; without it the `neighbour` layer is left out.
        encoder: name or fingerprint of `encode`, for the config.
        options: thresholds.
        dry_run: write nothing, only report.

    >>> import kg
    >>> canonicalise(kg.open_graph("memory://"), dry_run=True).rows
    ()
    """
    began = time.perf_counter()
    options = options or CanonicalisationOptions()
    uses = phrase_uses(graph)
    known = list(graph.written("relation_name"))
    rows = propose_names(uses, known=known, schema=schema, encode=encode, options=options)
    run = ""
    if not dry_run:
        layers = ["schema", "declared", "words"] + ["neighbour"] * (encode is not None)
        parameters = {**asdict(options), "layers": layers}
        config = Config("canonicalisation", version=VERSION, model=encoder, parameters=parameters)
        run = graph.begin_run(config).id
        if rows:
            rows = [replace(row, run=run) for row in rows]
            graph.write(Batch(relation_names=tuple(rows)), run=run)
        graph.finish_run(run, {"relation_names": len(rows)})
    before, after = _types(uses, known), _types(uses, [*known, *rows])
    return CanonicalisationReport(
        run=run,
        rows=tuple(rows),
        layers=dict(Counter(row.layer for row in rows)),
        phrases=len(uses),
        types_before=before,
        types_after=after,
        warning=_warning(after, options.many, encode is not None),
        seconds=round(time.perf_counter() - began, 3),
    )


def _warning(types: int, many: int, encoded: bool) -> str:
    if types <= many:
        return ""
    more = "" if encoded else ", give an encoder"
    return (
        f"{types:,} relation types are left, more than {many:,}: declare relations and their "
        f"aliases in a schema{more}, or ask for RELATED_TO"
    )


def _types(uses: Iterable[PhraseUse], rows: Iterable[RelationName]) -> int:
    """Return the number of relation types that the phrases have under the given rows."""
    names: dict[str, tuple[bool, str]] = {}
    for row in rows:
        key, found = Phrase.of(row.phrase).key, (bool(row.run), row.relation)
        names[key] = min(names.get(key, found), found)
    keys = {Phrase.of(use.phrase).key: use.phrase for use in uses}
    return len({relation_type(names[key][1] if key in names else keys[key]) for key in keys})


def phrase_uses(graph: GraphStore) -> list[PhraseUse]:
    """Return the raw phrases of a graph's evidence, sorted."""
    roots = {
        entity.id: normal_form(entity.types[-1]) if entity.types else ""
        for entity in graph.derived("entity")
    }
    counts: Counter[str] = Counter()
    signatures: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for evidence in graph.written("evidence"):
        tail = evidence.tail
        counts[evidence.relation] += 1
        ends = (
            roots.get(evidence.head, ""),
            "literal" if isinstance(tail, Literal) else roots.get(tail, ""),
        )
        signatures[evidence.relation][ends] += 1
    return [PhraseUse(phrase, counts[phrase], signatures[phrase]) for phrase in sorted(counts)]
