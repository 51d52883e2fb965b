"""Who looks at the sources: a sensor that sees every changed, new or deleted file, and a schedule that looks anyway.

The sensor reads the sources file anew at each tick and hashes the files whose size or time has changed; what another
data version is recorded as an observation. What nobody can read (a file that is gone) fails the tick with a line that
names it. A changed sources file changes the graph itself: where `r1 ui` has said how, the code is loaded again.
"""

import json
import os
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._grpc.client import DagsterGrpcClient

from dagster_defs.assets.sources import READERS, data_versions, recipe_mark
from dagster_defs.settings import Settings
from r1_pipeline.profiles import Profile

PERIOD_S = 15
CODE_SOCKET = "R1_CODE_SOCKET"
"""Socket of the code server that this process belongs to."""
RELOAD_S = 120
"""Seconds that loading the code may take."""


@dg.sensor(name="sources", minimum_interval_seconds=PERIOD_S, default_status=dg.DefaultSensorStatus.RUNNING)
def watcher(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Records what the sources hold whenever it has changed."""
    profile = Settings.from_environment().load()
    assert context.repository_def is not None
    said = _follow_declaration(context.repository_def.asset_graph, profile)
    seen, found = json.loads(context.cursor or "{}"), data_versions(profile)
    events = [
        dg.AssetObservation(key, tags={DATA_VERSION_TAG: version})
        for key, version in found.items()
        if seen.get(key) != version
    ]
    changed = ", ".join(event.asset_key.to_user_string() for event in events)
    reason = said or (f"changed: {changed}" if changed else "no source has changed")
    return dg.SensorResult(asset_events=events, cursor=json.dumps(found), skip_reason=dg.SkipReason(reason))


def _follow_declaration(graph: BaseAssetGraph[Any], profile: Profile) -> str:
    """Load the code again if the graph is not that of the sources file any more; what to say about it."""
    same = all(
        (graph.get(dg.AssetKey(name)).code_version or "").endswith(recipe_mark(profile, name)) for name in READERS
    )
    if same:
        return ""
    socket = os.environ.get(CODE_SOCKET)
    if socket is None:
        return "the sources file has changed: reload the code location, so that the graph shows it"
    DagsterGrpcClient(socket=socket).reload_code(RELOAD_S)
    return "the sources file has changed: the code was loaded again"
