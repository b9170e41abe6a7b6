r"""Derivation: entities, literals and triples as a pure function of the written records.

The same function serves every store, so that they all hold the same graph. It reads two small
views of the written records: a `Naming` for each way that mentions name a raw entity, and a
`Statement` for each piece of evidence.

1. **Resolution** (`resolve`): raw entity → entity. The merge log joins ids (its classes do not
   depend on the order of its rows). An entity without a type joins the typed one of equal
   normal form if exactly one exists; as soon as there are two, it stands alone.
2. **Entities** (`derive_entities`): name, types and properties by vote over mentions; ties go to
   the smallest, so that order of arrival cannot matter.
3. **Triples** (`derive_triples`): the relation map turns a raw phrase into a relation, perhaps
   with ends swapped. Evidence that is negated never supports a triple, hedged evidence only if
   its config says so.

Fusion: let g range over independent sources (equal quotes are one source, whatever document they
stand in) and s_g be the best score within g; then

    score = 1 - \prod_g (1 - clip(s_g, 0.01, 0.99)),   support = number of sources g.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from math import prod
from typing import Any, NamedTuple

from kg.ids import normal_form, relation_type, triple_id
from kg.records import (
    Config,
    Entity,
    Evidence,
    Mention,
    Merge,
    Prediction,
    RelationName,
    Triple,
)

__all__ = [
    "Derivation",
    "Naming",
    "RelationMap",
    "Stated",
    "Statement",
    "derive",
    "derive_entities",
    "derive_triples",
    "fuse",
    "independent_source",
    "predicted_only",
    "resolve",
    "statement_key",
    "tally",
]


class Naming(NamedTuple):
    """How often mentions of one config name a raw entity in one way."""

    raw: str
    name: str
    surface: str
    type: str
    iri: str
    description: str
    #: Canonical JSON of the properties, "" for none.
    props: str
    config: str
    #: In how many mentions.
    times: int = 1

    @classmethod
    def of(cls, mention: Mention) -> Naming:
        """Return what derivation needs of a mention."""
        props = json.dumps(dict(mention.props), ensure_ascii=False, sort_keys=True)
        return cls(
            mention.entity,
            mention.name,
            mention.surface,
            mention.type,
            mention.iri,
            mention.description,
            props if mention.props else "",
            mention.config,
        )


class Statement(NamedTuple):
    """What derivation needs of one piece of evidence."""

    id: str
    head: str
    relation: str
    #: Raw entity id, or literal id.
    tail: str
    score: float
    #: Key of the independent source, see `independent_source`.
    source: int
    negated: bool
    hedged: bool
    config: str

    @classmethod
    def of(cls, evidence: Evidence) -> Statement:
        """Return what derivation needs of a piece of evidence."""
        return cls(
            evidence.id,
            evidence.head,
            evidence.relation,
            evidence.tail_id,
            evidence.score,
            independent_source(evidence.quote, evidence.config),
            evidence.negated,
            evidence.hedged,
            evidence.config,
        )


#: Independent source, score and predicate of one piece of evidence that supports a triple.
type Vote = tuple[int, float, str]


class Stated(NamedTuple):
    """Where a piece of evidence points: the id of its triple and that triple's head."""

    triple: str
    head: str


@dataclass(frozen=True, slots=True)
class Derivation:
    """The derived graph, with the maps that lead back to what was written."""

    entities: Mapping[str, Entity]
    triples: Mapping[str, Triple]
    #: Raw entity id → entity id.
    canonical: Mapping[str, str]
    #: Evidence id → the triple that it states (whether or not it supports it) and its head.
    stated: Mapping[str, Stated]
    #: Links that only predictions support, in canonical ids; best score first.
    predicted: Sequence[Prediction] = field(default=())


def independent_source(quote: str, config: str) -> int:
    r"""Return the key of the source behind a statement, a signed 64-bit integer.

    Equal sentences are one source, so that copies of one press release count once; a model
    without a text is one source per config.

    >>> independent_source("It  is\nso.", "a") == independent_source("It is so.", "b")
    True
    """
    text = " ".join(quote.split()) or config
    digest = blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def fuse(scores: Iterable[float]) -> float:
    """Return the noisy-or of the best scores of independent sources, rounded to six decimals.

    >>> fuse([0.5, 0.5]), fuse([1.0]), fuse([0.0])
    (0.75, 0.99, 0.01)
    """
    # Sorted, because floating-point products depend on the order of their factors.
    return round(1.0 - prod(1.0 - min(max(s, 0.01), 0.99) for s in sorted(scores)), 6)


