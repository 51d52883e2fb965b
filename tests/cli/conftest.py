"""A home with one real artifact, made without Dagster, and an `r1` for which Dagster, MLflow and torch do not exist."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bare_command import Bare

sys.path.append(str(Path(__file__).parents[1] / "generation"))  # its server and its toy model

from r1_pipeline.artifacts.store import Store
from r1_pipeline.cli import EXTRAS
from r1_pipeline.profiles import load_profile
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.verbs import curate


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, profile = tmp_path_factory.mktemp("cli") / "home", load_profile("smoke", 0)
    at = BuildContext(Store(folder), profile.runtime, "heldout_problems")
    curate(at, profile.recipes["heldout_problems"])
    return folder


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Bare:
    """Runs `r1 ARGUMENTS` in a process in which importing a package of an extra fails as if it were not installed."""
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(
        f"import sys\nfor name in {tuple(EXTRAS)}:\n    sys.modules[name] = None\n", encoding="utf-8"
    )
    root = Path(__file__).parents[2]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("R1_", "MLFLOW_", "DAGSTER_"))}
    environment = {**clean, "PYTHONPATH": f"{site}{os.pathsep}{root}", "R1_PROFILE": "smoke"}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", "from dagster_defs.cli import main; main()", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    return run
