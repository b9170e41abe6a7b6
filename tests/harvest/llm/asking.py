"""Models, graphs and documents for the tests of the language-model client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from harvest.llm.budget import Budget, Ledger
from harvest.llm.client import LanguageModel
from harvest.llm.endpoint import Endpoint
from harvest.llm.harvester import LLMHarvester
from harvest.llm.limits import Pace
from harvest.llm.prices import Price
from harvest.llm.secret import Secret
from harvest.responses import ResponseCache
from kg.records import Document
from tests.harvest.llm.server import KEY, SCHEMA, Server

PRICE = Price(1.0, 2.0, "test")


class Time:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def model(
    server: Server,
    *,
    cache: ResponseCache | None = None,
    time: Time | None = None,
    budget: Budget | None = None,
    key: str = KEY,
    timeout: float = 10.0,
    **options: Any,
) -> LanguageModel:
    """A model behind the test's server, whose pauses take no time."""
    time = time or Time()
    return LanguageModel(
        "m",
        endpoint=Endpoint(server.url, key=Secret(key), timeout=timeout),
        cache=cache or ResponseCache(None),
        ledger=Ledger(budget, price=PRICE),
        pace=Pace(clock=time, sleep=time.sleep),
        **options,
    )


def harvester(server: Server, **options: Any) -> LLMHarvester:
    own = {
        name: options.pop(name)
        for name in ("chunk_tokens", "threshold", "include_hedged", "unknown_relations", "schema")
        if name in options
    }
    schema = own.pop("schema", SCHEMA)
    return LLMHarvester(model(server, **options), schema, **own)


def documents(texts: Iterable[str]) -> list[Document]:
    return [Document(uri=f"{number}.txt", text=text) for number, text in enumerate(texts)]


PEOPLE = "Marie Curie|Niels Bohr|Lise Meitner|Otto Hahn|Enrico Fermi|Max Born".split("|")
PLACES = "Warsaw|Paris|Vienna|Rome|Berlin|Lyon".split("|")


def many(number: int, *, sentences: int = 6) -> list[Document]:
    """So many documents of some sentences each."""
    texts = []
    for index in range(number):
        lines = []
        for line in range(sentences):
            person, place = PEOPLE[(index + line) % 6], PLACES[(index * line) % 6]
            lines.append(f"In the year {1900 + index} {person} was born in {place} {index}.")
        texts.append("\n\n".join(lines))
    return documents(texts)
