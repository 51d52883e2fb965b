"""Commands that compare: `r1 agree` with outside graders, and `r1 compare` of two versions."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from r1_pipeline.cli.common import HomeOption, JsonOption, command, home_of, print_json, print_table, say
from r1_pipeline.rewards.answer_extraction import Rule


@command
def agree(
    asset: Annotated[list[str], typer.Argument(help="An evaluation, e.g. evaluation/r1, or files of answers.")],
    graders: Annotated[str | None, typer.Option(help="Outside graders, with commas [all that fit].")] = None,
    python: Annotated[
        Path | None, typer.Option(exists=True, help="Interpreter with the graders' packages [one that is made].")
    ] = None,
    to: Annotated[Path | None, typer.Option("--out", help="Folder for all disagreements as JSON and CSV.")] = None,
    show: Annotated[int, typer.Option(min=0, help="Disagreements to print [20].")] = 20,
    extract: Annotated[Rule, typer.Option(help="Answer extraction for files: strict or lenient.")] = "lenient",
    workers: Annotated[int, typer.Option(min=1, help="Answers of files graded in parallel.")] = os.cpu_count() or 1,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Grade stored answers with other projects' graders, and list every disagreement with both readings.

    The graders get an environment of their own, made on first use from pinned packages. Files have the columns `answer`
    and `reference`, or `code` and `gt`, as JSON lines or Parquet.

    Example: r1 agree evaluation/r1 --out DIR
    """
    from r1_pipeline.cli import agree as work

    progress = Console(stderr=True)
    chosen = work.chosen_graders(graders)
    files = [Path(each) for each in asset]
    if all(file.is_file() for file in files):
        environments = home_of(home) / work.ENVIRONMENTS
        made = work.agree_on_files(files, chosen, environments, python, extract, workers, progress.print)
    else:
        made = work.agree_on_evaluation(home_of(home), work.one(asset), chosen, python, progress.print)
        progress.print("stored; the next report shows it")
    for path in work.write_agreement(made, to) if to else []:
        progress.print(str(path), highlight=False, soft_wrap=True)
    if as_json:
        print_json(made.model_dump(mode="json"))
        return
    print_table(work.agreement_table(made))
    say(f"{made.answers:,} answers; on {made.alone:,} every outside grader says the opposite")
    for name, why in made.not_run.items():
        say(f"{name} did not run: {why}")
    if shown := min(show, len(made.disagreements)):
        print_table(work.disagreement_table(made, show))
        say(f"{shown:,} of {len(made.disagreements):,} disagreements; --out DIR writes all")


@command
def compare(
    one: Annotated[str, typer.Argument(help="NAME, NAME@FINGERPRINT, NAME@DIGEST or a directory.")],
    two: Annotated[str, typer.Argument(help="The other one.")],
    other: Annotated[Path | None, typer.Option("--other", help="The home of the second one [the same].")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also list commits, packages and devices.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two artifacts: which recipes, versions and inputs differ, and whether scores do (an exact test).

    Example: r1 compare evaluation/dev1 evaluation/r1
    """
    from r1_pipeline.cli import compare as work

    made = work.run_compare(home_of(home), other, one, two)
    if as_json:
        print_json(made.model_dump(mode="json"))
        return
    say(work.summary(made))
    if any(change.cause or every for change in made.changes):
        print_table(work.change_table(made, every))
    for what in made.unread:
        say(f"not stored, so its own differences are unknown: {what}")
    if made.scores:
        print_table(work.score_table(made))
