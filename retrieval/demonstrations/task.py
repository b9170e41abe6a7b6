"""A task, its solved examples, and the exchange format of Natural Instructions.

A task is what one prompt asks: an instruction, a pool of solved examples (demonstrations), and for
classification the words that stand for its labels (the verbaliser). From here on an output is
always the word that a language model reads, never the raw label of a file.

Natural Instructions (Mishra et al., 2022) is read in both of its spellings: `Definition` as a list
or as a string, `output` as a list or as a string. Any of several outputs counts as correct.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from retrieval.errors import DataFormatError, QueryShapeError

__all__ = ["Demo", "Task"]


@dataclass(frozen=True, slots=True)
class Demo:
    """A solved example; as a hit of a retriever it also carries score and rank.

    >>> Demo("1", "a gripping film", "great").accepts("great")
    True
    """

    #: Unique in the task; ids of hits are those that were added.
    id: str
    input: str
    output: str
    explanation: str = ""
    #: Further outputs that count as correct.
    other_outputs: tuple[str, ...] = ()
    #: Name of the task it belongs to.
    task: str = ""
    #: Where it comes from: "triple", "document", "chunk", "source", ... → value.
    provenance: Mapping[str, str] = field(default_factory=dict)
    #: Of a hit: similarity in the retriever's own scale, and place (1 is best).
    score: float = 0.0
    rank: int = 0

    @property
    def outputs(self) -> tuple[str, ...]:
        """All outputs that count as correct, the first one first."""
        return (self.output, *self.other_outputs)

    def accepts(self, output: str) -> bool:
        """Say whether an output counts as correct."""
        return output in self.outputs


@dataclass(frozen=True)
class Task:
    """An instruction and a pool of solved examples.

    Args:
        name: unique name; demonstrations are given it.
        instruction: short noun phrase that ends in a colon and names what is asked; it is put in
            front of queries and demonstrations alike when they are encoded (UDR).
        demos: the pool; ids must differ.
        verbalizer: raw label → word, for classification; outputs may be either. None: generation,
            or labels that are words already (see `labels`).
        labels: the words to choose from; those of the verbaliser if not given, none for generation.

    Raises:
        QueryShapeError: an id twice, two labels with one word, or an output that is no label.

    >>> task = Task("sst2", "Sentiment of the sentence:", [Demo("1", "a gripping film", "1")],
    ...             verbalizer={"0": "terrible", "1": "great"})
    >>> task.labels, task.demos[0].output, task.demos[0].task
    (('terrible', 'great'), 'great', 'sst2')
    """

    name: str
    instruction: str
    demos: Sequence[Demo] = ()
    verbalizer: Mapping[str, str] | None = None
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        words = tuple((self.verbalizer or {}).values())
        if len(set(words)) != len(words):
            raise QueryShapeError(
                f"task {self.name!r}: two labels have one word; give each its own"
            )
        object.__setattr__(self, "labels", tuple(self.labels) or words)
        object.__setattr__(self, "demos", self.verbalized(self.demos))
        ids = [demo.id for demo in self.demos]
        if len(set(ids)) != len(ids):
            twice = next(id for id in ids if ids.count(id) > 1)
            raise QueryShapeError(f"task {self.name!r} has the demonstration {twice!r} twice")

    def verbalized(self, demos: Iterable[Demo]) -> tuple[Demo, ...]:
        """Return demonstrations of this task, labels replaced by their words.

        Raises:
            QueryShapeError: an output is neither a label nor a word of one.
        """
        words = self.verbalizer or {}
        answer = []
        for demo in demos:
            outputs = tuple(words.get(output, output) for output in demo.outputs)
            unknown = [output for output in outputs if self.labels and output not in self.labels]
            if unknown:
                raise QueryShapeError(
                    f"task {self.name!r}: the output {unknown[0]!r} of {demo.id!r} is none of its "
                    f"labels ({', '.join(self.labels)})"
                )
            answer.append(
                replace(demo, output=outputs[0], other_outputs=outputs[1:], task=self.name)
            )
        return tuple(answer)

    @property
    def is_classification(self) -> bool:
        """Whether outputs are chosen from `labels`."""
        return bool(self.labels)

    @classmethod
    def from_ni(cls, path: Path | str, *, instruction: str | None = None) -> Task:
        """Return a task file of Natural Instructions: instances and positive examples are the pool.

        Args:
            path: the JSON file.
            instruction: in place of its `Definition`, which is often a whole page.

        Raises:
            DataFormatError: the file is not in the schema.
        """
        path = Path(path)
        try:
            data = json.loads(path.read_text("utf-8"))
            definition = data["Definition"]
            if not isinstance(definition, str):
                definition = " ".join(definition)
            rows = [("example", at, row) for at, row in enumerate(data["Positive Examples"])]
            rows += [("instance", at, row) for at, row in enumerate(data["Instances"])]
            demos = [_from_row(row, f"{kind}-{at}", kind) for kind, at, row in rows]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataFormatError(
                f"{path} is not a task file of Natural Instructions ({error!r}); it needs "
                "Definition, Positive Examples and Instances"
            ) from error
        return cls(path.name.removesuffix(".json"), instruction or definition.strip(), demos)

    def to_ni(self, path: Path | str) -> None:
        """Write the task in the schema of Natural Instructions; `from_ni` reads it back.

        Demonstrations with an explanation are its positive examples. Ids are kept in `id`, which
        other readers ignore; scores, ranks and provenance are not part of the format.
        """
        examples = [demo for demo in self.demos if demo.explanation]
        instances = [demo for demo in self.demos if not demo.explanation]
        data = {
            "Definition": [self.instruction],
            "Positive Examples": [
                {
                    "id": demo.id,
                    "input": demo.input,
                    "output": demo.output if not demo.other_outputs else list(demo.outputs),
                    "explanation": demo.explanation,
                }
                for demo in examples
            ],
            "Negative Examples": [],
            "Instances": [
                {"id": demo.id, "input": demo.input, "output": list(demo.outputs)}
                for demo in instances
            ],
        }
        Path(path).write_text(json.dumps(data, ensure_ascii=False, indent=1), "utf-8")

    @property
    def fingerprint(self) -> str:
        """Hash of name, instruction and pool, in order."""
        digest = blake2b(digest_size=8)
        digest.update(json.dumps([self.name, self.instruction, self.labels]).encode())
        for demo in self.demos:
            digest.update(json.dumps([demo.id, demo.input, demo.outputs]).encode())
        return digest.hexdigest()


def _from_row(row: Mapping[str, Any], id: str, kind: str) -> Demo:
    outputs = row["output"]
    outputs = [outputs] if isinstance(outputs, str) else list(outputs)
    if not outputs or not all(isinstance(output, str) for output in outputs):
        raise ValueError(f"{id} has no output")
    return Demo(
        str(row.get("id") or id),
        str(row["input"]),
        outputs[0],
        explanation=str(row.get("explanation", "")),
        other_outputs=tuple(outputs[1:]),
        provenance={"part": kind},
    )
