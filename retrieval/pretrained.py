"""Models that come as packages, and how transformers is kept from talking while it reads one."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["package_folder", "without_bars", "without_warnings"]


def package_folder(package: str) -> Path | None:
    """Return where an installed package lies, without importing it; None if it is not there.

    >>> package_folder("no_such_package") is None
    True
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


@contextmanager
def without_bars() -> Iterator[None]:
    """Show no progress bar of transformers inside: for a load of seconds."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers has no types here
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextmanager
def without_warnings() -> Iterator[None]:
    """Let transformers report errors alone inside: it takes an unused pooler for a problem."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
