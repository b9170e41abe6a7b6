"""The evaluation `sheaf eval demos-lm`: does a model answer better with retrieved examples?

A thin layer over `lm_evaluation.claim`. Texts of the test are taken out of the pool first. Random
and balanced rows (labels in turn) are fixed sets of eight, the same for all queries.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from kg.presentation import print_json, print_table
from kg.reporting import report_errors

__all__ = ["evaluations_app"]

evaluations_app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

#: The tasks of the published table that a small model is asked about.
TASKS: Final = ("sst2", "trec", "subj", "semeval-re")
COLUMNS: Final = ("lm", "vote", "match_at_8", "lm_macro_f1")


@evaluations_app.callback()
def _evaluations() -> None:
    """Ask a language model with retrieved demonstrations."""


@evaluations_app.command("demos-lm")
@report_errors
def demos_lm(
    data: Annotated[Path, typer.Option(exists=True, file_okay=False, help="The data folder.")],
    task: Annotated[
        list[str] | None, typer.Option(help="A task; repeatable; four if not given.")
    ] = None,
    retriever: Annotated[
        list[str] | None,
        typer.Option(help="bm25, tfidf, minilm or an encoder's folder; repeatable."),
    ] = None,
    lm: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Folder, GGUF or id; SmolLM2 if not given.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File that keeps scores, to resume.")
    ] = None,
    queries: Annotated[int, typer.Option(min=1, help="At most so many of each test.")] = 200,
    scored: Annotated[
        int, typer.Option(min=0, help="Training queries whose 16 candidates are scored singly.")
    ] = 0,
    shuffled: Annotated[
        list[str] | None,
        typer.Option(help="A retriever also asked with its order by chance; repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample of queries.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare a model's answers with eight random and eight retrieved demonstrations.

    Beside its accuracy stands the vote of the same demonstrations. --scored says what a single one
    does: by chance, by BM25, the best by the model's own score, and how much of it is copying.
    """
    from retrieval.causal_lm import CausalLM
    from retrieval.demonstrations.datasets import load_task, without_tests
    from retrieval.demonstrations.lm_evaluation import (
        claim,
        claim_rows,
        drawn_candidates,
        drawn_queries,
        feedback,
        feedback_figures,
        task_scorer,
    )
    from retrieval.demonstrations.retriever import DemonstrationRetriever
    from retrieval.demonstrations.score_store import ScoreStore

    encoders = {Path(name).name: name for name in retriever or ("bm25", "minilm")}
    wanted = [without_tests(load_task(data, name)) for name in task or TASKS]
    model = CausalLM.load(lm)
    kept = ScoreStore(store) if store else None
    tables, single = {}, {}
    for one in wanted:
        name = one.task.name
        one = replace(one, test=tuple(drawn_queries(one.test, queries, seed=seed)))
        typer.echo(f"{name}: {len(one.test)} queries", err=True)
        retrievers = {row: DemonstrationRetriever(encoder) for row, encoder in encoders.items()}
        scorer = task_scorer(model, name, store=kept)
        if scored:
            asked = drawn_queries(one.task.demos, scored, seed=seed)
            candidates = drawn_candidates(one.task, asked, n=16, seed=seed)
            single[name] = feedback_figures(one.task, feedback(scorer, one.task, candidates))
        tables[name] = claim(
            scorer,
            one,
            claim_rows(one, retrievers, shuffled=shuffled or ()),
            progress=lambda row: typer.echo(f"  {row}", err=True),
        )
    if kept is not None:
        kept.close()
    if json:
        print_json(
            {
                "queries": queries,
                "seed": seed,
                "lm": model.fingerprint,
                "tasks": tables,
                "one_demonstration": single,
            }
        )
        return
    for name, rows in tables.items():
        typer.echo(f"\n{name}")
        print_table(
            ("", *COLUMNS, "above the vote"),
            [
                (row, *(found[column] for column in COLUMNS), "yes" if found["gate"] else "no")
                for row, found in rows.items()
            ],
        )
    if single:
        typer.echo("\none demonstration")
        columns = list(next(iter(single.values())))
        print_table(("", *columns), [(name, *found.values()) for name, found in single.items()])
