"""The command line as a whole: what is mounted, what is imported, what is said when it is not."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version

import pytest
import typer.main
from typer.testing import CliRunner

import sheaf

RUN = CliRunner()
HEAVY = ("torch", "spacy", "networkx", "transformers", "faiss", "grafeo", "neo4j")


def _python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def test_help_lists_every_command_in_the_order_of_a_first_session() -> None:
    result = RUN.invoke(sheaf.app, ["--help"])
    assert result.exit_code == 0
    lines = result.output.partition("Commands:")[2].splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ") and line[2:3].isalpha()]
    assert listed[: len(sheaf.COMMANDS)] == list(sheaf.COMMANDS)


def test_help_imports_nothing_of_the_packages() -> None:
    names = _python(
        "import sys, sheaf\n"
        "from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(sheaf.app, ['--help']).exit_code == 0\n"
        "import json; print(json.dumps(sorted(sys.modules)))"
    )
    loaded = set(json.loads(names))
    assert not loaded & {*HEAVY, "kg", "retrieval", "harvest", "rich.table", "pydantic"}


@pytest.mark.parametrize("module", ["kg", "kg.commands", "kg.picture", "kg.exchange.networkx"])
def test_kg_is_imported_without_heavy_libraries(module: str) -> None:
    loaded = _python(f"import sys, {module}; print(*sys.modules)").split()
    assert not set(loaded) & set(HEAVY)


@pytest.mark.parametrize("name", sheaf.COMMANDS)
def test_every_mounted_command_is_there(name: str) -> None:
    group = typer.main.get_command(sheaf.app)
    context = typer.Context(group)  # type: ignore[arg-type]
    command = group.get_command(context, name)  # type: ignore[attr-defined]
    assert command is not None
    assert command.get_short_help_str()


@pytest.mark.parametrize("name", sheaf.TASKS)
def test_every_task_is_there(name: str) -> None:
    module, attribute, _ = sheaf.TASKS[name]
    assert getattr(import_module(module), attribute)
    result = RUN.invoke(sheaf.app, ["eval", name, "--help"])
    assert result.exit_code == 0, result.output
    assert "--data" in result.output


@pytest.mark.parametrize("module", sorted({p.module for p in sheaf.COMMANDS.values()} - {"sheaf"}))
def test_no_command_is_left_out(module: str) -> None:
    places = {place for place in sheaf.COMMANDS.values() if place.module == module}
    (attribute,) = {place.app for place in places}
    command = typer.main.get_command(getattr(import_module(module), attribute))
    own = set(getattr(command, "commands", {}))
    mounted = {name for name, place in sheaf.COMMANDS.items() if place in places}
    assert own == mounted or (not own and len(mounted) == 1)


def test_version() -> None:
    result = RUN.invoke(sheaf.app, ["--version"])
    assert (result.exit_code, result.output.strip()) == (0, f"sheaf {version('sheaf')}")


def test_a_mistyped_command_gets_a_suggestion() -> None:
    result = RUN.invoke(sheaf.app, ["stat"])
    assert result.exit_code == 2
    assert "Did you mean 'stats'" in result.output


def test_a_library_that_is_missing_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("No module named 'spacy.lang'", name="spacy.lang")

    monkeypatch.setattr(sheaf, "app", missing)
    with pytest.raises(SystemExit) as end:
        sheaf.main()
    assert end.value.code == 1
    assert "sheaf[harvest]" in capsys.readouterr().err


def test_a_missing_module_of_our_own_is_a_bug_and_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("No module named 'kg.nothing'", name="kg.nothing")

    monkeypatch.setattr(sheaf, "app", missing)
    with pytest.raises(ModuleNotFoundError):
        sheaf.main()
