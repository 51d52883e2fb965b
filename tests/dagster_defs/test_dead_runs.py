"""The law of ended runs: a run that ended in Dagster ends in MLflow, and a run in progress does not."""

from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from homes import smoke_settings

from dagster_defs.execution.dead_runs import close_ended_runs
from dagster_defs.tracking.stage_runs import DAGSTER_RUN, TrackingStore

ENDS = {
    DagsterRunStatus.STARTED: ("RUNNING", "RUNNING"),
    DagsterRunStatus.SUCCESS: ("FINISHED", "RUNNING"),  # its stage may still be told to a slow tracker
    DagsterRunStatus.FAILURE: ("FAILED", "KILLED"),
    DagsterRunStatus.CANCELED: ("FAILED", "KILLED"),
}
"""Expected MLflow status of the parent run and of a silent stage, by status of the Dagster run."""


def test_what_ended_in_dagster_ends_in_mlflow(tmp_path: Path) -> None:
    settings = smoke_settings(tmp_path)
    settings.export()
    tracking = TrackingStore.of(settings)
    stages: dict[str, str] = {}
    with DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        runs = {instance.add_run(DagsterRun("all", status=status)).run_id: status for status in ENDS}
        for run_id in runs:
            stages[run_id] = tracking.open_run(run_id, {DAGSTER_RUN: run_id}, "base", f"made by {run_id}", {})
        started, _, failed, _ = runs
        again = tracking.open_run(failed, {DAGSTER_RUN: failed}, "r1_zero", "tried twice", {})
        assert tracking.open_run(started, {DAGSTER_RUN: started}, "r1_zero", "tried twice", {}) == again

    close_ended_runs(settings, pytest.fail)

    client = tracking.connect()
    for run_id, status in runs.items():
        whole, stage = tracking.parent(run_id, {}), stages[run_id]
        assert tuple(client.get_run(each).info.status for each in (whole, stage)) == ENDS[status]
    assert client.get_run(again).info.status == "RUNNING"
