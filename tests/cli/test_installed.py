"""Laws of the wheel: it installs in an empty environment, where the core works without torch, Dagster and MLflow."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ("--constraint", str(ROOT / "constraints.txt"))
MOST = 40
"""Maximum number of distributions of the core, itself included."""
HEAVY = {"dagster", "mlflow", "torch", "transformers", "trl", "datasets", "matplotlib", "reasoning-gym", "ray", "vllm"}
EVERY_MODULE = """
import importlib, pkgutil, sys, r1_pipeline
SCRIPTS = [f"r1_pipeline.rewards.{name}" for name in ("maths_child", "sandbox.driver", "sandbox.supervisor")]
for module in pkgutil.walk_packages(r1_pipeline.__path__, "r1_pipeline."):
    if module.name not in SCRIPTS:
        importlib.import_module(module.name)
print(len([name for name in sys.modules if name.startswith("r1_pipeline.")]) + len(SCRIPTS))
"""
ITEM = "A train leaves Oslo at nine and travels four hundred kilometres at eighty an hour; when is it there?"
OTHER = "How many ways are there to put seven different books on three shelves so that no shelf of them stays empty?"


def ran(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    """Runs a command outside this checkout and its environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("R1_", "PYTHON"))}
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, env=kept, cwd="/")


def pip(python: Path | str, *arguments: str | Path) -> None:
    ended = ran(python, "-m", "pip", "--disable-pip-version-check", *arguments)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips the tests if pip cannot download a small package that the project pins."""
    target, small = tmp_path_factory.mktemp("probe"), f"typer=={version('typer')}"
    asked = ran(sys.executable, "-m", "pip", "download", "--quiet", "--retries=0", "--no-deps", "--dest", target, small)
    if asked.returncode:
        pytest.skip(f"pip reaches no index: {asked.stderr.strip().splitlines()[-1]}")


@pytest.fixture(scope="session")
def environment(index: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of programs of an environment that contained nothing before the wheel."""
    folder = tmp_path_factory.mktemp("installed")
    for package in ("r1_pipeline", "dagster_defs"):
        shutil.copytree(ROOT / package, folder / "source" / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source" / name)
    pip(sys.executable, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, folder / "source")
    [wheel] = folder.glob("r1_pipeline-*.whl")
    assert ran(sys.executable, "-m", "venv", folder / "venv").returncode == 0
    pip(folder / "venv" / "bin" / "python", "install", "--quiet", *CONSTRAINTS, wheel)
    return folder / "venv" / "bin"


def test_it_brings_few_distributions_and_nothing_heavy(environment: Path) -> None:
    listed = ran(environment / "python", "-m", "pip", "list", "--format=json", "--exclude=pip", "--exclude=setuptools")
    names = {row["name"].lower().replace("_", "-") for row in json.loads(listed.stdout)}
    assert "r1-pipeline" in names
    assert len(names) <= MOST
    assert names & HEAVY == set()


def test_every_module_of_the_library_can_be_imported(environment: Path) -> None:
    ended = ran(environment / "python", "-c", EVERY_MODULE)
    assert ended.returncode == 0, ended.stderr
    files = [file for file in (ROOT / "r1_pipeline").rglob("*.py") if file.parent.joinpath("__init__.py").exists()]
    assert int(ended.stdout) == len(files) - 1  # the package itself is no module of its own


def test_a_file_is_graded(environment: Path, tmp_path: Path) -> None:
    """The first answer is correct, since 2 + 2 is 4, and the second is wrong."""
    rows = [{"id": n, "domain": "math", "answer": f"\\boxed{{{n}}}", "reference": "4"} for n in ("4", "5")]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    ended = ran(environment / "r1", "grade", tmp_path / "answers.jsonl")
    assert ended.returncode == 0, ended.stderr
    assert [json.loads(line)["outcome"] for line in ended.stdout.splitlines()] == ["correct", "wrong"]


def test_a_file_is_screened(environment: Path, tmp_path: Path) -> None:
    """The row that equals the benchmark's item is dropped, and the other one stays."""
    exam, mine = tmp_path / "exam.jsonl", tmp_path / "mine.jsonl"
    exam.write_text(json.dumps({"question": ITEM}) + "\n", encoding="utf-8")
    mine.write_text("".join(json.dumps({"question": text}) + "\n" for text in (ITEM, OTHER)), encoding="utf-8")
    ended = ran(environment / "r1", "screen", mine, "--against", exam, "--out", tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out" / "kept.jsonl").read_text(encoding="utf-8") == json.dumps({"question": OTHER}) + "\n"


def test_a_home_that_was_made_elsewhere_is_audited(environment: Path, home: Path) -> None:
    ended = ran(environment / "r1", "audit", "--home", home, "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert (found["artifacts"], found["findings"]) == (1, [])


@pytest.mark.parametrize(("command", "extra"), [("run", "dagster"), ("status", "dagster"), ("ui", "dagster")])
def test_what_needs_an_extra_names_it(environment: Path, home: Path, command: str, extra: str) -> None:
    ended = ran(environment / "r1", command, "--home", home)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert ended.stderr.endswith(f"not installed: pip install 'r1-pipeline[{extra}]'\n")
