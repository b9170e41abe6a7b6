"""The commands of `retrieval`: train on a graph, predict its links, search it, measure.

Each is a thin layer over the Python call of the same name. Data goes to stdout, progress and
remarks to stderr; with `--json` the last line of stdout is one JSON object. Nothing heavy is
imported before a command runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from kg.presentation import print_json, print_table
from kg.reporting import report_errors

if TYPE_CHECKING:
    from kg.store.protocol import GraphStore
    from retrieval.link_prediction import PredictedLink
    from retrieval.progress import Progress

__all__ = ["app", "evaluations_app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
evaluations_app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

#: Proposals shown when neither head, tail nor relation is named.
PROPOSALS: Final = 5

Graph = Annotated[str, typer.Argument(metavar="GRAPH", help="A folder, neo4j://… or bolt://….")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line.")]
Types = Annotated[
    list[str] | None, typer.Option("--type", help="Answers of this type only; may be repeated.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of splits, weights and batches.")]


@evaluations_app.callback()
def _evaluations() -> None:
    """Measure how well missing links are found."""


@app.command()
@report_errors
def train(
    graph: Graph,
    encoder: Annotated[
        Literal["bow", "minilm"], typer.Option(help="Bag of words, or MiniLM with one beside it.")
    ] = "bow",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the links; default: by size.")
    ] = None,
    dim: Annotated[int, typer.Option(min=1, help="Length of a vector.")] = 128,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Train the encoder on the graph's own links; ends with held-out MRR and its floor."""
    from retrieval.link_prediction import train as train_on

    with _open(graph) as store, _bar() as progress:
        report = train_on(
            store, encoder=encoder, epochs=epochs, dim=dim, seed=seed, progress=progress
        )
    if json:
        print_json(report.figures())
        return
    size = f"{report.triples:,} links, {report.entities:,} entities, {report.relations} relations"
    typer.echo(f"trained on {size} in {report.seconds:.1f} s ({report.choice})")
    if report.mrr is None:
        typer.echo("too few links to hold some out: no figure, probabilities are not calibrated")
        return
    print_table(
        (f"on {report.held_out:,} held-out links", "MRR"),
        [("this model", report.mrr), ("floor: popularity at this end", report.popularity_mrr)],
    )


@app.command()
@report_errors
def predict(
    graph: Graph,
    head: Annotated[str | None, typer.Option(help="Id, name or alias; tails follow.")] = None,
    relation: Annotated[str | None, typer.Option(help="A relation of the graph.")] = None,
    tail: Annotated[str | None, typer.Option(help="Id, name or alias; heads follow.")] = None,
    head_text: Annotated[
        str | None, typer.Option(help="Words on a head that the graph does not hold.")
    ] = None,
    k: Annotated[int | None, typer.Option(min=1, help="Answers; 10, or 5 of the graph.")] = None,
    type_: Types = None,
    any_type: Annotated[
        bool, typer.Option("--any-type", help="Not only types seen at this end.")
    ] = False,
    write_back: Annotated[
        bool, typer.Option("--write-back", help="Write them to the graph, marked as predictions.")
    ] = False,
    json: Json = False,
) -> None:
    """Predict tails of a head, heads of a tail, or the best new links of the whole graph."""
    from retrieval.errors import QueryShapeError
    from retrieval.link_prediction import predict as predict_links
    from retrieval.proposals import propose

    whole = head is None and tail is None and head_text is None
    if whole and (relation is not None or type_ or any_type):
        raise QueryShapeError("name one end too: --head or --tail (or neither and no relation)")
    if not whole and relation is None:
        raise QueryShapeError("name the relation too: --relation R (sheaf relations GRAPH)")
    if type_ and any_type:
        raise QueryShapeError("--type and --any-type exclude each other")
    with _open(graph) as store:
        if whole:
            links = propose(store, k or PROPOSALS, write_back=write_back)
        else:
            links = predict_links(
                store,
                relation=str(relation),
                head=head,
                tail=tail,
                head_text=head_text,
                k=k or 10,
                types=[] if any_type else type_ or None,
                write_back=write_back,
            )
    run = links[0].run if links else ""
    if json:
        print_json({"links": [_link(link) for link in links], "run": run})
        return
    rows = [
        (link.rank, _head(link), link.relation, link.tail.name, link.probability, _support(link))
        for link in links
    ]
    print_table(("", "head", "relation", "tail", "p", "most like the known"), rows)
    if run:
        typer.echo(f"written as predictions; take them back with: sheaf undo {graph} {run}")
    if not links:
        typer.echo("no candidate is left: the graph holds every answer of a fitting type", err=True)


@app.command()
@report_errors
def search(
    graph: Graph,
    words: Annotated[str, typer.Argument(help="A name, or words that describe the entity.")],
    k: Annotated[int, typer.Option(min=1, help="Number of hits.")] = 10,
    type_: Types = None,
    json: Json = False,
) -> None:
    """Find entities by words."""
    from retrieval.entity_search import search as search_entities

    with _open(graph) as store:
        hits = search_entities(store, words, k=k, types=type_)
    if json:
        shown = [
            {
                "id": hit.entity.id,
                "name": hit.entity.name,
                "types": hit.entity.types,
                "score": hit.score,
                "why": hit.why,
                "context": hit.context,
            }
            for hit in hits
        ]
        print_json({"hits": shown})
        return
    rows = [
        (
            hit.entity.name,
            " ".join(hit.entity.types[:1]),
            hit.score,
            hit.why,
            "; ".join(hit.context),
        )
        for hit in hits
    ]
    print_table(("entity", "type", "score", "by", "links"), rows)
    if not hits:
        typer.echo("nothing in the graph has a word of the query", err=True)


