"""How values of a graph look on a terminal and in JSON.

A terminal gets text without control characters and without markup, since a document may hold
either; JSON gets values unchanged.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final

import typer

from kg.explanation import Explanation, Source, label, quote_parts
from kg.records import Entity, Literal
from kg.store.protocol import GraphPath, Node, Relationship

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["cell", "clean", "console", "explained", "plain", "print_json", "print_table"]

#: Width of tables that go to a file or a pipe, in characters.
PIPE_WIDTH: Final = 160
#: A word up to this length is kept on one line, which every id is.
WORD_WIDTH: Final = 40
#: A column that is folded has at least this width, if it needs it.
FOLDED_WIDTH: Final = 16


def clean(text: str) -> str:
    r"""Return text on one line, with control characters shown as spaces.

    >>> clean("a\x1b[31mb\r\nc")
    'a [31mb c'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def cell(value: Any) -> str:
    """Return a value of a Cypher answer as a person reads it.

    >>> cell(Node(("Entity", "Person"), {"id": "e_1", "name": "Marie Curie"}))
    'Marie Curie (Person)'
    >>> cell(Relationship("BORN_IN", {"score": 0.9, "id": "t_1"}))
    '[BORN_IN 0.90]'
    >>> cell([1, None, 0.5])
    '1, –, 0.5'
    """
    match value:
        case None:
            return "–"
        case Node():
            return _node(value)
        case Relationship():
            score = value.properties.get("score")
            return f"[{value.type} {score:.2f}]" if isinstance(score, float) else f"[{value.type}]"
        case GraphPath():
            parts = [cell(value.nodes[0])] if value.nodes else []
            for link, node in zip(value.relationships, value.nodes[1:], strict=True):
                parts += [cell(link), cell(node)]
            return " — ".join(parts)
        case str():
            return clean(value)
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.6g}"
        case Mapping():
            return ", ".join(f"{clean(str(key))}: {cell(item)}" for key, item in value.items())
        case Sequence():
            return ", ".join(cell(item) for item in value)
        case _:
            return clean(str(value))


def _node(node: Node) -> str:
    properties = node.properties
    if "Entity" in node.labels:
        types = [name for name in node.labels if name != "Entity"]
        # The finest type stands first in `types`; labels have no order.
        # A property of that name may hold anything where the graph is not ours.
        stored = properties.get("types")
        finest = next(iter(stored if isinstance(stored, list | tuple) and stored else types), "")
        name = clean(str(properties.get("name", properties.get("id", ""))))
        return f"{name} ({clean(str(finest))})" if finest else name
    for key in ("lexical", "title", "uri", "harvester"):
        if properties.get(key):
            return clean(str(properties[key]))
    return f"{':'.join(node.labels)} {clean(str(properties.get('id', '')))}".strip()


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; NaN and infinities become text.

    >>> plain(Relationship("BORN_IN", {"score": float("inf")}))
    {'type': 'BORN_IN', 'properties': {'score': 'inf'}}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return str(value)


def print_json(value: Any) -> None:
    """Print one JSON object on one line of stdout."""
    typer.echo(json.dumps(plain(value), ensure_ascii=False, allow_nan=False))


def console() -> Console:
    """Return the console of stdout; a file or a pipe gets a fixed, generous width."""
    from rich.console import Console

    screen = Console(highlight=False)
    return screen if screen.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "") -> None:
    """Print a table; nothing is cut off, long cells are folded. Numbers stand to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    values = [list(row) for row in rows]
    screen = console()
    table = Table(box=box.SIMPLE_HEAD, title=Text(title) if title else None, title_justify="left")
    whole = _whole_columns(columns, values, screen.width)
    for index, column in enumerate(columns):
        cells = [row[index] for row in values]
        numbers = bool(cells) and all(isinstance(value, int | float | None) for value in cells)
        table.add_column(
            Text(clean(column)),
            overflow="fold",
            justify="right" if numbers else "left",
            no_wrap=index in whole,
        )
    for row in values:
        table.add_row(*(Text(cell(value)) for value in row))
    screen.print(table)


def _whole_columns(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], width: int
) -> Collection[int]:
    """Return the columns of short words if there is room to keep their words on one line.

    An id that is broken over two lines cannot be copied; a table that is too wide loses columns.
    """
    longest = [
        max((len(clean(name)), *(len(cell(row[index])) for row in rows)))
        for index, name in enumerate(columns)
    ]
    whole = [
        index
        for index, length in enumerate(longest)
        if length <= WORD_WIDTH and all(" " not in cell(row[index]) for row in rows)
    ]
    room = sum(n if index in whole else min(n, FOLDED_WIDTH) for index, n in enumerate(longest))
    return whole if room + 3 * len(columns) + 2 <= width else ()


def explained(explanation: Explanation) -> Iterator[Text]:
    """Yield the lines that show a triple with all that speaks for or against it."""
    from rich.text import Text

    head, tail = (_node_of(value) for value in (explanation.head, explanation.tail))
    yield Text.assemble(
        (head, "bold"), f" —[{explanation.relation}]→ ", (tail, "bold"), f"  {explanation.id}"
    )
    triple, guess = explanation.triple, explanation.predicted
    if triple is not None:
        plural = "" if triple.support == 1 else "s"
        yield Text(f"score {triple.score:.2f} · {triple.support} independent source{plural}")
    elif guess is not None:
        by = clean(guess.model) or "link prediction"
        yield Text(f"PREDICTED, score {guess.score:.2f} · by {by} · no source states it", "magenta")
    else:
        yield Text("not asserted: every source denies it or hedges", "yellow")
    for number, source in enumerate(explanation.sources, 1):
        yield from _sourced(number, source)
    yield Text()


def _sourced(number: int, source: Source) -> Iterator[Text]:
    from rich.text import Text

    line = Text(f"{number:>3}. ")
    for marked, name in ((source.negated, "DENIED"), (source.hedged, "HEDGED")):
        if marked:
            line.append(f"[{name}] ", style="yellow")
    spans = (("head", source.head_span), ("tail", source.tail_span))
    if source.quote:
        # Context that reaches the start or the end of the document needs no dots.
        line.append("…" + _kept(source.before) if source.before else "", style="dim")
        for part, mark in quote_parts(source.quote, spans):
            line.append(_kept(part), style="bold underline" if mark else "")
        line.append(_kept(source.after) + "…" if source.after else "", style="dim")
    else:
        line.append("(no text: the word of a model or a file)", style="dim")
    yield line
    place = "" if source.span is None else f"{source.span[0]}–{source.span[1]}"
    details = [
        clean(source.title),
        clean(source.uri) if source.uri != source.title else "",
        place,
        ", ".join(filter(None, (clean(source.harvester), clean(source.model)))),
        f"score {source.score:.2f}",
        clean(source.time),
    ]
    yield Text("     " + " · ".join(filter(None, details)), style="cyan")


def _node_of(value: Entity | Literal) -> str:
    finest = "" if isinstance(value, Literal) or not value.types else f" ({value.types[0]})"
    return clean(label(value) + finest)


def _kept(text: str) -> str:
    """Return text with each control character as one space, so that words stay apart."""
    return "".join(c if c.isprintable() else " " for c in text)
