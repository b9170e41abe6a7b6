"""Train an entity encoder and a scoring head on triples.

```python
trainee = ComposedTrainee(data.texts, data.entities_of(data.train), layers=2)
head = untrained_head("low-rank", relations=len(data.relations), dim=trainee.dim)
report = train_entities(trainee, head, data.train, options=EntityOptions(steps=300))
```

One step: a batch of entities is encoded, each once; the objective asks all its triples from both
ends; three groups of parameters move, each with its own rate:

| group | what | optimiser |
|---|---|---|
| bag | embeddings of features that the batch has | `RowAdam` |
| dense | head, projection, temperature | AdamW |
| upper | layers of the sentence encoder | AdamW, a smaller rate |

    rate(step) = rate · min((step + 1) / warm-up steps, steps left / (steps − warm-up steps))

At every check the quality on held-out questions is noted; after `patience` checks without a better
one training stops, and the best state is what remains. Same options, data and threads: the same
weights, bit for bit, also when it was stopped and resumed.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from retrieval.entity_training.batches import (
    Batches,
    BatchKind,
    Coverage,
    EntityBatch,
    batches_of,
)
from retrieval.entity_training.checkpoint import read_checkpoint, write_checkpoint
from retrieval.errors import NonFiniteScores, QueryShapeError

if TYPE_CHECKING:
    from torch import Tensor

    from retrieval.entity_training.trainees import Trainee
    from retrieval.heads.protocol import RelationHead
    from retrieval.progress import Progress
    from retrieval.triple_data import IntArray

__all__ = ["Check", "EntityOptions", "EntityReport", "Objective", "train_entities"]

#: Longest gradient of the sentence encoder's layers.
LONGEST_GRADIENT: Final = 1.0


@dataclass(frozen=True, slots=True)
class EntityOptions:
    """How a training goes. The defaults were chosen on the dev part of inductive WN18RR.

    Raises:
        QueryShapeError: a number out of range.
    """

    steps: int = 250
    batches: BatchKind = "mixed"
    #: Entities of a batch, each encoded once.
    entities: int = 1900
    #: Triples of a walk batch at most.
    most: int | None = 8000
    #: Walks start where fewest triples were seen.
    even: bool = False
    bag_rate: float = 1e-2
    dense_rate: float = 2e-3
    upper_rate: float = 2e-4
    warm_up: float = 0.05
    weight_decay: float = 0.0
    #: Checks of a training, evenly spread, the last at its end.
    checks: int = 5
    #: Checks without a better one after which it stops.
    patience: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "entities", "checks", "bag_rate", "dense_rate", "upper_rate"):
            if getattr(self, name) <= 0:
                raise QueryShapeError(f"{name} is {getattr(self, name)}; it must be above 0")
        if not 0 <= self.warm_up < 1 or self.patience < 0 or self.weight_decay < 0:
            raise QueryShapeError(
                f"{self.warm_up=} must be in [0, 1), {self.patience=} and {self.weight_decay=} not "
                "below 0"
            )


@dataclass(frozen=True, slots=True)
class Check:
    """What a check found: after which step, the mean loss since the last, the quality then."""

    step: int
    loss: float
    #: Higher is better; 0 where nothing measures.
    value: float
    cpu_seconds: float


@dataclass(slots=True)
class EntityReport:
    """What happened in a training."""

    checks: list[Check] = field(default_factory=list)
    best_step: int = 0
    stopped_early: bool = False
    #: Of `Coverage`.
    coverage: dict[str, float] = field(default_factory=dict)
    cpu_seconds: float = 0.0


class Objective(Protocol):
    """A loss over batches: `Contrastive` or `Margin`."""

    @property
    def parameters(self) -> dict[str, Tensor]:
        """What the objective itself trains."""
        ...

    def loss(self, vectors: Tensor, batch: EntityBatch, head: RelationHead) -> Tensor:
        """Return the loss of a batch."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed training needs of it."""
        ...

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on at a state."""
        ...


def train_entities(
    trainee: Trainee,
    head: RelationHead,
    triples: IntArray,
    objective: Objective,
    *,
    options: EntityOptions | None = None,
    batches: Batches | None = None,
    measure: Callable[[], float] | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> EntityReport:
    """Train in place, and leave encoder and head in their best state.

    Args:
        trainee: the encoder, at its start.
        head: of the trainee's dimension, at its start.
        triples: [n, 3] training triples; entities are rows of the trainee's texts.
        objective: of every batch.
        options: `EntityOptions()` if not given.
        batches: drawn from instead of those that the options name.
        measure: quality of encoder and head as they are; the last state remains without one.
        checkpoint: file that is written at every check, and read at the start if it is there.
        progress: called after each step.

    Raises:
        NothingToPredict: no triple.
        NonFiniteScores: the loss became NaN or infinite.
        ModelFileError: the checkpoint is of another training, or damaged.
    """
    options = options or EntityOptions()
    state = _State(trainee, head, triples, objective, options, batches)
    if checkpoint is not None and checkpoint.is_file():
        state.load(checkpoint)
    every = max(1, math.ceil(options.steps / options.checks))
    while state.step < options.steps and not state.report.stopped_early:
        began = time.process_time()
        batch = state.batches.draw()
        state.coverage.add(batch)
        value = objective.loss(trainee.vectors(batch.entities), batch, head)
        if not math.isfinite(value.item()):
            raise NonFiniteScores(
                f"the loss is {value.item()} after {state.step} steps; lower the learning rates "
                f"({options.bag_rate=}, {options.dense_rate=}, {options.upper_rate=})"
            )
        state.update(value)
        state.report.cpu_seconds += time.process_time() - began
        if progress is not None:
            progress(state.step, options.steps, "training")
        if state.step % every == 0 or state.step == options.steps:
            state.check(measure)
            if checkpoint is not None:
                state.save(checkpoint)
    state.settle()
    return state.report


class _State:
    """All that changes during a training."""

    def __init__(
        self,
        trainee: Trainee,
        head: RelationHead,
        triples: IntArray,
        objective: Objective,
        options: EntityOptions,
        batches: Batches | None,
    ) -> None:
        import torch

        self.trainee, self.objective, self.options = trainee, objective, options
        self.parameters: dict[str, Tensor] = {}
        groups: dict[str, list[Tensor]] = {"dense": [], "upper": []}
        for (group, name), parameter in trainee.dense.items():
            self.parameters[f"{group}/{name}"] = parameter
            groups[group].append(parameter)
        for prefix, own in (("head", head.parameters()), ("objective", objective.parameters)):
            for name, parameter in own.items():
                self.parameters[f"{prefix}/{name}"] = parameter
                groups["dense"].append(parameter)
        rates = {"dense": options.dense_rate, "upper": options.upper_rate}
        self.optimizer = torch.optim.AdamW(
            [
                {"params": own, "lr": rates[name], "highest": rates[name]}
                for name, own in groups.items()
                if own
            ],
            weight_decay=options.weight_decay,
        )
        self._upper = groups["upper"]
        self.batches = batches or batches_of(
            options.batches,
            triples,
            entities=options.entities,
            most=options.most,
            even=options.even,
            seed=options.seed,
        )
        self.coverage = Coverage(len(triples))
        self.report = EntityReport()
        self.step = 0
        self.losses: list[float] = []
        self.best: dict[str, Tensor] = {}
        digest = blake2b(np.ascontiguousarray(triples).tobytes(), digest_size=16)
        shapes = {name: list(value.shape) for name, value in self.parameters.items()}
        shapes["table"] = list(trainee.table.table.shape)
        about = getattr(objective, "options", None)
        self.key = json.dumps(
            [digest.hexdigest(), shapes, asdict(options), type(objective).__name__, str(about)],
            sort_keys=True,
        )

    def update(self, loss: Tensor) -> None:
        """Take one step down the loss."""
        import torch

        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        factor = self._schedule()
        for group in self.optimizer.param_groups:
            group["lr"] = group["highest"] * factor
        if self._upper:
            torch.nn.utils.clip_grad_norm_(self._upper, LONGEST_GRADIENT)
        self.optimizer.step()
        self.trainee.step(self.options.bag_rate * factor)
        self.losses.append(loss.item())
        self.step += 1

    def _schedule(self) -> float:
        """Return the factor of the rates: up from 1 / warm-up steps, down to above 0."""
        steps = self.options.steps
        rising = max(1, int(self.options.warm_up * steps))
        return min(1.0, (self.step + 1) / rising, (steps - self.step) / max(1, steps - rising))

    def check(self, measure: Callable[[], float] | None) -> None:
        """Note how good the model is, and keep it if it never was better."""
        report = self.report
        mean = float(np.mean(self.losses))
        self.losses = []
        value = measure() if measure is not None else 0.0
        if measure is not None and value > max((one.value for one in report.checks), default=-1.0):
            self.best = {name: value.clone() for name, value in self._weights().items()}
            report.best_step = self.step
        report.checks.append(Check(self.step, mean, value, round(report.cpu_seconds, 1)))
        report.coverage = self.coverage.figures()
        if measure is None:
            report.best_step = self.step
            return
        after = sum(1 for one in report.checks if one.step > report.best_step)
        report.stopped_early = after >= max(1, self.options.patience) and self.step < (
            self.options.steps
        )

    def settle(self) -> None:
        """Leave everything in the state that is handed over."""
        import torch

        if not self.best:
            return
        with torch.no_grad():
            for name, weight in self._weights().items():
                weight.copy_(self.best[name])

    def _weights(self) -> dict[str, Tensor]:
        weights = {name: parameter.detach() for name, parameter in self.parameters.items()}
        return {**weights, "table": self.trainee.table.table}

    def save(self, path: Path) -> None:
        """Write the checkpoint."""
        import torch

        tensors = {"random": torch.get_rng_state()}
        for name, weight in self._weights().items():
            tensors[f"now/{name}"] = weight
        for name, parameter in self.parameters.items():
            for kind, moment in self.optimizer.state[parameter].items():
                tensors[f"adam/{kind}/{name}"] = moment
        for kind, moment in self.trainee.table.state().items():
            tensors[f"rows/{kind}"] = moment
        for name, value in self.objective.state().items():
            tensors[f"objective/{name}"] = value
        if self.report.best_step != self.step:  # else it is what stands under now/
            tensors |= {f"best/{name}": value for name, value in self.best.items()}
        tensors["coverage"] = torch.from_numpy(self.coverage.times)
        about = {
            "step": self.step,
            "report": asdict(self.report),
            "batches": self.batches.state(),
            "encoded": self.coverage.encoded,
            "best_is_now": bool(self.best) and self.report.best_step == self.step,
        }
        write_checkpoint(path, tensors, about, key=self.key)

    def load(self, path: Path) -> None:
        """Go on where the checkpoint was written."""
        import torch

        tensors, about = read_checkpoint(path, key=self.key)
        weights = self._weights()
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(tensors[f"now/{name}"])
        for name, parameter in self.parameters.items():
            prefix = "adam/"
            self.optimizer.state[parameter] = {
                kind: tensors[f"{prefix}{kind}/{name}"].to(
                    "cpu" if kind == "step" else parameter.device
                )
                for kind in ("step", "exp_avg", "exp_avg_sq")
                if f"{prefix}{kind}/{name}" in tensors
            }
        self.trainee.table.restore(_under(tensors, "rows/"))
        self.objective.restore(_under(tensors, "objective/"))
        torch.set_rng_state(tensors["random"])
        report: dict[str, Any] = about["report"]
        report["checks"] = [Check(**one) for one in report["checks"]]
        self.report = EntityReport(**report)
        self.step = int(about["step"])
        self.batches.restore(about["batches"])
        self.coverage.times = tensors["coverage"].numpy()
        self.coverage.encoded = int(about["encoded"])
        stored = _under(tensors, "best/")
        if about["best_is_now"]:
            stored = {name: weight.clone() for name, weight in weights.items()}
        self.best = stored


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
