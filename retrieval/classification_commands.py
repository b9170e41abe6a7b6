"""The evaluation `sheaf eval entity-classification`: a thin layer over `entity_classification`."""

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
    """Classify entities by their vectors."""


@evaluations_app.command("entity-classification")
@report_errors
def entity_classification(
    data: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Folder with triples and classes.")
    ],
    encoder: Annotated[
        str, typer.Option(help="minilm, bow (trained here), none, or a trained model's folder.")
    ] = "minilm",
    text: Annotated[str | None, typer.Option(help="Text file of the folder to use.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the intervals and of training.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say the class of unseen entities by their vectors, beside majority and TF-IDF."""
    from retrieval.encoders.protocol import EntityEncoder, load_encoder
    from retrieval.encoders.sentence import SentenceEncoder
    from retrieval.entity_classification import classification, load_classes
    from retrieval.entity_training.recipe import preset_named, train_model
    from retrieval.triple_data import load_folder

    used: EntityEncoder | None = None
    if encoder == "minilm":
        used = SentenceEncoder()
    elif encoder == "bow":
        triples = load_folder(data, split="inductive", text=text)
        model, _ = train_model(triples, preset_named("bow-infonce", seed=seed))
        used = model.encoder
    elif encoder != "none":
        folder = Path(encoder)
        used = load_encoder(folder / "encoder" if (folder / "model.json").is_file() else folder)
    answer = classification(load_classes(data, text=text), used, seed=seed)
    if json:
        print_json(answer)
        return
    print_table(
        (answer["data"], "accuracy", "balanced"),
        [(name, row["accuracy"], row["balanced_accuracy"]) for name, row in answer["rows"].items()],
        title=f"{answer['classes']} classes, {answer['entities']['test']:,} test entities",
    )
