"""Laws of an installation without Dagster, MLflow and torch: the core works, and the rest names the missing package."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest
from bare_command import Bare

from r1_pipeline.artifacts.manifest import list_files
from r1_pipeline.cli import EXTRAS


def written(path: Path, *rows: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_every_extra_that_is_named_exists() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(EXTRAS.values()) <= set(project["optional-dependencies"])


@pytest.mark.parametrize("command", ["", "grade", "screen", "audit", "trace", "regrade", "plan", "cost", "chat", "run"])
def test_help_needs_nothing(command: str, bare: Bare) -> None:
    ended = bare(*command.split(), "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Usage:" in ended.stdout


def test_a_file_of_answers_is_graded(bare: Bare, tmp_path: Path) -> None:
    """The first answer is correct, since 2 + 2 is 4, and the second is wrong."""
    rows = [{"id": n, "domain": "math", "answer": f"\\boxed{{{n}}}", "reference": "4"} for n in ("4", "5")]
    ended = bare("grade", str(written(tmp_path / "answers.jsonl", *rows)))
    assert ended.returncode == 0, ended.stderr
    assert [json.loads(line)["outcome"] for line in ended.stdout.splitlines()] == ["correct", "wrong"]


def test_a_file_is_screened_against_a_benchmark(bare: Bare, tmp_path: Path) -> None:
    """The row that equals the benchmark's item is dropped, and the other one stays."""
    item = "A train leaves Oslo at nine and travels four hundred kilometres at eighty an hour; when is it there?"
    other = (
        "How many ways are there to put seven different books on three shelves so that no shelf of them stays empty?"
    )
    exam = written(tmp_path / "exam.jsonl", {"question": item})
    mine = written(tmp_path / "mine.jsonl", {"question": item}, {"question": other})
    ended = bare("screen", str(mine), "--against", str(exam), "--out", str(tmp_path / "out"))
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out" / "kept.jsonl").read_text(encoding="utf-8") == json.dumps({"question": other}) + "\n"


def test_a_home_is_audited_traced_and_planned(bare: Bare, home: Path, tmp_path: Path) -> None:
    before = list_files(home)
    audited = bare("audit", "--home", str(home), "--json")
    assert audited.returncode == 0, audited.stderr
    found = json.loads(audited.stdout)
    assert (found["artifacts"], found["findings"]) == (1, [])
    assert bare("export", "heldout_problems", str(tmp_path / "out"), "--home", str(home)).returncode == 0
    assert "device hours" in bare("plan", "--profile", "smoke").stdout
    assert list_files(home) == before


def test_a_changed_file_is_found(bare: Bare, home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "home"
    shutil.copytree(home, copy)
    [table] = copy.glob("artifacts/*/heldout_problems/*/*.parquet")
    table.write_bytes(table.read_bytes()[:-1] + b"x")
    ended = bare("audit", "--home", str(copy))
    assert ended.returncode == 1
    assert "has changed" in ended.stdout


@pytest.mark.parametrize("command", ["cost r1", "chat r1 --prompt hi"])
def test_a_model_is_looked_for_in_the_folders_of_the_home(command: str, bare: Bare, home: Path) -> None:
    ended = bare(*command.split(), "--home", str(home))
    assert ended.returncode == 1
    assert ended.stderr == "r1: r1 has never been made; run it first: r1 run --select r1\n"


@pytest.mark.parametrize(
    "command", ["run", "status", "ui", "prune", "promote r1 --why x", "rollback r1 --why x", "migrate"]
)
def test_what_needs_more_says_in_one_line_what_to_install(command: str, bare: Bare, home: Path) -> None:
    ended = bare(*command.split(), "--home", str(home))
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert ended.stderr.startswith("r1: needs ")
    assert ended.stderr.endswith("not installed: pip install 'r1-pipeline[dagster]'\n")
