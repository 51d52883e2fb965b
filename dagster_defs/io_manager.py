"""The IO manager: passes artifacts between assets by their address in the event log, never by pickle.

A downstream asset reads the newest materialization of its upstream whose blocking checks all passed. Dagster's own
checks apply only within one run, and record a bad version before they reject it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import AssetCheckKey, AssetKey, AssetRecordsFilter, DagsterEventType, DagsterInstance, EventLogRecord

from dagster_defs.asset_keys import asset_key, node_name
from dagster_defs.dagster_private import AssetCheckExecutionRecordStatus
from dagster_defs.metadata import ADDRESS
from r1_pipeline.artifacts.kinds import Artifact, open_artifact
from r1_pipeline.errors import GateFailedError
from r1_pipeline.graph.node import Graph

LOOK_BACK = 50
"""Number of materializations of an asset that are searched for a good one."""


class ArtifactIOManager(dg.IOManager):
    """Loads the artifacts of upstream assets; the artifact store does the writing."""

    def __init__(
        self, home: Path, blocking: Mapping[AssetKey, frozenset[str]], check_steps: frozenset[str] = frozenset()
    ) -> None:
        """Takes the blocking checks of each asset, and `check_steps`, the steps of checks, which read versions not yet
        checked.
        """
        self._home = home
        self._blocking_checks = blocking
        self._check_steps = check_steps

    def handle_output(self, context: dg.OutputContext, obj: Artifact) -> None:
        """Does nothing: the artifact is on disk, and its address is in the metadata of the materialization."""

    def load_input(self, context: dg.InputContext) -> Any:
        """Returns one artifact, or a dictionary of partition key to artifact for an upstream with partitions."""
        key, gated = context.asset_key, context.step_context.op_def.name not in self._check_steps
        if not context.has_asset_partitions:
            return self.newest(context.instance, key, None, gated)
        return {name: self.newest(context.instance, key, name, gated) for name in context.asset_partition_keys}

    def newest(self, instance: DagsterInstance, key: AssetKey, partition: str | None, gated: bool = True) -> Artifact:
        """Returns the newest artifact of an asset, and with `gated` the newest that passed all its blocking checks.

        Raises `GateFailedError` if there is none.
        """
        checks = self._blocking_checks.get(key, frozenset()) if gated else frozenset()
        record = latest_good_record(instance, key, partition, checks)
        return open_artifact(self._home / address_of(record))


def address_of(record: EventLogRecord) -> str:
    """Returns the path of a materialization's artifact, relative to the home directory."""
    assert record.asset_materialization is not None
    return str(record.asset_materialization.metadata[ADDRESS].value)


def latest_good_record(
    instance: DagsterInstance, key: AssetKey, partition: str | None, blocking: frozenset[str]
) -> EventLogRecord:
    """Returns the newest materialization whose blocking checks passed; raises `GateFailedError` if there is none."""
    name = "/".join([*key.path, partition] if partition else key.path)
    records_filter = AssetRecordsFilter(asset_key=key, asset_partitions=[partition] if partition else None)
    records = instance.fetch_materializations(records_filter, limit=LOOK_BACK).records
    if not records:
        raise GateFailedError(f"{name} has never been materialized; run it first: r1 run --select {node_name(key)}")
    for record in records:
        if blocking <= passed_checks(instance, key, record.storage_id, blocking):
            return record
    raise GateFailedError(
        f"no version of {name} has passed its checks ({', '.join(sorted(blocking))}); "
        "see values and limits in r1 ui, fix its recipe or inputs, and run it again"
    )


def latest_record(instance: DagsterInstance, key: AssetKey, partition: str | None) -> EventLogRecord | None:
    """Returns the newest materialization regardless of its checks, or None."""
    records_filter = AssetRecordsFilter(asset_key=key, asset_partitions=[partition] if partition else None)
    records = instance.fetch_materializations(records_filter, limit=1).records
    return records[0] if records else None


def passed_checks(instance: DagsterInstance, key: AssetKey, storage_id: int, blocking: frozenset[str]) -> set[str]:
    """Returns the names of these checks that passed on one materialization in their latest evaluation."""
    passed = set()
    for check in blocking:
        executions = instance.event_log_storage.get_asset_check_execution_history(AssetCheckKey(key, check), limit=200)
        for execution in executions:
            event = execution.event.dagster_event if execution.event else None
            if event is None or event.event_type is not DagsterEventType.ASSET_CHECK_EVALUATION:
                continue  # planned, not evaluated
            target = event.asset_check_evaluation_data.target_materialization_data
            if target and target.storage_id == storage_id:
                if execution.status is AssetCheckExecutionRecordStatus.SUCCEEDED:
                    passed.add(check)
                break
    return passed


def blocking_checks(graph: Graph) -> Mapping[AssetKey, frozenset[str]]:
    """Returns the names of the blocking checks by asset key."""
    blocking = {node.name: frozenset(check.name for check in node.checks if not check.warns) for node in graph}
    return {asset_key(name): checks for name, checks in blocking.items() if checks}
