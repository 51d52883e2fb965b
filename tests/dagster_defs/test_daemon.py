"""The change table again with the real daemon and code server of `r1 ui --automation`, without any call by the test.

They run on one home while its files change, and their materializations are compared with those worked out by hand. The
tests are ordered: each leaves the home settled. GraphQL shows what the user interface would show.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_graphql.test.utils import execute_dagster_graphql
from homes import REPLIES, smoke_settings, write

from dagster_defs.cli.status import asset_states
from dagster_defs.execution.dead_runs import ACTIVE
from dagster_defs.settings import AUTOMATION, Settings
from dagster_defs.staleness.source_sensor import CODE_SOCKET
from dagster_defs.web.addresses import Address
from dagster_defs.web.ui import CODE_SERVER, WORKSPACE, server_commands

pytestmark = pytest.mark.slow
PATIENCE_S = 900
UNDER_WAY = (DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED, *ACTIVE)
BELOW_PAIRS = {
    "preference_pairs", "helpful_rm", "safety_rm", "r1", "answers/r1", "evaluation/r1", "preference_scores", "report",
}  # fmt: skip


@dataclass
class Automated:
    """A home that a daemon works on."""

    settings: Settings
    instance: DagsterInstance
    workspace: Path

    @property
    def home(self) -> Path:
        return self.settings.home

    def made_by(self, change: Callable[[], object]) -> list[str]:
        """Returns the sorted names of everything materialized from `change` on until nothing more follows."""
        before = self._storage_id()
        change()
        self.settle()
        events = self.instance.get_event_records(
            dg.EventRecordsFilter(dg.DagsterEventType.ASSET_MATERIALIZATION, after_cursor=before)
        )
        made = [record.asset_materialization for record in events if record.asset_materialization]
        return sorted("/".join([*each.asset_key.path, *filter(None, [each.partition])]) for each in made)

    def settle(self) -> None:
        """Waits until two successive ticks of automation, started after all runs had ended, have requested nothing."""

        def settled() -> bool:
            if self.instance.get_runs(RunsFilter(statuses=UNDER_WAY)):
                return False
            ended = max((r.end_time or 0.0 for r in self.instance.get_run_records(limit=50)), default=0.0)
            later = [tick for tick in self.ticks("automation") if tick.timestamp > max(ended, began)]
            return len(later) >= 2 and all(tick.status is TickStatus.SKIPPED for tick in later[:2])

        began = time.time()
        until(settled, "automation does not settle")

    def ticks(self, sensor: str) -> list[InstigatorTick]:
        """Returns the ticks, the newest first."""
        states = [s for s in self.instance.all_instigator_state() if s.instigator_name == sensor]
        return [
            tick
            for state in states
            for tick in self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=5)
        ]

    def ask(self, query: str, **variables: Any) -> Any:
        """Returns the answer of GraphQL, as the user interface would receive it."""
        with WorkspaceProcessContext(self.instance, WorkspaceFileTarget([str(self.workspace)])) as process:
            result = execute_dagster_graphql(process.create_request_context(), query, variables)
        assert not result.errors, result.errors
        return result.data

    def _storage_id(self) -> int:
        newest = self.instance.get_event_records(
            dg.EventRecordsFilter(dg.DagsterEventType.ASSET_MATERIALIZATION), limit=1
        )
        return newest[0].storage_id


def until(done: Callable[[], bool], otherwise: str) -> None:
    for _ in range(PATIENCE_S):
        if done():
            return
        time.sleep(1)
    raise AssertionError(otherwise)


@pytest.fixture(scope="module")
def automated(fed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Automated]:
    home, before = tmp_path_factory.mktemp("automated") / "home", dict(os.environ)
    shutil.copytree(fed, home)
    settings, socket = smoke_settings(home), Path(mkdtemp(prefix="r1-")) / "code"
    settings.export()
    os.environ |= {AUTOMATION: "on", CODE_SOCKET: str(socket)}
    workspace = home / "workspace.yaml"
    workspace.write_text(WORKSPACE.format(socket=socket), encoding="utf-8")
    started = server_commands(settings, Address("127.0.0.1", 0), Address("127.0.0.1", 0), socket, workspace)
    servers = []
    for name in (CODE_SERVER, "Dagster daemon"):
        servers.append(subprocess.Popen([sys.executable, "-m", *started[name]], start_new_session=True))
        until(socket.exists, "the code server does not start")
    try:
        with DagsterInstance.from_config(str(settings.dagster_home)) as instance:
            yield Automated(settings, instance, workspace)
    finally:
        for server in servers:
            os.killpg(server.pid, signal.SIGKILL)
        os.environ.clear()
        os.environ.update(before)


def test_a_without_a_change_nothing_is_materialized(automated: Automated) -> None:
    assert automated.made_by(lambda: None) == []


def test_b_a_file_rewritten_with_the_same_bytes_and_one_with_duplicates(automated: Automated) -> None:
    file = automated.home / "sums" / "one.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()
    assert automated.made_by(lambda: write(file, lines)) == []
    assert automated.made_by(lambda: write(file, [*lines, lines[0]])) == ["heldout_problems", "reasoning_problems"]


def test_c_a_file_deleted_reruns_what_read_it(automated: Automated) -> None:
    assert set(automated.made_by((automated.home / "replies" / "two.jsonl").unlink)) == BELOW_PAIRS


def test_d_a_source_that_is_gone_fails_the_tick_by_name_until_it_is_back(automated: Automated) -> None:
    exam, elsewhere = automated.home / "exam.jsonl", automated.home / "elsewhere"

    def gone() -> bool:
        newest = automated.ticks("automation")[0]
        return newest.status is TickStatus.FAILURE and "exam.jsonl does not exist" in str(newest.error)

    exam.rename(elsewhere)
    until(gone, "the tick does not fail")
    assert automated.made_by(lambda: elsewhere.rename(exam)) == []


def test_e_a_new_source_loads_the_code_again_and_is_followed(automated: Automated) -> None:
    def declare() -> None:
        write(automated.home / "more" / "replies.jsonl", [json.dumps(row) for row in REPLIES[2:]])
        file = automated.home / "sources.toml"
        text = file.read_text(encoding="utf-8")
        replies = text[text.rindex("[[source]]") :]
        more = replies.replace('"replies"', '"more_replies"', 1).replace('"replies"', '"more"', 1)
        file.write_text(f"{text}\n{more}", encoding="utf-8")

    assert set(automated.made_by(declare)) == BELOW_PAIRS
    found = automated.ask('{ assetNodes(group: {groupName: "sources", repositoryName: "__repository__", '
                          'repositoryLocationName: "r1_pipeline"}) { assetKey { path } } }')  # fmt: skip
    assert ["more_replies_source"] in [node["assetKey"]["path"] for node in found["assetNodes"]]


def test_f_a_materialization_by_hand_of_what_is_fresh_draws_nothing_after_it(automated: Automated) -> None:
    command = [sys.executable, "-c", "from dagster_defs.cli import main; main()", "run", "--select", "dev1"]
    assert automated.made_by(lambda: subprocess.run(command, check=True)) == ["dev1"]


BACKFILL = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
PARTITIONS = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  partitionStats { numMaterialized numPartitions numFailed numMaterializing } } } }"""


