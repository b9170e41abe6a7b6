"""Known errors end a command with one or two lines and a code; bugs keep their traceback."""

from __future__ import annotations

import errno

import pytest
import typer

from kg import errors
from kg.reporting import exit_code, report_errors


class BudgetError(errors.KgError):
    exit_code = 3


class ForeignError(Exception):
    """Not of our tree; it says for itself what it is worth."""

    exit_code = 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.KgError("x"), 1),
        (errors.ExchangeError("x"), 1),
        (errors.RecordError("x"), 1),
        (errors.StoreForeign("x"), 1),
        (errors.NotFound("x"), 2),
        (errors.QueryRefused("x"), 2),
        (errors.SchemaError("x"), 2),
        (errors.StoreUnreachable("x"), 4),
        (errors.StoreBusy("x"), 4),
        (BudgetError("x"), 3),
        (ForeignError("x"), 1),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.txt"), 1),
        (BrokenPipeError(errno.EPIPE, "Broken pipe", "out"), None),
        (OSError("no file in it"), None),
        (ValueError("a bug"), None),
        (typer.Exit(7), None),
    ],
)
def test_code(error: Exception, code: int | None) -> None:
    assert exit_code(error) == code


def test_every_error_of_kg_has_a_code() -> None:
    for name in errors.__all__:
        assert exit_code(getattr(errors, name)("x")) in (1, 2, 4)


def test_both_ways_of_use(capsys: pytest.CaptureFixture[str]) -> None:
    @report_errors
    def command(name: str) -> None:
        """Documented."""
        raise errors.NotFound(f"no {name}\nlook there\nand there")

    assert (command.__name__, command.__doc__) == ("command", "Documented.")
    with pytest.raises(typer.Exit) as end:
        command("run")
    assert end.value.exit_code == 2
    with pytest.raises(typer.Exit), report_errors():
        raise errors.StoreBusy("locked")
    assert capsys.readouterr().err == "error: no run\nlook there and there\nerror: locked\n"


def test_a_value_passes_through() -> None:
    @report_errors
    def command() -> int:
        return 7

    assert command() == 7


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(KeyError), report_errors():
        raise KeyError("a bug")


def test_text_of_a_document_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), report_errors():
        raise errors.NotFound("no \x1b[2J\x07entity\u202e")
    shown = capsys.readouterr().err
    assert not any(ord(char) < 32 for char in shown.rstrip("\n"))
    assert "\u202e" not in shown


def test_an_error_without_a_message_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), report_errors():
        raise errors.StoreBusy
    assert capsys.readouterr().err == "error: StoreBusy\n"
