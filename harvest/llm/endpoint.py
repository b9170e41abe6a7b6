"""One HTTP call to an OpenAI-compatible endpoint, and what its outcome means.

| outcome | becomes |
|---|---|
| 2xx | the body, as it was sent |
| 401, 402, 403, 404, 429 without credit | `EndpointRefused`: every further call would fail, too |
| 429 | `Busy`: wait as long as it says; no attempt is used up |
| 408, 409, 425, 5xx, time-out | `Failed`, worth another attempt |
| no connection | `Failed`, and `unreachable` |
| 400, 413, 422 about length | `ContextTooLong` |
| 400, 422 otherwise | `Rejected`: perhaps it dislikes an optional parameter (`dialect`) |

The key is taken out of every body and message here, so that nothing behind this file can show it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from harvest.errors import ContextTooLong, EndpointRefused, InputError
from harvest.llm.limits import retry_after
from harvest.llm.secret import Secret

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["DEFAULT_URL", "Busy", "Endpoint", "Failed", "Rejected"]

DEFAULT_URL: Final = "https://api.openai.com/v1"
#: Longest part of an endpoint's message that is shown; the cache keeps all of it.
SHOWN: Final = 300

_TOO_LONG = re.compile(
    r"context[ _-]?(length|window|size)|maximum context|max_model_len|too many (input )?tokens"
    r"|(prompt|input|request) (is|are) too (long|large)|reduce the length",
    re.I,
)
#: Not "billing": a message about too many requests may invite to raise the limit there.
_NO_CREDIT = re.compile(
    r"insufficient[_ ](quota|credits?|balance|funds)|exceeded your current quota"
    r"|credit balance is too low",
    re.I,
)


class _Trouble(Exception):
    """A call that gave no answer."""

    def __init__(self, reason: str, *, body: str = "") -> None:
        super().__init__(reason)
        #: What came instead, in full.
        self.body = body


class Busy(_Trouble):
    """Too many requests; `seconds` as the endpoint asks, None when it does not say."""

    seconds: float | None = None


class Failed(_Trouble):
    """A failure that another attempt may not meet."""

    #: The endpoint asked for a pause.
    seconds: float | None = None
    #: No connection was made.
    unreachable: bool = False


class Rejected(_Trouble):
    """The endpoint does not take the request as it is."""


class Endpoint:
    """An OpenAI-compatible server.

    Args:
        url: its base, such as `http://localhost:8000/v1`.
        key: what it is told who asks; may be empty for a local server.
        timeout: seconds for one whole call.
    """

    def __init__(self, url: str, *, key: Secret, timeout: float = 120.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(
                f"base URL {_without_user(url)!r}: write the endpoint's address with http:// or "
                "https://, as http://localhost:8000/v1"
            )
        #: The address without a user's name and password.
        self.shown = _without_user(url)
        self._url = url
        self._key = key
        self._timeout = timeout
        self._client: AsyncOpenAI | None = None

    async def send(self, request: Mapping[str, Any]) -> str:
        """Send a chat completion request and return the body of the answer.

        Raises:
            EndpointRefused, ContextTooLong, Busy, Failed, Rejected: see the table above.
        """
        import openai

        try:
            async with asyncio.timeout(self._timeout):  # httpx only limits each read
                answer = await self._open().chat.completions.with_raw_response.create(**request)
                body = answer.content
        except TimeoutError:
            raise Failed(f"no answer within {self._timeout:g} s") from None
        except openai.APITimeoutError:
            raise Failed(f"no answer within {self._timeout:g} s") from None
        except openai.APIStatusError as error:
            content = error.response.content
            raise self._meaning(error.status_code, error.response.headers, content) from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            failed = Failed(
                self._key.hide(f"no connection ({type(cause).__name__}: {cause or 'cut off'})")
            )
            failed.unreachable = True
            raise failed from None
        return self._key.hide(body.decode("utf-8", "replace"))

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    def _open(self) -> AsyncOpenAI:
        if self._client is None:
            from openai import AsyncOpenAI

            self._client = AsyncOpenAI(
                base_url=self._url,
                api_key=self._key.reveal() or "no-key",
                timeout=self._timeout,
                max_retries=0,  # we count attempts ourselves, and 429 is none
                organization=None,
                project=None,
            )
        return self._client

    def _meaning(self, status: int, headers: Mapping[str, str], content: bytes) -> Exception:
        body = self._key.hide(content.decode("utf-8", "replace"))
        message = _message(body)
        said = f"{self.shown} says {status}: {message}"
        if status == 429 and not _NO_CREDIT.search(body):
            busy = Busy(said, body=body)
            busy.seconds = retry_after(headers)
            return busy
        advice = {
            401: "check OPENAI_API_KEY (environment or .env) and the base URL",
            402: "the account has no credit",
            403: "the key may not use this model",
            404: "check --model and --base-url",
            429: "the account has no credit left",
        }
        if status in advice:
            return EndpointRefused(f"{said}\n{advice[status]}; what is written stays")
        if status in (400, 413, 422):
            if status == 413 or _TOO_LONG.search(body):
                return ContextTooLong(
                    f"{said}; make chunks shorter with --chunk-tokens, or answers with "
                    "--answer-tokens"
                )
            if "model_not_found" in body:
                return EndpointRefused(f"{said}\n{advice[404]}; what is written stays")
            return Rejected(said, body=body)
        if status in (408, 409, 425) or status >= 500:
            failed = Failed(said, body=body)
            failed.seconds = retry_after(headers)
            return failed
        return Rejected(said, body=body)


def _message(body: str) -> str:
    """Return what an error body says, on one line: its message, or its text without tags."""
    text = body
    try:
        value = json.loads(body)
    except ValueError:
        text = re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", body, flags=re.S | re.I)
    else:
        for key in ("error", "message", "detail"):
            if isinstance(value, dict) and value.get(key):
                value = value[key]
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return (line[:SHOWN] + "…" if len(line) > SHOWN else line) or "(nothing)"


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    netloc = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, netloc, parts.path, "", ""))
