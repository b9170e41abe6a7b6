"""The commands of `kg`: everything a graph can be asked, shown and changed by without a model."""

from __future__ import annotations

import typer

from kg.reporting import report_errors

__all__ = ["app", "report_errors"]

app = typer.Typer(no_args_is_help=True, add_completion=False)
