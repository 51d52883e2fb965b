"""Homes for tests, source files that feed one, and automation running in it."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from dagster_defs.asset_keys import node_name
from dagster_defs.code_location import code_location
from dagster_defs.runner.executor import Executor
from dagster_defs.settings import Settings
from r1_pipeline import profiles
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.graph.node import AssetName
from r1_pipeline.profiles import Profile, smoke
from r1_pipeline.registry import Registry

SOURCES = """
builtin = ["code", "stem", "logic", "general", "preference"]

[[source]]
name = "sums"
path = "sums"
files = ["*.jsonl"]
mapping = "gsm8k"
licence = "MIT"
origin = "my desk"
side = "train"

[[source]]
name = "exam"
path = "exam.jsonl"
mapping = "gsm8k"
licence = "MIT"
origin = "my desk"
side = "heldout"

[[source]]
name = "replies"
path = "replies"
files = ["*.jsonl"]
licence = "MIT"
origin = "my desk"
side = "train"

[source.mapping]
makes = "pair"
kind = "helpful"
language = "en"
prompt = "{{ p }}"
chosen = "{{ c }}"
rejected = "{{ r }}"
"""
REPLIES = [{"p": f"Say {word}.", "c": f"Gladly: {word}.", "r": "No."} for word in ("one", "two", "three", "four")]


def write(path: Path, rows: list[str]) -> None:
    """Writes a file with a modification time in the past."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    age(path)


def age(path: Path) -> None:
    os.utime(path, (time.time() - 60, time.time() - 60))


LIMIT = 40
"""Maximum number of ticks until a change has settled."""


def smoke_settings(home: Path) -> Settings:
    """Returns settings of the profile `smoke` with everything below `home`, including its sources file."""
    sources = home / "sources.toml"
    return Settings(
        home, "smoke", 0, sources if sources.exists() else None, tracking_uri=f"sqlite:///{home / 'mlflow.db'}"
    )


def changed(monkeypatch: pytest.MonkeyPatch, change: Callable[[Profile], Profile], name: str = "smoke") -> None:
    """Replaces the profile `name` by `smoke` with this change."""
    there = {**profiles.PROFILES, name: lambda seed: change(smoke(seed))}
    monkeypatch.setattr(profiles, "PROFILES", Registry("profile", there))


class Automation:
    """The ticks of automation, with this process as the worker."""

    def __init__(self, home: Path) -> None:
        self.at = smoke_settings(home)
        self.at.export()
        self.cursor: object = None

    def tick(self) -> set[AssetName]:
        """Returns the assets and partitions that one tick requests."""
        with dg.DagsterInstance.from_config(str(self.at.dagster_home)) as instance:
            found = dg.evaluate_automation_conditions(code_location(self.at), instance, cursor=self.cursor)  # type: ignore[arg-type]
        self.cursor = found.cursor
        return {
            AssetName(node_name(unit.asset_key), unit.partition_key)
            for result in found.results
            for unit in result.true_subset.expensively_compute_asset_partitions()
        }

    def materialize(self, units: set[AssetName]) -> None:
        """Makes the requested assets; a failed gate is an accepted outcome."""
        worker = Executor(self.at, {}, Observer())
        for partition in {unit.partition for unit in units}:
            worker.materialize([unit.asset for unit in units if unit.partition == partition], partition)

    def settle(self) -> list[str]:
        """Returns the names of all assets that were made again, in order."""
        done: list[str] = []
        for _ in range(LIMIT):
            units = self.tick()
            if not units:
                return done
            self.materialize(units)
            done += sorted(map(str, units))
        raise AssertionError(f"still requesting after {LIMIT} ticks: {done}")
