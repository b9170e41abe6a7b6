"""A language model as the judge of entity resolution: are these two entities one thing?

```
pairs ─► verdict stored? ─ yes ────────────────────────────────────────────► True, False, None
            └─ no ─► one call for all of them ─► verdicts ─► stored by pair ─►──┘
```

A merge must have been said: a pair without a readable verdict stays two, and is counted. Verdicts
are stored by pair, as the answer to that pair alone. So a later resolution, where merges have left
other pairs to be asked together, asks again only what has changed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from harvest.errors import AnswerError, BudgetReached, ContextTooLong
from harvest.llm.background import BackgroundLoop
from harvest.llm.client import LanguageModel, Unreadable
from harvest.llm.completion import NotACompletion, read_completion
from harvest.llm.tokens import count_tokens
from harvest.llm.verdicts import (
    ANSWER_SCHEMA,
    DIFFERENT,
    PROMPT,
    SAME,
    UNCLEAR,
    Verdict,
    answer_of,
    messages,
    read_verdicts,
)
from kg.resolution import Question

__all__ = ["FailedQuestions", "LanguageModelJudge"]

STAGE: Final = "judge"
#: Tokens of the verdict on one pair, with its brackets.
VERDICT_TOKENS: Final = count_tokens(answer_of({1: DIFFERENT}))
_ANSWERS: Final = {SAME: True, DIFFERENT: False, UNCLEAR: None}


@dataclass(frozen=True, slots=True)
class FailedQuestions:
    """A call whose answer held no verdict for some or all of its pairs."""

    #: The names of each such pair.
    pairs: tuple[tuple[str, str], ...]
    reason: str
    #: What the model said instead, "" when nothing came.
    text: str


class LanguageModelJudge:
    """Answers the doubtful pairs of `kg.resolution.resolve` by asking a language model.

    One call asks about all pairs that it is given at once; resolution gives it 20. Once the budget
    is reached it answers None to all that is not stored, so that the merges found so far are
    written; `stopped` then holds the reason.

    Args:
        model: whom to ask. The judge closes it.
        ask: False asks nobody: stored verdicts are used, and the rest is counted as `not_asked`.
    """

    def __init__(self, model: LanguageModel, *, ask: bool = True) -> None:
        self.model = model
        #: Why nobody is asked any more, None while the budget lasts.
        self.stopped: BudgetReached | None = None
        #: The calls that left pairs without a verdict.
        self.failures: list[FailedQuestions] = []
        self._ask = ask
        self._count: Counter[str] = Counter()
        self._loop = BackgroundLoop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ask nothing more, and close the connections. Closing twice is allowed."""
        self.model.halt()
        self._loop.cancel()
        self._loop.submit(self.model.close()).result()
        self._loop.close()

    @property
    def identity(self) -> str:
        """What tells this judge from others that may decide otherwise, for a run's config."""
        parts = {"model": self.model.name, "prompt": PROMPT, **self.model.parameters}
        return json.dumps(parts, sort_keys=True)

    @property
    def report(self) -> Mapping[str, Any]:
        """Return what was counted: pairs by outcome, and what the calls took.

        `pairs` are the sum of `same`, `different`, `unclear` (the model cannot tell), `unreadable`
        (no readable verdict came) and `not_asked` (no budget, or nobody was to be asked); `stored`
        of them were answered by the cache. `estimated_tokens` are those of the pairs not asked.
        """
        total = self.model.ledger.total
        priced = self.model.ledger.price is not None
        names = ("pairs", SAME, DIFFERENT, UNCLEAR, "unreadable", "not_asked", "stored")
        return {
            "model": self.model.name,
            **{name: self._count[name] for name in names},
            "estimated_tokens": self._count["estimated_tokens"],
            "calls": total.calls,
            "failed_calls": len(self.failures),
            "prompt_tokens": total.prompt_tokens,
            "output_tokens": total.output_tokens,
            "dollars": round(total.cost, 6) if priced else None,
            "failures": self.failures,
        }

    def __call__(self, questions: Sequence[Question]) -> list[bool | None]:
        """Answer questions in their order; None where there is no verdict.

        Raises:
            EndpointRefused, EndpointUnreachable: going on makes no sense.
        """
        verdicts = {at: self._stored(one) for at, one in enumerate(questions)}
        new = [at for at, verdict in verdicts.items() if verdict is None]
        self._count["pairs"] += len(questions)
        self._count["stored"] += len(questions) - len(new)
        if new:
            answered = self._answered([questions[at] for at in new])
            verdicts.update(zip(new, answered, strict=True))
        self._count.update(verdict for verdict in verdicts.values() if verdict is not None)
        return [None if said is None else _ANSWERS[said] for said in verdicts.values()]

    def _answered(self, questions: Sequence[Question]) -> list[Verdict | None]:
        """Ask about pairs that are not stored, in halves if they are too much at once."""
        asked = messages(questions)
        if not self._ask or self.stopped is not None:
            self._count["not_asked"] += len(questions)
            self._count["estimated_tokens"] += VERDICT_TOKENS * len(questions) + sum(
                count_tokens(message["content"]) for message in asked
            )
            return [None] * len(questions)
        asking = self.model.ask(
            asked,
            read=lambda completion: read_verdicts(completion, len(questions)),
            schema=ANSWER_SCHEMA,
            stage=STAGE,
        )
        try:
            reply = self._loop.submit(asking).result()
        except BudgetReached as reached:
            self.stopped = reached
            return self._answered(questions)
        except ContextTooLong as error:
            if len(questions) == 1:
                return self._failed(questions, str(error), "")
            half = len(questions) // 2
            return self._answered(questions[:half]) + self._answered(questions[half:])
        except AnswerError as error:
            return self._failed(questions, str(error), error.answer)
        verdicts = [reply.value.get(number) for number in range(1, len(questions) + 1)]
        missing = [one for one, said in zip(questions, verdicts, strict=True) if said is None]
        if missing:
            self._failed(missing, "no readable verdict for these pairs", reply.completion.text)
        for one, said in zip(questions, verdicts, strict=True):
            if said is not None:
                self._store(one, said)
        return verdicts

    def _failed(
        self, questions: Sequence[Question], reason: str, text: str
    ) -> list[Verdict | None]:
        self._count["unreadable"] += len(questions)
        pairs = tuple((one.first.name, one.second.name) for one in questions)
        self.failures.append(FailedQuestions(pairs, reason, text))
        return [None] * len(questions)

    def _key(self, question: Question) -> str:
        return self.model.key(messages([question]), schema=ANSWER_SCHEMA)

    def _stored(self, question: Question) -> Verdict | None:
        stored = self.model.cache.get(self._key(question))
        if stored is None:
            return None
        try:
            return read_verdicts(read_completion(stored.body), 1).get(1)
        except (NotACompletion, Unreadable):
            return None  # a pair that was asked alone, in vain; the client knows what to do

    def _store(self, question: Question, verdict: Verdict) -> None:
        """Keep a verdict as the completion that the pair alone would have had, which cost nothing.

        The first body of a key stays, so the real answer to a pair that was asked alone does.
        """
        key = self._key(question)
        if self.model.cache.get(key) is None:
            choice = {"message": {"content": answer_of({1: verdict})}, "finish_reason": "stop"}
            body = json.dumps({"choices": [choice]})
            self.model.cache.save(key, model=self.model.name, body=body)
            self.model.cache.account(key, prompt_tokens=0, output_tokens=0, cost=0.0)
