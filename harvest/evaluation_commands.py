"""The evaluations of `harvest`: how well documents become triples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harvest.presentation import print_json, print_table, stderr
from kg.reporting import report_errors

__all__ = ["evaluations_app"]

evaluations_app = typer.Typer(no_args_is_help=True, add_completion=False)


@evaluations_app.callback()
def _evaluations() -> None:
    """Measure how well documents become triples."""


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
    with Bar(console=stderr()) as bar:
        task = bar.add_task("sentences", total=None)
        figures = text2kg(
            data,
            **options,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        print_json(figures)
        return
    rows = [(f"official F1, {name}", f"{figures[name]:.3f}") for name in ("floor", "ceiling")]
    rows = [
        ("official F1 (macro)", f"{figures['official_f1']:.3f}"),
        *rows,
        ("unfiltered micro F1", f"{figures['unfiltered_micro_f1']:.3f}"),
        ("sentences", f"{figures['sentences']:,}"),
        ("sentences/s", f"{figures['sentences_per_second']:,.0f}"),
    ]
    print_table("Text2KGBench, Wikidata-TekGen", rows)


@evaluations_app.command("tekgen-demos")
@report_errors
def tekgen_demos_command(
    data: Annotated[Path, typer.Option(help="Folder with the benchmark, text2kgbench.")],
    retriever: Annotated[
        list[str] | None,
        typer.Option(help="bm25, tfidf, minilm or a folder; again for more. Default: two."),
    ] = None,
    per_ontology: Annotated[int, typer.Option(min=1, help="Sentences of each ontology.")] = 10,
    k: Annotated[int, typer.Option(min=1, help="Demonstrations per sentence.")] = 4,
    model: Annotated[
        str | None, typer.Option(help="A causal model's folder, id or GGUF file; SmolLM2.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of sample and random demonstrations.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure what retrieved demonstrations bring a small language model that extracts triples."""
    from rich.progress import Progress as Bar

    from harvest.tekgen_demos import tekgen_demos
    from retrieval.causal_lm import CausalLM

    with Bar(console=stderr(), transient=True) as bar:
        task = bar.add_task("loading", total=None)
        figures = tekgen_demos(
            data,
            rows=("none", "random", *(retriever or ("bm25", "minilm"))),
            per_ontology=per_ontology,
            k=k,
            seed=seed,
            lm=CausalLM.load(model),
            progress=lambda row, done, total: bar.update(
                task, description=row, completed=done, total=total
            ),
        )
    if as_json:
        print_json(figures)
        return
    rows = [
        (
            f"{name}: micro F1, official F1; copied",
            f"{row['unfiltered_micro_f1']:.3f}, {row['official_f1']:.3f}; "
            f"{row['copied']['unfiltered_micro_f1']:.3f}",
        )
        for name, row in figures["rows"].items()
    ]
    rows += [
        (name.replace("_", " "), f"{row['unfiltered_micro_f1']:.3f}, {row['official_f1']:.3f}")
        for name in ("floor", "ceiling", "text_extractor")
        for row in (figures[name],)
    ]
    print_table(f"TekGen, {figures['sentences']} sentences, {k} demonstrations", rows)
