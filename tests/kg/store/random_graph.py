"""Random batches that collide in every way that derivation cares about."""

from __future__ import annotations

import random

from kg.ids import entity_id, normal_form
from kg.records import (
    Batch,
    Chunk,
    Document,
    Evidence,
    Literal,
    Mention,
    Task,
)
from tests.kg.store.contract import (
    CONFIG,
    NAMES,
)


def random_batches(seed: int, steps: int = 12) -> list[Batch]:
    """Batches with colliding names, disagreeing types, models, literals and hedges."""
    chance = random.Random(seed)
    names = ["Ada", "ada", "Bob", "Rome", "ROME", "Ｒｏｍｅ"]
    types, root = ["", "Person", "City", "Place"], {"City": "Place"}
    batches = []
    for step in range(steps):
        text = f"Sentence {step % 7} says so."
        document = Document(uri=f"{step}.txt", text=text)
        chunk = Chunk(document.id, 0, len(text))
        mentions, evidence = {}, {}
        for _ in range(3):
            ends = []
            for _ in range(2):
                name, type = chance.choice(names), chance.choice(types)
                raw = entity_id(name, root.get(type, type))
                placed = {"chunk": chunk.id, "span": (0, 8)} if chance.random() < 0.7 else {}
                # Same id, same content: which of two different ones is kept is arrival order.
                surface = name if placed else normal_form(name)
                type = type if placed else root.get(type, type)
                m = Mention(raw, surface, CONFIG.id, type=type, **placed)
                mentions.setdefault(m.id, m)
                ends.append(raw)
            tail = ends[1] if chance.random() < 0.8 else Literal(str(step % 3), "xsd:decimal")
            placed = {"chunk": chunk.id, "span": (0, len(text)), "quote": text}
            row = Evidence(
                head=ends[0],
                relation=chance.choice(["knows", "married", "spouse", "birthplace of"]),
                tail=tail,
                score=chance.choice([0.2, 0.5, 0.9]),
                config=CONFIG.id,
                negated=chance.random() < 0.2,
                hedged=chance.random() < 0.2,
                **(placed if chance.random() < 0.7 else {}),
            )
            evidence.setdefault(row.id, row)
        batches.append(
            Batch(
                documents=(document,),
                chunks=(chunk,),
                mentions=tuple(mentions.values()),
                evidence=tuple(evidence.values()),
                tasks=(Task(chunk.id, CONFIG.id),),
                relation_names=NAMES if step == chance.randrange(steps) else (),
            )
        )
    return batches
