"""A language model of the tests: a local server that answers, and misbehaves when told to.

It reads the passage in the prompt with regular expressions and answers as a good model would; asked
about pairs of entities, it goes by their neighbours. Each
request may meet a *fault*, taken from a queue: one of the ways in which real endpoints and models
fail (429, truncated JSON, a think block, the key echoed …). It needs no network and no key.

    with Server() as server:
        server.faults += ["429", "fences"]
        … ask server.url …
        assert len(server.requests) == 3
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from kg.schema import Schema

KEY = "sk-test-0123456789/abcdef"

SCHEMA = Schema.parse(
    """
types: {Person: {}, Place: {}, City: {parent: Place}, Organization: {}}
relations:
  born_in:
    description: the place where a person was born
    head: Person
    tail: Place
    aliases: [birthplace]
    inverse: birthplace_of
  works_for: {head: Person, tail: Organization, description: a person's employer}
  born_on: {head: Person, tail: date}
  married: {head: Person, tail: Person, symmetric: true}
  students: {head: Organization, tail: number}
"""
)

_NAME = r"[A-Z]\w+(?: [A-Z]\w+)*"
_HEAD = rf"(?P<head>{_NAME})"
_TAIL = rf"(?P<tail>{_NAME})"
_EMPLOYS = "works_for Person Organization"
_PATTERNS = (
    (rf"{_HEAD} (?P<not>never )?was (?P<maybe>perhaps )?born in {_TAIL}", "born_in Person City"),
    (rf"{_HEAD} (?P<not>never )?works for (?P<maybe>perhaps )?{_TAIL}", _EMPLOYS),
    (rf"{_HEAD} was born on (?P<tail>\d+ \w+ \d{{4}})", "born_on Person date"),
    (rf"{_HEAD} married {_TAIL}", "married Person Person"),
    (rf"{_HEAD} has (?P<tail>[\d,]+) students", "students Organization number"),
)


def statements(passage: str) -> list[dict[str, Any]]:
    """What a perfect model finds in a passage."""
    found = []
    for pattern, names in _PATTERNS:
        relation, head_type, tail_type = names.split()
        for match in re.finditer(pattern, passage):
            found.append(
                {
                    "quote": match[0],
                    "head": match["head"],
                    "head_type": head_type,
                    "relation": relation,
                    "tail": match["tail"],
                    "tail_type": tail_type,
                    "negated": bool(match.groupdict().get("not")),
                    "hedged": bool(match.groupdict().get("maybe")),
                }
            )
    return sorted(found, key=lambda row: passage.index(row["quote"]))


def passage_of(request: Mapping[str, Any]) -> str:
    # Examples come before the passage. A question that is asked again ends with a complaint.
    users = [m["content"] for m in request["messages"] if m["role"] == "user"]
    user = next((text for text in reversed(users) if "Passage:\n" in text), "")
    return user.partition("Passage:\n")[2]


def pairs_of(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pairs of entities that a judge is asked about; none in another question."""
    user = next(m["content"] for m in request["messages"] if m["role"] == "user")
    head, _, lines = user.partition("\n")
    return [json.loads(line) for line in lines.splitlines()] if head == "Pairs:" else []


def verdicts(pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Same with a neighbour in common, unclear where none is known, different otherwise."""
    found = []
    for pair in pairs:
        one, other = (set(pair[end].get("neighbours", ())) for end in ("first", "second"))
        verdict = "same" if one & other else "different" if one | other else "unclear"
        found.append({"pair": pair["pair"], "verdict": verdict})
    return found


def answer_of(request: Mapping[str, Any]) -> str:
    if pairs := pairs_of(request):
        return json.dumps({"answers": verdicts(pairs)})
    return json.dumps({"statements": statements(passage_of(request))}, ensure_ascii=False)


def count(text: str) -> int:
    """Tokens as this server counts them: about four letters each."""
    return sum(-(-len(word) // 4) for word in re.findall(r"\w+|[^\w\s]", text))


def completion(text: str | None, request: Mapping[str, Any], **message: Any) -> dict[str, Any]:
    prompt = sum(count(m["content"]) for m in request["messages"])
    return {
        "id": "x",
        "object": "chat.completion",
        "model": request["model"],
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": text, **message},
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": count(text or ""),
            "total_tokens": prompt + count(text or ""),
        },
    }


@dataclass
class Reaction:
    """What goes back: status, headers and body; None as status drops the connection."""

    status: int | None = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0


def _json(value: Any, status: int = 200, **headers: str) -> Reaction:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reaction(
        status,
        json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"),
        {"content-type": "application/json", **named},
    )


def error(status: int, message: str, code: str = "", **headers: str) -> Reaction:
    return _json({"error": {"message": message, "code": code, "type": "x"}}, status, **headers)


def text(make: Callable[[str], str | None]) -> Callable[[Any], Reaction]:
    """A fault in what the model says."""
    return lambda request: _json(completion(make(answer_of(request)), request))


def _finished(reason: str, make: Callable[[str], str]) -> Callable[[Any], Reaction]:
    def react(request: Any) -> Reaction:
        value = completion(make(answer_of(request)), request)
        value["choices"][0]["finish_reason"] = reason
        return _json(value)

    return react


def _latin_1(request: Any) -> Reaction:
    value = json.dumps(completion("Zo\u00eb", request), ensure_ascii=False)
    return Reaction(200, value.encode("latin-1"))


def _no_usage(request: Any) -> Reaction:
    value = completion(answer_of(request), request)
    del value["usage"]
    return _json(value)


def _down(request: Any) -> Reaction:
    return Reaction(503, b"<html><body>down</body></html>", {"retry-after": "0.01"})


_ECHO = json.dumps({"type": "object", "properties": {"statements": {"type": "array"}}})
_CONTEXT = "This model's maximum context length is 10 tokens"


def _stream(request: Any) -> Reaction:
    said = answer_of(request)
    parts = [said[at : at + 7] for at in range(0, len(said), 7)]
    events = [{"choices": [{"delta": {"content": part}}]} for part in parts]
    events.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    events.append({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 9}})
    lines = [f"data: {json.dumps(event)}\n\n" for event in events] + ["data: [DONE]\n\n"]
    return Reaction(200, "".join(lines).encode(), {"content-type": "text/event-stream"})


def _tool_call(request: Any) -> Reaction:
    call = {"type": "function", "function": {"name": "x", "arguments": answer_of(request)}}
    return _json(completion(None, request, tool_calls=[call]))


def _logprobs(request: Any) -> Reaction:
    said = answer_of(request)
    value = completion(said, request)
    tokens = [said[at : at + 3] for at in range(0, len(said), 3)]
    content = [{"token": token, "logprob": -0.25} for token in tokens]
    value["choices"][0]["logprobs"] = {"content": content}
    return _json(value)


def without(*names: str) -> Callable[[Any], Reaction | None]:
    """An endpoint that refuses some parameters, whenever they come."""

    def react(request: Any) -> Reaction | None:
        for name in names:
            kind = request.get("response_format", {}).get("type")
            if name in request or name == kind:
                return error(400, f"Unsupported parameter or value: {name!r}")
        return None

    return react


FAULTS: dict[str, Callable[[Any], Reaction | None]] = {
    "429": lambda request: error(429, "slow down", retry_after="0.05"),
    "429 bare": lambda request: error(429, "slow down"),
    "429 quota": lambda request: error(429, "no quota left", "insufficient_quota"),
    "429 tomorrow": lambda request: error(429, "slow down", retry_after="86400"),
    "500": lambda request: error(500, "oops"),
    "503 html": _down,
    "drop": lambda request: Reaction(None),
    "slow": lambda request: Reaction(200, b"{}", delay=1.5),
    "html": lambda request: Reaction(200, b"<html><title>Welcome</title></html>"),
    "empty body": lambda request: Reaction(200, b""),
    "error in 200": lambda request: _json({"error": {"message": "overloaded"}}),
    "no choices": lambda request: _json({"choices": []}),
    "401": lambda request: error(401, f"Incorrect API key provided: {KEY}"),
    "403": lambda request: error(403, "not for you"),
    "404": lambda request: error(404, "The model does not exist", "model_not_found"),
    "400 model": lambda request: error(400, "unknown model", "model_not_found"),
    "400": lambda request: error(400, "bad request"),
    "too long": lambda request: error(400, _CONTEXT, "context_length_exceeded"),
    "empty": text(lambda said: ""),
    "blank": text(lambda said: " \n"),
    "null": text(lambda said: None),
    "prose": text(lambda said: "I am sorry, there is nothing I can do."),
    "fences": text(lambda said: f"```json\n{said}\n```"),
    "think": text(lambda said: f'<think>{{"statements": []}} or so</think>\n{said}'),
    "chatter": text(lambda said: f"Sure! Here you are:\n{said}\nLet me know [if] that helps."),
    "schema echo": text(lambda said: _ECHO),
    "truncated": _finished("length", lambda said: said[: len(said) * 2 // 3]),
    "filtered": _finished("content_filter", lambda said: ""),
    "refusal": lambda request: _json(completion(None, request, refusal="I must not.")),
    "stream": _stream,
    "tool call": _tool_call,
    "logprobs": _logprobs,
    "latin-1": _latin_1,
    "echo key": text(lambda said: json.dumps({"statements": [], "key": KEY})),
    "echo key 500": lambda request: error(500, f"key {KEY} failed"),
    "echo key 400": lambda request: error(400, f"bad header: Bearer {KEY}"),
    "no usage": _no_usage,
}


class Server:
    """The server, on a free port, in a thread of its own.

    Args:
        delay: seconds that every answer takes.
        always: a fault for every request that it concerns, such as `without("json_schema")`.
    """

    def __init__(
        self, *, delay: float = 0.0, always: Callable[[Any], Reaction | None] | None = None
    ) -> None:
        self.delay = delay
        self.always = always
        #: Names of `FAULTS` (or reactions of one's own) for the next requests; None is none.
        self.faults: deque[str | Callable[[Any], Reaction | None] | None] = deque()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def react(self, request: dict[str, Any], headers: dict[str, str]) -> Reaction:
        with self._lock:
            self.requests.append(request)
            self.headers.append(headers)
            fault = self.faults.popleft() if self.faults else None
        if self.always is not None and (reaction := self.always(request)) is not None:
            return reaction
        react = FAULTS[fault] if isinstance(fault, str) else fault
        reaction = None if react is None else react(request)
        return reaction or _json(completion(answer_of(request), request))

    def enter(self) -> None:
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)

    def leave(self) -> None:
        with self._lock:
            self._now -= 1


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    owner: Server

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is part of the test."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def do_POST(self) -> None:
        owner = self.server.owner
        body = self.rfile.read(int(self.headers["content-length"]))
        owner.enter()
        try:
            reaction = owner.react(json.loads(body), dict(self.headers.items()))
            time.sleep(owner.delay + reaction.delay)
        finally:
            owner.leave()
        if reaction.status is None:
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(reaction.status)
        for name, value in reaction.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(reaction.body)))
        self.end_headers()
        self.wfile.write(reaction.body)

    def log_message(self, *_: Any) -> None:
        """Stay silent."""
