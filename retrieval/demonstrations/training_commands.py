"""The command `sheaf train-demos`: a thin layer over `trainer`."""

from __future__ import annotations

import json as json_format
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kg.presentation import print_json, print_table
from kg.reporting import report_errors

if TYPE_CHECKING:
    from retrieval.demonstrations.feedback import Feedback
    from retrieval.demonstrations.task import Task
    from retrieval.demonstrations.trainer import Trained

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


class LossName(StrEnum):
    """The losses of `objectives`."""

    uwe = "uwe"
    uwe_soft = "uwe-soft"
    epr = "epr"
    udr = "udr"
    udr_predicted = "udr-predicted"
    llmr = "llmr"
    ceil = "ceil"


@app.callback()
def _training() -> None:
    """Train retrievers of demonstrations."""


@app.command("train-demos")
@report_errors
def train_demos(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of the model, and of what resumes it.")
    ],
    file: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, help="A Natural Instructions task; repeatable."),
    ] = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="The outputs of the files are labels, not free text.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="The evaluations' data.")
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(help="A task of --data; repeatable; all if not given."),
    ] = None,
    loss: Annotated[LossName, typer.Option(help="What is learnt.")] = LossName.uwe,
    lm: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Language model that scores: default, a folder, GGUF or id."
        ),
    ] = None,
    scored: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Folder of TASK.json: lists scored before."
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="File that keeps the model's scores; default: in OUT."),
    ] = None,
    base: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Encoder to start from.")
    ] = None,
    queries: Annotated[
        int | None, typer.Option(min=2, help="Training queries of a task; all if not given.")
    ] = None,
    candidates: Annotated[int, typer.Option(min=2, help="Scored candidates of a query.")] = 50,
    shown: Annotated[int, typer.Option(min=2, help="Candidates that one step sees.")] = 8,
    mining: Annotated[int, typer.Option(min=0, help="Rounds of mining.")] = 0,
    held_out: Annotated[
        float, typer.Option(help="Share of the queries that chooses the best state; 0: the last.")
    ] = 0.1,
    hidden: Annotated[
        float, typer.Option(help="Share of demonstrations that labels teach without the answer.")
    ] = 0.0,
    steps: Annotated[int, typer.Option(min=1, help="Steps of a run.")] = 400,
    batch: Annotated[int, typer.Option(min=1, help="Queries of a step.")] = 48,
    learning_rate: Annotated[float, typer.Option(help="At its highest.")] = 2e-4,
    frozen_layers: Annotated[int, typer.Option(min=0, help="Lowest layers that stay.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of all draws.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train an encoder of demonstrations, from labels or from a language model's scores.

    A stopped training goes on where it was when the same command is given again.
    """
    from retrieval.demonstrations.trainer import DemonstrationTrainer
    from retrieval.demonstrations.training_run import RunOptions

    if bool(file) == bool(data):
        raise typer.BadParameter("give either --file or --data", param_hint="--file")
    tasks = _of_files(file or [], labels=labels) if file else _of_data(data, task)
    options = RunOptions(steps=steps, batch=batch, learning_rate=learning_rate, seed=seed)
    trainer = DemonstrationTrainer(
        base,
        _scorers(lm, [one.name for one in tasks], store or out / "scores.sqlite"),
        loss=loss.value,
        K=candidates,
        l=shown,
        iterations=mining,
        queries=queries,
        held_out=held_out,
        hidden=hidden,
        options=options,
        frozen_layers=frozen_layers,
        folder=out / "work",
    )
    known = {one.name: scored / f"{one.name}.json" for one in tasks} if scored else None
    trained = trainer.train(
        tasks, known={name: path for name, path in (known or {}).items() if path.is_file()}
    )
    trained.encoder.save(
        out / "encoder", prompts={one.name: f"{one.instruction} " for one in tasks}
    )
    answer = _report(trained, tasks, out)
    (out / "report.json").write_text(json_format.dumps(answer, indent=1), "utf-8")
    if json:
        print_json(answer)
        return
    rows = [
        (number, check["step"], check["loss"], check["value"])
        for number, run in enumerate(answer["runs"])
        for check in run["checks"]
    ]
    print_table(("round", "step", "loss", "held-out"), rows)
    typer.echo(f"saved in {out / 'encoder'}; SentenceTransformer reads it", err=True)


def _of_files(files: list[Path], *, labels: bool) -> list[Task]:
    from retrieval.demonstrations.task import Task

    tasks = [Task.from_ni(path) for path in files]
    if not labels:
        return tasks
    return [
        replace(task, labels=tuple(sorted({demo.output for demo in task.demos}))) for task in tasks
    ]


def _of_data(folder: Path | None, names: list[str] | None) -> list[Task]:
    """Return tasks without what the test of any of them holds."""
    from retrieval.demonstrations.datasets import NAMES, load_task, without_tests

    if folder is None:
        return []
    everything = {name: load_task(folder, name) for name in dict.fromkeys((*NAMES, *(names or ())))}
    wanted = [everything[name] for name in names or NAMES]
    return [without_tests(one, everything.values()).task for one in wanted]


def _scorers(lm: str | None, tasks: list[str], store: Path) -> dict[str, Feedback] | None:
    """Return each task's scorer, in the format that `demos-lm` asks with; scores are shared."""
    if lm is None:
        return None
    from retrieval.causal_lm import CausalLM
    from retrieval.demonstrations.lm_evaluation import task_scorer
    from retrieval.demonstrations.score_store import ScoreStore

    model = CausalLM.load(None if lm == "default" else lm)
    store.parent.mkdir(parents=True, exist_ok=True)
    kept = ScoreStore(store)
    return {name: task_scorer(model, name, store=kept) for name in tasks}


def _report(trained: Trained, tasks: list[Task], out: Path) -> dict[str, Any]:
    return {
        "model": str(out / "encoder"),
        "tasks": {one.name: len(one.demos) for one in tasks},
        "runs": [asdict(run) for run in trained.runs],
        "scored": {
            name: {
                "queries": len(lists),
                "candidates": sum(len(one.candidates) for one in lists.values()),
            }
            for name, lists in trained.scored.items()
        },
    }
