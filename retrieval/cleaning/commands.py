"""The command `canonicalise`, and the evaluations of it and of `resolve`.

Thin layers over `kg.canonicalisation.canonicalise` and `retrieval.cleaning.evaluations`. They live
here because they lend `kg` an encoder; `resolve`, which may also ask a language model, is in
`harvest.llm.commands`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from kg.presentation import clean, plain, print_json, print_table
from kg.reporting import report_errors
from retrieval.cleaning.options import (
    DryRun,
    Encoder,
    EncoderOption,
    Graph,
    Json,
    SchemaFile,
    Threshold,
    opened,
    print_rows,
    schema_of,
    way_back,
)

__all__ = ["app", "evaluations_app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
evaluations_app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.command()
@report_errors
def canonicalise(
    graph: Graph,
    schema: SchemaFile = None,
    encoder: EncoderOption = Encoder.none,
    threshold: Threshold = None,
    related_to: Annotated[
        bool, typer.Option("--related-to", help="Phrases that nothing joins become RELATED_TO.")
    ] = False,
    many: Annotated[int, typer.Option(min=1, help="Warn above this many relation types.")] = 100,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Join phrases that name one relation, from either side; `undo` takes it back."""
    from kg.canonicalisation import CanonicalisationOptions
    from kg.canonicalisation import canonicalise as canonicalise_relations
    from retrieval.cleaning.evaluations import encoder_of

    encode, fingerprint = encoder_of(encoder.value)
    options = CanonicalisationOptions(related_to=related_to, many=many)
    if threshold is not None:
        options = replace(options, cosine=threshold)
    with opened(graph) as store:
        report = canonicalise_relations(
            store,
            schema=schema_of(schema),
            encode=encode,
            encoder=fingerprint,
            options=options,
            dry_run=dry_run,
        )
    if report.warning:
        typer.echo(f"warning: {report.warning}", err=True)
    if json:
        print_json(plain(report))
        return
    rows = [(r.phrase, r.relation, "swapped" if r.swapped else "", r.layer) for r in report.rows]
    print_rows(("phrase", "relation", "ends", "by"), rows)
    typer.echo(
        f"{report.types_before:,} relation types, {report.types_after:,} after "
        f"{len(report.rows):,} of {report.phrases:,} phrases{way_back(graph, report.run)}"
    )


@evaluations_app.command("resolution")
@report_errors
def evaluate_resolution(
    data: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="The folder text2kgbench.")
    ],
    aliases: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="FB15k-237's entity2wikidata.json(.xz)."),
    ] = None,
    part: Annotated[str, typer.Option(help="test, or dev to choose thresholds.")] = "test",
    encoder: EncoderOption = Encoder.none,
    threshold: Threshold = None,
    json: Json = False,
) -> None:
    """Precision and recall of merges on names of known identity, beside simpler ways."""
    from kg.resolution import ResolutionOptions
    from retrieval.cleaning.evaluations import resolution

    if part not in ("dev", "test"):
        raise typer.BadParameter(f"{part!r} is neither dev nor test", param_hint="--part")
    options = ResolutionOptions()
    if threshold is not None:
        options = replace(options, cosine=threshold)
    answer = resolution(
        data,
        part="dev" if part == "dev" else "test",
        aliases=aliases,
        encoder=encoder.value,
        options=options,
    )
    if json:
        print_json(answer)
        return
    rows = [("ours", answer["ours"]), *answer["controls"].items()]
    columns = ("precision", "recall", "f1", "true_pairs", "false_pairs")
    print_table(("", *columns), [(name, *(found[c] for c in columns)) for name, found in rows])
    typer.echo(f"{answer['ours']['gold_pairs']:,} pairs of names are one thing", err=True)


@evaluations_app.command("canonicalisation")
@report_errors
def evaluate_canonicalisation(
    data: Annotated[Path, typer.Option(exists=True, file_okay=False, help="The folder mine.")],
    system: Annotated[str, typer.Option(help="kggen, graphrag or openie.")] = "kggen",
    encoder: EncoderOption = Encoder.none,
    threshold: Threshold = None,
    seed: Annotated[int, typer.Option(help="Of the sample to be judged.")] = 0,
    json: Json = False,
) -> None:
    """Predicates before and after, and a sample of merges for a reader to judge."""
    from kg.canonicalisation import CanonicalisationOptions
    from retrieval.cleaning.evaluations import canonicalisation

    options = CanonicalisationOptions()
    if threshold is not None:
        options = replace(options, cosine=threshold)
    answer = canonicalisation(
        data, system=system, encoder=encoder.value, options=options, seed=seed
    )
    if json:
        print_json(answer)
        return
    for line in answer["sample"]:
        typer.echo(clean(line))
    typer.echo(
        f"{answer['predicates']:,} predicates, {answer['after_words']:,} by words, "
        f"{answer['after']:,} in the end"
    )
