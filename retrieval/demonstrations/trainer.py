"""Train one encoder for every task: from a language model's scores, or from labels alone.

```python
trainer = DemonstrationTrainer(loss="uwe")                                # labels, no LM
trainer = DemonstrationTrainer(scorer=LMScorer(lm), loss="udr", iterations=3)
retriever = trainer.fit(tasks)                                            # ready to be asked
trainer.train(tasks).encoder.save(folder)                                 # for SentenceTransformer
```

| step | scored lists (all losses with a scorer) | labels alone (`uwe`, `uwe-soft`) |
|---|---|---|
| candidates | K by BM25 for each training query | all of the pool |
| feedback | the scorer, once for each pair | equal answers |
| training | from the base encoder, l candidates a query | from the base, all pairs of a batch |
| mining | `iterations` times: K nearest, score the new ones, merge, train again from the base | – |

Labels sharpen the trained tasks and blunt the others: an encoder of six tasks is far better on
these and worse than its base on a task of another kind. Train it on what it will be asked, or on
many labels of that kind (relations for relations).

Source: Li et al., "Unified demonstration retriever for in-context learning", ACL 2023.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.demonstrations.early_stopping import best_rank, label_match, mean_of
from retrieval.demonstrations.feedback import (
    Feedback,
    LabelFeedback,
    Scored,
    read_scored,
    scored,
    write_scored,
)
from retrieval.demonstrations.mining import lexical_candidates, nearest_candidates
from retrieval.demonstrations.objectives import LabelLesson, Lesson, Loss, ScoredLesson
from retrieval.demonstrations.retriever import DemonstrationRetriever
from retrieval.demonstrations.set_training import (
    ScoredSets,
    SetLesson,
    read_scored_sets,
    scored_sets,
    write_scored_sets,
)
from retrieval.demonstrations.spaces import NAMES
from retrieval.demonstrations.task import Demo, Task
from retrieval.demonstrations.training_run import RunOptions, RunReport, run
from retrieval.encoders.trainable import TrainableEncoder
from retrieval.errors import QueryShapeError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

__all__ = ["DemonstrationTrainer", "Trained"]

type Lists = dict[str, dict[str, Scored]]

#: Most training queries of a task that are held out to measure.
MOST_HELD_OUT: Final = 100
#: Demonstrations that stand for a large pool when labels are measured.
MEASURED_POOL: Final = 500
LOSSES: Final = ("epr", "udr", "udr-predicted", "llmr", "ceil", "uwe", "uwe-soft")
#: Those that need no more than edges, which labels give.
EDGE_LOSSES: Final = ("uwe", "uwe-soft")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trained:
    """The encoder, and what happened on the way."""

    encoder: TrainableEncoder
    #: One for each round: the first, then one for each mining round.
    runs: tuple[RunReport, ...]
    #: Task → id of a query → its scored candidates, all rounds; empty without scored lists.
    scored: Lists = field(repr=False)


class DemonstrationTrainer:
    """Trains an encoder that finds helpful demonstrations.

    Args:
        base: where training starts: a folder, or the encoder of a retriever; the installed MiniLM
            if not given, or if the retriever is of words.
        scorer: says how much a demonstration helps, or one for each task by its name (templates
            differ); labels alone if not given.
        loss: see `objectives`.
        K: candidates that are scored for each query and round.
        l: scored candidates that one step sees of a query; `epr` sees two.
        iterations: mining rounds after the first run.
        queries: training queries of a task, drawn with the seed; all if not given.
        top: how many of the l are among the best five (2 for semantic parsing).
        held_out: share of the training queries that measure the run and are not trained on; with 0
            the last state remains. Few held-out queries choose a state by chance: below a hundred
            scored queries 0 is better.
        hidden: share of demonstrations that training on labels shows without their answer, so that
            inputs must be told apart and not answers.
        options: of every run.
        frozen_layers: lowest layers that keep their weights.
        longest: word pieces of a text that are read.
        device: where torch computes.
        folder: where scored lists and checkpoints are kept, so that a stopped `train` goes on;
            nothing is kept if not given.
        progress: called after every step with (done, steps, label).

    Raises:
        QueryShapeError: an unknown loss or a number out of range.
    """

    def __init__(
        self,
        base: DemonstrationRetriever | Path | None = None,
        scorer: Feedback | Mapping[str, Feedback] | None = None,
        *,
        loss: Loss = "uwe",
        K: int = 50,
        l: int = 8,  # noqa: E741 -- the paper's own name
        iterations: int = 0,
        queries: int | None = None,
        top: int = 1,
        held_out: float = 0.1,
        hidden: float = 0.0,
        options: RunOptions | None = None,
        frozen_layers: int = 0,
        longest: int = 128,
        device: str = "cpu",
        folder: Path | None = None,
        progress: Callable[[int, int, str], None] | None = None,
    ) -> None:
        if loss not in LOSSES:
            raise QueryShapeError(f"unknown loss {loss!r}; choose {', '.join(LOSSES)}")
        if K < 2 or l < top + 1 or iterations < 0 or top < 1:
            raise QueryShapeError(
                f"{K=}, {l=}, {top=}, {iterations=}: K must be 2 or more, l above top, top 1 or "
                "more, iterations 0 or more"
            )
        self.base, self.scorer, self.loss = base, scorer, loss
        self.K, self.l, self.iterations, self.top = K, l, iterations, top
        if not 0 <= held_out < 1:
            raise QueryShapeError(f"{held_out=}; hold out a share from 0 to below 1")
        if not 0 <= hidden <= 1:
            raise QueryShapeError(f"{hidden=}; hide a share from 0 to 1")
        self.held_out, self.hidden = held_out, hidden
        self.queries, self.options = queries, options or RunOptions()
        self.frozen_layers, self.longest, self.device = frozen_layers, longest, device
        self.folder, self.progress = folder, progress

    @property
    def from_labels(self) -> bool:
        """Whether edges are labels and no list is scored."""
        return self.scorer is None and self.loss in EDGE_LOSSES

    def fit(self, tasks: Sequence[Task]) -> DemonstrationRetriever:
        """Train, and return a retriever with the pools of the tasks."""
        encoder = self.train(tasks).encoder
        retriever = DemonstrationRetriever(encoder.model)
        for task in tasks:
            retriever.add(task.demos, task=task)
        return retriever

    def train(self, tasks: Sequence[Task], *, known: Mapping[str, Path] | None = None) -> Trained:
        """Train, and return the encoder with reports and scored lists.

        Args:
            tasks: with their pools, of which the training queries are drawn. Drop what tests hold
                first (`without_tests`).
            known: task → file of `write_scored`: its lists are the first round, and its queries the
                training queries; nothing of it is scored again.

        Raises:
            QueryShapeError: no task, one name twice, labels alone for a task of generation, or an
                empty pool.
        """
        names = [task.name for task in tasks]
        if not tasks or len(set(names)) != len(names) or not all(task.demos for task in tasks):
            raise QueryShapeError(
                f"tasks {names}: give one or more, of different names, with pools"
            )
        free = [task.name for task in tasks if not task.is_classification]
        if self.scorer is None and free and not known:
            raise QueryShapeError(
                f"the task {free[0]!r} has no labels to learn from; give a scorer, for instance "
                "LMScorer(CausalLM.load())"
            )
        encoder = self._encoder()
        if self.from_labels:
            queries = {task.name: self._queries(task) for task in tasks}
            lessons, measure = self._label_lessons(encoder, tasks, queries)
            return Trained(encoder, (self._run(encoder, lessons, measure, 0),), {})
        start = {name: value.detach().clone() for name, value in encoder.trained.items()}
        lists: Lists = {
            task.name: read_scored(known[task.name], task) if known and task.name in known else {}
            for task in tasks
        }
        queries = {
            task.name: tuple(one.query for one in lists[task.name].values()) or self._queries(task)
            for task in tasks
        }
        runs = []
        for number in range(self.iterations + 1):
            for task in tasks:
                asked = queries[task.name]
                if number == 0 and lists[task.name]:
                    continue
                lists[task.name] = self._scored(encoder, task, asked, lists[task.name], number)
            _restore(encoder, start)
            lessons, measure = self._scored_lessons(encoder, tasks, lists, number)
            runs.append(self._run(encoder, lessons, measure, number))
        return Trained(encoder, tuple(runs), lists)

    def _encoder(self) -> TrainableEncoder:
        base: Path | SentenceTransformer | None
        if isinstance(self.base, DemonstrationRetriever):
            given = self.base.encoder
            if isinstance(given, str):
                base = None if given in NAMES else Path(given)
            elif isinstance(given, Path) or hasattr(given, "save"):
                base = given  # type: ignore[assignment]
            else:
                raise QueryShapeError(
                    "a function cannot be trained; give a retriever of a sentence-transformers "
                    "model or of a folder"
                )
        else:
            base = self.base
        return TrainableEncoder(
            base, frozen_layers=self.frozen_layers, longest=self.longest, device=self.device
        )

    def _feedback(self, task: Task) -> Feedback:
        if self.scorer is None:
            return LabelFeedback()
        if not isinstance(self.scorer, Mapping):
            return self.scorer
        if task.name not in self.scorer:
            raise QueryShapeError(
                f"no scorer for the task {task.name!r} (there are: {', '.join(self.scorer)})"
            )
        return self.scorer[task.name]

    def _queries(self, task: Task) -> tuple[Demo, ...]:
        if self.queries is None or self.queries >= len(task.demos):
            return tuple(task.demos)
        generator = np.random.default_rng(self.options.seed)
        drawn = generator.choice(len(task.demos), self.queries, replace=False)
        return tuple(task.demos[at] for at in sorted(drawn.tolist()))

    def _scored(
        self,
        encoder: TrainableEncoder,
        task: Task,
        queries: Sequence[Demo],
        known: Mapping[str, Scored],
        number: int,
    ) -> dict[str, Scored]:
        """Return the lists of a round, from its file if it is there."""
        file = self.folder / f"scored-{number}-{task.name}.json" if self.folder else None
        if file is not None and file.is_file():
            return read_scored(file, task)
        if number == 0:
            candidates = lexical_candidates(task, queries, k=self.K)
        else:
            candidates = nearest_candidates(encoder, task, queries, k=self.K)
        lists = scored(self._feedback(task), task, candidates, known)
        if file is not None:
            write_scored(file, lists.values())
        return lists

    def _label_lessons(
        self,
        encoder: TrainableEncoder,
        tasks: Sequence[Task],
        queries: Mapping[str, Sequence[Demo]],
    ) -> tuple[list[Lesson], Callable[[], float]]:
        lessons: list[Lesson] = []
        measures: list[Callable[[], float]] = []
        for task in tasks:
            held, rest = self._split(queries[task.name])
            ids = {demo.id for demo in held}
            asked = [demo for demo in rest if demo.id not in ids]
            # A held-out query must not be seen as a demonstration either: its label is in it.
            pool = replace(task, demos=[demo for demo in task.demos if demo.id not in ids])
            lessons.append(LabelLesson(pool, asked, hidden=self.hidden))
            shown = self._sample(pool.demos, MEASURED_POOL)
            measures.append(partial(label_match, encoder, task, held, shown))
        return lessons, mean_of(measures)

    def _scored_lessons(
        self, encoder: TrainableEncoder, tasks: Sequence[Task], lists: Lists, number: int
    ) -> tuple[list[Lesson], Callable[[], float]]:
        lessons: list[Lesson] = []
        measures: list[Callable[[], float]] = []
        count = 2 if self.loss == "epr" else self.l
        for task in tasks:
            # A list of one candidate, or of equal scores, says nothing about order.
            useful = [one for one in lists[task.name].values() if len(set(one.scores)) > 1]
            if len(useful) < len(lists[task.name]):
                _log.info(
                    "%s: %d of %d lists teach no order, as all their scores are equal",
                    task.name,
                    len(lists[task.name]) - len(useful),
                    len(lists[task.name]),
                )
            held, rest = self._split(useful)
            if self.loss == "ceil":
                lessons.append(SetLesson(task, self._sets(task, rest, number)))
            else:
                lessons.append(ScoredLesson(task, rest, count, top=self.top if count > 2 else 1))
            measures.append(partial(best_rank, encoder, task, held))
        return lessons, mean_of(measures)

    def _sets(self, task: Task, lists: Sequence[Scored], number: int) -> list[ScoredSets]:
        """Return scored sets, from their file if it is there and of these lists."""
        file = self.folder / f"sets-{number}-{task.name}.json" if self.folder else None
        if file is not None and file.is_file():
            found = read_scored_sets(file, task)
            if [one.single.query.id for one in found] == [one.query.id for one in lists]:
                return found
        generator = np.random.default_rng(self.options.seed)
        sets = scored_sets(self._feedback(task), task, lists, generator, candidates=self.l)
        if file is not None:
            write_scored_sets(file, sets)
        return sets

    def _split[Item](self, items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
        """Return held-out items and the rest, drawn with the seed."""
        if not self.held_out and items:
            return [], list(items)
        count = min(MOST_HELD_OUT, max(1, round(self.held_out * len(items))))
        if len(items) < 2:
            raise QueryShapeError(
                f"{len(items)} training queries with unequal scores cannot be split; two are needed"
            )
        generator = np.random.default_rng(self.options.seed)
        held = set(generator.choice(len(items), count, replace=False).tolist())
        return (
            [item for at, item in enumerate(items) if at in held],
            [item for at, item in enumerate(items) if at not in held],
        )

    def _sample(self, demos: Sequence[Demo], count: int) -> list[Demo]:
        if len(demos) <= count:
            return list(demos)
        generator = np.random.default_rng(self.options.seed)
        return [demos[at] for at in generator.choice(len(demos), count, replace=False).tolist()]

    def _run(
        self,
        encoder: TrainableEncoder,
        lessons: Sequence[Lesson],
        measure: Callable[[], float],
        number: int,
    ) -> RunReport:
        return run(
            encoder,
            lessons,
            loss=self.loss,
            options=self.options,
            measure=measure if self.held_out else None,
            checkpoint=self.folder / f"round-{number}.safetensors" if self.folder else None,
            progress=self.progress,
        )


def _restore(encoder: TrainableEncoder, start: Mapping[str, Tensor]) -> None:
    """Put the base's weights back."""
    import torch

    with torch.no_grad():
        for name, parameter in encoder.trained.items():
            parameter.copy_(start[name])
