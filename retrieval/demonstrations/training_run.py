"""One training run of an encoder: steps, schedule, checks, and a checkpoint that resumes exactly.

A task is drawn for each batch with p ∝ (its training queries)^0.5, by its own name and size, so
that large tasks do not drown small ones. The optimiser is AdamW with a linear warm-up and decay. At
every check the run is measured on held-out queries; the best state is what remains, and a run stops
after `patience` checks without a better one.

The checkpoint is one safetensors file, replaced in one step: weights, the optimiser's moments, the
best state, and the states of both random generators. A resumed run ends with the same bytes as one
that was never stopped. It is refused where options or data differ.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.demonstrations.encoded_text import demo_text, query_text
from retrieval.demonstrations.grad_cache import cached_backward
from retrieval.demonstrations.objectives import Batch, Lesson, Loss, batch_loss, edge_loss
from retrieval.errors import ModelFileError, NonFiniteScores, QueryShapeError
from retrieval.files import replaced

if TYPE_CHECKING:
    from torch import Tensor

    from retrieval.encoders.trainable import TrainableEncoder

__all__ = ["Check", "RunOptions", "RunReport", "run", "task_rates"]

#: Exponent of a task's size in the chance that it is drawn (UDR).
SIZE_EXPONENT: Final = 0.5
#: Longest gradient; a batch of outliers should not undo the last hundred.
LONGEST_GRADIENT: Final = 1.0
WEIGHT_DECAY: Final = 0.01
#: Temperature of the token weights in soft late interaction (the paper's appendix).
INTERACTION: Final = 0.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run goes; the defaults suit MiniLM and a few thousand queries on a CPU.

    Raises:
        QueryShapeError: a value outside its range.
    """

    steps: int = 400
    #: Queries in a batch.
    batch: int = 48
    learning_rate: float = 2e-4
    #: Share of the steps in which the learning rate rises.
    warm_up: float = 0.1
    temperature: float = 0.05
    #: Texts whose graph is held in memory at once; larger batches use gradient caching.
    piece: int = 512
    #: Checks of a run, evenly spread, the last at its end.
    checks: int = 4
    #: Checks without a better one after which it stops.
    patience: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "learning_rate", "temperature", "piece", "checks"):
            if getattr(self, name) <= 0:
                raise QueryShapeError(f"{name} is {getattr(self, name)}; it must be above 0")
        if not 0 <= self.warm_up < 1 or self.patience < 0:
            raise QueryShapeError(
                f"warm_up is {self.warm_up} and patience {self.patience}; the first must be in "
                "[0, 1), the second 0 or more"
            )


@dataclass(frozen=True, slots=True)
class Check:
    """What a check found: after which step, and how good the encoder was (higher is better)."""

    step: int
    loss: float
    value: float


@dataclass(slots=True)
class RunReport:
    """What happened in a run."""

    checks: list[Check] = field(default_factory=list)
    #: How often each task was drawn.
    drawn: dict[str, int] = field(default_factory=dict)
    best_step: int = 0
    stopped_early: bool = False


def task_rates(sizes: Mapping[str, int]) -> dict[str, float]:
    """Return how often each task is drawn, by its name.

    >>> task_rates({"small": 100, "large": 900})
    {'small': 0.25, 'large': 0.75}
    """
    powers = {name: size**SIZE_EXPONENT for name, size in sizes.items()}
    total = sum(powers.values())
    return {name: power / total for name, power in powers.items()}


