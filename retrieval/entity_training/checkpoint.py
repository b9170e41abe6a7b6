"""One file that a stopped training goes on from, to the same bytes as one that was never stopped.

It is a safetensors file, replaced in one step: tensors (weights, moments, random state) and, in its
header, JSON (step, curves, the state of the batches). It names what it belongs to, and is refused
where data or options differ.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.errors import ModelFileError
from retrieval.files import replaced

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["read_checkpoint", "write_checkpoint"]


def write_checkpoint(
    path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any], *, key: str
) -> None:
    """Write tensors and state; `key` says which data and options they belong to."""
    from safetensors.torch import save_file

    own = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    about = {"key": key, "state": json.dumps(state)}
    with replaced(path) as new:
        save_file(own, new, metadata=about)


def read_checkpoint(path: Path, *, key: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the state that `write_checkpoint` wrote.

    Raises:
        ModelFileError: the file is damaged, or of other data or options.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            about = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            state = json.loads(about["state"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"the checkpoint {path} cannot be read ({error})") from error
    if about["key"] != key:
        raise ModelFileError(
            f"the checkpoint {path} is of a training with other options or data; delete it, or "
            "give another folder"
        )
    return tensors, state
