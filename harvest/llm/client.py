"""Ask a language model: cached, paced, budgeted, and asked again when the answer is unreadable.

```
ask ─► stored? ─ yes ──────────────────────────────► read ─┬─ readable ─► Reply
          └─ no ─► budget ─► turn ─► send ─► save ─►──┘     └─ not ─► tell why, ask again (≤ 2)
                                  └─ busy: wait, no attempt used · failed: back off, ≤ 4 attempts
```

Every answer is stored before it is read, re-asked ones too, so replaying a conversation costs
nothing. Everything runs in one event loop; `harvest.llm.background` gives the synchronous world
one of its own, also where a loop is running already (notebooks).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harvest.errors import (
    AnswerError,
    ContextTooLong,
    EndpointUnreachable,
    HarvestStop,
)
from harvest.llm.budget import Ledger
from harvest.llm.completion import Completion, NotACompletion, read_completion
from harvest.llm.dialect import Dialect
from harvest.llm.endpoint import Busy, Endpoint, Failed, Rejected
from harvest.llm.limits import CAP, Pace, full_jitter
from harvest.llm.tokens import count_tokens, most_tokens
from harvest.responses import ResponseCache, response_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["LanguageModel", "Reply", "Unreadable"]

_LOG = logging.getLogger(__name__)

type Message = Mapping[str, str]

#: Attempts at one call that fails on the way; waiting because of 429 uses up none.
ATTEMPTS: Final = 4
#: Questions asked again because their answer was unreadable.
REASKS: Final = 2
#: Seconds of nothing but 429 after which we stop, and the longest pause we accept.
PATIENCE: Final = 600.0
#: Calls that fail one behind the other, whatever the reason, before we stop.
MOST_LOST: Final = 10
#: An unreadable answer is quoted back to the model up to this many code points.
QUOTED_BACK: Final = 2_000


class Unreadable(ValueError):
    """An answer that cannot be used; the message tells the model what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Reply[T]:
    """A readable answer."""

    value: T
    completion: Completion
    #: How often the model had to be asked again.
    reasks: int = 0


