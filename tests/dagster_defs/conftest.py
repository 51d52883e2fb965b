"""Fixtures of one whole run of the profile `smoke`; every slow test works on a copy of its home."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import REPLIES, SOURCES, smoke_settings, write

from dagster_defs.runner.run import run
from r1_pipeline.data.toy_problems import generate_problems
from r1_pipeline.profiles import load_profile


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before = dict(os.environ)
    home = tmp_path_factory.mktemp("made")
    assert run(smoke_settings(home), None, []) is None
    yield home
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def sums() -> list[str]:
    """Returns GSM8K-like lines of sums that the base of `smoke` has seen worked out."""
    problems = generate_problems(load_profile("smoke", 0).recipes["heldout_problems"].problems)
    asked = [p for p in problems if p.domain == "math" and p.question.isascii()]
    return [json.dumps({"question": p.question, "answer": f"One step.\n#### {p.answer}"}) for p in asked]


@pytest.fixture(scope="session")
def fed(made: Path, sums: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home, before = tmp_path_factory.mktemp("fed") / "home", dict(os.environ)
    shutil.copytree(made, home)
    write(home / "sums" / "one.jsonl", sums[4:-3])
    write(home / "exam.jsonl", sums[:4])
    for name, rows in (("one", REPLIES[:2]), ("two", REPLIES[2:])):
        write(home / "replies" / f"{name}.jsonl", [json.dumps(row) for row in rows])
    (home / "sources.toml").write_text(SOURCES, encoding="utf-8")
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
