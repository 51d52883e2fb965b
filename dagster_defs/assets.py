"""The assets: every node of the profile's graph as a Dagster asset, with its inputs, partitions, gates' group and cost.

One factory; nothing here knows a node by name. An asset's body asks the pipeline to make what its node says.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import dagster as dg

from dagster_defs.asset_keys import asset_key
from dagster_defs.pipeline import PipelineResource
from dagster_defs.settings import DEVICE
from dagster_defs.sources import OWNERS, recipe_tag, source_keys
from dagster_defs.staleness.automation import condition
from r1_pipeline.artifacts.kinds import Artifact
from r1_pipeline.graph.node import AssetName, Node, Ref
from r1_pipeline.planning.plan import planned_hours
from r1_pipeline.profiles import Profile
from r1_pipeline.settings.reruns import Rerun

KINDS: Mapping[str, set[str]] = {
    "pretrain": {"pytorch", "transformers"},
    "curate": {"python", "parquet"},
    "curate_preferences": {"python", "parquet"},
    "draft_cold_start": {"transformers", "parquet"},
    "rejection_sample": {"transformers", "parquet"},
    "evaluate": {"transformers", "parquet"},
    "compare_preferences": {"pytorch", "parquet"},
}
"""What Dagster shows of a verb; any other goes by its work."""
KINDS_OF_WORK: Mapping[str, set[str]] = {
    "training": {"pytorch", "trl"},
    "inference": {"transformers", "parquet"},
    "data": {"polars", "parquet"},
}
NIGHTLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=50), warn_window=timedelta(hours=26))
WEEKLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=15), warn_window=timedelta(days=8))
"""Overdue after one missed schedule, failed after two."""
FRESHNESS: Mapping[str, dg.FreshnessPolicy] = {"problems": WEEKLY, "evaluation": NIGHTLY}
"""Groups that a schedule refreshes. Sources have none: Dagster counts materializations only, not observations."""
REPORT_VERSION = 4
"""Bumped when the report shows something else."""


def graph_assets(profile: Profile) -> list[dg.AssetsDefinition]:
    """An asset for every node of the profile's graph."""
    hours = planned_hours(profile)
    return [node_asset(profile, node, hours) for node in profile.graph]


def node_asset(profile: Profile, node: Node, hours: Mapping[str, float]) -> dg.AssetsDefinition:
    """The asset of one node; its code version holds the verb's version and the fingerprint of its recipe."""
    work = node.verb.work if node.verb else "data"
    version = node.verb.version if node.verb else REPORT_VERSION
    kinds = KINDS.get(node.verb.name, KINDS_OF_WORK[work]) if node.verb else {"html", "json"}

    @dg.asset(
        key=asset_key(node.name),
        group_name=node.group,
        description=node.about,
        owners=OWNERS,
        kinds=kinds,
        code_version=".".join(filter(None, (str(version), recipe_tag(profile, node)))),
        pool=None if work == "data" else DEVICE,
        freshness_policy=FRESHNESS.get(node.group),
        tags={"r1/verb": node.verb.name if node.verb else "report"},
        ins={input_name(source): _asset_in(profile, node, source) for _, source in node.refs},
        deps=source_keys(profile, node),
        partitions_def=partitions_of(profile, node.name),
        automation_condition=condition(rerun_of(profile, node, hours)),
    )
    def compute(
        context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[PipelineResource], **inputs: Any
    ) -> dg.MaterializeResult[Any]:
        partition = context.partition_key if context.has_partition_key else None
        return pipeline.materialize(context, AssetName(node.name, partition), list(loaded_artifacts(inputs.values())))

    return compute


def partitions_of(profile: Profile, node: str) -> dg.StaticPartitionsDefinition | None:
    """The partitions of a node, as the profile names them."""
    keys = profile.bound.partitions_of(node)
    return dg.StaticPartitionsDefinition(list(keys)) if keys else None


def rerun_of(profile: Profile, node: Node, hours: Mapping[str, float]) -> Rerun:
    """When a node follows a change: by its group, and by the planned device hours of its most expensive partition."""
    costs = [hours.get(str(name), 0.0) for name in profile.bound.names_of(node.name)]
    return profile.reruns.of(node.group, max(costs))


def input_name(source: Ref) -> str:
    """The name of an input of an asset; what one asset reads twice is loaded once."""
    return source.node.replace("/", "__")


def loaded_artifacts(inputs: Iterable[Any]) -> Iterable[Artifact]:
    """Every artifact among what Dagster loaded, partitions one by one."""
    for value in inputs:
        yield from value.values() if isinstance(value, Mapping) else [value]


def _asset_in(profile: Profile, node: Node, source: Ref) -> dg.AssetIn:
    cut = profile.bound.partitions_of(source.node)
    mapping: dg.PartitionMapping | None = None
    if cut and source.which == "first":
        mapping = dg.SpecificPartitionsPartitionMapping([cut[0]])
    elif cut and source.which == "all" and node.each is not None:
        mapping = dg.AllPartitionMapping()
    return dg.AssetIn(asset_key(source.node), partition_mapping=mapping)
