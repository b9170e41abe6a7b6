"""Solved examples in front of a passage: sentences of a graph, answered as the model shall answer.

```
system: the task │ user: a sentence of the graph │ assistant: its statements │ … │ user: the passage
```

The sentences come from the evidence of a graph (`retrieval.demonstrations.graph_pool`): those most
like the passage, the most like one last, and never one that stands in it.

A harvest must give the same when it is stopped and goes on. So the pool is read once, before the
first question, and what was read with demonstrations is none itself: a harvest does not change what
its own second half is shown, and a model is not taught by its own echo. Whatever else changes the
pool makes another config, and passages are read again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from harvest.errors import InputError
from harvest.llm.prompt import PARAMETER
from kg.schema import RelationDef, Schema
from retrieval.demonstrations.graph_pool import GraphPool, encoder_name
from retrieval.demonstrations.source_sentences import SourceSentence, StatedTriple
from retrieval.demonstrations.template import arranged

if TYPE_CHECKING:
    from kg.store.protocol import GraphStore
    from retrieval.demonstrations.task import Demo

__all__ = ["Demonstrations"]


class Demonstrations:
    """Chooses examples for a passage and writes them as turns of a conversation.

    Args:
        pool: where they come from; it must not follow its graph.
        schema: relations and types of the answers.
        k: examples per passage.
    """

    def __init__(self, pool: GraphPool, schema: Schema, *, k: int) -> None:
        self.pool = pool
        self.schema = schema
        self.k = k

    @classmethod
    def of(
        cls, graph: GraphStore, schema: Schema, *, k: int, retriever: str | Path = "bm25"
    ) -> Self:
        """Return examples from the evidence that a graph holds now.

        Args:
            graph: read now, and not any more afterwards.
            schema: only sentences that state a relation of it are examples.
            k: examples per passage.
            retriever: "bm25", "tfidf", "minilm", or the folder of a trained encoder.

        Raises:
            InputError: `k` below 1, or a graph without any such sentence.
        """
        if k < 1:
            raise InputError(f"{k} demonstrations: give 1 or more, or leave the option out")
        echoes = [config.id for config in graph.written("config") if PARAMETER in config.parameters]
        pool = GraphPool(
            graph,
            retriever,
            without=echoes,
            keep=lambda sentence: _within(schema, sentence),
            follow=False,
        )
        if not len(pool):
            raise InputError(
                f"{graph.uri} holds no sentence that states a relation of the schema, so there is "
                "nothing to show: harvest some text first (--with text), or name a graph that has "
                "evidence with --demos-from"
            )
        return cls(pool, schema, k=k)

    @property
    def hash(self) -> str:
        """Hash of everything that can be shown and of how it is chosen."""
        digest = blake2b(digest_size=16)
        encoder = encoder_name(self.pool.retriever.encoder)
        digest.update(f"{self.k} {self.pool.fingerprint} {encoder}".encode())
        for sentence in self.pool.sentences:
            digest.update(self._answer(sentence).encode())
        return digest.hexdigest()

    def chosen(self, passage: str) -> list[Demo]:
        """Return the examples for a passage, best first; none for one without any word."""
        if not any(character.isalnum() for character in passage):
            return []
        return self.pool.retrieve(passage, k=self.k)

    def triples(self, id: str) -> list[tuple[str, str, str]]:
        """Return head, relation of the schema, and tail of all that an example states."""
        sentence = self.pool.sentence(id)
        rows = (self._row(sentence, statement) for statement in sentence.statements)
        return [(row["head"], row["relation"], row["tail"]) for row in rows]

    def turns(self, passage: str) -> list[dict[str, str]]:
        """Return the turns to put between the task and the passage."""
        answer = []
        for demo in arranged(self.chosen(passage)):
            sentence = self.pool.sentence(demo.id)
            answer += [
                {"role": "user", "content": f"Passage:\n{sentence.text}"},
                {"role": "assistant", "content": self._answer(sentence)},
            ]
        return answer

    def _answer(self, sentence: SourceSentence) -> str:
        rows = (self._row(sentence, statement) for statement in sentence.statements)
        return json.dumps({"statements": list(rows)}, ensure_ascii=False)

    def _row(self, sentence: SourceSentence, statement: StatedTriple) -> dict[str, Any]:
        relation, inverse = _known(self.schema, statement)
        ends = (statement.head, statement.head_types), (statement.tail, statement.tail_types)
        (head, head_types), (tail, tail_types) = reversed(ends) if inverse else ends
        return {
            "quote": sentence.text,
            "head": head,
            "head_type": _type(self.schema, head_types, relation.head),
            "relation": relation.name,
            "tail": tail,
            "tail_type": _type(self.schema, tail_types, relation.tail),
            "negated": False,
            "hedged": False,
        }


def _within(schema: Schema, sentence: SourceSentence) -> SourceSentence | None:
    """Return a sentence with what the schema can express of it; None if that is nothing."""
    kept = tuple(one for one in sentence.statements if schema.find(one.relation) is not None)
    kept = tuple(one for one in kept if not _known(schema, one)[0].roles)
    return replace(sentence, statements=kept) if kept else None


def _known(schema: Schema, statement: StatedTriple) -> tuple[RelationDef, bool]:
    known = schema.find(statement.relation)
    if known is None:
        raise InputError(f"the schema has no relation {statement.relation!r}: add it")
    return known


def _type(schema: Schema, types: Iterable[str], asked: str) -> str:
    """Return the finest type of an end that the schema has, else the one that it asks for."""
    if schema.is_literal(asked):
        return asked
    return next((type for type in types if type in schema.types), asked)