def test_g_a_backfill_makes_every_partition_and_says_so(automated: Automated) -> None:
    def backfill() -> None:
        params = {
            "assetSelection": [{"path": ["distilled"]}],
            "partitionNames": ["qwen", "llama"],
            "title": "all students",
        }
        launched = automated.ask(BACKFILL, params=params)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        until(lambda: ended(launched["backfillId"]), "the backfill does not end")

    def ended(backfill: str) -> bool:
        found = automated.ask(f'{{ partitionBackfillOrError(backfillId: "{backfill}") {{ ... on PartitionBackfill '
                              "{ status } } }")  # fmt: skip
        status: str = found["partitionBackfillOrError"]["status"]
        assert "FAIL" not in status, status
        return status == "COMPLETED_SUCCESS"

    assert automated.made_by(backfill) == ["distilled/llama", "distilled/qwen"]
    stats = automated.ask(PARTITIONS, key={"path": ["distilled"]})["assetNodeOrError"]["partitionStats"]
    assert stats == {"numMaterialized": 2, "numPartitions": 2, "numFailed": 0, "numMaterializing": 0}


NODES = """{ assetNodes { assetKey { path } staleStatus isMaterializable
  freshnessStatusInfo { freshnessStatus } staleCauses { reason } } }"""


def test_h_the_user_interface_calls_fresh_what_r1_status_calls_fresh(automated: Automated) -> None:
    assert {state.state for state in asset_states(automated.settings)} == {"fresh"}
    nodes = [node for node in automated.ask(NODES)["assetNodes"] if node["isMaterializable"]]
    stale = {
        "/".join(node["assetKey"]["path"]): node["staleCauses"] for node in nodes if node["staleStatus"] != "FRESH"
    }
    assert stale == {}
    ages = {"/".join(node["assetKey"]["path"]): node["freshnessStatusInfo"] for node in nodes}
    assert ages["evaluation/r1"]["freshnessStatus"] == ages["preference_pairs"]["freshnessStatus"] == "HEALTHY"
    assert ages["r1"] is None


