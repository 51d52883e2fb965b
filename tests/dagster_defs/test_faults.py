"""Laws of faults: a killed run loses no finished work and leaves no second MLflow run; a dead tracker loses no metric.

The tests use real processes, real signals and the profile `smoke`.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest
from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, RunsFilter
from homes import smoke_settings
from processes import Surfaces, finish, follow, free_port, kill, mlflow_server, start, user_interface

from dagster_defs.execution.dead_runs import ACTIVE, set_device_slots
from r1_pipeline.artifacts.manifest import read_manifest
from r1_pipeline.artifacts.metrics import read_metrics

pytestmark = pytest.mark.slow
STAGES = (
    "base",
    "r1_zero",
    "answers/r1_zero",
    "evaluation/r1_zero",
    "cold_start_data",
    "dev1",
    "sft_corpus",
    "helpful_rm",
    "distilled/qwen",
)
"""Stages of each kind, in order of the graph."""


def digests(home: Path) -> dict[str, str]:
    made = [read_manifest(path.parent) for path in (home / "artifacts").glob("*/**/manifest.json")]
    return {f"{manifest.kind}/{manifest.name}": manifest.digest for manifest in made}


def tracked(uri: str) -> tuple[list[Any], Any]:
    import mlflow

    client = mlflow.MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name("r1-pipeline")
    return list(client.search_runs([experiment.experiment_id], max_results=1000)), client


LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } } }"""
UP_TO_R1_ZERO = (
    *(["base"], ["reasoning_problems"], ["heldout_problems"], ["r1_zero"]),
    *(["answers", "r1_zero"], ["evaluation", "r1_zero"]),
)


