"""A retriever as a folder: demonstrations, vectors and encoder, so that it answers as before.

```
retriever.json       format, encoder, tasks, hash of the demonstrations
demos.jsonl          one demonstration a line, in the order in which they came
pool-<n>.index       vectors of one task (FAISS, or NumPy without pickle), and their ids beside it
encoder/             what sentence-transformers saved, if the encoder is one of its models
```

Lexical pools are counted again from the texts: 100,000 take seconds. A function cannot be written:
it is given to `load` again, and refused if it does not encode as the old one did. The folder takes
the place of an older one in one step.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np

from retrieval.demonstrations.retriever import DemonstrationRetriever, Snapshot
from retrieval.demonstrations.spaces import NAMES, DenseSpace, Encode
from retrieval.demonstrations.task import Demo, Task
from retrieval.errors import ModelFileError

__all__ = ["load", "save"]

FORMAT: Final = 1
#: Encoded at `save` and at `load`; batches and machines move a value by less than this.
PROBE: Final = "Which examples help?"
TOLERANCE: Final = 1e-3


def save(retriever: DemonstrationRetriever, path: Path) -> None:
    """Write a retriever as a folder.

    Raises:
        ModelFileError: if something else is at `path`.
    """
    path = Path(path)
    if path.exists() and not (path / "retriever.json").is_file():
        raise ModelFileError(f"{path} is there and holds no retriever; give another folder")
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.mkdir(parents=True)
    try:
        with retriever.frozen():
            _write(retriever, new)
        old = path.with_name(f"{path.name}.{os.getpid()}.old")
        if path.exists():
            path.rename(old)
        new.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def load(
    path: Path,
    *,
    encoder: Encode | None = None,
    count_tokens: Callable[[str], int] | None = None,
) -> DemonstrationRetriever:
    """Return the retriever that `save` wrote.

    Args:
        path: the folder.
        encoder: the function that it was made with, if it was made with one.
        count_tokens: as in `DemonstrationRetriever`.

    Raises:
        ModelFileError: a file is missing or damaged, or the encoder is not the one of before.
    """
    path = Path(path)
    try:
        about = json.loads((path / "retriever.json").read_text("utf-8"))
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']}, this library reads {FORMAT}")
        lines = (path / "demos.jsonl").read_bytes()
        if _hash(lines) != about["demos"]:
            raise ValueError("demos.jsonl was changed")
        rows = [json.loads(line) for line in lines.decode("utf-8").split("\n") if line]
        demos = {int(row.pop("key")): _demo(row) for row in rows}
        tasks = tuple(Task(**row | {"labels": tuple(row["labels"])}) for row in about["tasks"])
        kind, engine = str(about["encoder"]), about["index"]
        searched = about.get("searched", "input")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(
            f"{path} cannot be read as a retriever ({error}); save it again"
        ) from error
    if kind == "function" and encoder is None:
        raise ModelFileError(f"{path} was made with a function; give it as encoder=")
    source: Any = {"function": encoder, "folder": path / "encoder"}.get(kind, kind)
    retriever = DemonstrationRetriever(
        source, index=engine, searched=searched, count_tokens=count_tokens
    )
    if isinstance(retriever.space, DenseSpace):
        now = np.asarray(retriever.space.encoded_queries([PROBE], ""))[0]
        then = np.asarray(about["probe"], np.float32)
        if now.shape != then.shape or not np.allclose(now, then, atol=TOLERANCE):
            raise ModelFileError(
                f"the encoder {kind!r} does not encode as it did when {path} was saved; use that "
                "encoder, or add the demonstrations to a new retriever"
            )
    files = None if about["probe"] is None else path
    retriever.restore(Snapshot(tasks, demos, int(about["next"])), files=files)
    return retriever


def _write(retriever: DemonstrationRetriever, folder: Path) -> None:
    held = retriever.snapshot()
    rows = [
        json.dumps({"key": key} | asdict(demo), ensure_ascii=False)
        for key, demo in held.demos.items()
    ]
    lines = "\n".join(rows).encode("utf-8")
    (folder / "demos.jsonl").write_bytes(lines)
    probe = None
    if isinstance(retriever.space, DenseSpace):
        probe = np.asarray(retriever.space.encoded_queries([PROBE], ""))[0].tolist()
        retriever.space.save(folder, held.numbered())
    model: Any = retriever.encoder
    kind = "function"
    if isinstance(model, str) and model in NAMES:
        kind = model
    elif isinstance(model, (str, Path)):
        kind = "folder"
        shutil.copytree(model, folder / "encoder")
    elif hasattr(model, "encode_query"):
        kind = "folder"
        model.save(str(folder / "encoder"))
    tasks = [
        {
            "name": task.name,
            "instruction": task.instruction,
            "verbalizer": dict(task.verbalizer) if task.verbalizer is not None else None,
            "labels": list(task.labels),
        }
        for task in held.tasks
    ]
    about = {
        "format": FORMAT,
        "encoder": kind,
        "index": getattr(retriever.space, "engine", "auto"),
        "searched": retriever.searched,
        "probe": probe,
        "tasks": tasks,
        "next": held.next_key,
        "demos": _hash(lines),
    }
    (folder / "retriever.json").write_text(
        json.dumps(about, ensure_ascii=False, indent=1), encoding="utf-8"
    )


def _demo(row: dict[str, Any]) -> Demo:
    return Demo(**row | {"other_outputs": tuple(row["other_outputs"])})


def _hash(lines: bytes) -> str:
    return blake2b(lines, digest_size=16).hexdigest()
