"""Which model to ask, where, how fast and for how much: from flags, environment, `.env`, defaults.

| setting | environment | default |
|---|---|---|
| `model` | `SHEAF_MODEL` | none: it must be named |
| `base_url` | `OPENAI_BASE_URL` | OpenAI |
| the key | `OPENAI_API_KEY` | none, which only a local server accepts |
| `budget`, `price` | `SHEAF_BUDGET`, `SHEAF_PRICE` | no limit, the shipped table |
| `concurrency` | `SHEAF_CONCURRENCY` | 8 calls |
| `requests_per_minute`, `tokens_per_minute` | `SHEAF_REQUESTS_PER_MINUTE`, … | no limit |
| `timeout` | `SHEAF_TIMEOUT` | 120 seconds for one call |
| `chunk_tokens`, `answer_tokens` | `SHEAF_CHUNK_TOKENS`, `SHEAF_ANSWER_TOKENS` | 800, 2048 |

A flag beats the environment, which beats `.env`. The key has no flag: a command line can be read by
every user of a machine. `.env` is read by the command line only, never on import.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

from harvest.errors import InputError
from harvest.llm.budget import Ledger, parse_budget
from harvest.llm.client import LanguageModel
from harvest.llm.endpoint import DEFAULT_URL, Endpoint
from harvest.llm.limits import Pace
from harvest.llm.prices import find_price, parse_price
from harvest.llm.secret import Secret
from harvest.responses import ResponseCache

__all__ = ["Settings"]

PREFIX: Final = "SHEAF_"
KEY: Final = "OPENAI_API_KEY"
#: Settings whose variable other tools use as well.
_SHARED: Final = {"base_url": "OPENAI_BASE_URL"}


@dataclass(frozen=True, slots=True)
class Settings:
    """All that is needed to ask a model; the key shows itself to nobody.

    >>> settings = Settings.resolve({"model": "m", "base_url": "http://localhost:1/v1"},
    ...                             environment={"SHEAF_CONCURRENCY": "3"})
    >>> settings.concurrency, settings.timeout, settings.key
    (3, 120.0, Secret([key]))
    """

    model: str
    key: Secret
    base_url: str = DEFAULT_URL
    budget: str = ""
    price: str = ""
    concurrency: int = 8
    requests_per_minute: float = 0.0
    tokens_per_minute: float = 0.0
    timeout: float = 120.0
    chunk_tokens: int = 800
    answer_tokens: int = 2048

    @classmethod
    def resolve(
        cls,
        flags: Mapping[str, Any],
        *,
        environment: Mapping[str, str] | None = None,
        dotenv: Path | None = None,
    ) -> Self:
        """Return the settings, each from the first place that names it.

        Args:
            flags: by name of the setting; None means that it was not given.
            environment: the process's own when left out.
            dotenv: a file of `NAME=value` lines, read if it is there.

        Raises:
            InputError: no model, no key where one is needed, or a value that makes no sense.
        """
        environment = os.environ if environment is None else environment
        filed = _read_dotenv(dotenv)

        def variable(name: str) -> str:
            return (environment.get(name) or filed.get(name) or "").strip()

        values: dict[str, Any] = {}
        for field in fields(cls):
            if field.name == "key":
                continue
            given = flags.get(field.name)
            name = _SHARED.get(field.name, PREFIX + field.name.upper())
            if given is None and (text := variable(name)):
                given = _number(text, name, field.default)
            if given is not None:
                values[field.name] = given
        if not values.get("model"):
            raise InputError(
                f"a language model must be named: give --model, or set {PREFIX}MODEL in the "
                "environment or in .env"
            )
        settings = cls(key=Secret(variable(KEY)), **values)
        settings.check()
        return settings

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            InputError: says which and why.
        """
        if not self.key and self.base_url.rstrip("/") == DEFAULT_URL:
            raise InputError(
                f"no key: set {KEY} in the environment or in .env; for a server of your own give "
                "--base-url, as http://localhost:8000/v1"
            )
        for name in ("concurrency", "timeout", "answer_tokens"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} {getattr(self, name)}: give a number above 0")
        for name in ("requests_per_minute", "tokens_per_minute"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} {getattr(self, name)}: give a number above 0")
        with closing(ResponseCache(None)) as cache:
            self.open(cache)

    def open(self, cache: ResponseCache) -> LanguageModel:
        """Return the model, ready to be asked; its answers are kept in `cache`.

        Raises:
            InputError: a budget, price or address that makes no sense.
        """
        price = parse_price(self.price) if self.price else find_price(self.model)
        return LanguageModel(
            self.model,
            endpoint=Endpoint(self.base_url, key=self.key, timeout=self.timeout),
            cache=cache,
            ledger=Ledger(parse_budget(self.budget) if self.budget else None, price=price),
            pace=Pace(
                requests_per_minute=self.requests_per_minute or None,
                tokens_per_minute=self.tokens_per_minute or None,
            ),
            concurrency=self.concurrency,
            max_tokens=self.answer_tokens,
        )


def _read_dotenv(path: Path | None) -> Mapping[str, str]:
    if path is None or not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        found = dotenv_values(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): mend it or move it away") from None
    return {name: value for name, value in found.items() if value}


def _number(text: str, name: str, default: object) -> Any:
    """Return a variable's text in the type of its setting."""
    if isinstance(default, str) or not isinstance(default, int | float):
        return text
    try:
        return type(default)(text)
    except ValueError:
        raise InputError(f"{name}={text!r}: give a number") from None
