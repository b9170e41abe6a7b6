"""Read what an endpoint sent as a chat completion, in the shapes that endpoints really send.

The text of the answer is looked for in this order: `message.content` (a string, or a list of
parts), the arguments of a tool call or of an old function call, the `text` of a plain completion.
A body that comes as a stream of `data:` lines is put together first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Completion", "NotACompletion", "read_completion", "without_halves"]


_HALF = re.compile("[\ud800-\udfff]")


class NotACompletion(ValueError):
    """The body is no chat completion: an error page, an empty body, another API."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model said."""

    text: str
    #: Why it stopped: "stop", "length", "content_filter", … or "" when the endpoint does not say.
    finish: str = ""
    #: What it says when it will not answer, "" otherwise.
    refusal: str = ""
    #: As the endpoint counts; None when it does not.
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    #: (token, natural logarithm of its probability) in order, empty when not given.
    logprobs: tuple[tuple[str, float], ...] = ()

    @property
    def truncated(self) -> bool:
        """The answer was cut off because it became too long."""
        return self.finish in ("length", "max_tokens", "model_length")


def read_completion(body: str) -> Completion:
    r"""Return the completion in the body of an HTTP answer.

    Raises:
        NotACompletion: there is none; the message says what there is instead.

    >>> read_completion('{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}')
    Completion(text='Hi', finish='stop', ...)
    >>> read_completion("<html>Bad gateway</html>")
    Traceback (most recent call last):
    ...
    harvest.llm.completion.NotACompletion: the body is no JSON but '<html>Bad gateway</html>'
    """
    if body.lstrip().startswith(("data:", "event:", ":")):
        value = _joined(body)
    else:
        try:
            value = json.loads(body, strict=False)
        except ValueError:
            start = body.strip()[:80]
            raise NotACompletion(
                f"the body is no JSON but {start!r}" if start else "the body is empty"
            ) from None
    if not isinstance(value, dict):
        raise NotACompletion(f"the body is {type(value).__name__}, not a completion")
    if value.get("error"):  # some endpoints say 200 and then that it went wrong
        raise NotACompletion(f"the body is an error: {json.dumps(value['error'])[:200]}")
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise NotACompletion(f"the body has no choices, only {', '.join(map(str, value)) or '{}'}")
    choice = choices[0]
    message = choice.get("message")
    if not isinstance(message, dict):
        message = {"content": choice.get("text")}
    usage = value.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Completion(
        text=_content(message),
        finish=str(choice.get("finish_reason") or ""),
        refusal=_string(message.get("refusal")),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        logprobs=_logprobs(choice.get("logprobs")),
    )


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        parts = (part.get("text") if isinstance(part, dict) else part for part in content)
        content = "".join(map(_string, parts))
    if isinstance(content, dict):  # already parsed by an eager server
        return _string(json.dumps(content, ensure_ascii=False))
    if isinstance(content, str) and content.strip():
        return _string(content)
    calls = message.get("tool_calls")
    calls = [*calls] if isinstance(calls, list) else []
    functions = [call.get("function") for call in calls if isinstance(call, dict)]
    for function in (*functions, message.get("function_call")):
        if isinstance(function, dict) and function.get("arguments"):
            arguments = function["arguments"]
            if isinstance(arguments, str):
                return _string(arguments)
            return _string(json.dumps(arguments, ensure_ascii=False))
    return _string(content)


def _joined(body: str) -> dict[str, Any]:
    """Put a streamed answer together into one that was not streamed."""
    text: list[str] = []
    finish = ""
    usage: Any = None
    error: Any = None
    seen = False
    for line in body.splitlines():
        name, _, data = line.partition(":")
        if name.strip() != "data" or data.strip() in ("", "[DONE]"):
            continue
        try:
            event = json.loads(data, strict=False)
        except ValueError:
            raise NotACompletion(f"the stream holds {data.strip()[:80]!r}") from None
        if not isinstance(event, dict):
            continue
        usage = event.get("usage") or usage
        error = event.get("error") or error
        for choice in (event.get("choices") or [])[:1]:
            seen = True
            part = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
            text.append(_content(part))
            finish = choice.get("finish_reason") or finish
    if not seen and not error:
        raise NotACompletion("the stream has no choices")
    choice = {"message": {"content": "".join(text)}, "finish_reason": finish}
    return {"choices": [choice], "usage": usage, "error": error}


def _logprobs(value: object) -> tuple[tuple[str, float], ...]:
    content = value.get("content") if isinstance(value, dict) else None
    if not isinstance(content, list):
        return ()
    found = []
    for token in content:
        if not isinstance(token, dict):
            return ()
        text, logprob = token.get("token"), token.get("logprob")
        if not isinstance(text, str) or not isinstance(logprob, int | float) or logprob > 0:
            return ()
        found.append((text, float(logprob)))
    return tuple(found)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _string(value: object) -> str:
    return without_halves(value) if isinstance(value, str) else ""


def without_halves(text: str) -> str:
    r"""Return a text without halves of surrogate pairs, which JSON can spell and UTF-8 cannot.

    >>> without_halves("Bob\ud83d") == "Bob\ufffd"
    True
    """
    return _HALF.sub("\ufffd", text)
