r"""Schema-constrained extraction with a local language model: triples of a sentence by tokens.

    answer   = triple { ";" triple } "\n"
    triple   = span " |" relation " |" span

A span is up to ten words of the sentence, copied; a relation is one of the schema. At each token
the model may only go on in a way that ends in such an answer, so nothing needs to be repaired
afterwards and no relation can be invented. The model decides where a span ends, which relation it
is, and when the answer is complete.

Small models say a triple again and again; one that was said may not be said twice.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from harvest.errors import InputError
from retrieval.demonstrations.task import Demo
from retrieval.demonstrations.template import PromptTemplate, arranged

if TYPE_CHECKING:
    from retrieval.causal_lm import CausalLM

__all__ = ["TEMPLATE", "ConstrainedExtractor", "spans", "written"]

type Triple = tuple[str, str, str]

#: A blank before every part, so that names have the tokens that they have within a sentence.
TEMPLATE: Final = PromptTemplate(
    demo="Sentence: {input}\nTriples:{output}\n", query="Sentence: {input}\nTriples:"
)
BAR: Final = " |"
AND: Final = ";"
END: Final = "\n"
#: Longest span in words; 99 of 100 names of the training rows are shorter.
LONGEST: Final = 10
#: Longest answer in tokens, a bound for spans of rare letters.
MOST_TOKENS: Final = 160

_WORD = re.compile(r"\w+(?:[-'’.&/]\w+)*")


def spans(sentence: str) -> list[str]:
    """Return what of a sentence can be an end of a triple: runs of words, in reading order.

    >>> spans("Born in Rome, Italy.")[:5]
    ['Born', 'Born in', 'Born in Rome', 'Born in Rome, Italy', 'in']
    """
    words = [match.span() for match in _WORD.finditer(sentence)]
    found: dict[str, None] = {}
    for at, (start, _) in enumerate(words):
        for _, end in words[at : at + LONGEST]:
            text = " ".join(sentence[start:end].split())
            if BAR.strip() not in text and AND not in text:
                found.setdefault(text)
    return list(found)


def written(triples: Iterable[Triple]) -> str:
    """Return triples as a demonstration's answer.

    >>> written([("Fermi", "place of birth", "Rome")])
    ' Fermi | place of birth | Rome'
    """
    return AND.join(BAR.join(f" {part}" for part in triple) for triple in triples)


@dataclass(slots=True)
class _Node:
    """A place in a tree of token sequences."""

    next: dict[int, _Node] = field(default_factory=dict)
    #: The text that ends here; "" if none does.
    text: str = ""

    @classmethod
    def of(cls, texts: Iterable[str], lm: CausalLM) -> _Node:
        root = cls()
        for text in texts:
            node = root
            for token in lm.ids(f" {text}"):
                node = node.next.setdefault(token, cls())
            node.text = text
        return root


@dataclass(frozen=True, slots=True)
class _State:
    """Where an answer stands: the triples said, the parts of the next one, and the place in it."""

    said: tuple[Triple, ...]
    parts: tuple[str, ...]
    node: _Node


class _Grammar:
    """The answers that a sentence allows."""

    def __init__(
        self,
        sentence: str,
        relations: _Node,
        lm: CausalLM,
        *,
        marks: tuple[int, int, int],
        most: int,
    ) -> None:
        self._spans = _Node.of(spans(sentence), lm)
        self._relations = relations
        self._bar, self._and, self._end = marks
        self._most = most
        #: Tokens so far → where they lead; greedy decoding asks for one token more each time.
        self._states: dict[tuple[int, ...], _State] = {(): _State((), (), self._spans)}

    def allowed(self, tokens: Sequence[int]) -> Collection[int]:
        """Return the tokens that may follow; none after the end."""
        state = self._state(tuple(tokens))
        if state is None:
            return ()
        choice = {t for t, node in state.node.next.items() if self._leads(state, node)}
        text = state.node.text
        if text and len(state.parts) < 2:
            choice.add(self._bar)
        elif text and self._triple(state) is not None:
            choice.add(self._end)
            if len(state.said) + 1 < self._most:
                choice.add(self._and)
        # Head and relation leave no tail that was not said: the answer ends without them.
        return choice or (self._end,)

    def triples(self, tokens: Sequence[int]) -> list[Triple]:
        """Return the whole triples of an answer, cut or not."""
        found: list[Triple] = []
        for at in range(len(tokens) + 1):
            state = self._state(tuple(tokens[:at]))
            if state is None:
                break
            found = list(state.said)
            if (last := self._triple(state)) is not None:
                found.append(last)
        return found

    def _leads(self, state: _State, node: _Node) -> bool:
        """Say whether a place in the tree leads to something that may be said."""
        if len(state.parts) < 2 or (
            node.text and self._triple(_State(state.said, state.parts, node)) is not None
        ):
            return True
        return any(self._leads(state, after) for after in node.next.values())

    def _triple(self, state: _State) -> Triple | None:
        """Return the triple that could end here; None if it is none or was said."""
        if len(state.parts) < 2 or not state.node.text:
            return None
        triple = (state.parts[0], state.parts[1], state.node.text)
        return None if triple[0] == triple[2] or triple in state.said else triple

    def _state(self, tokens: tuple[int, ...]) -> _State | None:
        """Return where tokens lead; None after the end."""
        if tokens not in self._states:
            before = self._state(tokens[:-1])
            after = None if before is None else self._step(before, tokens[-1])
            if after is None:
                return None
            self._states[tokens] = after
        return self._states[tokens]

    def _step(self, state: _State, token: int) -> _State | None:
        if token in state.node.next:
            return _State(state.said, state.parts, state.node.next[token])
        if token == self._bar and len(state.parts) < 2:
            node = self._relations if not state.parts else self._spans
            return _State(state.said, (*state.parts, state.node.text), node)
        triple = self._triple(state)
        if token == self._and and triple is not None:
            return _State((*state.said, triple), (), self._spans)
        return None


class ConstrainedExtractor:
    """Reads triples out of sentences with a local model, after demonstrations.

    Args:
        lm: the model.
        relations: names that a triple's relation may have.
        most: triples of one sentence at most.

    Raises:
        InputError: no relation, or a name that holds a sign of the answer's form.
    """

    def __init__(self, lm: CausalLM, relations: Sequence[str], *, most: int = 4) -> None:
        names = [" ".join(name.split()) for name in relations]
        bad = [name for name in names if not name or BAR.strip() in name or AND in name]
        if bad or not names:
            raise InputError(
                f"relation {bad[0]!r} cannot stand in an answer: rename it without | and ;"
                if bad
                else "no relation to look for: give the schema at least one"
            )
        self.lm = lm
        self.most = most
        self._relations = _Node.of(names, lm)
        marks = [lm.ids(mark) for mark in (BAR, AND, END)]
        if any(len(ids) != 1 for ids in marks):
            raise InputError(
                f"the model's tokenizer cuts {BAR!r}, {AND!r} or a line feed into several tokens; "
                "use one that has them whole, as those of GPT-2, SmolLM2, Llama 3 and Qwen"
            )
        self._marks = (marks[0][0], marks[1][0], marks[2][0])

    def extract(
        self, sentences: Sequence[str], demos: Sequence[Sequence[Demo]]
    ) -> list[list[Triple]]:
        """Return the triples of each sentence.

        Args:
            sentences: what is read.
            demos: for each its demonstrations, best first; outputs are as `written` makes them.
        """
        from retrieval.demonstrations.generation import greedy

        grammars = [
            _Grammar(text, self._relations, self.lm, marks=self._marks, most=self.most)
            for text in sentences
        ]
        last: list[tuple[int, ...]] = [() for _ in sentences]

        def allowed(at: int, tokens: Sequence[int]) -> Collection[int]:
            last[at] = tuple(tokens)
            return grammars[at].allowed(tokens)

        prompts = [
            self._prompt(text, arranged(own)) for text, own in zip(sentences, demos, strict=True)
        ]
        asked = [at for at, text in enumerate(sentences) if spans(text)]
        greedy(
            self.lm,
            [prompts[at] for at in asked],
            max_tokens=MOST_TOKENS,
            stop=END,
            allowed=lambda at, tokens: allowed(asked[at], tokens),
        )
        return [grammar.triples(tokens) for grammar, tokens in zip(grammars, last, strict=True)]

    def _prompt(self, sentence: str, demos: Sequence[Demo]) -> list[int]:
        parts = TEMPLATE.parts(" ".join(sentence.split()), demos)
        return [token for part in parts for token in self.lm.ids(part)]
