r"""Train reader and encoder on labels alone, and measure them.

    p(y|x) = Σ_E p(E|x) · p(y|x, E)        over k sets E of C explanations

The 16 explanations nearest to an item are its sets, the best four the first one. The gradient
reaches the encoder through p(E|x): a set that explains the label well pulls its explanations
nearer. The index of explanations is rebuilt five times an epoch with the encoder as it is then; the
encoder is frozen for the first two epochs, in which the reader learns what an explanation is. An
item's own explanation is never retrieved for it.

| ways | explanations of an item |
|---|---|
| `none` | none; instead the reader learns a rule of its own for every index, by heart |
| `random` | one of any other training item |
| `fixed` | retrieved by the untrained encoder |
| `learned` | retrieved by the encoder, trained with the reader |
| `optimal` | those of its index, by an oracle |
| `right` | its exact rule |

Source of the method: Hase and Bansal, 2021. Theirs are pretrained Transformers at learning rate
1e-5; these are small enough to be trained from nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from retrieval.explanation_roles.items import Data, Items
from retrieval.explanation_roles.network import DIM, Encoder, Reader
from retrieval.threads import threads as use_threads
from retrieval.triple_data import IntArray

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["WAYS", "Outcome", "Way", "train"]

type Way = Literal["none", "random", "fixed", "learned", "optimal", "right"]
WAYS: Final[tuple[Way, ...]] = ("none", "random", "fixed", "learned", "optimal", "right")

#: k sets of C explanations.
SETS: Final = 4
SET_SIZE: Final = 4
EPOCHS: Final = 20
FROZEN_EPOCHS: Final = 2
#: Times that the index is rebuilt in an epoch.
REBUILDS: Final = 5
BATCH: Final = 50
LEARNING_RATE: Final = 3e-3
#: Draw of random explanations for dev and test; those of epochs count from 0.
MEASURED: Final = 10**6
#: Items that are searched for or measured at a time.
BLOCK: Final = 2000


@dataclass(frozen=True, slots=True)
class Outcome:
    """Accuracy of one way, at the epoch that was best on dev."""

    way: Way
    dev: float
    test: float
    epoch: int
    #: Share of test items whose first explanation is one of their own index; 0 without any.
    found: float


class _Model:
    """Reader, encoder, and the rules learned by heart; sets of explanations for a way."""

    def __init__(self, data: Data, way: Way, seed: int) -> None:
        import torch

        self.data, self.way, self.seed = data, way, seed
        generator = torch.Generator().manual_seed(seed)
        largest = max(int(part.inputs.max()) for part in (data.train, data.dev, data.test))
        self.reader = Reader.new(generator)
        self.encoder = Encoder.new(largest, generator)
        self.by_heart = torch.randn(largest + 1, 4, DIM, generator=generator)
        #: Explanations that every item finds of its own index, its own one excluded.
        self._fewest_of_an_index = max(1, int(np.unique_counts(data.train.index).counts.min()) - 1)
        self.pool = torch.from_numpy(data.train.explanations)
        self.pool_rows = torch.from_numpy(data.train.explained)

    def parameters(self) -> list[Tensor]:
        found = [getattr(self.reader, field.name) for field in fields(self.reader)]
        if self.way == "learned":
            found += self.retrieving
        if self.way == "none":
            found.append(self.by_heart)
        return found

    @property
    def retrieving(self) -> list[Tensor]:
        return [getattr(self.encoder, field.name) for field in fields(self.encoder)]

    def sets(self, items: Items, draw: int) -> IntArray:
        """Return the training items whose explanations each item gets, [n, sets, C]."""
        n, pool = len(items), len(self.data.train)
        own = np.arange(n) if items is self.data.train else None
        if self.way == "random":
            lots = np.random.default_rng([self.seed, draw])
            if own is None:
                return lots.integers(0, pool, (n, 1, 1))
            return (own[:, None, None] + lots.integers(1, pool, (n, 1, 1))) % pool
        if self.way in ("none", "right"):
            return np.zeros((n, 1, 0), np.int64)
        most = SETS * SET_SIZE if self.way != "optimal" else self._fewest_of_an_index
        size = min(most, pool - 1)
        each = min(SET_SIZE, size)
        found = np.concatenate(list(self._nearest(items, own, size // each * each)))
        return found.reshape(n, -1, each)

    def _nearest(self, items: Items, own: IntArray | None, size: int) -> Iterator[IntArray]:
        import torch

        with torch.no_grad():
            pool = self.encoder.explanations(self.pool_rows)
            indices = torch.from_numpy(self.data.train.index)
            for start in range(0, len(items), BLOCK):
                part = slice(start, start + BLOCK)
                scores = self.encoder.items(torch.from_numpy(items.inputs[part])) @ pool.T
                if self.way == "optimal":
                    scores += 10 * (torch.from_numpy(items.index[part])[:, None] == indices)
                if own is not None:
                    scores[torch.arange(len(scores)), torch.from_numpy(own[part])] = -torch.inf
                yield scores.topk(size).indices.numpy()

    def log_odds(self, items: Items, rows: IntArray, sets: IntArray) -> Tensor:
        """Return log p(0|x) and log p(1|x), [rows, 2]."""
        import torch

        body = torch.from_numpy(items.body[rows])
        question = torch.from_numpy(items.question[rows])
        chosen = torch.from_numpy(sets[rows])
        prior = torch.zeros(len(rows), 1)
        if self.way == "none":
            slots = self.by_heart[torch.from_numpy(items.index[rows])].unsqueeze(1)
        elif self.way == "right":
            slots = self.reader.slots(torch.from_numpy(items.rules[rows])[:, None, None])
        else:
            slots = self.reader.slots(self.pool[chosen])
            if self.way != "random":
                query = self.encoder.items(torch.from_numpy(items.inputs[rows]))
                near = self.encoder.explanations(self.pool_rows[chosen.flatten(1)])
                cosines = (near @ query.unsqueeze(-1)).view(chosen.shape).mean(-1)
                prior = (self.encoder.confidence * cosines).log_softmax(-1)
        logits = self.reader.logits(body, question, slots)
        log = torch.nn.functional.logsigmoid
        both = torch.stack([log(-logits), log(logits)], dim=-1)
        return (prior.unsqueeze(-1) + both).logsumexp(1)

    def measure(self, items: Items) -> tuple[float, float]:
        """Return the accuracy, and the share of items whose first explanation is of their index."""
        import torch

        sets = self.sets(items, draw=MEASURED)
        right = 0
        with torch.no_grad():
            for start in range(0, len(items), BLOCK):
                rows = np.arange(start, min(start + BLOCK, len(items)))
                said = self.log_odds(items, rows, sets).argmax(1).numpy()
                right += int((said == items.labels[rows]).sum())
        found = 0.0
        if sets.shape[-1]:
            found = float((self.data.train.index[sets[:, 0, 0]] == items.index).mean())
        return right / len(items), found


def train(
    data: Data,
    way: Way,
    *,
    seed: int = 0,
    epochs: int = EPOCHS,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Train one way and return its accuracy; the epoch is chosen on dev.

    Args:
        data: the items.
        way: where explanations come from.
        seed: of weights, batches and random explanations.
        epochs: passes over the training items.
        threads: of the matrix products; figures are reproducible for a fixed number.
        progress: called after every epoch, with epochs done and in all.
    """
    with use_threads(threads):
        return _train(_Model(data, way, seed), epochs, progress)


