"""Live progress of a run on the terminal: the asset, its step, the metrics and the time left."""

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from r1_pipeline.artifacts.kinds import Artifact
from r1_pipeline.artifacts.observer import Observer

SHOWN_METRICS = ("reward", "reward/accuracy", "reward/format", "reward/language", "loss", "pass_at_1", "mean_tokens")
"""Step metrics shown next to the bar; the first three that a stage has are taken."""
QUIET_PERIOD = 15.0
"""Seconds between progress lines if the output is not a terminal."""


class ProgressObserver(Observer):
    """A context manager that shows a bar per stage on a terminal, and plain lines elsewhere."""

    def __init__(self, console: Console, planned: Mapping[str, float] | None = None) -> None:
        """Takes the planned device hours of every artifact of the run, from which the time left is estimated."""
        self.console = console
        self._planned = dict(planned or {})
        self._began = time.monotonic()
        self.computed: list[str] = []
        self.reused_names: list[str] = []
        self._bars = Progress(
            TextColumn("  [bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[metrics]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, Any] = {}
        self._starts: dict[str, float] = {}
        self._last_line = 0.0

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def began(
        self, name: str, fingerprint: str, payload: Mapping[str, Any], inputs: Mapping[str, Artifact], metrics: Path
    ) -> Mapping[str, str]:
        about = escape(titled(name))
        self._tasks[name] = self._bars.add_task(about, total=None, metrics="starting")
        if not self.console.is_terminal:
            self._say(f"  … {about}")
        self._last_line = self._starts[name] = time.monotonic()
        return {}

    def stepped(self, name: str, step: int, total: int, metrics: Mapping[str, float]) -> None:
        shown = "  ".join([f"{key} {metrics[key]:.3g}" for key in SHOWN_METRICS if key in metrics][:3])
        if name in self._tasks:
            self._bars.update(self._tasks[name], completed=step, total=total, metrics=shown)
        now = time.monotonic()
        if not self.console.is_terminal and now - self._last_line > QUIET_PERIOD:
            self._last_line = now
            rate = (now - self._starts.get(name, now)) / max(step, 1)
            self._say(f"    {escape(name)} {step}/{total}  {shown}  {duration_text(rate * (total - step))} left")

    def noted(self, name: str, message: str) -> None:
        self._say(f"  [yellow]![/] {escape(name)}: {escape(message)}")

    def finished(self, artifact: Artifact) -> None:
        self._close(artifact.name)
        self.computed.append(artifact.name)
        seconds = artifact.manifest.provenance.seconds
        name = escape(f"{titled(artifact.name):<44}")
        facts = ", ".join(filter(None, (_headline_metrics(artifact), self._left())))
        self._say(f"  [green]✓[/] {name} {seconds:7.1f} s  {artifact.digest[:12]}  {facts}")

    def failed(self, name: str, error: BaseException) -> None:
        self._close(name)

    def reused(self, artifact: Artifact) -> None:
        if artifact.name not in self.computed and artifact.name not in self.reused_names:
            self.reused_names.append(artifact.name)

    def _left(self) -> str:
        """Returns the estimated time left of the whole run; empty where the plan has no hours of what was made."""
        done = sum(self._planned.get(name, 0.0) for name in self.computed)
        known = {*self.computed, *self.reused_names}
        due = sum(hours for name, hours in self._planned.items() if name not in known)
        elapsed = time.monotonic() - self._began
        return f"about {duration_text(elapsed * due / done)} left" if done and due else ""

    def _say(self, line: str) -> None:
        """Prints a line with markup; the caller escapes foreign text."""
        self.console.print(line, highlight=False, soft_wrap=True)

    def _close(self, name: str) -> None:
        if name in self._tasks:
            self._bars.remove_task(self._tasks.pop(name))


def _headline_metrics(artifact: Artifact) -> str:
    facts = artifact.statistics
    shown = [f"{key} {facts[key]:.3g}" for key in ("pass_at_1", "accuracy") if key in facts]
    shown += [f"{facts['rows']} rows"] if "rows" in facts else []
    return ", ".join(shown)


def titled(name: str) -> str:
    """Returns the name of an artifact with the work that makes it, where the name alone tells two of them badly apart.

    The answers of a model and their evaluation are two artifacts; only the first one samples.
    """
    kind, _, model = name.partition("/")
    works = {"answers": "sampling of {}", "evaluation": "grading of {}"}
    return f"{name} ({works[kind].format(model)})" if model and kind in works else name


def duration_text(seconds: float) -> str:
    """Returns a duration in the largest unit that fits, such as 40 s, 3 min or 1.5 h."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
