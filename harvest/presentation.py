"""What a harvest shows: a progress bar and warnings on stderr, its account on stdout."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from harvest.documents import Failure
    from harvest.report import Progress, Report

__all__ = ["print_json", "print_table", "progress_bar", "show_report", "stderr", "warn_of"]

#: Rows of a table before the rest is summed up; `--json` has all of them.
ROWS: Final = 20


@contextmanager
def progress_bar(
    limit: int | None, *, status: Callable[[], str] | None = None
) -> Iterator[Callable[[Progress], None]]:
    """Show a bar with rate and time left on stderr while a harvest runs.

    Args:
        limit: documents after which it is done; None when the files decide.
        status: what else to show, such as the tokens used so far.
    """
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
    with Bar(*columns, console=stderr()) as bar:
        task = bar.add_task("opening the graph and loading the models", total=None)

        def show(progress: Progress) -> None:
            rate = progress.sentences / progress.seconds if progress.seconds > 0 else 0.0
            waiting = f", waiting for {progress.waiting} at work elsewhere"
            more = f", {status()}" if status else ""
            bar.update(
                task,
                description=(
                    f"{progress.documents:,} documents, {progress.triples:,} triples, "
                    f"{rate:,.0f} sentences/s{more}{waiting if progress.waiting else ''}"
                ),
                total=limit or progress.bytes_total or None,
                completed=progress.documents if limit else progress.bytes_read,
            )

        try:
            yield show
        except Exception:  # raised on: an error is told in its own line, not beside half a bar
            bar.update(task, visible=False)
            raise


def show_report(report: Report, *, as_json: bool) -> None:
    """Print the account of a harvest, and its failures as warnings."""
    warn_of(report.failures)
    if as_json:
        print_json(report.as_dict())
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
    rows += _model_rows(report.harvester)
    rows += [
        ("seconds", f"{report.seconds:,.1f}"),
        ("sentences/s", f"{report.sentences_per_second:,.0f}"),
        ("run", report.run or "none: nothing to read"),
    ]
    print_table("Harvest", rows)
    untrained = [name[10:] for name in report.harvester if name.startswith("zero_shot:")]
    if untrained:
        typer.echo(
            f"note: no trained head for {', '.join(untrained)}; read from name and description",
            err=True,
        )


def _model_rows(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return what a language model was asked and what became of its answers."""
    if "calls" not in counts:
        return []
    names = ("calls", "prompt_tokens", "output_tokens", "stored", "reasked", "statements")
    rows = [(name.replace("_", " "), f"{counts[name]:,}") for name in names if name in counts]
    if "microdollars" in counts:
        rows.append(("US dollars", f"{counts['microdollars'] / 1e6:,.4f}"))
    kinds = ("chunks_", "dropped_", "fallback:")
    rows += [
        (name.replace("_", " "), f"{count:,}")
        for name, count in counts.items()
        if name.startswith(kinds) and count
    ]
    return rows


def warn_of(failures: Sequence[Failure]) -> None:
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


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on one line of stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_table(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values as a table on stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in rows:
        table.add_row(Text(name), Text(value))  # names are data, not markup
    Console().print(table)


def stderr() -> Console:
    """Return a console on stderr."""
    from rich.console import Console

    return Console(stderr=True)