def _train(model: _Model, epochs: int, progress: Callable[[int, int], None] | None) -> Outcome:
    import torch

    parameters = [parameter.requires_grad_() for parameter in model.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=LEARNING_RATE)
    items, random = model.data.train, np.random.default_rng([model.seed, 7])
    labels = torch.from_numpy(items.labels)
    best = (-1.0, -1, [parameter.detach().clone() for parameter in parameters])
    sets = model.sets(items, draw=0)
    retrieving = {id(parameter) for parameter in model.retrieving}
    batches = -(-len(items) // BATCH)
    for epoch in range(epochs):
        order = random.permutation(len(items))
        frozen = epoch < FROZEN_EPOCHS
        for parameter in parameters:
            parameter.requires_grad_(not (frozen and id(parameter) in retrieving))
        for batch in range(batches):
            # What does not change needs no new search: only a trained encoder, or a new draw.
            due = batch % -(-batches // REBUILDS) == 0 and model.way == "learned" and not frozen
            if due or (batch == 0 and model.way == "random"):
                sets = model.sets(items, draw=epoch)
            rows = order[batch * BATCH : (batch + 1) * BATCH]
            odds = model.log_odds(items, rows, sets)
            loss = torch.nn.functional.nll_loss(odds, labels[torch.from_numpy(rows)])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        dev, _ = model.measure(model.data.dev)
        if dev > best[0]:
            best = (dev, epoch, [parameter.detach().clone() for parameter in parameters])
        if progress is not None:
            progress(epoch + 1, epochs)
    with torch.no_grad():
        for parameter, value in zip(parameters, best[2], strict=True):
            parameter.copy_(value)
    test, found = model.measure(model.data.test)
    return Outcome(model.way, best[0], test, best[1] + 1, found)
