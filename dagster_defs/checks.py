"""Turns the gates of the graph into asset checks that block everything downstream or only warn.

The graph says which values a gate measures (`r1_pipeline.graph.gates`); the profile sets their limits.
"""

from typing import Any

import dagster as dg

from dagster_defs.asset_keys import asset_key
from dagster_defs.assets import loaded_artifacts, partitions_of
from dagster_defs.pipeline import PipelineResource
from dagster_defs.settings import DEVICE
from r1_pipeline.evaluation.gates import failures
from r1_pipeline.graph.node import Check, Node
from r1_pipeline.profiles import Profile


def graph_checks(profile: Profile) -> list[dg.AssetChecksDefinition]:
    """Returns one asset check for every gate of every node."""
    return [node_check(profile, node, check) for node in profile.graph for check in node.checks]


def node_check(profile: Profile, node: Node, check: Check) -> dg.AssetChecksDefinition:
    """Returns the asset check of one gate, which judges the newest artifact of its node."""

    @dg.asset_check(
        asset=asset_key(node.name),
        name=check.name,
        blocking=not check.warns,
        pool=DEVICE if check.scores else None,
        partitions_def=partitions_of(profile, node.name),
        description=f"{check.about} It rejects: {check.fails[0].lower()}{check.fails[1:]}",
    )
    def decide(
        context: dg.AssetCheckExecutionContext, pipeline: dg.ResourceParam[PipelineResource], artifact: Any
    ) -> dg.AssetCheckResult:
        [subject] = loaded_artifacts([artifact])
        gates = check.decide(pipeline.judged(context, subject))
        metadata: dict[str, Any] = {}
        for gate in gates:
            name = f"{gate.name} " if len(gates) > 1 else ""
            metadata |= {f"{name}value": gate.value, f"{name}limit": gate.limit, f"{name}must be": gate.sense}
        failed = failures(gates)
        if check.warns:
            for gate in failed:
                pipeline.warn(context, subject.name, f"gate {gate}")
        return dg.AssetCheckResult(
            passed=not failed,
            severity=dg.AssetCheckSeverity.WARN if check.warns else dg.AssetCheckSeverity.ERROR,
            description="; ".join(map(str, failed or gates)) or "this profile sets no limit for it",
            metadata=metadata,
        )

    return decide
