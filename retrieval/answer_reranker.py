"""Read question and answer together: a cross-encoder that puts the first answers into a new order.

    r(h, r, t) = w · mean of the states of [CLS] text of h [SEP] relation : text of t [SEP]
    score      = λ · s(h, r, t) + r(h, r, t)         s: of the entity model that found the answers

One vector an entity cannot say which of its words matters for which answer; a cross-encoder can,
at the price of reading each pair. So it reads the first `depth` answers only; those behind keep
their places, and a right answer that is not among them cannot be helped.

It learns on training triples: the right answer among the `negatives` best wrong ones of the entity
model, cross-entropy over them. λ is chosen on dev questions, because the entity model has seen the
training triples and is too sure of them.

The head of an inverse question is asked with the relation's words marked as backwards.

Source: re-ranking by a cross-encoder is Nogueira, Cho, "Passage re-ranking with BERT", 2019.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.encoders.sentence import SentenceEncoder
from retrieval.errors import ModelFileError, NonFiniteScores, NothingToPredict, QueryShapeError
from retrieval.files import replaced
from retrieval.kernels import exact_scores
from retrieval.ranking import Ranks

if TYPE_CHECKING:
    from torch import Tensor

    from retrieval.entity_model import EntityModel
    from retrieval.progress import Progress
    from retrieval.protocols import Questions
    from retrieval.ranking import FloatArray, Vectors
    from retrieval.triple_data import IntArray, TripleData

__all__ = ["AnswerReranker", "RerankerOptions", "first_answers", "reranked", "train_reranker"]

#: Weights of the entity model's score that are tried on dev questions.
WEIGHTS: Final = (0.0, 5.0, 10.0, 20.0, 40.0)
#: Pairs that are read at a time without a graph.
BATCH: Final = 64
#: Characters of a text that are read; a word piece has four on average.
CHARACTERS: Final = 160
LONGEST: Final = 96
LONGEST_GRADIENT: Final = 1.0
#: Questions whose scores are held at a time.
TILE: Final = 256

#: Version of the files that `save` writes.
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class RerankerOptions:
    """How a reranker is trained.

    Raises:
        QueryShapeError: a number out of range.
    """

    #: Answers that are put into a new order.
    depth: int = 20
    #: Training questions; each brings 1 + `negatives` pairs.
    questions: int = 4000
    negatives: int = 7
    batch: int = 8
    learning_rate: float = 1e-4
    warm_up: float = 0.1
    #: Lowest layers that stay as they are.
    frozen_layers: int = 2
    #: Dev questions that choose λ.
    dev_questions: int = 400
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("depth", "questions", "negatives", "batch", "learning_rate", "dev_questions"):
            if getattr(self, name) <= 0:
                raise QueryShapeError(f"{name} is {getattr(self, name)}; it must be above 0")


class AnswerReranker:
    """Scores (question, answer) pairs.

    Args:
        model: the transformer; its tokenizer is the sentence encoder's.
        weights: w, [width].
        first: λ, weight of the entity model's score.
        depth: answers that are put into a new order.
    """

    def __init__(self, model: Any, weights: Tensor, *, first: float, depth: int) -> None:
        self.model, self.weights, self.first, self.depth = model, weights, first, depth

    @classmethod
    def untrained(cls, *, depth: int, seed: int = 0) -> AnswerReranker:
        """Return a reranker on the installed MiniLM, whose scores are near zero."""
        import torch

        encoder = SentenceEncoder()
        _, model = encoder.parts()
        generator = torch.Generator().manual_seed(seed)
        weights = 0.02 * torch.randn(encoder.dim, generator=generator)
        return cls(deepcopy(model), weights.requires_grad_(), first=WEIGHTS[-1], depth=depth)

    def logits(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        """Return r of each pair of texts, [pairs], with its graph."""
        import torch

        tokenizer, _ = SentenceEncoder(longest=LONGEST).parts()
        read = tokenizer.encode_batch(list(pairs))
        longest = max(len(one.ids) for one in read)
        ids = torch.zeros(len(read), longest, dtype=torch.long)
        mask, kinds = torch.zeros_like(ids), torch.zeros_like(ids)
        for row, one in enumerate(read):
            ids[row, : len(one.ids)] = torch.tensor(one.ids)
            kinds[row, : len(one.ids)] = torch.tensor(one.type_ids)
            mask[row, : len(one.ids)] = 1
        states = self.model(input_ids=ids, attention_mask=mask, token_type_ids=kinds)
        states = states.last_hidden_state
        mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        logits: Tensor = mean @ self.weights
        return logits

    def scores(self, pairs: Sequence[tuple[str, str]]) -> Vectors:
        """Return r of each pair, [pairs] float32; pairs are read in order of length."""
        import torch

        order = sorted(range(len(pairs)), key=lambda at: len(pairs[at][0]) + len(pairs[at][1]))
        found = np.zeros(len(pairs), np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                found[rows] = self.logits([pairs[row] for row in rows]).numpy()
        return found

    def save(self, folder: Path) -> None:
        """Write weights and options into a folder, which is made if needed."""
        from safetensors.torch import save_file

        tensors = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        tensors["weights"] = self.weights.detach()
        about = {"format": FORMAT, "first": self.first, "depth": self.depth}
        with replaced(folder / "reranker.safetensors") as new:
            save_file(
                {name: value.contiguous() for name, value in tensors.items()},
                new,
                metadata={"about": json.dumps(about)},
            )

    @classmethod
    def load(cls, folder: Path) -> AnswerReranker:
        """Return the reranker that `save` wrote into a folder.

        Raises:
            ModelFileError: the file is missing, damaged or of another format.
        """
        from safetensors import SafetensorError, safe_open

        path = folder / "reranker.safetensors"
        try:
            with safe_open(path, "pt") as file:
                about = json.loads(file.metadata()["about"])
                if about["format"] != FORMAT:
                    raise ValueError(f"format {about['format']}, this library reads {FORMAT}")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            reranker = cls.untrained(depth=int(about["depth"]))
            own = {
                name.removeprefix("model/"): value
                for name, value in tensors.items()
                if name.startswith("model/")
            }
            reranker.model.load_state_dict(own)
            reranker.weights = tensors["weights"]
            reranker.first = float(about["first"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelFileError(
                f"the reranker in {folder} cannot be read ({error}); train it again"
            ) from error
        return reranker


def pair_of(data: TripleData, source: int, relation: int, answer: int) -> tuple[str, str]:
    """Return the two texts of a question and an answer.

    >>> from retrieval.triple_data import TripleData
    >>> data = TripleData.of([("a", "_born_in", "b")], texts={"a": "Ann", "b": "Bern"})
    >>> pair_of(data, 0, 0, 1), pair_of(data, 1, 1, 0)
    (('Ann', 'born in: Bern'), ('Bern', 'backwards born in: Ann'))
    """
    count = len(data.relations)
    words = " ".join(data.relations[relation % count].replace("_", " ").replace("/", " ").split())
    backwards = "backwards " if relation >= count else ""
    return (
        data.texts[source][:CHARACTERS],
        f"{backwards}{words}: {data.texts[answer][:CHARACTERS]}",
    )


def first_answers(
    model: EntityModel, vectors: Vectors, asked: Questions, chosen: IntArray, *, depth: int
) -> tuple[IntArray, FloatArray]:
    """Return the best `depth` answers of each chosen question and their scores, [n, depth] both.

    Known answers other than the target are left out, as in filtered ranking. Answers are positions
    among the candidates.

    Raises:
        QueryShapeError: the head does not compare by products, or there are fewer candidates.
    """
    if model.head.kernel != "dot":
        raise QueryShapeError(
            f"the head {model.head.name!r} compares by {model.head.kernel}; the first answers are "
            "found by products"
        )
    candidates = vectors[asked.candidates]
    if len(candidates) < depth:
        raise QueryShapeError(f"{len(candidates)} candidates, and {depth} are to be re-ordered")
    ids = np.zeros((len(chosen), depth), np.int64)
    values = np.zeros((len(chosen), depth))
    rows, known = asked.known
    for start in range(0, len(chosen), TILE):
        own = chosen[start : start + TILE]
        queries = model.queries(vectors[asked.sources[own]], asked.relations[own])
        scores = queries @ candidates.T
        for place, question in enumerate(own.tolist()):
            first, last = np.searchsorted(rows, [question, question + 1])
            hidden = known[first:last]
            scores[place, hidden[hidden != asked.targets[question]]] = -np.inf
        best = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
        # In float64 by one routine, so that entities with equal texts have equal scores.
        found = exact_scores("dot", np.repeat(queries, depth, axis=0), candidates[best.ravel()])
        found = np.where(
            np.isinf(np.take_along_axis(scores, best, axis=1)), -np.inf, found.reshape(best.shape)
        )
        order = np.lexsort((best, -found))
        block = slice(start, start + len(own))
        ids[block] = np.take_along_axis(best, order, axis=1)
        values[block] = np.take_along_axis(found, order, axis=1)
    return ids, values


def reranked(
    reranker: AnswerReranker,
    data: TripleData,
    asked: Questions,
    chosen: IntArray,
    ranks: Ranks,
    answers: IntArray,
    scores: FloatArray,
    *,
    first: float | None = None,
    read: Vectors | None = None,
) -> Ranks:
    """Return the ranks of the chosen questions after the first answers were put into a new order.

    Args:
        reranker: reads the pairs.
        data: with the texts.
        asked: all questions.
        chosen: [n] those that are asked.
        ranks: of the chosen ones before.
        answers: [n, depth] from `first_answers`.
        scores: [n, depth] from `first_answers`.
        first: λ; the reranker's own if not given.
        read: [n, depth] what the reranker makes of the answers, if it has read them already.
    """
    weight = reranker.first if first is None else first
    made = read if read is not None else _read(reranker, data, asked, chosen, answers)
    joined = weight * scores + made
    optimistic, pessimistic = ranks.optimistic.copy(), ranks.pessimistic.copy()
    here = answers == asked.targets[chosen][:, None]
    for row in np.flatnonzero(here.any(axis=1)).tolist():
        own = joined[row, here[row]][0]
        optimistic[row] = 1 + int((joined[row] > own).sum())
        pessimistic[row] = int((joined[row] >= own).sum())
    return Ranks(optimistic, pessimistic, ranks.among)


def _read(
    reranker: AnswerReranker,
    data: TripleData,
    asked: Questions,
    chosen: IntArray,
    answers: IntArray,
) -> Vectors:
    pairs = [
        pair_of(
            data,
            int(asked.sources[question]),
            int(asked.relations[question]),
            int(asked.candidates[answer]),
        )
        for question, own in zip(chosen.tolist(), answers.tolist(), strict=True)
        for answer in own
    ]
    return reranker.scores(pairs).reshape(answers.shape)


def train_reranker(
    model: EntityModel,
    data: TripleData,
    *,
    training: Questions,
    dev: Questions,
    options: RerankerOptions | None = None,
    progress: Progress | None = None,
) -> tuple[AnswerReranker, dict[str, Any]]:
    """Train a reranker on what an entity model finds.

    Args:
        model: finds the answers; its relations stand in the order of the data's.
        data: triples and texts.
        training: questions on training triples, filtered by training triples.
        dev: questions that choose λ.
        options: `RerankerOptions()` if not given.
        progress: called after each step.

    Returns:
        The reranker, and the loss of the last tenth of steps with the dev MRR for each λ.

    Raises:
        NothingToPredict: no question.
        NonFiniteScores: the loss became NaN or infinite.
    """
    import torch
    from torch.nn import functional

    options = options or RerankerOptions()
    if not len(training.sources) or not len(dev.sources):
        raise NothingToPredict("a reranker needs training and dev questions")
    reranker = AnswerReranker.untrained(depth=options.depth, seed=options.seed)
    for module in (
        reranker.model.embeddings,
        *reranker.model.encoder.layer[: options.frozen_layers],
    ):
        module.requires_grad_(False)
    random = np.random.default_rng(options.seed)
    count = min(options.questions, len(training.sources))
    chosen = np.sort(random.choice(len(training.sources), count, replace=False))
    vectors = model.encoder.encode(data.texts)
    answers, _ = first_answers(model, vectors, training, chosen, depth=options.depth)
    parameters = [one for one in reranker.model.parameters() if one.requires_grad]
    parameters.append(reranker.weights)
    optimizer = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=0.01)
    order = random.permutation(count)
    steps = -(-count // options.batch)
    losses = []
    for step in range(steps):
        pairs: list[tuple[str, str]] = []
        own = order[step * options.batch : (step + 1) * options.batch]
        for place in own.tolist():
            question = int(chosen[place])
            target = int(training.targets[question])
            wrong = answers[place][answers[place] != target]
            drawn = random.choice(wrong, min(options.negatives, len(wrong)), replace=False)
            drawn = np.resize(drawn, options.negatives)
            pairs += [
                pair_of(
                    data,
                    int(training.sources[question]),
                    int(training.relations[question]),
                    int(training.candidates[answer]),
                )
                for answer in (target, *drawn.tolist())
            ]
        logits = reranker.logits(pairs).view(len(own), -1)
        loss = functional.cross_entropy(logits, torch.zeros(len(own), dtype=torch.long))
        if not math.isfinite(loss.item()):
            raise NonFiniteScores(
                f"the loss is {loss.item()} after {step} steps; lower the learning rate "
                f"({options.learning_rate})"
            )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, LONGEST_GRADIENT)
        rising = max(1, int(options.warm_up * steps))
        rate = min(1.0, (step + 1) / rising, (steps - step) / max(1, steps - rising))
        optimizer.param_groups[0]["lr"] = options.learning_rate * rate
        optimizer.step()
        losses.append(loss.item())
        if progress is not None:
            progress(step + 1, steps, "training the reranker")
    by_weight = _weigh(reranker, model, data, dev, vectors, options)
    reranker.first = max(by_weight, key=lambda weight: (by_weight[weight], weight))
    return reranker, {
        "steps": steps,
        "loss": round(float(np.mean(losses[-max(1, steps // 10) :])), 4),
        "dev_mrr_by_first": {str(weight): round(value, 4) for weight, value in by_weight.items()},
    }


def _weigh(
    reranker: AnswerReranker,
    model: EntityModel,
    data: TripleData,
    dev: Questions,
    vectors: Vectors,
    options: RerankerOptions,
) -> dict[float, float]:
    """Return the MRR of dev questions for each weight of the entity model's score."""
    from retrieval.entity_model import answer_ranks, drawn_questions

    chosen = drawn_questions(dev, options.dev_questions, seed=options.seed)
    ranks = answer_ranks(model.head, vectors, dev, chosen=chosen)
    answers, scores = first_answers(model, vectors, dev, chosen, depth=options.depth)
    read = _read(reranker, data, dev, chosen, answers)
    return {
        weight: reranked(
            reranker, data, dev, chosen, ranks, answers, scores, first=weight, read=read
        ).mrr()
        for weight in WEIGHTS
    }
