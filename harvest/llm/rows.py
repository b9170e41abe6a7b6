"""The statements in a model's answer, checked against the schema that it was given.

An answer that holds no list of statements is unreadable and is asked for again. In one that does,
each statement stands for itself: what breaks the schema is dropped, with its text, and the others
stay. Names that other tools use for the same fields (`subject`, `predicate`, `object` …) are
understood.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from harvest.llm.client import Unreadable
from harvest.llm.completion import Completion
from harvest.llm.parsing import TWICE, parse_answer

__all__ = ["FIELDS", "Drop", "Row", "Rows", "read_rows"]

#: Field → other names under which models answer.
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "quote": ("evidence", "sentence", "quotation", "text", "context", "source_text"),
    "head": ("subject", "source", "head_entity", "head_name", "subj", "sub", "from", "entity1"),
    "head_type": ("subject_type", "source_type", "head_label", "entity1_type"),
    "relation": ("predicate", "relationship", "relation_type", "relation_name", "rel", "pred"),
    "tail": ("object", "target", "tail_entity", "tail_name", "obj", "to", "entity2"),
    "tail_type": ("object_type", "target_type", "tail_label", "entity2_type"),
    "negated": ("negative", "is_negated", "negation", "denied"),
    "hedged": ("uncertain", "is_hedged", "speculative", "in_doubt"),
}
#: Names of the list itself.
_LISTS: Final = frozenset(
    """statements triples triplets relations facts extractions results result data items
    output""".split()
)
_NAMES: Final = {other: field for field, names in FIELDS.items() for other in (field, *names)}
_TRUE: Final = frozenset({"true", "yes", "1"})
#: What each statement must be once its names are known.
_SCHEMA: Final = {
    "type": "object",
    "properties": {
        **{name: {"type": "string", "pattern": r"\S"} for name in ("quote", "head", "tail")},
        "relation": {"type": "string", "pattern": r"\S"},
        "head_type": {"type": "string"},
        "tail_type": {"type": "string"},
        "negated": {"type": "boolean"},
        "hedged": {"type": "boolean"},
    },
    "required": ["quote", "head", "relation", "tail"],
}
#: Longest text of a dropped statement that is kept.
SHOWN: Final = 500


@dataclass(frozen=True, slots=True)
class Row:
    """One statement as the model made it."""

    quote: str
    head: str
    relation: str
    tail: str
    head_type: str = ""
    tail_type: str = ""
    negated: bool = False
    hedged: bool = False


@dataclass(frozen=True, slots=True)
class Drop:
    """Something that was said and left out."""

    #: One word, counted as `dropped_REASON`.
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Rows:
    """The statements of one answer and what of it was dropped."""

    rows: tuple[Row, ...]
    dropped: tuple[Drop, ...] = ()
    repaired: bool = False


def read_rows(completion: Completion) -> Rows:
    """Return the statements in an answer.

    Raises:
        Unreadable: the answer has no list of statements, or nothing in it follows the schema.

    >>> rows = read_rows(Completion(
    ...     '{"statements": [{"quote": "A met B.", "subject": "A", "relation": "met", "tail": "B"}'
    ...     ', {"quote": "A met B."}]}'
    ... ))
    >>> rows.rows[0].head, rows.rows[0].tail, [drop.reason for drop in rows.dropped]
    ('A', 'B', ['schema'])
    """
    if not completion.text.strip():
        raise Unreadable("it is empty")
    parsed = parse_answer(completion.text, keys=("quote", "head", "relation", "tail"))
    if not parsed.values:
        raise Unreadable("it holds no JSON object")
    found: list[Any] = []
    recognised = False
    for value in parsed.values:
        items = _items(value)
        if items is not None:
            recognised = True
            found += items
    if not recognised:
        if any(isinstance(value, dict) and "properties" in value for value in parsed.values):
            raise Unreadable('it repeats the schema; fill it in: {"statements": [ … ]}')
        raise Unreadable('it has no list "statements"')
    rows: list[Row] = []
    dropped: list[Drop] = []
    renamed = False
    for item in found:
        row, other_names, problem = _row(item)
        renamed |= other_names
        if row is None:
            text = json.dumps(item, ensure_ascii=False)[:SHOWN].replace(TWICE, "twice")
            dropped.append(Drop("schema", f"{problem}: {text}"))
        else:
            rows.append(row)
    if dropped and not rows and not completion.truncated:
        raise Unreadable(f"no statement follows the schema; the first: {dropped[0].text[:200]}")
    dropped += [Drop("unreadable", completion.text[:SHOWN])] * parsed.lost
    if completion.truncated:
        dropped.append(Drop("truncated", completion.text[-SHOWN:]))
    return Rows(tuple(dict.fromkeys(rows)), tuple(dropped), parsed.repaired or renamed)


def _items(value: Any) -> list[Any] | None:
    """Return the statements in a value, None if it is no answer."""
    if isinstance(value, list):
        return value if not value or any(isinstance(item, dict) for item in value) else None
    if not isinstance(value, dict) or "properties" in value:
        return None
    lists = [part for name, part in value.items() if str(name).strip().lower() in _LISTS]
    if lists:
        inner = [_items(part) if isinstance(part, dict) else part for part in lists]
        parts = [part for part in inner if isinstance(part, list)]
        return [item for part in parts for item in part] if parts else None
    if len(_NAMES.keys() & {_plain(name) for name in value}) >= 2:
        return [value]
    if len(value) == 1:
        (part,) = value.values()
        return _items(part)
    return None


def _row(item: Any) -> tuple[Row | None, bool, str]:
    """Return the statement in an item, whether it had other names, and what is wrong with it."""
    if not isinstance(item, dict):
        return None, False, "it is no object"
    if TWICE in item:
        return None, False, f"it gives {', '.join(map(str, item[TWICE]))} twice"
    fields: dict[str, Any] = {}
    renamed = False
    for name, value in _flat(item):
        field = _NAMES.get(_plain(name))
        # The right name beats the others, wherever it stands.
        if field is not None and (field not in fields or name == field):
            renamed |= name != field
            fields[field] = _value(field, value)
    fields = {name: value for name, value in fields.items() if value is not None}
    error = next(iter(_validator().iter_errors(fields)), None)
    if error is not None:
        where = f"{error.path[0]}: " if error.path else ""
        return None, renamed, f"{where}{error.message}"[:200]
    return Row(**fields), renamed, ""


def _flat(item: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Yield names and values, `{"head": {"name": …, "type": …}}` as head and head_type."""
    for name, value in item.items():
        field = _NAMES.get(_plain(str(name)))
        if isinstance(value, dict) and field in ("head", "tail", "relation"):
            inner = {_plain(str(key)): part for key, part in value.items()}
            text = next(
                (inner[key] for key in ("name", "text", "label", "id") if key in inner), None
            )
            yield str(name), text
            if field != "relation" and "type" in inner:
                yield f"{field}_type", inner["type"]
        else:
            yield str(name), value


def _value(field: str, value: Any) -> Any:
    """Return a value as its field wants it, where its meaning is clear."""
    if field in ("negated", "hedged"):
        if value is None:
            return False
        if isinstance(value, str):
            return value.strip().lower() in _TRUE
        return bool(value) if isinstance(value, int | float) else value
    if value is None and field in ("head_type", "tail_type"):
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # a year as a number
    return value


def _plain(name: str) -> str:
    return "_".join(str(name).strip().lower().replace("-", " ").split())


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(_SCHEMA)
