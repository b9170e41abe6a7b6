"""Files of an export: whole and of one state of the graph, or not there at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kg.errors import ExchangeError
from kg.store.protocol import GraphStore

__all__ = ["exported_file", "exported_folder"]


@contextmanager
def exported_file(graph: GraphStore, path: str | Path) -> Iterator[Path]:
    """Give a draft to write to, which takes the place of `path` when the block ends well.

    Raises:
        ExchangeError: if the graph was changed meanwhile: the file would mix two states of it.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.part")
    try:
        with _one_state(graph):
            yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def exported_folder(graph: GraphStore, path: str | Path) -> Iterator[Path]:
    """Give a draft folder, whose files are moved to the folder `path` when the block ends well.

    Raises:
        ExchangeError: if the graph was changed meanwhile, or `path` is a file.
    """
    path = Path(path)
    if path.is_file():
        raise ExchangeError(f"{path} is a file: this format makes a folder, give another path")
    path.mkdir(parents=True, exist_ok=True)
    draft = path / ".part"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        with _one_state(graph):
            yield draft
        for file in draft.iterdir():
            file.replace(path / file.name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def _one_state(graph: GraphStore) -> Iterator[None]:
    before = graph.change_counter
    yield
    if graph.change_counter != before:
        raise ExchangeError(
            f"{graph.uri} was written to during the export, so the file would mix two states: "
            "export it again when the other run has ended"
        )
