"""The whole graph runs on a machine without bubblewrap: it leaves out the code domain, and reports that."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from r1_pipeline.artifacts.kinds import ProblemSet
from r1_pipeline.artifacts.store import BuildResult, Spec, Store
from r1_pipeline.recipe import Recipe


def without_sandbox(tmp_path: Path, home: Path) -> "subprocess.CompletedProcess[str]":
    """Runs `r1 run --profile smoke` where no program is installed."""
    empty = tmp_path / "bin"
    empty.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("R1_", "DAGSTER_", "MLFLOW_"))}
    command = [sys.executable, "-c", "from dagster_defs.cli import main; main()", "run", "--profile", "smoke"]
    return subprocess.run(
        [*command, "--home", str(home)],
        capture_output=True,
        text=True,
        env={**environment, "PATH": str(empty)},
        check=False,
        timeout=600,
    )


def test_a_home_in_which_code_was_graded_is_not_gone_on_with(tmp_path: Path) -> None:
    home = tmp_path / "home"
    facts = BuildResult({"rows": 1, "by_domain": {"code": 1}, "left_out": {}})
    Store(home).build(ProblemSet, Spec("heldout_problems", "curate", 1, Recipe(), {}), lambda _: facts)
    done = without_sandbox(tmp_path, home)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "heldout_problems in" in line and "install the package bubblewrap" in line and "another --home" in line
    assert len(list(home.rglob("manifest.json"))) == 1


@pytest.mark.slow
def test_the_graph_goes_on_without_code_and_says_so(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = without_sandbox(tmp_path, home)
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "bubblewrap" in line]
    assert line.startswith("code problems are left out: bwrap is not installed")
    numbers = json.loads((home / "report/report.json").read_text())
    assert list(numbers["left_out"]) == ["code"]
    assert set(numbers["corpus"]["by_domain"]) == set(numbers["models"]["r1"]["by_domain"]) | {"general"}
    assert "code" not in numbers["corpus"]["by_domain"]
    assert "Code is left out of this run:</b> bwrap is not installed" in (home / "report/report.html").read_text()
