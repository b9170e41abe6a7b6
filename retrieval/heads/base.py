"""What all heads share: a table of relation vectors, its inverses, files and devices.

A link can be asked from both ends. There are two ways to ask for the head of (?, r, t):

| `inverses` | table | the query for (?, r, t) |
|---|---|---|
| True | 2R rows | the tail query of relation r + R, which has a vector of its own |
| False | R rows | the head query of r: the formula of the head, solved for the other end |

Both are asked by the same number r + R, so that what ranks and trains need not know which is used.

**The trap.** With `inverses=False` the score of (t, r + R, h) is the score of (h, r, t): ends are
swapped first. A head that read row r of the table and forgot to swap would look right for DistMult
alone, whose score is symmetric.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Self

from retrieval.errors import QueryShapeError
from retrieval.files import replaced
from retrieval.kernels import Kernel

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RelationTable", "StoredHead"]

#: Name of the file, and the version of its layout.
FILE: Final = "head.safetensors"
FORMAT: Final = "1"


class StoredHead(ABC):
    """Named parameters with one row for each relation, and where they are kept.

    Args:
        parameters: name → [rows, width] float32; rows are R, or 2R with inverses.
        inverses: relations r + R have rows of their own.

    Raises:
        QueryShapeError: if rows differ in number, or are odd in number with inverses.
    """

    name: ClassVar[str]
    kernel: ClassVar[Kernel]
    #: The head is made for entity vectors of length one.
    normalised: ClassVar[bool] = False

    def __init__(self, parameters: Mapping[str, Tensor], *, inverses: bool) -> None:
        rows = {len(parameter) for parameter in parameters.values()}
        if len(rows) != 1 or (inverses and rows.pop() % 2):
            shapes = {name: tuple(value.shape) for name, value in parameters.items()}
            raise QueryShapeError(
                f"head {self.name!r} got {shapes}; all need the same number of rows, R without "
                "and 2R with inverses"
            )
        self._parameters = dict(parameters)
        for parameter in self._parameters.values():
            parameter.requires_grad_()
        self.inverses = inverses

    @property
    def relations(self) -> int:
        """Number of relations R, inverses not counted."""
        rows = len(next(iter(self._parameters.values())))
        return rows // 2 if self.inverses else rows

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of an entity vector."""

    def parameters(self) -> dict[str, Tensor]:
        """Return what training changes, by name; the tensors themselves, not copies."""
        return dict(self._parameters)

    def candidates(self, vectors: Tensor) -> Tensor:
        """Return entity vectors [..., d] in the form that `scores` compares queries with.

        Raises:
            QueryShapeError: if the vectors are not of the head's dimension.
        """
        if vectors.shape[-1] != self.dim:
            raise QueryShapeError(
                f"head {self.name!r} has dimension {self.dim}, the entity vectors have "
                f"{vectors.shape[-1]}; make the head with dim={vectors.shape[-1]}"
            )
        return vectors

    def to(self, device: str) -> Self:
        """Return the head with its parameters on a device; a new one, in which nothing is shared.

        Make the optimiser after this, of the new head's parameters.
        """
        moved = {
            name: value.detach().clone().to(device) for name, value in self.parameters().items()
        }
        return type(self)(moved, inverses=self.inverses)

    def save(self, folder: Path) -> None:
        """Write `head.safetensors` into a folder, which is made if needed."""
        from safetensors.torch import save_file

        values = {
            name: value.detach().cpu().contiguous() for name, value in self._parameters.items()
        }
        about = {"format": FORMAT, "head": self.name, "inverses": str(self.inverses)}
        with replaced(folder / FILE) as new:
            save_file(values, new, metadata=about)


class RelationTable(StoredHead):
    """A head whose only parameter is one vector for each relation: `vectors` [R or 2R, width].

    A head of this kind says what its score is (`_score`), and what the query is for either end
    (`_tail_query`, `_head_query`); this class picks rows and ends.
    """

    #: Entity vectors are two halves, [real; imaginary] or [as head; as tail].
    halved: ClassVar[bool] = False

    @classmethod
    def untrained(cls, *, relations: int, dim: int, inverses: bool, seed: int = 0) -> Self:
        """Return a head with Xavier-uniform relation vectors; they are never normalised.

        Raises:
            QueryShapeError: if `dim` is odd and the head needs two halves, or a size is below 1.
        """
        import torch

        cls.check(relations=relations, dim=dim)
        rows = 2 * relations if inverses else relations
        table = torch.empty(rows, dim)
        generator = torch.Generator().manual_seed(seed)
        torch.nn.init.xavier_uniform_(table, generator=generator)
        return cls({"vectors": table}, inverses=inverses)

    @classmethod
    def check(cls, *, relations: int, dim: int) -> None:
        """Refuse sizes that make no head."""
        if relations < 1 or dim < 1:
            raise QueryShapeError(f"{relations=} and {dim=} must be at least 1")
        if cls.halved and dim % 2:
            raise QueryShapeError(f"head {cls.name!r} splits vectors in halves; {dim=} is odd")

    @property
    def dim(self) -> int:
        """Length of an entity vector."""
        return int(self._parameters["vectors"].shape[1])

    def score(self, heads: Tensor, relations: Tensor, tails: Tensor) -> Tensor:
        """Return the score of links; leading dimensions broadcast.

        Args:
            heads: [..., d].
            relations: [...] int64; r + R scores the inverse, from a tail to a head.
            tails: [..., d].
        """
        vectors, backwards = self._rows(relations)
        if backwards is not None:
            import torch

            swapped = backwards[..., None]
            heads, tails = torch.where(swapped, tails, heads), torch.where(swapped, heads, tails)
        return self._score(heads, vectors, tails)

    def queries(self, sources: Tensor, relations: Tensor) -> Tensor:
        """Return the queries [..., d] of sources [..., d] under relations [...], r or r + R."""
        vectors, backwards = self._rows(relations)
        queries = self._tail_query(sources, vectors)
        if backwards is None:
            return queries
        import torch

        return torch.where(backwards[..., None], self._head_query(sources, vectors), queries)

    def scores(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Return the score of every query [q, d] with every candidate [c, d], [q, c]."""
        return queries @ candidates.T

    @abstractmethod
    def _score(self, heads: Tensor, vectors: Tensor, tails: Tensor) -> Tensor: ...

    @abstractmethod
    def _tail_query(self, heads: Tensor, vectors: Tensor) -> Tensor: ...

    @abstractmethod
    def _head_query(self, tails: Tensor, vectors: Tensor) -> Tensor: ...

    def _rows(self, relations: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the relation vectors, and which links are asked backwards, None of none."""
        table = self._parameters["vectors"]
        if self.inverses:
            return rows_of(table, relations), None
        backwards = relations >= self.relations
        own = relations - self.relations * backwards
        return rows_of(table, own), backwards if bool(backwards.any()) else None


def rows_of(table: Tensor, places: Tensor) -> Tensor:
    """Return table[places], with a gradient that is added up in one order, whatever the threads.

    >>> import torch
    >>> rows_of(torch.eye(2), torch.tensor([[1, 0]])).tolist()
    [[[0.0, 1.0], [1.0, 0.0]]]
    """
    from torch.nn import functional

    return functional.embedding(places, table)


def halves(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first and the second half of the last dimension.

    >>> import torch
    >>> [half.tolist() for half in halves(torch.tensor([1, 2, 3, 4]))]
    [[1, 2], [3, 4]]
    """
    middle = vectors.shape[-1] // 2
    return vectors[..., :middle], vectors[..., middle:]
