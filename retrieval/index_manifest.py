"""The folder of a sharded index: which shards belong to its newest generation.

`index.json` is the only file that is ever replaced, in one step; all others bear the hash of their
contents. So a folder is always whole, whoever is killed when: what the manifest names is there, and
what it does not name is rubbish that the next `write` sweeps away.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np

from retrieval.errors import ModelFileError
from retrieval.files import replaced
from retrieval.index_shards import PREFIX, UNFINISHED

__all__ = ["follows", "generation", "read", "read_gone", "write", "write_gone"]

NAME: Final = "index.json"
GONE: Final = "gone-"

#: Version of the files.
FORMAT: Final = 1


def read(folder: Path) -> dict[str, Any]:
    """Return the manifest of a folder.

    Raises:
        OSError: there is none.
        ValueError: it is damaged or of another format.
    """
    manifest = json.loads((folder / NAME).read_text(encoding="utf-8"))
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"{folder / NAME} is not of format {FORMAT}, which this library reads")
    return manifest


def generation(folder: Path) -> int:
    """Return how often the index in a folder was saved, 0 if there is none.

    Raises:
        ModelFileError: the manifest is damaged.
    """
    try:
        return int(read(folder)["generation"])
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(
            f"the index {folder} cannot be read ({error}); build it again in another folder"
        ) from error


def follows(folder: Path, after: int) -> None:
    """Check that a generation is the newest.

    Raises:
        ModelFileError: it is not, or the manifest is damaged.
    """
    if (found := generation(folder)) != after:
        raise ModelFileError(
            f"{folder} is at generation {found}, this index began with {after}: another writer "
            "has saved since; load it and make the changes again"
        )


def write(folder: Path, manifest: Mapping[str, Any], *, after: int) -> None:
    """Make a manifest the newest one, and remove the files that it does not name.

    Args:
        folder: of the index.
        manifest: with the keys `shards` and `fresh`, as `Shard.described` gives them.
        after: the generation that it follows.

    Raises:
        ModelFileError: another generation stands there: another writer has saved.
    """
    follows(folder, after)
    whole = {"format": FORMAT, "generation": after + 1, **manifest}
    with replaced(folder / NAME) as new:
        new.write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
    entries = [*manifest["shards"], *([manifest["fresh"]] if manifest["fresh"] else [])]
    named = {entry["name"] for entry in entries} | {entry.get("gone") for entry in entries}
    for path in folder.iterdir():
        if path.name in named:
            continue
        if path.name.startswith((PREFIX, UNFINISHED)):
            # A system that cannot remove files in use leaves them to a later save.
            shutil.rmtree(path, ignore_errors=True)
        elif path.name.startswith(GONE):
            path.unlink(missing_ok=True)


def write_gone(folder: Path, gone: Iterable[int]) -> str | None:
    """Write the rows that are gone from a shard, and return the file's name; None for no row."""
    rows = np.array(sorted(gone), np.int64)
    if not len(rows):
        return None
    path = folder / f"{GONE}{blake2b(rows.tobytes(), digest_size=16).hexdigest()}.npy"
    if not path.exists():
        with replaced(path) as new, new.open("wb") as file:
            np.save(file, rows, allow_pickle=False)
    return path.name


def read_gone(folder: Path, name: str | None) -> list[int]:
    """Return what `write_gone` wrote under a name.

    Raises:
        OSError: the file is not there.
        ValueError: it is damaged.
    """
    return [] if name is None else np.load(folder / name, allow_pickle=False).tolist()
