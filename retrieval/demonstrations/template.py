r"""How demonstrations and a query become one prompt: the text, and the parts it is made of.

    [header] demo₁ … demo_k query

The parts are encoded one by one and their token ids joined. So a demonstration has the same ids in
every prompt, which lets a scorer compute its keys and values once, and a fast path and a naive one
read the same ids. `demo` and `query` are formats of `str.format`; text in braces inside an example
is never read as a field, because only the template is formatted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from retrieval.demonstrations.task import Demo
from retrieval.errors import QueryShapeError

__all__ = ["Order", "PromptTemplate", "arranged"]

#: "ascending": the best next to the query; "descending": the best first; "given": as they come.
type Order = Literal["ascending", "descending", "given"]


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    r"""The texts of a prompt's parts; the default is the one that UDR scores with.

    Raises:
        QueryShapeError: a format lacks its slot, or has one that is unknown.

    >>> template = PromptTemplate()
    >>> template.prompt("a dull film", [Demo("1", "a gripping film", "great")])
    'a gripping film\tgreat\na dull film\t'
    """

    demo: str = "{input}\t{output}\n"
    query: str = "{input}\t"
    #: Of an answer that is scored after the query. Token ids are those of the parts, so where the
    #: demonstrations read "Answer: {output}", the query ends in "Answer:" and this is " {output}".
    answer: str = "{output}"
    header: str = ""

    def __post_init__(self) -> None:
        try:
            demo = self.demo.format(input="\0i", output="\0o", explanation="")
            if "\0i" not in demo:
                raise KeyError("input")
            if "\0o" not in demo:
                raise KeyError("output")
            if "\0i" not in self.query.format(input="\0i"):
                raise KeyError("input")
            if "\0o" not in self.answer.format(output="\0o"):
                raise KeyError("output")
        except (KeyError, IndexError, ValueError) as error:
            raise QueryShapeError(
                f"a template needs {{input}} and {{output}} in demo ({self.demo!r}; "
                f"{{explanation}} may stand there too), {{input}} in query ({self.query!r}), "
                f"{{output}} in answer ({self.answer!r}), and no other slot ({error})"
            ) from error

    def demonstration(self, demo: Demo) -> str:
        """Return the text of one demonstration."""
        return self.demo.format(input=demo.input, output=demo.output, explanation=demo.explanation)

    def question(self, input: str) -> str:
        """Return the text of a query, up to where its answer begins."""
        return self.query.format(input=input)

    def reply(self, output: str) -> str:
        """Return the text of an answer, as it follows the query."""
        return self.answer.format(output=output)

    def parts(self, input: str, demos: Sequence[Demo]) -> list[str]:
        """Return header, demonstrations and query, in the order of the prompt."""
        head = [self.header] if self.header else []
        return [*head, *map(self.demonstration, demos), self.question(input)]

    def prompt(self, input: str, demos: Sequence[Demo]) -> str:
        """Return the whole prompt as one text."""
        return "".join(self.parts(input, demos))


def arranged(demos: Sequence[Demo], order: Order = "ascending") -> list[Demo]:
    """Return hits (best first) in the order of the prompt.

    >>> [demo.id for demo in arranged([Demo("best", "", ""), Demo("next", "", "")])]
    ['next', 'best']
    """
    if order == "ascending":
        return list(reversed(demos))
    if order in ("descending", "given"):
        return list(demos)
    raise QueryShapeError(f"unknown order {order!r}; choose ascending, descending or given")
