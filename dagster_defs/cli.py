"""The command `r1`. Every error is one line on the terminal and a non-zero exit."""

import json
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dagster_defs.settings import Settings
from r1_pipeline.errors import R1Error

if TYPE_CHECKING:
    from r1_pipeline.lineage.library import Library

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="DeepSeek-R1 as one graph: run it, watch it, ask what came out.",
)
out = Console()

HomeOption = Annotated[Path | None, typer.Option("--home", help="Where everything is kept [R1_HOME, else ./.r1].")]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", help="smoke, tiny, small, node, paper [R1_PROFILE, else tiny].")
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Root of all seeds [R1_SEED, else 0].")]
SourcesOption = Annotated[
    Path | None, typer.Option("--sources", help="Your own problems [R1_SOURCES, else sources.toml in the home].")
]
JsonOption = Annotated[bool, typer.Option("--json", help="For machines.")]


def settings_of(
    home: Path | None, profile: str | None = None, seed: int | None = None, sources: Path | None = None
) -> Settings:
    """The environment's settings, with what the command line says on top; Dagster's warnings of betas are off."""
    import os

    from dagster import BetaWarning, PreviewWarning

    warnings.simplefilter("ignore", BetaWarning)  # observable sources
    warnings.simplefilter("ignore", PreviewWarning)  # partitions of checks
    for name, value in (("R1_HOME", home), ("R1_PROFILE", profile), ("R1_SEED", seed), ("R1_SOURCES", sources)):
        if value is not None:
            os.environ[name] = str(value)
    settings = Settings.from_environment()
    settings.load()
    return settings


def home_of(home: Path | None) -> Path:
    """Where artifacts are looked for; nothing is made, and no profile is needed."""
    return (home or Settings.from_environment().home).resolve()


def library_of(home: Path | None) -> "Library":
    """All artifacts there."""
    from r1_pipeline.lineage.library import Library

    return Library.of(home_of(home))


@app.command()
def run(
    profile: ProfileOption = None,
    select: Annotated[str | None, typer.Option(help="Assets, e.g. r1_zero or +r1 (with all upstream).")] = None,
    home: HomeOption = None,
    seed: SeedOption = None,
    sources: SourcesOption = None,
) -> None:
    """Materialize the graph; what is done already is not done again. Example: r1 run --profile tiny --select +r1"""
    import time

    from dagster_defs.console import ConsoleObserver
    from dagster_defs.run import run as run_graph
    from r1_pipeline.rewards.sandbox.self_test import sandbox_problem

    settings = settings_of(home, profile, seed, sources)
    started = time.monotonic()
    out.print(f"r1 run: profile {settings.profile}, seed {settings.seed}, home {settings.home}", highlight=False)
    if problem := sandbox_problem():
        out.print(f"no code problems: {problem}", highlight=False, markup=False, soft_wrap=True)
    with ConsoleObserver(out) as watching:
        try:
            failure = run_graph(settings, select, [watching])
        except KeyboardInterrupt:
            fail("interrupted; everything finished is kept, the next run goes on from the last checkpoint")
    seconds = time.monotonic() - started
    if failure:
        fail(f"{failure.asset}: {failure.reason}\nEverything finished is kept; mend the cause and run again.")
    out.print(f"{len(watching.computed)} computed, {len(watching.taken)} reused, {seconds:.1f} s", highlight=False)
    page = settings.report_directory / "report.html"
    if page.exists():
        out.print(f"report: {page}", highlight=False, soft_wrap=True)


