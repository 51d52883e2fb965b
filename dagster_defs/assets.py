"""Turns every node of the profile's graph into a Dagster asset with inputs, partitions, group, code version and pool.

A single factory builds all assets; this module names no node. The body of an asset asks the pipeline resource to make
the artifact that its node describes.
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
"""Kinds that Dagster shows for a verb; other verbs are shown by the kind of their work."""
KINDS_OF_WORK: Mapping[str, set[str]] = {
    "training": {"pytorch", "trl"},
    "inference": {"transformers", "parquet"},
    "data": {"polars", "parquet"},
}
NIGHTLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=50), warn_window=timedelta(hours=26))
WEEKLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=15), warn_window=timedelta(days=8))
"""A policy that warns after one missed schedule and fails after two."""
FRESHNESS: Mapping[str, dg.FreshnessPolicy] = {"problems": WEEKLY, "evaluation": NIGHTLY}
"""Freshness policies of the groups that a schedule refreshes.

Sources have none, because Dagster counts materializations only, not observations.
"""
REPORT_VERSION = 6
"""Version of the report's content, raised when the report shows something else."""


def graph_assets(profile: Profile) -> list[dg.AssetsDefinition]:
    """Returns one asset for every node of the profile's graph."""
    hours = planned_hours(profile)
    return [node_asset(profile, node, hours) for node in profile.graph]


def node_asset(profile: Profile, node: Node, hours: Mapping[str, float]) -> dg.AssetsDefinition:
    """Returns the asset of one node; its code version combines the verb's version and the fingerprint of its recipe."""
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
    """Returns the partitions that the profile gives a node, or None for a node without partitions."""
    keys = profile.bound.partitions_of(node)
    return dg.StaticPartitionsDefinition(list(keys)) if keys else None


def rerun_of(profile: Profile, node: Node, hours: Mapping[str, float]) -> Rerun:
    """Returns the re-run policy of a node, chosen by its group and by the planned device hours of its largest
    partition.
    """
    costs = [hours.get(str(name), 0.0) for name in profile.bound.names_of(node.name)]
    return profile.reruns.of(node.group, max(costs))


def input_name(source: Ref) -> str:
    """Returns the name of an asset input; an artifact that is read twice is loaded once."""
    return source.node.replace("/", "__")


def loaded_artifacts(inputs: Iterable[Any]) -> Iterable[Artifact]:
    """Yields every artifact among the loaded inputs of an asset, one per partition."""
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
