"""Commands that grade and screen: `r1 grade` and `screen` for any file, `regrade` for stored verdicts."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from r1_pipeline.cli.common import (
    CsvOption,
    HomeOption,
    JsonOption,
    ProfileOption,
    SeedOption,
    SetOption,
    command,
    existing_home_settings,
    fail,
    home_of,
    print_csv,
    print_json,
    print_table,
    say,
)
from r1_pipeline.cli.orchestrator import Orchestrator
from r1_pipeline.home import HomeSettings
from r1_pipeline.rewards.answer_extraction import Rule


@command
def grade(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Answers: JSON lines, also .csv, .parquet, .gz, .zst.")
    ],
    to: Annotated[
        Path | None, typer.Option("--out", help="File of verdicts, resumed if it exists [standard output].")
    ] = None,
    extract: Annotated[
        Rule, typer.Option(help="Answer extraction: strict as in training, or lenient, also from a sentence.")
    ] = "lenient",
    workers: Annotated[int, typer.Option(min=1, help="Number of answers graded in parallel.")] = os.cpu_count() or 1,
) -> None:
    """Grade the answers of any file, in order.

    In: {"id", "domain": "math|code|choice|...", "answer", "reference", "tests", "language"}; out: {"id", "outcome",
    "score", "extracted", "detail", "seconds"}.

    Example: r1 grade answers.jsonl --out verdicts.jsonl
    """
    from r1_pipeline.cli.grade import grade_file

    console = Console(stderr=True)
    try:
        tally = grade_file(file, to, workers, console, extract)
    except KeyboardInterrupt:
        fail("interrupted" + ("; run the same command again to resume" if to else ""))
    console.print(str(tally), highlight=False, soft_wrap=True)
    if tally.bad:
        fail(f"{tally.bad} bad lines were skipped; see above")


@command
def regrade(
    ctx: typer.Context,
    asset: Annotated[
        str,
        typer.Argument(help="An evaluation, a corpus or a reinforced model, e.g. evaluation/r1, sft_corpus, r1_zero."),
    ],
    apply: Annotated[
        bool, typer.Option("--apply", help="Make the asset again from the stored answers, as r1 run would.")
    ] = False,
    profile: ProfileOption = None,
    home: HomeOption = None,
    seed: SeedOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Grade stored answers again with the present verifiers and list every verdict that changes.

    Nothing is changed without --apply, which makes the asset again from the stored answers; nothing is sampled.

    Example: r1 regrade evaluation/r1
    """
    from r1_pipeline.cli.regrade import flip_table, format_regrade, run_regrade

    settings = existing_home_settings(HomeSettings, home, profile=profile, seed=seed, set=overrides)
    result = run_regrade(settings.home, asset, os.cpu_count() or 1)
    if as_csv:
        print_csv(flip.model_dump(mode="json") for flip in result.flips)
    elif as_json:
        print_json(result.model_dump(mode="json"))
    else:
        say(format_regrade(result))
        if result.flips:
            print_table(flip_table(result))
    if apply and result.rewards is not None:
        fail(f"no model is made from stored rollouts; r1 run --select {asset} trains it again if its verifiers changed")
    if apply:
        ctx.ensure_object(Orchestrator).run(settings, settings.load().bound.name(asset).asset)


@command
def suspects(
    asset: Annotated[
        str, typer.Argument(help="An evaluation, a sampled corpus or a reinforced model, e.g. evaluation/r1.")
    ],
    share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of a problem's samples that must agree on one answer [0.6].")
    ] = 0.6,
    samples: Annotated[int, typer.Option(min=2, help="Samples that a problem must have [4].")] = 4,
    home: HomeOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """List problems whose samples agree with each other and not with the reference, which may be wrong.

    Nothing is changed; `excluded` in the recipe of a problem set leaves problems out by their ids.

    Example: r1 suspects evaluation/r1
    """
    from r1_pipeline.cli.suspects import find_suspects, suspect_table

    found = find_suspects(home_of(home), asset, share, samples)
    if as_csv:
        print_csv(each.model_dump(mode="json") for each in found)
    elif as_json:
        print_json([each.model_dump() for each in found])
    elif found:
        print_table(suspect_table(found))
    else:
        say(f"no suspect reference among the problems of {asset}")


@command
def screen(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Rows to screen: JSON lines, CSV or Parquet.")
    ],
    to: Annotated[Path, typer.Option("--out", help="New or empty directory for kept rows, dropped rows and counts.")],
    against: Annotated[
        list[Path] | None, typer.Option(exists=True, help="File of benchmark items; repeatable.")
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option(help="Text column; repeatable [columns with well-known names].")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of batches screened in parallel.")] = os.cpu_count() or 1,
) -> None:
    """Remove benchmark text, duplicates and unreadable reasoning from a file.

    DIR receives kept.*, dropped.jsonl (each row with its reason and proof) and summary.json, which is also printed.
    Exit code 1 means that some rows could not be read; standard error names them.

    Example: r1 screen my.jsonl --against test.jsonl --out DIR
    """
    from r1_pipeline.cli.screen import screen_file

    summary = screen_file(file, against or [], columns or [], to, workers)
    print_json(summary)
    if summary["unreadable"]:
        fail(f"{sum(summary['unreadable'].values()):,} rows are unreadable; all others were screened")
