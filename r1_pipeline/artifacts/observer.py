"""Observers of the making of artifacts: progress displays and trackers, which never change a result."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from r1_pipeline.artifacts.kinds import Artifact


class Observer:
    """Ignores every event; derive and override. Calls come from the process that makes the artifact."""

    def began(
        self, name: str, fingerprint: str, payload: Mapping[str, Any], inputs: Mapping[str, Artifact], metrics: Path
    ) -> Mapping[str, str]:
        """Handles the start of a computation from `inputs` (edge -> artifact); not called on reuse.

        Returns identifiers to store in the provenance.
        """
        return {}

    def stepped(self, name: str, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """Handles the end of a step."""

    def noted(self, name: str, message: str) -> None:
        """Handles a message for the user."""

    def finished(self, artifact: Artifact) -> None:
        """Handles the successful end of a computation."""

    def failed(self, name: str, error: BaseException) -> None:
        """Handles a computation that stopped with `error`; its scratch folder is kept."""

    def reused(self, artifact: Artifact) -> None:
        """Handles the reuse of a finished artifact."""


class Observers(Observer):
    """Combines several observers into one, which notifies them in order."""

    def __init__(self, watching: Sequence[Observer]) -> None:
        self._watching = watching

    def began(
        self, name: str, fingerprint: str, payload: Mapping[str, Any], inputs: Mapping[str, Artifact], metrics: Path
    ) -> Mapping[str, str]:
        identifiers: dict[str, str] = {}
        for observer in self._watching:
            identifiers.update(observer.began(name, fingerprint, payload, inputs, metrics))
        return identifiers

    def stepped(self, name: str, step: int, total: int, metrics: Mapping[str, float]) -> None:
        for observer in self._watching:
            observer.stepped(name, step, total, metrics)

    def noted(self, name: str, message: str) -> None:
        for observer in self._watching:
            observer.noted(name, message)

    def finished(self, artifact: Artifact) -> None:
        for observer in self._watching:
            observer.finished(artifact)

    def failed(self, name: str, error: BaseException) -> None:
        for observer in self._watching:
            observer.failed(name, error)

    def reused(self, artifact: Artifact) -> None:
        for observer in self._watching:
            observer.reused(artifact)
