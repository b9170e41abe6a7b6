r"""Tell the true answer from every other entity that was encoded: InfoNCE over a batch.

    L = − (1/m) Σᵢ log p / (p + Σ_{j ∉ Mᵢ} e^{s(i,j)/τ} + Σ_{k ∉ Mᵢ} e^{w·s(i,k)/τ})
    p = e^{(s(i,t(i)) − γ)/τ}

| symbol | option | meaning |
|---|---|---|
| i | | a triple asked for its tail, or for its head (relation r + R) |
| j | | every entity of the batch |
| k | `pre_batches` | entities of the last batches, as they were then; w = ½ |
| Mᵢ | `mask_known` | other answers that the training triples hold |
| the asking entity | `self_negatives` | stays among the j, or not |
| γ | `margin` | how far the true answer must be ahead |
| τ | `temperature`, `learned` | fixed, or learned as e^ℓ = 1/τ |

Every batch asks both ends of each triple. What another system calls inverse relations is the
head's choice: vectors of their own for r + R, or the formula read backwards.

Source: Wang et al., "SimKGC", ACL 2022 (pre-batch and self negatives, γ and learned τ); here one
encoder reads both ends, so that each entity is encoded once, and all of a batch are candidates.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.errors import QueryShapeError
from retrieval.heads.base import rows_of
from retrieval.known_links import KnownLinks, with_inverses

if TYPE_CHECKING:
    from torch import Tensor

    from retrieval.entity_training.batches import EntityBatch
    from retrieval.heads.protocol import RelationHead
    from retrieval.triple_data import IntArray

__all__ = ["Contrastive", "ContrastiveOptions"]

#: Weight of the similarity to an entity of an earlier batch, whose vector is out of date.
STALE: Final = 0.5


@dataclass(frozen=True, slots=True)
class ContrastiveOptions:
    """See the module.

    Raises:
        QueryShapeError: a number out of range.
    """

    temperature: float = 0.05
    learned: bool = False
    margin: float = 0.0
    mask_known: bool = True
    self_negatives: bool = True
    pre_batches: int = 0

    def __post_init__(self) -> None:
        if self.temperature <= 0 or self.margin < 0 or self.pre_batches < 0:
            raise QueryShapeError(
                f"{self.temperature=} must be above 0, {self.margin=} and {self.pre_batches=} not "
                "below"
            )


class Contrastive:
    """The loss of one batch after the other.

    Args:
        triples: [n, 3] training triples, for the mask.
        relations: R.
        options: see there.
    """

    def __init__(
        self, triples: IntArray, *, relations: int, options: ContrastiveOptions | None = None
    ) -> None:
        import torch

        self.options = options or ContrastiveOptions()
        self._known = KnownLinks.of([triples], relations=relations)
        self._scale = torch.tensor(-np.log(self.options.temperature), dtype=torch.float32)
        if self.options.learned:
            self._scale.requires_grad_()
        self._earlier: deque[tuple[IntArray, Tensor]] = deque(maxlen=self.options.pre_batches)

    @property
    def parameters(self) -> dict[str, Tensor]:
        """What is trained here: ℓ, if it is learned."""
        return {"log_scale": self._scale} if self.options.learned else {}

    def state(self) -> dict[str, Tensor]:
        """Return the entities and vectors of earlier batches, which a resumed run needs."""
        import torch

        answer = {}
        for at, (entities, vectors) in enumerate(self._earlier):
            answer[f"{at}/entities"] = torch.from_numpy(entities)
            answer[f"{at}/vectors"] = vectors
        return answer

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on at a state."""
        self._earlier.clear()
        for at in range(len(state) // 2):
            self._earlier.append((state[f"{at}/entities"].numpy(), state[f"{at}/vectors"]))

    def loss(self, vectors: Tensor, batch: EntityBatch, head: RelationHead) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            vectors: [k, d] of the batch's entities.
            batch: with its triples.
            head: that makes queries of sources and relations, and scores candidates.
        """
        import torch
        from torch.nn import functional

        links = with_inverses(batch.triples, self._known.relations)
        targets = torch.from_numpy(links[:, 2].copy())
        sources = torch.from_numpy(links[:, 0].copy())
        rows = torch.arange(len(links))
        asking = rows_of(vectors, sources)
        queries = head.queries(asking, torch.from_numpy(links[:, 1].copy()))
        # Scaled before anything is masked: the gradient of 1/τ at −∞ would be 0 · ∞.
        scale = self._scale.exp()
        scores = head.scores(queries, head.candidates(vectors)) * scale
        if self.options.margin:
            scores[rows, targets] -= self.options.margin * scale
        hidden_rows, hidden = self._hidden(links, batch, batch.entities)
        other = hidden != links[hidden_rows, 2]
        scores[torch.from_numpy(hidden_rows[other]), torch.from_numpy(hidden[other])] = -torch.inf
        if not self.options.self_negatives:
            away = sources != targets
            scores[rows[away], sources[away]] = -torch.inf
        blocks = [scores]
        for entities, stale in self._earlier:
            block = head.scores(queries, head.candidates(stale)) * (STALE * scale)
            at, which = self._hidden(links, batch, entities)
            block[torch.from_numpy(at), torch.from_numpy(which)] = -torch.inf
            # What is in the batch itself is a candidate already, with a vector of today.
            here = np.flatnonzero(np.isin(entities, batch.entities))
            block[:, torch.from_numpy(here)] = -torch.inf
            blocks.append(block)
        if self.options.pre_batches:
            self._earlier.append((batch.entities, vectors.detach().clone()))
        logits = torch.cat(blocks, dim=1) if len(blocks) > 1 else scores
        return functional.cross_entropy(logits, targets)

    def _hidden(
        self, links: IntArray, batch: EntityBatch, entities: IntArray
    ) -> tuple[IntArray, IntArray]:
        """Return (row, place among `entities`) of all known answers of the links' questions."""
        if not self.options.mask_known:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        rows, ids = self._known.targets(batch.entities[links[:, 0]], links[:, 1])
        places = np.minimum(np.searchsorted(entities, ids), len(entities) - 1)
        inside = entities[places] == ids
        return rows[inside], places[inside]
