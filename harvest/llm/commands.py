"""The command `resolve`: merge entities that are one thing, if wanted with a model as the judge.

A thin layer over `kg.resolution.resolve`. It lives here because it lends `kg` an encoder and a
language model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from harvest.errors import InputError
from harvest.llm import options
from kg.presentation import clean, plain, print_json
from kg.reporting import report_errors
from retrieval.cleaning.options import (
    DryRun,
    Encoder,
    EncoderOption,
    Graph,
    Json,
    SchemaFile,
    Threshold,
    opened,
    print_rows,
    schema_of,
    way_back,
)

if TYPE_CHECKING:
    from harvest.llm.judge import LanguageModelJudge
    from harvest.llm.settings import Settings

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

#: Exit code when a call of the judge left pairs without a verdict.
SOME_FAILED: Final = 1
#: What a shell reports for a process that was stopped by Ctrl-C.
INTERRUPTED: Final = 130
#: Failed calls that are printed, and code points of what the model said; `--json` has all.
SHOWN: Final = 5
SAID: Final = 200


@app.command()
@report_errors
def resolve(
    graph: Graph,
    schema: SchemaFile = None,
    encoder: EncoderOption = Encoder.none,
    threshold: Threshold = None,
    judge: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Ask this language model about the doubtful pairs."),
    ] = None,
    questions: Annotated[
        int | None, typer.Option(min=0, help="Pairs put to the judge at most; 200.")
    ] = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="With --dry-run: ask the judge all the same, which costs.")
    ] = False,
    base_url: options.BaseUrl = None,
    budget: options.BudgetText = None,
    price: options.PriceText = None,
    requests_per_minute: options.RequestsPerMinute = None,
    tokens_per_minute: options.TokensPerMinute = None,
    timeout: options.Timeout = None,
    answer_tokens: options.AnswerTokens = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Merge entities that are one thing; `undo` takes it back.

    With --judge, a pair without a readable verdict stays two and is reported. Verdicts are kept:
    the same command pays for none twice. At the budget, what was found is written.

    Exit codes: 0 done, 1 calls of the judge failed, 2 usage, 3 budget reached, 4 graph or endpoint
    cannot be reached, 130 stopped.
    """
    from kg.resolution import ResolutionOptions
    from kg.resolution import resolve as resolve_entities
    from retrieval.cleaning.evaluations import encoder_of

    settings = _settings(
        {
            "model": judge,
            "base_url": base_url,
            "budget": budget,
            "price": price,
            "requests_per_minute": requests_per_minute,
            "tokens_per_minute": tokens_per_minute,
            "timeout": timeout,
            "answer_tokens": answer_tokens,
        },
        questions=questions,
        ask=ask,
        dry_run=dry_run,
    )
    encode, fingerprint = encoder_of(encoder.value)
    limits = ResolutionOptions()
    if threshold is not None:
        limits = replace(limits, cosine=threshold)
    if questions is not None:
        limits = replace(limits, questions=questions)
    try:
        with opened(graph) as store, _judge(settings, store.home, ask or not dry_run) as asked:
            report = resolve_entities(
                store,
                schema=schema_of(schema),
                encode=encode,
                encoder=fingerprint,
                judge=asked,
                judged_by=asked.identity if asked else "",
                options=limits,
                dry_run=dry_run,
            )
    except KeyboardInterrupt:
        typer.echo("stopped: nothing is merged; verdicts that arrived are kept", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if asked is not None:
        # To resolution a pair is asked once the judge has it; here, once the model has a verdict.
        unasked = asked.report["not_asked"]
        report = replace(report, asked=report.asked - unasked, unasked=report.unasked + unasked)
    if json:
        print_json({**plain(report), **({"judge": asked.report} if asked else {})})
    else:
        rows = [
            (
                m.dropped_name,
                "/".join(m.dropped_types),
                m.kept_name,
                "/".join(m.kept_types),
                m.layer,
            )
            for m in report.merges
        ]
        print_rows(("entity", "type", "becomes", "type", "by"), rows)
        for group in report.too_large:
            typer.echo(
                f"left alone, {len(group)} in one group: {clean(', '.join(group[:5]))}, …", err=True
            )
        typer.echo(
            f"{report.entities_before:,} entities, {report.entities_after:,} after "
            f"{len(report.merges):,} merges{way_back(graph, report.run)}"
        )
    if asked is not None:
        _account(asked, unasked=report.unasked)
        if asked.stopped is not None:
            raise asked.stopped
        if asked.failures:
            raise typer.Exit(SOME_FAILED)


def _settings(
    flags: Mapping[str, Any], *, questions: int | None, ask: bool, dry_run: bool
) -> Settings | None:
    """Return the judge's settings, None without `--judge`: the environment alone asks nobody."""
    if flags["model"] is None:
        options.refuse_llm_options(
            {**flags, "questions": questions, "ask": ask or None}, needs="--judge MODEL"
        )
        return None
    if ask and not dry_run:
        raise InputError("--ask is for --dry-run: without that, the judge is asked anyway")
    return options.llm_settings(flags)


@contextmanager
def _judge(
    settings: Settings | None, home: Path | None, ask: bool
) -> Iterator[LanguageModelJudge | None]:
    """Give the judge of a command line; its answers are kept in the graph's home folder."""
    if settings is None:
        yield None
        return
    from harvest.llm.judge import LanguageModelJudge
    from harvest.responses import FILE, ResponseCache

    # Who asks nobody has nothing to keep, and makes no file.
    if not ask and home is not None and not (home / FILE).exists():
        home = None
    with (
        closing(ResponseCache.beside(home)) as cache,
        LanguageModelJudge(settings.open(cache), ask=ask) as judge,
    ):
        yield judge


def _account(judge: LanguageModelJudge, *, unasked: int) -> None:
    """Say on stderr what the judge did: pairs, calls, tokens, money, and what went wrong."""
    found = judge.report
    verdicts = ", ".join(
        f"{found[name]:,} {name}" for name in ("same", "different", "unclear", "unreadable")
    )
    money = "" if found["dollars"] is None else f", ${found['dollars']:,.4f}"
    typer.echo(
        f"judge {clean(found['model'])}: {found['pairs'] - found['not_asked']:,} pairs: {verdicts} "
        f"(only same merges); {found['stored']:,} of them stored; {found['calls']:,} calls, "
        f"{found['prompt_tokens']:,} + {found['output_tokens']:,} tokens{money}",
        err=True,
    )
    if found["not_asked"]:
        typer.echo(
            f"not asked: {found['not_asked']:,} pairs, which would take about "
            f"{found['estimated_tokens']:,} tokens",
            err=True,
        )
    if unasked > found["not_asked"]:
        typer.echo(
            f"{unasked - found['not_asked']:,} pairs more are above the limit; raise --questions",
            err=True,
        )
    for failure in judge.failures[:SHOWN]:
        names = "; ".join(" | ".join(pair) for pair in failure.pairs[:3])
        more = ", …" if len(failure.pairs) > 3 else ""
        typer.echo(
            f"no verdict for {len(failure.pairs):,} pairs ({clean(names)}{more}): "
            f"{clean(failure.reason)}; it said: {clean(failure.text[:SAID]) or '(nothing)'}",
            err=True,
        )
    if len(judge.failures) > SHOWN:
        typer.echo(f"{len(judge.failures) - SHOWN:,} more; --json shows all", err=True)
