"""The trained model of one graph: encoder, scorer, calibration and the index of its entities.

Files below the graph's home (a graph without one keeps the model in memory only):

```
models/link-prediction/current.json     which folder is in use, relations, figures
models/link-prediction/<fingerprint>/   encoder.*, scorer.safetensors
index/entities, index/entities.json     vectors of all entities, and hashes of their texts
```

`current.json` is replaced in one step after the folder is whole, so a reader never sees half a
model. The index is a cache: entities that came, changed or went since it was written are brought
up to date from their texts without training (`refresh`), and a damaged index is built again.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.calibration import Calibrations
from retrieval.encoders.protocol import EntityEncoder, load_encoder
from retrieval.errors import ModelFileError, NotTrained
from retrieval.files import replaced
from retrieval.graph_snapshot import GraphSnapshot, entity_text
from retrieval.scoring import RelationScorer
from retrieval.vector_index import VectorIndex

if TYPE_CHECKING:
    from retrieval.ranking import Vectors

__all__ = ["GraphModel", "Refreshed"]

#: Version of `current.json`.
FORMAT: Final = 1

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What `refresh` changed in the index."""

    added: int = 0
    changed: int = 0
    removed: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@dataclass(slots=True)
class GraphModel:
    """What `train` makes of a graph, and what `predict` and `search` answer from."""

    encoder: EntityEncoder
    scorer: RelationScorer
    #: Position is the relation's number.
    relations: tuple[str, ...]
    calibration: Calibrations
    #: The graph's change counter when it was trained.
    trained_on: int
    index: VectorIndex
    #: Hash of the text that each indexed vector stands for.
    texts: dict[str, str] = field(default_factory=dict)
    #: Hash of everything that decides an answer; the id of the model.
    fingerprint: str = ""

    def __post_init__(self) -> None:
        if not self.fingerprint:
            digest = blake2b(digest_size=16)
            digest.update(self.encoder.fingerprint.encode())
            digest.update(json.dumps(self.relations).encode())
            for part in (self.scorer.scale, self.scorer.offset):
                digest.update(np.ascontiguousarray(part).tobytes())
            self.fingerprint = digest.hexdigest()

    def refresh(self, snapshot: GraphSnapshot) -> Refreshed:
        """Bring the index up to date with a graph, without training; return what changed."""
        texts = {id: entity_text(entity) for id, entity in snapshot.entities.items()}
        hashes = {id: _hash(text) for id, text in texts.items()}
        gone = [id for id in self.texts if id not in hashes]
        stale = [id for id, value in hashes.items() if self.texts.get(id) != value]
        changed = sum(1 for id in stale if id in self.texts)
        if gone:
            self.index.remove(gone)
        if stale:
            self.index.add(stale, self.encoder.encode([texts[id] for id in stale]))
        self.texts = hashes
        return Refreshed(added=len(stale) - changed, changed=changed, removed=len(gone))

    def vectors(self, ids: list[str]) -> Vectors:
        """Return the vectors [n, dim] of indexed entities."""
        return self.index.vectors(ids)

    def query(self, vector: Vectors, relation: str, *, backwards: bool = False) -> Vectors:
        """Return the query [dim] of one entity vector [dim]; `backwards` asks for heads."""
        number = self.relations.index(relation) + (len(self.relations) if backwards else 0)
        made: Vectors = self.scorer.queries(vector[None, :], np.array([number]))[0]
        return made

    def save(self, home: Path, *, figures: Mapping[str, Any]) -> None:
        """Write model and index below a graph's home; `figures` are kept beside them."""
        root = home / "models" / "link-prediction"
        folder = root / self.fingerprint
        self.encoder.save(folder)
        self.scorer.save(folder)
        current = {
            "format": FORMAT,
            "model": self.fingerprint,
            "relations": self.relations,
            "calibration": asdict(self.calibration),
            "trained_on": self.trained_on,
            "figures": dict(figures),
        }
        with replaced(root / "current.json") as new:
            new.write_text(json.dumps(current, ensure_ascii=False), encoding="utf-8")
        for other in root.iterdir():
            if other.is_dir() and other != folder:
                shutil.rmtree(other)
        self.save_index(home)

    def save_index(self, home: Path) -> None:
        """Write the index alone, after `refresh`."""
        about = {"encoder": self.encoder.fingerprint, "texts": self.texts}
        self.index.save(_index_path(home), about=about)

    @classmethod
    def load(cls, home: Path | None, *, uri: str = "") -> GraphModel:
        """Return the model of a graph from its home; call `refresh` before asking it.

        Raises:
            NotTrained: if the graph has none.
            ModelFileError: if its files are damaged or of another version.
        """
        if home is None:
            raise NotTrained(
                f"{uri or 'this graph'} has no folder to keep a model in: train it in this process "
                "and pass model=report.model"
            )
        root = home / "models" / "link-prediction"
        try:
            text = (root / "current.json").read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise NotTrained(
                f"{uri or home} has no trained model yet; run: sheaf train {uri or home}"
            ) from error
        try:
            current = json.loads(text)
            if current["format"] != FORMAT:
                raise ValueError(f"format {current['format']}, this library reads {FORMAT}")
            folder = root / str(current["model"])
            relations = tuple(str(name) for name in current["relations"])
            calibration = Calibrations.of_json(current["calibration"])
            trained_on = int(current["trained_on"])
        except (ValueError, KeyError, TypeError) as error:
            raise ModelFileError(
                f"{root / 'current.json'} cannot be read ({error}); run: sheaf train {uri or home}"
            ) from error
        encoder = load_encoder(folder)
        scorer = RelationScorer.load(folder)
        if scorer.relations != len(relations) or int(scorer.scale.shape[1]) != encoder.dim:
            raise ModelFileError(
                f"the parts of the model in {folder} do not fit each other "
                f"({scorer.relations=}, {len(relations)=}); train again"
            )
        index, texts = _load_index(_index_path(home), encoder)
        return cls(encoder, scorer, relations, calibration, trained_on, index, texts, folder.name)


def _load_index(path: Path, encoder: EntityEncoder) -> tuple[VectorIndex, dict[str, str]]:
    """Return index and text hashes, or empty ones if they are missing, damaged or another's."""
    empty = VectorIndex(dim=encoder.dim), dict[str, str]()
    if not path.exists():
        return empty
    try:
        index = VectorIndex.load(path)
    except ModelFileError as error:
        _log.warning("%s", error)
        return empty
    texts = index.about.get("texts")
    if index.about.get("encoder") != encoder.fingerprint or not isinstance(texts, dict):
        return empty  # of another model: its vectors mean nothing here
    return index, texts


def _index_path(home: Path) -> Path:
    return home / "index" / "entities"


def _hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
