"""One whole run of the profile `smoke` for all slow tests here; each works on a copy of its home."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import smoke_settings

from dagster_defs.run import run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before = dict(os.environ)
    home = tmp_path_factory.mktemp("made")
    assert run(smoke_settings(home), None, []) is None
    yield home
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    shutil.copytree(made, home)
    for name, value in (("R1_HOME", home), ("R1_PROFILE", "smoke"), ("R1_SEED", 0), ("DAGSTER_HOME", home / "dagster")):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
    return home
