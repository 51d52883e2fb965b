"""The command `r1 init`, which copies the files in `project` to a new directory."""

import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

from r1_pipeline.cli.common import JsonOption, command, print_json, say
from r1_pipeline.errors import RequirementError

FILES = ("recipe.py", "sources.toml", "problems.jsonl", "runtime.toml", "README.md")


@command
def init(
    directory: Annotated[Path, typer.Argument(help="Directory of the project; created if it does not exist.")],
    as_json: JsonOption = False,
) -> None:
    """Write a new project: recipe, sources, example problems, runtime settings and README.

    The command asks nothing and overwrites nothing.

    Example: r1 init my_project
    """
    files = [str(path) for path in write_project(directory)]
    if as_json:
        print_json(files)
        return
    say("\n".join(files))
    say(f"next: r1 run --recipe {directory / 'recipe.py'} --profile smoke")


def write_project(directory: Path) -> list[Path]:
    """Writes the files of a new project into `directory` and returns their paths.

    Raises `RequirementError` if one of them exists, before any is written.
    """
    paths = [directory / name for name in FILES]
    if existing := [path for path in paths if path.exists()]:
        raise RequirementError(
            f"{existing[0]} already exists and is not overwritten; choose another directory, or move the file"
        )
    directory.mkdir(parents=True, exist_ok=True)
    with as_file(files(__package__).joinpath("project")) as templates:
        for path in paths:
            shutil.copyfile(templates / path.name, path)
    return paths
