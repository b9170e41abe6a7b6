"""The options of commands that ask a language model, and the harvester that they describe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from harvest.errors import InputError

if TYPE_CHECKING:
    from harvest.llm.demonstrations import Demonstrations
    from harvest.llm.harvester import LLMHarvester
    from harvest.llm.local import LocalHarvester
    from harvest.llm.settings import Settings
    from kg.schema import Schema
    from kg.store.protocol import GraphStore

__all__ = [
    "AnswerTokens",
    "BaseUrl",
    "BudgetText",
    "ChunkTokens",
    "Concurrency",
    "Demos",
    "DemosFrom",
    "DemosRetriever",
    "Model",
    "PriceText",
    "RequestsPerMinute",
    "Shown",
    "Timeout",
    "TokensPerMinute",
    "UnknownRelations",
    "llm_harvester",
    "llm_settings",
    "local_harvester",
    "refuse_llm_options",
]

_PANEL: Final = "With a language model (--with llm, --with local)"

Model = Annotated[
    str | None,
    typer.Option(
        help="The model, as the endpoint knows it. With --with local: the folder, id or GGUF file "
        "of a causal language model; default: the installed SmolLM2.",
        rich_help_panel=_PANEL,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        help="An OpenAI-compatible endpoint, as http://localhost:8000/v1. The key comes from "
        "OPENAI_API_KEY, in the environment or in .env.",
        rich_help_panel=_PANEL,
    ),
]
BudgetText = Annotated[
    str | None,
    typer.Option(
        "--budget",
        help="Stop before more is used, as 2.50usd or 200000tokens; exit code 3.",
        rich_help_panel=_PANEL,
    ),
]
PriceText = Annotated[
    str | None,
    typer.Option(
        "--price",
        help="PROMPT/ANSWER in US dollars for a million tokens, as 0.15/0.60; default: a table.",
        rich_help_panel=_PANEL,
    ),
]
Concurrency = Annotated[
    int | None, typer.Option(min=1, help="Calls at the same time; 8.", rich_help_panel=_PANEL)
]
RequestsPerMinute = Annotated[
    float | None, typer.Option(min=0, help="At most so many calls.", rich_help_panel=_PANEL)
]
TokensPerMinute = Annotated[
    float | None, typer.Option(min=0, help="At most so many tokens.", rich_help_panel=_PANEL)
]
Timeout = Annotated[
    float | None, typer.Option(min=0, help="Seconds for one call; 120.", rich_help_panel=_PANEL)
]
ChunkTokens = Annotated[
    int | None,
    typer.Option(min=20, help="Size of the parts of a document; 800.", rich_help_panel=_PANEL),
]
AnswerTokens = Annotated[
    int | None, typer.Option(min=1, help="Longest answer; 2048.", rich_help_panel=_PANEL)
]
UnknownRelations = Annotated[
    Literal["drop", "keep"] | None,
    typer.Option(
        help="What to do with relations that the schema does not have; drop.",
        rich_help_panel=_PANEL,
    ),
]

Demos = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Show N sentences of the graph with their statements before each passage.",
        rich_help_panel=_PANEL,
    ),
]
DemosFrom = Annotated[
    str | None,
    typer.Option(
        metavar="GRAPH", help="With --demos: take them from this graph.", rich_help_panel=_PANEL
    ),
]
DemosRetriever = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FOLDER",
        help="With --demos: bm25 (default), tfidf, minilm or a trained encoder's folder.",
        rich_help_panel=_PANEL,
    ),
]


def refuse_llm_options(flags: Mapping[str, Any], *, needs: str = "--with llm") -> None:
    """Refuse options of the language model where none is asked.

    Args:
        flags: by name; None means that it was not given.
        needs: the option that asks for a model.

    Raises:
        InputError: one of them was given.
    """
    given = [name for name, value in flags.items() if value is not None]
    if given:
        option = given[0].replace("_", "-")
        raise InputError(f"--{option} is for {needs}: add that, or leave the option out")


def llm_settings(flags: Mapping[str, Any]) -> Settings:
    """Return the settings of a command line, with environment and `.env` behind the flags.

    Raises:
        InputError: they make no sense; says which.
    """
    from harvest.llm.settings import Settings

    return Settings.resolve(flags, dotenv=Path(".env"))


@dataclass(frozen=True, slots=True)
class Shown:
    """Which demonstrations a command line asks for."""

    #: How many; None for none.
    demos: int | None = None
    demos_from: str | None = None
    demos_retriever: str | None = None

    def __post_init__(self) -> None:
        """Refuse options that say how to choose what is not asked for.

        Raises:
            InputError: one of them without `--demos`.
        """
        if self.demos is None:
            refuse_llm_options(
                {"demos_from": self.demos_from, "demos_retriever": self.demos_retriever},
                needs="--demos N",
            )

    def read(self, graph: GraphStore | None, schema: Schema | None) -> Demonstrations | None:
        """Return the demonstrations; they are read now, and the graph not any more afterwards.

        Raises:
            InputError: there is nothing to show.
            NotFound: there is no graph of the name `demos_from`.
        """
        if self.demos is None:
            return None
        from harvest.extraction.harvester import shipped_schema
        from harvest.llm.demonstrations import Demonstrations
        from kg.store.open import open_graph

        other = self.demos_from and open_graph(self.demos_from, create=False)
        source = other or graph
        if source is None:
            raise InputError(
                "the graph is not there yet, so it has nothing to show: name another one with "
                "--demos-from, or leave out --demos"
            )
        try:
            return Demonstrations.of(
                source,
                schema or shipped_schema(),
                k=self.demos,
                retriever=self.demos_retriever or "bm25",
            )
        finally:
            if other:
                other.close()


@contextmanager
def llm_harvester(
    settings: Settings,
    *,
    graph: GraphStore | None,
    schema: Schema | None,
    threshold: float | None,
    include_hedged: bool,
    unknown_relations: Literal["drop", "keep"] | None,
    shown: Shown,
) -> Iterator[LLMHarvester]:
    """Give the harvester of a command line; answers are kept in the graph's home folder."""
    from harvest.llm.harvester import LLMHarvester
    from harvest.responses import ResponseCache

    demonstrations = shown.read(graph, schema)
    with (
        closing(ResponseCache.beside(None if graph is None else graph.home)) as cache,
        LLMHarvester(
            settings.open(cache),
            schema,
            chunk_tokens=settings.chunk_tokens,
            threshold=threshold or 0.0,
            include_hedged=include_hedged,
            unknown_relations=unknown_relations or "drop",
            demonstrations=demonstrations,
        ) as harvester,
    ):
        yield harvester


def local_harvester(
    model: str | None,
    *,
    schema: Schema | None,
    threshold: float | None,
    demonstrations: Demonstrations | None,
) -> LocalHarvester:
    """Return the harvester of a command line that reads with a model on this machine."""
    from harvest.llm.local import SMOLLM2, LocalHarvester
    from retrieval.causal_lm import CausalLM

    return LocalHarvester(
        CausalLM.load(model),
        schema,
        name=Path(model).name if model else SMOLLM2,
        threshold=threshold or 0.0,
        demonstrations=demonstrations,
    )