def launch(surfaces: Surfaces) -> str:
    """Launches a run as the pages of the user interface do, and returns its id."""
    selector = {
        "repositoryLocationName": "r1_pipeline",
        "repositoryName": "__repository__",
        "pipelineName": "__ASSET_JOB",
        "assetSelection": [{"path": path} for path in UP_TO_R1_ZERO],
    }
    params = {"selector": selector, "runConfigData": {}, "mode": "default"}
    asked = Request(
        f"{surfaces.dagster}/graphql", json.dumps({"query": LAUNCH, "variables": {"params": params}}).encode()
    )
    asked.add_header("content-type", "application/json")
    asked.add_header("authorization", f"Bearer {surfaces.token}")
    launched = json.loads(urlopen(asked).read())["data"]["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id: str = launched["run"]["runId"]
    return run_id


def until(done: Callable[[], bool]) -> None:
    for _ in range(600):
        if done():
            return
        time.sleep(1)
    raise AssertionError("it never came to that")


def test_a_run_worker_and_a_daemon_that_are_killed_lose_no_finished_work(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with user_interface(home) as surfaces, DagsterInstance.from_config(str(home / "dagster")) as instance:

        def worker(run_id: str, stage: str) -> int:
            """Returns the process of a run once it works on a stage."""
            until(lambda: (run_id, stage) in begun())
            time.sleep(0.7)
            said = " ".join(e.user_message for e in instance.all_logs(run_id))
            (pid,) = set(re.findall(r"pid: (\d+)", said))
            return int(pid)

        def begun() -> set[tuple[str, str | None]]:
            runs = instance.get_runs()
            logs = [e for run in runs for e in instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_START)]
            return {(e.run_id, e.step_key) for e in logs}

        first = launch(surfaces)
        os.kill(worker(first, "r1_zero"), signal.SIGKILL)
        made = digests(home)
        until(lambda: len(instance.get_runs()) > 1)  # the reconciler reports it, and Dagster starts it again, once
        assert instance.get_run_by_id(first).status is DagsterRunStatus.FAILURE
        (second,) = (run.run_id for run in instance.get_runs() if run.run_id != first)
        until(lambda: instance.get_run_by_id(second).status is DagsterRunStatus.SUCCESS)
        assert made.items() <= digests(home).items()

        (daemon,) = (each for each in children(surfaces) if "dagster._daemon" in each.cmdline())
        third = launch(surfaces)
        until(lambda: third in {run_id for run_id, _ in begun()})
        daemon.kill()
        assert surfaces.process.wait(600) != 0
        assert "the Dagster daemon server ended with exit code -9" in (home / "ui.log").read_text(encoding="utf-8")
    with user_interface(home) as surfaces, DagsterInstance.from_config(str(home / "dagster")) as instance:
        assert instance.get_run_by_id(third).status not in ACTIVE
        fourth = launch(surfaces)
        until(lambda: instance.get_run_by_id(fourth).status is DagsterRunStatus.SUCCESS)
        uri = f"sqlite:///{home / 'mlflow.db'}"
        until(lambda: all(run.info.status != "RUNNING" for run in tracked(uri)[0]))
    assert made.items() <= digests(home).items()
    nothing_is_known_twice(home)


def children(surfaces: Surfaces) -> list[psutil.Process]:
    return psutil.Process(surfaces.process.pid).children(recursive=True)


def test_runs_that_are_killed_in_every_kind_of_stage_end_as_if_nothing_had_happened(tmp_path: Path) -> None:
    home, reference = tmp_path / "killed", tmp_path / "whole"
    for name in STAGES:
        run = start(home, "run", "--profile", "smoke")
        assert follow(run, f"… {name}"), f"{name} was not begun"
        time.sleep(0.7)
        kill(run)
    finish(start(home, "run", "--profile", "smoke"))
    finish(start(reference, "run", "--profile", "smoke"))
    assert digests(home) == digests(reference)
    with DagsterInstance.from_config(str(home / "dagster")) as instance:
        assert instance.get_runs(RunsFilter(statuses=ACTIVE)) == []
    nothing_is_known_twice(home)


def nothing_is_known_twice(home: Path) -> None:
    """Asserts that each artifact has one finished MLflow run, one version, and each metric of each step once."""
    runs, client = tracked(f"sqlite:///{home / 'mlflow.db'}")
    stages = [run for run in runs if "r1.fingerprint" in run.data.tags]
    of = Counter((run.data.tags["r1.fingerprint"], run.data.tags["r1.artifact"]) for run in stages)
    assert [name for name, runs in of.items() if runs > 1] == []
    assert {run.info.status for run in stages} == {"FINISHED"}
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED", "FAILED"}
    for run in stages:
        for key in run.data.metrics:
            steps = Counter(metric.step for metric in client.get_metric_history(run.info.run_id, key))
            assert max(steps.values()) == 1, (run.info.run_name, key)
    versions = [version.name for version in client.search_model_versions()]
    assert max(Counter(versions).values()) == 1


@contextmanager
def slow(port: int, seconds: float) -> Iterator[str]:
    """Yields the address of a server that delays every request to the server at `port`."""

    class Slow(BaseHTTPRequestHandler):
        def forward(self) -> None:
            time.sleep(seconds)
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            asked = Request(f"http://127.0.0.1:{port}{self.path}", body or None, method=self.command)
            asked.add_header("content-type", self.headers.get("content-type", "application/json"))
            try:
                status, said = 200, urlopen(asked).read()
            except HTTPError as error:
                status, said = error.code, error.read()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PATCH = forward

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as front:
        threading.Thread(target=front.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{front.server_port}"
        front.shutdown()


def test_a_tracker_that_takes_seconds_over_each_call_is_not_waited_for_and_hears_every_step_once(
    tmp_path: Path,
) -> None:
    home, port = tmp_path / "home", free_port()
    store = f"sqlite:///{tmp_path / 'server.db'}"
    with mlflow_server(store, port), slow(port, 2.0) as front:
        said = finish(start(home, "run", "--profile", "smoke", "--select", "base", MLFLOW_TRACKING_URI=front))
        assert "is slow; the upload continues in the background" in said
        runs, client = tracked(f"http://127.0.0.1:{port}")
        (base,) = (run for run in runs if run.data.tags.get("r1.artifact") == "base")
        history = client.get_metric_history(base.info.run_id, "loss")
    (artifact,) = (path.parent for path in (home / "artifacts/checkpoint/base").glob("*/manifest.json"))
    wanted = {row["step"]: row["loss"] for row in read_metrics(artifact / "logs/metrics.jsonl") if "loss" in row}
    assert sorted((metric.step, metric.value) for metric in history) == sorted(wanted.items())
    assert base.info.status == "FINISHED"
    assert list((home / "owed").iterdir()) == []


@pytest.mark.parametrize("alive_at_first", [True, False], ids=["killed in the middle", "dead from the start"])
def test_a_dead_tracker_stops_nothing_and_hears_every_step_once_when_it_is_back(
    alive_at_first: bool, tmp_path: Path
) -> None:
    home, port = tmp_path / "home", free_port()
    uri = f"http://127.0.0.1:{port}"
    store = f"sqlite:///{tmp_path / 'server.db'}"
    select = ("run", "--profile", "smoke", "--select", "base")
    if alive_at_first:
        with mlflow_server(store, port):
            run = start(home, *select, MLFLOW_TRACKING_URI=uri)
            assert follow(run, "… base")
        said = finish(run)
    else:
        said = finish(start(home, *select, MLFLOW_TRACKING_URI=uri))
    assert "1 computed" in said
    (artifact,) = (path.parent for path in (home / "artifacts/checkpoint/base").glob("*/manifest.json"))
    wanted = {row["step"]: row["loss"] for row in read_metrics(artifact / "logs/metrics.jsonl") if "loss" in row}
    with mlflow_server(store, port):
        assert "0 computed" in finish(start(home, *select, MLFLOW_TRACKING_URI=uri))
        runs, client = tracked(uri)
        (base,) = (run for run in runs if run.data.tags.get("r1.artifact") == "base")
        history = client.get_metric_history(base.info.run_id, "loss")
    assert base.info.status == "FINISHED"
    assert [(metric.step, metric.value) for metric in sorted(history, key=lambda m: m.step)] == sorted(wanted.items())
    assert list((home / "owed").iterdir()) == []


def test_of_two_runs_at_once_one_computes_and_the_other_takes(tmp_path: Path) -> None:
    pair = [start(tmp_path, "run", "--profile", "smoke", "--select", "base") for _ in range(2)]
    said = [finish(run) for run in pair]
    assert sorted("1 computed" in text for text in said) == [False, True], json.dumps(said)


MATERIALIZE = """
import sys
from dataclasses import replace
from pathlib import Path
from homes import smoke_settings
from dagster_defs.runner.executor import Executor
from r1_pipeline.artifacts.observer import Observer
at = replace(smoke_settings(Path(sys.argv[1])), seed=int(sys.argv[2]))
at.export()
assert Executor(at, {}, Observer()).materialize(["base"], None) is None
"""


def test_two_runs_that_want_the_only_device_have_it_one_after_the_other(tmp_path: Path) -> None:
    settings = smoke_settings(tmp_path)
    finish(start(tmp_path, "run", "--profile", "smoke", "--select", "preference_pairs"))  # makes tables
    set_device_slots(settings, 1)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    pair = [
        subprocess.Popen([sys.executable, "-c", MATERIALIZE, str(tmp_path), str(seed)], env=environment)
        for seed in (1, 2)
    ]
    assert [process.wait(600) for process in pair] == [0, 0]
    with DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        spans = []
        for run in instance.get_runs():
            events = {e.dagster_event_type: e.timestamp for e in instance.all_logs(run.run_id) if e.step_key == "base"}
            if events:
                spans.append((events[DagsterEventType.STEP_START], events[DagsterEventType.STEP_SUCCESS]))
    (_, first_ended), (second_began, _) = sorted(spans)
    assert second_began >= first_ended