Split = Annotated[
    Literal["inductive", "transductive"], typer.Option(help="New entities in the test, or not.")
]
Part = Annotated[Literal["test", "dev"], typer.Option(help="dev: to choose options by.")]
Text = Annotated[str | None, typer.Option(help="Text file of the folder to use.")]
Threads = Annotated[int, typer.Option(min=1, help="Of the matrix products.")]
#: The recipes of `retrieval.entity_training.presets`, which is not imported before it is needed.
Recipe = Literal["bow-infonce", "minilm-frozen", "minilm", "blp-transe", "simkgc"]


@evaluations_app.command("link-prediction")
@report_errors
def evaluate_link_prediction(
    data: Annotated[Path, typer.Option(help="Folder with TSV triples and texts.")],
    model: Annotated[
        Path | None, typer.Option(help="Folder of a trained model, instead of training one.")
    ] = None,
    encoder: Annotated[
        Literal["bow", "minilm"], typer.Option(help="bow: the recipe bow-infonce.")
    ] = "bow",
    preset: Annotated[
        Recipe | None, typer.Option(help="Recipe of the model that is trained.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the trained model, and for what resumes it.")
    ] = None,
    split: Split = "inductive",
    text: Text = None,
    part: Part = "test",
    head: Annotated[str | None, typer.Option(help="Scoring head; the recipe's own.")] = None,
    layers: Annotated[
        int | None, typer.Option(min=0, help="Trained layers of the sentence encoder.")
    ] = None,
    batches: Annotated[
        Literal["random", "walk", "mixed"] | None, typer.Option(help="How batches are drawn.")
    ] = None,
    entities: Annotated[int | None, typer.Option(min=2, help="Entities of a batch.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the training.")] = None,
    upper_rate: Annotated[
        float | None, typer.Option(min=1e-8, help="Learning rate of trained layers.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(min=1e-4, help="Of InfoNCE.")] = None,
    dim: Annotated[int | None, typer.Option(min=1, help="Of the bag of words.")] = None,
    min_count: Annotated[int, typer.Option(min=1, help="Entities that share a feature.")] = 2,
    rerank: Annotated[
        int, typer.Option(min=0, help="A cross-encoder re-orders so many answers; 0: none.")
    ] = 0,
    rerank_training: Annotated[
        int, typer.Option(min=1, help="Training questions of the cross-encoder.")
    ] = 4000,
    rerank_questions: Annotated[
        int, typer.Option(min=2, help="Test questions that it is asked.")
    ] = 2000,
    seed: Seed = 0,
    threads: Threads = 1,
    json: Json = False,
) -> None:
    """Train on a data folder, or load a model, and rank the test triples beside the floors."""
    from retrieval.answer_reranker import RerankerOptions
    from retrieval.entity_training.recipe import preset_named
    from retrieval.evaluations import link_prediction

    recipe = None
    if model is None:
        recipe = preset_named(
            preset or ("bow-infonce" if encoder == "bow" else "minilm"),
            head=head,
            layers=layers,
            batches=batches,
            entities=entities,
            steps=steps,
            upper_rate=upper_rate,
            temperature=temperature,
            dim=dim,
            seed=seed,
        )
    with _bar() as progress:
        answer = link_prediction(
            data,
            preset=recipe,
            model=model,
            out=out,
            split=split,
            text=text,
            part=part,
            min_count=min_count,
            rerank=(
                RerankerOptions(depth=rerank, questions=rerank_training, seed=seed)
                if rerank
                else None
            ),
            reranked_questions=rerank_questions,
            threads=threads,
            progress=progress,
        )
    if answer.get("warning"):
        typer.echo(answer["warning"], err=True)
    if json:
        print_json(answer)
        return
    rows = {
        str(model or preset or encoder): answer,
        **{f"  {side} side": found for side, found in answer["by_side"].items()},
        **{f"  target {name}": found for name, found in answer["by_target"].items()},
        **{f"floor: {name}": found for name, found in answer["floors"].items()},
    }
    if rerank:
        asked = answer["reranked"]["questions"]
        rows[f"{asked} questions"] = answer["reranked"]["before"]
        rows["  first answers re-ordered"] = answer["reranked"]
    metrics = ("mrr", "hits_at_1", "hits_at_3", "hits_at_10")
    print_table(
        (answer["data"]["name"], *metrics),
        [(name, *(found[metric] for metric in metrics)) for name, found in rows.items()],
        title=f"{answer['protocol']}, {answer['part']}, {answer['candidates']:,} candidates",
    )
    typer.echo(f"{answer['process_cpu_seconds']} CPU seconds on {threads} thread(s)", err=True)


@contextmanager
def _open(address: str) -> Iterator[GraphStore]:
    from kg.store.open import open_graph

    graph = open_graph(address, create=False)
    try:
        yield graph
    finally:
        graph.close()


@contextmanager
def _bar() -> Iterator[Progress]:
    """Show steps, rate and time left on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("preparing", total=None)

        def show(done: int, total: int, label: str) -> None:
            bar.update(task, completed=done, total=total, description=label)

        yield show


def _head(link: PredictedLink) -> str:
    return link.head.name if link.head else link.head_text


def _support(link: PredictedLink) -> str:
    return "; ".join(f"{like.head} → {like.tail}" for like in link.support[:2])


def _link(link: PredictedLink) -> dict[str, Any]:
    return {
        "head": link.head.id if link.head else None,
        "head_name": _head(link),
        "relation": link.relation,
        "tail": link.tail.id,
        "tail_name": link.tail.name,
        "tail_types": link.tail.types,
        "score": link.score,
        "probability": link.probability,
        "rank": link.rank,
        "support": [
            {
                "triple": like.triple.id,
                "head": like.head,
                "tail": like.tail,
                "similarity": like.similarity,
            }
            for like in link.support
        ],
    }
