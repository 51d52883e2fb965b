"""Helpers of the launchers' tests: a small corpus of sums, copies of a home, and an observer that remembers."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, Corpus
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.store import BuildResult, Store
from r1_pipeline.artifacts.tables import write_records
from r1_pipeline.profiles import Profile
from r1_pipeline.records import Outcome, Sample
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.settings.launchers import AnyLauncher

A = TypeVar("A", bound=Artifact)
ROWS = 12


def sample(number: int) -> Sample:
    return Sample(
        sample_id=f"{number:016x}",
        problem_id=f"{number:016x}",
        domain="math",
        language="en",
        source="test",
        licence="CC0-1.0",
        question=f"{number}+1=?",
        response=f"<think>{'1 ' * (number % 3)}{number}</think>\\boxed{{{number + 1}}}",
        generator="test@1",
        engine="none",
        temperature=1.0,
        top_p=1.0,
        max_tokens=64,
        seed=0,
        sample_index=0,
        outcome=Outcome.CORRECT,
        verifier="test@1",
        tokens=10,
        language_share=1.0,
    )


def write_corpus(draft: Draft) -> BuildResult:
    write_records(draft.path / "samples.parquet", [sample(number) for number in range(ROWS)], Sample)
    return BuildResult({"rows": ROWS})


class Home:
    """A copy of the origin, and workshops in it."""

    def __init__(self, origin: Path, directory: Path, profile: Profile) -> None:
        shutil.copytree(origin, directory)
        self._directory = directory
        self._runtime = profile.runtime
        self.base = self._only(Checkpoint, "base")
        self.corpus = self._only(Corpus, "sums")

    def at(self, name: str, launcher: AnyLauncher, observer: Observer | None = None) -> BuildContext:
        runtime = self._runtime.model_copy(update={"launcher": launcher})
        return BuildContext(Store(self._directory, observer), runtime, name)

    def _only(self, kind: type[A], name: str) -> A:
        (path,) = (self._directory / "artifacts" / kind.kind / name).iterdir()
        return kind.open(path)


class Heard(Observer):
    def __init__(self) -> None:
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.notes: list[str] = []

    def stepped(self, name: str, step: int, total: int, metrics: Mapping[str, float]) -> None:
        self.steps.append(step)
        self.losses.append(metrics["loss"])

    def noted(self, name: str, message: str) -> None:
        self.notes.append(message)


Homes = Callable[[str], Home]


def sft(profile: Profile, **changes: Any) -> Any:
    return profile.recipes["dev1"].model_copy(update={"epochs": 2, "batch": 4, "save_steps": 2, **changes})
