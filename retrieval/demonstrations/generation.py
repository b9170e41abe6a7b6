"""Greedy answers of a language model, batched, with kept keys and values, optionally constrained.

A constraint is asked before every token: it is given the number of the prompt and the tokens so
far, and returns the ids that may come next, or None for all. An empty choice ends the answer. The
likeliest allowed token is taken, so the answer is always one that the constraint accepts, or the
beginning of one if `max_tokens` cuts it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

from retrieval.errors import QueryShapeError

if TYPE_CHECKING:
    import torch

    from retrieval.causal_lm import CausalLM

__all__ = ["Allowed", "greedy"]

#: (number of the prompt, its tokens so far) → ids that may come next; None: any.
type Allowed = Callable[[int, Sequence[int]], Collection[int] | None]

#: Prompts continued at a time.
BATCH: Final = 16


def greedy(
    lm: CausalLM,
    prompts: Sequence[Sequence[int]],
    *,
    max_tokens: int = 64,
    stop: str = "\n",
    allowed: Allowed | None = None,
) -> list[str]:
    """Return the likeliest continuation of each prompt, token by token.

    Args:
        lm: the model.
        prompts: token ids; none may be empty.
        max_tokens: longest answer.
        stop: text at which an answer ends (not part of it); empty: only the model's own end.
        allowed: which tokens may come next.

    Raises:
        QueryShapeError: an empty prompt, or one that leaves no room for `max_tokens`.
    """
    for prompt in prompts:
        if not prompt:
            raise QueryShapeError("a prompt has no token: give it an input, or use bos=True")
        if len(prompt) + max_tokens > lm.longest:
            raise QueryShapeError(
                f"a prompt has {len(prompt)} tokens and the answer up to {max_tokens}, the model "
                f"reads {lm.longest}: give fewer demonstrations, or ask for fewer tokens"
            )
    answers = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda at: len(prompts[at]))
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        for at, answer in zip(
            batch, _continued(lm, prompts, batch, max_tokens, stop, allowed), strict=True
        ):
            answers[at] = answer
    return answers


def _continued(
    lm: CausalLM,
    prompts: Sequence[Sequence[int]],
    batch: Sequence[int],
    max_tokens: int,
    stop: str,
    allowed: Allowed | None,
) -> list[str]:
    import torch

    device = lm.device
    lengths = torch.tensor([len(prompts[at]) for at in batch], device=device)
    longest = int(lengths.max())
    padding = longest - lengths  # on the left, so that all continue at one place
    ids = torch.zeros(len(batch), longest, dtype=torch.long, device=device)
    for row, at in enumerate(batch):
        ids[row, longest - len(prompts[at]) :] = torch.tensor(list(prompts[at]), device=device)
    place = torch.arange(longest, device=device)
    # Padding sees itself alone, so that no softmax is empty.
    real = place[None] >= padding[:, None]
    mask = real[:, None, :] & (place[:, None] >= place[None])
    mask |= torch.eye(longest, dtype=torch.bool, device=device)
    positions = (place[None] - padding[:, None]).clamp(min=0)

    tokens: list[list[int]] = [[] for _ in batch]
    open_rows = set(range(len(batch)))
    seen: Any = real
    with torch.inference_mode():
        cache = lm.new_cache()
        states = lm.states(ids, mask=mask, positions=positions, cache=cache)[:, -1]
        for step in range(max_tokens):
            chosen = torch.zeros(len(batch), 1, dtype=torch.long, device=device)
            logits = lm.logits(states)
            for row in sorted(open_rows):
                choice = allowed(batch[row], tokens[row]) if allowed else None
                token = _best(logits[row], choice)
                if token is None or (choice is None and token in lm.eos):
                    open_rows.discard(row)
                    continue
                tokens[row].append(token)
                chosen[row] = token
                if stop and stop in lm.text(tokens[row]):
                    open_rows.discard(row)
            if not open_rows or step + 1 == max_tokens:
                break
            seen = torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1)
            states = lm.states(
                chosen, mask=seen[:, None], positions=(lengths + step)[:, None], cache=cache
            )[:, -1]
    texts = [lm.text(own) for own in tokens]
    return [text.split(stop, 1)[0] if stop else text for text in texts]


def _best(logits: torch.Tensor, choice: Collection[int] | None) -> int | None:
    """Return the likeliest token of a choice; None if it is empty."""
    import torch

    if choice is None:
        return int(logits.argmax())
    if not choice:
        return None
    ids = sorted(choice)
    return ids[int(logits[torch.tensor(ids, device=logits.device)].argmax())]
