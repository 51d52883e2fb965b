"""Commands about models and profiles: `r1 plan`, `cost` and `chat`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from r1_pipeline.cli.common import (
    HomeOption,
    JsonOption,
    ProfileOption,
    RecipeOption,
    command,
    existing_home_settings,
    out,
    print_json,
    say,
    settings_of,
)
from r1_pipeline.cli.orchestrator import Orchestrator
from r1_pipeline.home import HomeSettings

if TYPE_CHECKING:
    from r1_pipeline.records import Completion


@command
def plan(
    profile: ProfileOption = None,
    accelerator: Annotated[
        str | None, typer.Option(help="Accelerator: h800, h100, h200, a100 or cpu-core [the profile's].")
    ] = None,
    recipe: RecipeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Estimate the cost of a profile, stage by stage, without running anything.

    Example: r1 plan --profile paper
    """
    from r1_pipeline.cli.plan import published_table, stage_table, summary
    from r1_pipeline.planning.plan import plan as plan_profile

    settings = settings_of(HomeSettings, None, profile=profile, recipe=recipe)
    planned = plan_profile(settings.load(), accelerator, compare=settings.profile == "paper")
    if as_json:
        print_json(planned.as_json())
        return
    wide = Console(width=max(out.width, 150))
    wide.print(stage_table(planned))
    if planned.published:
        wide.print("", published_table(planned))
    say("\n".join(["", *summary(planned)]))


@command
def cost(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="A checkpoint of the graph, e.g. r1 or distilled/qwen.")],
    home: HomeOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the actual cost of a model, stage by stage along its lineage, next to the plan.

    Example: r1 cost r1
    """
    from r1_pipeline.cli.cost import cost_of, cost_table

    settings = existing_home_settings(HomeSettings, home, profile=profile)
    result = cost_of(settings, ctx.ensure_object(Orchestrator).newest_model(settings, model))
    if as_json:
        print_json(result.model_dump())
    else:
        out.print(cost_table(result))


@command
def chat(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="A checkpoint of the graph, e.g. r1 or distilled/qwen.")],
    prompt: Annotated[
        str | None, typer.Option(help="Ask only this; without it, questions are read line by line.")
    ] = None,
    temperature: Annotated[float, typer.Option(min=0, help="Sampling temperature; 0 is greedy.")] = 0.6,
    profile: ProfileOption = None,
    home: HomeOption = None,
) -> None:
    """Chat with a checkpoint, or ask it one question.

    Example: r1 chat r1 --prompt "What is 3 + 5 - 2?"
    """
    from r1_pipeline.cli.chat import open_chat

    settings = existing_home_settings(HomeSettings, home, profile=profile)
    checkpoint = ctx.ensure_object(Orchestrator).newest_model(settings, model)
    settings.announce()
    with open_chat(settings.load(), checkpoint, temperature) as session:
        if prompt is not None:
            _print_reply(session.answer(prompt))
            return
        say(f"{model} ({session.digest[:12]}); end with an empty line.")
        while line := _read_question():
            _print_reply(session.answer(line))


def _print_reply(reply: "Completion") -> None:
    sys.stdout.write(reply.text.strip() + "\n")
    if reply.finish_reason == "length":
        Console(stderr=True).print(
            f"truncated after {len(reply.token_ids)} tokens, the profile's limit", highlight=False
        )


def _read_question() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        return ""
