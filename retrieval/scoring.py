"""How likely a link is, as one matrix product: the relation moves the head towards its tails.

    query(h, r) = normalise(h ∘ a_r + c_r)        score(h, r, t) = query(h, r) · t

Scores are cosines in [−1, 1]. Each relation and each inverse has its own a (which dimensions of
the head matter) and c (what usually stands at the other end, whatever the head), so heads are
predicted as tails of the inverse: relation r + R of R.

This is the head `affine` (`retrieval.heads.affine`) in NumPy: answers of a trained model start
without the seconds that importing torch takes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.errors import ModelFileError
from retrieval.files import replaced

if TYPE_CHECKING:
    from retrieval.heads.affine import Affine
    from retrieval.ranking import Vectors
    from retrieval.triple_data import IntArray

__all__ = ["RelationScorer"]

#: Length below which a query counts as zero.
SHORTEST: Final = 1e-12


class RelationScorer:
    """The vectors a and c of all relations and inverses.

    >>> scorer = RelationScorer(np.ones((6, 8), np.float32), np.zeros((6, 8), np.float32))
    >>> heads = np.eye(8, dtype=np.float32)[:2]
    >>> scorer.queries(heads, np.array([0, 5])).shape
    (2, 8)
    """

    def __init__(self, scale: Vectors, offset: Vectors) -> None:
        self.scale = scale
        self.offset = offset

    @classmethod
    def of(cls, head: Affine) -> RelationScorer:
        """Return the scorer that answers as a trained head does."""
        own = head.parameters()
        return cls(own["scale"].detach().numpy(), own["offset"].detach().numpy())

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
