"""Find entities by words: what they are called, what is said of them, what the model makes of it.

| part | compares the query with | good for |
|---|---|---|
| name | each name and alias, by character trigrams | names, misspelt names |
| words | name, types, description and links, by rarity | "physicist Warsaw" |
| vector | the entity's vector in the index of link prediction | words that go together |

    score = ½ + ½ · name                  if name ≥ .6 (the exact name has 1)
          = ¼ · (words + vector) + ¼ · name     otherwise

So exact names come first, near names next, the blend of words and vector after them. The graph's
entities are read at every call, so an entity that was added a moment ago is found at once: its
vector is made from its text, without training.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kg.ids import normal_form
from kg.records import Entity, Triple
from retrieval.errors import NothingToPredict, QueryShapeError
from retrieval.graph_model import GraphModel
from retrieval.graph_snapshot import GraphSnapshot, entity_text
from retrieval.link_prediction import ready_model

if TYPE_CHECKING:
    from kg.store.protocol import GraphStore

__all__ = ["Hit", "search"]

#: Trigram similarity from which a name counts as nearly the asked one.
NEAR: Final = 0.6

#: Weight of a word that only a link of the entity holds.
LINKED: Final = 0.75

#: Entities that the vector part brings in, and links shown beside a hit.
VECTOR_HITS: Final = 100
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
    if not _WORD.search(query):
        raise QueryShapeError(f"the query {query!r} holds no word; give a name or a description")
    if k < 1:
        raise QueryShapeError(f"k is {k}; ask for 1 hit or more")
    snapshot = GraphSnapshot.of(graph)
    model = ready_model(graph, snapshot, model)
    chosen = list(snapshot.entities)
    if types:
        chosen = snapshot.of_types(types)
        if not chosen:
            known = sorted({name for one in snapshot.entities.values() for name in one.types})
            raise NothingToPredict(
                f"no entity has a type of {', '.join(types)}; the graph's types: {', '.join(known)}"
            )
    links = _links(snapshot)
    names = _name_scores(query, [snapshot.entities[id] for id in chosen])
    words = _word_scores(query, snapshot, links, chosen)
    vector = model.encoder.encode([query])[0]
    cosines: dict[str, float] = {}
    if vector.any():
        cosines = dict(model.index.search(vector, k=max(k, VECTOR_HITS), allowed=chosen))
    scored: list[tuple[float, str, str]] = []
    for id in chosen:
        near = names.get(id, 0.0)
        blend = (words.get(id, 0.0) + max(0.0, cosines.get(id, 0.0))) / 2
        if near >= NEAR:
            # Above every blend, which ends at one half below.
            scored.append((0.5 + near / 2, id, "name" if near == 1 else "near name"))
        elif blend > 0:
            scored.append((blend / 2 + near / 4, id, "words and vector"))
    scored.sort(key=lambda hit: (-hit[0], snapshot.entities[hit[1]].name, hit[1]))
    asked = set(_words(query))
    return [
        Hit(
            entity=snapshot.entities[id],
            score=round(min(1.0, score), 4),
            why=why,
            context=_context(snapshot, links.get(id, ()), asked),
        )
        for score, id, why in scored[:k]
    ]


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


def _name_scores(query: str, entities: Sequence[Entity]) -> dict[str, float]:
    """Return how near the best of each entity's names is to the query, 1 for the same name.

    The similarity is Dice's: twice the shared trigrams over all trigrams, of the padded names.
    """
    key = normal_form(query)
    own = _trigrams(key)
    scores = {}
    for entity in entities:
        best = 0.0
        for name in (entity.name, *entity.aliases):
            other = normal_form(name)
            if other == key:
                best = 1.0
                break
            # Dice cannot reach the best so far if the lengths differ too much.
            shorter, longer = sorted((len(key), len(other)))
            if 2 * shorter < best * (shorter + longer):
                continue
            grams = _trigrams(other)
            shared = sum((own & grams).values())
            best = max(best, 2 * shared / (own.total() + grams.total()))
        scores[entity.id] = min(best, 0.99) if best < 1.0 else 1.0
    return scores


def _trigrams(text: str) -> Counter[str]:
    padded = f"  {text} "
    return Counter(padded[at : at + 3] for at in range(len(padded) - 2))


def _word_scores(
    query: str,
    snapshot: GraphSnapshot,
    links: dict[str, list[Triple]],
    chosen: Sequence[str],
) -> dict[str, float]:
    """Return the share of the query's words that each entity's text and links hold, by rarity.

    A word of the entity's own text counts whole, one of its links `LINKED`: "Warsaw" is about
    Warsaw before it is about those born there.
    """
    asked = set(_words(query))
    own = {id: asked & set(_words(entity_text(snapshot.entities[id]))) for id in chosen}
    linked = {
        id: asked
        & {word for triple in links.get(id, ()) for word in _words(_sentence(snapshot, triple))}
        for id in chosen
    }
    found: Counter[str] = Counter()
    for id in chosen:
        found.update(own[id] | linked[id])
    # A word that no entity holds still counts in the total: half a query answered is half.
    weight = {word: math.log(1 + (1 + len(chosen)) / (1 + found[word])) for word in asked}
    total = sum(weight.values())
    return {
        id: sum(
            weight[word] * (1.0 if word in own[id] else LINKED) for word in own[id] | linked[id]
        )
        / total
        for id in chosen
    }
