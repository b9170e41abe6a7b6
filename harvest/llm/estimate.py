"""What a harvest would take: tokens and money by stage, before anything is paid for.

prompt tokens = Σ over chunks of the question, counted by `tokens.count_tokens`. Answers cannot be
counted before they are there, so a few chunks, drawn evenly, are asked for: their answers give the
ratio of answer to passage, and of the endpoint's count of prompt tokens to ours. Without a model
that answers, stated constants take their place, and the estimate says so.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from harvest.errors import ExtractionError, HarvestStop
from harvest.llm.budget import Usage
from harvest.llm.harvester import STAGE, LLMHarvester
from harvest.llm.tokens import count_tokens
from kg.records import Chunk, Document

__all__ = ["OUTPUT_RATIO", "Estimate", "estimate"]

#: Tokens of answer for one token of passage when no answer was seen. A statement with its quote
#: takes about 80 tokens, and encyclopaedic text has about one in 100 tokens.
OUTPUT_RATIO: Final = 0.8
#: Chunks that are asked for.
SAMPLE: Final = 5


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a harvest would take beyond the answers that are stored already."""

    #: Stage → calls, tokens and US dollars.
    stages: dict[str, Usage]
    documents: int
    chunks: int
    #: Chunks whose answer is stored already and costs nothing.
    stored: int
    #: Chunks that were asked for to estimate the rest, and what they took.
    sampled: int
    sample: Usage
    #: Where the price comes from; "" when there is none.
    price: str
    #: Why no sample answered; "" when it did.
    trouble: str = ""

    @property
    def total(self) -> Usage:
        """All stages together."""
        total = Usage()
        for usage in self.stages.values():
            total.calls += usage.calls
            total.prompt_tokens += usage.prompt_tokens
            total.output_tokens += usage.output_tokens
            total.cost += usage.cost
        return total

    def as_dict(self) -> dict[str, Any]:
        """Return the estimate as JSON can hold it."""
        return {
            "stages": {name: self._figures(usage) for name, usage in self.stages.items()},
            "total": self._figures(self.total),
            "chunks": self.chunks,
            "stored_chunks": self.stored,
            "sampled_chunks": self.sampled,
            "sample": self._figures(self.sample),
            "price": self.price,
            "trouble": self.trouble,
        }

    def table(self) -> list[tuple[str, str]]:
        """Return the estimate as rows of a table."""
        rows = [("chunks", f"{self.chunks:,}"), ("  answered already", f"{self.stored:,}")]
        stages = {**self.stages, "in all": self.total} if len(self.stages) > 1 else self.stages
        for name, usage in stages.items():
            money = f", ${usage.cost:,.4f}" if self.price else ""
            rows.append(
                (
                    f"stage {name!r}" if name in self.stages else name,
                    f"{usage.calls:,} calls, {usage.prompt_tokens:,} + {usage.output_tokens:,} "
                    f"tokens{money}",
                )
            )
        rows.append(("price", self.price or "unknown: give it with --price"))
        if self.sampled:
            basis = f"{self.sampled} chunks that were asked for ({self.sample.tokens:,} tokens)"
        elif self.total.calls:
            basis = f"a constant, {OUTPUT_RATIO} tokens of answer for one of text"
        else:
            basis = "nothing is left to ask"
        rows.append(("answers estimated from", basis))
        if self.trouble:
            rows.append(("trouble with the sample", self.trouble))
        return rows

    def _figures(self, usage: Usage) -> dict[str, Any]:
        return {
            "calls": usage.calls,
            "prompt_tokens": usage.prompt_tokens,
            "output_tokens": usage.output_tokens,
            "dollars": round(usage.cost, 6) if self.price else None,
        }


def estimate(
    documents: Iterable[Document], harvester: LLMHarvester, *, sample: int = SAMPLE, seed: int = 0
) -> Estimate:
    """Estimate what harvesting some documents would take.

    Args:
        documents: read once.
        harvester: who would read them; its model is asked for the sample.
        sample: chunks to ask for; 0 asks for none.
        seed: of the draw.
    """
    count = chunks = stored = prompt = passage = 0
    drawn: list[tuple[Document, Chunk]] = []
    rng = random.Random(seed)
    for document in documents:
        count += 1
        for chunk in harvester.chunks(document):
            chunks += 1
            messages = harvester.messages(document, (chunk.start, chunk.end))
            if harvester.is_stored(messages):
                stored += 1
                continue
            prompt += sum(count_tokens(message["content"]) for message in messages)
            passage += count_tokens(document.text[chunk.start : chunk.end])
            # Reservoir sampling (Vitter 1985, algorithm R): even, in one pass.
            if len(drawn) < sample:
                drawn.append((document, chunk))
            elif (place := rng.randrange(chunks - stored)) < sample:
                drawn[place] = (document, chunk)
    asked, trouble = _ask(harvester, drawn)
    stages = _scaled(harvester, asked, prompt=prompt, passage=passage, calls=chunks - stored)
    price = harvester.model.ledger.price
    return Estimate(
        stages=stages,
        documents=count,
        chunks=chunks,
        stored=stored,
        sampled=len(asked),
        sample=harvester.model.ledger.total,
        price="" if price is None else price.source,
        trouble=trouble,
    )


def _ask(
    harvester: LLMHarvester, drawn: list[tuple[Document, Chunk]]
) -> tuple[list[tuple[Document, Chunk]], str]:
    """Ask about the drawn chunks; return those that were answered, and what went wrong."""
    answered: list[tuple[Document, Chunk]] = []
    trouble = ""
    for document, chunk in drawn:
        harvester.start(document, chunk)
    for document, chunk in drawn:
        try:
            harvester.extract(document, chunk)
        except HarvestStop as stop:
            return answered, str(stop).splitlines()[0]
        except ExtractionError as error:
            trouble = str(error)
        answered.append((document, chunk))
    return answered, trouble


def _scaled(
    harvester: LLMHarvester,
    asked: list[tuple[Document, Chunk]],
    *,
    prompt: int,
    passage: int,
    calls: int,
) -> dict[str, Usage]:
    """Return the usage of all chunks, by stage, from that of the sample."""
    ledger = harvester.model.ledger
    sample = {name: usage for name, usage in ledger.stages.items() if usage.calls}
    if not asked or not sample:
        guess = Usage(calls, prompt, round(OUTPUT_RATIO * passage))
        usages = {STAGE: guess}
    else:
        ours_prompt = ours_passage = 0
        for document, chunk in asked:
            span = (chunk.start, chunk.end)
            messages = harvester.messages(document, span)
            ours_prompt += sum(count_tokens(message["content"]) for message in messages)
            ours_passage += count_tokens(document.text[slice(*span)])
        usages = {
            name: Usage(
                round(calls * usage.calls / len(asked)),
                round(prompt * usage.prompt_tokens / max(1, ours_prompt)),
                round(passage * usage.output_tokens / max(1, ours_passage)),
            )
            for name, usage in sample.items()
        }
    for usage in usages.values():
        usage.cost = (
            ledger.cost(prompt_tokens=usage.prompt_tokens, output_tokens=usage.output_tokens) or 0.0
        )
    return usages
