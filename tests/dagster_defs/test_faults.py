"""Laws of faults: a killed run loses no finished work and leaves no second MLflow run; a dead tracker loses no metric.

Real processes, real signals, the profile `smoke`.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from dagster import DagsterEventType, DagsterInstance, RunsFilter
from homes import smoke_settings

from dagster_defs.reconcile import ACTIVE, limit_devices
from r1_pipeline.artifacts.manifest import read_manifest
from r1_pipeline.artifacts.metrics import read_metrics

pytestmark = pytest.mark.slow
STAGES = (
    "base",
    "r1_zero",
    "evaluation/r1_zero",
    "cold_start_data",
    "dev1",
    "sft_corpus",
    "helpful_rm",
    "distilled/qwen",
)
"""One of each kind; in the order of the graph."""


def start(home: Path, *arguments: str, tracking: str | None = None) -> "subprocess.Popen[str]":
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("R1_", "DAGSTER_", "MLFLOW_"))}
    if tracking:
        environment["MLFLOW_TRACKING_URI"] = tracking
    command = [sys.executable, "-u", "-c", "from dagster_defs.cli import main; main()", *arguments, "--home", str(home)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )


def follow(process: "subprocess.Popen[str]", until: str) -> bool:
    """Read the process's lines until one contains this; False if it ended before."""
    assert process.stdout is not None
    return any(until in line for line in process.stdout)


def finish(process: "subprocess.Popen[str]") -> str:
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return said


def kill(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def digests(home: Path) -> dict[str, str]:
    made = [read_manifest(path.parent) for path in (home / "artifacts").glob("*/**/manifest.json")]
    return {f"{manifest.kind}/{manifest.name}": manifest.digest for manifest in made}


def tracked(uri: str) -> tuple[list[Any], Any]:
    import mlflow

    client = mlflow.MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name("r1-pipeline")
    return list(client.search_runs([experiment.experiment_id], max_results=1000)), client


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
    runs, client = tracked(f"sqlite:///{home / 'mlflow.db'}")
    stages = [run for run in runs if "r1.fingerprint" in run.data.tags]
    of = Counter((run.data.tags["r1.fingerprint"], run.data.tags["r1.artifact"]) for run in stages)
    assert [name for name, runs in of.items() if runs > 1] == []
    assert {run.info.status for run in stages} == {"FINISHED"}
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
    for run in stages:
        for key in run.data.metrics:
            steps = Counter(metric.step for metric in client.get_metric_history(run.info.run_id, key))
            assert max(steps.values()) == 1, (run.info.run_name, key)
    versions = [version.name for version in client.search_model_versions()]
    assert max(Counter(versions).values()) == 1


@contextmanager
def server(directory: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{directory / 'server.db'}"]
    process = subprocess.Popen(
        command,
        cwd=directory,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.2)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def slow(port: int, seconds: float) -> Iterator[str]:
    """Address of a server before the one at `port`, which takes its time over every request."""

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
    with server(tmp_path, port), slow(port, 2.0) as front:
        said = finish(start(home, "run", "--profile", "smoke", "--select", "base", tracking=front))
        assert "is slow; nobody waits for it" in said
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
    select = ("run", "--profile", "smoke", "--select", "base")
    if alive_at_first:
        with server(tmp_path, port):
            run = start(home, *select, tracking=uri)
            assert follow(run, "… base")
        said = finish(run)
    else:
        said = finish(start(home, *select, tracking=uri))
    assert "1 computed" in said
    (artifact,) = (path.parent for path in (home / "artifacts/checkpoint/base").glob("*/manifest.json"))
    wanted = {row["step"]: row["loss"] for row in read_metrics(artifact / "logs/metrics.jsonl") if "loss" in row}
    with server(tmp_path, port):
        assert "0 computed" in finish(start(home, *select, tracking=uri))
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
from dagster import AssetKey
from homes import smoke_settings
from dagster_defs.run import Executor
from r1_pipeline.artifacts.observer import Observer
at = replace(smoke_settings(Path(sys.argv[1])), seed=int(sys.argv[2]))
at.export()
assert Executor(at, {}, Observer()).materialize([AssetKey("base")], None) is None
"""


def test_two_runs_that_want_the_only_device_have_it_one_after_the_other(tmp_path: Path) -> None:
    settings = smoke_settings(tmp_path)
    finish(start(tmp_path, "run", "--profile", "smoke", "--select", "preference_pairs"))  # makes tables
    limit_devices(settings, 1)
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
