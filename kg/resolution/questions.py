"""The last layer: pairs that nothing cheaper decides, put to a judge in batches, up to a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Described", "Judge", "Question", "Questions"]

#: Questions in one call of the judge.
BATCH: Final = 20


@dataclass(frozen=True, slots=True)
class Described:
    """What a judge is told of an entity."""

    id: str
    name: str
    types: tuple[str, ...]
    description: str
    #: Names of some entities that triples join to it, sorted.
    neighbours: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """Are these two one thing? `likeness` is the best score that cheaper layers gave the pair."""

    first: Described
    second: Described
    likeness: float


#: Answers questions in their order: True, False, or None where it cannot tell.
type Judge = Callable[[Sequence[Question]], Sequence[bool | None]]


class Questions:
    """Asks a judge, never twice for one pair, and never more than `budget` questions."""

    def __init__(self, judge: Judge, *, budget: int) -> None:
        self._judge = judge
        self._budget = budget
        self._answers: dict[tuple[str, str], bool | None] = {}
        #: Questions asked, and questions that the budget left unasked in the last call.
        self.asked = self.unasked = 0

    def accepted(self, questions: Iterable[Question]) -> list[Question]:
        """Return the questions that are answered with yes, likeliest first."""
        ordered = sorted(questions, key=lambda q: (-q.likeness, q.first.id, q.second.id))
        new = [q for q in ordered if (q.first.id, q.second.id) not in self._answers]
        allowed = new[: self._budget - self.asked]
        self.unasked = len(new) - len(allowed)
        for start in range(0, len(allowed), BATCH):
            batch = allowed[start : start + BATCH]
            answers = self._judge(batch)
            if len(answers) != len(batch):
                raise ValueError(
                    f"the judge gave {len(answers)} answers to {len(batch)} questions: it must "
                    "answer each one, with None where it cannot tell"
                )
            self.asked += len(batch)
            for question, answer in zip(batch, answers, strict=True):
                self._answers[question.first.id, question.second.id] = answer
        return [q for q in ordered if self._answers.get((q.first.id, q.second.id))]
