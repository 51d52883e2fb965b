"""Commands about models and profiles: `r1 plan`, `cost`, `chat`, `evaluate`, `benchmarks` and `lab`."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from r1_pipeline.cli.common import (
    CsvOption,
    HomeOption,
    JsonOption,
    ProfileOption,
    RecipeOption,
    SeedOption,
    SetOption,
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
    say_overrides,
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
    overrides: SetOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Estimate the cost of a profile, stage by stage, without running anything.

    Example: r1 plan --profile paper
    """
    from r1_pipeline.cli.plan import published_table, stage_table, summary
    from r1_pipeline.planning.plan import plan as plan_profile

    settings = settings_of(HomeSettings, None, profile=profile, recipe=recipe, set=overrides)
    planned = plan_profile(settings.load(), accelerator, compare=settings.profile == "paper")
    if as_csv:
        print_csv({"asset": name} | stage.model_dump(mode="json") for name, stage in planned.stages.items())
        return
    if as_json:
        print_json(planned.as_json())
        return
    say_overrides(settings.load())
    print_table(stage_table(planned))
    if planned.published:
        say("")
        print_table(published_table(planned))
    say("\n".join(["", *summary(planned)]))


@command
def cost(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="A checkpoint of the graph, e.g. r1 or distilled/qwen.")],
    home: HomeOption = None,
    overrides: SetOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Show the actual cost of a model, stage by stage along its lineage, next to the plan.

    Example: r1 cost r1
    """
    from r1_pipeline.cli.cost import cost_of, cost_table

    settings = existing_home_settings(HomeSettings, home, profile=profile, set=overrides)
    result = cost_of(settings, ctx.ensure_object(Orchestrator).newest_model(settings, model))
    if as_csv:
        print_csv({"stage": name} | stage.model_dump(mode="json") for name, stage in result.stages.items())
    elif as_json:
        print_json(result.model_dump())
    else:
        print_table(cost_table(result))


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
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Chat with a checkpoint, or ask it one question; the reply is shown as it is made.

    Example: r1 chat r1 --prompt "What is 3 + 5 - 2?"
    """
    from r1_pipeline.cli.chat import Typed, open_chat, trained_on

    if as_json and prompt is None:
        fail("--json answers one question; name it with --prompt")
    settings = existing_home_settings(HomeSettings, home, profile=profile, set=overrides)
    checkpoint = ctx.ensure_object(Orchestrator).newest_model(settings, model)
    settings.announce()
    if prompt is None:
        say(f"{model} ({checkpoint.digest[:12]}) has learned, itself or through the models before it, from")
        say("\n".join(trained_on(library_of(home), checkpoint)))
        say("Questions are independent of each other; end with an empty line.")
    with open_chat(settings.load(), checkpoint, temperature) as session:
        if as_json and prompt is not None:
            print_json({"model": model, "digest": session.digest} | session.answer(prompt).model_dump(mode="json"))
            return
        questions = [prompt] if prompt is not None else iter(_read_question, "")
        for question in questions:
            typed = Typed(lambda text: (sys.stdout.write(text), sys.stdout.flush()))
            reply = session.answer(question, typed.heard)
            typed.end(reply.text)
            _warn_if_cut(reply)


