"""Commands that run the graph and show its state: `r1 run` and `r1 status`."""

import json
import os
from typing import Annotated

import typer
from rich.console import Console

from dagster_defs.settings import Settings
from r1_pipeline.cli import report_summary
from r1_pipeline.cli.common import (
    HomeOption,
    JsonOption,
    ProfileOption,
    RecipeOption,
    SeedOption,
    SetOption,
    SourcesOption,
    command,
    existing_home_settings,
    fail,
    out,
    print_json,
    say,
    say_overrides,
    settings_of,
)
from r1_pipeline.home import OWN_DATA_PROFILE, require_writable


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
) -> None:
    """Run the graph, or a part of it; finished work is reused.

    Example: r1 run --profile tiny --select +r1
    """
    import time

    from dagster_defs.runner.run import run as run_graph
    from r1_pipeline.cli.progress import ProgressObserver
    from r1_pipeline.rewards.reference_checks import require_programs
    from r1_pipeline.rewards.sandbox.self_test import sandbox_problem

    named = profile or os.environ.get("R1_PROFILE")
    settings = settings_of(Settings, home, profile=profile, seed=seed, sources=sources, recipe=recipe, set=overrides)
    started = time.monotonic()
    require_writable(settings.home)
    if settings.sources and not named:
        say(f"no profile is named and {settings.sources.name} has your own data: {OWN_DATA_PROFILE} (see r1 plan)")
    say(f"r1 run: profile {settings.profile}, seed {settings.seed}, home {settings.home}")
    say_overrides(settings.load())
    require_programs(settings.home)
    if problem := sandbox_problem():
        say(f"code problems are left out: {problem}")
    with ProgressObserver(out) as progress:
        try:
            failure = run_graph(settings, select, [progress])
        except KeyboardInterrupt:
            fail("interrupted; finished assets are kept, and the next run resumes from the last checkpoint")
    seconds = time.monotonic() - started
    if failure:
        fail(f"{failure.asset}: {failure.reason}; finished assets are kept: fix the cause and run again")
    say(f"{len(progress.computed)} computed, {len(progress.reused_names)} reused, {seconds:.1f} s")
    page = settings.report_directory / "report.html"
    if page.exists():
        if select is None:  # a partial run may leave an older report
            for line in report_summary.summary(json.loads(page.with_name("report.json").read_text(encoding="utf-8"))):
                say(line)
        say(f"report: {page}")


@command
def status(
    profile: ProfileOption = None,
    home: HomeOption = None,
    seed: SeedOption = None,
    sources: SourcesOption = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
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
    if as_json:
        print_json([state.model_dump() for state in states])
        return
    say_overrides(settings.load())
    Console(width=max(out.width, 140)).print(status_table(states))
    for line in summary(states, settings.load()):
        say(line)
