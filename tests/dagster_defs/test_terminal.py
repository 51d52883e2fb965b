"""Laws of the terminal: every answer is also JSON, rows are also CSV, and no character of a table is lost."""

import csv
import io
import os
import subprocess
import sys
from importlib.metadata import version

import pytest
import typer
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from dagster_defs.cli import ORDER, app
from r1_pipeline.cli import common
from r1_pipeline.cli.chat import Typed
from r1_pipeline.cli.progress import ProgressObserver, duration_text, titled

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
JSON_ALREADY = {"grade", "screen"}
"""Commands whose only output is JSON."""
ROWS = (
    "plan",
    "status",
    "trace",
    "rollouts",
    "evaluate",
    "benchmarks",
    "cost",
    "audit",
    "regrade",
    "suspects",
    "prune",
)
LONG = "a value of many words that no terminal of forty columns can hold in one line"


def options(command: str) -> set[str]:
    return {option for parameter in COMMANDS[command].params for option in parameter.opts}


def test_every_command_that_shows_something_shows_it_as_json() -> None:
    assert {name for name in COMMANDS if "--json" not in options(name)} == JSON_ALREADY | {"ui"}


def test_every_command_that_lists_rows_lists_them_as_csv() -> None:
    assert {name for name in COMMANDS if "--csv" in options(name)} == set(ROWS)


def test_commands_stand_in_the_order_of_what_people_do() -> None:
    assert tuple(COMMANDS) == ORDER
    assert ORDER.index("init") < ORDER.index("run") < ORDER.index("report") < ORDER.index("promote")


def test_the_version_is_that_of_the_installed_package() -> None:
    said = CliRunner().invoke(app, ["--version"], prog_name="r1")
    assert (said.exit_code, said.output) == (0, f"r1-pipeline {version('r1-pipeline')}\n")


def test_a_shell_completes_commands() -> None:
    """The test runs in a process of its own, as a shell does it."""
    asked = {"_R1_COMPLETE": "complete_bash", "COMP_WORDS": "r1 sta", "COMP_CWORD": "1"}
    program = "import sys; sys.argv[0] = 'r1'; from dagster_defs.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert ended.stdout.split() == ["status"], ended.stderr


def printed(table: Table, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], terminal: bool) -> str:
    monkeypatch.setattr(common, "out", Console(width=40, force_terminal=terminal, color_system=None))
    common.print_table(table)
    return capfd.readouterr().out


def test_a_wide_table_wraps_on_a_terminal_and_is_whole_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    table = Table("name", "value", box=None)
    table.add_row("first", LONG)
    piped = printed(table, monkeypatch, capfd, terminal=False)
    assert LONG in piped
    assert len(piped.splitlines()) == 2
    wrapped = printed(table, monkeypatch, capfd, terminal=True)
    assert max(map(len, wrapped.splitlines())) <= 40
    assert "".join(wrapped.split()) == "".join(f"namevaluefirst{LONG}".split())


def test_csv_has_a_header_and_reads_back(capfd: pytest.CaptureFixture[str]) -> None:
    common.print_csv([{"a": 1, "b": 'x,"y"\nz'}, {"a": 2.5, "b": ["one", "ä"]}])
    rows = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert rows == [{"a": "1", "b": 'x,"y"\nz'}, {"a": "2.5", "b": '["one", "ä"]'}]


def test_a_reply_is_written_once_as_it_grows() -> None:
    written: list[str] = []
    typed = Typed(written.append)
    for text in ("", " 3", " 3 + \ufffd", " 3 + ä"):
        typed.heard(text)
    typed.end(" 3 + ä = 5 ")
    assert "".join(written) == "3 + ä = 5\n"


def test_a_reply_that_ends_otherwise_than_it_began_is_written_again() -> None:
    written: list[str] = []
    typed = Typed(written.append)
    typed.heard("4")
    typed.end("5")
    assert "".join(written) == "4\n5\n"


def test_answers_and_their_evaluation_are_named_apart() -> None:
    assert titled("answers/r1") == "answers/r1 (sampling of r1)"
    assert titled("evaluation/distilled/qwen") == "evaluation/distilled/qwen (grading of distilled/qwen)"
    assert titled("reasoning_traces/math") == "reasoning_traces/math"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "60 min"), (5400, "1.5 h")]
)
def test_a_duration_is_in_the_largest_unit_that_fits(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_the_time_left_is_that_of_the_plan_at_the_speed_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """One planned hour took 100 s, three hours are due and one of them is there already: 200 s are left."""
    clock = iter([1000.0, 1100.0])
    monkeypatch.setattr("r1_pipeline.cli.progress.time.monotonic", lambda: next(clock))
    progress = ProgressObserver(Console(), {"base": 1.0, "r1_zero": 2.0, "dev1": 1.0})
    progress.computed.append("base")
    progress.reused_names.append("dev1")
    assert progress._left() == "about 3 min left"
