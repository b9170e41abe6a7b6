"""What a model's tokens cost: a dated table, and the user's own price before it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from harvest.errors import InputError

__all__ = ["Price", "find_price", "parse_price"]

#: Tokens that a price is given for.
PER: Final = 1_000_000

#: `gpt-4o-2024-08-06` is a dated copy of `gpt-4o`; `openai/gpt-4o` the same model at a broker.
_DATE = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens.

    >>> Price(2.0, 8.0, "own").cost(prompt_tokens=500_000, output_tokens=250_000)
    3.0
    """

    prompt: float
    output: float
    #: Where the price comes from, as it is shown beside every estimate.
    source: str

    def cost(self, *, prompt_tokens: float, output_tokens: float) -> float:
        """Return the US dollars that so many tokens cost."""
        return (self.prompt * prompt_tokens + self.output * output_tokens) / PER


def find_price(model: str) -> Price | None:
    """Return the price of a model from the shipped table, None when it is not there.

    >>> find_price("openai/gpt-4o-mini-2024-07-18")
    Price(prompt=0.15, output=0.6, source='price table of 2026-03')
    >>> find_price("my-own-model") is None
    True
    """
    checked, table = _table()
    name = _DATE.sub("", model.rpartition("/")[2].lower())
    if name not in table:
        return None
    prompt, output = table[name]
    return Price(prompt, output, f"price table of {checked}")


def parse_price(text: str) -> Price:
    """Return the user's own price, written PROMPT/ANSWER in US dollars for a million tokens.

    Raises:
        InputError: the text is not two numbers that are not negative.

    >>> parse_price("0.15/0.60")
    Price(prompt=0.15, output=0.6, source='given with --price')
    """
    parts = text.replace("$", "").split("/")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) != 2 or not all(0 <= number < math.inf for number in numbers):
        raise InputError(
            f"price {text!r}: write PROMPT/ANSWER in US dollars for a million tokens, as 0.15/0.60"
        )
    return Price(numbers[0], numbers[1], "given with --price")


@cache
def _table() -> tuple[str, dict[str, tuple[float, float]]]:
    import yaml

    text = files("harvest").joinpath("data/model_prices.yaml").read_text("utf-8")
    table = yaml.safe_load(text)
    return table["checked"], {name: (row[0], row[1]) for name, row in table["models"].items()}
