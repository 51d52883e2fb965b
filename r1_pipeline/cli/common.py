"""What all commands share: the application, common options, the settings they amount to, how to fail."""

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypedDict, TypeVar, Unpack

import typer
from rich.console import Console
from rich.markup import escape

from r1_pipeline.home import HomeSettings, require_home

if TYPE_CHECKING:
    from r1_pipeline.lineage.library import Library

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # it takes square brackets for markup and leaves them out
    help="DeepSeek-R1 as one graph: run it, watch it, ask what came out.",
)
out = Console()

Command = TypeVar("Command", bound=Callable[..., None])


def command(function: Command) -> Command:
    """Makes a function a command; the list of commands shows the first paragraph of its docstring, not cut off."""
    return app.command(short_help=(function.__doc__ or "").partition("\n\n")[0].strip())(function)


HomeOption = Annotated[Path | None, typer.Option("--home", help="Where everything is kept [R1_HOME, else ./.r1].")]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", help="smoke, tiny, small, node, paper [R1_PROFILE, else tiny].")
]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="Root of all seeds [R1_SEED, else 0].")]
SourcesOption = Annotated[
    Path | None,
    typer.Option(
        "--sources", help="Your own problems [R1_SOURCES, else sources.toml in the home or beside the recipe]."
    ),
]
RecipeOption = Annotated[
    Path | None,
    typer.Option(
        "--recipe", help="Your own nodes, recipes, verifiers: a Python file [R1_RECIPE, else recipe.py in the home]."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For machines.")]


class SettingsOptions(TypedDict, total=False):
    """What the command line says beside the home; what it leaves open is None."""

    profile: str | None
    seed: int | None
    sources: Path | None
    recipe: Path | None


S = TypeVar("S", bound=HomeSettings)


def settings_of(kind: type[S], home: Path | None, **options: Unpack[SettingsOptions]) -> S:
    """The environment's settings, with what the command line says on top."""
    for name, value in {"home": home, **options}.items():
        if value is not None:
            os.environ[f"R1_{name.upper()}"] = str(value)
    settings = kind.from_environment()
    settings.load()
    return settings


def existing_home_settings(kind: type[S], home: Path | None, **options: Unpack[SettingsOptions]) -> S:
    """`settings_of` for a question about what is there: raises `RequirementError` where there is no home."""
    require_home(home_of(home))
    return settings_of(kind, home, **options)


def silence_warnings() -> None:
    """No warnings of libraries, here and in all processes that are started, unless Python was asked for them."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        os.environ["PYTHONWARNINGS"] = "ignore"
        logging.getLogger().setLevel(logging.ERROR)  # Dagster's retries of a data base
        for package in ("dagster_defs", "r1_pipeline"):
            logging.getLogger(package).setLevel(logging.WARNING)


def say(text: str) -> None:
    """A line on standard output as it is: square brackets are no markup, and long lines are not broken."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def home_of(home: Path | None) -> Path:
    """Where artifacts are looked for; nothing is made, and no profile is needed."""
    return (home or HomeSettings.from_environment().home).resolve()


def library_of(home: Path | None) -> "Library":
    """All artifacts there."""
    from r1_pipeline.lineage.library import Library

    return Library.of(home_of(home))


def print_json(value: object) -> None:
    """JSON on standard output, nothing else."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def fail(message: str, code: int = 1) -> NoReturn:
    """Say in one line what is wrong, and leave with this exit code."""
    Console(stderr=True).print(f"[red]r1:[/] {escape(' '.join(message.split()))}", highlight=False, soft_wrap=True)
    raise SystemExit(code)
