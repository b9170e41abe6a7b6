"""How fast an endpoint may be asked: token buckets, pauses that it asks for, and back-off.

- A *token bucket* holds at most a minute's worth and fills evenly. Whoever takes more than is in
  it waits until the debt is paid, so a single large call passes a small limit slowly, not never.
- After 429 (too many requests) every caller pauses until the moment that `Retry-After` names. An
  endpoint that names none gets exponential back-off with *full jitter*: a wait drawn evenly from
  0 to min(cap, base · 2ⁿ), which spreads callers best (Brooker, "Exponential Backoff And Jitter",
  AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Final

__all__ = ["Pace", "TokenBucket", "full_jitter", "retry_after"]

#: Seconds: the first back-off is drawn from 0 to BASE, no back-off is longer than CAP.
BASE: Final = 1.0
CAP: Final = 60.0

type Clock = Callable[[], float]
type Sleep = Callable[[float], Awaitable[None]]


class TokenBucket:
    """An allowance that fills by `per_minute` each minute, up to one minute's worth.

    Args:
        per_minute: requests or tokens for each minute; None for no limit.
        clock: seconds that never run backwards.

    >>> now = [0.0]
    >>> bucket = TokenBucket(60, clock=lambda: now[0])
    >>> bucket.take(60), bucket.take(1), bucket.take(1)   # seconds to wait
    (0.0, 1.0, 2.0)
    >>> now[0] = 10.0
    >>> bucket.take(1)
    0.0
    """

    def __init__(self, per_minute: float | None, *, clock: Clock = monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._level = per_minute or 0.0
        self._at = clock()

    def take(self, amount: float) -> float:
        """Take an amount at once and return the seconds to wait before it may be used."""
        if self.per_minute is None:
            return 0.0
        now = self._clock()
        filled = self._level + (now - self._at) * self.per_minute / 60
        self._level = min(self.per_minute, filled) - amount
        self._at = now
        return max(0.0, -self._level * 60 / self.per_minute)

    def give_back(self, amount: float) -> None:
        """Return what was taken too much (or take, if negative, what was taken too little)."""
        self._level += amount


class Pace:
    """When the next call may be sent: request and token limits, and pauses for all callers.

    Args:
        requests_per_minute: None for no limit.
        tokens_per_minute: prompt and answer together; None for no limit.
        clock: seconds that never run backwards.
        sleep: waits for some seconds.
    """

    def __init__(
        self,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Clock = monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.clock = clock
        self._sleep = sleep
        self._requests = TokenBucket(requests_per_minute, clock=clock)
        self._tokens = TokenBucket(tokens_per_minute, clock=clock)
        self._open_at = 0.0

    async def turn(self, tokens: float) -> None:
        """Wait until a call of about so many tokens may be sent."""
        wait = max(self._requests.take(1), self._tokens.take(tokens))
        if wait > 0:
            await self._sleep(wait)
        while (wait := self._open_at - self.clock()) > 0:
            await self._sleep(wait)

    async def wait(self, seconds: float) -> None:
        """Wait some seconds: this caller alone."""
        await self._sleep(seconds)

    def correct(self, taken: float, used: float) -> None:
        """Say how many tokens a call of `taken` estimated tokens really used."""
        self._tokens.give_back(taken - used)

    def pause(self, seconds: float) -> None:
        """Send nothing for some seconds, whoever asks."""
        self._open_at = max(self._open_at, self.clock() + seconds)


def full_jitter(attempt: int, rng: random.Random) -> float:
    """Return the seconds to wait after the `attempt`-th failure, which is 0 for the first.

    >>> 0.0 <= full_jitter(0, random.Random(1)) <= BASE
    True
    >>> max(full_jitter(90, random.Random(seed)) for seed in range(100)) <= CAP
    True
    """
    return rng.uniform(0.0, min(CAP, BASE * 2.0 ** min(attempt, 32)))


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Return the seconds that an answer asks to wait, None when it does not say.

    Reads `retry-after-ms`, and `Retry-After` as seconds or as a date (RFC 9110, section 10.2.3).

    >>> retry_after({"retry-after": "3"}), retry_after({"retry-after-ms": "250"}), retry_after({})
    (3.0, 0.25, None)
    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> retry_after({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, now=noon)
    30.0
    >>> retry_after({"retry-after": "soon"}) is None
    True
    """
    found = {name.lower(): value.strip() for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(found.get(name, "")) / unit
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        date = parsedate_to_datetime(found.get("retry-after", ""))
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())
