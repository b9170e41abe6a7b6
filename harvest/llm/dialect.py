"""Which optional parameters an endpoint understands, learned from what it refuses.

Every endpoint calls itself OpenAI-compatible and leaves something out. We ask for the best first
and give up one thing at a time, visibly: each step is logged once and counted.

| asked for | given up for |
|---|---|
| `response_format: json_schema` | `json_object`, then nothing (the prompt asks for JSON anyway) |
| `logprobs` | nothing: scores are the stated constant then |
| `max_tokens` | `max_completion_tokens` (newer OpenAI models), then nothing |
| `temperature`, `seed` | nothing (reasoning models) |
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["Dialect"]

_LOG = logging.getLogger(__name__)

#: Parameter → what it may become, in this order; "" is nothing.
STEPS: Final[Mapping[str, Sequence[str]]] = {
    "format": ("json_schema", "json_object", ""),
    "logprobs": ("logprobs", ""),
    "limit": ("max_tokens", "max_completion_tokens", ""),
    "temperature": ("temperature", ""),
    "seed": ("seed", ""),
}
#: Words in a refusal → the parameter that is meant, most telling first.
_MEANT: Final = (
    (re.compile(r"max_(completion_)?tokens|max_output_tokens", re.I), "limit"),
    (re.compile(r"log_?prob", re.I), "logprobs"),
    (re.compile(r"temperature", re.I), "temperature"),
    (re.compile(r"\bseed\b", re.I), "seed"),
    (
        re.compile(r"response_format|json_schema|json_object|json mode|schema|grammar", re.I),
        "format",
    ),
)


class Dialect:
    """The optional parameters that are still asked for.

    >>> dialect = Dialect()
    >>> sorted(dialect.options(schema={"type": "object"}, max_tokens=9, temperature=0.0))
    ['logprobs', 'max_tokens', 'response_format', 'seed', 'temperature']
    >>> dialect.learn("'response_format' of type json_schema is not supported", dialect.version)
    True
    >>> dialect.options(schema={"type": "object"}, max_tokens=9, temperature=0.0)["response_format"]
    {'type': 'json_object'}
    >>> dict(dialect.fallbacks)
    {'fallback:format=json_object': 1}
    """

    def __init__(self) -> None:
        self._step = dict.fromkeys(STEPS, 0)
        #: `fallback:PARAMETER=WHAT` → 1 for every step taken.
        self.fallbacks: Counter[str] = Counter()

    @property
    def version(self) -> int:
        """Number of steps taken so far."""
        return self.fallbacks.total()

    def options(
        self, *, schema: Mapping[str, Any] | None, max_tokens: int, temperature: float
    ) -> dict[str, Any]:
        """Return the optional parameters of a request."""
        now = {name: STEPS[name][step] for name, step in self._step.items()}
        options: dict[str, Any] = {}
        if schema is not None and now["format"] == "json_schema":
            options["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)},
            }
        elif schema is not None and now["format"] == "json_object":
            options["response_format"] = {"type": "json_object"}
        if now["logprobs"]:
            options["logprobs"] = True
        if now["limit"]:
            options[now["limit"]] = max_tokens
        if now["temperature"]:
            options["temperature"] = temperature
        if now["seed"]:
            options["seed"] = 0
        return options

    def learn(self, refusal: str, version: int) -> bool:
        """Give up what a refusal is about; say whether asking again makes sense.

        Args:
            refusal: what the endpoint said.
            version: `version` when the refused request was made. Of several requests under way
                with the same parameters only the first teaches something.
        """
        if version != self.version:
            return True
        meant = next((name for words, name in _MEANT if words.search(refusal)), "")
        # A refusal that names nothing is most likely about the schema, the least common of them.
        for name in (meant, *STEPS) if meant else STEPS:
            if self._step[name] + 1 < len(STEPS[name]):
                self._step[name] += 1
                become = STEPS[name][self._step[name]]
                self.fallbacks[f"fallback:{name}={become or 'none'}"] = 1
                _LOG.warning(
                    "the endpoint refuses %s; going on with %s",
                    STEPS[name][self._step[name] - 1],
                    become or "nothing in its place",
                )
                return True
        return False