def test_i_what_changed_is_stale_by_its_source_and_waits_while_the_file_is_written(automated: Automated) -> None:
    file, seen = automated.home / "replies" / "one.jsonl", list[str]()
    lines = [*file.read_text(encoding="utf-8").splitlines(), json.dumps({"p": "Say.", "c": "Said.", "r": "No."})]

    def stale() -> bool:
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        node = next(n for n in automated.ask(NODES)["assetNodes"] if n["assetKey"]["path"] == ["preference_pairs"])
        seen[:] = [cause["reason"] for cause in node["staleCauses"]]
        return bool(seen)

    assert automated.made_by(lambda: (until(stale, "it does not turn stale"), lines.pop(), write(file, lines))) == []
    assert seen == ["has a new data version"]


LAUNCH = """mutation($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""


def test_j_a_run_worker_that_is_killed_is_started_again_and_ends_as_if_nothing_had_happened(
    automated: Automated,
) -> None:
    """The artifact was lost, and making it again is interrupted in the middle of training."""

    def launched_and_killed() -> None:
        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": "r1_pipeline",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": ["r1_zero"]}],
            "assetCheckSelection": [],
        }
        launched = automated.ask(LAUNCH, params={"selector": selector, "runConfigData": "{}"})
        run_id = launched["launchPipelineExecution"]["run"]["runId"]
        until(lambda: any((automated.home / "scratch").glob("*/metrics.jsonl")), "training does not begin")
        said = " ".join(entry.message for entry in automated.instance.all_logs(run_id))
        os.kill(int(re.findall(r"\(pid: (\d+)\)", said)[0]), signal.SIGKILL)
        until(lambda: run_of(run_id).status is DagsterRunStatus.FAILURE, "the killed run stays")
        until(lambda: len(runs_after(run_id)) == 2, "nobody starts it again")

    def run_of(run_id: str) -> dg.DagsterRun:
        run = automated.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def runs_after(run_id: str) -> list[DagsterRunStatus]:
        _, runs = automated.instance.get_run_group(run_id) or ("", [])
        return [run.status for run in runs]

    before = {state.asset: state.digest for state in asset_states(automated.settings)}
    shutil.rmtree(automated.home / "artifacts" / "checkpoint" / "r1_zero")
    assert automated.made_by(launched_and_killed) == ["r1_zero"]
    assert {state.asset: state.digest for state in asset_states(automated.settings)} == before
    assert list((automated.home / "scratch").iterdir()) == []