@app.command()
def status(
    profile: ProfileOption = None,
    home: HomeOption = None,
    seed: SeedOption = None,
    sources: SourcesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Every asset: fresh, stale and why, missing, or rejected by a gate. Example: r1 status"""
    from dagster_defs.status import survey

    rows = survey(settings_of(home, profile, seed, sources))
    if as_json:
        print_json([row.model_dump() for row in rows])
        return
    table = Table("asset", "state", "digest", "age", "why", box=None, header_style="bold")
    colours = {"fresh": "green", "stale": "yellow", "missing": "dim", "failed gate": "red"}
    for row in rows:
        state = f"[{colours[row.state]}]{row.state}[/]"
        table.add_row(row.asset, state, (row.digest or "")[:12], row.age or "", escape(row.why))
    out.print(table)


@app.command()
def plan(
    profile: ProfileOption = None,
    accelerator: Annotated[str | None, typer.Option(help="h800, h100, h200, a100, cpu-core [the profile's].")] = None,
    as_json: JsonOption = False,
) -> None:
    """What a profile would cost, stage by stage; runs nothing. Example: r1 plan --profile paper"""
    from dagster_defs.plan import published_table, stage_table, summary
    from r1_pipeline.planning.plan import plan as plan_profile

    settings = settings_of(None, profile)
    planned = plan_profile(settings.load(), accelerator, compare=settings.profile == "paper")
    if as_json:
        print_json(planned.as_json())
        return
    wide = Console(width=max(out.width, 150))
    wide.print(stage_table(planned))
    if planned.published:
        wide.print("", published_table(planned))
    wide.print("", *summary(planned), sep="\n", highlight=False)


@app.command()
def cost(
    model: Annotated[str, typer.Argument(help="A checkpoint of the graph, e.g. r1 or distilled/qwen.")],
    home: HomeOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """What a model has cost, stage by stage along its lineage, beside the plan. Example: r1 cost r1"""
    from dagster_defs.cost import cost_of, cost_table

    spent = cost_of(settings_of(home, profile), model)
    if as_json:
        print_json(spent.model_dump())
    else:
        out.print(cost_table(spent))


@app.command()
def trace(
    what: Annotated[str, typer.Argument(help="A sample_id; a model with --sources; with --models anything in a row.")],
    sources: Annotated[bool, typer.Option("--sources", help="Which sources and licences made this model.")] = False,
    models: Annotated[bool, typer.Option("--models", help="Which models learned from this row or licence.")] = False,
    page: Annotated[Path | None, typer.Option(help="Write the trace of a row as a page.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Where a row comes from, what made a model, who learned from it. Example: r1 trace MIT --models"""
    from dagster_defs.trace import answer, shown, write_page

    found = answer(library_of(home), what, sources=sources, models=models)
    if page is not None:
        write_page(found, page)
    if as_json:
        print_json([row.model_dump() for row in found] if isinstance(found, list) else found.model_dump())
    elif page is not None:
        out.print(f"trace: {page}", highlight=False, soft_wrap=True)
    else:
        out.print(shown(found), highlight=False)


@app.command()
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
    from dagster_defs.audit import audited, said

    found = audited(home_of(home), asset, full)
    if as_json:
        print_json(found.model_dump())
    else:
        out.print(said(found), highlight=False, soft_wrap=True)
    if found.findings:
        raise SystemExit(1)


@app.command()
def export(
    asset: Annotated[str, typer.Argument(help="NAME or NAME@FINGERPRINT.")],
    target: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    home: HomeOption = None,
) -> None:
    """A folder that datasets, Polars or transformers read, card included. Example: r1 export sft_corpus OUT"""
    from r1_pipeline.lineage.export import export as export_artifact

    library = library_of(home)
    for name in export_artifact(library, library.find(asset), target):
        out.print(f"{target}/{name}", highlight=False, soft_wrap=True)


@app.command()
def report(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Path of the newest report, or its numbers. Example: r1 report --json"""
    directory = settings_of(home).report_directory
    path = directory / ("report.json" if as_json else "report.html")
    if not path.exists():
        fail(f"no report in {directory}; make one: r1 run")
    sys.stdout.write(path.read_text(encoding="utf-8") if as_json else f"{path}\n")


@app.command()
def chat(
    model: Annotated[str, typer.Argument(help="A checkpoint of the graph, e.g. r1 or distilled/qwen.")],
    prompt: Annotated[
        str | None, typer.Option(help="Ask this and leave; else a dialogue, one question a line.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.6,
    home: HomeOption = None,
) -> None:
    """Talk to a checkpoint. Example: r1 chat r1 --prompt "What is 3 + 5 - 2?" """
    from dagster_defs.chat import Partner

    partner = Partner.of(settings_of(home), model, temperature)
    if prompt is not None:
        sys.stdout.write(partner.answer(prompt) + "\n")
        return
    out.print(f"{model} ({partner.digest[:12]}); an empty line ends.", highlight=False)
    while line := _ask():
        out.print(partner.answer(line), markup=False, highlight=False)


@app.command()
def grade(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="One JSON object a line.")],
    to: Annotated[Path | None, typer.Option("--out", help="Verdicts [standard output]; gone on with if begun.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Answers judged at once.")] = os.cpu_count() or 1,
) -> None:
    """Grade any file of answers, in order. Example: r1 grade answers.jsonl --out verdicts.jsonl

    In: {"id", "domain": "math|code|choice|...", "answer", "reference", "tests", "language"};
    out: {"id", "outcome", "score", "extracted", "detail", "seconds"}.
    """
    from dagster_defs.grade import grade_file

    console = Console(stderr=True)
    try:
        tally = grade_file(file, to, workers, console)
    except KeyboardInterrupt:
        fail("interrupted" + ("; the same command goes on from here" if to else ""))
    console.print(str(tally), highlight=False, soft_wrap=True)
    if tally.bad:
        fail(f"{tally.bad} bad lines, named above, were left out")


@app.command()
def regrade(
    asset: Annotated[str, typer.Argument(help="An evaluation or a corpus, e.g. evaluation/r1 or sft_corpus.")],
    apply: Annotated[bool, typer.Option("--apply", help="Then make the asset anew, as r1 run would.")] = False,
    profile: ProfileOption = None,
    home: HomeOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge what is stored with the verifiers of today; every flipped verdict. Example: r1 regrade evaluation/r1

    Changes nothing without --apply. An evaluation made anew judges its stored answers; traces are sampled again.
    """
    from dagster_defs.regrade import asset_of, regraded, said, shown

    settings = settings_of(home, profile, seed)
    found = regraded(settings.home, asset, os.cpu_count() or 1)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        out.print(said(found), highlight=False, markup=False, soft_wrap=True)
        if found.flips:
            out.print(shown(found))
    if apply:
        run(profile, asset_of(settings, asset), home, seed)


@app.command()
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
    """
    from dagster_defs.screen import screen_file

    print_json(screen_file(file, against or [], columns or [], to, workers))


@app.command()
def ui(
    profile: ProfileOption = None,
    home: HomeOption = None,
    seed: SeedOption = None,
    sources: SourcesOption = None,
    dagster_port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.")] = 5000,
    host: Annotated[str, typer.Option(help="Another address is open to others; what to put in front is said.")] = (
        "127.0.0.1"
    ),
    automation: Annotated[
        bool, typer.Option(help="Re-run by itself what is out of date, as the profile says.")
    ] = False,
) -> None:
    """Dagster and MLflow together on the loopback address. Example: r1 ui --profile smoke --automation"""
    from dagster_defs.ui import serve

    settings = settings_of(home, profile, seed, sources)
    serve(settings, host, dagster_port, mlflow_port, automation=automation, console=out)


MODEL = typer.Argument(help="A checkpoint of the graph, e.g. r1 or distilled/qwen.")
WHY = typer.Option("--why", help="Goes into the journal.")


@app.command()
def promote(
    model: Annotated[str, MODEL],
    why: Annotated[str, WHY],
    even_if_worse: Annotated[bool, typer.Option("--even-if-worse", help="Gates still hold.")] = False,
    home: HomeOption = None,
) -> None:
    """Make a model's newest version that passed its gates the champion. Example: r1 promote r1 --why "reads better" """
    from dagster_defs.promotion import person
    from dagster_defs.promotion import promote as promoted

    move = promoted(settings_of(home), model, why, who=person(), even_if_worse=even_if_worse)
    out.print(f"{model}: version {move.version} is the champion, pass@1 {move.score:.4f}", highlight=False)


@app.command()
def rollback(model: Annotated[str, MODEL], why: Annotated[str, WHY], home: HomeOption = None) -> None:
    """Make the champion before the present one the champion again. Example: r1 rollback r1 --why "it rambles" """
    from dagster_defs.promotion import rollback as rolled_back

    move = rolled_back(settings_of(home), model, why)
    out.print(f"{model}: version {move.version} is the champion again, pass@1 {move.score:.4f}", highlight=False)


@app.command()
def prune(
    keep_days: Annotated[float, typer.Option(help="Younger artifacts stay.")] = 30.0,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; else they are only listed.")] = False,
    home: HomeOption = None,
) -> None:
    """Artifacts that nothing kept descends from: listed, removed with --yes. Example: r1 prune --keep-days 90"""
    from dagster_defs import retention

    settings = settings_of(home)
    found = retention.unneeded(settings, keep_days)
    for entry in found:
        line = f"{entry.days:6.1f} d  {entry.bytes / 2**20:9.1f} MiB  {entry.name}  {entry.path}"
        out.print(line, highlight=False, soft_wrap=True)
    size = sum(entry.bytes for entry in found) / 2**20
    if yes:
        retention.prune(settings, found)
    verb = "removed" if yes else "could go; r1 prune --yes removes them"
    out.print(f"{len(found)} artifacts, {size:.1f} MiB {verb}", highlight=False)


def _ask() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        return ""


def print_json(value: object) -> None:
    """JSON on standard output, nothing else."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def fail(message: str) -> NoReturn:
    """Say what is wrong and leave with exit code 1."""
    Console(stderr=True).print(f"[red]r1:[/] {escape(message)}", highlight=False, soft_wrap=True)
    raise SystemExit(1)


def main() -> None:
    """Entry point: turns our errors into one line."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except R1Error as error:
        fail(str(error))
