"""The command `sheaf demos`: solved examples for a sentence, from the sources of a graph."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from kg.presentation import print_json, print_table
from kg.reporting import report_errors

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def _demos() -> None:
    """Find demonstrations."""


@app.command()
@report_errors
def demos(
    graph: Annotated[
        str, typer.Argument(metavar="GRAPH", help="A folder, neo4j://…, bolt://… or memory://.")
    ],
    sentence: Annotated[
        str | None,
        typer.Argument(help="What shall be read; or a passage. May be missing with --relation."),
    ] = None,
    relation: Annotated[
        str | None, typer.Option(help="Only sentences that state this relation.")
    ] = None,
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="Number of demonstrations.")] = 8,
    retriever: Annotated[
        str,
        typer.Option(
            metavar="NAME|FOLDER", help="bm25, tfidf, minilm, or a trained encoder's folder."
        ),
    ] = "bm25",
    prompt: Annotated[
        bool, typer.Option("--prompt", help="Print the prompt, the best one next to the sentence.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the graph's own sentences most like this one, with the triples that they state.

    Without a sentence: those that state the relation best.
    """
    from kg.store.open import open_graph
    from retrieval.demonstrations.graph_pool import GraphPool
    from retrieval.errors import QueryShapeError

    if sentence is None and (relation is None or prompt):
        raise QueryShapeError("give a sentence, or leave it out with --relation R alone")
    with closing(open_graph(graph, create=False)) as store:
        pool = GraphPool(store, retriever)
        if sentence is None:
            hits, text = pool.stating(str(relation), k=k), ""
        else:
            hits = pool.retrieve(sentence, k=k, relation=relation)
            text = pool.retriever.prompt(sentence, hits)
    if json:
        shown = [
            {
                "id": hit.id,
                "input": hit.input,
                "output": hit.output,
                "score": hit.score,
                "rank": hit.rank,
                "provenance": dict(hit.provenance),
            }
            for hit in hits
        ]
        print_json({"demos": shown, "prompt": text, "pool": len(pool)})
    elif prompt:
        typer.echo(text)
    else:
        rows = [
            (
                hit.rank,
                hit.input,
                hit.output,
                hit.score,
                f"{hit.provenance['source']}:{hit.provenance['start']}-{hit.provenance['end']}",
            )
            for hit in hits
        ]
        print_table(("", "sentence", "states", "score", "from"), rows)
    if not hits:
        typer.echo(
            f"none of {len(pool):,} sentences fits; sentences that hold or are the asked one, or "
            "are negated, hedged or denied, are no demonstrations",
            err=True,
        )
