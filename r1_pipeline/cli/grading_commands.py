"""Commands for anybody's files, and for verdicts that are stored: grade, regrade, screen."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from r1_pipeline.cli.common import (
    HomeOption,
    JsonOption,
    ProfileOption,
    SeedOption,
    command,
    existing_home_settings,
    fail,
    out,
    print_json,
    say,
)
from r1_pipeline.cli.orchestrator import Orchestrator
from r1_pipeline.home import HomeSettings
from r1_pipeline.rewards.answer_extraction import Rule


@command
def grade(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="JSON lines; also .csv, .parquet, .gz, .zst.")
    ],
    to: Annotated[Path | None, typer.Option("--out", help="Verdicts [standard output]; resumed if it exists.")] = None,
    extract: Annotated[
        Rule, typer.Option(help="How answers are found: strict as in training, or also in a sentence.")
    ] = "lenient",
    workers: Annotated[int, typer.Option(min=1, help="Answers judged at once.")] = os.cpu_count() or 1,
) -> None:
    """Grade any file of answers, in order. Example: r1 grade answers.jsonl --out verdicts.jsonl

    In: {"id", "domain": "math|code|choice|...", "answer", "reference", "tests", "language"};
    out: {"id", "outcome", "score", "extracted", "detail", "seconds"}.
    """
    from r1_pipeline.cli.grade import grade_file

    console = Console(stderr=True)
    try:
        tally = grade_file(file, to, workers, console, extract)
    except KeyboardInterrupt:
        fail("interrupted" + ("; the same command resumes here" if to else ""))
    console.print(str(tally), highlight=False, soft_wrap=True)
    if tally.bad:
        fail(f"{tally.bad} bad lines, named above, were left out")


@command
def regrade(
    ctx: typer.Context,
    asset: Annotated[str, typer.Argument(help="An evaluation or a corpus, e.g. evaluation/r1 or sft_corpus.")],
    apply: Annotated[bool, typer.Option("--apply", help="Then make the asset again, as r1 run would.")] = False,
    profile: ProfileOption = None,
    home: HomeOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge what is stored with the verifiers of today; every flipped verdict. Example: r1 regrade evaluation/r1

    Changes nothing without --apply, which judges the stored answers again: nothing is sampled.
    """
    from r1_pipeline.cli.regrade import flip_table, format_regrade, run_regrade

    settings = existing_home_settings(HomeSettings, home, profile=profile, seed=seed)
    result = run_regrade(settings.home, asset, os.cpu_count() or 1)
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        say(format_regrade(result))
        if result.flips:
            out.print(flip_table(result))
    if apply:
        ctx.ensure_object(Orchestrator).run(settings, settings.load().bound.name(asset).asset)


@command
def screen(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON lines, CSV or Parquet.")],
    to: Annotated[Path, typer.Option("--out", help="A new folder for kept rows, dropped rows and counts.")],
    against: Annotated[
        list[Path] | None, typer.Option(exists=True, help="A file of benchmark items; repeatable.")
    ] = None,
    columns: Annotated[list[str] | None, typer.Option(help="A text column [those of known names]; repeatable.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Batches screened at once.")] = os.cpu_count() or 1,
) -> None:
    """Drop held-out text, duplicates, unreadable reasoning. Example: r1 screen my.jsonl --against test.jsonl --out DIR

    DIR gets kept.*, dropped.jsonl (each row with reason and proof) and summary.json, which is also printed.
    Exit code 1: some rows cannot be read and were left out; standard error names them.
    """
    from r1_pipeline.cli.screen import screen_file

    summary = screen_file(file, against or [], columns or [], to, workers)
    print_json(summary)
    if summary["unreadable"]:
        fail(f"{sum(summary['unreadable'].values()):,} rows cannot be read; all others were screened")
