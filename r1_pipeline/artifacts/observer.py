"""Who watches the making of artifacts: progress displays and trackers. Observers never change a result."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from r1_pipeline.artifacts.kinds import Artifact


class Observer:
    """Watches nothing; derive and override. Calls come from the process that makes the artifact."""

    def began(
        self, name: str, fingerprint: str, payload: Mapping[str, Any], inputs: Mapping[str, Artifact], metrics: Path
    ) -> Mapping[str, str]:
        """A computation of `inputs` (edge -> artifact) starts; not called on reuse. Returns identifiers to keep in the
        provenance."""
        return {}

    def stepped(self, name: str, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """One step is done."""

    def noted(self, name: str, message: str) -> None:
        """Something a person should read."""

    def finished(self, artifact: Artifact) -> None:
        """The computation ended well."""

    def failed(self, name: str, error: BaseException) -> None:
        """The computation stopped with `error`; its scratch is kept."""

    def reused(self, artifact: Artifact) -> None:
        """Nothing had to be computed."""


class Observers(Observer):
    """Several observers as one, told in order."""

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
