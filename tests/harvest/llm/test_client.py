"""The client against a server that fails in every way real endpoints were reported to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from harvest.errors import (
    AnswerError,
    BudgetReached,
    ContextTooLong,
    EndpointRefused,
    EndpointUnreachable,
)
from harvest.llm.background import BackgroundLoop
from harvest.llm.budget import Budget
from harvest.llm.client import ATTEMPTS, REASKS, LanguageModel, Reply
from harvest.llm.limits import CAP, full_jitter
from harvest.llm.prompt import Prompt
from harvest.llm.rows import Rows, read_rows
from harvest.responses import ResponseCache
from tests.harvest.llm.asking import Time, model
from tests.harvest.llm.server import KEY, SCHEMA, Server, error, without

PASSAGE = "Marie Curie was born in Warsaw. Niels Bohr works for Carlsberg."
PROMPT = Prompt(SCHEMA)
LOOP = BackgroundLoop()


async def ask_of(model: LanguageModel, passage: str = PASSAGE) -> Reply[Rows]:
    return await model.ask(
        PROMPT.messages(passage), read=read_rows, schema=PROMPT.answer_schema, stage="extract"
    )


def run[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """Run in one loop, to which connections belong."""
    return LOOP.submit(coroutine).result(60)


def ask(model: LanguageModel, passage: str = PASSAGE) -> Reply[Rows]:
    return run(ask_of(model, passage))


@pytest.mark.parametrize(
    "fault",
    ["fences", "think", "chatter", "stream", "tool call", "logprobs", "no usage", None],
)
def test_odd_shapes_of_a_good_answer_are_read_at_once(fault: str | None) -> None:
    with Server() as server:
        server.faults.append(fault)
        reply = ask(model(server))
        assert [row.head for row in reply.value.rows] == ["Marie Curie", "Niels Bohr"]
        assert reply.reasks == 0 and len(server.requests) == 1


@pytest.mark.parametrize("fault", ["empty", "blank", "null", "prose", "schema echo"])
def test_an_unreadable_answer_is_asked_for_again_with_the_reason(fault: str) -> None:
    with Server() as server:
        server.faults.append(fault)
        asked = model(server)
        reply = ask(asked)
        assert len(reply.value.rows) == 2 and reply.reasks == 1
        assert asked.count["reasked"] == 1
        again = server.requests[1]["messages"]
        assert again[:2] == server.requests[0]["messages"]
        assert "cannot be used" in again[-1]["content"]
        assert set(asked.ledger.stages) == {"extract", "extract again"}


@pytest.mark.parametrize("fault", ["empty", "null", "prose", "schema echo"])
def test_after_two_questions_more_the_answer_is_a_failure_with_its_text(fault: str) -> None:
    with Server() as server:
        server.faults += [fault] * (REASKS + 1)
        asked = model(server)
        with pytest.raises(AnswerError) as caught:
            ask(asked)
        assert len(server.requests) == REASKS + 1
        (failure,) = asked.cache.failures()
        assert failure.text == caught.value.answer
        assert ("sorry" in failure.text) == (fault == "prose")
        # Asked another time, all three answers come from the cache, and fail for nothing.
        with pytest.raises(AnswerError):
            ask(asked)
        assert len(server.requests) == REASKS + 1


@pytest.mark.parametrize("fault", ["refusal", "filtered"])
def test_a_model_that_will_not_answer_is_not_pressed(fault: str) -> None:
    with Server() as server:
        server.faults.append(fault)
        asked = model(server)
        with pytest.raises(AnswerError, match="will not answer"):
            ask(asked)
        assert len(server.requests) == len(list(asked.cache.failures())) == 1


@pytest.mark.parametrize(
    "fault", ["500", "503 html", "drop", "html", "empty body", "error in 200", "no choices"]
)
def test_a_failed_call_is_tried_again(fault: str) -> None:
    with Server() as server:
        server.faults += [fault] * (ATTEMPTS - 1)
        asked = model(server)
        assert len(ask(asked).value.rows) == 2
        assert asked.count["retried"] == ATTEMPTS - 1
        assert sum(1 for _ in asked.cache.failures()) == ATTEMPTS - 1


@pytest.mark.parametrize("fault", ["500", "html", "no choices"])
def test_a_call_that_always_fails_keeps_its_text_and_is_asked_another_time(fault: str) -> None:
    with Server() as server:
        server.faults += [fault] * ATTEMPTS
        asked = model(server)
        with pytest.raises(AnswerError, match=f"{ATTEMPTS} attempts"):
            ask(asked)
        failures = list(asked.cache.failures())
        assert len(failures) == ATTEMPTS and all(failure.text for failure in failures)
        assert asked.cache.size() == 0
        assert len(ask(asked).value.rows) == 2


def test_a_slow_call_is_given_up_and_tried_again() -> None:
    with Server() as server:
        server.faults.append("slow")
        asked = model(server, timeout=0.5)
        assert len(ask(asked).value.rows) == 2
        assert asked.count["retried"] == 1


def test_429_uses_up_no_attempt_and_waits_as_asked() -> None:
    with Server() as server:
        server.faults += ["429"] * (3 * ATTEMPTS)
        time = Time()
        asked = model(server, time=time)
        assert len(ask(asked).value.rows) == 2
        assert asked.count["waited_429"] == 3 * ATTEMPTS and asked.count["retried"] == 0
        assert time.slept == [pytest.approx(0.05)] * (3 * ATTEMPTS)


def test_429_without_a_time_backs_off_with_jitter() -> None:
    with Server() as server:
        server.faults += ["429 bare"] * 9
        time = Time()
        assert len(ask(model(server, time=time)).value.rows) == 2
        assert len(set(time.slept)) == 9 and max(time.slept) <= CAP


def test_an_invitation_to_pay_is_no_lack_of_credit() -> None:
    with Server() as server:
        text = "Rate limit reached. Add a payment method at example.org/account/billing"
        server.faults.append(lambda _: error(429, text, "rate_limit_exceeded"))
        assert len(ask(model(server)).value.rows) == 2


def test_429_that_lasts_too_long_stops_the_harvest() -> None:
    with Server() as server:
        server.faults.append("429 tomorrow")
        with pytest.raises(EndpointUnreachable, match="asks to wait 86,400 s"):
            ask(model(server))
    with Server() as server:
        server.faults += ["429 bare"] * 2000
        with pytest.raises(EndpointUnreachable, match="was busy for"):
            ask(model(server))


def test_back_off_is_drawn_from_a_window_that_doubles_up_to_a_cap() -> None:
    rng = random.Random(5)
    for attempt in range(12):
        drawn = [full_jitter(attempt, rng) for _ in range(200)]
        window = min(CAP, 2.0**attempt)
        assert 0 <= min(drawn) < window / 4 and 3 * window / 4 < max(drawn) <= window


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("401", "OPENAI_API_KEY"),
        ("403", "may not use this model"),
        ("404", "--model"),
        ("400 model", "--model"),
        ("429 quota", "no credit"),
    ],
)
def test_what_every_call_would_meet_stops_at_once(fault: str, words: str) -> None:
    with Server() as server:
        server.faults.append(fault)
        asked = model(server)
        with pytest.raises(EndpointRefused, match=words):
            ask(asked)
        with pytest.raises(EndpointRefused):  # nobody asks any more
            ask(asked, "Another passage.")
        assert len(server.requests) == 1


def test_no_server_at_all_is_said_once() -> None:
    with Server() as server:
        url = server.url
    gone: Any = type("Gone", (), {"url": url})()
    with pytest.raises(EndpointUnreachable, match="is the server running"):
        ask(model(gone))


def test_a_question_that_is_too_long_is_told_apart() -> None:
    with Server() as server:
        server.faults.append("too long")
        with pytest.raises(ContextTooLong, match="maximum context length"):
            ask(model(server))


@pytest.mark.parametrize(
    ("refused", "fallbacks", "kept"),
    [
        (["json_schema"], ["fallback:format=json_object"], "response_format"),
        (
            ["json_schema", "json_object"],
            ["fallback:format=json_object", "fallback:format=none"],
            "seed",
        ),
        (["logprobs"], ["fallback:logprobs=none"], "response_format"),
        (["max_tokens"], ["fallback:limit=max_completion_tokens"], "max_completion_tokens"),
        (["temperature", "seed"], ["fallback:seed=none", "fallback:temperature=none"], "logprobs"),
    ],
)
def test_a_refused_parameter_is_given_up_visibly(
    refused: list[str],
    fallbacks: list[str],
    kept: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Server(always=without(*refused)) as server:
        asked = model(server)
        assert len(ask(asked).value.rows) == 2
        assert sorted(n for n in asked.count if n.startswith("fallback")) == sorted(fallbacks)
        assert kept in server.requests[-1]
        ask(asked, "Max Born was born in Breslau.")  # and is not tried again
        assert len(server.requests) == len(fallbacks) + 2
        warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
        assert len(warnings) == len(fallbacks) and all("refuses" in w for w in warnings)


def test_calls_under_way_together_learn_a_refusal_once() -> None:
    async def both(asked: LanguageModel) -> None:
        await asyncio.gather(*(ask_of(asked, f"Max Born was born in {n}.") for n in "ABCDEF"))

    with Server(always=without("json_schema"), delay=0.05) as server:
        asked = model(server, concurrency=6)
        run(both(asked))
        assert [n for n in asked.count if n.startswith("fallback")] == [
            "fallback:format=json_object"
        ]


def test_a_request_that_is_refused_whatever_it_asks_for_is_one_failure() -> None:
    with Server() as server:
        server.faults += ["400"] * 20
        asked = model(server)
        with pytest.raises(AnswerError, match="bad request"):
            ask(asked)
        assert len(server.requests) == 8  # every optional parameter was given up before


def test_an_answer_is_never_asked_for_twice() -> None:
    with Server() as server:
        cache = ResponseCache(None)
        first = ask(model(server, cache=cache))
        second = model(server, cache=cache)
        assert ask(second) == first
        assert len(server.requests) == 1
        assert second.ledger.total.tokens == 0 and second.count["stored"] == 1


def test_the_same_question_twice_at_once_is_asked_once() -> None:
    async def both(asked: LanguageModel) -> list[Reply[Rows]]:
        return await asyncio.gather(*(ask_of(asked) for _ in range(5)))

    with Server(delay=0.05) as server:
        replies = run(both(model(server)))
        assert len(server.requests) == 1 and all(reply == replies[0] for reply in replies)


def test_no_more_calls_than_allowed_are_under_way() -> None:
    async def all_of(asked: LanguageModel) -> None:
        await asyncio.gather(*(ask_of(asked, f"Max Born was born in C{n}.") for n in range(12)))

    with Server(delay=0.05) as server:
        run(all_of(model(server, concurrency=3)))
        assert server.most_at_once == 3 and len(server.requests) == 12


@pytest.mark.parametrize("calls", [1, 3, 7])
def test_a_budget_is_used_up_and_never_passed(calls: int) -> None:
    """One call more would fit by its true cost, but not by the most that it may cost."""

    async def all_of(asked: LanguageModel) -> list[Any]:
        questions = (ask_of(asked, f"Max Born was born in C{n}.") for n in range(12))
        return await asyncio.gather(*questions, return_exceptions=True)

    with Server() as server:
        probe = model(server, max_tokens=100)
        ask(probe, "Max Born was born in C0.")
        one = probe.ledger.total.tokens
    with Server(delay=0.02) as server:
        budget = Budget(tokens=calls * one + 2000)
        asked = model(server, budget=budget, max_tokens=100, concurrency=4)
        results = run(all_of(asked))
        stopped = [r for r in results if isinstance(r, BudgetReached)]
        assert stopped and len(results) - len(stopped) == len(server.requests) >= calls
        assert asked.ledger.total.tokens <= budget.tokens  # type: ignore[operator]
        assert "are used and the next call may take" in str(stopped[0])


def test_a_budget_in_money_counts_prompt_and_answer_at_their_prices() -> None:
    with Server() as server:
        asked = model(server, budget=Budget(dollars=0.01))
        ask(asked)
        used = asked.ledger.total
        assert used.cost == pytest.approx((used.prompt_tokens + 2 * used.output_tokens) / 1e6)
        with pytest.raises(BudgetReached, match=r"\$0.00\d\d of \$0.0100 are spent"):
            for number in range(12):
                ask(asked, f"Max Born was born in C{number}.")


def test_the_key_is_sent_and_nothing_else_of_the_user() -> None:
    with Server() as server:
        ask(model(server))
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"
        assert not any("organization" in name.lower() for name in server.headers[0])
