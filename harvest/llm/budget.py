"""What was used, and a budget that is never passed.

Before a call is sent, the most that it can cost is set aside: its prompt, counted generously, and
the longest answer allowed. When the answer is there, the true figure takes its place. A call that
no longer fits waits for those under way, which mostly cost less than was set aside; only when
nothing is under way and it still does not fit has the budget been reached.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from harvest.errors import BudgetReached, InputError
from harvest.llm.prices import Price

__all__ = ["Budget", "Ledger", "Usage", "parse_budget"]

_MONEY = re.compile(r"(?:\$\s*(\d+(?:\.\d+)?)|(\d+(?:\.\d+)?)\s*(?:\$|usd|dollars?))", re.I)
_TOKENS = re.compile(r"(\d+(?:[.,_]\d+)*)\s*([km]?)\s*(?:tok|tokens?)", re.I)
_FACTOR: Final = {"": 1, "k": 1_000, "m": 1_000_000}


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that one harvest may use: tokens, US dollars, or both; None for no limit."""

    tokens: int | None = None
    dollars: float | None = None


def parse_budget(text: str) -> Budget:
    """Return a budget written as money or as tokens.

    Raises:
        InputError: the text is neither.

    >>> parse_budget("2.50usd"), parse_budget("$3"), parse_budget("200k tokens")
    (Budget(tokens=None, dollars=2.5), Budget(tokens=None, dollars=3.0), Budget(tokens=200000, ...))
    """
    if found := _MONEY.fullmatch(text.strip()):
        return Budget(dollars=float(found[1] or found[2]))
    if found := _TOKENS.fullmatch(text.strip()):
        digits = found[1].replace("_", "")
        if re.fullmatch(r"\d{1,3}(?:,\d{3})+", digits):
            digits = digits.replace(",", "")
        if "," not in digits and digits.count(".") <= 1:
            return Budget(tokens=round(float(digits) * _FACTOR[found[2].lower()]))
    raise InputError(
        f"budget {text!r}: write an amount of money, as 2.50usd, or of tokens, as 200000tokens"
    )


@dataclass(slots=True)
class Usage:
    """What the calls of one stage used."""

    calls: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    #: US dollars; 0 while the price is unknown.
    cost: float = 0.0

    @property
    def tokens(self) -> int:
        """Prompt and answer together."""
        return self.prompt_tokens + self.output_tokens


class Ledger:
    """Counts what calls use, by stage, and lets none pass the budget.

    Raises:
        InputError: a budget in money for a model without a price.
    """

    def __init__(self, budget: Budget | None = None, *, price: Price | None = None) -> None:
        self.budget = budget or Budget()
        self.price = price
        if self.budget.dollars is not None and price is None:
            raise InputError(
                "a budget in money needs the model's price, which is not in the table: give it "
                "with --price PROMPT/ANSWER, or a budget in tokens"
            )
        self.stages: defaultdict[str, Usage] = defaultdict(Usage)
        self._reserved = Usage()
        self._changed = asyncio.Condition()
        self._reached: str = ""

    @property
    def total(self) -> Usage:
        """What all stages used together."""
        total = Usage()
        for stage in self.stages.values():
            total.calls += stage.calls
            total.prompt_tokens += stage.prompt_tokens
            total.output_tokens += stage.output_tokens
            total.cost += stage.cost
        return total

    def cost(self, *, prompt_tokens: float, output_tokens: float) -> float | None:
        """Return the US dollars of so many tokens, None without a price."""
        if self.price is None:
            return None
        return self.price.cost(prompt_tokens=prompt_tokens, output_tokens=output_tokens)

    @asynccontextmanager
    async def reserve(self, *, prompt_tokens: int, output_tokens: int) -> AsyncIterator[None]:
        """Set aside the most that a call can use, until it is over; wait while it does not fit.

        Raises:
            BudgetReached: it does not fit even when nothing else is under way.
        """
        cost = self.cost(prompt_tokens=prompt_tokens, output_tokens=output_tokens) or 0.0
        async with self._changed:
            while not self._fits(prompt_tokens + output_tokens, cost):
                if self._reached or not self._reserved.calls:
                    self._reached = self._reached or self._message(
                        prompt_tokens + output_tokens, cost
                    )
                    self._changed.notify_all()
                    raise BudgetReached(self._reached)
                await self._changed.wait()
            self._add(1, prompt_tokens, output_tokens, cost)
        try:
            yield
        finally:
            async with self._changed:
                self._add(-1, -prompt_tokens, -output_tokens, -cost)
                self._changed.notify_all()

    def use(self, stage: str, *, prompt_tokens: int, output_tokens: int) -> float | None:
        """Count a call that was answered and return its cost in US dollars."""
        cost = self.cost(prompt_tokens=prompt_tokens, output_tokens=output_tokens)
        usage = self.stages[stage]
        usage.calls += 1
        usage.prompt_tokens += prompt_tokens
        usage.output_tokens += output_tokens
        usage.cost += cost or 0.0
        return cost

    def _add(self, calls: int, prompt_tokens: int, output_tokens: int, cost: float) -> None:
        self._reserved.calls += calls
        self._reserved.prompt_tokens += prompt_tokens
        self._reserved.output_tokens += output_tokens
        self._reserved.cost += cost

    def _fits(self, tokens: int, cost: float) -> bool:
        if self._reached:
            return False
        used = self.total
        most, dollars = self.budget.tokens, self.budget.dollars
        return (most is None or used.tokens + self._reserved.tokens + tokens <= most) and (
            # A ten-thousandth of a cent: rounding of sums shall not decide.
            dollars is None or used.cost + self._reserved.cost + cost <= dollars + 1e-6
        )

    def _message(self, tokens: int, cost: float) -> str:
        used = self.total
        if self.budget.dollars is not None:
            spent = f"${used.cost:.4f} of ${self.budget.dollars:.4f} are spent"
            needed = f"the next call may cost ${cost:.4f}"
        else:
            spent = f"{used.tokens:,} of {self.budget.tokens or 0:,} tokens are used"
            needed = f"the next call may take {tokens:,}"
        return (
            f"budget reached: {spent} and {needed}\nwhat is written stays; the same command goes "
            "on from here with a new budget, and no stored answer is asked for again"
        )
