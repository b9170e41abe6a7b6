"""The evaluation `sheaf eval entity-search`: a thin layer over `entity_search_evaluation`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kg.presentation import print_json, print_table
from kg.reporting import report_errors

__all__ = ["evaluations_app"]

evaluations_app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@evaluations_app.callback()
def _evaluations() -> None:
    """Find entities by words."""


@evaluations_app.command("entity-search")
@report_errors
def entity_search(
    data: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Folder of a search collection.")
    ],
    encoder: Annotated[
        str, typer.Option(help="minilm, or the folder of a trained model or encoder.")
    ] = "minilm",
    links: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Folder with triples of the entities."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder that keeps vectors for next time.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the intervals.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Rank entities for queries: BM25, the encoder, and what mixing them adds, step by step."""
    from retrieval.encoders.protocol import EntityEncoder, load_encoder
    from retrieval.encoders.sentence import SentenceEncoder
    from retrieval.entity_search_evaluation import evaluate_search, neighbours
    from retrieval.kept_vectors import kept_vectors
    from retrieval.search_data import load_search

    used: EntityEncoder
    if encoder == "minilm":
        used = SentenceEncoder()
    else:
        folder = Path(encoder)
        used = load_encoder(folder / "encoder" if (folder / "model.json").is_file() else folder)
    read = load_search(data)
    answer = evaluate_search(
        read,
        used,
        links=None if links is None else neighbours(read, links),
        vectors=None if cache is None else kept_vectors(used, cache),
        seed=seed,
    )
    if json:
        print_json(answer)
        return
    measures = ("ndcg_at_10", "ndcg_at_100", "recall_at_100", "judged_at_10")
    print_table(
        (answer["data"], "NDCG@10", "NDCG@100", "R@100", "judged@10"),
        [(name, *(row["all"][one] for one in measures)) for name, row in answer["rows"].items()],
        title=f"{answer['queries']} queries, {answer['entities']:,} entities",
    )
