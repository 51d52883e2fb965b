"""Who looks at the sources: a sensor that sees every changed, new or deleted file, and a schedule that looks anyway.

Both read the sources file again and hash the files whose size or time has changed; another data version is
recorded as an observation. Automation and `r1 run` look before they start what reads the sources, so that Dagster knows
which version was read. What nobody can read (a file that is gone) fails the tick with a line that names it. A changed
sources file changes the graph itself: where `r1 ui` has said how, the code is loaded again.
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
from dagster_defs.sources import data_versions, recipe_tag
from r1_pipeline.profiles import Profile
from r1_pipeline.profiles.sources import fed_nodes

PERIOD_S = 15
CODE_SOCKET = "R1_CODE_SOCKET"
"""Socket of the code server that this process belongs to."""
RELOAD_S = 120
"""Seconds that loading the code may take."""


def observe_sources(instance: DagsterInstance, profile: Profile) -> list[str]:
    """Record what the sources hold where that has changed; returns their keys."""
    changed = []
    for key, version in data_versions(profile).items():
        record = instance.get_latest_data_version_record(AssetKey(key))
        recorded = extract_data_version_from_entry(record.event_log_entry) if record else None
        if recorded is None or recorded.value != version:
            instance.report_runless_asset_event(dg.AssetObservation(key, tags={DATA_VERSION_TAG: version}))
            changed.append(key)
    return changed


@dg.sensor(name="sources", minimum_interval_seconds=PERIOD_S, default_status=dg.DefaultSensorStatus.RUNNING)
def source_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Records what the sources hold whenever it has changed."""
    profile = Settings.from_environment().load()
    changed = ", ".join(observe_sources(context.instance, profile))
    assert context.repository_def is not None
    message = _reload_if_sources_changed(context.repository_def.asset_graph, profile)
    return dg.SkipReason("; ".join(filter(None, (f"changed: {changed or 'no source'}", message))))


def _reload_if_sources_changed(graph: BaseAssetGraph[Any], profile: Profile) -> str:
    """Load the code again if the graph is not that of the sources file any more; what to say about it."""
    same = all(
        (graph.get(asset_key(node.name)).code_version or "").endswith(recipe_tag(profile, node))
        for node in map(profile.graph.node, fed_nodes(profile))
    )
    if same:
        return ""
    socket = os.environ.get(CODE_SOCKET)
    if socket is None:
        return "the sources file has changed: reload the code location, so that the graph shows it"
    DagsterGrpcClient(socket=socket).reload_code(RELOAD_S)
    return "the sources file has changed: the code was loaded again"
