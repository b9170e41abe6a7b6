"""What `sheaf resolve` and `sheaf canonicalise` have in common: options, and how rows are shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kg.presentation import print_table

if TYPE_CHECKING:
    from kg.schema import Schema
    from kg.store.protocol import GraphStore

__all__ = [
    "DryRun",
    "Encoder",
    "EncoderOption",
    "Graph",
    "Json",
    "SchemaFile",
    "Threshold",
    "opened",
    "print_rows",
    "schema_of",
    "way_back",
]

#: Rows printed unless `--json` asks for all.
SHOWN: Final = 50

Graph = Annotated[
    str, typer.Argument(metavar="GRAPH", help="A folder, neo4j://…, bolt://… or memory://.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line.")]
SchemaFile = Annotated[
    Path | None, typer.Option("--schema", exists=True, dir_okay=False, help="A schema in YAML.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Write nothing, only show.")]
Threshold = Annotated[
    float | None, typer.Option(min=0.0, max=1.0, help="Least cosine of the encoder's neighbours.")
]


class Encoder(StrEnum):
    """Encoders of names and phrases."""

    none = "none"
    minilm = "minilm"


EncoderOption = Annotated[
    Encoder, typer.Option(help="Also join nearest neighbours of this encoder.")
]


@contextmanager
def opened(address: str) -> Iterator[GraphStore]:
    """Give a graph that is there, and close it; none is made."""
    from kg.store.open import open_graph

    graph = open_graph(address, create=False)
    try:
        yield graph
    finally:
        graph.close()


def schema_of(file: Path | None) -> Schema | None:
    """Return the schema in a file, None without one."""
    from kg.schema import Schema

    return Schema.load(file) if file is not None else None


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print the first rows, and say on stderr how many more there are."""
    if rows:
        print_table(columns, rows[:SHOWN])
    if len(rows) > SHOWN:
        typer.echo(f"{len(rows) - SHOWN:,} more; --json shows all", err=True)


def way_back(graph: str, run: str) -> str:
    """Return how a run is taken back, for the end of a line; a dry run has none."""
    return f"; take it back with: sheaf undo {graph} {run}" if run else "; nothing was written"
