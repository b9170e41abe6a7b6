"""The command `sheaf eval explanation-roles`: when do explanations help?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from kg.presentation import print_json, print_table
from kg.reporting import report_errors

__all__ = ["evaluations_app"]

evaluations_app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@evaluations_app.callback()
def _evaluations() -> None:
    """Measure when explanations help."""


@evaluations_app.command("explanation-roles")
@report_errors
def explanation_roles(
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="One's own task, in the JSON of Natural Instructions, instead of the numbers.",
        ),
    ] = None,
    features: Annotated[
        Literal["tfidf", "minilm"], typer.Option(help="With --data: what texts are compared by.")
    ] = "tfidf",
    k: Annotated[int, typer.Option(min=1, help="With --data: explanations per item.")] = 5,
    kind: Annotated[
        Literal["missing", "evidential", "recomposable"],
        typer.Option(help="What explanations are in the diagnostic."),
    ] = "missing",
    indices: Annotated[int, typer.Option(min=1, help="Hidden rules of the diagnostic.")] = 500,
    per_index: Annotated[int, typer.Option(min=1, help="Training items of each rule.")] = 10,
    test: Annotated[
        int, typer.Option(min=5, help="Test items; a fifth as many choose the epoch.")
    ] = 50_000,
    disjoint: Annotated[
        bool, typer.Option("--disjoint", help="Test on rules that training does not have.")
    ] = False,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training items.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of items, weights and batches.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Of the matrix products.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say whether retrieved explanations help: on a task with a known answer, or on one's own."""
    if data is not None:
        _own_task(data, features=features, k=k, seed=seed, json=json)
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    from retrieval.explanation_roles.diagnostic import diagnose
    from retrieval.explanation_roles.items import Sizes

    with Bar(console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task("training", total=None)
        figures = diagnose(
            kind,
            sizes=Sizes(indices, per_index, dev=test // 5, test=test, disjoint=disjoint),
            seed=seed,
            epochs=epochs,
            threads=threads,
            progress=lambda way, done, total: bar.update(
                shown, description=way, completed=done, total=total
            ),
        )
    if json:
        print_json(figures)
        return
    published = figures["published"]
    rows = [
        (row["way"], f"{row['test']:.4f}", f"{row['found']:.3f}", published.get(row["way"], "–"))
        for row in figures["outcomes"]
    ]
    print_table(("explanations", "accuracy", "of the right rule", "published"), rows)
    typer.echo(
        f"{kind}, {figures['train']:,} training items, seed {seed}, {figures['seconds']:,.0f} s",
        err=True,
    )


def _own_task(
    file: Path, *, features: Literal["tfidf", "minilm"], k: int, seed: int, json: bool
) -> None:
    from retrieval.demonstrations.task import Task
    from retrieval.explanation_roles.own_data import explanations_help

    verdict = explanations_help(Task.from_ni(file), features=features, k=k, seed=seed)
    if json:
        figures: dict[str, Any] = {
            **asdict(verdict),
            "helps": verdict.helps,
            "advice": verdict.advice,
            "features": features,
            "k": k,
            "seed": seed,
        }
        print_json(figures)
        return
    rows = [
        (way, f"{share:.3f}", f"{verdict.against[way].p:.3g}" if way in verdict.against else "–")
        for way, share in verdict.accuracy.items()
    ]
    print_table(("explanations", "accuracy", "p against retrieved"), rows)
    typer.echo(f"{verdict.items:,} items, majority {verdict.majority:.3f}", err=True)
    typer.echo(verdict.advice)
