"""Laws of launched stages under Dagster: their logs are in the event log, and no rank outlives its run.

The tests use a real code server, real run workers, and ranks started by a real torchrun.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_graphql.test.utils import execute_dagster_graphql
from homes import smoke_settings

from dagster_defs.runner.executor import Executor
from dagster_defs.runner.run import run
from dagster_defs.settings import Settings
from r1_pipeline.artifacts.manifest import read_manifest
from r1_pipeline.artifacts.observer import Observer

pytestmark = pytest.mark.slow
PATIENCE_S = 240
ENDED_S = 240.0
"""Maximum seconds until all processes of an ended run are gone."""
RANKS = 2
TORCHRUN = f'[launcher]\ntype = "torchrun"\nprocesses = {RANKS}\nsharding = "ddp"\n'
WORKSPACE = "load_from:\n  - python_module: {module_name: dagster_defs.definitions, location_name: r1_pipeline}\n"
LAUNCH = """
mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
TERMINATE = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Settings]:
    """Returns a new home whose stages are launched by torchrun, and its environment."""
    before = dict(os.environ)
    settings = smoke_settings(tmp_path)
    settings.export()
    (tmp_path / "runtime.toml").write_text(TORCHRUN, encoding="utf-8")
    yield settings
    os.environ.clear()
    os.environ.update(before)


def until(done: Callable[[], object], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)


def processes_of(home: Path) -> list[tuple[int, list[str]]]:
    """Returns process id and command of every process whose command names a job of this home."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes().decode().split("\0")
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if state != "Z" and any(argument.startswith(f"{home}/scratch/") for argument in command):
                found.append((int(folder.name), command))
    return found


def ranks_of(home: Path) -> list[int]:
    return [
        pid
        for pid, command in processes_of(home)
        if "dagster_defs.execution.rank" in command[-4:] and "-m" in command[-5:-2]
    ]


def run_worker_of(home: Path) -> int:
    (guard,) = [command for _, command in processes_of(home) if "r1_pipeline.runtime.process_guard" in command]
    return int(guard[guard.index("r1_pipeline.runtime.process_guard") + 1])


def test_a_launched_stage_speaks_in_the_event_log_and_says_what_it_took(at: Settings) -> None:
    (at.home / "runtime.toml").write_text('[launcher]\ntype = "subprocess"\n', encoding="utf-8")
    graph = Executor(at, {}, Observer())
    assert graph.materialize(["base"], None) is None
    with DagsterInstance.from_config(str(at.dagster_home)) as instance:
        (run,) = instance.get_runs()
        said = [entry.user_message for entry in instance.all_logs(run.run_id)]
        (made,) = instance.all_logs(run.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION)
    assert any(line.startswith("step 1 of ") for line in said)
    metadata = made.dagster_event.event_specific_data.materialization.metadata
    assert metadata["ranks"].value == 1
    assert 0 < metadata["peak memory of a rank (GiB)"].value < 10


def test_every_stage_of_the_graph_makes_in_a_process_of_its_own_what_it_makes_inline(made: Path, at: Settings) -> None:
    (at.home / "runtime.toml").write_text('[launcher]\ntype = "subprocess"\n', encoding="utf-8")
    assert run(at, None, []) is None
    assert digests(at.home) == digests(made)


def digests(home: Path) -> dict[str, str]:
    found = [read_manifest(path.parent) for path in (home / "artifacts").glob("*/**/manifest.json")]
    return {f"{manifest.kind}/{manifest.name}": manifest.digest for manifest in found}


@pytest.fixture
def launched(at: Settings) -> Iterator[tuple[DagsterInstance, WorkspaceRequestContext, DagsterRun]]:
    """Launches a run that trains the base on two ranks in a Dagster run worker, as from the user interface."""
    workspace = at.home / "workspace.yaml"
    workspace.write_text(WORKSPACE, encoding="utf-8")
    with (
        DagsterInstance.from_config(str(at.dagster_home)) as instance,
        WorkspaceProcessContext(instance, WorkspaceFileTarget([str(workspace)])) as process,
    ):
        context = process.create_request_context()
        selector = {
            "repositoryLocationName": "r1_pipeline",
            "repositoryName": "__repository__",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": ["base"]}],
        }
        result = execute_dagster_graphql(context, LAUNCH, {"params": {"selector": selector, "mode": "default"}})
        run_id = result.data["launchRun"]["run"]["runId"]
        instance.launch_run(run_id, context)  # in the place of the daemon, which takes runs off the queue
        until(lambda: len(ranks_of(at.home)) == RANKS, PATIENCE_S, "the ranks are not started")
        until(lambda: list(at.home.glob("scratch/*/metrics.jsonl")), PATIENCE_S, "the ranks do not train")
        run = instance.get_run_by_id(run_id)
        assert run is not None
        yield instance, context, run


def test_a_run_that_is_terminated_leaves_no_rank(
    at: Settings, launched: tuple[DagsterInstance, WorkspaceRequestContext, DagsterRun]
) -> None:
    instance, context, run = launched
    said = execute_dagster_graphql(context, TERMINATE, {"id": run.run_id})
    assert said.data["terminateRun"]["__typename"] == "TerminateRunSuccess"
    until(lambda: not processes_of(at.home), ENDED_S, "processes of the job are still alive")

    def cancelled() -> bool:
        now = instance.get_run_by_id(run.run_id)
        return now is not None and now.status is DagsterRunStatus.CANCELED

    until(cancelled, ENDED_S, "the run is not canceled")


def test_a_run_worker_that_is_killed_leaves_no_rank(
    at: Settings, launched: tuple[DagsterInstance, WorkspaceRequestContext, DagsterRun]
) -> None:
    os.kill(run_worker_of(at.home), signal.SIGKILL)
    until(lambda: not processes_of(at.home), ENDED_S, "processes of the job are still alive")
