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

from dagster_defs.history import opened
from dagster_defs.settings import DEVICE, Settings
from dagster_defs.tracking.stage_runs import DAGSTER_RUN, Tracking
from r1_pipeline.artifacts.provenance import PIPELINE_RUN

ACTIVE = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
START_S = 180.0
"""A run that has executed nothing for so long, and that nobody holds, will never do so."""
PERIOD_S = 30
MESSAGE = "its process is gone (killed, or the machine went down); run it again: what was finished is kept"

_held: dict[str, TextIO] = {}


def hold(settings: Settings, run_id: str) -> None:
    """Say, as long as this process lives, that it executes this run."""
    if run_id in _held:
        return
    path = _lock_of(settings, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w", encoding="utf-8")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    file.write(json.dumps({"host": socket.gethostname()}))
    file.flush()
    _held[run_id] = file


def reconcile(settings: Settings) -> list[str]:
    """Ids of the runs that were found dead and are closed now."""
    with _opened(settings) as instance:
        dead = list(_dead(settings, instance))
        for run in dead:
            instance.report_run_failed(run, MESSAGE)
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            _lock_of(settings, run.run_id).unlink(missing_ok=True)
        living = {run.tags.get("r1/run", run.run_id) for run in instance.get_runs(RunsFilter(statuses=ACTIVE))}
    if dead:
        tracking = Tracking.of(settings)
        with tracking.tolerant("close the runs of a dead process", logging.getLogger(__name__).warning):
            _close_tracked(tracking, dead, living)
    return [run.run_id for run in dead]


def limit_devices(settings: Settings, lanes: int) -> None:
    """As many stages that load a model at once, over all runs, as the profile has lanes."""
    with _opened(settings) as instance:
        instance.event_log_storage.set_concurrency_slots(DEVICE, lanes)


@contextmanager
def _opened(settings: Settings) -> Iterator[DagsterInstance]:
    """The instance; the first process to come makes its tables, under a lock."""
    with (settings.dagster_home / ".lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with opened(settings.dagster_home) as instance:
            yield instance


@dg.sensor(name="reconciler", minimum_interval_seconds=PERIOD_S, default_status=dg.DefaultSensorStatus.RUNNING)
def reconciler() -> dg.SkipReason:
    """Closes runs whose process is gone, and tells MLflow what it missed: metrics, and that a run has ended."""
    settings, said = Settings.from_environment(), list[str]()
    closed, told = reconcile(settings), Tracking.of(settings).pay(said.append)
    close_ended(settings, said.append)
    return dg.SkipReason(
        "; ".join([f"closed {', '.join(closed) or 'none'}", f"told {', '.join(told) or 'none'}", *said])
    )


def close_ended(settings: Settings, warn: Callable[[str], None]) -> None:
    """End in MLflow what has ended in Dagster: runs that stand for runs of the user interface (`r1 run` ends its own),
    and stages whose process died, which Dagster's own watch may have noticed before `reconcile` did."""
    tracking = Tracking.of(settings)
    with tracking.tolerant("end a run", warn), _opened(settings) as instance:
        client = tracking.connect()
        for tracked in client.search_runs([tracking.experiment], "attributes.status = 'RUNNING'"):
            stands_for_all = tracked.data.tags.get("r1.role") == "pipeline"
            run = instance.get_run_by_id(tracked.data.tags[PIPELINE_RUN if stands_for_all else DAGSTER_RUN])
            if run is None or not run.is_finished:
                continue
            if stands_for_all:
                client.set_terminated(tracked.info.run_id, "FINISHED" if run.is_success else "FAILED")
            elif not run.is_success:  # after a success, MLflow is only slow to hear of it
                client.set_terminated(tracked.info.run_id, "KILLED")


def _lock_of(settings: Settings, run_id: str) -> Path:
    return settings.dagster_home / "held" / run_id


def _dead(settings: Settings, instance: DagsterInstance) -> Iterator[DagsterRun]:
    for record in instance.get_run_records(RunsFilter(statuses=ACTIVE)):
        run = record.dagster_run
        path = _lock_of(settings, run.run_id)
        if path.exists():
            if _released(path):
                yield run
        elif time.time() - (record.start_time or record.create_timestamp.timestamp()) > START_S:
            yield run


def _released(path: Path) -> bool:
    """Whether nobody on this host holds the lock, and it was taken on this host."""
    with path.open("r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        text = file.read()
    return bool(text) and json.loads(text)["host"] == socket.gethostname()


def _close_tracked(tracking: Tracking, dead: list[DagsterRun], living: set[str]) -> None:
    """MLflow's runs of dead runs, and the parents of pipeline runs in which nothing lives any more."""
    client = tracking.connect()
    for run in dead:
        pipeline_run = run.tags.get("r1/run", run.run_id)
        wanted = f"tags.`{DAGSTER_RUN}` = '{run.run_id}' and attributes.status = 'RUNNING'"
        for tracked in client.search_runs([tracking.experiment], wanted):
            if tracked.data.tags.get("r1.role") != "pipeline":
                client.set_terminated(tracked.info.run_id, "KILLED")
        if pipeline_run not in living:
            wanted = f"tags.`{PIPELINE_RUN}` = '{pipeline_run}' and attributes.status = 'RUNNING'"
            for tracked in client.search_runs([tracking.experiment], wanted):
                client.set_terminated(tracked.info.run_id, "KILLED")
