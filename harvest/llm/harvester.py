"""The language-model harvester: documents in, mentions and evidence out, through any endpoint.

```
chunk ─► prompt ─► model (cached, paced, budgeted) ─► rows ─► located in the text ─► records
```

Every chunk is read by itself. Many are under way at once: the job says early which chunks it will
want (`start`), and asks for them in order (`extract`). What a chunk gives depends on the stored
answer alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Literal, Self

from harvest.errors import AnswerError, ContextTooLong, InputError
from harvest.llm.background import GRACE, BackgroundLoop
from harvest.llm.chunking import halves, sentence_chunks, sentence_spans
from harvest.llm.client import LanguageModel
from harvest.llm.completion import Completion
from harvest.llm.prompt import PARAMETER, Prompt
from harvest.llm.reading import StatementReader
from harvest.llm.rows import Rows, read_rows
from harvest.llm.scoring import score_rows
from harvest.report import Dropped
from kg.records import Batch, Chunk, Config, Document, Mention, Span
from kg.schema import Schema

if TYPE_CHECKING:
    from harvest.llm.demonstrations import Demonstrations

__all__ = ["LLMHarvester"]

#: Of prompt, answer schema, parsing and reading together; a new one reads stored answers again.
VERSION: Final = "1"
#: A chunk whose answer is too long is cut in two once; one that is too long itself, so often.
MOST_CUTS: Final = 4
STAGE: Final = "extract"


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a model said about a chunk or a part of it."""

    rows: Rows
    completion: Completion
    reasks: int


