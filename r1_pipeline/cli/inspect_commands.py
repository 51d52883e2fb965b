"""Commands that inspect the artifacts of a home: `r1 trace`, `audit`, `export` and `report`."""

import json
import sys
import webbrowser
from pathlib import Path
from typing import Annotated, Literal

import typer

from r1_pipeline.cli import report_summary
from r1_pipeline.cli.common import (
    CsvOption,
    HomeOption,
    JsonOption,
    command,
    existing_home_settings,
    fail,
    home_of,
    library_of,
    out,
    print_csv,
    print_json,
    print_table,
    say,
)
from r1_pipeline.evaluation.rollout_health import Example
from r1_pipeline.home import HomeSettings


@command
def trace(
    what: Annotated[
        str,
        typer.Argument(
            help="A sample_id or rollout_id; a model with --sources or --rollouts; "
            "a sample_id, source or licence with --models."
        ),
    ],
    sources: Annotated[
        bool, typer.Option("--sources", help="List the sources and licences that the model was trained on.")
    ] = False,
    models: Annotated[
        bool, typer.Option("--models", help="List the models that were trained on this row, source or licence.")
    ] = False,
    rollouts: Annotated[
        bool, typer.Option("--rollouts", help="List the sources of the rollouts that the model was reinforced with.")
    ] = False,
    page: Annotated[Path | None, typer.Option(help="Write the trace of a row to this HTML page.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Trace a row or rollout to its origin, a model to its sources, or a row or licence to the models trained on it.

    Example: r1 trace Apache-2.0 --models
    """
    from r1_pipeline.cli.trace import render_trace, run_trace, write_page

    result = run_trace(library_of(home), what, sources=sources, models=models, rollouts=rollouts)
    if page is not None:
        write_page(result, page)
    if as_csv:
        if not isinstance(result, list):
            fail("a trace is a tree, not rows; use --json, or --csv with --sources, --models or --rollouts")
        print_csv(row.model_dump(mode="json") for row in result)
    elif as_json:
        print_json([row.model_dump() for row in result] if isinstance(result, list) else result.model_dump())
    elif page is not None:
        say(f"trace: {page}")
    else:
        print_table(render_trace(result))


@command
def rollouts(
    model: Annotated[str, typer.Argument(help="A reinforced model, e.g. r1_zero.")],
    show: Annotated[
        Example | None,
        typer.Option(help="List rollouts: best, worst, longest, or unearned (rewarded though not correct)."),
    ] = None,
    live: Annotated[bool, typer.Option("--follow", help="Watch a run that is in progress.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Show the rollouts that a model was reinforced with: measures by step, warnings, examples.

    Example: r1 rollouts r1_zero --show unearned
    """
    from r1_pipeline.cli.rollouts import example_lines, follow, health_table, reinforced_model
    from r1_pipeline.evaluation.rollout_health import examples, health

    if live:
        for line in follow(home_of(home), model):
            say(line)
        return
    found_model = reinforced_model(library_of(home), model)
    rows = found_model.rollouts()
    if show is not None:
        if as_csv:
            print_csv(examples(rows, show).to_dicts())
        elif as_json:
            print_json(examples(rows, show).to_dicts())
        else:
            for line in example_lines(rows, show):
                out.print(line, highlight=False, soft_wrap=True)
        return
    found = health(rows, found_model.metrics())
    if as_csv:
        print_csv(each.model_dump(mode="json") for each in found.periods)
        return
    if as_json:
        print_json(found.model_dump())
        return
    print_table(health_table(found))
    for warning in found.warnings:
        out.print(f"[yellow]warning:[/] {warning}", highlight=False, soft_wrap=True)


@command
def audit(
    asset: Annotated[
        str | None, typer.Argument(help="NAME, NAME@FINGERPRINT or a directory; all artifacts if omitted.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Grade every row again, and search every row for held-out text.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Recompute every digest, count and verdict of an artifact and of everything upstream.

    Example: r1 audit sft_corpus
    """
    from r1_pipeline.cli.audit import format_audit, run_audit

    result = run_audit(home_of(home), asset, full)
    if as_csv:
        print_csv(finding.model_dump(mode="json") for finding in result.findings)
    elif as_json:
        print_json(result.model_dump())
    else:
        out.print(format_audit(result), highlight=False, soft_wrap=True)
    if result.findings:
        raise SystemExit(1)


@command
def export(
    asset: Annotated[str, typer.Argument(help="NAME or NAME@FINGERPRINT.")],
    target: Annotated[Path, typer.Argument(help="A new or empty directory.")],
    rollouts: Annotated[
        bool, typer.Option("--rollouts", help="Export the rollouts that the model was reinforced with, as a data set.")
    ] = False,
    log: Annotated[
        Literal["inspect", "lighteval"] | None, typer.Option(help="An evaluation as a log of inspect_ai or lighteval.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export an artifact to a directory that datasets, Polars or transformers can read, with a card.

    With --log, an evaluation becomes a log that other projects' viewers read.

    Example: r1 export sft_corpus OUT
    """
    from r1_pipeline.artifacts.kinds import EvalReport, open_artifact
    from r1_pipeline.lineage import export as exports
    from r1_pipeline.lineage.logs import write_log

    library = library_of(home)
    found = library.find(asset)
    if log is not None:
        report = open_artifact(found.path)
        if not isinstance(report, EvalReport):
            fail(f"{asset} is a {found.kind}; only an evaluation can be a log")
        names = list(write_log(library, report, log, target))
    else:
        names = list((exports.export_rollouts if rollouts else exports.export)(library, found, target))
    files = [f"{target}/{name}" for name in names]
    print_json(files) if as_json else say("\n".join(files))


@command
def report(
    home: HomeOption = None,
    as_json: JsonOption = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with code 1 if a bar is missed or a gate failed.")
    ] = False,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the web browser.")] = False,
) -> None:
    """Print the path of the newest report, open it, print its numbers, or check its claims.

    Example: r1 report --check
    """
    directory = existing_home_settings(HomeSettings, home).report_directory
    path = directory / ("report.json" if as_json or check else "report.html")
    if not path.is_file():
        fail(f"no report in {directory}; run: r1 run")
    if show:
        page = path.with_name("report.html")
        if not webbrowser.open(page.as_uri()):
            fail(f"no web browser could be started; open {page}")
    if not check:
        sys.stdout.write(path.read_text(encoding="utf-8") if as_json else f"{path}\n")
        return
    numbers = json.loads(path.read_text(encoding="utf-8"))
    if not numbers.get("bars"):
        fail(f"the report of the profile {numbers['profile']} makes no claims to check; run the profile tiny: r1 run")
    for line in report_summary.summary(numbers):
        say(line)
    if failed := len(report_summary.failures(numbers)):
        fail(f"{failed} of the claims of {path} do not hold; see above")
