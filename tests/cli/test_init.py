"""Laws of `r1 init`: it writes a project that runs as it stands, asks nothing, and overwrites nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from r1_pipeline.artifacts.kinds import ProblemSet
from r1_pipeline.artifacts.store import Store
from r1_pipeline.cli.init import FILES, write_project
from r1_pipeline.data.curation import CurateRecipe
from r1_pipeline.home import HomeSettings
from r1_pipeline.lineage.library import Library

ROOT = Path(__file__).parents[2]


def r1(*arguments: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Runs `r1 ARGUMENTS` in a process of its own without a terminal."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("R1_", "MLFLOW_", "DAGSTER_"))}
    command = [sys.executable, "-c", "from dagster_defs.cli import main; main()", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**kept, "PYTHONPATH": str(ROOT)},
        cwd=cwd,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path / "mine")
    return tmp_path / "mine"


def test_the_command_writes_these_files_and_says_what_to_do_next(tmp_path: Path) -> None:
    ended = r1("init", "deep/mine", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert sorted(path.name for path in (tmp_path / "deep" / "mine").iterdir()) == sorted(FILES)
    *paths, following = ended.stdout.splitlines()
    assert paths == [f"deep/mine/{name}" for name in FILES]
    assert following == "next: r1 run --recipe deep/mine/recipe.py --profile smoke"


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_exists_is_named_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    ended = r1("init", tmp_path, cwd=tmp_path)
    said = f"r1: {tmp_path / name} already exists and is not overwritten; choose another directory, or move the file\n"
    assert (ended.returncode, ended.stderr) == (1, said)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"


def test_the_project_is_planned_and_its_status_shown(project: Path) -> None:
    planned = r1("plan", "--profile", "smoke", "--recipe", project / "recipe.py", cwd=project)
    assert planned.returncode == 0, planned.stderr
    assert "device hours" in planned.stdout
    Store(project / ".r1")  # a question makes no home
    shown = r1("status", "--profile", "smoke", "--recipe", "recipe.py", "--json", cwd=project)
    assert shown.returncode == 0, shown.stderr
    states = {row["asset"]: row["state"] for row in json.loads(shown.stdout)}
    assert {states["reasoning_problems"], states["r1"]} == {"missing"}


def settings(project: Path, monkeypatch: pytest.MonkeyPatch) -> HomeSettings:
    for name in ("R1_SOURCES", "R1_SEED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("R1_HOME", str(project / ".r1"))
    monkeypatch.setenv("R1_PROFILE", "smoke")
    monkeypatch.setenv("R1_RECIPE", str(project / "recipe.py"))
    return HomeSettings.from_environment()


def test_files_beside_the_recipe_count_and_those_of_the_home_go_before(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "runtime.toml").write_text("micro_batch = 7\n", encoding="utf-8")
    found = settings(project, monkeypatch)
    assert found.sources == project / "sources.toml"
    assert found.load().runtime.micro_batch == 7
    problems = found.load().recipes["heldout_problems"]
    assert isinstance(problems, CurateRecipe)
    assert [source.name for source in problems.sources] == ["my_problems"]
    (project / ".r1").mkdir()
    for name in ("sources.toml", "runtime.toml"):
        (project / ".r1" / name).write_text((project / name).read_text(encoding="utf-8"), encoding="utf-8")
    (project / ".r1" / "problems.jsonl").write_bytes((project / "problems.jsonl").read_bytes())
    (project / ".r1" / "runtime.toml").write_text("micro_batch = 5\n", encoding="utf-8")
    found = settings(project, monkeypatch)
    assert found.sources == project / ".r1" / "sources.toml"
    assert found.load().runtime.micro_batch == 5


def test_the_lines_that_are_put_out_of_use_work(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commented lines are the ablation of the recipe file, and all settings of the runtime file but the device."""
    for name, kept in (("recipe.py", "An ablation"), ("runtime.toml", "Settings of this machine")):
        lines = (project / name).read_text(encoding="utf-8").splitlines()
        used = [line if kept in line or "cuda" in line else line.replace("# ", "", 1) for line in lines]
        (project / name).write_text("\n".join(used) + "\n", encoding="utf-8")
    profile = settings(project, monkeypatch).load()
    assert "evaluation/r1_zero_no_format" in profile.graph.nodes
    assert (profile.runtime.threads, profile.runtime.generation_batch, profile.runtime.micro_batch) == (8, 512, 16)


@pytest.mark.slow
def test_the_project_runs(project: Path) -> None:
    """The whole graph runs on `smoke`, each of the twelve problems is in a set, and an audit finds nothing."""
    ended = r1("run", "--profile", "smoke", "--recipe", "recipe.py", cwd=project)
    assert ended.returncode == 0, ended.stderr
    library = Library.of(project / ".r1")
    mine = []
    for name in ("reasoning_problems", "heldout_problems"):
        found = library.find(name)
        assert isinstance(found, ProblemSet)
        mine += [problem.question for problem in found.problems() if problem.source.startswith("my_problems")]
    assert len(mine) == len(set(mine)) == 12
    assert r1("audit", cwd=project).returncode == 0
