"""Uploads a stage's metrics to MLflow from a thread of its own, with a note on disk of uploads that are still pending.

Only this thread calls the tracker, so a slow or dead tracker stalls nothing: callers wait a few seconds at most.
"""

import fcntl
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from dagster_defs.tracking.mlflow_runs import log_steps, logged_steps
from r1_pipeline.artifacts.metrics import read_metrics

if TYPE_CHECKING:
    from mlflow import MlflowClient

TIMEOUT_S = 5.0
"""Seconds that a stage waits for the tracker at its start and at its end."""
UPLOAD_PERIOD_S = 2.0
"""Seconds between uploads of step metrics."""


class Tracker(Protocol):
    """The part of a tracking store that an upload needs."""

    display_uri: str
    """The address of the store without its password."""

    def connect(self) -> "MlflowClient":
        """Returns a client of the store."""

    def best_effort(self, what: str, warn: Callable[[str], None]) -> AbstractContextManager[None]:
        """Reports tracker errors inside the block through `warn` and continues."""


class PendingUpload:
    """A note on disk that an upload is incomplete; a lock on it marks an upload in progress."""

    def __init__(self, path: Path, mode: str) -> None:
        """Opens and locks the note; raises `BlockingIOError` if another process holds it."""
        self._path = path
        self._file = path.open(mode, encoding="utf-8")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, pending: Mapping[str, Any]) -> None:
        """Writes the description of the pending upload."""
        json.dump(pending, self._file)
        self._file.flush()

    def read(self) -> dict[str, Any]:
        """Reads the description of the pending upload."""
        pending: dict[str, Any] = json.load(self._file)
        return pending

    def complete(self) -> None:
        """Removes the note after a complete upload."""
        self._path.unlink()


class MetricsUploader:
    """Uploads a metrics file to a run in batches from a thread of its own, each metric of each step once.

    Only this thread calls the tracker. Callers wait a few seconds at most, and the process ends after its threads.
    """

    def __init__(
        self, tracking: Tracker, start_run: Callable[[], str], metrics: Path, warn: Callable[[str], None]
    ) -> None:
        self._tracking = tracking
        self._start_run = start_run
        self._metrics = metrics
        self._warn = warn
        self._run_id: str | None = None
        self._logged: set[tuple[str, int]] | None = None
        self._started, self._stopping = threading.Event(), threading.Event()
        self._last: tuple[str, Callable[[MlflowClient, str], None], AbstractContextManager[object]]
        self._thread = threading.Thread(target=self._upload_loop, name=f"mlflow {metrics.parent.name[:8]}")
        self._thread.start()

    def run_id(self, timeout: float) -> str | None:
        """Returns the id of the run, or None if the tracker does not answer within `timeout` seconds."""
        self._started.wait(timeout)
        return self._run_id

    def end(
        self, what: str, last: "Callable[[MlflowClient, str], None]", pending: AbstractContextManager[object]
    ) -> None:
        """Calls `last` as the final upload; the thread continues alone if the tracker needs longer than `TIMEOUT_S`
        seconds.
        """
        self._last = (what, last, pending)
        self._stopping.set()
        self._thread.join(TIMEOUT_S)
        if self._thread.is_alive():
            self._warn(f"MLflow at {self._tracking.display_uri} is slow; the upload continues in the background")

    def upload(self) -> None:
        """Uploads the metrics that the run does not hold yet; it asks the tracker first, since a failed call may have
        arrived.
        """
        run_id, client = self._open(), self._tracking.connect()
        logged = logged_steps(client, run_id) if self._logged is None else self._logged
        self._logged = None
        log_steps(client, run_id, read_metrics(self._metrics), logged)
        self._logged = logged

    def _upload_loop(self) -> None:
        with self._tracking.best_effort("start a run", self._warn):
            self._open()
        self._started.set()
        while not self._stopping.wait(UPLOAD_PERIOD_S):
            with self._tracking.best_effort(
                "take metrics", lambda _: None
            ):  # rows stay in the file until the next attempt
                self.upload()
        what, last, pending = self._last
        with pending, self._tracking.best_effort(what, self._warn):
            last(self._tracking.connect(), self._open())

    def _open(self) -> str:
        if self._run_id is None:
            self._run_id = self._start_run()
        return self._run_id
