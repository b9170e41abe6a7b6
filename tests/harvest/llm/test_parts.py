"""The small parts: pace, budget, settings, the key, chunks, the prompt, the shapes of answers."""

from __future__ import annotations

import asyncio
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvest.errors import InputError
from harvest.llm.budget import Budget, Ledger, parse_budget
from harvest.llm.chunking import halves, sentence_chunks, sentence_spans
from harvest.llm.completion import Completion, NotACompletion, read_completion
from harvest.llm.limits import Pace, TokenBucket
from harvest.llm.prices import Price, find_price, parse_price
from harvest.llm.prompt import Prompt
from harvest.llm.rows import Row
from harvest.llm.scoring import HIGHEST, UNCALIBRATED, score_rows
from harvest.llm.secret import Secret
from harvest.llm.settings import Settings
from harvest.llm.tokens import count_tokens
from kg.records import Document
from tests.harvest.llm.asking import Time
from tests.harvest.llm.server import KEY, SCHEMA

# ---------------------------------------------------------------------------- pace and budget


@settings(max_examples=100, deadline=None)
@given(
    amounts=st.lists(st.floats(0.1, 200), min_size=1, max_size=30),
    pauses=st.lists(st.floats(0, 30), min_size=30, max_size=30),
    rate=st.floats(1, 500),
)
def test_a_bucket_never_lets_more_through_than_its_rate(
    amounts: list[float], pauses: list[float], rate: float
) -> None:
    time = Time()
    bucket = TokenBucket(rate, clock=time)
    used: list[tuple[float, float]] = []
    for amount, pause in zip(amounts, pauses, strict=False):
        time.now += pause
        time.now += bucket.take(amount)
        used.append((time.now, amount))
    for start in range(len(used)):
        for end in range(start, len(used)):
            # In any window: what fills in it, a full bucket, and one call that went into debt.
            allowed = rate * (1 + (used[end][0] - used[start][0]) / 60) + used[start][1]
            assert sum(amount for _, amount in used[start : end + 1]) <= allowed + 1e-6


def test_a_pause_holds_everybody_up() -> None:
    async def turns(pace: Pace) -> None:
        await asyncio.gather(*(pace.turn(1) for _ in range(3)))

    time = Time()
    pace = Pace(clock=time, sleep=time.sleep)
    pace.pause(5.0)
    pace.pause(2.0)  # a shorter one later does not end the longer
    asyncio.run(turns(pace))
    assert time.now >= 5.0


def test_a_limit_of_requests_spreads_calls() -> None:
    async def turns(pace: Pace) -> None:
        for _ in range(90):
            await pace.turn(1)

    time = Time()
    asyncio.run(turns(Pace(requests_per_minute=30, clock=time, sleep=time.sleep)))
    assert time.now == pytest.approx(120.0)


def test_what_was_estimated_too_high_is_given_back() -> None:
    async def turns(pace: Pace) -> None:
        for _ in range(10):
            await pace.turn(100)
            pace.correct(100, 10)

    time = Time()
    asyncio.run(turns(Pace(tokens_per_minute=200, clock=time, sleep=time.sleep)))
    assert time.now == 0.0


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("2.50usd", Budget(dollars=2.5)),
        ("$ 3", Budget(dollars=3.0)),
        ("0.5 USD", Budget(dollars=0.5)),
        ("1$", Budget(dollars=1.0)),
        ("200000tokens", Budget(tokens=200_000)),
        ("1,500 tokens", Budget(tokens=1_500)),
        ("1.5M tok", Budget(tokens=1_500_000)),
        ("20_000 tokens", Budget(tokens=20_000)),
    ],
)
def test_budgets_are_money_or_tokens(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    "text", ["", "5", "-1usd", "1,5 tokens", "lots", "1e9", "5eur", "1.2.3tok"]
)
def test_a_budget_without_a_unit_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="budget"):
        parse_budget(text)


