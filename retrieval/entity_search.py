"""Find entities by words: what they are called, what is said of them, what the model makes of it.

| part | compares the query with |
|---|---|
| names | names and aliases by character trigrams (`retrieval.search_names`) |
| words | names, descriptions and links by BM25 over stems (`retrieval.search_fields`) |
| vector | the entity's vector in the index of link prediction |

The first 300 by words, by links and by vector, and all near names, are candidates. Their parts are
brought to one scale and mixed with the weights that `sheaf eval entity-search` learned
(`retrieval.search_fusion`): the same code ranks there and here. The exact name has the score 1.

The links of an entity are its ego-graph context: "physicist Warsaw" finds who was born there. An
entity that was added a moment ago is found at once: its vector is made from its text, without
training. Keep an `EntitySearch` to ask more than once; it reads the graph again only when the graph
has changed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from kg.ids import normal_form
from kg.records import Entity, Triple
from retrieval.errors import NothingToPredict, QueryShapeError
from retrieval.graph_model import GraphModel
from retrieval.graph_snapshot import GraphSnapshot
from retrieval.link_prediction import ready_model
from retrieval.ranking import Vectors
from retrieval.search_fields import POOL, EntityFields, candidates, link_text
from retrieval.search_fusion import WEIGHTS, standardised
from retrieval.search_names import NEAR, NameTable, with_names

if TYPE_CHECKING:
    from kg.store.protocol import GraphStore

__all__ = ["EntitySearch", "Hit", "search"]

#: Links shown beside a hit.
CONTEXT: Final = 2

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Hit:
    """An entity that fits the query."""

    entity: Entity
    #: In [0, 1]; 1 is the exact name.
    score: float
    #: Which part decided: "name", "near name" or "words and vector".
    why: str
    #: A link or two of the entity, those with the query's words first, as "head relation tail".
    context: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Fields:
    """Everything that is made of one state of the graph."""

    snapshot: GraphSnapshot
    model: GraphModel
    #: Row → id, and back.
    ids: tuple[str, ...]
    rows: dict[str, int]
    links: dict[str, list[Triple]]
    lexical: EntityFields
    names: NameTable


class EntitySearch:
    """Search in one graph, asked more than once.

    Args:
        graph: the graph.
        model: the model whose index is asked; the one in the graph's home if not given.
    """

    def __init__(self, graph: GraphStore, *, model: GraphModel | None = None) -> None:
        self._graph = graph
        self._model = model
        self._fields: _Fields | None = None

    def search(self, query: str, *, k: int = 10, types: Sequence[str] | None = None) -> list[Hit]:
        """Return the `k` entities that fit the words best; arguments and errors as `search`."""
        if not _WORD.search(query):
            raise QueryShapeError(
                f"the query {query!r} holds no word; give a name or a description"
            )
        if k < 1:
            raise QueryShapeError(f"k is {k}; ask for 1 hit or more")
        fields = self._current()
        snapshot = fields.snapshot
        chosen = _chosen(snapshot, types)
        open_ = np.zeros(len(fields.ids), bool)
        open_[[fields.rows[id] for id in chosen]] = True
        lexical = {
            part: np.where(open_, scores, 0.0).astype(np.float32)
            for part, scores in fields.lexical.scores(query).items()
        }
        near = np.where(open_, fields.names.scores(query), 0.0)
        vector = fields.model.encoder.encode([query])[0]
        nearest = np.zeros(len(fields.ids), np.float32)
        if vector.any():
            for id, cosine in fields.model.index.search(vector, k=max(k, POOL), allowed=chosen):
                nearest[fields.rows[id]] = cosine
        stages = [lexical["words"], lexical["links"], nearest]
        pool = np.union1d(candidates(stages, pool=max(k, POOL)), np.flatnonzero(near >= NEAR))
        if not len(pool):
            return []
        parts = {part: scores[pool] for part, scores in lexical.items()}
        vectors = fields.model.vectors([fields.ids[row] for row in pool.tolist()])
        parts["vector"] = vectors @ vector
        # An encoder of no known kind was trained on links, as the bag of words was.
        weights = WEIGHTS.get(fields.model.encoder.name, WEIGHTS["bow"])
        table = np.stack([parts[part] for part in weights], axis=1).astype(np.float64)
        mixed = standardised(table) @ np.array(list(weights.values()))
        scores = with_names(mixed, near[pool])
        return self._hits(fields, query, pool.tolist(), scores.tolist(), near, k)

    def _current(self) -> _Fields:
        """Return the fields of the graph as it is now."""
        kept = self._fields
        if kept is not None and kept.snapshot.change_counter == self._graph.change_counter:
            return kept
        snapshot = GraphSnapshot.of(self._graph)
        model = ready_model(self._graph, snapshot, self._model)
        ids = tuple(snapshot.entities)
        entities = list(snapshot.entities.values())
        links = _links(snapshot)
        self._fields = _Fields(
            snapshot,
            model,
            ids,
            {id: row for row, id in enumerate(ids)},
            links,
            EntityFields(
                names=["; ".join((one.name, *one.aliases)) for one in entities],
                descriptions=[f"{' '.join(one.types)}; {one.description}" for one in entities],
                links=[_neighbourhood(snapshot, id, links.get(id, ())) for id in ids],
            ),
            NameTable([(one.name, *one.aliases) for one in entities]),
        )
        return self._fields

    @staticmethod
    def _hits(
        fields: _Fields,
        query: str,
        pool: list[int],
        scores: list[float],
        near: Sequence[float] | Vectors,
        k: int,
    ) -> list[Hit]:
        entities = fields.snapshot.entities
        found = [
            (score, row, entities[fields.ids[row]]) for score, row in zip(scores, pool, strict=True)
        ]
        found.sort(key=lambda hit: (-hit[0], hit[2].name, hit[2].id))
        asked = set(_words(query))
        return [
            Hit(
                entity=entity,
                score=round(score, 4),
                why=_why(float(near[row])),
                context=_context(fields.snapshot, fields.links.get(entity.id, ()), asked),
            )
            for score, row, entity in found[:k]
        ]


def search(
    graph: GraphStore,
    query: str,
    *,
    k: int = 10,
    types: Sequence[str] | None = None,
    model: GraphModel | None = None,
) -> list[Hit]:
    """Return the `k` entities that fit the words best.

    Args:
        graph: the graph.
        query: a name, or words that describe the entity.
        k: number of hits, fewer if fewer have anything in common with the query.
        types: types to choose from; all if not given.
        model: the model whose index is asked; the one in the graph's home if not given.

    Raises:
        QueryShapeError: for an empty query or `k` below 1.
        NothingToPredict: if no entity has one of the types.
        NotTrained: if there is no model.
    """
    return EntitySearch(graph, model=model).search(query, k=k, types=types)


def _chosen(snapshot: GraphSnapshot, types: Sequence[str] | None) -> list[str]:
    if not types:
        return list(snapshot.entities)
    chosen = snapshot.of_types(types)
    if not chosen:
        known = sorted({name for one in snapshot.entities.values() for name in one.types})
        raise NothingToPredict(
            f"no entity has a type of {', '.join(types)}; the graph's types: {', '.join(known)}"
        )
    return chosen


def _why(near: float) -> str:
    return "name" if near == 1 else "near name" if near >= NEAR else "words and vector"


def _neighbourhood(snapshot: GraphSnapshot, id: str, links: Sequence[Triple]) -> str:
    """Return relations and neighbours of an entity as one text, each link once."""
    texts = [
        link_text(
            link.predicate, snapshot.entities[link.tail if link.head == id else link.head].name
        )
        for link in links
    ]
    return "; ".join(dict.fromkeys(texts))


def _links(snapshot: GraphSnapshot) -> dict[str, list[Triple]]:
    links: dict[str, list[Triple]] = defaultdict(list)
    for triple in snapshot.triples:
        links[triple.head].append(triple)
        if triple.tail != triple.head:
            links[triple.tail].append(triple)
    return links


def _sentence(snapshot: GraphSnapshot, triple: Triple) -> str:
    head, tail = snapshot.entities[triple.head], snapshot.entities[triple.tail]
    return f"{head.name} {triple.predicate.replace('_', ' ')} {tail.name}"


def _context(snapshot: GraphSnapshot, links: Sequence[Triple], asked: set[str]) -> tuple[str, ...]:
    """Return a link or two, those that share words with the query first, then the best known."""
    shown = sorted(
        ((_sentence(snapshot, triple), triple) for triple in links),
        key=lambda pair: (-len(asked & set(_words(pair[0]))), -pair[1].support, pair[0]),
    )
    return tuple(sentence for sentence, _ in shown[:CONTEXT])


def _words(text: str) -> list[str]:
    return _WORD.findall(normal_form(text))
