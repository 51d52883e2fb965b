"""How handles travel between assets: by address in the event log, never by pickle.

A downstream asset reads the newest materialization of its upstream whose blocking checks all passed: Dagster's own
checks gate only inside one run, and record a bad version before they reject it.
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
"""How many materializations of an asset are considered."""


class ArtifactIOManager(dg.IOManager):
    """Loads an upstream asset's handle; storing is the artifact store's business."""

    def __init__(
        self, home: Path, blocking: Mapping[AssetKey, frozenset[str]], check_steps: frozenset[str] = frozenset()
    ) -> None:
        """`check_steps` are the steps that decide gates: they read what is not yet decided."""
        self._home = home
        self._blocking_checks = blocking
        self._check_steps = check_steps

    def handle_output(self, context: dg.OutputContext, obj: Artifact) -> None:
        """Nothing: the artifact is on disk, its address in the metadata of the materialization."""

    def load_input(self, context: dg.InputContext) -> Any:
        """One handle; of an upstream that has partitions, partition key -> handle."""
        key, gated = context.asset_key, context.step_context.op_def.name not in self._check_steps
        if not context.has_asset_partitions:
            return self.newest(context.instance, key, None, gated)
        return {name: self.newest(context.instance, key, name, gated) for name in context.asset_partition_keys}

    def newest(self, instance: DagsterInstance, key: AssetKey, partition: str | None, gated: bool = True) -> Artifact:
        """The newest artifact of an asset; `gated`: the newest that passed all its blocking checks."""
        checks = self._blocking_checks.get(key, frozenset()) if gated else frozenset()
        record = latest_good_record(instance, key, partition, checks)
        return open_artifact(self._home / address_of(record))


def address_of(record: EventLogRecord) -> str:
    """Path of a materialization's artifact below the home directory."""
    assert record.asset_materialization is not None
    return str(record.asset_materialization.metadata[ADDRESS].value)


def latest_good_record(
    instance: DagsterInstance, key: AssetKey, partition: str | None, blocking: frozenset[str]
) -> EventLogRecord:
    """The newest materialization whose blocking checks passed; raises `GateFailedError` where there is none."""
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
        "open it in the user interface for values and limits, correct its recipe or inputs, and run it again"
    )


def latest_record(instance: DagsterInstance, key: AssetKey, partition: str | None) -> EventLogRecord | None:
    """The newest materialization, whatever its checks said."""
    records_filter = AssetRecordsFilter(asset_key=key, asset_partitions=[partition] if partition else None)
    records = instance.fetch_materializations(records_filter, limit=1).records
    return records[0] if records else None


def passed_checks(instance: DagsterInstance, key: AssetKey, storage_id: int, blocking: frozenset[str]) -> set[str]:
    """Which of these checks said yes to one materialization when they last judged it."""
    passed = set()
    for check in blocking:
        executions = instance.event_log_storage.get_asset_check_execution_history(AssetCheckKey(key, check), limit=200)
        for execution in executions:
            event = execution.event.dagster_event if execution.event else None
            if event is None or event.event_type is not DagsterEventType.ASSET_CHECK_EVALUATION:
                continue  # planned, not decided
            target = event.asset_check_evaluation_data.target_materialization_data
            if target and target.storage_id == storage_id:
                if execution.status is AssetCheckExecutionRecordStatus.SUCCEEDED:
                    passed.add(check)
                break
    return passed


def blocking_checks(graph: Graph) -> Mapping[AssetKey, frozenset[str]]:
    """Asset key -> names of its blocking checks."""
    blocking = {node.name: frozenset(check.name for check in node.checks if not check.warns) for node in graph}
    return {asset_key(name): checks for name, checks in blocking.items() if checks}