@lru_cache(maxsize=10_001)  # scores have four decimals
def _alone(score: float) -> float:
    return fuse((score,))


def derive(
    namings: Iterable[Naming],
    statements: Iterable[Statement],
    *,
    merges: Iterable[Merge] = (),
    relation_names: Iterable[RelationName] = (),
    configs: Mapping[str, Config] | None = None,
    predictions: Iterable[Prediction] = (),
) -> Derivation:
    """Derive the whole graph from its written records.

    >>> from kg.ids import entity_id
    >>> curie, warsaw = entity_id("Marie Curie", "Person"), entity_id("Warsaw", "Place")
    >>> graph = derive(
    ...     [
    ...         Naming(curie, "Marie Curie", "Curie", "Person", "", "", "", "f_1"),
    ...         Naming(warsaw, "Warsaw", "Warsaw", "Place", "", "", "", "f_1"),
    ...     ],
    ...     [Statement("v_1", curie, "born in", warsaw, 0.9, 1, False, False, "f_1")],
    ... )
    >>> [(t.relation, t.score, t.support) for t in graph.triples.values()]
    [('BORN_IN', 0.9, 1)]
    >>> graph.entities[curie].name, graph.entities[curie].aliases
    ('Marie Curie', ('Curie',))
    """
    configs = configs or {}
    namings, statements = list(namings), list(statements)
    canonical = resolve(namings, merges)
    entities = derive_entities(namings, canonical, configs)
    for statement in statements:
        for raw in (statement.head, statement.tail):
            if raw.startswith("e_"):
                id = canonical.setdefault(raw, raw)
                # No mention names it (any more): it exists, and its id is all there is to show.
                entities.setdefault(id, Entity(id=id, name=id))
    triples, stated = derive_triples(
        statements, canonical, relation_names=relation_names, configs=configs
    )
    predicted = predicted_only(predictions, canonical, entities, triples, relation_names)
    return Derivation(entities, triples, canonical, stated, predicted)


def resolve(namings: Iterable[Naming], merges: Iterable[Merge] = ()) -> dict[str, str]:
    """Return the map raw entity id → entity id.

    Only ids that `namings` or `merges` name are in the map. For an incremental use, `namings`
    must be closed: with a raw entity come all of equal normal form and all of its merge class.
    """
    merged = _merge_classes(merges)
    canonical: dict[str, str] = dict(merged)
    names: dict[str, set[str]] = defaultdict(set)
    typed: set[str] = set()
    for naming in namings:
        names[naming.raw].add(naming.name)
        canonical.setdefault(naming.raw, naming.raw)
        if naming.type or naming.iri:
            typed.add(naming.raw)
    typed_by_name: dict[str, set[str]] = defaultdict(set)
    keys = {raw: {normal_form(name) for name in own} for raw, own in names.items()}
    for raw in typed:
        for key in keys[raw]:
            typed_by_name[key].add(canonical[raw])
    for raw, own_keys in keys.items():
        if raw in typed or raw in merged:
            continue
        same = set().union(*(typed_by_name.get(key, set()) for key in own_keys))
        if len(same) == 1:
            canonical[raw] = same.pop()
    return canonical


def _merge_classes(merges: Iterable[Merge]) -> dict[str, str]:
    """Return id → representative for every id in the merge log (union-find)."""
    parent: dict[str, str] = {}

    def find(id: str) -> str:
        parent.setdefault(id, id)
        while parent[id] != id:
            parent[id] = parent[parent[id]]
            id = parent[id]
        return id

    dropped: set[str] = set()
    for merge in merges:
        dropped.add(merge.dropped)
        parent[find(merge.dropped)] = find(merge.kept)
    classes: dict[str, list[str]] = defaultdict(list)
    for id in list(parent):
        classes[find(id)].append(id)
    result: dict[str, str] = {}
    for members in classes.values():
        # The id that nothing dropped; rows that contradict each other leave none or several.
        representative = min([m for m in members if m not in dropped] or members)
        result.update(dict.fromkeys(members, representative))
    return result


