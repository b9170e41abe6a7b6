"""What every scoring head can do, and how to get one: untrained by name, or from a folder.

A head turns a source and a relation into a query, and compares queries with candidates. What ranks
answers, trains or searches an index needs nothing but that, and its kernel:

| kernel | queries and candidates are compared by | heads |
|---|---|---|
| `dot` | q·e | distmult, complex, simple, affine, low-rank |
| `l2` | −‖q − e‖₂; one matrix product ranks: 2q·e − ‖e‖² | transe-l2 |
| `l1` | −‖q − e‖₁ | transe-l1 |
| `modulus` | −Σ of the moduli of q − e over complex coordinates | rotate |

Complex coordinates are kept as [real half; imaginary half]. Relation r + R of R relations asks
backwards: for the heads of r, given the tail.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol, Self

from retrieval.errors import ModelFileError, QueryShapeError
from retrieval.heads.affine import Affine
from retrieval.heads.base import FILE, FORMAT
from retrieval.heads.complex import ComplEx
from retrieval.heads.distmult import DistMult
from retrieval.heads.low_rank import LowRank
from retrieval.heads.rotate import RotatE
from retrieval.heads.simple import SimplE
from retrieval.heads.transe import TransEL1, TransEL2
from retrieval.kernels import Kernel

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["HEADS", "HeadName", "Kernel", "RelationHead", "load_head", "untrained_head"]

type HeadName = Literal[
    "affine", "complex", "distmult", "low-rank", "rotate", "simple", "transe-l1", "transe-l2"
]

#: Every head by its name.
HEADS: Final = {
    head.name: head
    for head in (Affine, ComplEx, DistMult, LowRank, RotatE, SimplE, TransEL1, TransEL2)
}


class RelationHead(Protocol):
    """How a relation joins the vectors of two entities."""

    @property
    def name(self) -> str:
        """Name by which `untrained_head` makes it."""
        ...

    @property
    def kernel(self) -> Kernel:
        """How queries and candidates are compared."""
        ...

    @property
    def normalised(self) -> bool:
        """Whether entity vectors must have length one."""
        ...

    @property
    def inverses(self) -> bool:
        """Whether relations r + R have parameters of their own."""
        ...

    @property
    def relations(self) -> int:
        """Number of relations R, inverses not counted."""
        ...

    @property
    def dim(self) -> int:
        """Length of an entity vector."""
        ...

    def parameters(self) -> dict[str, Tensor]:
        """Return what training changes, by name."""
        ...

    def score(self, heads: Tensor, relations: Tensor, tails: Tensor) -> Tensor:
        """Return the score of links: heads [..., d], relations [...], tails [..., d] → [...]."""
        ...

    def queries(self, sources: Tensor, relations: Tensor) -> Tensor:
        """Return the queries [..., d] of sources [..., d] under relations [...], r or r + R."""
        ...

    def candidates(self, vectors: Tensor) -> Tensor:
        """Return entity vectors [..., d] in the form that `scores` compares queries with."""
        ...

    def scores(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Return the score of every query [q, d] with every candidate [c, d], [q, c]."""
        ...

    def to(self, device: str) -> Self:
        """Return the head with its parameters on a device."""
        ...

    def save(self, folder: Path) -> None:
        """Write the head into a folder."""
        ...


def untrained_head(
    name: HeadName, *, relations: int, dim: int, inverses: bool = True, seed: int = 0
) -> RelationHead:
    """Return a head with random parameters.

    Args:
        name: a key of `HEADS`.
        relations: number of relations R.
        dim: length of an entity vector; even for complex, rotate and simple.
        inverses: give relations r + R parameters of their own; always so for affine and low-rank.
        seed: of the random parameters.

    Raises:
        QueryShapeError: for an unknown name, an odd `dim` where halves are needed, affine without
            inverses.

    >>> untrained_head("transe-l1", relations=3, dim=8, seed=0).kernel
    'l1'
    """
    if name not in HEADS:
        raise QueryShapeError(f"unknown head {name!r}; available: {', '.join(HEADS)}")
    return HEADS[name].untrained(relations=relations, dim=dim, inverses=inverses, seed=seed)


def load_head(folder: Path) -> RelationHead:
    """Return the head that `save` wrote into a folder.

    Raises:
        ModelFileError: if the file is missing, damaged or of another version.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as name:
    ...     untrained_head("rotate", relations=3, dim=8).save(Path(name))
    ...     load_head(Path(name)).name
    'rotate'
    """
    from safetensors import SafetensorError, safe_open

    path = folder / FILE
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            parameters = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"the head {path} cannot be read ({error}); train again") from error
    if about.get("format") != FORMAT or about.get("head") not in HEADS:
        raise ModelFileError(
            f"the head {path} is of format {about.get('format')!r} and kind {about.get('head')!r}; "
            f"this version reads format {FORMAT} of {', '.join(HEADS)}; train again"
        )
    try:
        return HEADS[about["head"]](parameters, inverses=about.get("inverses") == "True")
    except QueryShapeError as error:
        raise ModelFileError(f"the head {path} is damaged ({error}); train again") from error
