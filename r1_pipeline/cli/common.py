"""The parts that all commands share: the application, common options, settings, output and errors."""

import csv
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypedDict, TypeVar, Unpack

import typer
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from r1_pipeline.home import HomeSettings, require_home

if TYPE_CHECKING:
    from r1_pipeline.lineage.library import Library
    from r1_pipeline.profiles import Profile

app = typer.Typer(
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # markup would swallow square brackets
    help="The DeepSeek-R1 recipe as one graph: run it, watch it, inspect the results.",
)
out = Console()
DISTRIBUTION = "r1-pipeline"
WIDEST = 100_000
"""Characters of the longest line of a table that is not shown on a terminal."""


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"{DISTRIBUTION} {version(DISTRIBUTION)}\n")
        raise typer.Exit


@app.callback()
def r1(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Takes the options in front of a command."""


Command = TypeVar("Command", bound=Callable[..., None])


def command(function: Command) -> Command:
    """Registers a function as a command whose summary in `r1 --help` is the first paragraph of its docstring."""
    return app.command(short_help=(function.__doc__ or "").partition("\n\n")[0].strip())(function)


HomeOption = Annotated[
    Path | None, typer.Option("--home", help="Directory of all artifacts and records [R1_HOME, else ./.r1].")
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help="Profile: smoke, tiny, laptop, laptop-bf16, small, node or paper [R1_PROFILE, else tiny, or laptop with "
        "sources].",
    ),
]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="Root of all random seeds [R1_SEED, else 0].")]
SourcesOption = Annotated[
    Path | None,
    typer.Option(
        "--sources",
        help="Your own problems: a TOML file [R1_SOURCES, else sources.toml in the home or next to the recipe].",
    ),
]
RecipeOption = Annotated[
    Path | None,
    typer.Option(
        "--recipe", help="Your own nodes, recipes and verifiers: a Python file [R1_RECIPE, else recipe.py in the home]."
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NODE.FIELD=VALUE",
        help="Set a field of a recipe, e.g. r1_zero.grpo.learning_rate=3e-4; repeatable [R1_SET].",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print the rows as CSV, with a header.")]


class SettingsOptions(TypedDict, total=False):
    """The settings given as options in addition to the home; None for options that were left out."""

    profile: str | None
    seed: int | None
    sources: Path | None
    recipe: Path | None
    set: list[str] | None


S = TypeVar("S", bound=HomeSettings)


def settings_of(kind: type[S], home: Path | None, **options: Unpack[SettingsOptions]) -> S:
    """Returns the settings of the environment, overridden by the given options, after their profile was loaded once.

    Raises what `HomeSettings.load` raises.
    """
    settings = chosen_settings(kind, home, **options)
    settings.load()
    return settings


def chosen_settings(kind: type[S], home: Path | None, **options: Unpack[SettingsOptions]) -> S:
    """Returns the settings like `settings_of` at once, without a look at the profile."""
    for name, value in {"home": home, **options}.items():
        if value is not None:
            os.environ[f"R1_{name.upper()}"] = "\n".join(value) if isinstance(value, list) else str(value)
    return kind.from_environment()


def existing_home_settings(kind: type[S], home: Path | None, **options: Unpack[SettingsOptions]) -> S:
    """Returns the settings like `settings_of`, and raises `RequirementError` if the home does not exist."""
    require_home(home_of(home))
    return settings_of(kind, home, **options)


def silence_warnings() -> None:
    """Silences library warnings in this process and its children, unless Python was started with `-W`."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        os.environ["PYTHONWARNINGS"] = "ignore"
        logging.getLogger().setLevel(logging.ERROR)  # hides Dagster's retries of a database
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # hides its retries of a download
        for package in ("dagster_defs", "r1_pipeline"):
            logging.getLogger(package).setLevel(logging.WARNING)


def say(text: str) -> None:
    """Prints a line on standard output as it is, without markup and without line breaks."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def say_overrides(profile: "Profile") -> None:
    """Prints one line for every field of a recipe that differs from the profile's because a user has set it."""
    for each in profile.overrides:
        say(f"set: {each}")


def print_table(table: RenderableType) -> None:
    """Prints a table that loses no character: cells wrap on a terminal, and lines are as long as they must be else."""
    if isinstance(table, Table):
        for column in table.columns:
            column.overflow, column.no_wrap = "fold", False
    if out.is_terminal:
        out.print(table, highlight=False)
        return
    widest = Console(width=WIDEST)
    Console(width=max(1, widest.measure(table).maximum)).print(table, highlight=False)


def print_csv(rows: Iterable[Mapping[str, object]]) -> None:
    """Prints rows as CSV with a header on standard output; values that are no scalars are JSON."""
    rows = list(rows)
    writer = csv.DictWriter(sys.stdout, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value: object) -> object:
    return value if isinstance(value, str | int | float | None) else json.dumps(value, ensure_ascii=False)


def home_of(home: Path | None) -> Path:
    """Returns the home directory; nothing is created, and no profile is needed."""
    return (home or HomeSettings.from_environment().home).resolve()


def library_of(home: Path | None) -> "Library":
    """Returns all artifacts of a home."""
    from r1_pipeline.lineage.library import Library

    return Library.of(home_of(home))


def print_json(value: object) -> None:
    """Prints JSON, and nothing else, on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def fail(message: str, code: int = 1) -> NoReturn:
    """Prints an error in one line and exits with this code."""
    Console(stderr=True).print(f"[red]r1:[/] {escape(' '.join(message.split()))}", highlight=False, soft_wrap=True)
    raise SystemExit(code)
