"""The evaluation `sheaf eval demos`: a thin layer over `evaluation` and `mixed_index`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kg.presentation import print_json, print_table
from kg.reporting import report_errors

if TYPE_CHECKING:
    from retrieval.demonstrations.evaluation import Judge
    from retrieval.demonstrations.retriever import DemonstrationRetriever

__all__ = ["evaluations_app"]

evaluations_app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

#: Columns of the printed table; --json has all figures.
COLUMNS: Final = ("match_at_1", "match_at_8", "any_at_8", "vote", "macro_f1", "map")
#: The row that speaks for the whole answer: the first of these that was asked for.
SPEAKERS: Final = ("model", "minilm", "tfidf", "bm25")


class Encoder(StrEnum):
    """Retrievers that need no training."""

    bm25 = "bm25"
    tfidf = "tfidf"
    minilm = "minilm"


@evaluations_app.callback()
def _evaluations() -> None:
    """Measure retrieved demonstrations."""


@evaluations_app.command()
@report_errors
def demos(
    data: Annotated[Path, typer.Option(exists=True, file_okay=False, help="The data folder.")],
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="May be repeated; all (the eight) if not given, table adds FewRel's other pools."
        ),
    ] = None,
    retriever: Annotated[
        list[Encoder] | None,
        typer.Option(help="May be repeated; all three if not given."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="A trained encoder, as the row model."),
    ] = None,
    queries: Annotated[
        int | None, typer.Option(min=1, help="At most so many of each test; all if not given.")
    ] = None,
    lm: Annotated[
        bool, typer.Option("--lm", help="Also ask SmolLM2 with each row's demonstrations.")
    ] = False,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="One index over all tasks, instead of the tables.")
    ] = False,
    classifier: Annotated[
        bool, typer.Option(help="TF-IDF with logistic regression (needs scikit-learn).")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of samples and random rows.")] = 0,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on the last line.")
    ] = False,
) -> None:
    """Measure what is retrieved: match, vote and MAP beside chance, ceiling and a classifier."""
    from retrieval.demonstrations.datasets import FEWREL_NAMES, NAMES, load_task
    from retrieval.demonstrations.evaluation import evaluate, sampled
    from retrieval.demonstrations.mixed_index import mixed_index
    from retrieval.demonstrations.pattern_rules import load_rules, rule_figures

    several = {"all": NAMES, "table": (*NAMES, *FEWREL_NAMES)}
    names = dict.fromkeys(
        name for given in task or ["all"] for name in several.get(given, (given,))
    )
    wanted = dict.fromkeys(one.value for one in retriever or Encoder)
    rows = [*wanted, *(["model"] if model else [])]
    tasks = [load_task(data, name) for name in names]
    if mixed:
        answer: dict[str, Any] = {
            name: mixed_index(_retriever(name, model), tasks, queries=queries, seed=seed)
            for name in rows
        }
        if json:
            print_json({"mixed": answer})
            return
        shares = ("right_task", "right_instruction", "vote")
        print_table(
            ("", *shares, *(f"shuffled: {share}" for share in shares)),
            [
                (name, *(one[c] for c in shares), *(one["shuffled"][c] for c in shares))
                for name, one in answer.items()
            ],
        )
        return
    judge = _judge() if lm else None
    tables = {}
    for one in tasks:
        typer.echo(f"{one.task.name}: {len(one.task.demos):,} demonstrations", err=True)
        tables[one.task.name] = evaluate(
            sampled(one, queries, seed=seed),
            {name: _retriever(name, model) for name in rows},
            seeds=(seed, seed + 1, seed + 2),
            judge=judge,
            classifier=classifier,
        )
        if one.task.name == "semeval-re":
            asked = sampled(one, queries, seed=seed).test
            rows_of = tables[one.task.name]["rows"]
            rows_of["pattern_rules"] = rule_figures(load_rules(data, one), asked)
    if json:
        speaker = next(name for name in SPEAKERS if name in rows)
        found = [table["rows"][speaker] for table in tables.values()]
        means = {
            name: round(sum(row[name] for row in found) / len(found), 6)
            for name in ("match_at_1", "match_at_8", "any_at_8", "vote", "macro_f1")
        }
        print_json({"of": speaker, **means, "tasks": tables})
        return
    for name, table in tables.items():
        columns = [*COLUMNS, *(["lm_accuracy"] if lm else [])]
        typer.echo(
            f"\n{name}: {table['pool']:,} demonstrations, {table['queries']:,} queries, "
            f"{table['repeated_in_pool']} of them in the pool"
        )
        lines = []
        for row, figures in table["rows"].items():
            lines.append((row, *(_cell(figures, column) for column in columns)))
            if "without_repeated" in figures:
                own = figures["without_repeated"]
                lines.append((f"{row}, no repeats", *(_cell(own, column) for column in columns)))
        print_table(("", *columns), lines)


def _cell(figures: dict[str, Any], column: str) -> Any:
    """Return a figure; answers without demonstrations stand in the column of the vote."""
    return figures.get(column, figures.get("accuracy", "") if column == "vote" else "")


def _retriever(name: str, model: Path | None) -> DemonstrationRetriever:
    from retrieval.demonstrations.retriever import DemonstrationRetriever

    if name == "model" and model is not None:
        # What `sheaf train-demos` and `DemonstrationRetriever.save` write has it in a folder.
        return DemonstrationRetriever(model / "encoder" if (model / "encoder").is_dir() else model)
    return DemonstrationRetriever(name)


def _judge() -> Judge:
    from retrieval.causal_lm import CausalLM
    from retrieval.demonstrations.lm_judge import lm_judge

    return lm_judge(CausalLM.load())