@pytest.mark.parametrize("text", ["1", "1/2/3", "a/b", "-1/2", "nan/1", "inf/1", ""])
def test_a_price_is_two_numbers(text: str) -> None:
    with pytest.raises(InputError, match="PROMPT/ANSWER"):
        parse_price(text)


def test_prices_of_dated_and_brokered_names() -> None:
    assert find_price("gpt-4o-2024-08-06") == find_price("openai/gpt-4o") == find_price("GPT-4o")
    assert find_price("gpt-4o-audio") is None and find_price("llama") is None
    assert "20" in (find_price("gpt-4o") or Price(0, 0, "")).source  # the table's date


def test_money_needs_a_price() -> None:
    with pytest.raises(InputError, match="--price"):
        Ledger(Budget(dollars=1.0))


# ---------------------------------------------------------------------------- the key, settings


def test_a_key_shows_itself_nowhere() -> None:
    key = Secret(f" {KEY}\n")
    assert KEY not in f"{key!r}{key}{key!s}" and key.reveal() == KEY
    echoed = f"x {KEY} y {json.dumps(KEY)} {KEY.replace('/', chr(92) + '/')} z%2F {KEY}"
    assert KEY not in key.hide(echoed) and "\\/abcdef" not in key.hide(echoed)
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_a_place_holder_is_no_secret() -> None:
    assert Secret("none").hide("none of them") == "none of them"


@pytest.mark.parametrize("value", ["sk-a b", "sk-ä", "sk\n-x", "sk-\x00"])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(InputError) as caught:
        Secret(value)
    assert value not in str(caught.value)


def test_variables_that_are_no_numbers_are_named() -> None:
    given = {"SHEAF_CONCURRENCY": "many", "OPENAI_API_KEY": KEY}
    with pytest.raises(InputError, match="SHEAF_CONCURRENCY='many'"):
        Settings.resolve({"model": "m"}, environment=given)


@pytest.mark.parametrize("name", ["concurrency", "timeout", "answer_tokens"])
def test_numbers_that_make_no_sense_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=name):
        Settings.resolve({"model": "m", name: 0}, environment={"OPENAI_API_KEY": KEY})


def test_no_file_is_read_unless_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={KEY}\nSHEAF_MODEL=m\n")
    with pytest.raises(InputError, match="must be named"):
        Settings.resolve({}, environment={})
    assert Settings.resolve({}, environment={}, dotenv=tmp_path / ".env").key.reveal() == KEY
    with pytest.raises(InputError, match="must be named"):
        Settings.resolve({}, environment={}, dotenv=tmp_path / "none")


# ---------------------------------------------------------------------------- chunks and prompt

PIECES = st.sampled_from(
    [
        "Ann met Bob. ",
        "It rained? ",
        "\r\n\r\n",
        "Dr. X came! ",
        "東京都です。",
        "word " * 30,
        "\n",
        " ",
        "é" * 50,
    ]
)


@settings(max_examples=80, deadline=None)
@given(pieces=st.lists(PIECES, max_size=12), most=st.integers(3, 60))
def test_chunks_hold_every_word_once_and_keep_to_their_size(pieces: list[str], most: int) -> None:
    text = "".join(pieces)
    chunks = sentence_chunks(Document(uri="a", text=text), most_tokens=most)
    at = 0
    for chunk in chunks:
        assert chunk.start >= at and not text[at : chunk.start].strip()
        inside = text[chunk.start : chunk.end]
        assert inside == inside.strip() != ""
        if len(inside.split()) > 1 and count_tokens(inside) > most:
            raise AssertionError((inside, count_tokens(inside), most))
        at = chunk.end
    assert not text[at:].strip()


def test_a_paragraph_ends_a_sentence() -> None:
    text = "A heading\n\nOne sentence. And two\n \nLast"
    assert [text[slice(*span)] for span in sentence_spans(text)] == [
        "A heading",
        "One sentence.",
        "And two",
        "Last",
    ]


def test_a_long_text_is_split_in_blocks_without_losing_anything() -> None:
    text = "One two three. " * 8_000
    spans = list(sentence_spans(text))
    assert len(spans) == 8_000 and text[slice(*spans[-1])] == "One two three."


