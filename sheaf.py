"""The command line: mounts the commands of `kg`, `retrieval` and `harvest`, each when it is named.

Nothing is imported before a command is named, so `sheaf --help` is quick; torch, spaCy and networkx
are imported inside the command that needs them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

import typer
import typer.core
import typer.main

__all__ = ["app", "main"]


class Mounted(NamedTuple):
    """Where a command is, and what the list of commands says of it."""

    module: str
    app: str
    help: str


#: The commands in the order of a first session.
COMMANDS: Final[Mapping[str, Mounted]] = {
    "demo": Mounted("harvest.demo", "app", "Do all of the below on the sample articles."),
    "harvest": Mounted("harvest.commands", "app", "Turn documents into triples with evidence."),
    "query": Mounted("kg.commands", "app", "Answer a read-only Cypher statement."),
    "train": Mounted("retrieval.commands", "app", "Train the encoder on the graph's own links."),
    "predict": Mounted("retrieval.commands", "app", "Predict tails, or heads, of a relation."),
    "search": Mounted("retrieval.commands", "app", "Find entities by words."),
    "demos": Mounted(
        "retrieval.demonstrations.graph_commands",
        "app",
        "Find solved examples for a sentence in the graph's sources.",
    ),
    "show": Mounted(
        "kg.commands", "app", "Draw the graph as one HTML file that opens without a network."
    ),
    "stats": Mounted("kg.commands", "app", "Count what the graph holds."),
    "explain": Mounted(
        "kg.commands", "app", "Show all evidence of a triple: quote, document, model, score."
    ),
    "relations": Mounted("kg.commands", "app", "List the relations: counts and phrases."),
    "resolve": Mounted("harvest.llm.commands", "app", "Merge entities that are one thing."),
    "canonicalise": Mounted(
        "retrieval.cleaning.commands", "app", "Join phrases that name one relation."
    ),
    "check": Mounted("kg.constraints.commands", "app", "Check the graph against a schema's rules."),
    "undo": Mounted("kg.commands", "app", "Take back a run; without one, list the latest."),
    "delete": Mounted("kg.commands", "app", "Remove a document with all that only it says."),
    "export": Mounted(
        "kg.exchange.commands", "app", "Write the graph to a file: RDF, Parquet, tables and more."
    ),
    "import": Mounted("kg.exchange.commands", "app", "Read a graph from a file, with evidence."),
    "eval": Mounted("sheaf", "evaluations", "Measure quality on a data set, beside its floors."),
    "train-demos": Mounted(
        "retrieval.demonstrations.training_commands",
        "app",
        "Train a retriever of demonstrations, from labels or a language model.",
    ),
    "train-extractor": Mounted("harvest.commands", "app", "Train the heads of the extractor."),
}
#: The tasks of `sheaf eval`.
TASKS: Final[Mapping[str, Mounted]] = {
    "text2kg": Mounted("harvest.evaluation_commands", "evaluations_app", "Text to triples."),
    "tekgen-demos": Mounted(
        "harvest.evaluation_commands",
        "evaluations_app",
        "Extraction by a small model, with demonstrations.",
    ),
    "entity-classification": Mounted(
        "retrieval.classification_commands", "evaluations_app", "Types of unseen entities."
    ),
    "entity-search": Mounted(
        "retrieval.search_commands", "evaluations_app", "Entities found by words, beside BM25."
    ),
    "link-prediction": Mounted("retrieval.commands", "evaluations_app", "Missing links."),
    "resolution": Mounted(
        "retrieval.cleaning.commands", "evaluations_app", "Merging entities, by Wikidata ids."
    ),
    "canonicalisation": Mounted(
        "retrieval.cleaning.commands", "evaluations_app", "Joining relation phrases."
    ),
    "demos": Mounted(
        "retrieval.demonstrations.commands", "evaluations_app", "Retrieved demonstrations."
    ),
    "demos-lm": Mounted(
        "retrieval.demonstrations.lm_commands",
        "evaluations_app",
        "What a language model gains from demonstrations.",
    ),
    "explanation-graphs": Mounted(
        "kg.constraints.commands", "evaluations_app", "The rules of ExplaGraphs."
    ),
    "explanation-roles": Mounted(
        "retrieval.explanation_roles.commands", "evaluations_app", "When explanations help."
    ),
}
#: Library that may be missing → the extra that brings it.
EXTRAS: Final[Mapping[str, str]] = {
    "bm25s": "retrieval",
    "bs4": "harvest",
    "charset_normalizer": "harvest",
    "datasketch": "resolution",
    "dotenv": "llm",
    "faiss": "retrieval",
    "gguf": "lm",
    "json_repair": "llm",
    "jsonschema": "llm",
    "lxml": "harvest",
    "markdown_it": "harvest",
    "neo4j": "neo4j",
    "openai": "llm",
    "platformdirs": "harvest",
    "pyarrow": "exchange",
    "pyoxigraph": "exchange",
    "pypdf": "harvest",
    "rdflib": "exchange",
    "safetensors": "retrieval",
    "sentence_transformers": "retrieval",
    "snowballstemmer": "resolution",
    "spacy": "harvest",
    "tokenizers": "harvest",
    "torch": "retrieval",
    "transformers": "harvest",
}


def _lazy(table: Mapping[str, Mounted]) -> type[typer.core.TyperGroup]:
    """Return a group of the commands in `table`, each imported when it is named."""

    class LazyGroup(typer.core.TyperGroup):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.commands: Any = dict.fromkeys(table)  # the names alone, for "did you mean"

        def list_commands(self, ctx: Any) -> list[str]:
            return list(table)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name not in table:
                return None
            module, attribute, _ = table[cmd_name]
            # Run as a script, this file is not called sheaf.
            holder = sys.modules[__name__] if module == "sheaf" else import_module(module)
            command = typer.main.get_command(getattr(holder, attribute))
            if cmd_name == "eval" and table is COMMANDS:
                return command
            # A Typer app with a single command and no callback is that command.
            return command.commands.get(cmd_name) if hasattr(command, "commands") else command

        def format_commands(self, ctx: Any, formatter: Any) -> None:
            with formatter.section("Commands"):
                formatter.write_dl([(name, mounted.help) for name, mounted in table.items()])

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            # An option of Typer's would load all that checks options, for one line of text.
            if args[:1] == ["--version"] and ctx.parent is None:
                from importlib.metadata import version

                typer.echo(f"sheaf {version('sheaf')}")
                raise typer.Exit
            return super().parse_args(ctx, args)

    return LazyGroup


app = typer.Typer(
    name="sheaf",
    cls=_lazy(COMMANDS),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Knowledge graphs from text: build, query, complete and search them.",
    epilog=(
        "GRAPH is a folder such as my.kg, or neo4j://host, bolt://host, memory://. "
        "Exit codes: 0 done, 1 some inputs failed, 2 usage, 3 budget reached, 4 store or language "
        "model unreachable. sheaf --version shows the version."
    ),
)
evaluations = typer.Typer(
    cls=_lazy(TASKS), no_args_is_help=True, add_completion=False, rich_markup_mode=None
)


@evaluations.callback()
def _evaluations() -> None:
    """Measure quality on a data set, beside its floors."""


@app.callback()
def _commands() -> None:
    """Without a callback Typer would look for commands of its own."""


def main() -> None:
    """Run the command line; a library that is not installed is named with its extra."""
    # The driver's own warnings would stand beside our error and say less.
    logging.getLogger("neo4j").addHandler(logging.NullHandler())
    try:
        app()
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        typer.echo(
            f"error: this command needs {error.name}, which is not installed\n"
            f"install it with: pip install 'sheaf[{extra}]'",
            err=True,
        )
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
