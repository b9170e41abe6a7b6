"""The commands of `kg`: what a graph can be asked, shown and changed by without any model.

Each is a thin layer over a Python call: `GraphStore.read`, `kg.picture.show`, `GraphStore.stats`,
`kg.explanation.explain`, `GraphStore.undo` and `GraphStore.delete_document`. Data goes to stdout,
remarks to stderr; with `--json` the last line of stdout is one JSON object.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from kg.errors import NotFound
from kg.presentation import clean, console, explained, plain, print_json, print_table
from kg.reporting import report_errors
from kg.store.protocol import GraphStore, RemoveReport

__all__ = ["app", "report_errors"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

#: Runs shown by `undo` without a run.
LATEST_RUNS = 10

Graph = Annotated[
    str, typer.Argument(metavar="GRAPH", help="A folder, neo4j://…, bolt://… or memory://.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line.")]


@contextmanager
def _open(address: str) -> Iterator[GraphStore]:
    from kg.store.open import open_graph

    graph = open_graph(address, create=False)
    try:
        yield graph
    finally:
        graph.close()


@app.command()
@report_errors
def query(
    graph: Graph,
    cypher: Annotated[str, typer.Argument(help="A read-only Cypher statement.")],
    limit: Annotated[
        int | None, typer.Option(min=1, help="Show at most this many rows; says how many more.")
    ] = None,
    json: Json = False,
) -> None:
    """Answer a read-only Cypher statement."""
    with _open(graph) as store:
        answer = store.read(cypher)
    rows = answer.rows[:limit]
    if json:
        shown = [dict(zip(answer.columns, row, strict=True)) for row in rows]
        print_json({"columns": answer.columns, "rows": shown, "count": len(answer)})
        return
    print_table(answer.columns, rows)
    hidden = len(answer) - len(rows)
    note = f" ({hidden} more; raise --limit to see them)" if hidden else ""
    typer.echo(f"{_count(len(rows), 'row')}{note}", err=True)


@app.command()
@report_errors
def show(
    graph: Graph,
    limit: Annotated[int, typer.Option(min=1, help="Draw the entities with most links.")] = 300,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The HTML file; by default beside the graph."),
    ] = None,
    json: Json = False,
) -> None:
    """Draw the graph as one HTML file that opens without a network."""
    from kg.picture import show as draw

    with _open(graph) as store:
        path = draw(store, output or _beside(graph), limit=limit)
    if json:
        print_json({"picture": str(path), "bytes": path.stat().st_size})
    else:
        typer.echo(str(path))


@app.command()
@report_errors
def stats(
    graph: Graph,
    hash: Annotated[
        bool, typer.Option("--hash", help="Also the hash of all that is derived.")
    ] = False,
    json: Json = False,
) -> None:
    """Count what the graph holds."""
    from kg.graph_hash import graph_hash

    with _open(graph) as store:
        found = store.stats()
        digest = graph_hash(store) if hash else ""
    names = ("documents", "chunks", "mentions", "evidence", "entities", "literals", "triples")
    counts = {name: getattr(found, name) for name in (*names, "predictions", "runs", "merges")}
    if json:
        more = {"relations": found.relations, "types": found.types}
        print_json({**counts, **more, **({"hash": digest} if hash else {})})
        return
    print_table(("graph", "count"), counts.items())
    if found.types:
        types = [(name or "(unknown)", number) for name, number in found.types.items()]
        print_table(("type", "entities"), types)
    if found.relations:
        print_table(("relation", "triples"), found.relations.items())
    if hash:
        typer.echo(f"hash {digest}")


@app.command()
@report_errors
def explain(
    graph: Graph,
    triple: Annotated[
        str, typer.Argument(help="A triple id, or 'head | relation | tail' by names.")
    ],
    json: Json = False,
) -> None:
    """Show every piece of evidence of a triple: quote, document, model, score."""
    from kg.explanation import explain as explain_triple

    with _open(graph) as store:
        found = explain_triple(store, triple)
    if json:
        print_json({"triples": [{"id": one.id, **plain(one)} for one in found]})
        return
    screen = console()
    for one in found:
        for line in explained(one):
            screen.print(line, soft_wrap=True)


@app.command()
@report_errors
def relations(graph: Graph, json: Json = False) -> None:
    """List the relations with their counts and the phrases that name them."""
    from kg.explanation import predicted

    triples: Counter[str] = Counter()
    phrases: dict[str, Counter[str]] = defaultdict(Counter)
    with _open(graph) as store:
        for triple in store.derived("triple"):
            triples[triple.relation] += 1
            phrases[triple.relation][triple.predicate] += 1
        guesses = Counter(link.relation for link in predicted(store))
    order = sorted({*triples, *guesses}, key=lambda name: (-triples[name], name))
    rows = [
        {
            "relation": name,
            "triples": triples[name],
            "predicted": guesses[name],
            "phrases": [phrase for phrase, _ in phrases[name].most_common()],
        }
        for name in order
    ]
    if json:
        print_json({"relations": rows})
        return
    columns = ("relation", "triples", "predicted", "phrases")
    print_table(columns, (tuple(row.values()) for row in rows))


@app.command()
@report_errors
def undo(
    graph: Graph,
    run: Annotated[str, typer.Argument(help="Id of a run, or its beginning.")] = "",
    list_runs: Annotated[bool, typer.Option("--list", help="List the latest runs.")] = False,
    json: Json = False,
) -> None:
    """Take back a run: what only it found is removed. Without a run, list the latest."""
    with _open(graph) as store:
        if run and not list_runs:
            wanted = _run(store, run)
            report = store.undo(wanted)
            _print_removed(report, {"run": wanted}, json=json)
            return
        configs = {config.id: config for config in store.written("config")}
        latest = list(store.written("run"))[-LATEST_RUNS:][::-1]
    rows = [
        {
            "run": one.id,
            "harvester": configs[one.config].harvester,
            "model": configs[one.config].model,
            "started": one.started,
            "finished": one.finished,
            "counts": one.counts,
        }
        for one in latest
    ]
    if json:
        print_json({"runs": rows})
    elif rows:
        for row in rows:
            row |= {key: str(row[key])[:19].replace("T", " ") for key in ("started", "finished")}
        print_table(tuple(rows[0]), (tuple(row.values()) for row in rows))
        typer.echo("undo one with: sheaf undo GRAPH RUN", err=True)
    else:
        typer.echo("the graph has no run", err=True)


@app.command()
@report_errors
def delete(
    graph: Graph,
    document: Annotated[str, typer.Argument(help="The uri of a document.")],
    json: Json = False,
) -> None:
    """Remove a document with everything that only it says."""
    with _open(graph) as store:
        report = store.delete_document(document)
    _print_removed(report, {"document": document}, json=json)


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def _beside(address: str) -> Path:
    """Return where the picture of a graph goes: beside an embedded graph, else here."""
    return Path("graph.html") if "://" in address else Path(address).with_suffix(".html")


def _run(store: GraphStore, run: str) -> str:
    """Return the run whose id is `run` or begins with it."""
    known = [one.id for one in store.written("run")]
    matches = [run] if run in known else [id for id in known if id.startswith(run)]
    if len(matches) > 1:
        raise NotFound(f"{len(matches)} runs begin with {run}: give more of the id")
    return matches[0] if matches else run


def _print_removed(report: RemoveReport, about: dict[str, str], *, json: bool) -> None:
    removed = {name: getattr(report, name) for name in report.__dataclass_fields__}
    if json:
        print_json({**about, "removed": removed})
        return
    parts = [f"{number:,} {name}" for name, number in removed.items() if number]
    what = ", ".join(f"{key} {clean(value)}" for key, value in about.items())
    typer.echo(f"{what}: removed {', '.join(parts) or 'nothing that others do not hold too'}")
