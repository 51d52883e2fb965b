"""Runs whose process is gone: found, reported as failed, their pool slots freed, their MLflow runs closed.

Dagster believes a run that it started to be running for ever. So each process holds a lock on a file for every run that
it executes; the kernel drops the lock when the process dies, however it dies. Runs of other hosts are left alone: their
locks cannot be seen from here.
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
"""A run that has executed nothing for so long, and that nobody holds, will never do so."""
PERIOD_S = 30
FAILURE_MESSAGE = "its process is gone (killed, or the machine went down); run it again: what was finished is kept"

_locks: dict[str, TextIO] = {}


def hold_run_lock(settings: Settings, run_id: str) -> None:
    """Say, as long as this process lives, that it executes this run."""
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
    """Ids of the runs that were found dead and are closed now."""
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
    """As many stages that load a model at once, over all runs, as the profile has lanes."""
    with _shared_instance(settings) as instance:
        instance.event_log_storage.set_concurrency_slots(DEVICE, slots)


@contextmanager
def _shared_instance(settings: Settings) -> Iterator[DagsterInstance]:
    """The instance; the first process to come makes its tables, under a lock."""
    with (settings.dagster_home / ".lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with open_instance(settings.dagster_home) as instance:
            yield instance


@dg.sensor(name="reconciler", minimum_interval_seconds=PERIOD_S, default_status=dg.DefaultSensorStatus.RUNNING)
def dead_run_sensor() -> dg.SkipReason:
    """Closes runs whose process is gone, and tells MLflow what it missed: metrics, and that a run has ended."""
    settings, warnings = Settings.from_environment(), list[str]()
    closed, uploaded = reap_dead_runs(settings), TrackingStore.of(settings).upload_pending(warnings.append)
    close_ended_runs(settings, warnings.append)
    return dg.SkipReason(
        "; ".join([f"closed {', '.join(closed) or 'none'}", f"told {', '.join(uploaded) or 'none'}", *warnings])
    )


def close_ended_runs(settings: Settings, warn: Callable[[str], None]) -> None:
    """End in MLflow what has ended in Dagster: runs that stand for runs of the user interface (`r1 run` ends its own),
    and stages whose process died, which Dagster's own watch may have noticed before `reap_dead_runs` did."""
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
            elif not run.is_success:  # after a success, MLflow is only slow to hear of it
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
    """Whether nobody on this host holds the lock, and it was taken on this host."""
    with path.open("r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        text = file.read()
    return bool(text) and json.loads(text)["host"] == socket.gethostname()


def _close_mlflow_runs(tracking: TrackingStore, dead: list[DagsterRun], active: set[str]) -> None:
    """MLflow's runs of dead runs, and the parents of pipeline runs in which nothing lives any more."""
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