def test_halves_are_cut_between_sentences_then_words_then_not() -> None:
    text = "One two. Three four five six. Seven."
    first, second = halves(text, (0, len(text))) or ((0, 0), (0, 0))
    assert text[slice(*first)] == "One two." and text[slice(*second)].startswith("Three")
    words = halves("one two three", (0, 13))
    assert words == ((0, 3), (4, 13))  # both are as near; the first one wins
    assert halves("word", (0, 4)) is None and halves("xx word", (3, 7)) is None


def test_the_prompt_names_relations_types_and_directions() -> None:
    prompt = Prompt(SCHEMA)
    system = prompt.messages("x")[0]["content"]
    for name in ("born_in: Person → Place", "born_on: Person → date", "City (a kind of Place)"):
        assert name in system
    enum = prompt.answer_schema["properties"]["statements"]["items"]["properties"]["relation"]
    assert enum["enum"] == list(SCHEMA.relations)
    assert Prompt(SCHEMA, open_relations=True).hash != prompt.hash == Prompt(SCHEMA).hash


# ---------------------------------------------------------------------------- answers


def body(**message: Any) -> str:
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (body(content="x"), "x"),
        (body(content=[{"type": "text", "text": "x"}, {"type": "image"}, "y"]), "xy"),
        (body(content={"a": 1}), '{"a": 1}'),
        (body(content=None, tool_calls=[{"function": {"arguments": "x"}}]), "x"),
        (body(content="", tool_calls=[{"function": {"arguments": {"a": 1}}}]), '{"a": 1}'),
        (body(content=None, function_call={"arguments": "x"}), "x"),
        (body(content=None, tool_calls="x"), ""),
        (json.dumps({"choices": [{"text": "x"}]}), "x"),
        (json.dumps({"choices": [{"message": None}]}), ""),
        ('data: {"choices": [{"delta": {"content": "x"}}]}\n\n: ping\n\ndata: [DONE]\n', "x"),
    ],
)
def test_the_answer_is_found_wherever_it_is(value: str, text: str) -> None:
    assert read_completion(value).text == text


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "null", "[]", "{}", "oops", "data: x", "data: {}"),
        *('{"choices": []}', '{"choices": "x"}', '{"error": {"a": 1}}', '{"choices": [1]}'),
    ],
)
def test_what_is_no_completion_is_said(value: str) -> None:
    with pytest.raises(NotACompletion) as caught:
        read_completion(value)
    assert str(caught.value)


@pytest.mark.parametrize("usage", [None, "x", {}, {"prompt_tokens": -1}, {"prompt_tokens": "9"}])
def test_odd_counts_are_no_counts(usage: Any) -> None:
    value = json.dumps({"choices": [{"message": {"content": "x"}}], "usage": usage})
    assert read_completion(value).prompt_tokens is None


@pytest.mark.parametrize(
    "content", [None, "x", [1], [{"token": "x", "logprob": None}], [{"token": "x", "logprob": 3}]]
)
def test_odd_log_probabilities_are_none(content: Any) -> None:
    choice = {"message": {"content": "x"}, "logprobs": {"content": content}}
    assert read_completion(json.dumps({"choices": [choice]})).logprobs == ()


def test_scores_are_the_mean_probability_of_the_words_that_matter() -> None:
    rows = [Row("A b C.", "A", "b", "C"), Row("A b D.", "A", "b", "D"), Row("?", "x", "y", "z")]
    tokens = [
        ('[{"quote": "A b C.", "head": "', -9.0),
        ("A", -0.1),
        ('", "relation": "', -9.0),
        ("b", -0.2),
        ('", "tail": "', -9.0),
        ("C", -0.3),
        ('"}, {"quote": "A b D.", "head": "A", "relation": "b", "tail": "D"}]', 0.0),
    ]
    completion = Completion("".join(token for token, _ in tokens), logprobs=tuple(tokens))
    assert score_rows(completion, rows) == [0.8187, HIGHEST, UNCALIBRATED]  # exp(-0.2)
