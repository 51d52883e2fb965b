"""Commands that ask what is there, of the folder alone: trace, audit, export, report."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from r1_pipeline.cli import report_summary
from r1_pipeline.cli.common import (
    HomeOption,
    JsonOption,
    command,
    existing_home_settings,
    fail,
    home_of,
    library_of,
    out,
    print_json,
    say,
)
from r1_pipeline.home import HomeSettings


@command
def trace(
    what: Annotated[str, typer.Argument(help="A sample_id; a model with --sources; with --models anything in a row.")],
    sources: Annotated[bool, typer.Option("--sources", help="Which sources and licences made this model.")] = False,
    models: Annotated[bool, typer.Option("--models", help="Which models learned from this row or licence.")] = False,
    page: Annotated[Path | None, typer.Option(help="Write the trace of a row as a page.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Where a row comes from, what made a model, who learned from it. Example: r1 trace Apache-2.0 --models"""
    from r1_pipeline.cli.trace import render_trace, run_trace, write_page

    result = run_trace(library_of(home), what, sources=sources, models=models)
    if page is not None:
        write_page(result, page)
    if as_json:
        print_json([row.model_dump() for row in result] if isinstance(result, list) else result.model_dump())
    elif page is not None:
        say(f"trace: {page}")
    else:
        out.print(render_trace(result), highlight=False)


@command
def audit(
    asset: Annotated[
        str | None, typer.Argument(help="NAME, NAME@FINGERPRINT or a folder; all artifacts if left out.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Judge every row again, search every row for held-out text.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute every digest, count and verdict of an artifact and all upstream. Example: r1 audit sft_corpus"""
    from r1_pipeline.cli.audit import format_audit, run_audit

    result = run_audit(home_of(home), asset, full)
    if as_json:
        print_json(result.model_dump())
    else:
        out.print(format_audit(result), highlight=False, soft_wrap=True)
    if result.findings:
        raise SystemExit(1)


@command
def export(
    asset: Annotated[str, typer.Argument(help="NAME or NAME@FINGERPRINT.")],
    target: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    home: HomeOption = None,
) -> None:
    """A folder that datasets, Polars or transformers read, card included. Example: r1 export sft_corpus OUT"""
    from r1_pipeline.lineage.export import export as export_artifact

    library = library_of(home)
    for name in export_artifact(library, library.find(asset), target):
        say(f"{target}/{name}")


@command
def report(
    home: HomeOption = None,
    as_json: JsonOption = False,
    check: Annotated[
        bool, typer.Option("--check", help="Leave with 1 where a bar is missed or a gate failed.")
    ] = False,
) -> None:
    """Path of the newest report, its numbers, or whether its claims hold. Example: r1 report --check"""
    directory = existing_home_settings(HomeSettings, home).report_directory
    path = directory / ("report.json" if as_json or check else "report.html")
    if not path.is_file():
        fail(f"no report in {directory}; make one: r1 run")
    if not check:
        sys.stdout.write(path.read_text(encoding="utf-8") if as_json else f"{path}\n")
        return
    numbers = json.loads(path.read_text(encoding="utf-8"))
    if not numbers.get("bars"):
        fail(f"the report of the profile {numbers['profile']} makes no claims to check; only tiny's does: r1 run")
    for line in report_summary.summary(numbers):
        say(line)
    if failed := len(report_summary.failures(numbers)):
        fail(f"{failed} of the claims of {path} do not hold; each is named above")
