r"""Make values of what a model calls JSON, and notice what got lost on the way.

| in the answer | what is done |
|---|---|
| `<think>…</think>` blocks, closed or not | left out |
| ```` ```json ```` fences, chatter before and after | left out |
| several objects, one behind the other | all of them |
| JSON inside a JSON string | read again |
| cut off, trailing commas, single quotes, `True`/`None`, comments, stray quotes | json-repair |
| one key twice in an object | both values are kept aside, so that neither is lost silently |
| NaN, Infinity | None |
| half of a surrogate pair | U+FFFD |

A repair may drop part of a broken answer. Therefore the names of the wanted keys are counted in the
text and in the values, and the difference is reported.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harvest.llm.completion import without_halves

__all__ = ["TWICE", "Parsed", "parse_answer"]

#: Key under which an object keeps the names of keys that it had twice with different values.
TWICE: Final = "\0twice"

_THINK = re.compile(r"<(think|thinking|reasoning|thought)\b[^>]*>.*?</\1\s*>", re.S | re.I)
_THOUGHT = re.compile(r"^.*</(?:think|thinking|reasoning|thought)\s*>", re.S | re.I)
_THINKING = re.compile(r"^\s*<(think|thinking|reasoning|thought)\b[^>]*>.*", re.S | re.I)
_FENCE = re.compile(r"^[ \t]*```[\w-]*[ \t]*$", re.M)
_OPENING = re.compile(r"[{\[]")

_BRACKETS = re.compile(r"[{\[\s\"']+")
_AFTER_STRING = re.compile(r"\s*(?:[,:}\]]|\Z)")

#: Brackets that may turn out to open nothing before the rest is given up: an answer of ten thousand
#: brackets shall not cost a minute.
MOST_TRIES: Final = 50


@dataclass(frozen=True, slots=True)
class Parsed:
    """The values of an answer, in order."""

    values: tuple[Any, ...]
    #: Some of it was no JSON and had to be repaired.
    repaired: bool = False
    #: How many objects the text seems to hold beyond those in the values.
    lost: int = 0


def parse_answer(text: str, *, keys: Sequence[str] = ()) -> Parsed:
    r"""Return the objects and lists in an answer; none if it holds neither.

    Args:
        text: what the model said.
        keys: names that every wanted object has, to see how many objects a repair lost.

    >>> parse_answer('Sure: {"a": 1,} and {"a": 2}', keys=["a"])
    Parsed(values=({'a': 1}, {'a': 2}), repaired=True, lost=0)
    >>> parse_answer("<think>{}</think>```json\\n[1]\\n```").values
    ([1],)
    >>> parse_answer("I cannot do that.").values
    ()
    """
    cleaned = _cleaned(text)
    values: list[Any] = []
    repaired = False
    for value, was_repaired in _values(cleaned):
        values.append(_plain(value))
        repaired |= was_repaired
    inner = [_inside_string(value) for value in values]
    if any(found is not None for found in inner):
        unpacked = [found for found in inner if found is not None]
        values = [value for found in unpacked for value in found.values]
        repaired = True
    kept = tuple(value for value in values if isinstance(value, dict | list))
    lost = 0
    if repaired:
        lost = max((_named(cleaned, key) - _count(kept, key) for key in keys), default=0)
    return Parsed(kept, repaired, max(0, lost))


def _cleaned(text: str) -> str:
    """Leave out a model's thoughts, the byte-order mark and fences."""
    text = _THINK.sub(" ", text.replace("\ufeff", ""))
    text = _THOUGHT.sub("", text)  # the opening mark is often part of the prompt
    text = _THINKING.sub("", text)
    return _FENCE.sub("\n", text)


def _values(text: str) -> Iterator[tuple[Any, bool]]:
    """Yield each value of a text and whether it had to be repaired."""
    decoder = json.JSONDecoder(strict=False, object_pairs_hook=_object)
    at = 0
    if text.lstrip().startswith('"'):  # the whole answer may be one JSON string
        try:
            value, end = decoder.raw_decode(text.lstrip())
        except ValueError:
            pass
        else:
            if isinstance(value, str) and not text.lstrip()[end:].strip():
                yield value, True
                return
    tries = 0
    while tries < MOST_TRIES and (opening := _OPENING.search(text, at)) is not None:
        start = opening.start()
        try:
            value, at = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            at = _end(text, start)
            value = _repair(text[start:at])
            if not isinstance(value, dict | list) or not value:
                at = _BRACKETS.match(text, start).end()  # type: ignore[union-attr]
                tries += 1
                yield None, True  # brackets in running text, or something lost
                continue
            yield value, True
        else:
            yield value, False


def _repair(text: str) -> Any:
    from json_repair import repair_json

    try:
        return repair_json(text, return_objects=True, skip_json_loads=True)
    except (ValueError, RecursionError):  # nested too deep to be an answer
        return None


def _end(text: str, start: int) -> int:
    """Return the end of the bracketed part that begins at `start`, the text's if it has none."""
    closing: list[str] = []
    quote = before = ""
    at = start
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 2
            continue
        if quote:
            # A mark inside a string that forgot to escape it has no sign of JSON behind it.
            if char == quote and _AFTER_STRING.match(text, at + 1):
                quote = ""
        elif char == '"' or (char == "'" and before in "{[,:"):
            quote = char
        elif char in "{[":
            closing.append("}" if char == "{" else "]")
        elif char in "}]" and closing and char == closing[-1]:
            closing.pop()
            if not closing:
                return at + 1
        before = before if char.isspace() else char
        at += 1
    return len(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object; lists under one name are joined, other different values are marked."""
    result: dict[str, Any] = {}
    twice: list[str] = []
    for name, value in pairs:
        if name not in result or result[name] == value:
            result[name] = value
        elif isinstance(value, list) and isinstance(result[name], list):
            result[name] = [*result[name], *value]
        else:
            twice.append(name)
    if twice:
        result[TWICE] = twice
    return result


def _plain(value: Any) -> Any:
    """Return a value without NaN, Infinity and halves of characters."""
    if isinstance(value, dict):
        return {without_halves(str(name)): _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, str):
        return without_halves(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _inside_string(value: Any) -> Parsed | None:
    """Read JSON that stands in a string, the whole value or the only one of an object."""
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    if not isinstance(value, str) or _OPENING.match(value.strip()) is None:
        return None
    found = parse_answer(value)
    return found if found.values else None


def _named(text: str, key: str) -> int:
    """Count a key in a text: in quotes of any kind, perhaps escaped."""
    return len(re.findall(rf"""["'“]{re.escape(key)}\\*["'”]\s*:""", text))


def _count(value: Any, key: str) -> int:
    if isinstance(value, dict):
        twice = value.get(TWICE, ())
        own = (key in value) + (twice.count(key) if isinstance(twice, list) else 0)
        return own + sum(_count(part, key) for part in value.values())
    if isinstance(value, list | tuple):
        return sum(_count(part, key) for part in value)
    return 0
