"""Commands that run the graph and show its state: `r1 run` and `r1 status`."""

import json
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from dagster_defs.settings import Settings
from r1_pipeline.cli import report_summary
from r1_pipeline.cli.common import (
    CsvOption,
    HomeOption,
    JsonOption,
    ProfileOption,
    RecipeOption,
    SeedOption,
    SetOption,
    SourcesOption,
    chosen_settings,
    command,
    existing_home_settings,
    fail,
    out,
    print_csv,
    print_json,
    print_table,
    say,
    say_overrides,
)
from r1_pipeline.home import OWN_DATA_PROFILE, require_writable

if TYPE_CHECKING:
    from dagster_defs.runner.executor import Failure
    from r1_pipeline.cli.progress import ProgressObserver


@command
def run(
    profile: ProfileOption = None,
    select: Annotated[
        str | None, typer.Option(help="Assets to make, e.g. r1_zero, or +r1 with everything upstream [all].")
    ] = None,
    home: HomeOption = None,
    seed: SeedOption = None,
    sources: SourcesOption = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the graph, or a part of it; finished work is reused.

    With --json, progress is on standard error and the result on standard output.

    Example: r1 run --profile tiny --select +r1
    """
    console = Console(stderr=True) if as_json else out
    named = profile or os.environ.get("R1_PROFILE")
    settings = chosen_settings(
        Settings, home, profile=profile, seed=seed, sources=sources, recipe=recipe, set=overrides
    )
    started = time.monotonic()

    def tell(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    require_writable(settings.home)
    if settings.sources and not named:
        tell(f"no profile is named and {settings.sources.name} has your own data: {OWN_DATA_PROFILE} (see r1 plan)")
    tell(f"r1 run: profile {settings.profile}, seed {settings.seed}, home {settings.home}")
    loaded = settings.load()
    for each in loaded.overrides:
        tell(f"set: {each}")
    tell(f"checks {select or f'{len(loaded.bound.names)} assets'}: recipe, inputs and gates; what is fresh is reused")
    from r1_pipeline.cli.progress import ProgressObserver
    from r1_pipeline.planning.plan import planned_hours

    with ProgressObserver(console, planned_hours(loaded)) as progress:
        failure = _run(settings, select, progress, tell)
    seconds = time.monotonic() - started
    page = settings.report_directory / "report.html"
    if as_json:
        failed = {"asset": failure.asset, "reason": failure.reason} if failure else None
        print_json(
            {
                "computed": progress.computed,
                "reused": progress.reused_names,
                "seconds": round(seconds, 1),
                "failure": failed,
                "report": str(page) if page.exists() else None,
            }
        )
    if failure:
        fail(f"{failure.asset}: {failure.reason}; finished assets are kept: fix the cause and run again")
    tell(f"{len(progress.computed)} computed, {len(progress.reused_names)} reused, {seconds:.1f} s")
    if page.exists():
        if select is None:  # a partial run may leave an older report
            for line in report_summary.summary(json.loads(page.with_name("report.json").read_text(encoding="utf-8"))):
                tell(line)
        tell(f"report: {page}")


def _run(
    settings: Settings, select: str | None, progress: "ProgressObserver", tell: Callable[[str], None]
) -> "Failure | None":
    """Runs the graph after a look at the sandbox; returns the first failure."""
    from dagster_defs.runner.run import run as run_graph
    from r1_pipeline.rewards.reference_checks import require_programs
    from r1_pipeline.rewards.sandbox.self_test import sandbox_problem

    require_programs(settings.home)
    if problem := sandbox_problem():
        tell(f"code problems are left out: {problem}")
    try:
        return run_graph(settings, select, [progress])
    except KeyboardInterrupt:
        fail("interrupted; finished assets are kept, and the next run resumes from the last checkpoint")


@command
def status(
    profile: ProfileOption = None,
    home: HomeOption = None,
    seed: SeedOption = None,
    sources: SourcesOption = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Show the state of every asset, the reason, and the device hours that a re-run would take.

    States are fresh, stale, missing and failed gate.

    Example: r1 status
    """
    from dagster_defs.cli.status import asset_states, status_table, summary

    settings = existing_home_settings(
        Settings, home, profile=profile, seed=seed, sources=sources, recipe=recipe, set=overrides
    )
    states = asset_states(settings)
    if as_json or as_csv:
        rows = [state.model_dump(mode="json") for state in states]
        print_csv(rows) if as_csv else print_json(rows)
        return
    say_overrides(settings.load())
    print_table(status_table(states))
    for line in summary(states, settings.load()):
        say(line)
