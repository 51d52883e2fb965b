"""How a stage's metrics get to MLflow: by a thread of its own, and by a note of what it has not heard yet.

Only the thread speaks to the tracker, so that one which is slow or dead holds up nothing: who waits, waits for seconds.
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
"""That a stage waits for the tracker when it begins, and when it ends."""
UPLOAD_PERIOD_S = 2.0
"""Seconds between deliveries of step metrics."""


class Tracker(Protocol):
    """The part of a tracking store that a delivery needs."""

    display_uri: str
    """Its address without a password."""

    def connect(self) -> "MlflowClient":
        """A client of the store."""

    def best_effort(self, what: str, warn: Callable[[str], None]) -> AbstractContextManager[None]:
        """Reports a tracker that fails through `warn`, and stops nothing."""


class PendingUpload:
    """A note of what MLflow must still be told; a lock on it says that somebody is telling."""

    def __init__(self, path: Path, mode: str) -> None:
        """Raises `BlockingIOError` where another holds it."""
        self._path = path
        self._file = path.open(mode, encoding="utf-8")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, pending: Mapping[str, Any]) -> None:
        """What is owed."""
        json.dump(pending, self._file)
        self._file.flush()

    def read(self) -> dict[str, Any]:
        """What is owed."""
        pending: dict[str, Any] = json.load(self._file)
        return pending

    def complete(self) -> None:
        """MLflow knows it all."""
        self._path.unlink()


class MetricsUploader:
    """Carries a metrics file to a run, in batches, from a thread of its own; each metric of each step once.

    Only the thread speaks to the tracker. Who waits for it waits for seconds; a process ends when its threads have.
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
        """Id of the run; None where the tracker does not say it in time."""
        self._started.wait(timeout)
        return self._run_id

    def end(
        self, what: str, last: "Callable[[MlflowClient, str], None]", pending: AbstractContextManager[object]
    ) -> None:
        """Do this last; it goes on by itself where the tracker takes longer than `TIMEOUT_S`."""
        self._last = (what, last, pending)
        self._stopping.set()
        self._thread.join(TIMEOUT_S)
        if self._thread.is_alive():
            self._warn(f"MLflow at {self._tracking.display_uri} is slow; nobody waits for it")

    def upload(self) -> None:
        """What the run has not got yet. A call that failed may have been heard all the same: so it is asked first."""
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
            with self._tracking.best_effort("take metrics", lambda _: None):  # the rows stay in the file
                self.upload()
        what, last, pending = self._last
        with pending, self._tracking.best_effort(what, self._warn):
            last(self._tracking.connect(), self._open())

    def _open(self) -> str:
        if self._run_id is None:
            self._run_id = self._start_run()
        return self._run_id
