"""Administration commands: `r1 ui`, `promote`, `rollback`, `prune` and `migrate`."""

import sys
from typing import Annotated

import typer

from dagster_defs.settings import Settings
from dagster_defs.web.addresses import LOOPBACK, Address, public_origin
from r1_pipeline.artifacts.manifest import ARTIFACTS
from r1_pipeline.cli.common import (
    CsvOption,
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
    print_csv,
    print_json,
    say,
    settings_of,
)

PublicOption = Annotated[
    str | None, typer.Option(help="Public origin of this UI behind a reverse proxy, such as https://r1.example.org.")
]


@command
def ui(  # noqa: PLR0913 - as many as it has options
    profile: ProfileOption = None,
    home: HomeOption = None,
    seed: SeedOption = None,
    sources: SourcesOption = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    dagster_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Dagster UI.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the MLflow UI.")] = 5000,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; other machines can reach it unless it is a loopback address."),
    ] = LOOPBACK,
    dagster_origin: PublicOption = None,
    mlflow_origin: PublicOption = None,
    automation: Annotated[
        bool, typer.Option(help="Re-run out-of-date assets automatically, as the profile says.")
    ] = False,
    rotate_token: Annotated[
        bool, typer.Option("--rotate-token", help="Make a new token first; bookmarks and browsers then need it.")
    ] = False,
    show: Annotated[bool, typer.Option("--open", help="Open the graph in the web browser.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before automation builds everything in an empty home.")
    ] = False,
) -> None:
    """Serve the Dagster and MLflow web pages together, on the loopback address by default.

    Example: r1 ui --profile smoke --automation
    """
    from dagster_defs.web.ui import serve

    settings = settings_of(Settings, home, profile=profile, seed=seed, sources=sources, recipe=recipe, set=overrides)
    dagster, mlflow = (
        Address(host, port, public_origin(public) if public else None)
        for port, public in ((dagster_port, dagster_origin), (mlflow_port, mlflow_origin))
    )
    if automation and not yes and not any((settings.home / ARTIFACTS).glob("*/*")):
        approve_first_build(settings)
    serve(settings, dagster, mlflow, automation=automation, rotate_token=rotate_token, show=show, console=out)


def approve_first_build(settings: Settings) -> None:
    """Asks a person before automation builds everything in an empty home; ends the command unless they agree."""
    from r1_pipeline.cli.plan import hours_text
    from r1_pipeline.planning.plan import planned_hours

    profile = settings.load()
    hours = hours_text(sum(planned_hours(profile).values()))
    whole = f"automation builds the whole graph of {profile.name}, {hours} device hours as planned"
    plan = f"{settings.home} is empty: {whole}"
    if not sys.stdin.isatty():
        fail(f"{plan}; add --yes to agree, or leave --automation out")
    if not typer.confirm(f"{plan}, except what waits for approval. Start?"):
        fail("nothing was started")


ModelArgument = typer.Argument(help="A checkpoint of the graph, e.g. r1 or distilled/qwen.")
WhyOption = typer.Option("--why", help="The reason, recorded in HOME/promotions.jsonl.")


@command
def promote(
    model: Annotated[str, ModelArgument],
    why: Annotated[str, WhyOption],
    even_if_worse: Annotated[
        bool, typer.Option("--even-if-worse", help="Promote it even if the champion scores better; gates still apply.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the newest version of a model that passed its gates the champion.

    Example: r1 promote r1 --why "reads better"
    """
    from r1_pipeline.graph.stored import checkpoint_name

    settings = existing_home_settings(Settings, home)
    bound = settings.load().bound
    name = checkpoint_name(bound, model)  # before anything that takes time is imported

    from dagster_defs.tracking.model_registry import current_user
    from dagster_defs.tracking.model_registry import promote as promote_model
    from dagster_defs.tracking.stage_runs import TrackingStore

    with TrackingStore.of(settings).required():
        promotion = promote_model(settings, bound, name, why, current_user(), even_if_worse=even_if_worse)
    if as_json:
        print_json(promotion.model_dump())
    else:
        say(f"{model}: version {promotion.version} is the champion, pass@1 {promotion.score:.4f}")


@command
def rollback(
    model: Annotated[str, ModelArgument],
    why: Annotated[str, WhyOption],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore the previous champion of a model.

    Example: r1 rollback r1 --why "it rambles"
    """
    from dagster_defs.tracking.model_registry import rollback as roll_back_model
    from dagster_defs.tracking.stage_runs import TrackingStore

    settings = existing_home_settings(Settings, home)
    with TrackingStore.of(settings).required():
        promotion = roll_back_model(settings, str(settings.load().bound.name(model)), why)
    if as_json:
        print_json(promotion.model_dump())
    else:
        say(f"{model}: version {promotion.version} is the champion again, pass@1 {promotion.score:.4f}")


@command
def prune(
    keep_days: Annotated[
        float, typer.Option(min=0, help="Keep artifacts that are younger than this many days.")
    ] = 30.0,
    yes: Annotated[bool, typer.Option("--yes", help="Remove the artifacts; without it they are only listed.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """List artifacts that nothing needs any more; remove them with --yes.

    Example: r1 prune --keep-days 90
    """
    from dagster_defs.admin import retention
    from dagster_defs.tracking.stage_runs import TrackingStore

    settings = existing_home_settings(Settings, home)
    with TrackingStore.of(settings).required():
        candidates = retention.prune_candidates(settings, keep_days)
    rows = [entry.model_dump(mode="json") for entry in candidates]
    if yes:
        retention.prune(settings, candidates)
    if as_json or as_csv:
        print_csv(rows) if as_csv else print_json({"removed": yes, "artifacts": rows})
        return
    for entry in candidates:
        say(f"{entry.days:6.1f} d  {entry.bytes / 2**20:9.1f} MiB  {entry.name}  {entry.path}")
    size = sum(entry.bytes for entry in candidates) / 2**20
    verb = "removed" if yes else "can be removed; run r1 prune --yes"
    say(f"{len(candidates)} artifacts, {size:.1f} MiB {verb}")


@command
def migrate(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Copy the home's records from SQLite to PostgreSQL, as named by R1_DAGSTER_DB and MLFLOW_TRACKING_URI.

    Example: r1 migrate
    """
    from dagster_defs.admin.migrate import migrate as migrate_home
    from dagster_defs.instance import require_database

    with require_database("check R1_DAGSTER_DB and MLFLOW_TRACKING_URI"):
        moved = migrate_home(existing_home_settings(Settings, home))
    if as_json:
        print_json(moved.model_dump())
        return
    say(
        f"{moved.runs} runs and {moved.events} events of Dagster and {moved.tracked_runs} runs of MLflow are in "
        "PostgreSQL; keep both variables set, so that r1 run and r1 ui use it"
    )
