"""Where a verb writes while an artifact is being made, and how it reports progress.

A `Draft` is handed to the verb by the store; what it writes below `path` becomes the artifact.
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
    """What is written here becomes the artifact."""
    scratch: Path
    """Keyed by the fingerprint; kept until the artifact is committed."""
    observer: Observer = field(default_factory=Observer)
    leads: bool = True
    """Whether this process writes; of several that fill one draft, the first does and the others read."""

    @property
    def metrics(self) -> Path:
        """The append-only JSONL file of step metrics."""
        return self.scratch / METRICS

    def log(self, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """Append the metrics of one step, durably, then tell the observer."""
        if self.leads:
            append_metrics(self.metrics, step, total, metrics)
            self.observer.stepped(self.name, step, total, metrics)

    def rewind(self, step: int) -> None:
        """Forget metrics after `step`: they will be logged again by a resumed run."""
        if self.leads and self.metrics.exists():
            rewind_metrics(self.metrics, step)

    def note(self, message: str) -> None:
        """Shows a message to the user that must not be overlooked."""
        if self.leads:
            self.observer.noted(self.name, message)


def bare_draft(directory: Path, name: str = "draft") -> Draft:
    """A draft outside any store, for tests and for stepping through a verb by hand."""
    draft = Draft(name=name, path=directory / "artifact", scratch=directory / "scratch")
    draft.path.mkdir(parents=True, exist_ok=True)
    draft.scratch.mkdir(parents=True, exist_ok=True)
    return draft
