"""A shell for the commands of the documentation, and one home of the profile `smoke` for all pages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from blocks import ROOT, Shell


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Runs a command line in a folder as a user would, with `r1` of this checkout and the profile `smoke`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("R1_", "MLFLOW_", "DAGSTER_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**clean, "PATH": path, "PYTHONPATH": str(ROOT), "R1_PROFILE": "smoke"}
    environment["HF_DATASETS_CACHE"] = str(tmp_path_factory.mktemp("datasets"))

    def run(folder: Path, command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=folder,
        )

    return run


@pytest.fixture(scope="session")
def made(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the whole graph was run once, by the command of the quickstart."""
    folder = tmp_path_factory.mktemp("docs")
    ended = shell(folder, "r1 run --profile smoke")
    assert ended.returncode == 0, ended.stderr[-3000:]
    return folder / ".r1"
