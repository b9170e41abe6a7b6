"""A synthetic graph of any size: documents with chunks, true quotes and spans, about 50 relations.

Each document holds 20 sentences, "Entity 8 is next to Entity 3.", each one a piece of evidence for
a triple of its own. A document brings 4 new entities, each mentioned once and head of 5 sentences;
tails are drawn among all entities so far. So N triples have N / 5 entities and N / 5 mentions.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from kg.ids import entity_id
from kg.records import Batch, Chunk, Config, Document, Evidence, Mention, Task

__all__ = ["CONFIG", "SENTENCES", "batches"]

#: Sentences, and so pieces of evidence, in a document.
SENTENCES = 20
#: Entities that a document is the first to name.
OWN = 4
TYPES = ("Person", "Place", "Organization", "Work", "Event", "Species", "Product", "Field")
RELATIONS = tuple(f"{verb} {place}" for verb in ("is", "was") for place in range(25))
CONFIG = Config("synthetic", parameters={"types": dict.fromkeys(TYPES, "")})


def _name(number: int) -> str:
    return f"Entity {number}"


def _entity(number: int) -> str:
    return entity_id(_name(number), TYPES[number % len(TYPES)])


def batches(triples: int, *, documents: int = 250, seed: int = 0) -> Iterator[Batch]:
    """Iterate over batches of `documents` documents that hold `triples` pieces of evidence.

    Args:
        triples: a multiple of `SENTENCES` is met exactly, another number is rounded up.
        documents: documents in a batch; a harvest writes one at a time.
        seed: of the draw of relations and tails.

    >>> [len(batch.evidence) for batch in batches(100, documents=2)]
    [40, 40, 20]
    """
    chance = random.Random(seed)
    entities: list[str] = []
    total = -(-triples // SENTENCES)
    for first in range(0, total, documents):
        made = [
            _document(number, entities, chance)
            for number in range(first, min(first + documents, total))
        ]
        yield Batch(
            documents=tuple(part.documents[0] for part in made),
            chunks=tuple(part.chunks[0] for part in made),
            mentions=tuple(mention for part in made for mention in part.mentions),
            evidence=tuple(row for part in made for row in part.evidence),
            tasks=tuple(part.tasks[0] for part in made),
        )


def _document(number: int, entities: list[str], chance: random.Random) -> Batch:
    """Return one document with what it states; its entities are added to `entities`."""
    first = len(entities)
    entities.extend(_entity(first + own) for own in range(OWN))
    sentences: list[tuple[int, str, int, str]] = []
    for sentence in range(SENTENCES):
        head, tail = first + sentence % OWN, chance.randrange(len(entities))
        phrase = chance.choice(RELATIONS)
        sentences.append((head, phrase, tail, f"{_name(head)} {phrase} {_name(tail)}."))
    text = " ".join(quote for *_, quote in sentences)
    document = Document(uri=f"{number}.txt", text=text)
    chunk = Chunk(document.id, 0, len(text))
    mentions: dict[int, Mention] = {}
    evidence = []
    start = 0
    for head, phrase, tail, quote in sentences:
        end, name = start + len(quote), _name(head)
        if head not in mentions:
            mentions[head] = Mention(
                entities[head],
                name,
                CONFIG.id,
                type=TYPES[head % len(TYPES)],
                chunk=chunk.id,
                span=(start, start + len(name)),
            )
        evidence.append(
            Evidence(
                entities[head],
                phrase,
                entities[tail],
                0.9,
                CONFIG.id,
                chunk=chunk.id,
                span=(start, end),
                head_span=(start, start + len(name)),
                tail_span=(end - 1 - len(_name(tail)), end - 1),
                quote=quote,
            )
        )
        start = end + 1
    return Batch(
        (document,),
        (chunk,),
        tuple(mentions.values()),
        tuple(evidence),
        (Task(chunk.id, CONFIG.id),),
    )
