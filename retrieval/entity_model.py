"""An encoder and a head that belong together: what training hands over and evaluation reads.

```
FOLDER/encoder/            encoder.json, … ; SentenceTransformer reads it, too
FOLDER/head.safetensors    the scoring head
FOLDER/model.json          relations in the order of the head's rows, and how it was trained
```
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.encoders.protocol import EntityEncoder, load_encoder
from retrieval.errors import ModelFileError, QueryShapeError
from retrieval.files import replaced
from retrieval.heads.protocol import RelationHead, load_head
from retrieval.ranking import Ranks, rank

if TYPE_CHECKING:
    from retrieval.protocols import Questions
    from retrieval.ranking import Vectors
    from retrieval.triple_data import IntArray, TripleData

__all__ = ["EntityModel", "answer_ranks"]

#: Version of the files that `save` writes.
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class EntityModel:
    """Encoder, head and the relations that the head's rows stand for."""

    encoder: EntityEncoder
    head: RelationHead
    relations: tuple[str, ...]
    #: How it was trained: options, seed, figures.
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides an answer."""
        digest = blake2b(self.encoder.fingerprint.encode(), digest_size=16)
        digest.update(json.dumps([self.head.name, self.relations]).encode())
        for name, values in sorted(self.head.parameters().items()):
            digest.update(name.encode() + values.detach().cpu().numpy().tobytes())
        return digest.hexdigest()

    def queries(self, sources: Vectors, relations: IntArray) -> Vectors:
        """Return the queries [n, d] of source vectors [n, d] and relations [n], r or r + R."""
        return head_queries(self.head, sources, relations)

    def rows_of(self, data: TripleData) -> IntArray:
        """Return the row of the head for each relation of the data.

        Raises:
            QueryShapeError: the data has a relation that the model was not trained on.
        """
        place = {name: at for at, name in enumerate(self.relations)}
        missing = [name for name in data.relations if name not in place]
        if missing:
            raise QueryShapeError(
                f"the model was not trained on the relation {missing[0]!r} ({len(missing)} of "
                f"{len(data.relations)} are missing); train it on this data"
            )
        return np.array([place[name] for name in data.relations], np.int64)

    def save(self, folder: Path) -> None:
        """Write all parts into a folder, which is made if needed."""
        self.encoder.save(folder / "encoder")
        self.head.save(folder)
        description = {"format": FORMAT, "relations": self.relations, "about": dict(self.about)}
        with replaced(folder / "model.json") as new:
            new.write_text(json.dumps(description, ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> EntityModel:
        """Return the model that `save` wrote into a folder.

        Raises:
            ModelFileError: a file is missing, damaged or of another format.
        """
        try:
            description = json.loads((folder / "model.json").read_text("utf-8"))
            if description["format"] != FORMAT:
                raise ValueError(f"format {description['format']}, this library reads {FORMAT}")
            relations = tuple(map(str, description["relations"]))
            about = dict(description["about"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelFileError(
                f"{folder} holds no trained entity model ({error}); make one: "
                "sheaf eval link-prediction --out"
            ) from error
        encoder, head = load_encoder(folder / "encoder"), load_head(folder)
        if head.relations != len(relations) or head.dim != encoder.dim:
            raise ModelFileError(
                f"the parts of {folder} do not fit each other ({head.relations=}, "
                f"{len(relations)=}, {head.dim=}, {encoder.dim=}); train again"
            )
        return cls(encoder, head, relations, about)


def head_queries(head: RelationHead, sources: Vectors, relations: IntArray) -> Vectors:
    """Return the queries of a head [n, d] without a graph."""
    import torch

    with torch.no_grad():
        made = head.queries(torch.from_numpy(sources), torch.from_numpy(relations))
    return np.asarray(made.numpy(), np.float32)


def answer_ranks(
    head: RelationHead,
    vectors: Vectors,
    asked: Questions,
    *,
    chosen: IntArray | None = None,
    rows: IntArray | None = None,
) -> Ranks:
    """Return the filtered ranks of the true answers.

    Args:
        head: makes the queries, and says how they are compared.
        vectors: [n, d] of all entities of the data.
        asked: the questions.
        chosen: questions that are asked, ascending; all if not given.
        rows: the head's row for each relation of the data; the same numbers if not given.
    """
    import torch

    sources, relations, targets = asked.sources, asked.relations, asked.targets
    known = asked.known
    if chosen is not None:
        sources, relations, targets = sources[chosen], relations[chosen], targets[chosen]
        inside = np.isin(known[0], chosen)
        known = np.searchsorted(chosen, known[0][inside]), known[1][inside]
    if rows is not None:
        count = len(rows)
        relations = rows[relations % count] + head.relations * (relations // count)
    with torch.no_grad():
        candidates = head.candidates(torch.from_numpy(vectors[asked.candidates])).numpy()
    queries = head_queries(head, vectors[sources], relations)
    return rank(queries, candidates, targets, known, kernel=head.kernel)


def drawn_questions(asked: Questions, count: int, *, seed: int = 0) -> IntArray:
    """Return both questions of triples drawn by the seed, `count` at most, ascending."""
    triples = min(asked.triples, max(1, count // 2))
    drawn = np.random.default_rng(seed).choice(asked.triples, triples, replace=False)
    return np.sort(np.concatenate([drawn, drawn + asked.triples])).astype(np.int64)