class LLMHarvester:
    """Asks a language model for the statements of a text that a schema can express.

    Args:
        model: whom to ask.
        schema: what to look for; the shipped relations when left out.
        chunk_tokens: size of the parts in which a document is read, in about tokens.
        threshold: keep statements with at least this score.
        include_hedged: let hedged evidence support triples.
        unknown_relations: drop statements with a relation that the schema does not have, or keep
            the model's phrase (then the model is also told that it may use one).
        demonstrations: solved examples that are put in front of every passage.

    Raises:
        InputError: a threshold or size that makes no sense, or a schema without relations.
    """

    def __init__(
        self,
        model: LanguageModel,
        schema: Schema | None = None,
        *,
        chunk_tokens: int = 800,
        threshold: float = 0.0,
        include_hedged: bool = False,
        unknown_relations: Literal["drop", "keep"] = "drop",
        demonstrations: Demonstrations | None = None,
    ) -> None:
        if schema is None:
            from harvest.extraction.harvester import shipped_schema

            schema = shipped_schema()
        if not 0.0 <= threshold <= 1.0:
            raise InputError(f"threshold {threshold}: give a score between 0 and 1")
        if chunk_tokens < 20:
            raise InputError(f"chunks of {chunk_tokens} tokens: give 20 or more")
        self.model = model
        self.schema = schema
        self.prompt = Prompt(schema, open_relations=unknown_relations == "keep")
        if not self.prompt.relations:
            raise InputError("the schema has no relation with a head and a tail: add one")
        self.demonstrations = demonstrations
        self.chunk_tokens = chunk_tokens
        shown = {} if demonstrations is None else {PARAMETER: demonstrations.k}
        #: What the model said and was left out, in the order in which chunks were read.
        self.dropped: list[Dropped] = []
        self.config = Config(
            harvester="llm",
            version=VERSION,
            model=model.name,
            prompt=self._prompt_hash,
            parameters={
                **schema.parameters(),
                **model.parameters,
                "chunk_tokens": chunk_tokens,
                "threshold": threshold,
                "include_hedged": include_hedged,
                "unknown_relations": unknown_relations,
                **shown,
            },
        )
        self._reader = StatementReader(
            schema,
            config=self.config.id,
            unknown_relations=unknown_relations,
            threshold=threshold,
        )
        self._answer_schema = self.prompt.answer_schema
        self._count: Counter[str] = Counter()
        self._loop = BackgroundLoop()
        self._started: dict[str, Future[list[_Answer]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ask nothing more, and close the connections. Closing twice is allowed.

        Calls under way are paid for, so they get some seconds to bring their answers home.
        """
        self.model.halt()
        wait(self._started.values(), GRACE)
        self._started.clear()
        self._loop.cancel()
        self._loop.submit(self.model.close()).result()
        self._loop.close()

    @property
    def ahead(self) -> int:
        """How many chunks should be under way, so that no call slot stands idle."""
        return 2 * self.model.concurrency

    @property
    def report(self) -> Mapping[str, int]:
        """Return what was counted: sentences, chunks by outcome, drops, calls, tokens, money.

        `dropped_R` counts statements left out for reason R; `microdollars` is there when the
        model has a price; `fallback:P=W` says that the endpoint refused parameter P.
        """
        total = self.model.ledger.total
        used = {
            "calls": total.calls,
            "prompt_tokens": total.prompt_tokens,
            "output_tokens": total.output_tokens,
        }
        if self.model.ledger.price is not None:
            used["microdollars"] = round(total.cost * 1e6)
        return dict(sorted({**self._count, **self.model.count, **used}.items()))

    def used(self) -> str:
        """Return what was used so far, on one line for a progress bar."""
        total = self.model.ledger.total
        money = f", ${total.cost:.4f}" if self.model.ledger.price is not None else ""
        return f"{total.tokens:,} tokens{money}"

    def chunks(self, document: Document) -> list[Chunk]:
        """Return the parts in which a document is read: whole sentences up to `chunk_tokens`."""
        return sentence_chunks(document, most_tokens=self.chunk_tokens)

    def messages(self, document: Document, span: Span) -> list[dict[str, str]]:
        """Return what the model is asked about a part of a document."""
        passage = document.text[slice(*span)]
        task, question = self.prompt.messages(passage, title=document.title)
        shown = [] if self.demonstrations is None else self.demonstrations.turns(passage)
        return [task, *shown, question]

    @property
    def _prompt_hash(self) -> str:
        """Hash of all that is asked except the passage, and of all that may be shown."""
        if self.demonstrations is None:
            return self.prompt.hash
        both = self.prompt.hash + self.demonstrations.hash
        return blake2b(both.encode(), digest_size=16).hexdigest()

    def is_stored(self, messages: Sequence[Mapping[str, str]]) -> bool:
        """Say whether the answer to a question is stored already."""
        key = self.model.key(messages, schema=self._answer_schema)
        return self.model.cache.get(key) is not None

    def start(self, document: Document, chunk: Chunk) -> None:
        """Begin to ask about a chunk that will be extracted soon."""
        if chunk.id not in self._started:
            asking = self._ask(document, (chunk.start, chunk.end), cuts=0)
            self._started[chunk.id] = self._loop.submit(asking)

    def ready(self, chunk: Chunk, *, seconds: float) -> bool:
        """Wait for a started chunk, at most some seconds; say whether it is there."""
        future = self._started.get(chunk.id)
        return future is None or bool(wait([future], seconds).done)

    def extract(self, document: Document, chunk: Chunk, *, known: Sequence[Mention] = ()) -> Batch:
        """Return the mentions and the evidence of one chunk.

        Args:
            document: the whole document.
            chunk: one of `chunks(document)`.
            known: not used; every chunk is read by itself.

        Raises:
            AnswerError: the model gave no usable answer; carries what it said.
            ContextTooLong: even one word of the chunk with the prompt is too long for the model.
            BudgetReached, EndpointRefused, EndpointUnreachable: going on makes no sense.
        """
        self.start(document, chunk)
        try:
            answers = self._started[chunk.id].result()
        except (AnswerError, ContextTooLong):
            self._count["chunks_failed"] += 1
            raise
        finally:
            self._started.pop(chunk.id, None)
        statements = [
            statement
            for answer in answers
            for statement in zip(
                answer.rows.rows, score_rows(answer.completion, answer.rows.rows), strict=True
            )
        ]
        found = self._reader.read(document, chunk, statements)
        drops = [drop for answer in answers for drop in answer.rows.dropped] + found.dropped
        for drop in drops:
            self._count[f"dropped_{drop.reason}"] += 1
            self.dropped.append(Dropped(document.uri, drop.reason, drop.text))
        batch = found.batch()
        repaired = any(answer.rows.repaired or answer.reasks for answer in answers)
        outcome = "repaired" if repaired else "ok" if statements or drops else "empty"
        self._count[f"chunks_{outcome}"] += 1
        self._count["statements"] += len(statements)
        text = document.text[chunk.start : chunk.end]
        self._count["sentences"] += sum(1 for _ in sentence_spans(text))
        self._count.update(found.count)
        return batch

    async def _ask(self, document: Document, span: Span, *, cuts: int) -> list[_Answer]:
        """Ask about a part of a document, in two halves if it is too much at once."""
        parts = halves(document.text, span) if cuts < MOST_CUTS else None
        try:
            reply = await self.model.ask(
                self.messages(document, span),
                read=read_rows,
                schema=self._answer_schema,
                stage=STAGE,
            )
        except ContextTooLong:
            if parts is None:
                raise
            self._count["cut_context"] += 1
        else:
            if not (reply.completion.truncated and parts and cuts == 0):
                return [_Answer(reply.value, reply.completion, reply.reasks)]
            self._count["cut_answer"] += 1
        return [
            answer for part in parts for answer in await self._ask(document, part, cuts=cuts + 1)
        ]
