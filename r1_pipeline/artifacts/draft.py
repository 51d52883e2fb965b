"""Where a verb writes while an artifact is being made, and how it reports progress.

A `Draft` is handed to the verb by the store. Step metrics go to an append-only JSONL file first: it is the truth
from which every tracker is fed, so that a dead tracker neither holds up training nor loses a step.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"


class Observer:
    """Watches the making of an artifact; the base class watches nothing. Observers never change a result."""

    def began(self, stage: str, name: str, fingerprint: str, metrics: Path) -> Mapping[str, str]:
        """A computation starts (not called on reuse). Returns identifiers to keep in the provenance."""
        return {}

    def stepped(self, name: str, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """One step is done."""

    def noted(self, name: str, message: str) -> None:
        """Something a person should read."""

    def failed(self, name: str, error: BaseException) -> None:
        """The computation stopped with `error`; scratch is kept."""


@dataclass
class Draft:
    """A staging directory, a scratch directory that survives interruptions, and the metrics log."""

    name: str
    path: Path
    """What is written here becomes the artifact."""
    scratch: Path
    """Keyed by the fingerprint; kept until the artifact is committed."""
    observer: Observer = field(default_factory=Observer)

    @property
    def metrics(self) -> Path:
        """The append-only JSONL file of step metrics."""
        return self.scratch / METRICS

    def log(self, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """Append the metrics of one step, durably, then tell the observer."""
        line = json.dumps({"step": step, "total": total, "time": time.time(), **metrics}, allow_nan=False)
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.observer.stepped(self.name, step, total, metrics)

    def rewind(self, step: int) -> None:
        """Forget metrics after `step`: they will be logged again by a resumed run."""
        kept = [row for row in read_metrics(self.metrics) if row["step"] <= step]
        temporary = self.metrics.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        temporary.replace(self.metrics)

    def note(self, message: str) -> None:
        """Tell whoever watches something that must not be overlooked."""
        self.observer.noted(self.name, message)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Rows of a metrics file, in order; a last line cut short by a crash is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            rows.append(json.loads(line))
    return rows


def bare_draft(directory: Path, name: str = "draft") -> Draft:
    """A draft outside any store, for tests and for stepping through a verb by hand."""
    draft = Draft(name=name, path=directory / "artifact", scratch=directory / "scratch")
    draft.path.mkdir(parents=True, exist_ok=True)
    draft.scratch.mkdir(parents=True, exist_ok=True)
    return draft