def derive_entities(
    namings: Iterable[Naming],
    canonical: Mapping[str, str],
    configs: Mapping[str, Config],
) -> dict[str, Entity]:
    """Return the entities, by id, that the namings name."""
    by_entity: dict[str, list[Naming]] = defaultdict(list)
    for naming in namings:
        by_entity[canonical[naming.raw]].append(naming)
    return {id: _entity(id, group, configs) for id, group in by_entity.items()}


def _entity(id: str, namings: Sequence[Naming], configs: Mapping[str, Config]) -> Entity:
    if len(namings) == 1:  # most entities of a large graph; one voice needs no vote
        (only,) = namings
        return Entity(
            id=id,
            name=only.name or id,
            types=_ancestors(only.type, configs.get(only.config)),
            aliases=(only.surface,) if only.surface != only.name else (),
            description=only.description,
            iri=only.iri,
            props=json.loads(only.props) if only.props else {},
        )
    name = _vote((naming.name, naming.times) for naming in namings)
    surfaces = {naming.name for naming in namings} | {naming.surface for naming in namings}
    type = _vote((naming.type, naming.times) for naming in namings if naming.type)
    chain = _vote(
        (_ancestors(type, configs.get(naming.config)), naming.times)
        for naming in namings
        if naming.type == type
    )
    props: dict[str, Any] = {}
    votes: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for naming in namings:
        for key, value in json.loads(naming.props).items() if naming.props else ():
            text = json.dumps(value, ensure_ascii=False, sort_keys=True)
            votes[key].append((text, naming.times))
    for key in sorted(votes):
        props[key] = json.loads(_vote(votes[key]) or "null")
    return Entity(
        id=id,
        name=name or id,
        types=chain if type and chain else (),
        aliases=tuple(sorted(surfaces - {name or ""})),
        description=_vote((n.description, n.times) for n in namings if n.description) or "",
        iri=_vote((n.iri, n.times) for n in namings if n.iri) or "",
        props=props,
    )


def _vote[T: (str, tuple[str, ...])](votes: Iterable[tuple[T, int]]) -> T | None:
    """Return the value with most votes, ties the smallest; None without a vote."""
    counts: Counter[T] = Counter()
    for value, count in votes:
        counts[value] += count
    if not counts:
        return None
    most = max(counts.values())
    return min(value for value, count in counts.items() if count == most)


def _ancestors(type: str | None, config: Config | None) -> tuple[str, ...]:
    if not type:
        return ()
    parents = config.parameters.get("types", {}) if config else {}
    chain = [type]
    while (parent := parents.get(chain[-1])) and parent not in chain:
        chain.append(parent)
    return tuple(chain)


class RelationMap:
    """Looks raw phrases up in the relation map.

    Of contradicting rows one that a schema declared holds, and else the smallest.
    """

    def __init__(self, rows: Iterable[RelationName]) -> None:
        self._rows: dict[str, RelationName] = {}
        self._cache: dict[str, tuple[str, str, bool, bool]] = {}
        for row in rows:
            key = normal_form(row.phrase.replace("_", " "))
            held = self._rows.setdefault(key, row)
            if _precedence(row) < _precedence(held):
                self._rows[key] = row

    def look_up(self, phrase: str) -> tuple[str, str, bool, bool]:
        """Return relation type, predicate, swapped and symmetric for a phrase.

        The predicate is the name that a schema gives the relation; a phrase that the map does not
        hold, or that a canonicaliser has put there, is its own predicate. An inverse phrase would
        read the wrong way round: it gives way to the relation's name, too.
        """
        if phrase not in self._cache:
            row = self._rows.get(normal_form(phrase.replace("_", " ")))
            if row is None:
                self._cache[phrase] = (relation_type(phrase), phrase, False, False)
            else:
                predicate = phrase if row.run and not row.swapped else row.relation
                type = relation_type(row.relation)
                self._cache[phrase] = (type, predicate, row.swapped, row.symmetric)
        return self._cache[phrase]

    def ends(self, head: str, phrase: str, tail: str) -> tuple[str, str, str]:
        """Return canonical (head, relation type, tail) for a phrase between two ends."""
        relation, _, swapped, symmetric = self.look_up(phrase)
        if tail.startswith("e_") and (swapped or (symmetric and tail < head)):
            # A symmetric relation is held once, in the order of its ends' ids.
            head, tail = (tail, head) if not (swapped and symmetric) else sorted((head, tail))
        return head, relation, tail


