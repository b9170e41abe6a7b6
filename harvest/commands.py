"""The commands of `harvest`: documents into a graph, and how well that works.

Progress, warnings and errors go to stderr; the report to stdout, as a table or as one JSON object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from harvest.errors import HarvestStop, InputError
from harvest.llm import options
from harvest.presentation import (
    print_json,
    print_table,
    progress_bar,
    show_report,
    warn_of,
)
from kg.errors import NotFound
from kg.reporting import report_errors
from kg.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from harvest.documents import Failure
    from harvest.job import Harvester
    from harvest.llm.harvester import LLMHarvester
    from kg.records import Document
    from kg.store.protocol import GraphStore

    #: Makes the harvester once the graph is open; None for one that is not there.
    type Maker[H: Harvester] = Callable[[GraphStore | None], AbstractContextManager[H]]

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="markdown")

#: Exit code of a harvest that went through, but not for every input.
SOME_FAILED: Final = 1
#: What a shell reports for a process that was stopped by Ctrl-C.
INTERRUPTED: Final = 130
#: Documents that `--dry-run` harvests for its estimate, into memory.
SAMPLE: Final = 5


@app.command("harvest")
@report_errors
def harvest_command(
    graph: Annotated[str, typer.Argument(metavar="GRAPH", help="A folder (my.kg) or neo4j://….")],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Files and folders.")],
    schema: Annotated[
        Path | None, typer.Option(help="YAML file with types and relations; default: the shipped.")
    ] = None,
    with_: Annotated[
        Literal["text", "llm", "local"],
        typer.Option(
            "--with", help="What reads the documents: our extractor, an endpoint, a local model."
        ),
    ] = "text",
    spacy: Annotated[
        str, typer.Option(help="Name of an installed spaCy pipeline; default: the small English.")
    ] = "",
    threshold: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Keep triples with at least this score."),
    ] = None,
    include_hedged: Annotated[
        bool, typer.Option("--include-hedged", help="Let 'perhaps' support triples, too.")
    ] = False,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder that document addresses are relative to; default: that of PATHS."
        ),
    ] = None,
    keep_old: Annotated[
        bool,
        typer.Option("--keep-old", help="Keep what older texts and older versions gave."),
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Read at most N documents.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and estimate; write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    model: options.Model = None,
    base_url: options.BaseUrl = None,
    budget: options.BudgetText = None,
    price: options.PriceText = None,
    concurrency: options.Concurrency = None,
    requests_per_minute: options.RequestsPerMinute = None,
    tokens_per_minute: options.TokensPerMinute = None,
    timeout: options.Timeout = None,
    chunk_tokens: options.ChunkTokens = None,
    answer_tokens: options.AnswerTokens = None,
    unknown_relations: options.UnknownRelations = None,
    demos: options.Demos = None,
    demos_from: options.DemosFrom = None,
    demos_retriever: options.DemosRetriever = None,
) -> None:
    """Read documents and write the triples they state, with their evidence, into a graph.

    Text, Markdown, HTML, PDF and JSONL, each also as .gz; folders with all that is in them. What
    is in the graph already is not read again, so the same command goes on with a stopped harvest.
    With a language model, no answer that has arrived is ever paid for again. With a local one
    (--with local) nothing is asked over the network, and answers are held to the schema.

    Exit codes: 0 done, 1 some inputs failed, 2 usage, 3 budget reached, 4 graph or endpoint cannot
    be reached, 130 stopped.
    """
    relations = None if schema is None else Schema.load(schema)
    common: dict[str, Any] = {"threshold": threshold, "include_hedged": include_hedged}
    flags = {
        "model": model,
        "base_url": base_url,
        "budget": budget,
        "price": price,
        "concurrency": concurrency,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "timeout": timeout,
        "chunk_tokens": chunk_tokens,
        "answer_tokens": answer_tokens,
    }
    try:
        if with_ == "llm":
            if spacy:
                raise InputError("--spacy is for --with text: a language model needs no pipeline")
            settings = options.llm_settings(flags)
            shown = options.Shown(demos, demos_from, demos_retriever)

            def make(store: GraphStore | None) -> AbstractContextManager[Any]:
                return options.llm_harvester(
                    settings,
                    graph=store,
                    schema=relations,
                    unknown_relations=unknown_relations,
                    shown=shown,
                    **common,
                )
        elif with_ == "local":
            endpoint = {name: value for name, value in flags.items() if name != "model"}
            options.refuse_llm_options(
                {
                    **endpoint,
                    "unknown_relations": unknown_relations,
                    "include_hedged": include_hedged or None,
                    "spacy": spacy or None,
                },
                needs="another reader than --with local",
            )
            shown = options.Shown(demos, demos_from, demos_retriever)

            def make(store: GraphStore | None) -> AbstractContextManager[Any]:
                return nullcontext(
                    options.local_harvester(
                        model,
                        schema=relations,
                        threshold=threshold,
                        demonstrations=shown.read(store, relations),
                    )
                )
        else:
            options.refuse_llm_options(
                {
                    **flags,
                    "unknown_relations": unknown_relations,
                    "demos": demos,
                    "demos_from": demos_from,
                    "demos_retriever": demos_retriever,
                }
            )

            def make(store: GraphStore | None) -> AbstractContextManager[Any]:
                return nullcontext(_text_harvester(relations, spacy=spacy, **common))

        if not dry_run:
            failed = _harvest(
                graph, paths, make, root=root, keep_old=keep_old, limit=limit, as_json=as_json
            )
        elif with_ == "llm":
            failed = _price(graph, paths, make, root=root, limit=limit, as_json=as_json)
        else:
            # Of readers that are only timed, the local model alone looks into the graph.
            looked_at: AbstractContextManager[GraphStore | None]
            looked_at = _existing(graph) if with_ == "local" else nullcontext()
            with looked_at as known:
                failed = _dry_run(
                    paths, partial(make, known), root=root, limit=limit, as_json=as_json
                )
    except KeyboardInterrupt:
        typer.echo("stopped: what is written stays; the same command goes on from here", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if failed:
        raise typer.Exit(SOME_FAILED)


@app.command("train-extractor")
@report_errors
def train_extractor(
    data: Annotated[Path, typer.Option(help="Folder with the corpora text2kgbench and re.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder for the weights; default: the package's own.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="File that keeps the features for another training.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of sampling, first weights and order.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of PyTorch.")] = 1,
) -> None:
    """Train the relation heads that ship with the package and print what was measured, as JSON."""
    import logging

    from harvest.extraction.heads import shipped_folder
    from harvest.extraction.training import train

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    report = train(data, output=output or shipped_folder(), cache=cache, seed=seed, threads=threads)
    typer.echo(json.dumps(report, ensure_ascii=False))


def _text_harvester(
    schema: Schema | None, *, spacy: str, threshold: float | None, include_hedged: bool
) -> Harvester:
    from harvest.extraction.harvester import TextHarvester

    return TextHarvester(
        schema,
        spacy_pipeline=spacy,
        threshold=threshold,
        include_hedged=include_hedged,
    )


def _harvest(
    graph: str,
    paths: list[Path],
    make: Maker[Any],
    *,
    root: Path | None,
    keep_old: bool,
    limit: int | None,
    as_json: bool,
) -> int:
    """Harvest, show the account and return how many inputs failed; also when it stops early."""
    from harvest.documents import Failure, Reading
    from harvest.job import harvest_documents
    from harvest.report import Report
    from kg.store.open import open_graph

    reading = Reading(paths, root=root)  # a mistake in the paths shows before anything is loaded
    if reading.files == 0:
        failures = tuple(row for row in reading if isinstance(row, Failure))
        show_report(Report(run="", config="", failures=failures), as_json=as_json)
        return len(failures)
    try:
        with closing(open_graph(graph)) as store, make(store) as harvester:
            status = getattr(harvester, "used", None)
            with progress_bar(limit, status=status) as show:
                report = harvest_documents(
                    store,
                    reading,
                    harvester=harvester,
                    keep_old=keep_old,
                    limit=limit,
                    progress=show,
                )
    except HarvestStop as stop:
        if stop.report is not None:
            show_report(stop.report, as_json=as_json)
        raise
    show_report(report, as_json=as_json)
    return report.failed


def _read_all(
    paths: list[Path], *, root: Path | None, limit: int | None, failures: list[Failure]
) -> Iterator[Document]:
    """Yield the documents of a dry run; what cannot be read is added to `failures`."""
    from harvest.documents import Failure, read_documents

    documents = 0
    for row in read_documents(paths, root=root):
        if isinstance(row, Failure):
            failures.append(row)
            continue
        yield row
        documents += 1
        if documents == limit:
            return


def _dry_run(
    paths: list[Path],
    make: Callable[[], AbstractContextManager[Harvester]],
    *,
    root: Path | None,
    limit: int | None,
    as_json: bool,
) -> int:
    """Read everything, harvest a few documents into memory, and show what a harvest would take."""
    from harvest.job import harvest_documents
    from kg.store.open import open_graph

    documents = characters = 0
    failures: list[Failure] = []
    sample: list[Document] = []
    for document in _read_all(paths, root=root, limit=limit, failures=failures):
        documents += 1
        characters += len(document.text)
        if len(sample) < SAMPLE:
            sample.append(document)
    estimate: dict[str, Any] = {}
    if sample:
        with (
            closing(open_graph("memory://")) as memory,
            make() as harvester,
            progress_bar(len(sample)) as show,
        ):
            report = harvest_documents(memory, sample, harvester=harvester, progress=show)
        share = characters / sum(len(document.text) for document in sample)
        estimate = {
            "sampled_documents": len(sample),
            "seconds": round(report.seconds * share, 1),
            "sentences": round(report.sentences * share),
            "triples": round(report.triples * share),
        }
    found = {"documents": documents, "characters": characters, **_outcome(failures)}
    warn_of(failures)
    if as_json:
        print_json({"dry_run": True, **found, "estimate": estimate})
    else:
        rows = [(name, f"{count:,}") for name, count in found.items()]
        rows += [(f"estimated {name}", f"{value:,}") for name, value in estimate.items()]
        print_table("Dry run: nothing was written", rows)
    return found["failed"]


def _price(
    graph: str,
    paths: list[Path],
    make: Maker[LLMHarvester],
    *,
    root: Path | None,
    limit: int | None,
    as_json: bool,
) -> int:
    """Read everything, ask about a few chunks, and show what asking about the rest would cost."""
    from harvest.llm.estimate import estimate

    failures: list[Failure] = []
    with _existing(graph) as store, make(store) as harvester:
        found = estimate(_read_all(paths, root=root, limit=limit, failures=failures), harvester)
    warn_of(failures)
    outcome = {"documents": found.documents, **_outcome(failures)}
    if as_json:
        print_json({"dry_run": True, **outcome, "estimate": found.as_dict()})
    else:
        rows = [(name, f"{count:,}") for name, count in outcome.items()]
        print_table("Dry run: nothing was written", [*rows, *found.table()])
    return outcome["failed"]


@contextmanager
def _existing(graph: str) -> Iterator[GraphStore | None]:
    """Give a graph if there is one; a dry run makes none."""
    from kg.store.open import open_graph

    try:
        store = open_graph(graph, create=False)
    except NotFound:
        yield None
        return
    with closing(store):
        yield store


def _outcome(failures: list[Failure]) -> dict[str, int]:
    failed = sum(not failure.skipped for failure in failures)
    return {"failed": failed, "skipped": len(failures) - failed}
