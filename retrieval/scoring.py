"""How likely a link is, as one matrix product: the relation moves the head towards its tails.

    query(h, r) = normalise(h ∘ a_r + c_r)        score(h, r, t) = query(h, r) · t

Scores are cosines in [−1, 1]. Each relation and each inverse has its own a (which dimensions of
the head matter) and c (what usually stands at the other end, whatever the head), so heads are
predicted as tails of the inverse: relation r + R of R.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.errors import ModelFileError
from retrieval.files import replaced

if TYPE_CHECKING:
    from torch import Tensor

    from retrieval.ranking import Vectors
    from retrieval.triple_data import IntArray

__all__ = ["RelationScorer"]

#: Length below which a query counts as zero.
SHORTEST: Final = 1e-12

#: Standard deviation of a − 1 and of c before training.
INITIAL_SCALE: Final = 0.1


class RelationScorer:
    """The vectors a and c of all relations and inverses.

    >>> scorer = RelationScorer.untrained(relations=3, dim=8, seed=0)
    >>> heads = np.eye(8, dtype=np.float32)[:2]
    >>> scorer.queries(heads, np.array([0, 5])).shape
    (2, 8)
    """

    def __init__(self, scale: Vectors, offset: Vectors) -> None:
        self.scale = scale
        self.offset = offset

    @classmethod
    def untrained(cls, *, relations: int, dim: int, seed: int = 0) -> RelationScorer:
        """Return a ~ 1 + N(0, .1) and c ~ N(0, .1) for `relations` relations and their inverses."""
        random = np.random.default_rng(seed)
        shape = (2 * relations, dim)
        scale = 1 + INITIAL_SCALE * random.standard_normal(shape, np.float32)
        offset = INITIAL_SCALE * random.standard_normal(shape, np.float32)
        return cls(scale.astype(np.float32), offset.astype(np.float32))

    @property
    def relations(self) -> int:
        """Number of relations R, inverses not counted."""
        return int(self.scale.shape[0]) // 2

    def queries(self, heads: Vectors, relations: IntArray) -> Vectors:
        """Return the queries of heads [n, d] and relations [n] (r + R asks backwards), [n, d]."""
        moved = heads * self.scale[relations] + self.offset[relations]
        lengths = np.sqrt(np.einsum("ij,ij->i", moved, moved))[:, None]
        return np.asarray(moved / np.maximum(lengths, SHORTEST), np.float32)

    def save(self, folder: Path) -> None:
        """Write `scorer.safetensors` into a folder, which is made if needed."""
        from safetensors.numpy import save_file

        with replaced(folder / "scorer.safetensors") as new:
            save_file({"scale": self.scale, "offset": self.offset}, new)

    @classmethod
    def load(cls, folder: Path) -> RelationScorer:
        """Return the scorer that `save` wrote into a folder.

        Raises:
            ModelFileError: if the file is missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            parts = load_file(folder / "scorer.safetensors")
            return cls(parts["scale"], parts["offset"])
        except (OSError, KeyError, SafetensorError) as error:
            raise ModelFileError(
                f"the scorer in {folder} cannot be read ({error}); train again"
            ) from error


def moved_heads(heads: Tensor, scale: Tensor, offset: Tensor, relations: Tensor) -> Tensor:
    """Return what `RelationScorer.queries` returns, differentiable in heads, scale and offset."""
    from torch.nn import functional

    return functional.normalize(heads * scale[relations] + offset[relations], dim=1, eps=SHORTEST)
