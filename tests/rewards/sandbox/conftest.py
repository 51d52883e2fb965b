"""Fixtures: sandboxes as root, each under a user id of its own, and as a plain user; and the stage for attacks."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from stage import PLAIN_USER, Stage

from r1_pipeline.rewards.sandbox import sandboxes
from r1_pipeline.rewards.sandbox.sandboxes import Sandboxes
from r1_pipeline.rewards.sandbox.self_test import sandbox_problem


@pytest.fixture(scope="session")
def safe() -> None:
    problem = sandbox_problem()
    if problem:
        pytest.skip(problem)


def _as_plain_user(folder: Path) -> str:
    """Returns an interpreter that drops root's rights; the pool starts its supervisors with it."""
    drop = ["setpriv", f"--reuid={PLAIN_USER}", f"--regid={PLAIN_USER}", "--clear-groups", "--", "/usr/bin/python3"]
    supervisor = Path(sandboxes.__file__).with_name("supervisor.py")
    if shutil.which("setpriv") is None or subprocess.run([*drop, "-c", f"open({str(supervisor)!r})"]).returncode:
        pytest.skip("a plain user can run no Python here, or cannot read this repository")
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec {" ".join(drop)} "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that users of sandboxes can enter; pytest closes its own folders to them when a session begins."""
    with TemporaryDirectory(prefix="r1-tests-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


ROOT = os.geteuid() == 0
USERS = ["root", pytest.param("plain user", marks=pytest.mark.slow)] if ROOT else ["plain user"]


@pytest.fixture(scope="session", params=USERS)
def held(request, safe, tmp_path_factory) -> Iterator[Sandboxes]:
    """Sandboxes of the user who runs the tests; root also tests as a plain user."""
    interpreter = sys.executable
    if request.param == "plain user" and ROOT:
        sys.executable = _as_plain_user(tmp_path_factory.mktemp("plain"))
    made = Sandboxes(workers=2)
    sys.executable = interpreter
    yield made
    made.close()


@pytest.fixture
def stage(tmp_path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()
