"""The main job from end to end on the sample: every line it prints as `$ sheaf …` is a command.

Documents become a graph; the graph answers Cypher, is completed, is searched and is drawn. The
commands run in this process, so that the models load once; typed by hand they do the same.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Final

import typer

__all__ = ["app"]

app = typer.Typer(add_completion=False)

type Step = tuple[str, Sequence[str]]

#: What the demo asks in Cypher, and in which words a person would ask it.
QUESTIONS: Final[Sequence[tuple[str, str]]] = (
    (
        "Where did these people work, and who met whom there?",
        "MATCH (p:Person)-[:EMPLOYER]->(o:Organization) "
        "WITH DISTINCT o.name AS place, p.name AS person ORDER BY place, person "
        "WITH place, collect(person) AS people WHERE size(people) > 1 "
        "RETURN place, people ORDER BY size(people) DESC, place LIMIT 5",
    ),
    (
        "Who was born where, and which sentence says so?",
        "MATCH (p:Person)-[b:BORN_IN]->(c:Place) MATCH (d:Document)<-[:FROM_DOCUMENT]-(:Chunk)"
        "-[s:STATES]->(p) WHERE s.triple_id = b.id "
        "RETURN p.name AS person, c.name AS place, s.quote AS quote, d.uri AS document "
        "ORDER BY person, quote LIMIT 5",
    ),
    (
        "Which married couples were both honoured?",
        "MATCH (a:Person)-[:SPOUSE]-(b:Person) WHERE a.name < b.name "
        "MATCH (a)-[:AWARD_RECEIVED]->(x) MATCH (b)-[:AWARD_RECEIVED]->(y) "
        "RETURN DISTINCT a.name AS one, b.name AS other, x.name AS award, y.name AS award_of_other "
        "ORDER BY one, award, award_of_other LIMIT 5",
    ),
)


def steps(graph: str, sample: Path, picture: Path) -> list[Step]:
    """Return the demo's steps: a title and the arguments of `sheaf`."""
    schema = str(sample / "schema.yaml")
    return [
        ("Documents → triples with evidence", ["harvest", graph, str(sample), "--schema", schema]),
        ("What the graph holds", ["stats", graph]),
        *((question, ["query", graph, cypher]) for question, cypher in QUESTIONS),
        ("Learn to complete the graph", ["train", graph]),
        ("Five links that no document states", ["predict", graph, "--k", "5"]),
        ("Find entities by words", ["search", graph, "laboratory in Cambridge", "--k", "5"]),
        ("… and by description", ["search", graph, "discovered radioactivity", "--k", "5"]),
        ("The graph as a picture", ["show", graph, "--output", str(picture)]),
    ]


@app.command("demo")
def demo(
    graph: Annotated[
        str, typer.Argument(help="The graph to build: a folder, neo4j://…, bolt://… or memory://.")
    ] = "demo/pioneers.kg",
) -> None:
    """Build, question, complete, search and draw the graph of the sample documents."""
    from sheaf import app as sheaf  # the command line itself: the demo is a user of it

    began = time.monotonic()
    picture = Path("demo/pioneers.html")
    picture.parent.mkdir(parents=True, exist_ok=True)
    with as_file(files("harvest") / "sample") as sample:
        for title, arguments in steps(graph, sample, picture):
            started = time.monotonic()
            typer.secho(f"\n── {title}", bold=True)
            typer.secho(f"$ sheaf {shlex.join(arguments)}", dim=True)
            code = sheaf(list(arguments), standalone_mode=False)
            if code:
                typer.echo(f"the demo stops: this step ended with exit code {code}", err=True)
                raise typer.Exit(code)
            typer.secho(f"({time.monotonic() - started:.1f} s)", dim=True)
    typer.secho(f"\ndone in {time.monotonic() - began:.0f} s; open {picture.absolute()}", bold=True)