def run(
    encoder: TrainableEncoder,
    lessons: Sequence[Lesson],
    *,
    loss: Loss,
    options: RunOptions,
    measure: Callable[[], float] | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> RunReport:
    """Train the encoder in place, and leave it in its best state.

    Args:
        encoder: at its start; the same base for a run that is resumed.
        lessons: one for each task.
        loss: of every batch.
        options: see there.
        measure: quality of the encoder as it is, for the checks; without one the last state is
            what remains.
        checkpoint: file that is written at every check and read at the start if it is there.
        progress: called after every step with (done, steps, label).

    Raises:
        ModelFileError: the checkpoint is of another run, or damaged.
        NonFiniteScores: the loss became NaN or infinite.
        QueryShapeError: no lessons, or an empty one.
    """
    import torch

    if not lessons or not all(map(len, lessons)):
        raise QueryShapeError("there is nothing to train on: give every task training queries")
    rates = task_rates({lesson.task.name: len(lesson) for lesson in lessons})
    by_name = {lesson.task.name: lesson for lesson in lessons}
    torch.manual_seed(options.seed)
    state = _State(encoder, options, key=_key(lessons, loss, options))
    if checkpoint is not None and checkpoint.is_file():
        state.load(checkpoint)
    encoder.model.train()
    every = max(1, math.ceil(options.steps / options.checks))
    names = list(rates)
    while state.step < options.steps and not state.report.stopped_early:
        name = names[state.generator.choice(len(names), p=[rates[name] for name in names])]
        state.report.drawn[name] = state.report.drawn.get(name, 0) + 1
        batch = by_name[name].batch(options.batch, state.generator)
        value = _backward(encoder, batch, loss, options)
        if not math.isfinite(value.item()):
            raise NonFiniteScores(
                f"the loss is {value.item()} after {state.step} steps; lower the learning rate "
                f"({options.learning_rate})"
            )
        state.update(value.item())
        if progress is not None:
            progress(state.step, options.steps, name)
        if state.step % every == 0 or state.step == options.steps:
            state.check(measure)
            if checkpoint is not None:
                state.save(checkpoint)
    state.settle(measured=measure is not None)
    return state.report


def _backward(encoder: TrainableEncoder, batch: Batch, loss: Loss, options: RunOptions) -> Tensor:
    """Add the gradient of a batch's loss to the parameters and return the loss."""
    asks = batch.task.instruction
    asked = [query_text(asks, query.input) for query in batch.queries]
    shown = [
        query_text(asks, demo.input) if at in batch.hidden else demo_text(asks, demo)
        for at, demo in enumerate(batch.demos)
    ]

    def of_vectors(vectors: Tensor) -> Tensor:
        return batch_loss(loss, batch, vectors, temperature=options.temperature)

    count = len(asked) + len(shown)
    if loss == "uwe-soft":
        from retrieval.losses.soft_late_interaction import soft_late_interaction

        if count > options.piece:
            raise QueryShapeError(
                f"a batch of {count} texts is above piece ({options.piece}), and token vectors "
                "cannot be cached; lower batch"
            )
        tokens, mask = encoder.tokens(asked)
        similarities = soft_late_interaction(
            tokens, mask, encoder.vectors(shown), temperature=INTERACTION
        )
        value = edge_loss(batch, similarities, temperature=options.temperature)
    elif count <= options.piece:
        value = of_vectors(encoder.vectors([*asked, *shown]))
    else:
        return cached_backward(
            lambda part: encoder.forward(part)["sentence_embedding"],
            [*asked, *shown],
            of_vectors,
            piece=options.piece,
        )
    value.backward()  # type: ignore[no-untyped-call]
    return value.detach()


class _State:
    """All that changes during a run."""

    def __init__(self, encoder: TrainableEncoder, options: RunOptions, *, key: str) -> None:
        import torch

        self.encoder, self.options, self.key = encoder, options, key
        self.parameters = encoder.trained
        self.optimizer = torch.optim.AdamW(
            list(self.parameters.values()),
            lr=options.learning_rate,
            weight_decay=WEIGHT_DECAY,
        )
        self.generator = np.random.default_rng(options.seed)
        self.step = 0
        self.losses: list[float] = []
        self.report = RunReport()
        self.best: dict[str, Tensor] = {}

    def update(self, loss: float) -> None:
        """Take one step along the gradients that are there."""
        import torch

        rise = max(1, round(self.options.warm_up * self.options.steps))
        left = (self.options.steps - self.step) / max(1, self.options.steps - rise)
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.learning_rate * min((self.step + 1) / rise, left, 1.0)
        torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), LONGEST_GRADIENT)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.losses.append(loss)

    def check(self, measure: Callable[[], float] | None) -> None:
        """Note how good the encoder is, and keep it if it never was better."""
        mean = float(np.mean(self.losses))
        self.losses = []
        if measure is None:
            self.report.checks.append(Check(self.step, mean, 0.0))
            return
        self.encoder.model.eval()
        value = measure()
        self.encoder.model.train()
        if value > max((check.value for check in self.report.checks), default=-math.inf):
            self.best = {name: p.detach().clone() for name, p in self.parameters.items()}
            self.report.best_step = self.step
        self.report.checks.append(Check(self.step, mean, value))
        after = [check for check in self.report.checks if check.step > self.report.best_step]
        self.report.stopped_early = len(after) > self.options.patience
        _log.info("step %d: loss %.4f, held-out %.4f", self.step, mean, value)

    def settle(self, *, measured: bool) -> None:
        """Leave the encoder in the state that is handed over."""
        import torch

        if measured:
            with torch.no_grad():
                for name, parameter in self.parameters.items():
                    parameter.copy_(self.best[name])
        else:
            self.report.best_step = self.step
        self.encoder.model.eval()

    def save(self, path: Path) -> None:
        """Write the checkpoint."""
        import torch
        from safetensors.torch import save_file

        tensors = {"random": torch.get_rng_state()}
        for name, parameter in self.parameters.items():
            tensors[f"now/{name}"] = parameter.detach()
            for kind, moment in self.optimizer.state[parameter].items():
                tensors[f"{kind}/{name}"] = moment
        tensors |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        report = self.report
        about = {
            "key": self.key,
            "step": self.step,
            "generator": self.generator.bit_generator.state,
            "checks": [[check.step, check.loss, check.value] for check in report.checks],
            "drawn": report.drawn,
            "best_step": report.best_step,
            "stopped_early": report.stopped_early,
        }
        tensors = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
        with replaced(path) as new:
            save_file(tensors, new, metadata={"state": json.dumps(about)})

    def load(self, path: Path) -> None:
        """Go on where the checkpoint was written."""
        import torch
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                about = json.loads(file.metadata()["state"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"the checkpoint {path} cannot be read ({error})") from error
        if about["key"] != self.key:
            raise ModelFileError(
                f"the checkpoint {path} is of a run with other options or data; delete it, or give "
                "another folder"
            )
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[f"now/{name}"])
                moments = {
                    kind: tensors[f"{kind}/{name}"].to(
                        parameter.device if kind != "step" else "cpu"
                    )
                    for kind in ("step", "exp_avg", "exp_avg_sq")
                    if f"{kind}/{name}" in tensors
                }
                if moments:
                    self.optimizer.state[parameter] = moments
        self.best = {
            name: tensors[f"best/{name}"].to(parameter.device)
            for name, parameter in self.parameters.items()
            if f"best/{name}" in tensors
        }
        torch.set_rng_state(tensors["random"])
        self.generator.bit_generator.state = about["generator"]
        self.step = about["step"]
        self.report = RunReport(
            [Check(*row) for row in about["checks"]],
            about["drawn"],
            about["best_step"],
            about["stopped_early"],
        )


def _key(lessons: Sequence[Lesson], loss: Loss, options: RunOptions) -> str:
    """Return what a checkpoint must agree with."""
    tasks = [[lesson.task.name, lesson.task.fingerprint, lesson.key] for lesson in lessons]
    values = {name: getattr(options, name) for name in RunOptions.__dataclass_fields__}
    return json.dumps([tasks, loss, values], sort_keys=True)