@command
def evaluate(  # noqa: PLR0913 - as many as it has options
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="A checkpoint of the graph, a directory, OWNER/NAME@COMMIT, URL#NAME.")],
    benchmarks: Annotated[
        str | None, typer.Option(help="Names or .toml files, with commas [all whose data is there].")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of benchmarks and their data [benchmarks in the home].")
    ] = None,
    form: Annotated[str | None, typer.Option(help="Prompt form for a model from outside [the benchmark's].")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Problems of each benchmark, at most [all].")] = None,
    judge: Annotated[
        str | None, typer.Option(help="Judges of judged benchmarks, URL#NAME with commas [the benchmark's].")
    ] = None,
    profile: ProfileOption = None,
    home: HomeOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Evaluate any model on benchmarks: a checkpoint, a directory, a snapshot of the Hub, or a server.

    What cannot be evaluated is refused before anything is sampled; a second run samples nothing again.

    Example: r1 evaluate r1 --benchmarks gsm8k,ifeval
    """
    from r1_pipeline.cli.evaluate import chosen, evaluate_model, result_table, subject_of, with_judges
    from r1_pipeline.data.templates import FORMS
    from r1_pipeline.evaluation.benchmarks import FOLDER, locate

    settings = settings_of(HomeSettings, home, profile=profile, set=overrides)
    folder = data or settings.home / FOLDER
    wanted = chosen(benchmarks, folder)
    template = FORMS.known(form) if form else None
    settings.announce()
    loaded = settings.load()
    if judge is not None:
        wanted, runtime = with_judges(wanted, judge, loaded.runtime)
        loaded = replace(loaded, runtime=runtime)
    subject = subject_of(model, settings, loaded, ctx.ensure_object(Orchestrator))
    found = [locate(each, folder) for each in wanted]  # may fetch data, so only for a model that exists
    results = evaluate_model(subject, found, loaded, settings.home, template, limit)
    if as_csv:
        print_csv(result.model_dump(mode="json") for result in results)
    elif as_json:
        print_json([result.model_dump(mode="json") for result in results])
    else:
        print_table(result_table(results))


@command
def benchmarks(
    name: Annotated[str | None, typer.Argument(help="One benchmark, to see all that is known about it.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of benchmarks and their data [benchmarks in the home].")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """List the benchmarks: which can be evaluated, what the paper has, and how to get the data of the others.

    Example: r1 benchmarks gpqa_diamond
    """
    from r1_pipeline.cli.benchmarks import benchmark_facts, benchmark_table
    from r1_pipeline.cli.evaluate import known
    from r1_pipeline.evaluation.benchmarks import FOLDER, load_benchmark

    folder = data or home_of(home) / FOLDER
    listed = [load_benchmark(name, folder)] if name else known(folder)
    facts = [benchmark_facts(each, folder) for each in listed]
    if as_csv:
        print_csv(facts)
    elif as_json:
        print_json(facts)
    elif name:
        say("\n".join(f"{field}: {value}" for field, value in facts[0].items()))
    else:
        print_table(benchmark_table(facts))


@command
def lab(
    variants: Annotated[list[str] | None, typer.Argument(help="Variants of R1-Zero, e.g. gspo dapo [all].")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=10, help="Number of seeds, beginning with --seed.")] = 1,
    profile: ProfileOption = None,
    home: HomeOption = None,
    seed: SeedOption = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run variants of R1-Zero at equal tokens, and compare each with plain R1-Zero, with intervals.

    The page is lab/lab.md in the home. Finished runs are reused, interrupted ones resume.

    Example: r1 lab gspo dapo --seeds 3
    """
    from r1_pipeline.cli.lab import FIGURES, run_lab
    from r1_pipeline.cli.progress import ProgressObserver
    from r1_pipeline.home import require_writable
    from r1_pipeline.profiles.lab import VARIANTS, misfits

    settings = settings_of(HomeSettings, home, profile=profile, seed=seed, recipe=recipe, set=overrides)
    require_writable(settings.home)
    settings.announce()
    loaded = settings.load()  # it runs the recipe file, which may add variants
    left_out = {} if variants else misfits(loaded)
    report = Console(stderr=True) if as_json else out
    for name, reason in left_out.items():
        report.print(f"{name} is left out: {reason}", markup=False, highlight=False, soft_wrap=True)
    names = variants or [name for name in VARIANTS if name not in left_out]
    with ProgressObserver(report) as progress:
        written = run_lab(settings, names, seeds, progress)
    if as_json:
        print_json(json.loads(written.with_name(FIGURES).read_text(encoding="utf-8")))
        return
    say(written.read_text(encoding="utf-8"))
    say(f"page: {written}")


def _warn_if_cut(reply: "Completion") -> None:
    if reply.finish_reason == "length":
        Console(stderr=True).print(
            f"truncated after {len(reply.token_ids)} tokens, the profile's limit", highlight=False
        )


def _read_question() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        return ""
