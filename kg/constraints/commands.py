"""The commands of `kg.constraints`: check a graph against a schema; judge explanation graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kg.presentation import plain, print_json, print_table
from kg.reporting import report_errors

__all__ = ["app", "evaluations_app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
evaluations_app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

#: Exit code of a check that found something.
BROKEN = 1

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line.")]


@app.command()
@report_errors
def check(
    graph: Annotated[str, typer.Argument(metavar="GRAPH", help="A folder, neo4j://… or bolt://….")],
    schema: Annotated[
        Path | None, typer.Option(help="YAML file; default: what the graph was harvested by.")
    ] = None,
    examples: Annotated[int, typer.Option(min=0, help="Places shown for each rule.")] = 3,
    shacl: Annotated[
        Path | None, typer.Option(help="Also write the rules as SHACL shapes, in Turtle.")
    ] = None,
    json: Json = False,
) -> None:
    """Check the graph against the rules of a schema; exit code 1 if one does not hold."""
    from kg.constraints import harvested_schema, rules_of, validate
    from kg.schema import Schema
    from kg.store.open import open_graph

    declared = Schema.load(schema) if schema else None
    store = open_graph(graph, create=False)
    try:
        rules = rules_of(declared or harvested_schema(store))
        if shacl is not None:
            from kg.constraints.shacl import shapes_of

            shacl.write_text(shapes_of(rules).turtle, encoding="utf-8")
        report = validate(store, rules, examples=examples)
    finally:
        store.close()
    if json:
        print_json({"ok": report.ok, "rules": len(rules), **plain(report)})
    else:
        for one in report.failed:
            rows = [(place.message, "\n".join(place.quotes)) for place in one.examples]
            title = f"{one.rule} {one.about}".strip() + f": broken in {_count(one.count)}"
            print_table(("for example", "as stated by"), rows, title=title)
        held = len(rules) - len(report.failed)
        size = f"{report.nodes:,} nodes, {report.edges:,} triples"
        typer.echo(f"{held} of {len(rules)} rules hold on {size}", err=True)
    if not report.ok:
        raise typer.Exit(BROKEN)


@evaluations_app.callback()
def _evaluations() -> None:
    """Measure how graphs keep rules."""


@evaluations_app.command("explanation-graphs")
@report_errors
def explanation_graphs(
    data: Annotated[Path, typer.Option(help="Folder of ExplaGraphs.")], json: Json = False
) -> None:
    """Judge the structure of ExplaGraphs' gold graphs and of a released model's."""
    from kg.constraints.explanation_graphs import evaluate

    found = evaluate(data)
    if json:
        print_json(found)
        return
    gold = [(name, row["structure_right"], row["items"]) for name, row in found["gold"].items()]
    print_table(("gold graphs", "structure right", "of"), gold)
    model = found["max_margin"]
    rows = [(key.replace("_", " "), model[key]) for key in list(model)[:4]]
    print_table(("max-margin predictions on dev", "figure"), rows)
    print_table(("failure with the right stance", "graphs"), model["failures"].items())


def _count(number: int) -> str:
    return f"{number:,} place" + ("" if number == 1 else "s")
