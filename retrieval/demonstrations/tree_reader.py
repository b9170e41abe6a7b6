"""Mean log-probabilities of many answers: their token tree, read in padded batches.

What `token_tree` lays out is run here: trunks first, each with the keys and values of the one above
it, then the rows below it, longest first. The vocabulary's product is formed only at the tokens
that predict one of an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from retrieval.demonstrations.token_tree import Forest, Trunk, laid_out, plan, rows_of
from retrieval.errors import NonFiniteScores

if TYPE_CHECKING:
    from retrieval.causal_lm import CausalLM

__all__ = ["CAPACITY", "TreeReader"]

log = logging.getLogger(__name__)

#: Tokens of a row: more waste in attention than they save in padding above (measured on SmolLM2).
CAPACITY: Final = 192
#: Tokens of a batch, on the CPU and on an accelerator.
BATCH_CPU: Final = 512
BATCH_DEVICE: Final = 16384

type Ids = tuple[int, ...]


class TreeReader:
    """Reads answers after prompts by one language model.

    Args:
        lm: the model.
        capacity: tokens of a row of the batch.
    """

    def __init__(self, lm: CausalLM, *, capacity: int = CAPACITY) -> None:
        self.lm = lm
        self.capacity = capacity

    def mean_log_probs(self, jobs: Sequence[tuple[Ids, Ids]]) -> Iterator[list[tuple[int, float]]]:
        """Yield [(job, mean log-probability of its answer)] in the order in which they are known.

        Args:
            jobs: (prompt, answer) as token ids, each of one or more; no two alike.

        Raises:
            NonFiniteScores: the model gave NaN or infinity.
        """
        if not jobs:
            return
        texts = [prompt + answer for prompt, answer in jobs]
        order = sorted(range(len(jobs)), key=texts.__getitem__)
        texts = [texts[at] for at in order]
        answers = [len(jobs[at][0]) for at in order]
        sequences = [text[:-1] for text in texts]
        last = [text[-1] for text in texts]
        done = 0
        stack: list[tuple[Trunk, list[Any]]] = []
        for trunk in plan(sequences, answers, self.capacity // 2):
            while stack and stack[-1][0] is not trunk.parent:
                stack.pop()
            above = stack[-1][1] if stack else []
            kept = self._read_trunk(sequences[trunk.of][trunk.start : trunk.stop], trunk, above)
            stack.append((trunk, kept))
            forests = [
                laid_out(sequences, answers, last, piece, trunk.stop) for piece in trunk.pieces
            ]
            for rows in _batches(rows_of(forests, self.capacity), self._batch_tokens):
                found = self._read_rows(rows, kept, trunk.stop)
                done += len(found)
                log.info("scored %d of %d answers", done, len(jobs))
                yield [(order[at], score) for at, score in found]

    @property
    def _batch_tokens(self) -> int:
        return BATCH_CPU if self.lm.device.type == "cpu" else BATCH_DEVICE

    def _read_trunk(self, tokens: Sequence[int], trunk: Trunk, above: list[Any]) -> list[Any]:
        """Return keys and values (each layer) of a trunk and of all above it."""
        import torch

        if not tokens:
            return above
        device = self.lm.device
        with torch.inference_mode():
            cache = self.lm.new_cache(above)
            mask = torch.ones(1, len(tokens), trunk.stop, dtype=torch.bool, device=device)
            self.lm.states(
                torch.tensor([list(tokens)], device=device),
                mask=mask.tril(trunk.start),
                positions=torch.arange(trunk.start, trunk.stop, device=device)[None],
                cache=cache,
            )
        return self.lm.kept(cache)

    def _read_rows(
        self, rows: Sequence[Forest], above: list[Any], depth: int
    ) -> list[tuple[int, float]]:
        """Return (sequence, mean log-probability) of the answers that stand in rows."""
        import torch

        device = self.lm.device
        ids, positions, mask = _arrays(rows, depth)
        asked = sorted(
            (row * ids.shape[1] + place, token, at)
            for row, forest in enumerate(rows)
            for place, token, at in forest.asked
        )
        places, tokens, owners = (np.array(column) for column in zip(*asked, strict=True))
        distinct, which = np.unique(places, return_inverse=True)
        with torch.inference_mode():
            cache = self.lm.new_cache(above, rows=len(rows)) if above else None
            states = self.lm.states(
                torch.from_numpy(ids).to(device),
                mask=torch.from_numpy(mask).to(device),
                positions=torch.from_numpy(positions).to(device),
                cache=cache,
            )
            found = self.lm.log_probs(
                states.flatten(0, 1)[torch.from_numpy(distinct).to(device)],
                torch.from_numpy(which).to(device),
                torch.from_numpy(tokens).to(device),
            )
        values = found.double().cpu().numpy()
        if not np.isfinite(values).all():
            raise NonFiniteScores(
                "the language model gave NaN or infinity as log-probability; load it in float32"
            )
        sequences, each = np.unique(owners, return_inverse=True)
        means = np.bincount(each, values) / np.bincount(each)
        return list(zip(sequences.tolist(), means.tolist(), strict=True))


def _batches(rows: Sequence[Forest], most: int) -> Iterator[list[Forest]]:
    """Yield rows (longest first) in batches of at most `most` padded tokens, or of one row."""
    batch: list[Forest] = []
    for row in rows:
        if batch and (len(batch) + 1) * len(batch[0].tokens) > most:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _arrays(
    rows: Sequence[Forest], depth: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return ids, positions [rows, tokens] and mask [rows, tokens, depth + tokens]."""
    longest = max(len(row.tokens) for row in rows)
    ids = np.zeros((len(rows), longest), np.int64)
    positions = np.zeros_like(ids)
    # Padding sees itself alone, so that no softmax is empty.
    ends = np.broadcast_to(np.arange(1, longest + 1), ids.shape).copy()
    for at, row in enumerate(rows):
        own = len(row.tokens)
        ids[at, :own] = row.tokens
        positions[at, :own] = row.positions
        ends[at, :own] = row.ends
    place = np.arange(longest)
    tree = (place[None, :, None] >= place[None, None, :]) & (
        place[None, :, None] < ends[:, None, :]
    )
    before = np.ones((len(rows), longest, depth), bool)
    return ids, positions, np.concatenate([before, tree], axis=2)
