"""The local harvester: documents in, evidence out, with a causal language model on this machine.

```
chunk ─► sentences ─► demonstrations ─► constrained answer ─► scored ─► located ─► records
```

It needs no endpoint and no key, and its answers cannot break the schema (`constrained`). Every
sentence is read by itself and says one statement or more: the form has no word for "none", so what
the model does not believe is told by its score,

    score = exp(mean log p of the tokens of "head | relation | tail" after the sentence)

which is its own and not calibrated: set `threshold`. It does not tell denied or doubted statements
from others. A model of SmolLM2's size reads some sentences a minute on two cores.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import numpy as np

from harvest.errors import InputError
from harvest.llm.chunking import sentence_chunks, sentence_spans
from harvest.llm.constrained import TEMPLATE, ConstrainedExtractor, written
from harvest.llm.prompt import PARAMETER
from harvest.llm.reading import StatementReader
from harvest.llm.rows import Row
from harvest.llm.scoring import HIGHEST
from harvest.report import Dropped
from kg.records import Batch, Chunk, Config, Document, Mention
from kg.schema import Schema
from retrieval.demonstrations.template import arranged

if TYPE_CHECKING:
    from harvest.llm.demonstrations import Demonstrations
    from retrieval.causal_lm import CausalLM
    from retrieval.demonstrations.task import Demo

__all__ = ["SMOLLM2", "LocalHarvester"]

VERSION: Final = "1"
#: The model that is read when none is named.
SMOLLM2: Final = "SmolLM2-135M-Instruct"


class LocalHarvester:
    """Reads the statements of a text with a local model.

    Args:
        lm: the model.
        schema: what to look for; the shipped relations when left out.
        name: what the model is called in the graph; its weights are told by their hash.
        demonstrations: solved examples that are put in front of every sentence.
        chunk_tokens: size of the parts in which a document is read, in about tokens.
        threshold: keep statements with at least this score.
        most: statements of one sentence at most.

    Raises:
        InputError: a threshold that makes no sense, or a schema without relations.
    """

    def __init__(
        self,
        lm: CausalLM,
        schema: Schema | None = None,
        *,
        name: str = SMOLLM2,
        demonstrations: Demonstrations | None = None,
        chunk_tokens: int = 400,
        threshold: float = 0.0,
        most: int = 4,
    ) -> None:
        if schema is None:
            from harvest.extraction.harvester import shipped_schema

            schema = shipped_schema()
        if not 0.0 <= threshold <= 1.0:
            raise InputError(f"threshold {threshold}: give a score between 0 and 1")
        #: What the model reads → the relation.
        self._relations = {
            relation.name.replace("_", " "): relation.name
            for relation in schema.relations.values()
            if not relation.roles
        }
        self.lm = lm
        self.schema = schema
        self.demonstrations = demonstrations
        self.chunk_tokens = chunk_tokens
        self.dropped: list[Dropped] = []
        self._extractor = ConstrainedExtractor(lm, list(self._relations), most=most)
        parts = [TEMPLATE.demo, TEMPLATE.query, *self._relations]
        parts += [] if demonstrations is None else [demonstrations.hash]
        self.config = Config(
            harvester="local",
            version=VERSION,
            model=name,
            weights=lm.fingerprint,
            prompt=blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest(),
            parameters={
                **schema.parameters(),
                "chunk_tokens": chunk_tokens,
                "threshold": threshold,
                "most": most,
                **({} if demonstrations is None else {PARAMETER: demonstrations.k}),
            },
        )
        self._reader = StatementReader(schema, config=self.config.id, threshold=threshold)
        self._count: Counter[str] = Counter()

    @property
    def report(self) -> Mapping[str, int]:
        """Return what was counted: sentences, statements, drops by reason."""
        return dict(sorted(self._count.items()))

    def chunks(self, document: Document) -> list[Chunk]:
        """Return the parts in which a document is read: whole sentences up to `chunk_tokens`."""
        return sentence_chunks(document, most_tokens=self.chunk_tokens)

    def extract(self, document: Document, chunk: Chunk, *, known: Sequence[Mention] = ()) -> Batch:
        """Return the mentions and the evidence of one chunk.

        Args:
            document: the whole document.
            chunk: one of `chunks(document)`.
            known: not used; every sentence is read by itself.
        """
        text = document.text[chunk.start : chunk.end]
        sentences = [text[slice(*span)] for span in sentence_spans(text)]
        statements = self._statements(sentences)
        found = self._reader.read(document, chunk, statements)
        for drop in found.dropped:
            self._count[f"dropped_{drop.reason}"] += 1
            self.dropped.append(Dropped(document.uri, drop.reason, drop.text))
        self._count["sentences"] += len(sentences)
        self._count["statements"] += len(statements)
        self._count.update(found.count)
        return found.batch()

    def _statements(self, sentences: Sequence[str]) -> list[tuple[Row, float]]:
        from retrieval.demonstrations.scorer import LMScorer, Pair

        shown = [self._shown(sentence) for sentence in sentences]
        said = [
            (sentence, triple, demos)
            for sentence, triples, demos in zip(
                sentences, self._extractor.extract(sentences, shown), shown, strict=True
            )
            for triple in triples
        ]
        scores = LMScorer(self.lm, TEMPLATE).score(
            [
                Pair(" ".join(sentence.split()), written([triple]), arranged(demos))
                for sentence, triple, demos in said
            ]
        )
        return [
            (Row(sentence, head, self._relations[relation], tail), min(HIGHEST, float(score)))
            for (sentence, (head, relation, tail), _), score in zip(
                said, np.exp(scores), strict=True
            )
        ]

    def _shown(self, sentence: str) -> list[Demo]:
        """Return the demonstrations of a sentence, best first, in the form of the answers."""
        if self.demonstrations is None:
            return []
        shown = []
        for demo in self.demonstrations.chosen(sentence):
            triples = self.demonstrations.triples(demo.id)
            answer = written((head, name.replace("_", " "), tail) for head, name, tail in triples)
            shown.append(replace(demo, output=answer))
        return shown
