"""How many threads the matrix products of torch use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from retrieval.errors import QueryShapeError

__all__ = ["threads"]


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """Use this many threads for matrix products inside; None leaves the number as it is.

    Raises:
        QueryShapeError: for a number below 1.
    """
    import torch

    if number is not None and number < 1:
        raise QueryShapeError(f"threads is {number}; give 1 or more")
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
