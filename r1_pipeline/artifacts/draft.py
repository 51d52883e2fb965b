"""Drafts: the folders that a verb writes to while it makes an artifact, and its progress reports.

The store hands a `Draft` to the verb; the files below `path` become the artifact.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from r1_pipeline.artifacts.metrics import METRICS, append_metrics, rewind_metrics
from r1_pipeline.artifacts.observer import Observer


@dataclass
class Draft:
    """A staging directory, a scratch directory that survives interruptions, and the metrics log."""

    name: str
    path: Path
    """Folder whose files become the artifact."""
    scratch: Path
    """Folder for checkpoints and job files, keyed by the fingerprint and kept until the artifact is committed."""
    observer: Observer = field(default_factory=Observer)
    leads: bool = True
    """True in the process that writes; the other ranks that share a draft only read."""

    @property
    def metrics(self) -> Path:
        """The append-only JSONL file of step metrics."""
        return self.scratch / METRICS

    def log(self, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """Appends the metrics of one step, durably, then notifies the observer."""
        if self.leads:
            append_metrics(self.metrics, step, total, metrics)
            self.observer.stepped(self.name, step, total, metrics)

    def rewind(self, step: int) -> None:
        """Removes metrics after `step`, which a resumed run will log again."""
        if self.leads and self.metrics.exists():
            rewind_metrics(self.metrics, step)

    def note(self, message: str) -> None:
        """Shows the user a message that must not be overlooked."""
        if self.leads:
            self.observer.noted(self.name, message)


def bare_draft(directory: Path, name: str = "draft") -> Draft:
    """Makes a draft outside any store, for tests and for running a verb step by step."""
    draft = Draft(name=name, path=directory / "artifact", scratch=directory / "scratch")
    draft.path.mkdir(parents=True, exist_ok=True)
    draft.scratch.mkdir(parents=True, exist_ok=True)
    return draft
