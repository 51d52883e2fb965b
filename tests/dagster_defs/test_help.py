"""The law of help texts: every text is shown completely, as it stands in the source."""

import pytest
import typer
from typer.testing import CliRunner

from dagster_defs.cli import app

COMMAND = typer.main.get_command(app)


def squeezed(text: str) -> str:
    return "".join(text.split())


def test_the_list_of_commands_says_of_each_what_its_first_paragraph_says() -> None:
    shown = squeezed(CliRunner().invoke(app, ["--help"], prog_name="r1").output)
    for command in COMMAND.commands.values():  # type: ignore[attr-defined]
        assert squeezed((command.help or "").partition("\n\n")[0]) in shown


@pytest.mark.parametrize("name", sorted(COMMAND.commands))  # type: ignore[attr-defined]
def test_help_holds_every_word_of_its_source(name: str) -> None:
    command = COMMAND.commands[name]  # type: ignore[attr-defined]
    shown = squeezed(CliRunner().invoke(app, [name, "--help"], prog_name="r1").output)
    texts = [command.help, *(getattr(parameter, "help", None) for parameter in command.params)]
    assert all(texts), f"{name} has an option without help"
    for text in texts:
        assert squeezed(text) in shown
    assert f"Example: r1 {name}" in " ".join((command.help or "").split())
