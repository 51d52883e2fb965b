"""Observes the sources: a sensor detects every changed, new or deleted file, and a schedule observes them hourly.

Both read the sources file again and hash the files whose size or time has changed; a new data version is recorded as an
observation. Automation and `r1 run` observe the sources before they start anything that reads them, so that Dagster
knows which version was read. A file that cannot be read fails the tick with a line that names it. A changed sources
file changes the graph itself: under `r1 ui` the code location is then reloaded.
"""

import os
from typing import Any

import dagster as dg
from dagster import AssetKey, DagsterInstance

from dagster_defs.asset_keys import asset_key
from dagster_defs.dagster_private import (
    DATA_VERSION_TAG,
    BaseAssetGraph,
    DagsterGrpcClient,
    extract_data_version_from_entry,
)
from dagster_defs.settings import Settings
from dagster_defs.sources import data_versions, recipe_tag, source_facts
from r1_pipeline.profiles import Profile
from r1_pipeline.profiles.sources import fed_nodes

PERIOD_S = 15
CODE_SOCKET = "R1_CODE_SOCKET"
"""Environment variable with the socket of the code server that this process belongs to."""
RELOAD_S = 120
"""Seconds that reloading the code may take."""


def observe_sources(instance: DagsterInstance, profile: Profile) -> list[str]:
    """Records the content of every source that has changed, and returns the keys of these sources."""
    changed = []
    facts = source_facts(profile)
    for key, version in data_versions(profile).items():
        record = instance.get_latest_data_version_record(AssetKey(key))
        recorded = extract_data_version_from_entry(record.event_log_entry) if record else None
        if recorded is None or recorded.value != version:
            instance.report_runless_asset_event(
                dg.AssetObservation(key, tags={DATA_VERSION_TAG: version}, metadata=facts[key]())
            )
            changed.append(key)
    return changed


@dg.sensor(
    name="sources",
    minimum_interval_seconds=PERIOD_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks at every file of the sources and records changed content; what reads it is then stale.",
)
def source_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Records the content of the sources when it has changed."""
    profile = Settings.from_environment().load()
    changed = ", ".join(observe_sources(context.instance, profile))
    assert context.repository_def is not None
    message = _reload_if_sources_changed(context.repository_def.asset_graph, profile)
    return dg.SkipReason("; ".join(filter(None, (f"changed: {changed or 'no source'}", message))))


def _reload_if_sources_changed(graph: BaseAssetGraph[Any], profile: Profile) -> str:
    """Reloads the code if the graph no longer matches the sources file, and returns a message, or an empty string."""
    same = all(
        (graph.get(asset_key(node.name)).code_version or "").endswith(recipe_tag(profile, node))
        for node in map(profile.graph.node, fed_nodes(profile))
    )
    if same:
        return ""
    socket = os.environ.get(CODE_SOCKET)
    if socket is None:
        return "the sources file has changed; reload the code location to update the graph"
    DagsterGrpcClient(socket=socket).reload_code(RELOAD_S)
    return "the sources file has changed; the code was reloaded"
