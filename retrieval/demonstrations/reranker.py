r"""A second stage over cached vectors: a small network for each candidate, no Transformer.

| scorer | score of query u and demonstration v |
|---|---|
| `PairScorer` (DSE) | MLP([u; v; u∘v; \|u − v\|]) → 512 → 1, distilled from a teacher's logits |
| `TokenScorer` (UWE) | soft late interaction of the query's tokens and v |

Both read the vectors that the retriever's index holds, so a candidate costs a few thousand to a
million multiplications, and the query one pass of the encoder.

The teacher of `PairScorer` is whatever scored the lists: the language model, a reward model, or
labels. Its scores are standardised within a list, as a log-probability has no natural zero.

Sources: Barkan et al., "Scalable attentive sentence-pair modeling via distilled sentence
embedding", AAAI 2020; unified work embeddings (soft late interaction, pooled target).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from retrieval.demonstrations.encoded_text import demo_text, query_text
from retrieval.demonstrations.feedback import Scored
from retrieval.demonstrations.objectives import ScoredLesson
from retrieval.demonstrations.task import Demo, Task
from retrieval.demonstrations.training_run import INTERACTION
from retrieval.errors import ModelFileError, NonFiniteScores, QueryShapeError
from retrieval.files import replaced

if TYPE_CHECKING:
    from torch import Tensor

    from retrieval.demonstrations.retriever import DemonstrationRetriever
    from retrieval.encoders.trainable import TrainableEncoder
    from retrieval.ranking import Vectors

__all__ = ["PairScorer", "SecondStage", "TokenScorer", "reranked"]

#: Width of the hidden layer (DSE).
HIDDEN: Final = 512
#: Candidates that the first stage hands over.
AMONG: Final = 50
FORMAT: Final = 1


class SecondStage(Protocol):
    """Scores demonstrations for a query, from their cached vectors."""

    def scores(self, queries: Sequence[str], vectors: Sequence[Vectors]) -> list[Vectors]:
        """Return for each query text the scores [n] of its candidates' vectors [n, dim]."""
        ...


def reranked(
    retriever: DemonstrationRetriever,
    second: SecondStage,
    queries: Sequence[str],
    *,
    task: Task,
    k: int = 8,
    among: int = AMONG,
    exclude_ids: Sequence[str] | None = None,
) -> list[list[Demo]]:
    """Return the `k` best of the first stage's `among` by the second stage, best first.

    Args:
        retriever: with a dense encoder; its cached vectors are used.
        second: the scorer.
        queries: inputs.
        task: whose pool is searched.
        k: hits of a query.
        among: candidates of the first stage.
        exclude_ids: for each query an id that it must not get.

    Raises:
        QueryShapeError: `k` above `among`, or a retriever of words.
    """
    if not 1 <= k <= among:
        raise QueryShapeError(f"{k=} of {among=} candidates; k must lie between 1 and among")
    found = retriever.retrieve(list(queries), task=task, k=among, exclude_ids=exclude_ids)
    vectors = [retriever.vectors([hit.id for hit in hits], task=task) for hits in found]
    texts = [query_text(task.instruction, query) for query in queries]
    answer = []
    for hits, scores in zip(found, second.scores(texts, vectors), strict=True):
        order = np.argsort(-scores, kind="stable")[:k].tolist()
        answer.append(
            [
                replace(hits[at], score=float(scores[at]), rank=rank)
                for rank, at in enumerate(order, start=1)
            ]
        )
    return answer


