"""The command line: mounts the commands of `kg`, `retrieval` and `harvest`, each when it is named.

Nothing heavy is imported here. A command's module is imported when the command runs or its help is
shown, and torch, spaCy and networkx only inside the command that needs them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final

import typer
import typer.core
import typer.main

__all__ = ["app", "main"]

#: Command → the module and the Typer app that hold it, in the order of a first session.
COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "demo": ("harvest.demo", "app"),
    "harvest": ("harvest.commands", "app"),
    "query": ("kg.commands", "app"),
    "train": ("retrieval.commands", "app"),
    "predict": ("retrieval.commands", "app"),
    "search": ("retrieval.commands", "app"),
    "show": ("kg.commands", "app"),
    "stats": ("kg.commands", "app"),
    "explain": ("kg.commands", "app"),
    "relations": ("kg.commands", "app"),
    "undo": ("kg.commands", "app"),
    "delete": ("kg.commands", "app"),
    "export": ("kg.commands", "app"),
    "import": ("kg.commands", "app"),
    "eval": ("sheaf", "evaluations"),
    "train-extractor": ("harvest.commands", "app"),
}
#: Task of `sheaf eval` → the module and the Typer app that hold it.
TASKS: Final[Mapping[str, tuple[str, str]]] = {
    "text2kg": ("harvest.commands", "evaluations_app"),
    "link-prediction": ("retrieval.commands", "evaluations_app"),
}
#: Module that may be missing → the extra that brings it.
EXTRAS: Final[Mapping[str, str]] = {
    "faiss": "retrieval",
    "neo4j": "neo4j",
    "pypdf": "harvest",
    "safetensors": "retrieval",
    "spacy": "harvest",
    "torch": "retrieval",
    "transformers": "harvest",
}


def _lazy(table: Mapping[str, tuple[str, str]]) -> type[typer.core.TyperGroup]:
    """Return a group whose commands are those of `table`, each imported when asked for."""

    class LazyGroup(typer.core.TyperGroup):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.commands: Any = dict.fromkeys(table)  # the names alone, for "did you mean"

        def list_commands(self, ctx: Any) -> list[str]:
            return list(table)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name not in table:
                return None
            module, attribute = table[cmd_name]
            holder = sys.modules[__name__] if module == "sheaf" else import_module(module)
            command = typer.main.get_command(getattr(holder, attribute))
            # An app with one command is that command; `eval` is mounted whole.
            return getattr(command, "commands", {}).get(cmd_name) or command

    return LazyGroup


app = typer.Typer(
    name="sheaf",
    cls=_lazy(COMMANDS),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # drawing the help with rich would double the time to show it
    pretty_exceptions_enable=False,
    help="Knowledge graphs from text: build, query, complete and search them.",
    epilog="GRAPH is a folder such as my.kg, neo4j://host, bolt://host or memory://.",
)
evaluations = typer.Typer(cls=_lazy(TASKS), no_args_is_help=True, rich_markup_mode=None)


@evaluations.callback()
def _evaluations() -> None:
    """Measure quality on a data set, with its floors in the same output."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sheaf {version('sheaf')}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command line; a library that is not installed is named with its extra."""
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
