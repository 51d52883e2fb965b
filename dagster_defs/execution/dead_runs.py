"""Finds runs whose process has died, marks them as failed, frees their pool slots and closes their MLflow runs.

Dagster believes that a run it has started runs for ever. Every process therefore locks one file per run that it
executes, and the kernel releases the lock when the process dies for any reason. Runs of other hosts are left alone,
because their locks are not visible from this host.
"""

import fcntl
import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import dagster as dg
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from dagster_defs.instance import open_instance
from dagster_defs.settings import DEVICE, Settings
from dagster_defs.tracking.stage_runs import DAGSTER_RUN, TrackingStore
from r1_pipeline.artifacts.provenance import PIPELINE_RUN

ACTIVE = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
START_TIMEOUT_S = 180.0
"""Seconds after which a run without steps and without a lock is considered dead."""
PERIOD_S = 30
FAILURE_MESSAGE = "its process has died (killed, or the machine went down); run it again: finished assets are kept"

_locks: dict[str, TextIO] = {}


def hold_run_lock(settings: Settings, run_id: str) -> None:
    """Locks the file of this run for the lifetime of this process."""
    if run_id in _locks:
        return
    path = _lock_file(settings, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w", encoding="utf-8")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    file.write(json.dumps({"host": socket.gethostname()}))
    file.flush()
    _locks[run_id] = file


def reap_dead_runs(settings: Settings) -> list[str]:
    """Closes all dead runs and returns their ids."""
    with _shared_instance(settings) as instance:
        dead = list(_find_dead_runs(settings, instance))
        for run in dead:
            instance.report_run_failed(run, FAILURE_MESSAGE)
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            _lock_file(settings, run.run_id).unlink(missing_ok=True)
        active = {run.tags.get("r1/run", run.run_id) for run in instance.get_runs(RunsFilter(statuses=ACTIVE))}
    if dead:
        tracking = TrackingStore.of(settings)
        with tracking.best_effort("close the runs of a dead process", logging.getLogger(__name__).warning):
            _close_mlflow_runs(tracking, dead, active)
    return [run.run_id for run in dead]


def set_device_slots(settings: Settings, slots: int) -> None:
    """Limits the stages that load a model at the same time, over all runs, to `slots`."""
    with _shared_instance(settings) as instance:
        instance.event_log_storage.set_concurrency_slots(DEVICE, slots)


@contextmanager
def _shared_instance(settings: Settings) -> Iterator[DagsterInstance]:
    """Yields the Dagster instance of a home; a file lock lets only the first process create the tables."""
    with (settings.dagster_home / ".lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with open_instance(settings.dagster_home) as instance:
            yield instance


@dg.sensor(
    name="reconciler",
    minimum_interval_seconds=PERIOD_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Fails the runs whose process is dead, frees their slots, and tells MLflow what it missed.",
)
def dead_run_sensor() -> dg.SkipReason:
    """Closes dead runs and uploads what MLflow missed: metrics, and the ends of runs."""
    settings, warnings = Settings.from_environment(), list[str]()
    closed, uploaded = reap_dead_runs(settings), TrackingStore.of(settings).upload_pending(warnings.append)
    close_ended_runs(settings, warnings.append)
    return dg.SkipReason(
        "; ".join([f"closed {', '.join(closed) or 'none'}", f"uploaded {', '.join(uploaded) or 'none'}", *warnings])
    )


def close_ended_runs(settings: Settings, warn: Callable[[str], None]) -> None:
    """Ends in MLflow the runs that have ended in Dagster.

    These are the parent runs of the user interface (`r1 run` ends its own), and stages whose process died before
    `reap_dead_runs` noticed but after Dagster's run monitoring did.
    """
    tracking = TrackingStore.of(settings)
    with tracking.best_effort("end a run", warn), _shared_instance(settings) as instance:
        client = tracking.connect()
        for mlflow_run in client.search_runs([tracking.experiment], "attributes.status = 'RUNNING'"):
            is_pipeline_run = mlflow_run.data.tags.get("r1.role") == "pipeline"
            run = instance.get_run_by_id(mlflow_run.data.tags[PIPELINE_RUN if is_pipeline_run else DAGSTER_RUN])
            if run is None or not run.is_finished:
                continue
            if is_pipeline_run:
                client.set_terminated(mlflow_run.info.run_id, "FINISHED" if run.is_success else "FAILED")
            elif not run.is_success:  # after a success, the upload is still in progress
                client.set_terminated(mlflow_run.info.run_id, "KILLED")


def _lock_file(settings: Settings, run_id: str) -> Path:
    return settings.dagster_home / "held" / run_id


def _find_dead_runs(settings: Settings, instance: DagsterInstance) -> Iterator[DagsterRun]:
    for record in instance.get_run_records(RunsFilter(statuses=ACTIVE)):
        run = record.dagster_run
        path = _lock_file(settings, run.run_id)
        if path.exists():
            if _is_released(path):
                yield run
        elif time.time() - (record.start_time or record.create_timestamp.timestamp()) > START_TIMEOUT_S:
            yield run


def _is_released(path: Path) -> bool:
    """Returns True if this host took the lock and no process holds it any more."""
    with path.open("r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        text = file.read()
    return bool(text) and json.loads(text)["host"] == socket.gethostname()


def _close_mlflow_runs(tracking: TrackingStore, dead: list[DagsterRun], active: set[str]) -> None:
    """Ends the MLflow runs of dead runs, and the parent runs of pipeline runs without an active run."""
    client = tracking.connect()
    for run in dead:
        pipeline_run = run.tags.get("r1/run", run.run_id)
        query = f"tags.`{DAGSTER_RUN}` = '{run.run_id}' and attributes.status = 'RUNNING'"
        for mlflow_run in client.search_runs([tracking.experiment], query):
            if mlflow_run.data.tags.get("r1.role") != "pipeline":
                client.set_terminated(mlflow_run.info.run_id, "KILLED")
        if pipeline_run not in active:
            query = f"tags.`{PIPELINE_RUN}` = '{pipeline_run}' and attributes.status = 'RUNNING'"
            for mlflow_run in client.search_runs([tracking.experiment], query):
                client.set_terminated(mlflow_run.info.run_id, "KILLED")