class PairScorer:
    """A network over two vectors of one encoder, distilled from scored lists.

    Args:
        encoder: as it was when the index was built; it is not trained here.
        seed: of the weights.
    """

    def __init__(self, encoder: TrainableEncoder, *, seed: int = 0) -> None:
        import torch

        torch.manual_seed(seed)
        self.encoder = encoder
        dim = encoder.dim
        self.network = torch.nn.Sequential(
            torch.nn.Linear(4 * dim, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 1)
        )

    def fit(
        self,
        task: Task,
        scored: Sequence[Scored],
        *,
        alpha: float = 0.5,
        count: int = 8,
        steps: int = 300,
        batch: int = 32,
        learning_rate: float = 1e-3,
        seed: int = 0,
    ) -> list[float]:
        """Distil the lists' scores into the network and return the loss of each step.

        Args:
            task: of the lists.
            scored: lists; vectors of their texts are computed once.
            alpha: share of the squared logits; the rest is InfoNCE of the best candidate.
            count: candidates of a list that one step sees.
            steps: of AdamW.
            batch: lists of a step.
            learning_rate: constant.
            seed: of the draws.

        Raises:
            NonFiniteScores: the loss became NaN or infinite.
        """
        import torch
        from torch.nn import functional

        from retrieval.losses.distillation import distilled

        lesson = ScoredLesson(task, scored, count)
        queries = {one.query.id: one.query for one in scored}
        demos = {demo.id: demo for one in scored for demo in one.candidates}
        asks = task.instruction
        asked = self._cached([(id, query_text(asks, one.input)) for id, one in queries.items()])
        shown = self._cached([(id, demo_text(asks, demo)) for id, demo in demos.items()])
        generator = np.random.default_rng(seed)
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=learning_rate)
        losses = []
        for _ in range(steps):
            drawn = lesson.batch(batch, generator)
            left = torch.stack([asked[query.id] for query in drawn.queries]).unsqueeze(1)
            right = torch.stack(
                [
                    torch.stack([shown[drawn.demos[at].id] for at in own])
                    for own in drawn.own.tolist()
                ]
            )
            student = self.logits(left.expand_as(right), right)
            teacher = torch.from_numpy(drawn.scores)
            teacher = teacher - teacher.mean(1, keepdim=True)
            teacher = teacher / teacher.std(1, keepdim=True).clamp(min=1e-6)
            best = functional.cross_entropy(student, torch.zeros(len(student), dtype=torch.long))
            # A sum over lists would outweigh the task's mean as batches grow.
            loss = distilled(best * student.numel(), student, teacher, alpha=alpha)
            loss = loss / student.numel()
            if not torch.isfinite(loss):
                raise NonFiniteScores(f"the loss is {loss.item()}; lower {learning_rate=}")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.item())
        return losses

    def logits(self, queries: Tensor, demos: Tensor) -> Tensor:
        """Return the logits [..] of pairs of vectors [.., dim]."""
        import torch

        joined = torch.cat([queries, demos, queries * demos, (queries - demos).abs()], dim=-1)
        answer: Tensor = self.network(joined).squeeze(-1)
        return answer

    def scores(self, queries: Sequence[str], vectors: Sequence[Vectors]) -> list[Vectors]:
        """Return for each query text the scores [n] of its candidates' vectors [n, dim]."""
        import torch

        asked = torch.from_numpy(self.encoder.encode(queries))
        answer: list[Vectors] = []
        with torch.inference_mode():
            for query, own in zip(asked, vectors, strict=True):
                demos = torch.from_numpy(np.asarray(own, np.float32))
                answer.append(self.logits(query.expand_as(demos), demos).numpy())
        return answer

    def save(self, folder: Path) -> None:
        """Write the network; the encoder is saved on its own."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        about = {"format": FORMAT, "inputs": self.network[0].in_features}
        with replaced(folder / "pair_scorer.safetensors") as new:
            save_file(self.network.state_dict(), new, metadata={"about": json.dumps(about)})

    @classmethod
    def load(cls, folder: Path, encoder: TrainableEncoder) -> PairScorer:
        """Return what `save` wrote.

        Raises:
            ModelFileError: it is missing, damaged, or of an encoder with other vectors.
        """
        from safetensors import SafetensorError, safe_open

        scorer = cls(encoder)
        path = folder / "pair_scorer.safetensors"
        try:
            with safe_open(path, "pt") as file:
                about: dict[str, Any] = json.loads(file.metadata()["about"])
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"the pair scorer {path} cannot be read ({error})") from error
        own = scorer.network[0].in_features
        if about["format"] != FORMAT or about["inputs"] != own:
            raise ModelFileError(
                f"the pair scorer {path} reads {about['inputs']} inputs in format "
                f"{about['format']}; this encoder gives {own} in format {FORMAT}"
            )
        scorer.network.load_state_dict(weights)
        return scorer

    def _cached(self, texts: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
        import torch

        vectors = torch.from_numpy(self.encoder.encode([text for _, text in texts]))
        return {id: vector for (id, _), vector in zip(texts, vectors, strict=True)}


class TokenScorer:
    """Soft late interaction of the query's tokens with the cached vectors.

    Args:
        encoder: as it was when the index was built.
        temperature: of the weights of the tokens; training has the same.
    """

    def __init__(self, encoder: TrainableEncoder, *, temperature: float = INTERACTION) -> None:
        self.encoder = encoder
        self.temperature = temperature

    def scores(self, queries: Sequence[str], vectors: Sequence[Vectors]) -> list[Vectors]:
        """Return for each query text the scores [n] of its candidates' vectors [n, dim]."""
        import torch

        from retrieval.losses.soft_late_interaction import soft_late_interaction

        answer: list[Vectors] = []
        self.encoder.model.eval()
        with torch.inference_mode():
            for query, own in zip(queries, vectors, strict=True):
                read = self.encoder.forward([query])
                found = soft_late_interaction(
                    read["token_embeddings"].float(),
                    read["attention_mask"].bool(),
                    torch.from_numpy(np.asarray(own, np.float32)).to(self.encoder.model.device),
                    temperature=self.temperature,
                )
                answer.append(found[0].cpu().numpy())
        return answer