class LanguageModel:
    """A chat model behind an OpenAI-compatible endpoint.

    Args:
        name: the model, as the endpoint knows it.
        endpoint: where it is.
        cache: where answers are kept.
        ledger: counts tokens and money and stops at the budget.
        pace: request and token limits.
        concurrency: calls under way at the same time.
        max_tokens: longest answer, in tokens.
        temperature: 0 for the likeliest answer.
        seed: of the back-off's jitter.
    """

    def __init__(
        self,
        name: str,
        *,
        endpoint: Endpoint,
        cache: ResponseCache,
        ledger: Ledger | None = None,
        pace: Pace | None = None,
        concurrency: int = 8,
        max_tokens: int = 2048,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.cache = cache
        self.ledger = ledger or Ledger()
        self.concurrency = concurrency
        self.max_tokens = max_tokens
        self.temperature = temperature
        #: What happened: `asked`, `stored`, `reasked`, `waited_429`, `retried`, `fallback:…`.
        self.count: Counter[str] = Counter()
        self._dialect = Dialect()
        self._pace = pace or Pace()
        self._rng = random.Random(seed)
        self._room = asyncio.Semaphore(concurrency)
        self._asking: dict[str, asyncio.Lock] = {}
        self._waiting: Counter[str] = Counter()
        self._lost = 0
        self._busy_since: float | None = None
        self._stopped: HarvestStop | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """What of this object can change an answer, beside the model and the question."""
        return {"temperature": self.temperature, "max_tokens": self.max_tokens}

    async def ask[T](
        self,
        messages: Sequence[Message],
        *,
        read: Callable[[Completion], T],
        schema: Mapping[str, Any] | None = None,
        stage: str = "ask",
        sample: int = 0,
    ) -> Reply[T]:
        """Return what `read` makes of the model's answer.

        Args:
            messages: the conversation, each with role and content.
            read: makes a value of the answer, or raises `Unreadable` saying what is wrong; the
                model is then shown its answer and the reason, at most twice.
            schema: JSON Schema of the answer.
            stage: under which name tokens and money are counted.
            sample: number of the sample when one question is asked several times.

        Raises:
            AnswerError: no usable answer; carries the last one.
            ContextTooLong: the question is too long for the model.
            BudgetReached, EndpointRefused, EndpointUnreachable: going on makes no sense.
        """
        conversation = list(messages)
        for reasks in range(REASKS + 1):
            key, completion = await self._answer(conversation, schema, stage, sample)
            if completion.refusal or completion.finish == "content_filter":
                said = completion.refusal or completion.text
                self.cache.note(key, model=self.name, reason="will not answer", text=said)
                raise AnswerError(f"the model will not answer: {said[:200]!r}", answer=said)
            try:
                # In a thread: mending a very broken answer may take seconds.
                return Reply(await asyncio.to_thread(read, completion), completion, reasks)
            except Unreadable as error:
                reason = str(error)
            if reasks == REASKS:
                break
            stage = f"{stage.removesuffix(' again')} again"
            self.count["reasked"] += 1
            conversation += [
                {"role": "assistant", "content": completion.text[:QUOTED_BACK] or "(nothing)"},
                {
                    "role": "user",
                    "content": f"That answer cannot be used: {reason}. Answer the question above "
                    "once more, with nothing but the JSON object that was asked for.",
                },
            ]
        self.cache.note(key, model=self.name, reason=reason, text=completion.text)
        raise AnswerError(
            f"no usable answer after {REASKS + 1} questions: {reason}", answer=completion.text
        )

    def key(
        self, messages: Sequence[Message], *, schema: Mapping[str, Any] | None, sample: int = 0
    ) -> str:
        """Return the key under which the answer to a question is stored."""
        return response_key(
            model=self.name,
            messages=messages,
            schema=schema,
            parameters=self.parameters,
            sample=sample,
        )

    def halt(self) -> None:
        """Send nothing any more; calls under way still bring their answers home."""
        self._stopped = self._stopped or HarvestStop("the harvest was ended")

    async def close(self) -> None:
        """Close the connections."""
        await self.endpoint.close()

    async def _answer(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any] | None,
        stage: str,
        sample: int,
    ) -> tuple[str, Completion]:
        """Return the key of a question and its answer, stored or new."""
        key = self.key(messages, schema=schema, sample=sample)
        async with self._alone(key):  # the same question twice at once is paid for once
            stored = self.cache.get(key)
            if stored is not None:
                try:
                    completion = read_completion(stored.body)
                except NotACompletion:
                    stored = None  # saved by a process that was killed before it had looked
                else:
                    self.count["stored"] += 1
                    if stored.prompt_tokens is None:
                        self._account(key, completion, messages, stage)
                    return key, completion
            async with self._room:
                return key, await self._new_answer(key, messages, schema, stage)

    async def _new_answer(
        self, key: str, messages: Sequence[Message], schema: Mapping[str, Any] | None, stage: str
    ) -> Completion:
        text = "\n".join(message["content"] for message in messages)
        expected = count_tokens(text) + self.max_tokens // 4
        failures = 0
        async with self.ledger.reserve(
            prompt_tokens=most_tokens(text), output_tokens=self.max_tokens
        ):
            while True:
                await self._pace.turn(expected)
                if self._stopped is not None:
                    raise self._stopped
                version = self._dialect.version
                options = self._dialect.options(
                    schema=schema, max_tokens=self.max_tokens, temperature=self.temperature
                )
                request = {"model": self.name, "messages": list(messages), **options}
                try:
                    self.count["asked"] += 1
                    body = await self.endpoint.send(request)
                    completion = self._save(key, body)
                except Busy as busy:
                    await self._wait_for_turn(busy)
                except Rejected as rejected:
                    if not self._dialect.learn(f"{rejected}\n{rejected.body}", version):
                        self.cache.fail(
                            key, model=self.name, reason=str(rejected), text=rejected.body
                        )
                        raise AnswerError(
                            str(rejected), answer=rejected.body, retryable=True
                        ) from None
                    self.count.update(
                        name for name in self._dialect.fallbacks if not self.count[name]
                    )
                except Failed as failed:
                    self.cache.fail(key, model=self.name, reason=str(failed), text=failed.body)
                    failures += 1
                    await self._back_off(failed, failures)
                except HarvestStop as stop:
                    self._stopped = stop
                    raise
                except ContextTooLong as error:
                    self.cache.fail(key, model=self.name, reason=str(error), text="")
                    raise
                else:
                    self._lost, self._busy_since = 0, None
                    used = self._account(key, completion, messages, stage)
                    self._pace.correct(expected, used)
                    return completion

    def _save(self, key: str, body: str) -> Completion:
        """Store a body, then see whether it is an answer."""
        self.cache.save(key, model=self.name, body=body)
        try:
            return read_completion(body)
        except NotACompletion as error:
            raise Failed(f"{self.endpoint.shown}: {error}", body=body) from None

    def _account(
        self, key: str, completion: Completion, messages: Sequence[Message], stage: str
    ) -> int:
        prompt, output = completion.prompt_tokens, completion.output_tokens
        if prompt is None or output is None:
            self.count["usage_estimated"] += 1
            prompt = sum(count_tokens(message["content"]) for message in messages)
            output = count_tokens(completion.text)
        cost = self.ledger.use(stage, prompt_tokens=prompt, output_tokens=output)
        self.cache.account(key, prompt_tokens=prompt, output_tokens=output, cost=cost)
        return prompt + output

    async def _wait_for_turn(self, busy: Busy) -> None:
        """Pause all callers as long as the endpoint asks, or a drawn time that grows."""
        self.count["waited_429"] += 1
        now = self._pace.clock()
        if self._busy_since is None:
            self._busy_since = now
        waited = now - self._busy_since
        asked = busy.seconds
        if waited > PATIENCE or (asked or 0.0) > PATIENCE:
            when = f"asks to wait {asked:,.0f} s" if asked else f"was busy for {waited:,.0f} s"
            self._stopped = EndpointUnreachable(
                f"{busy}\nthe endpoint {when}; what is written stays, the same command goes on "
                "later, perhaps with a smaller --concurrency or --requests-per-minute"
            )
            raise self._stopped
        # Doubles with the time already waited, as the attempts of one caller would.
        growth = 0 if waited < 1 else int(waited).bit_length()
        pause = asked or full_jitter(growth, self._rng)
        _LOG.info("%s; waiting %.1f s", busy, pause)
        self._pace.pause(pause)

    async def _back_off(self, failed: Failed, failures: int) -> None:
        """Wait before the next attempt at a failed call, or give it up."""
        if failures < ATTEMPTS:
            self.count["retried"] += 1
            wait = failed.seconds
            if wait is None or wait > CAP:
                wait = full_jitter(failures - 1, self._rng)
            _LOG.info("%s; attempt %d of %d in %.1f s", failed, failures + 1, ATTEMPTS, wait)
            await self._pace.wait(wait)
            return
        self._lost += 1
        if failed.unreachable and (self._lost >= min(3, self.concurrency) or not self._answered):
            self._stopped = EndpointUnreachable(
                f"{self.endpoint.shown} cannot be reached: {failed}\nis the server running, is "
                "the base URL right? What is written stays; the same command goes on later"
            )
            raise self._stopped
        if self._lost >= max(MOST_LOST, 2 * self.concurrency):
            self._stopped = EndpointUnreachable(
                f"{self._lost} calls in a row failed, the last one: {failed}\nwhat is written "
                "stays; the same command goes on later"
            )
            raise self._stopped
        raise AnswerError(
            f"no answer in {ATTEMPTS} attempts: {failed}", answer=failed.body, retryable=True
        )

    @property
    def _answered(self) -> bool:
        return bool(self.ledger.stages)

    @asynccontextmanager
    async def _alone(self, key: str) -> AsyncIterator[None]:
        self._waiting[key] += 1
        try:
            async with self._asking.setdefault(key, asyncio.Lock()):
                yield
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key], self._asking[key]
