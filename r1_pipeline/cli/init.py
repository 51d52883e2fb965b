"""The command that begins a project: init. Its files lie in the folder `project` beside this module, as they are."""

import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

from r1_pipeline.cli.common import command, say
from r1_pipeline.errors import RequirementError

FILES = ("recipe.py", "sources.toml", "problems.jsonl", "runtime.toml", "README.md")


@command
def init(directory: Annotated[Path, typer.Argument(help="A folder; made where it does not exist.")]) -> None:
    """Write a project of your own: recipe, sources, runtime, README. Example: r1 init my_project

    Asks nothing and overwrites nothing.
    """
    for path in write_project(directory):
        say(str(path))
    say(f"next: r1 run --recipe {directory / 'recipe.py'} --profile smoke")


def write_project(directory: Path) -> list[Path]:
    """Writes the files of a new project into `directory` and returns their paths.

    Raises `RequirementError` where one of them exists, before any is written.
    """
    paths = [directory / name for name in FILES]
    if existing := [path for path in paths if path.exists()]:
        raise RequirementError(f"{existing[0]} exists and is not overwritten; name another folder, or move it away")
    directory.mkdir(parents=True, exist_ok=True)
    with as_file(files(__package__).joinpath("project")) as templates:
        for path in paths:
            shutil.copyfile(templates / path.name, path)
    return paths
