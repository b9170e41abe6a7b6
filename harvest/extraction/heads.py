"""The trained relation heads: a small network over pair features, with a reject class.

With x the dense vector and S the set of hashed words of a pair (`pairs`), R relations:

    u   = relu(W·(x − μ)/σ + Σ_{s∈S} E_s + b)          [hidden]
    z   = V·u + c                                      [R + 1], z_0 is "none of these"
    p_r = sigmoid(a·(z_r − z_0) + d)                   a, d fitted on held-out sentences (Platt)

A relation is said when it beats the reject class, not when it beats the other relations: a film may
have one person as director and as writer. Each relation has its own threshold, fitted for precision
on held-out sentences. The network is stored in half precision (a few megabytes) beside a JSON file
with its names, triggers, thresholds and origin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harvest.errors import HarvestError
from harvest.extraction.pairs import PARTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harvest.extraction.mentions import Candidate
    from harvest.extraction.pairs import SentenceView

__all__ = ["RelationHead", "RelationHeads", "WeightsMissing", "phrase_key"]

_TENSORS = "relation_heads.safetensors"
_ABOUT = "relation_heads.json"


class WeightsMissing(HarvestError):
    """The trained heads are not where they should be."""


@dataclass(frozen=True, slots=True)
class RelationHead:
    """What is known of one trained relation beside its weights."""

    name: str
    aliases: tuple[str, ...] = ()
    #: Name of the same relation read from the tail, "" if it has none.
    inverse: str = ""
    #: Lemmas (or "label:X") of which one must stand in or near the pair; empty for no such rule.
    triggers: frozenset[str] = frozenset()
    #: Probability from which the relation is taken as said.
    threshold: float = 0.5
    #: Number of training pairs.
    support: int = 0


@dataclass(frozen=True)
class RelationHeads:
    """The network of all heads; `tensors` holds the arrays of the module's formula."""

    heads: tuple[RelationHead, ...]
    tensors: Mapping[str, NDArray[np.float32]]
    #: Slope a and offset d of the calibration.
    calibration: tuple[float, float] = (1.0, 0.0)
    about: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def _index(self) -> dict[str, tuple[int, bool]]:
        index: dict[str, tuple[int, bool]] = {}
        for swapped in (False, True):
            for column, head in enumerate(self.heads):
                names = (head.inverse,) if swapped else (head.name, *head.aliases)
                for name in names:
                    if name:
                        index.setdefault(phrase_key(name), (column, swapped))
        return index

    def find(self, names: Sequence[str]) -> tuple[int, bool] | None:
        """Return the column of the first name that a head goes by, and whether ends are swapped."""
        for name in names:
            found = self._index.get(phrase_key(name))
            if found is not None:
                return found
        return None

    def probabilities(
        self, dense: NDArray[np.float32], hashed: Sequence[Sequence[int]]
    ) -> NDArray[np.float32]:
        """Return the probability of every relation for every pair, [pairs, relations]."""
        return self._calibrated(self.logits(dense, hashed))

    def read(
        self, view: SentenceView, pairs: Sequence[tuple[Candidate, Candidate]]
    ) -> NDArray[np.float32]:
        """Return `probabilities` of pairs of one sentence, several times faster.

        The dense vector is five means of word states, and means and W are linear: so every word is
        multiplied once with the five parts of W, and pairs take means of the products.
        """
        import torch

        w, b, e, v, c = self._folded
        hidden_size = b.shape[0]
        products = torch.from_numpy(view.states) @ w  # [words, 5 * hidden]
        count = w.shape[1] // hidden_size
        means = np.zeros((count, len(pairs), len(view.states)), np.float32)
        buckets: list[int] = []
        offsets: list[int] = []
        for row, (head, tail) in enumerate(pairs):
            for part, rows in enumerate(view.parts(head, tail)):
                if rows:  # a word around both ends stands in two windows and counts twice
                    np.add.at(means[part, row], rows, 1.0 / len(rows))
            offsets.append(len(buckets))
            buckets += view.hashed(head, tail)
        blocks = products.view(len(view.states), count, hidden_size).permute(1, 0, 2)
        hidden = torch.bmm(torch.from_numpy(means), blocks.contiguous()).sum(dim=0) + b
        hidden += torch.nn.functional.embedding_bag(
            torch.tensor(buckets), e, torch.tensor(offsets), mode="sum"
        )
        return self._calibrated((torch.relu(hidden) @ v + c).numpy())

    @cached_property
    def _folded(self) -> tuple[Any, Any, Any, Any, Any]:
        """Return W [width, 5 * hidden] and b with mean and deviation folded in, and E, V, c."""
        import torch

        t = self.tensors
        scaled = t["W"] / t["sigma"][:, None]
        b = t["b"] - (t["mu"] / t["sigma"]) @ t["W"]
        parts = scaled.reshape(PARTS, -1, scaled.shape[1])  # [5, width, hidden]
        w = parts.transpose(1, 0, 2).reshape(parts.shape[1], -1)
        return tuple(  # type: ignore[return-value]
            torch.from_numpy(np.ascontiguousarray(x)) for x in (w, b, t["E"], t["V"], t["c"])
        )

    def _calibrated(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        slope, offset = self.calibration
        margin = slope * (logits[:, 1:] - logits[:, :1]) + offset
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(margin, -30, 30))), np.float32)

    def logits(
        self, dense: NDArray[np.float32], hashed: Sequence[Sequence[int]]
    ) -> NDArray[np.float32]:
        """Return z, [pairs, relations + 1], reject class first."""
        t = self.tensors
        hidden = ((dense - t["mu"]) / t["sigma"]) @ t["W"] + t["b"]
        for row, buckets in enumerate(hashed):
            hidden[row] += t["E"][list(buckets)].sum(axis=0)
        return np.asarray(np.maximum(hidden, 0.0) @ t["V"] + t["c"], np.float32)

    def save(self, folder: Path) -> None:
        """Write the tensors (half precision) and the JSON file into `folder`."""
        from safetensors.numpy import save

        folder.mkdir(parents=True, exist_ok=True)
        halves = {name: np.asarray(value, np.float16) for name, value in self.tensors.items()}
        (folder / _TENSORS).write_bytes(save(halves))
        heads = [
            {
                "name": head.name,
                "aliases": list(head.aliases),
                "inverse": head.inverse,
                "triggers": sorted(head.triggers),
                "threshold": head.threshold,
                "support": head.support,
            }
            for head in self.heads
        ]
        about = {"calibration": list(self.calibration), "about": dict(self.about), "heads": heads}
        text = json.dumps(about, ensure_ascii=False, indent=1, sort_keys=True)
        (folder / _ABOUT).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path | None = None) -> RelationHeads:
        """Read heads from a folder, by default the ones shipped with the package.

        Raises:
            WeightsMissing: the folder holds no trained heads.
        """
        from safetensors.numpy import load_file

        folder = folder or shipped_folder()
        if not (folder / _TENSORS).is_file() or not (folder / _ABOUT).is_file():
            raise WeightsMissing(
                f"{folder} holds no {_TENSORS} and {_ABOUT}: train them with "
                "python -m harvest.extraction.training --data FOLDER"
            )
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        heads = tuple(
            RelationHead(
                name=row["name"],
                aliases=tuple(row["aliases"]),
                inverse=row["inverse"],
                triggers=frozenset(row["triggers"]),
                threshold=row["threshold"],
                support=row["support"],
            )
            for row in about["heads"]
        )
        tensors = {
            name: np.asarray(value, np.float32)
            for name, value in load_file(str(folder / _TENSORS)).items()
        }
        slope, offset = about["calibration"]
        return cls(heads, tensors, (slope, offset), about["about"])


def shipped_folder() -> Path:
    """Return the folder of the heads that are part of the package."""
    return Path(str(files("harvest"))) / "extraction" / "weights"


def weights_fingerprint(folder: Path | None = None) -> str:
    """Return a hash of the two files of the heads, which is part of a harvester's config."""
    folder = folder or shipped_folder()
    digest = blake2b(digest_size=16)
    for name in (_TENSORS, _ABOUT):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def phrase_key(phrase: str) -> str:
    """Return the key under which a relation name is looked up: case, "_", "-" and spaces aside.

    >>> phrase_key("Born_in") == phrase_key("born  in ")
    True
    """
    return " ".join(phrase.replace("_", " ").replace("-", " ").casefold().split())
