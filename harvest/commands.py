"""The commands of `harvest`: documents into a graph, and how well that works.

Progress, warnings and errors go to stderr; the report to stdout, as a table or as one JSON object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from harvest.errors import InputError
from kg.reporting import report_errors
from kg.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from harvest.documents import Failure
    from harvest.job import Harvester
    from harvest.report import Progress, Report
    from kg.records import Document

__all__ = ["app", "evaluations_app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="markdown")
evaluations_app = typer.Typer(no_args_is_help=True, add_completion=False)

#: Exit code of a harvest that went through, but not for every input.
SOME_FAILED: Final = 1
#: What a shell reports for a process that was stopped by Ctrl-C.
INTERRUPTED: Final = 130
#: Rows of a table before the rest is summed up; `--json` has all of them.
ROWS: Final = 20
#: Documents that `--dry-run` harvests for its estimate, into memory.
SAMPLE: Final = 5


@evaluations_app.callback()
def _evaluations() -> None:
    """Measure how well documents become triples."""


@app.command("harvest")
@report_errors
def harvest_command(
    graph: Annotated[str, typer.Argument(metavar="GRAPH", help="A folder (my.kg) or neo4j://….")],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Files and folders.")],
    schema: Annotated[
        Path | None, typer.Option(help="YAML file with types and relations; default: the shipped.")
    ] = None,
    with_: Annotated[
        Literal["text", "llm"], typer.Option("--with", help="What reads the documents.")
    ] = "text",
    spacy: Annotated[
        str, typer.Option(help="Name of an installed spaCy pipeline; default: the small English.")
    ] = "",
    threshold: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Keep triples with at least this score."),
    ] = None,
    include_hedged: Annotated[
        bool, typer.Option("--include-hedged", help="Let 'perhaps' support triples, too.")
    ] = False,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder that document addresses are relative to; default: that of PATHS."
        ),
    ] = None,
    keep_old: Annotated[
        bool,
        typer.Option("--keep-old", help="Keep what older texts and older versions gave."),
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Read at most N documents.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and estimate; write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Read documents and write the triples they state, with their evidence, into a graph.

    Text, Markdown, HTML, PDF and JSONL, each also as .gz; folders with all that is in them. What
    is in the graph already is not read again, so the same command goes on with a stopped harvest.

    Exit codes: 0 done, 1 some inputs failed, 2 usage, 4 the graph cannot be reached, 130 stopped.
    """
    if with_ == "llm":
        raise InputError("--with llm is not there yet: leave it out to read with --with text")

    relations = None if schema is None else Schema.load(schema)

    def make() -> Harvester:
        return _text_harvester(
            relations, spacy=spacy, threshold=threshold, include_hedged=include_hedged
        )

    try:
        if dry_run:
            failed = _dry_run(paths, make, root=root, limit=limit, as_json=as_json)
        else:
            report = _harvest(graph, paths, make, root=root, keep_old=keep_old, limit=limit)
            failed = report.failed
            _show(report, as_json=as_json)
    except KeyboardInterrupt:
        typer.echo("stopped: what is written stays; the same command goes on from here", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if failed:
        raise typer.Exit(SOME_FAILED)


@app.command("train-extractor")
@report_errors
def train_extractor(
    data: Annotated[Path, typer.Option(help="Folder with the corpora text2kgbench and re.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder for the weights; default: the package's own.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="File that keeps the features for another training.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of sampling, first weights and order.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of PyTorch.")] = 1,
) -> None:
    """Train the relation heads that ship with the package and print what was measured, as JSON."""
    import logging

    from harvest.extraction.heads import shipped_folder
    from harvest.extraction.training import train

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    report = train(data, output=output or shipped_folder(), cache=cache, seed=seed, threads=threads)
    typer.echo(json.dumps(report, ensure_ascii=False))


@evaluations_app.command("text2kg")
@report_errors
def text2kg_command(
    data: Annotated[Path, typer.Option(help="Folder with the benchmark, text2kgbench.")],
    threshold: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Probability to write a triple from.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure the text extractor on the Wikidata-TekGen half of Text2KGBench."""
    from rich.progress import Progress as Bar

    from harvest.evaluations import text2kg

    options = {} if threshold is None else {"threshold": threshold}
    with Bar(console=_stderr()) as bar:
        task = bar.add_task("sentences", total=None)
        figures = text2kg(
            data,
            **options,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        _print_json(figures)
        return
    rows = [(f"official F1, {name}", f"{figures[name]:.3f}") for name in ("floor", "ceiling")]
    rows = [
        ("official F1 (macro)", f"{figures['official_f1']:.3f}"),
        *rows,
        ("unfiltered micro F1", f"{figures['unfiltered_micro_f1']:.3f}"),
        ("sentences", f"{figures['sentences']:,}"),
        ("sentences/s", f"{figures['sentences_per_second']:,.0f}"),
    ]
    _print_table("Text2KGBench, Wikidata-TekGen", rows)


def _text_harvester(
    schema: Schema | None, *, spacy: str, threshold: float | None, include_hedged: bool
) -> Harvester:
    from harvest.extraction.harvester import TextHarvester

    return TextHarvester(
        schema,
        spacy_pipeline=spacy,
        threshold=threshold,
        include_hedged=include_hedged,
    )


def _harvest(
    graph: str,
    paths: list[Path],
    make: Callable[[], Harvester],
    *,
    root: Path | None,
    keep_old: bool,
    limit: int | None,
) -> Report:
    from harvest.documents import Failure, Reading
    from harvest.job import harvest_documents
    from harvest.report import Report
    from kg.store.open import open_graph

    reading = Reading(paths, root=root)  # a mistake in the paths shows before anything is loaded
    if reading.files == 0:
        failures = tuple(row for row in reading if isinstance(row, Failure))
        return Report(run="", config="", failures=failures)
    with closing(open_graph(graph)) as store, _progress_bar(limit) as show:
        return harvest_documents(
            store, reading, harvester=make(), keep_old=keep_old, limit=limit, progress=show
        )


def _dry_run(
    paths: list[Path],
    make: Callable[[], Harvester],
    *,
    root: Path | None,
    limit: int | None,
    as_json: bool,
) -> int:
    """Read everything, harvest a few documents into memory, and show what a harvest would take."""
    from harvest.documents import Failure, read_documents
    from harvest.job import harvest_documents
    from kg.store.open import open_graph

    documents = characters = 0
    failures: list[Failure] = []
    sample: list[Document] = []
    for row in read_documents(paths, root=root):
        if isinstance(row, Failure):
            failures.append(row)
            continue
        documents += 1
        characters += len(row.text)
        if len(sample) < SAMPLE:
            sample.append(row)
        if documents == limit:
            break
    estimate: dict[str, Any] = {}
    if sample:
        with closing(open_graph("memory://")) as memory, _progress_bar(len(sample)) as show:
            report = harvest_documents(memory, sample, harvester=make(), progress=show)
        share = characters / sum(len(document.text) for document in sample)
        estimate = {
            "sampled_documents": len(sample),
            "seconds": round(report.seconds * share, 1),
            "sentences": round(report.sentences * share),
            "triples": round(report.triples * share),
        }
    failed = sum(not failure.skipped for failure in failures)
    found = {
        "documents": documents,
        "characters": characters,
        "failed": failed,
        "skipped": len(failures) - failed,
    }
    _warn(failures)
    if as_json:
        _print_json({"dry_run": True, **found, "estimate": estimate})
    else:
        rows = [(name, f"{count:,}") for name, count in found.items()]
        rows += [(f"estimated {name}", f"{value:,}") for name, value in estimate.items()]
        _print_table("Dry run: nothing was written", rows)
    return failed


@contextmanager
def _progress_bar(limit: int | None) -> Iterator[Callable[[Progress], None]]:
    """Show a bar with rate and time left on stderr while a harvest runs."""
    from rich.progress import (
        BarColumn,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=_stderr()) as bar:
        task = bar.add_task("opening the graph and loading the models", total=None)

        def show(progress: Progress) -> None:
            rate = progress.sentences / progress.seconds if progress.seconds > 0 else 0.0
            waiting = f", waiting for {progress.waiting} at work elsewhere"
            bar.update(
                task,
                description=(
                    f"{progress.documents:,} documents, {progress.triples:,} triples, "
                    f"{rate:,.0f} sentences/s{waiting if progress.waiting else ''}"
                ),
                total=limit or progress.bytes_total or None,
                completed=progress.documents if limit else progress.bytes_read,
            )

        try:
            yield show
        except Exception:  # raised on: an error is told in its own line, not beside half a bar
            bar.update(task, visible=False)
            raise


def _show(report: Report, *, as_json: bool) -> None:
    _warn(report.failures)
    if as_json:
        _print_json(report.as_dict())
        return
    rows = [
        ("documents", f"{report.documents:,}"),
        ("  already in the graph", f"{report.unchanged:,}"),
        ("  in place of an older text", f"{report.replaced:,}"),
        ("failed", f"{report.failed:,}"),
        ("skipped", f"{report.skipped:,}"),
        ("sentences", f"{report.sentences:,}"),
        ("mentions", f"{report.mentions:,}"),
        ("triples", f"{report.triples:,}"),
        *((f"  {name}", f"{count:,}") for name, count in list(report.relations.items())[:ROWS]),
    ]
    others = list(report.relations.values())[ROWS:]
    if others:
        rows.append((f"  {len(others)} other relations", f"{sum(others):,}"))
    rows += [
        ("seconds", f"{report.seconds:,.1f}"),
        ("sentences/s", f"{report.sentences_per_second:,.0f}"),
        ("run", report.run or "none: nothing to read"),
    ]
    _print_table("Harvest", rows)
    untrained = [name[10:] for name in report.harvester if name.startswith("zero_shot:")]
    if untrained:
        typer.echo(
            f"note: no trained head for {', '.join(untrained)}; read from name and description",
            err=True,
        )


def _warn(failures: list[Failure] | tuple[Failure, ...]) -> None:
    """Say on stderr what failed, one line each, and how many files were skipped by format."""
    failed = [failure for failure in failures if not failure.skipped]
    for failure in failed[:ROWS]:
        typer.secho(f"failed: {_one_line(str(failure))}", fg=typer.colors.YELLOW, err=True)
    if len(failed) > ROWS:
        typer.echo(f"failed: {len(failed) - ROWS} more; --json lists all of them", err=True)
    skipped = [failure for failure in failures if failure.skipped]
    if skipped:
        first = ", ".join(failure.path for failure in skipped[:3])
        more = ", …" if len(skipped) > 3 else ""
        typer.echo(
            f"skipped: {len(skipped)} files that nothing here reads ({_one_line(first)}{more})",
            err=True,
        )


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False))


def _print_table(title: str, rows: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in rows:
        table.add_row(Text(name), Text(value))  # names are data, not markup
    Console().print(table)


def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True)
