"""The commands `export` and `import`: a graph to the files of other tools, and back.

Data goes to stdout, progress and remarks to stderr; with `--json` the last line of stdout is one
JSON object.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from kg.exchange.facts import FactReport
from kg.exchange.formats import Format, export_graph, format_of, import_graph
from kg.exchange.progress import Progress
from kg.presentation import print_json
from kg.reporting import report_errors

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

#: Seconds after which a finished export or import says how fast it was.
WORTH_TELLING = 2.0

Graph = Annotated[
    str, typer.Argument(metavar="GRAPH", help="A folder, neo4j://…, bolt://… or memory://.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line.")]
Chosen = Annotated[Format | None, typer.Option(help="In place of the suffix.")]

KNOWN = ".nq .trig .ttl .nt .graphml .tsv .jsonl (LangChain) .json (LlamaIndex) .parquet (a folder)"


@app.command()
@report_errors
def export(
    graph: Graph,
    file: Annotated[Path, typer.Argument(help=f"What to write: {KNOWN}.")],
    format: Chosen = None,
    literals: Annotated[
        bool, typer.Option("--literals", help="Also dates and numbers, in a table of ids (.tsv).")
    ] = False,
    json: Json = False,
) -> None:
    """Write a graph to a file; .nq, .trig and .parquet carry all of it, with evidence and runs."""
    from kg.store.open import open_graph

    chosen = format_of(file, format)
    with closing(open_graph(graph, create=False)) as store, _progress("exported") as progress:
        report = export_graph(store, file, format=chosen, literals=literals, progress=progress)
    if report.literals_left_out:
        left = _count(report.literals_left_out, "triple")
        hint = "; --literals keeps them" if chosen is Format.tsv else ""
        typer.echo(f"left out {left} with a literal{hint}", err=True)
    if json:
        print_json({"format": chosen.value, "triples": report.triples, "files": report.files})
    else:
        typer.echo("\n".join(report.files))
        typer.echo(_count(report.triples, "triple"), err=True)


@app.command("import")
@report_errors
def import_(
    graph: Graph,
    file: Annotated[
        Path,
        # Checked here so that a wrong path leaves no empty graph behind.
        typer.Argument(exists=True, help=f"What to read: {KNOWN}, or a folder of GraphRAG."),
    ],
    format: Chosen = None,
    json: Json = False,
) -> None:
    """Read a file into a graph; `undo` takes it back.

    .nq, .trig and .parquet restore evidence and runs; of the rest, the file becomes the evidence.
    """
    from kg.store.open import open_graph

    chosen = format_of(file, format)
    with closing(open_graph(graph)) as store, _progress("imported") as progress:
        report = import_graph(store, file, format=chosen, progress=progress)
    if json:
        fields = {name: getattr(report, name) for name in report.__dataclass_fields__}
        print_json({"format": chosen.value, **fields})
        return
    new = _count(report.created, "new record")
    if isinstance(report, FactReport):
        what = f"{_count(report.facts, 'triple')} of {report.entities:,} entities"
        typer.echo(f"{what} read, {new}; undo with run {report.run}")
    else:
        what = f"{_count(report.records, 'record')} of {_count(len(report.runs), 'run')}"
        typer.echo(f"{what} restored, {new}; undo each run as in the graph it came from")


@contextmanager
def _progress(done: str) -> Iterator[Progress]:
    """Show on stderr how many rows are done, and how fast."""
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn

    began = time.monotonic()
    total = 0

    def text() -> str:
        seconds = time.monotonic() - began
        return f"{_count(total, 'row')} {done}, {total / max(seconds, 0.001):,.0f} rows/s"

    console = Console(stderr=True)
    # It vanishes at the end, and a file or pipe never sees it.
    bar = Bar(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("opening the graph")

        def show(rows: int) -> None:
            nonlocal total
            total += rows
            bar.update(task, description=text())

        yield show
    if total and time.monotonic() - began > WORTH_TELLING:
        typer.echo(text(), err=True)


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")
