"""Commands that make the graph and say how it stands: run, status, plan, cost, report, chat."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from dagster_defs.cli.common import (
    HomeOption,
    JsonOption,
    ProfileOption,
    RecipeOption,
    SeedOption,
    SourcesOption,
    app,
    fail,
    kept_in,
    out,
    print_json,
    say,
    settings_of,
)
from dagster_defs.settings import require_writable

if TYPE_CHECKING:
    from r1_pipeline.records import Completion


@app.command()
def run(
    profile: ProfileOption = None,
    select: Annotated[str | None, typer.Option(help="Assets, e.g. r1_zero or +r1 (with all upstream).")] = None,
    home: HomeOption = None,
    seed: SeedOption = None,
    sources: SourcesOption = None,
    recipe: RecipeOption = None,
) -> None:
    """Materialize the graph; what is done already is not done again. Example: r1 run --profile tiny --select +r1"""
    import time

    from dagster_defs.cli.console import ConsoleObserver
    from dagster_defs.running.run import run as run_graph
    from r1_pipeline.rewards.references import require_programs
    from r1_pipeline.rewards.sandbox.self_test import sandbox_problem

    settings = settings_of(home, profile, seed, sources, recipe)
    started = time.monotonic()
    require_writable(settings.home)
    say(f"r1 run: profile {settings.profile}, seed {settings.seed}, home {settings.home}")
    require_programs(settings.home)
    if problem := sandbox_problem():
        say(f"no code problems: {problem}")
    with ConsoleObserver(out) as watching:
        try:
            failure = run_graph(settings, select, [watching])
        except KeyboardInterrupt:
            fail("interrupted; everything finished is kept, the next run goes on from the last checkpoint")
    seconds = time.monotonic() - started
    if failure:
        fail(f"{failure.asset}: {failure.reason}; everything finished is kept, fix the cause and run again")
    say(f"{len(watching.computed)} computed, {len(watching.taken)} reused, {seconds:.1f} s")
    page = settings.report_directory / "report.html"
    if page.exists():
        say(f"report: {page}")


@app.command()
def status(
    profile: ProfileOption = None,
    home: HomeOption = None,
    seed: SeedOption = None,
    sources: SourcesOption = None,
    recipe: RecipeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Every asset: fresh, stale and why, missing, or rejected by a gate; hours to make it again. Example: r1 status"""
    from dagster_defs.cli.status import status_table, summary, survey

    settings = kept_in(home, profile, seed, sources, recipe)
    states = survey(settings)
    if as_json:
        print_json([state.model_dump() for state in states])
        return
    Console(width=max(out.width, 140)).print(status_table(states))
    for line in summary(states, settings.load()):
        say(line)


@app.command()
def plan(
    profile: ProfileOption = None,
    accelerator: Annotated[str | None, typer.Option(help="h800, h100, h200, a100, cpu-core [the profile's].")] = None,
    recipe: RecipeOption = None,
    as_json: JsonOption = False,
) -> None:
    """What a profile would cost, stage by stage; runs nothing. Example: r1 plan --profile paper"""
    from dagster_defs.cli.plan import published_table, stage_table, summary
    from r1_pipeline.planning.plan import plan as plan_profile

    settings = settings_of(None, profile, recipe=recipe)
    planned = plan_profile(settings.load(), accelerator, compare=settings.profile == "paper")
    if as_json:
        print_json(planned.as_json())
        return
    wide = Console(width=max(out.width, 150))
    wide.print(stage_table(planned))
    if planned.published:
        wide.print("", published_table(planned))
    say("\n".join(["", *summary(planned)]))


@app.command()
def cost(
    model: Annotated[str, typer.Argument(help="A checkpoint of the graph, e.g. r1 or distilled/qwen.")],
    home: HomeOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """What a model has cost, stage by stage along its lineage, beside the plan. Example: r1 cost r1"""
    from dagster_defs.cli.cost import cost_of, cost_table

    spent = cost_of(kept_in(home, profile), model)
    if as_json:
        print_json(spent.model_dump())
    else:
        out.print(cost_table(spent))


@app.command()
def report(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Path of the newest report, or its numbers. Example: r1 report --json"""
    directory = kept_in(home).report_directory
    path = directory / ("report.json" if as_json else "report.html")
    if not path.is_file():
        fail(f"no report in {directory}; make one: r1 run")
    sys.stdout.write(path.read_text(encoding="utf-8") if as_json else f"{path}\n")


@app.command()
def chat(
    model: Annotated[str, typer.Argument(help="A checkpoint of the graph, e.g. r1 or distilled/qwen.")],
    prompt: Annotated[
        str | None, typer.Option(help="Ask this and leave; else a dialogue, one question a line.")
    ] = None,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.6,
    profile: ProfileOption = None,
    home: HomeOption = None,
) -> None:
    """Talk to a checkpoint. Example: r1 chat r1 --prompt "What is 3 + 5 - 2?" """
    from dagster_defs.cli.chat import partner

    with partner(kept_in(home, profile), model, temperature) as other:
        if prompt is not None:
            _tell(other.answer(prompt))
            return
        say(f"{model} ({other.digest[:12]}); an empty line ends.")
        while line := _ask():
            _tell(other.answer(line))


def _tell(reply: "Completion") -> None:
    sys.stdout.write(reply.text.strip() + "\n")
    if reply.finish_reason == "length":
        Console(stderr=True).print(f"cut off after {len(reply.token_ids)} tokens, the profile's limit", highlight=False)


def _ask() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        return ""
