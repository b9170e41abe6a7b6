"""The options of commands that ask a language model, and the harvester that they describe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from harvest.errors import InputError

if TYPE_CHECKING:
    from harvest.llm.harvester import LLMHarvester
    from harvest.llm.settings import Settings
    from kg.schema import Schema

__all__ = [
    "AnswerTokens",
    "BaseUrl",
    "BudgetText",
    "ChunkTokens",
    "Concurrency",
    "Model",
    "PriceText",
    "RequestsPerMinute",
    "Timeout",
    "TokensPerMinute",
    "UnknownRelations",
    "llm_harvester",
    "llm_settings",
    "refuse_llm_options",
]

_PANEL: Final = "With a language model (--with llm)"

Model = Annotated[
    str | None, typer.Option(help="The model, as the endpoint knows it.", rich_help_panel=_PANEL)
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


@contextmanager
def llm_harvester(
    settings: Settings,
    *,
    home: Path | None,
    schema: Schema | None,
    threshold: float | None,
    include_hedged: bool,
    unknown_relations: Literal["drop", "keep"] | None,
) -> Iterator[LLMHarvester]:
    """Give the harvester of a command line; answers are kept in the graph's home folder."""
    from harvest.llm.harvester import LLMHarvester
    from harvest.responses import ResponseCache

    with (
        closing(ResponseCache.beside(home)) as cache,
        LLMHarvester(
            settings.open(cache),
            schema,
            chunk_tokens=settings.chunk_tokens,
            threshold=threshold or 0.0,
            include_hedged=include_hedged,
            unknown_relations=unknown_relations or "drop",
        ) as harvester,
    ):
        yield harvester