def _precedence(row: RelationName) -> tuple[bool, str, bool, bool]:
    return (bool(row.run), row.relation, row.swapped, row.symmetric)


def derive_triples(
    statements: Iterable[Statement],
    canonical: Mapping[str, str],
    *,
    relation_names: Iterable[RelationName] = (),
    configs: Mapping[str, Config] | None = None,
) -> tuple[dict[str, Triple], dict[str, Stated]]:
    """Return the supported triples by id, and for every statement what it states.

    For an incremental use, `statements` must hold all evidence of each triple that it touches,
    and `canonical` both ends of each statement (an end that is missing stands for itself).
    """
    configs = configs or {}
    relations = RelationMap(relation_names)
    hedged_counts = {
        id: bool(config.parameters.get("include_hedged")) for id, config in configs.items()
    }
    ends: dict[str, tuple[str, str, str]] = {}
    stated: dict[str, Stated] = {}
    votes: dict[str, list[Vote]] = defaultdict(list)
    ids: dict[tuple[str, str, str], str] = {}
    for statement in statements:
        head = canonical.get(statement.head, statement.head)
        tail = canonical.get(statement.tail, statement.tail)
        key = relations.ends(head, statement.relation, tail)
        id = ids.get(key) or ids.setdefault(key, triple_id(*key))
        stated[statement.id] = Stated(id, key[0])
        if statement.negated:
            continue
        if statement.hedged and not hedged_counts.get(statement.config, False):
            continue
        ends[id] = key
        predicate = relations.look_up(statement.relation)[1]
        votes[id].append((statement.source, statement.score, predicate))
    triples = {id: Triple(*key, *tally(votes[id])) for id, key in ends.items()}
    return triples, stated


def tally(votes: Sequence[Vote]) -> tuple[str, float, int]:
    """Return predicate, score and support of a triple from all evidence that supports it.

    Args:
        votes: (independent source, score, predicate) of each piece, at least one.

    >>> tally([(1, 0.5, "born in"), (1, 0.4, "born in"), (2, 0.5, "native of")])
    ('born in', 0.75, 2)
    """
    if len(votes) == 1:
        ((_, score, predicate),) = votes
        return predicate, _alone(score), 1
    best: dict[int, float] = {}
    for source, score, _ in votes:
        best[source] = max(best.get(source, 0.0), score)
    predicate = _vote((predicate, 1) for *_, predicate in votes) or ""
    return predicate, fuse(best.values()), len(best)


def statement_key(
    head: str, phrase: str, tail: str, relation_names: Iterable[RelationName] = ()
) -> tuple[str, str, str]:
    """Return canonical (head, relation type, tail) of a phrase between two canonical ends.

    >>> rows = [RelationName("birthplace of", "born_in", swapped=True)]
    >>> statement_key("e_warsaw", "birthplace of", "e_curie", rows)
    ('e_curie', 'BORN_IN', 'e_warsaw')
    """
    return RelationMap(relation_names).ends(head, phrase, tail)


def predicted_only(
    predictions: Iterable[Prediction],
    canonical: Mapping[str, str],
    entities: Container[str],
    triples: Container[str],
    relation_names: Iterable[RelationName],
) -> list[Prediction]:
    """Return predictions between existing ends that no evidence supports, best score first.

    One that several runs wrote is returned once.

    Args:
        predictions: in raw ids.
        canonical: raw entity id → entity id; an id that is missing stands for itself.
        entities: ids of the entities that exist.
        triples: ids of the triples that evidence supports.
        relation_names: the relation map.
    """
    relations = RelationMap(relation_names)
    found: dict[str, Prediction] = {}
    for prediction in predictions:
        head = canonical.get(prediction.head, prediction.head)
        tail = canonical.get(prediction.tail, prediction.tail)
        key = relations.ends(head, prediction.relation, tail)
        if key[0] not in entities or (key[2].startswith("e_") and key[2] not in entities):
            continue
        if triple_id(*key) not in triples:
            found.setdefault(prediction.id, prediction)
    return sorted(found.values(), key=lambda p: (-p.score, p.id))
