r"""A reward model: a small cross-encoder that stands in for the language model's scores (LLM-R).

It reads query and gold answer on one side and a demonstration on the other, and learns to tell the
language model's best candidates from its worst:

    L = −log( e^{r(x, y, z⁺)} / Σ_z e^{r(x, y, z)} ),   z⁺ of the top 3, the others of the bottom 16

It has seen the answer, which a retriever never does, so it is a teacher and no retriever. As a
feedback of the trainer it scores what the language model has not: `DemonstrationTrainer(reward,
loss="llmr")` learns its scores by KL. Two rules keep it from praising the unlike: for a task with
labels a demonstration of another answer gets −100, and tasks are never mixed in a list.

Source: Wang, Yang, Wei, "Learning to retrieve in-context examples for large language models",
EACL 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.demonstrations.feedback import Scored
from retrieval.demonstrations.task import Demo
from retrieval.encoders.sentence import SentenceEncoder
from retrieval.errors import ModelFileError, NonFiniteScores, QueryShapeError

if TYPE_CHECKING:
    from torch import Tensor

    from retrieval.demonstrations.scorer import Pair
    from retrieval.ranking import Vectors

__all__ = ["RewardModel"]

#: Of the candidates by rank: who may be the positive, and who may be negatives.
TOP: Final = 3
BOTTOM: Final = 16
#: Passages of one step: one positive, the rest negatives.
PASSAGES: Final = 8
#: Score of a demonstration whose answer is not the query's.
OTHER_ANSWER: Final = -100.0
BATCH: Final = 32


class RewardModel:
    """Scores (query with answer, demonstration) pairs; trained from scored lists.

    Args:
        base: a folder of an encoder or of a saved reward model; the installed MiniLM if not given.
        longest: word pieces of both sides together.
        seed: of the new head.
        device: where torch computes.

    Raises:
        ModelFileError: the folder cannot be read.
    """

    def __init__(
        self,
        base: Path | None = None,
        *,
        longest: int = 192,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        import torch
        from sentence_transformers import CrossEncoder

        torch.manual_seed(seed)
        folder = base or SentenceEncoder().folder
        if not (folder / "config.json").is_file():
            raise ModelFileError(f"{folder} holds no encoder; give a folder of a reward model")
        try:
            self.model = CrossEncoder(
                str(folder), num_labels=1, max_length=longest, device=device, local_files_only=True
            )
        except (OSError, ValueError, KeyError) as error:
            raise ModelFileError(f"the reward model {folder} cannot be read ({error})") from error
        self.model.eval()

    def fit(
        self,
        scored: Sequence[Scored],
        *,
        steps: int = 200,
        batch: int = 4,
        learning_rate: float = 5e-5,
        seed: int = 0,
    ) -> list[float]:
        """Train on lists of the language model and return the loss of each step.

        Args:
            scored: lists whose scores differ; at least two candidates each.
            steps: of AdamW, with a linear decay.
            batch: queries of a step.
            learning_rate: at the start.
            seed: of the draws.

        Raises:
            QueryShapeError: no list tells a better candidate from a worse one.
            NonFiniteScores: the loss became NaN or infinite.
        """
        import torch

        useful = [one for one in scored if len(set(one.scores)) > 1]
        if not useful:
            raise QueryShapeError("no list has unequal scores; there is nothing to learn")
        torch.manual_seed(seed)
        generator = np.random.default_rng(seed)
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=learning_rate)
        losses = []
        self.model.train()
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * (1 - step / steps)
            drawn = generator.choice(len(useful), min(batch, len(useful)), replace=False)
            values = []
            for at in drawn.tolist():
                demos = _passages(useful[at], generator)
                logits = self._logits([(useful[at].query, demo) for demo in demos])
                values.append(-logits.log_softmax(0)[0])
            loss = torch.stack(values).mean()
            if not torch.isfinite(loss):
                raise NonFiniteScores(f"the loss is {loss.item()}; lower {learning_rate=}")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.item())
        self.model.eval()
        return losses

    def score(self, pairs: Sequence[Pair], *, labels: Sequence[str] | None = None) -> Vectors:
        """Return the rewards [n] float32; with labels, −100 where the answers differ.

        Raises:
            QueryShapeError: a pair has several demonstrations, or none.
        """
        import torch

        wrong = [len(pair.demos) for pair in pairs if len(pair.demos) != 1]
        if wrong:
            raise QueryShapeError(f"a reward is of one demonstration, not of {wrong[0]}")
        rewards = np.full(len(pairs), OTHER_ANSWER, np.float32)
        asked = [
            at
            for at, pair in enumerate(pairs)
            if labels is None or pair.demos[0].accepts(pair.answer)
        ]
        # Alike lengths together, so that little is padding.
        asked.sort(key=lambda at: (len(pairs[at].input) + len(pairs[at].demos[0].input), at))
        with torch.inference_mode():
            for start in range(0, len(asked), BATCH):
                rows = asked[start : start + BATCH]
                sides = [
                    (Demo("", pairs[at].input, pairs[at].answer), pairs[at].demos[0]) for at in rows
                ]
                rewards[rows] = self._logits(sides).float().cpu().numpy()
        return rewards

    def save(self, folder: Path) -> None:
        """Write a folder that `RewardModel(folder)` and plain `CrossEncoder(folder)` read."""
        self.model.save_pretrained(str(folder), create_model_card=False)

    def _logits(self, sides: Sequence[tuple[Demo, Demo]]) -> Tensor:
        """Return one logit [n] for each query with its answer, and demonstration."""
        from sentence_transformers.util import batch_to_device

        texts = [tuple(f"{demo.input}\t{demo.output}" for demo in pair) for pair in sides]
        features = batch_to_device(self.model.preprocess(texts), self.model.device)
        scores: Tensor = self.model(features)["scores"]
        return scores.reshape(-1)


def _passages(one: Scored, generator: np.random.Generator) -> list[Demo]:
    """Return one of the best candidates, then some of the worst, all below it in rank."""
    ranks = one.ranks
    better = [at for at in one.order[:TOP].tolist() if ranks[at] < ranks.max()]
    best = int(generator.choice(better))
    worse = [at for at in one.order[-BOTTOM:].tolist() if ranks[at] > ranks[best]]
    count = min(PASSAGES - 1, len(worse))
    rest = generator.choice(worse, count, replace=False).tolist()
    return [one.candidates[at] for at in (best, *rest)]
