"""The law of mistakes: each gives one line on standard error and an exit code, and writes nothing.

Commands that only read write nothing either.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_defs.cli import app, main
from dagster_defs.settings import Settings
from r1_pipeline.artifacts.manifest import list_files
from r1_pipeline.errors import RequirementError, UnknownNameError
from r1_pipeline.home import SEEDS, require_home

GOOD = json.dumps({"id": "1", "domain": "math", "answer": "\\boxed{1}", "reference": "1"})
QUESTIONS = (
    *("status", "report", "trace x", "audit", "audit x", "export r1 OUT", "cost r1", "chat r1 --prompt hi"),
    *(
        "regrade evaluation/r1",
        "rollouts r1",
        "suspects r1",
        "agree evaluation/r1",
        "compare r1 dev1",
        "promote r1 --why x",
        "rollback r1 --why x",
        "prune",
        "prune --yes",
        "migrate",
    ),
)
"""Commands that need an existing home."""
NO_HOMES = ("typo", "file", "file/below", "other", "damaged")
MAKERS = ("run --profile smoke", "run --profile smoke --select r1", "ui --profile smoke", "lab --profile smoke")
NO_PLACES = ("file", "file/below", "damaged", "unknown-field", "folder-as-toml", "/proc/nowhere")
MISTAKES = (
    *("statsu", "run --hom x", "run --profile", "audit a b", "trace", "export r1", "promote r1", "grade", "screen"),
    *("run --profile tinny", "plan --profile tinny", "ui --profile tinny", "plan --accelerator h900"),
    *(
        "run --profile small:typo",
        "run --profile small:folder",
        "run --profile small:a/b@c",
        "run --profile tiny:folder",
    ),
    *(
        "run --set r1_zero.grpo.step=1",
        "plan --set r1zero.x=1",
        "ui --set x",
        "status --set",
        "run --set dev1.epochs=x",
    ),
    *("trace x --csv --home folder", "chat r1 --json --home folder", "--versio"),
    *("run --seed -1", "run --seed x", "run --seed 4294967296", "prune --keep-days -1", "prune --keep-days x"),
    *("run --select r1zero", "run --select r1-zero", "run --select distilled/qwen", "run --select 'a b'"),
    *(
        "run --select ''",
        "run --select 'r1,'",
        "run --select '(('",
        "run --select key:nothing*",
        "run --select group:x",
    ),
    *("run --sources typo", "run --sources folder", "run --sources bad.toml", "run --sources file"),
    *("run --sources binary", "ui --sources typo", "plan --profile small:file", "status --seed x"),
    *("chat r1 --temperature -1 --prompt x", "ui --dagster-port 0", "ui --mlflow-port 65536", "ui --dagster-origin x"),
    *(
        "evaluate",
        "evaluate nothing-here --benchmarks gsm8k",
        "evaluate r1 --benchmarks nothing-here",
        "benchmarks nothing-here",
    ),
    *("lab gspoo", "lab gspo --seeds 0", "lab --seeds 11", "lab --profile tinny", "lab gspo --profile small:typo"),
    *("agree", "agree good.jsonl --graders nope", "agree good.jsonl file", "agree good.jsonl typo", "compare r1"),
    *("init", "init file", "init file/x", "init /proc/nowhere", "init a b"),
    *("grade typo", "grade folder", "grade good.jsonl --out folder", "grade good.jsonl --out typo/x"),
    *("grade good.jsonl --out file", "grade good.jsonl --out file/x", "grade good.jsonl --workers 0"),
    *("screen typo --out o", "screen folder --out o", "screen file --out o"),
    *("screen good.jsonl --out file", "screen good.jsonl --out o --columns nope", "screen good.jsonl --out file/x"),
    *("screen good.jsonl --out o --against typo", "screen good.jsonl --out o --against folder"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of unsuitable files, with an environment without settings."""
    for name in [name for name in os.environ if name.startswith(("R1_", "DAGSTER_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    for name in ("folder", "other", "damaged", "unknown-field", "folder-as-toml", "folder-as-toml/runtime.toml"):
        (tmp_path / name).mkdir()
    files = {
        **{"file": "x", "other/readme": "x", "damaged/home.json": "{", "unknown-field/runtime.toml": "gpus = 3\n"},
        **{"bad.py": "def (", "wrong.py": "import nothing_like_it", "bad.toml": "a = [\n"},
        **{"bad.jsonl": '{"id": \n', "good.jsonl": f"{GOOD}\n"},
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x01")
    before, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
    with warnings.catch_warnings():
        yield tmp_path
    signal.signal(signal.SIGTERM, handler)
    os.environ.clear()
    os.environ.update(before)


def answer(
    command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> tuple[int | str | None, str, str]:
    """Returns exit code, standard output and standard error of `r1 COMMAND`, run in this process."""
    monkeypatch.setattr(sys, "argv", ["r1", *shlex.split(command)])
    with pytest.raises(SystemExit) as left:
        main()
    said = capfd.readouterr()
    return left.value.code, said.out, said.err


def one_line(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> str:
    """Returns the error message of a mistake, after asserting that it is one line."""
    before = sorted(folder.rglob("*")), list_files(folder)
    code, _, error = answer(command, monkeypatch, capfd)
    assert code not in (0, None)
    assert len(error.splitlines()) == 1, error
    assert error.startswith("r1: ")
    assert (sorted(folder.rglob("*")), list_files(folder)) == before
    return error


@pytest.mark.parametrize("home", NO_HOMES)
@pytest.mark.parametrize("command", QUESTIONS)
def test_a_question_about_a_home_that_is_none_makes_none(
    command: str, home: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert home in one_line(f"{command} --home {home}", folder, monkeypatch, capfd)


@pytest.mark.parametrize("command", QUESTIONS)
def test_a_question_before_the_first_run_says_so(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert ".r1" in one_line(command, folder, monkeypatch, capfd)


@pytest.mark.parametrize("place", NO_PLACES)
@pytest.mark.parametrize("command", MAKERS)
def test_a_home_that_cannot_be_made_is_said_before_anything_is_begun(
    command: str, place: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert place in one_line(f"{command} --home {place}", folder, monkeypatch, capfd)


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_one_line(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    one_line(command, folder, monkeypatch, capfd)


@pytest.mark.parametrize(
    ("name", "value", "command"),
    [
        ("R1_SEED", "x", "plan"),
        ("R1_SEED", str(SEEDS), "plan"),
        ("R1_PROFILE", "tinny", "run"),
        ("R1_HOME", "file", "run --profile smoke"),
        ("R1_SOURCES", "typo.toml", "plan"),
        ("R1_SET", "r1_zero.grpo.step=1", "plan"),
        ("R1_DAGSTER_DB", "postgresql://nobody@127.0.0.1:9/none", "migrate --home damaged"),
    ],
)
def test_a_mistake_in_the_environment_is_one_line(
    name: str,
    value: str,
    command: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    one_line(command, folder, monkeypatch, capfd)


def test_every_command_is_tried() -> None:
    tried = {command.split()[0] for command in (*QUESTIONS, *MAKERS, *MISTAKES)}
    assert {command.callback.__name__ for command in app.registered_commands if command.callback} <= tried


def test_an_address_on_which_no_server_can_listen_is_said_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}" in one_line(f"ui --profile smoke --dagster-port {port}", folder, monkeypatch, capfd)
    for other in ("--host 192.0.2.1", "--host no.such.host.invalid", "--dagster-port 5000 --mlflow-port 5000"):
        one_line(f"ui --profile smoke {other}", folder, monkeypatch, capfd)


def test_what_was_meant_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    said = one_line("run --profile smoke --select r1-zero", folder, monkeypatch, capfd)
    assert "did you mean r1_zero?" in said
    assert "did you mean tiny?" in str(UnknownNameError("profile", "Tinny", ["smoke", "tiny"]))
    assert "did you mean" not in str(UnknownNameError("profile", "qwertz", ["smoke", "tiny"]))
    (folder / "demo").mkdir()
    (folder / "demo" / "home.json").write_text('{"schema": 1}', encoding="utf-8")
    with pytest.raises(RequirementError, match=r"did you mean demo\?"):
        require_home(folder / "dem")


def test_brackets_in_a_path_are_not_taken_for_markup(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "[old]/home" in one_line("status --home '[old]/home'", folder, monkeypatch, capfd)


def test_records_that_cannot_be_reached_are_one_line(folder: Path) -> None:
    """The test runs in a process of its own, because Dagster and SQLAlchemy log their attempts."""
    nowhere = "postgresql://r1:hidden@127.0.0.1:9/none"
    home = folder / "home"
    (home / "dagster" / "history").mkdir(parents=True)
    (home / "home.json").write_text('{"schema": 1}', encoding="utf-8")
    (home / "promotions.jsonl").write_text(
        '{"model":"r1","version":"1","before":null,"score":0.5,"who":"a","when":"b","why":"c"}\n', encoding="utf-8"
    )
    junk = folder / "junk.db"
    junk.write_text("junk", encoding="utf-8")
    for command, variables in (
        ("status", {"R1_DAGSTER_DB": nowhere}),
        ("migrate", {"R1_DAGSTER_DB": nowhere, "MLFLOW_TRACKING_URI": nowhere}),
        ("rollback r1 --why x", {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}),
        ("rollback r1 --why x", {"MLFLOW_TRACKING_URI": f"sqlite:///{junk}"}),
    ):
        line = [
            sys.executable,
            "-c",
            "from dagster_defs.cli import main; main()",
            *command.split(),
            "--home",
            str(home),
        ]
        ended = subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, **variables})
        assert ended.returncode == 1
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
        assert "hidden" not in ended.stderr


@pytest.mark.slow
def test_questions_about_a_home_change_nothing_in_it(
    made: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    before = sorted(made.rglob("*")), list_files(made)
    row = next(iter((made / "artifacts" / "corpus" / "sft_corpus").glob("*/*.parquet")))
    import polars as pl

    sample = pl.read_parquet(row)["sample_id"][0]
    questions = (
        *("status", "report", "report --json", f"trace {sample}", "trace r1 --sources", "audit sft_corpus"),
        *("cost r1", "chat r1 --prompt hi", f"export r1 {folder}/out", "regrade evaluation/r1", "prune"),
    )
    monkeypatch.setenv("R1_PROFILE", "smoke")
    for question in questions:
        code, out, error = answer(f"{question} --home {made}", monkeypatch, capfd)
        assert (code, error.replace("truncated after 40 tokens, the profile's limit\n", "")) == (0, ""), question
        assert out
        assert (sorted(made.rglob("*")), list_files(made)) == before, question
    mistakes = (
        *("trace typo", "trace typo --models", "trace r11 --sources", "trace sft_corpus --sources", "audit r1zero"),
        *(f"trace {sample} --page {folder}", f"trace r1 --sources --page {folder}/p", f"export r1 {folder}"),
        *("export r2 out2", "export r1 file/x", "cost r2", "chat r2 --prompt x", "regrade heldout_problems"),
        *("promote r2 --why x", "promote r1 --why x", "rollback r2 --why x", "rollback r1 --why x", "migrate"),
    )
    for mistake in mistakes:
        one_line(f"{mistake} --home {made}", folder, monkeypatch, capfd)
        assert (sorted(made.rglob("*")), list_files(made)) == before, mistake


@pytest.mark.slow
def test_a_home_that_may_not_be_written_is_read(made: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster_defs import instance
    from dagster_defs.cli.status import asset_states

    monkeypatch.setattr(instance, "access", lambda *_: False)
    settings = Settings(made, "smoke", 0, tracking_uri=f"sqlite:///{made / 'mlflow.db'}")
    before = list_files(made)
    assert {each.state for each in asset_states(settings)} == {"fresh"}
    assert list_files(made) == before


def test_no_warnings_of_libraries_stand_above_our_first_line(folder: Path) -> None:
    """The test runs in a process of its own, where every module is imported for the first time."""
    for command in ("plan --profile smoke", "run --profile smoke --select typo --home new", "--help"):
        line = [sys.executable, "-c", "from dagster_defs.cli import main; main()", *command.split()]
        ended = subprocess.run(line, capture_output=True, text=True, check=False, cwd=folder)
        assert len(ended.stderr.splitlines()) == ended.returncode, ended.stderr
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import dagster_defs.definitions'])"
    parent = f"from r1_pipeline.cli.common import silence_warnings; silence_warnings(); {child}"
    ended = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, check=False, cwd=folder)
    assert ended.stderr == ""
