"""The projections: immutable Grafeo snapshots, derived from the record, that answer Cypher.

A snapshot is named by the change counter that it was derived from and lies beside its seal:

```
my.kg/projection-42.grafeo       the facts: entities, literals, triples, predictions
my.kg/projection-42.basis        what they were derived from (`kg.store.embedded.basis`)
my.kg/projection-42.grafeo.sum   hex blake2b of both, shape, engine version
my.kg/sources-42.grafeo (.sum)   the facts and where they come from, made when a question asks
```

Writers never touch them. A reader takes the newest snapshot if its counter is the record's and its
seal holds. One that is behind is copied, brought up to date and renamed into place, so that other
readers keep theirs; where too much has changed, or where it is damaged, missing or of another
version, the facts are derived again: the record is the truth.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Final, Literal

from grafeo import GrafeoDB, GrafeoError
from grafeo import __version__ as ENGINE_VERSION  # noqa: N812 - a constant

from kg.errors import StoreError
from kg.store.embedded.basis import Basis
from kg.store.embedded.deriving import Sight
from kg.store.embedded.facts import fill_facts
from kg.store.embedded.filling import Filler, collector_held
from kg.store.embedded.patching import apply, changes
from kg.store.embedded.record import Record
from kg.store.embedded.sources import fill_sources

__all__ = ["ENGINE_VERSION", "Projection", "Scope", "open_projection"]

log = logging.getLogger(__name__)

#: Changes when the derived graph or its shape changes, so that old snapshots are derived again.
SHAPE: Final = 2
#: Properties of nodes that questions look up.
INDEXED: Final = ("id", "name")
#: Age at which a draft belongs to nobody any more, in seconds; one takes minutes at most.
ABANDONED: Final = 3600.0
_DRAFT: Final = re.compile(r"\.(projection|sources)-\d+-\d+\.(grafeo|basis|grafeo\.sum)")
_NAME: Final = re.compile(r"(projection|sources)-(\d+)\.(grafeo|basis|grafeo\.sum)")

#: What a projection holds: the facts alone, or also where they come from.
type Scope = Literal["facts", "sources"]


class Projection:
    """One state of the record, ready to be asked; the engine is opened when it is needed."""

    def __init__(
        self,
        counter: int,
        scope: Scope,
        *,
        engine: GrafeoDB | None = None,
        basis: Basis | None = None,
        snapshot: Path | None = None,
    ) -> None:
        #: The change counter of that state.
        self.counter = counter
        self.scope = scope
        #: The sealed file; None where the projection lives in memory.
        self.snapshot = snapshot
        self._engine = engine
        self._basis = basis

    @property
    def engine(self) -> GrafeoDB:
        """The engine, read-only if it has opened a snapshot.

        Raises:
            StoreError: if the snapshot cannot be opened.
        """
        if self._engine is None:
            try:
                self._engine = GrafeoDB.open_read_only(str(self.snapshot))
            except (GrafeoError, RuntimeError, OSError) as error:
                raise StoreError(f"{self.snapshot} does not open ({error}): remove it") from None
        return self._engine

    @property
    def basis(self) -> Basis:
        """What the facts were derived from."""
        if self._basis is None and self.snapshot is not None:
            facts = _path(self.snapshot.parent, self.counter, "facts")
            self._basis = Basis.load(_basis_of(facts))
        if self._basis is None:
            raise StoreError("a projection in memory has been made without its basis")
        return self._basis

    def close(self) -> None:
        """Release the engine."""
        if self._engine is not None:
            self._engine.close()
        self._engine = None


def open_projection(record: Record, folder: Path | None, scope: Scope) -> Projection:
    """Return a projection of the record's present state.

    The engine is read-only when it comes from a snapshot. Without a folder, or where the folder
    may not be written, the projection lives in memory.
    """
    if folder is None:
        return _build(record, scope)
    counter = record.counter
    if not _whole(folder, counter, scope):
        if not os.access(folder, os.W_OK):
            return _build(record, scope)
        with collector_held(), record.snapshot():
            counter = record.counter
            _write(folder, counter, scope, Sight(record))
    return Projection(counter, scope, snapshot=_path(folder, counter, scope))


def _build(record: Record, scope: Scope) -> Projection:
    """Derive everything in memory, from one consistent state of the record."""
    engine = GrafeoDB()
    with collector_held(), record.snapshot():
        sight = Sight(record)
        with Filler(engine) as filler:
            basis = fill_facts(filler, sight)
            if scope == "sources":
                fill_sources(filler, sight)
        for property in INDEXED:
            engine.create_property_index(property)
        return Projection(record.counter, scope, engine=engine, basis=basis)


def _write(folder: Path, counter: int, scope: Scope, sight: Sight) -> None:
    """Write those snapshots of a counter that are missing."""
    there = _is_sound(folder, counter, "facts", quiet=True)
    if not there and not _bring_up_to_date(folder, counter, sight):
        _derive(folder, counter, sight)
    if scope == "sources":
        _add_sources(folder, counter, sight)


def _bring_up_to_date(folder: Path, counter: int, sight: Sight) -> bool:
    """Write the facts of a counter out of an older snapshot; False if there is no cheap way."""
    older = max((n for n in _snapshots(folder, "facts") if n < counter), default=None)
    if older is None or not _is_sound(folder, older, "facts"):
        return False
    change = changes(Basis.load(_basis_of(_path(folder, older, "facts"))), sight)
    if change is None:
        return False
    with _draft(folder, counter, "facts") as draft:
        shutil.copyfile(_path(folder, older, "facts"), draft)
        engine = GrafeoDB(str(draft))
        basis = apply(change, engine, sight)
        engine.close()
        basis.save(_basis_of(draft))
    return True


def _derive(folder: Path, counter: int, sight: Sight) -> None:
    """Write the facts of a counter."""
    engine = GrafeoDB()
    with Filler(engine) as filler:
        basis = fill_facts(filler, sight)
    for property in INDEXED:
        engine.create_property_index(property)
    with _draft(folder, counter, "facts") as draft:
        engine.save(str(draft))
        basis.save(_basis_of(draft))
    engine.close()


def _add_sources(folder: Path, counter: int, sight: Sight) -> None:
    """Write the facts of a counter together with where they come from."""
    with _draft(folder, counter, "sources") as draft:
        shutil.copyfile(_path(folder, counter, "facts"), draft)
        engine = GrafeoDB(str(draft))
        with Filler(engine) as filler:
            fill_sources(filler, sight)
        engine.close()


def _path(folder: Path, counter: int, scope: Scope) -> Path:
    name = "projection" if scope == "facts" else "sources"
    return folder / f"{name}-{counter}.grafeo"


def _basis_of(snapshot: Path) -> Path:
    return snapshot.with_suffix(".basis")


def _seal_of(snapshot: Path) -> Path:
    return snapshot.with_name(snapshot.name + ".sum")


def _snapshots(folder: Path, scope: Scope) -> Iterator[int]:
    for path in folder.iterdir():
        match = _NAME.fullmatch(path.name)
        if match and path == _path(folder, int(match[2]), scope):
            yield int(match[2])


def _whole(folder: Path, counter: int, scope: Scope) -> bool:
    """Return whether all files that a question needs are there and sound."""
    return _is_sound(folder, counter, "facts") and (
        scope == "facts" or _is_sound(folder, counter, scope)
    )


def _is_sound(folder: Path, counter: int, scope: Scope, *, quiet: bool = False) -> bool:
    """Return whether a snapshot is there and its seal holds; damage is told unless `quiet`."""
    path = _path(folder, counter, scope)
    problem = "is damaged or of another version"
    try:
        if _seal_of(path).read_text(encoding="utf-8") == _seal(path, scope):
            return True
    except FileNotFoundError:
        if not path.exists():
            return False
        problem = "has lost a file beside it"
    except (OSError, UnicodeDecodeError):
        pass
    if not quiet:
        log.warning("%s %s: derived again from the record", path.name, problem)
    return False


def _seal(path: Path, scope: Scope) -> str:
    digests = []
    for part in (path, _basis_of(path)) if scope == "facts" else (path,):
        with part.open("rb") as file:
            digests.append(file_digest(file, lambda: blake2b(digest_size=20)).hexdigest())
    return f"{' '.join(digests)} shape {SHAPE} grafeo {ENGINE_VERSION}\n"


@contextmanager
def _draft(folder: Path, counter: int, scope: Scope) -> Iterator[Path]:
    """Give the path of a draft; what is there in the end is sealed and takes its place.

    Older snapshots go then. A reader between the renames sees a seal that does not hold, and
    derives again.
    """
    path = _path(folder, counter, scope)
    draft = folder / f".{path.stem}-{os.getpid()}.grafeo"
    parts = [draft, _basis_of(draft), _seal_of(draft)]
    for part in parts:
        part.unlink(missing_ok=True)
    try:
        yield draft
        _seal_of(draft).write_text(_seal(draft, scope), encoding="utf-8")
        targets = [path, _basis_of(path), _seal_of(path)]
        for part, target in zip(parts, targets, strict=True):
            if part.exists():
                part.replace(target)
        for other in folder.iterdir():
            match = _NAME.fullmatch(other.name)
            if (match and int(match[2]) < counter) or _is_abandoned(other):
                other.unlink(missing_ok=True)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def _is_abandoned(path: Path) -> bool:
    """Return whether this is a draft that a killed process has left behind."""
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:  # another reader was faster
        return False
    return bool(_DRAFT.fullmatch(path.name)) and age > ABANDONED
